import { asLine, asList, type Report } from '../config/fields.ts'
import { type Located, quote } from '../config/yaml.ts'
import { refusePath } from './glob.ts'
import type { Written } from './level.ts'

type Key = 'modules' | 'template' | 'image' | 'secrets'

/** The keys that say what surrounds a job's commands; each a word or a list of words. What is wrong is reported and left out. */
export function readSurroundings(key: Key, node: Located, path: string, report: Report): Written<string>[] | undefined {
  const single = key === 'template' || key === 'image'
  const items = single || node.kind === 'scalar' ? [node] : asList(node, path, report)?.items
  return items?.flatMap((item, i) => {
    const here = item === node ? path : `${path}[${i}]`
    const text = asLine(item, here, report)?.trim()
    if (text === undefined) return []
    // As people type them behind `module load`.
    const words = key === 'modules' && item === node ? text.split(/\s+/) : [text]
    return words.flatMap(value => {
      const refusal = rules[key](value)
      if (refusal === null) return [{ value, place: item }]
      report(item, here, `\`${key}\`: ${quote(value)} ${refusal.message}.`, refusal.remedy)
      return []
    })
  })
}

interface Refusal {
  readonly message: string
  readonly remedy: string
}

const rules: Readonly<Record<Key, (value: string) => Refusal | null>> = {
  modules: value =>
    /^[A-Za-z0-9][A-Za-z0-9_.+/:@=~-]{0,199}$/.test(value)
      ? null
      : { message: 'is not the name of a module', remedy: 'Write it as behind `module load`, e.g. `gcc/12.2`.' },
  template: value =>
    value.includes('/')
      ? refusePath(value, false)
      : /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/.test(value)
        ? null
        : {
            message: 'is not the name of a template',
            remedy: 'Write a name such as `python`, or the path of a shell file, `./jobs/env.sh`.',
          },
  image: refuseImage,
  secrets: value =>
    /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(value)
      ? null
      : {
          message: 'is not the name of a secret',
          remedy: 'Write its name only; the value stands in the configuration of the site.',
        },
}

/** apptainer(1) `pull`: the URIs that it knows, or a file. */
function refuseImage(value: string): Refusal | null {
  if (/[\s\0-\x1f\x7f'"`\\$;<>|&]/.test(value) || value.startsWith('-'))
    return { message: 'cannot be an image', remedy: 'Write e.g. `docker://python:3.12` or `containers/solver.sif`.' }
  const scheme = /^([a-z]+):\/\//.exec(value)?.[1]
  if (scheme !== undefined)
    return ['docker', 'oras', 'library', 'shub'].includes(scheme)
      ? null
      : {
          message: 'begins with what no container program knows',
          remedy: 'Write `docker://…`, `oras://…`, or the path of a .sif file.',
        }
  if (value.startsWith('/')) return null
  if (!/\.(?:sif|img|simg|sqsh)$/.test(value) && !value.includes('/'))
    return {
      message: 'is neither an address nor an image file',
      remedy: `Write \`docker://${value}\`, or the path of a .sif file.`,
    }
  if (!/\.(?:sif|img|simg|sqsh)$/.test(value))
    return {
      message: 'is no image file',
      remedy: `Write \`docker://${value}\` for an image of a registry, or the path of a .sif file.`,
    }
  return refusePath(value, false)
}
