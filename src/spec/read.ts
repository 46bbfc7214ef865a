import { createHash } from 'node:crypto'
import { type LocateResult, locateYaml } from '../config/yaml.ts'
import type { ResolvedInclude } from '../model/job-spec.ts'
import { checkSpec, namedFiles } from './check.ts'
import { type Occasion, type SpecContext, type SpecLimits, type SpecResult, specLimits } from './context.ts'
import { type ExpandedFile, expandFile } from './expand.ts'
import { readIncludes } from './includes.ts'
import { applyOverrides } from './overrides.ts'
import { collectProblems, type Problems } from './problems.ts'
import { type RuleFacts, ruleQuestions } from './rules.ts'
import { createYamlReader, type YamlAnswer, type YamlReader } from './yaml-reader.ts'

/** `.compops.yml` as jobs or mistakes, in this thread, without files that it includes and with all that `rules` could leave out. A service uses parseSpec. */
export function readSpec(text: string, context: SpecContext): SpecResult {
  const problems = collectProblems()
  const limits = { ...specLimits, ...context.limits }
  checkSize(text, limits, problems)
  if (problems.list().length > 0) return failed(text, problems)
  const located = locateYaml(text)
  if (!located.ok) return refused(text, located, problems)
  const file = expandFile(located.root, limits, problems)
  if (file === null) return failed(text, problems)
  return conclude(text, applyOverrides(file, context.overrides ?? {}), {
    context,
    limits,
    problems,
    facts: null,
    includes: [],
  })
}

/** Paths of the files that it names: batch scripts, templates of the project. None where it is no YAML. */
export function filesOf(text: string): readonly string[] {
  const located = locateYaml(text)
  return located.ok ? namedFiles(located.root) : []
}

const sharedReader = createYamlReader()

/**
 * `.compops.yml` as jobs or mistakes: sizes first, then YAML in a thread of its own with a deadline, then what it includes, then the files that jobs name and what
 * `rules` ask, then the checking, which is linear. Rejects only with what `readFile`, `readShared` and the occasion throw, and
 * for values beside the file that mean nothing in it.
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

  const located = outcome(await reader.read(text))
  if (!located.ok) return refused(text, located, problems)
  const included = await readIncludes(
    located.root,
    {
      own: async path => context.readFile(path),
      shared: async (project, ref, path) =>
        (await context.readShared?.(project, ref, path)) ?? {
          ok: false,
          message: 'Files of other projects cannot be included here.',
          remedy: null,
        },
      yaml: async one => outcome(await reader.read(one)),
    },
    limits,
    problems,
  )
  const expanded = expandFile(included.root, limits, problems)
  if (expanded === null) return failed(text, problems)
  const file = applyOverrides(expanded, context.overrides ?? {})
  const files = new Map<string, string | null>()
  for (const path of namedFiles(file.root).slice(0, limits.jobs)) files.set(path, await context.readFile(path))
  return conclude(text, file, {
    context: { ...context, readFile: path => files.get(path) ?? null },
    limits,
    problems,
    facts: context.occasion === undefined ? null : await ask(context.occasion, file),
    includes: included.includes,
  })
}

type Located = LocateResult | { readonly ok: false; readonly refused: string; readonly remedy: string }

function outcome(answer: YamlAnswer): Located {
  if (answer.kind === 'read') return answer.result
  const remedy = 'Make it simpler: fewer keys, less nesting, data in files of their own.'
  return answer.kind === 'too slow'
    ? { ok: false, refused: `Reading the file took longer than ${answer.seconds} s.`, remedy }
    : { ok: false, refused: 'The file could not be read: it took more memory than there is for it.', remedy }
}

function refused(text: string, located: Located & { readonly ok: false }, problems: Problems): SpecResult {
  if ('refused' in located) problems.tell('', located.refused, located.remedy)
  else for (const mistake of located.mistakes) problems.report(mistake, mistake.path, mistake.message, mistake.remedy)
  return failed(text, problems)
}

/** Brings what the rules name, so that they can be decided without waiting. */
async function ask(occasion: Occasion, { root }: ExpandedFile): Promise<RuleFacts> {
  const questions = ruleQuestions(root)
  const changed = new Map<string | null, readonly string[] | null>()
  for (const branch of questions.compareTo) changed.set(branch, await occasion.changed(branch))
  const files = questions.files ? await occasion.files() : []
  return {
    variables: occasion.variables,
    changed: branch => changed.get(branch) ?? null,
    files: () => files,
  }
}

interface Rest {
  readonly context: SpecContext
  readonly limits: SpecLimits
  readonly problems: Problems
  readonly facts: RuleFacts | null
  readonly includes: readonly ResolvedInclude[]
}

function conclude(text: string, file: ExpandedFile, { context, limits, problems, facts, includes }: Rest): SpecResult {
  const checked = checkSpec(file, context, limits, problems, facts)
  return checked === null ? failed(text, problems) : { ...checked, includes, sha256: digest(text) }
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
