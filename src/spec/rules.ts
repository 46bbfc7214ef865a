import { asLine, asList, asMap, asScalar, isEmpty, join, type Report, reportUnknown } from '../config/fields.ts'
import { matchGlob } from '../config/glob.ts'
import { nearest } from '../config/nearest.ts'
import { asBranch } from '../config/values.ts'
import { type Located, type LocatedEntry, type LocatedMap, type Place, quote } from '../config/yaml.ts'
import { type Expression, evaluate, parseExpression } from './expression.ts'
import type { Written } from './level.ts'

/** GitLab's `when`, as far as it says something here. */
const whens = ['on_success', 'always', 'never'] as const
export type When = (typeof whens)[number]

/** One of a job's `rules`: it applies where all that stands in it does. */
export interface Rule {
  readonly place: Place
  readonly if: { readonly expression: Expression; readonly names: readonly Written<string>[] } | null
  readonly changes: { readonly globs: readonly string[]; readonly compareTo: string | null } | null
  readonly exists: readonly string[] | null
  readonly when: When
}

/** What `rules` can ask of the commit and of why it runs. */
export interface RuleFacts {
  /** `COMPOPS_BRANCH` and the like; null: there is no such thing now. */
  readonly variables: Readonly<Record<string, string | null>>
  /** Paths that differ from the branch that is named, or by null from what was there before; null: everything counts as changed. */
  changed(compareTo: string | null): readonly string[] | null
  /** All files of the commit. */
  files(): readonly string[]
}

/** The variables that an `if` may name beside those of the job's own `env`. */
export const ruleVariables = [
  'COMPOPS_BRANCH',
  'COMPOPS_CAUSE',
  'COMPOPS_COMMIT_MESSAGE',
  'COMPOPS_DEFAULT_BRANCH',
  'COMPOPS_MERGE_REQUEST_IID',
  'COMPOPS_PROJECT',
  'COMPOPS_SHA',
  'COMPOPS_TARGET_BRANCH',
] as const
export type RuleVariable = (typeof ruleVariables)[number]

/** What people have in their fingers from `.gitlab-ci.yml`. */
const fromGitLab: Readonly<Record<string, string>> = {
  CI_COMMIT_BRANCH: 'COMPOPS_BRANCH',
  CI_COMMIT_REF_NAME: 'COMPOPS_BRANCH',
  CI_PIPELINE_SOURCE: 'COMPOPS_CAUSE',
  CI_COMMIT_MESSAGE: 'COMPOPS_COMMIT_MESSAGE',
  CI_DEFAULT_BRANCH: 'COMPOPS_DEFAULT_BRANCH',
  CI_MERGE_REQUEST_IID: 'COMPOPS_MERGE_REQUEST_IID',
  CI_MERGE_REQUEST_TARGET_BRANCH_NAME: 'COMPOPS_TARGET_BRANCH',
  CI_PROJECT_PATH: 'COMPOPS_PROJECT',
  CI_COMMIT_SHA: 'COMPOPS_SHA',
}

const keys = ['if', 'changes', 'exists', 'when'] as const
const mostRules = 50
const mostGlobs = 50

export function readRules(node: Located, path: string, report: Report): Rule[] | undefined {
  const list = asList(node, path, report)
  if (list === undefined) return undefined
  if (list.items.length === 0)
    report(node, path, '`rules` has no rule: the job would never run.', 'Write one, or leave the key out.')
  if (list.items.length > mostRules) {
    report(node, path, `There are ${list.items.length} rules; ${mostRules} are the most.`, 'Join conditions with `||`.')
    return undefined
  }
  return list.items.flatMap((item, i) => {
    const map = asMap(item, `${path}[${i}]`, report)
    return map === undefined ? [] : [readRule(map, `${path}[${i}]`, report)]
  })
}

function readRule(map: LocatedMap, path: string, report: Report): Rule {
  const found = new Map<string, LocatedEntry>()
  for (const entry of map.entries) {
    if ((keys as readonly string[]).includes(entry.key)) found.set(entry.key, entry)
    else if (['variables', 'allow_failure', 'needs', 'interruptible', 'start_in'].includes(entry.key))
      report(
        entry,
        join(path, entry.key),
        `${quote(entry.key)} is not understood in \`rules\`.`,
        'A rule only says whether the job is there.',
      )
    else reportUnknown(entry, join(path, entry.key), 'a rule', keys, report)
  }
  const read = <T>(key: (typeof keys)[number], as: (node: Located, path: string) => T | undefined): T | null => {
    const entry = found.get(key)
    if (entry === undefined) return null
    if (!isEmpty(entry.value)) return as(entry.value, join(path, key)) ?? null
    report(entry, join(path, key), `${quote(key)} is empty.`, 'Write a value, or leave the key out.')
    return null
  }
  return {
    place: map,
    if: read('if', (node, here) => readIf(node, here, report)),
    changes: read('changes', (node, here) => readChanges(node, here, report)),
    exists: read('exists', (node, here) => readGlobs(node, here, report)),
    when: read('when', (node, here) => readWhen(node, here, report)) ?? 'on_success',
  }
}

function readWhen(node: Located, path: string, report: Report): When | undefined {
  const scalar = asScalar(node, path, report)
  if (scalar === undefined) return undefined
  const found = whens.find(one => one === scalar.value)
  if (found !== undefined) return found
  const remedy =
    scalar.value === 'on_failure'
      ? 'Say whose failure: `needs: [{ job: mesh, kind: afternotok }]`.'
      : scalar.value === 'manual' || scalar.value === 'delayed'
        ? 'Leave the job out with `never`, and let a rule with `$COMPOPS_CAUSE == "command"` bring it in when somebody asks for it.'
        : `It is one of ${whens.map(one => `\`${one}\``).join(', ')}.`
  report(node, path, `\`when\` cannot be ${quote(scalar.source)} here.`, remedy)
  return undefined
}

function readIf(node: Located, path: string, report: Report): Rule['if'] | undefined {
  const text = asLine(node, path, report)
  if (text === undefined) return undefined
  const parsed = parseExpression(text)
  if (parsed.ok) return { expression: parsed.value, names: parsed.variables.map(value => ({ value, place: node })) }
  report(node, path, `\`if\`: ${quote(text, 80)} ${parsed.message}.`, parsed.remedy)
  return undefined
}

function readChanges(node: Located, path: string, report: Report): Rule['changes'] | undefined {
  if (node.kind !== 'map') {
    const globs = readGlobs(node, path, report)
    return globs === undefined ? undefined : { globs, compareTo: null }
  }
  for (const entry of node.entries)
    if (entry.key !== 'paths' && entry.key !== 'compare_to')
      reportUnknown(entry, join(path, entry.key), '`changes`', ['paths', 'compare_to'], report)
  const paths = node.entries.find(entry => entry.key === 'paths')
  const branch = node.entries.find(entry => entry.key === 'compare_to')
  if (paths === undefined) {
    report(node, path, '`changes` names no `paths`.', 'Write `changes: [src/**]`, or `paths` below it.')
    return undefined
  }
  const globs = readGlobs(paths.value, join(path, 'paths'), report)
  const compareTo = branch === undefined ? null : asBranch(branch.value, join(path, 'compare_to'), report)
  return globs === undefined || compareTo === undefined ? undefined : { globs, compareTo }
}

function readGlobs(node: Located, path: string, report: Report): string[] | undefined {
  const items = node.kind === 'scalar' ? [node] : asList(node, path, report)?.items
  if (items === undefined) return undefined
  const globs = items.flatMap((item, i) => {
    const here = node.kind === 'scalar' ? path : `${path}[${i}]`
    const glob = asLine(item, here, report)
    if (glob === undefined) return []
    if (/[?[\]!$\\]/.test(glob) || glob.startsWith('/') || glob === '') {
      report(
        item,
        here,
        `${quote(glob)} is no pattern that is understood here.`,
        'Write a path from the top folder; `*`, `**` and `{a,b}` stand for several.',
      )
      return []
    }
    const plain = withoutBraces(glob)
    if (plain === null) {
      report(item, here, `${quote(glob)} has braces that stand for too much, or do not end.`, 'Write several patterns.')
      return []
    }
    return plain
  })
  if (globs.length <= mostGlobs) return globs
  report(node, path, `There are ${globs.length} patterns; ${mostGlobs} are the most.`, 'Write fewer, wider ones.')
  return undefined
}

/** `a.{c,h}` as `a.c` and `a.h`. null where that is too much, or unreadable. */
function withoutBraces(glob: string): string[] | null {
  let open = [glob]
  for (let round = 0; round < 4; round++) {
    const next = open.flatMap(one => {
      const found = /^(.*?)\{([^{}]*)\}(.*)$/s.exec(one)
      return found === null ? [one] : found[2]!.split(',').map(part => `${found[1]}${part}${found[3]}`)
    })
    if (next.length > mostGlobs) return null
    if (next.length === open.length && next.every((one, i) => one === open[i])) break
    open = next
  }
  return open.some(one => /[{}]/.test(one)) ? null : open
}

/** Names in an `if` that mean nothing: neither ours nor of the job's own variables. */
export function checkNames(
  rules: readonly Rule[],
  env: Readonly<Record<string, string>>,
  path: string,
  report: Report,
): void {
  for (const rule of rules)
    for (const { value: name, place } of rule.if?.names ?? []) {
      if ((ruleVariables as readonly string[]).includes(name) || Object.hasOwn(env, name)) continue
      const ours = Object.hasOwn(fromGitLab, name) ? fromGitLab[name] : null
      const near = ours ?? nearest(name, [...ruleVariables, ...Object.keys(env)])
      report(
        place,
        join(path, 'rules'),
        `There is no variable ${quote(`$${name}`)} in \`rules\`.`,
        near === null
          ? `There are ${ruleVariables.map(one => `\`$${one}\``).join(', ')}, and those of the job's own \`env\`.`
          : `${ours == null ? 'Did you mean' : 'Here it is'} ${quote(`$${near}`)}${ours == null ? '?' : '.'}`,
      )
    }
}

/** What the rules name, so that it can be brought before anything is decided, which waits for nothing. */
export interface RuleQuestions {
  readonly compareTo: ReadonlySet<string | null>
  readonly files: boolean
}

/** In a tree that nobody has checked yet: rules are found wherever they stand. */
export function ruleQuestions(root: Located): RuleQuestions {
  const jobs = root.kind === 'map' ? root.entries.find(entry => entry.key === 'jobs')?.value : undefined
  const compareTo = new Set<string | null>()
  let files = false
  const seen = new Set<Located>()
  for (const job of jobs?.kind === 'map' ? jobs.entries : []) {
    const rules = job.value.kind === 'map' ? job.value.entries.find(entry => entry.key === 'rules')?.value : undefined
    if (rules === undefined || seen.has(rules)) continue
    seen.add(rules)
    for (const rule of readRules(rules, '', () => undefined) ?? []) {
      if (rule.changes !== null) compareTo.add(rule.changes.compareTo)
      if (rule.exists !== null) files = true
    }
  }
  return { compareTo, files }
}

export interface Decision {
  readonly when: When
  /** null: none applies. */
  readonly by: Rule | null
}

/** The `when` of the first rule that applies; `never` where none does, as in GitLab. */
export function decide(rules: readonly Rule[], env: Readonly<Record<string, string>>, facts: RuleFacts): Decision {
  const variable = (name: string) =>
    Object.hasOwn(facts.variables, name)
      ? (facts.variables[name] ?? null)
      : Object.hasOwn(env, name)
        ? env[name]!
        : null
  const applies = (rule: Rule) =>
    (rule.if === null || evaluate(rule.if.expression, variable)) &&
    (rule.changes === null || anyMatches(rule.changes.globs, facts.changed(rule.changes.compareTo))) &&
    (rule.exists === null || anyMatches(rule.exists, facts.files()))
  const by = rules.find(applies) ?? null
  return { when: by?.when ?? 'never', by }
}

/** As GitLab has it, so many comparisons are enough to let a rule apply. */
const mostComparisons = 10_000

function anyMatches(globs: readonly string[], paths: readonly string[] | null): boolean {
  if (paths === null || globs.length * paths.length > mostComparisons) return true
  return paths.some(path => globs.some(glob => matchGlob(glob, path)))
}
