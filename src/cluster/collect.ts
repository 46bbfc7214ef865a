import { randomBytes } from 'node:crypto'
import { CompopsError, UnreadableError } from '../errors.ts'
import type { Collected, OutputFile } from '../model/observation.ts'
import type { WatchedAttempt } from './contract.ts'
import { pathsOf } from './layout.ts'
import { readMetrics } from './metrics.ts'
import { collectProgram } from './observe-program.ts'
import { notWhole, type Reach } from './reach.ts'

/** What an ended attempt left behind. Its user wrote all of it: every part is read as hostile. */
export async function collectAttempt(
  reach: Reach,
  attempt: WatchedAttempt,
  { logBytes = 16 * 1024, metricsFile }: { logBytes?: number; metricsFile?: string } = {},
): Promise<Collected> {
  const { projectId, runId, jobId, id } = attempt
  const paths = pathsOf(reach.root, { projectId, runId, jobId, attemptId: id })
  const mark = randomBytes(16).toString('hex')
  const answer = await reach.run({
    text: collectProgram,
    lines: [reach.root, paths.attempt, mark, String(Math.max(0, Math.trunc(logBytes)))],
  })
  if (answer.rc === 95) throw new CompopsError(`${reach.name}: its directory ${paths.attempt} was removed`)
  if (answer.rc !== 0) throw notWhole(reach.name, 'what the job left behind could not be read', answer)
  const sections = readSections(answer.stdout, mark)
  if (!sections.has('end'))
    throw new UnreadableError(`${reach.name}: what the job left behind did not come whole`, { transient: true })

  const part = (name: string) => sections.get(name) ?? ''
  const { outputs, omitted } = readOutputs(part('outputs'), { checkout: paths.work, output: paths.output })
  const metrics = await readMetrics(part('metrics'), metricsFile)
  const problem = part('metrics-problem').trim()
  const logSize = Number(part('log-size')) || 0
  return {
    outputs,
    outputsOmitted: omitted,
    metrics: metrics.values,
    metricsProblem: problem === '' ? metrics.problem : `the metrics file ${problem}`,
    logTail: logSize > logBytes ? fromWholeLine(part('log')) : part('log'),
    logSize,
    environment: readEnvironment(part('environment')),
  }
}

export function readSections(text: string, mark: string): Map<string, string> {
  const sections = new Map<string, string>()
  for (const piece of text.split(`\n${mark} `).slice(1)) {
    const end = piece.indexOf('\n')
    sections.set(end === -1 ? piece : piece.slice(0, end), end === -1 ? '' : piece.slice(end + 1))
  }
  return sections
}

/** `<place> <size> <digest or -> <path>`, and at last `total <n>`. In paths, \\ and \n are spelled out. */
export function readOutputs(
  text: string,
  places: { readonly checkout: string; readonly output: string },
): { outputs: OutputFile[]; omitted: number } {
  const outputs: OutputFile[] = []
  let total = 0
  for (const line of text.split('\n')) {
    const counted = /^total (\d{1,12})$/.exec(line)
    if (counted !== null) total = Number(counted[1])
    const found = /^(checkout|output) (\d{1,16}) ([0-9a-f]{64}|-) (.+)$/s.exec(line)
    if (found === null) continue
    const path = found[4]!.replace(/\\([\\n])/g, (_, c) => (c === 'n' ? '\n' : '\\'))
    if (path.startsWith('/') || path.split('/').includes('..')) continue
    const place = found[1] === 'checkout' ? places.checkout : places.output
    outputs.push({ path, size: Number(found[2]), sha256: found[3] === '-' ? null : found[3]!, at: `${place}/${path}` })
  }
  return { outputs, omitted: Math.max(0, total - outputs.length) }
}

/** `<key> <value>`; a later line wins, an empty value says nothing. */
export function readEnvironment(text: string): Record<string, string> {
  const found = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, key, value = ''] = /^([a-z][a-z0-9-]{0,30}) (.*)$/.exec(line) ?? []
    if (key !== undefined && value.trim() !== '') found.set(key, value.trim().slice(0, 2_000))
  }
  return Object.fromEntries(found)
}

/** A tail begins in the middle of a line, or of a letter. */
export function fromWholeLine(text: string): string {
  const end = text.indexOf('\n')
  return end === -1 || end === text.length - 1 ? text : text.slice(end + 1)
}
