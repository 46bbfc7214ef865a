import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { CompopsError, toError } from '../errors.ts'
import type { ParamValue } from '../model/job-spec.ts'
import type { TemplateJob, Templates } from './context.ts'

type Handlebars = typeof import('handlebars')

const ending = '.sh.hbs'
const ours = new URL('./templates/', import.meta.url)
const require = createRequire(import.meta.url)
const settings = { noEscape: true, strict: true, preventIndent: true } as const

/**
 * Prepared environments: Handlebars that becomes shell text. Ours, and those of a directory of the site, whose wins where both have a name. Only
 * who runs the service writes templates: what a researcher wrote comes in as values, through `{{sh …}}`. Throws CompopsError where the directory cannot be read.
 */
export function openTemplates(directory: string | null): Templates {
  const files = new Map<string, string>()
  for (const name of namesIn(ours.pathname)) files.set(name, join(ours.pathname, name + ending))
  if (directory !== null) for (const name of namesIn(directory)) files.set(name, join(directory, name + ending))
  let made: Handlebars | undefined
  const compiled = new Map<string, (view: object) => string>()
  return {
    // What begins with _ is a part of others.
    names: [...files.keys()].filter(name => !name.startsWith('_')).sort(),
    render(name, job) {
      const file = files.get(name)
      if (file === undefined) throw new CompopsError(`there is no template ${name}`)
      try {
        const render = compiled.get(name) ?? engine().compile<object>(readFileSync(file, 'utf8'), settings)
        compiled.set(name, render)
        return render(viewOf(name, job)).trimEnd()
      } catch (error) {
        throw new CompopsError(toError(error).message, { cause: error })
      }
    },
  }

  function engine(): Handlebars {
    if (made !== undefined) return made
    made = (require('handlebars') as Handlebars).create()
    made.registerHelper('sh', (value: unknown) => word(value))
    made.registerHelper('override', (name: unknown, value: unknown) => override(String(name), value as ParamValue))
    made.registerHelper('is', (a: unknown, b: unknown) => a === b)
    for (const [name, file] of files)
      if (name.startsWith('_')) made.registerPartial(name.slice(1), readFileSync(file, 'utf8'))
    return made
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).flatMap(file => (file.endsWith(ending) ? [file.slice(0, -ending.length)] : []))
  } catch (error) {
    throw new CompopsError(`templates: ${directory} cannot be read: ${toError(error).message}`, { cause: error })
  }
}

/** What a template sees. `tasks`: processes in all; `cpus`: of each. */
function viewOf(template: string, { scheduler, resources, params }: TemplateJob): object {
  const nodes = resources.nodes ?? 1
  const perNode = resources.ntasks_per_node ?? null
  return {
    template,
    scheduler,
    nodes,
    tasks: resources.ntasks ?? (perNode ?? 1) * nodes,
    tasksPerNode: perNode,
    cpus: resources.cpus_per_task ?? 1,
    gpus: resources.gpus?.count ?? (resources.gpus_per_node?.count ?? 0) * nodes,
    resources,
    params: Object.entries(params).map(([name, value]) => ({ name, value })),
  }
}

/** `name=value` as Hydra's grammar reads it back: text in quotes unless it is plainly a word. hydra.cc, Override Grammar: Basic. */
function override(name: string, value: ParamValue): string {
  return `${name}=${hydraValue(value)}`
}

function hydraValue(value: ParamValue): string {
  if (value === null) return 'null'
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') {
    // Words that YAML or Hydra would take for something else than text are quoted too.
    const plain =
      /^[A-Za-z_][A-Za-z0-9_./+-]*$/.test(value) && !/^(?:true|false|null|nan|inf|yes|no|on|off)$/i.test(value)
    // Inside quotes a backslash only counts before a quote.
    return plain ? value : `'${value.replace(/(\\*)'/g, "$1$1\\'").replace(/(\\+)$/, '$1$1')}'`
  }
  if (Array.isArray(value)) return `[${value.map(item => hydraValue(item as ParamValue)).join(',')}]`
  return `{${Object.entries(value)
    .map(([key, item]) => `${key}:${hydraValue(item as ParamValue)}`)
    .join(',')}}`
}

/** One word of a shell, whatever the value holds. */
function word(value: unknown): string {
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value)
  if (text === undefined) throw new CompopsError('a template writes a value that is not there')
  if (text.includes('\0')) throw new CompopsError('a value for a shell holds a NUL byte, which no shell can carry')
  return `'${text.replaceAll("'", `'\\''`)}'`
}
