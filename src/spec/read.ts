import { createHash } from 'node:crypto'
import { type LocateResult, locateYaml } from '../config/yaml.ts'
import { checkSpec, namedFiles } from './check.ts'
import { type SpecContext, type SpecLimits, type SpecResult, specLimits } from './context.ts'
import { collectProblems, type Problems } from './problems.ts'
import { createYamlReader, type YamlReader } from './yaml-reader.ts'

/** `.compops.yml` as jobs or mistakes, in this thread: for the command line and for tests. A service uses parseSpec. */
export function readSpec(text: string, context: SpecContext): SpecResult {
  const problems = collectProblems()
  const limits = { ...specLimits, ...context.limits }
  checkSize(text, limits, problems)
  return problems.list().length > 0
    ? failed(text, problems)
    : conclude(text, locateYaml(text), context, limits, problems)
}

const sharedReader = createYamlReader()

/**
 * `.compops.yml` as jobs or mistakes: sizes first, then YAML in a thread of its own with a deadline, then the files that jobs name, then the checking, which is linear.
 * Rejects only with what `readFile` throws.
 */
export async function parseSpec(
  text: string,
  context: SpecContext<Promise<string | null> | string | null>,
  reader: YamlReader = sharedReader,
): Promise<SpecResult> {
  const problems = collectProblems()
  const limits = { ...specLimits, ...context.limits }
  checkSize(text, limits, problems)
  if (problems.list().length > 0) return failed(text, problems)

  const answer = await reader.read(text)
  if (answer.kind === 'too slow') {
    problems.tell(
      '',
      `Reading the file took longer than ${answer.seconds} s.`,
      'Make it simpler: fewer keys, less nesting, data in files of their own.',
    )
    return failed(text, problems)
  }
  if (answer.kind === 'crashed') {
    problems.tell(
      '',
      'The file could not be read: it took more memory than there is for it.',
      'Make it simpler: fewer keys, less nesting, data in files of their own.',
    )
    return failed(text, problems)
  }
  const files = new Map<string, string | null>()
  if (answer.result.ok)
    for (const path of namedFiles(answer.result.root).slice(0, limits.jobs))
      files.set(path, await context.readFile(path))
  return conclude(text, answer.result, { ...context, readFile: path => files.get(path) ?? null }, limits, problems)
}

function conclude(
  text: string,
  located: LocateResult,
  context: SpecContext,
  limits: SpecLimits,
  problems: Problems,
): SpecResult {
  if (!located.ok) {
    for (const mistake of located.mistakes) problems.report(mistake, mistake.path, mistake.message, mistake.remedy)
    return failed(text, problems)
  }
  const checked = checkSpec(located.root, context, limits, problems)
  return checked === null ? failed(text, problems) : { ...checked, sha256: digest(text) }
}

function failed(text: string, problems: Problems): SpecResult {
  return { problems: problems.list(), sha256: digest(text) }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** What can be said before any parser sees the text. */
function checkSize(text: string, limits: SpecLimits, problems: Problems): void {
  const bytes = Buffer.byteLength(text)
  if (bytes > limits.bytes) {
    problems.tell(
      '',
      `The file has ${Math.ceil(bytes / 1_024)} KiB; ${Math.floor(limits.bytes / 1_024)} are the most.`,
      'Move data into files of their own.',
    )
    return
  }
  let lines = 1
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines++
  if (lines > limits.lines)
    problems.tell(
      '',
      `The file has ${lines} lines; ${limits.lines} are the most.`,
      'Move data into files of their own.',
    )
  const control = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.exec(text)
  if (control !== null) {
    const before = text.slice(0, control.index).split('\n')
    const code = (text.charCodeAt(control.index) || 0).toString(16).padStart(4, '0')
    problems.report(
      { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 },
      '',
      `A control character (U+${code.toUpperCase()}) stands here.`,
      'Take it out.',
    )
  }
}
