import { CompopsError } from '../errors.ts'
import type { JobSpec } from '../model/job-spec.ts'
import { describeProblem, readSpec, type SpecCluster, type SpecContext } from '../spec/index.ts'

export interface BatchScript {
  readonly path: string
  readonly text: string
}

/** A first `.compops.yml`, and what it means. */
export interface FirstFile {
  readonly text: string
  readonly jobs: readonly JobSpec[]
  /** Lines of scripts that are not kept, and why. */
  readonly notices: readonly string[]
  /** Scripts that are no job of it, each with the reason. */
  readonly leftOut: readonly { readonly path: string; readonly why: string }[]
}

/** Endings by which batch scripts are known. */
export const scriptEnding = /\.(?:sh|sbatch|slurm|bsub|lsf|pbs|qsub|sge|job)$/i
/** What begins a directive line of any scheduler that people write scripts for. */
const anyDirective = /^#(?:SBATCH|BSUB|PBS|\$)[ \t]+-/m

/**
 * One job for each script that asks a scheduler for something, in the order of their paths; null where there is none. What would be a mistake is left out
 * with its reason, so that the file is right as it stands. Pure.
 */
export function writeFirstFile(scripts: readonly BatchScript[], context: SpecContext): FirstFile | null {
  const files = new Map(scripts.map(({ path, text }) => [path, text]))
  const site = { ...context, readFile: (path: string) => files.get(path) ?? null }
  const sorted = scripts
    .filter(({ text }) => anyDirective.test(text))
    .toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
  const leftOut: { path: string; why: string }[] = []
  const entries: string[] = []
  const names = new Set<string>()
  for (const script of sorted) {
    const cluster = clusterFor(script, site)
    if (cluster === null) {
      leftOut.push({ path: script.path, why: `its lines are for a scheduler that ${namesOf(site.clusters)} has not` })
      continue
    }
    const name = freeName(script.path, names)
    const entry = writeJob(name, script.path, cluster === site.clusters[0] ? null : cluster.name)
    const read = readSpec(`jobs:\n${entry}`, site)
    if ('problems' in read) {
      const first = read.problems[0]
      leftOut.push({ path: script.path, why: first === undefined ? 'it cannot be read' : described(first) })
    } else {
      names.add(name)
      entries.push(entry)
    }
    if (entries.length === most) break
  }
  const [first] = site.clusters
  if (entries.length === 0 || first === undefined)
    return leftOut.length === 0 ? null : { text: '', jobs: [], notices: [], leftOut }
  const text = `${head}cluster: ${word(first.name)}\njobs:\n${entries.join('\n')}`
  const read = readSpec(text, site)
  if ('problems' in read) throw new CompopsError(`the file that was written is wrong: ${described(read.problems[0]!)}`)
  return { text, jobs: read.spec.jobs, notices: read.notices, leftOut }
}

/** Jobs of a first file: more are read by nobody. */
const most = 20

const head = `# Each job is a batch script of this repository, run as it stands with what its own directive lines ask for.
# A branch that has this file, and is not the default branch, is a computation: a push runs it.
`

const namesOf = (clusters: readonly SpecCluster[]) => clusters.map(({ name }) => name).join(', ')

/** Without the place: nobody has seen the file. */
function described(problem: Parameters<typeof describeProblem>[0]): string {
  return describeProblem({ ...problem, line: null }).replace(/^`\.compops\.yml`: /, '')
}

/** The first cluster of the project in whose language the script has a directive. */
function clusterFor({ text }: BatchScript, context: SpecContext): SpecCluster | null {
  return (
    context.clusters.find(cluster => {
      if (cluster.directivePrefix === null) return false
      const read = context.readBatchDirectives(cluster, text)
      return (
        read.directives.length + read.dropped.length + Object.keys(read.resources).length > 0 ||
        read.array !== undefined
      )
    }) ?? null
  )
}

function writeJob(name: string, path: string, cluster: string | null): string {
  return [
    `  ${word(name)}:`,
    ...(cluster === null ? [] : [`    cluster: ${word(cluster)}`]),
    `    file: ${word(path)}`,
    '    # outputs: [results/**]      what is listed with its checksum in the evidence; small files are kept there',
    '    # needs: [another job]       that must have completed first',
    '',
  ].join('\n')
}

/** `jobs/4d run.sbatch` becomes `4d-run`; the folder tells two of them apart, then a number. */
function freeName(path: string, taken: ReadonlySet<string>): string {
  const clean = (text: string) =>
    text
      .replace(/[^A-Za-z0-9_.-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+|[-.]+$/g, '')
      .slice(0, 50) || 'job'
  const parts = path.replace(scriptEnding, '').split('/')
  for (const name of [clean(parts.at(-1)!), clean(parts.slice(-2).join('-'))]) if (!taken.has(name)) return name
  for (let n = 2; ; n++) if (!taken.has(`${clean(parts.at(-1)!)}-${n}`)) return `${clean(parts.at(-1)!)}-${n}`
}

/** A YAML scalar that is read as this very text. */
function word(text: string): string {
  const plain = /^[A-Za-z_][\w./-]*$/.test(text) && !/^(?:true|false|yes|no|on|off|null|y|n)$/i.test(text)
  return plain ? text : JSON.stringify(text)
}
