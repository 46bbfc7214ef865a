import { asLine, asList, type Report, refuseControl } from '../config/fields.ts'
import { type Located, quote } from '../config/yaml.ts'

/** Why a path or glob of the repository will not do, as the end of a sentence, with what to write instead; null where it will. */
export function refusePath(text: string, globs: boolean): { message: string; remedy: string } | null {
  const relative = 'Write it from the top folder of the repository, for example `results/*.csv`.'
  const control = refuseControl(text)
  if (control !== null) return { message: control, remedy: 'Write it on one line.' }
  if (text === '') return { message: 'is empty', remedy: relative }
  if (text.startsWith('/') || text.startsWith('~')) return { message: 'is not relative', remedy: relative }
  if (text.startsWith('-')) return { message: 'begins with a dash', remedy: 'Write `./` in front.' }
  if (text.length > 1_024) return { message: 'is longer than 1024 characters', remedy: relative }
  if (text.includes('\\')) return { message: 'holds a backslash', remedy: 'Write `/` between folders.' }
  const parts = text.split('/')
  if (parts.includes('..')) return { message: 'leads out with `..`', remedy: 'Write a path inside the repository.' }
  if (parts.includes('.git')) return { message: 'leads into `.git`', remedy: 'Write a path outside of it.' }
  if (parts.at(-1) === '')
    return {
      message: 'is a folder',
      remedy: globs ? `Write \`${text}**\` for all files in it.` : 'Write the path of a file.',
    }
  if (parts.some(part => part === '' || (part === '.' && part !== parts[0])))
    return { message: 'has an empty part', remedy: 'Write single slashes.' }
  if (parts.length > 20) return { message: 'is deeper than 20 folders', remedy: 'Write a shorter path.' }
  if (!globs && /[*?[\]]/.test(text)) return { message: 'is a pattern', remedy: 'Write the path of one file.' }
  if ((text.match(/\*\*/g) ?? []).length > 3)
    return { message: 'has `**` more than three times', remedy: 'Write a simpler pattern.' }
  return null
}

/** One glob, or a list of them, of files in the repository; what is wrong is reported and left out. undefined where it is neither. */
export function readGlobs(node: Located, path: string, report: Report): readonly string[] | undefined {
  const items = node.kind === 'scalar' ? [node] : asList(node, path, report)?.items
  return items?.flatMap((item, i) => {
    const here = node.kind === 'scalar' ? path : `${path}[${i}]`
    const glob = asLine(item, here, report)
    if (glob === undefined) return []
    const refusal = refusePath(glob, true)
    if (refusal === null) return [glob.replace(/^\.\/(?!-)/, '')]
    report(item, here, `${quote(glob)} ${refusal.message}.`, refusal.remedy)
    return []
  })
}
