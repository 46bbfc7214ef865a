import { quote, visible } from '../config/yaml.ts'
import type { SpecProblem } from '../model/job-spec.ts'

const shown = 20
const widest = 160

/** Mistakes for people, as Markdown: each with its line, what is wrong, what to do, and the lines around it in a fence which nothing in them can close. */
export function explainProblems(problems: readonly SpecProblem[], text: string): string {
  const lines = text.split(/\r?\n/)
  const groups: SpecProblem[][] = []
  for (const problem of problems.slice(0, shown)) {
    const last = groups.at(-1)
    if (last?.[0]?.line === problem.line && last?.[0]?.file === problem.file) last?.push(problem)
    else groups.push([problem])
  }
  const parts = groups.map(group => explainLine(group, lines))
  const more = problems.length - shown
  if (more > 0) parts.push(`And ${more} more.`)
  return parts.join('\n\n')
}

/** One mistake as one sentence: "`.compops.yml`, line 7: …". */
export function describeProblem(problem: SpecProblem): string {
  return `${whereIs(problem)}: ${problem.message}${problem.remedy === null ? '' : ` ${problem.remedy}`}`
}

/** "`.compops.yml`, line 7" */
export function whereIs({ file = '.compops.yml', line }: Pick<SpecProblem, 'file' | 'line'>): string {
  return line === null ? quote(file, 120) : `${quote(file, 120)}, line ${line}`
}

/** Mistakes of one line, with one excerpt. */
function explainLine(problems: readonly SpecProblem[], lines: readonly string[]): string {
  const sentences = problems.map(describeProblem).join('\n\n')
  const line = problems[0]?.line ?? null
  if (line === null || problems[0]?.file !== undefined || lines[line - 1] === undefined) return sentences
  const excerpt = excerptAround(
    lines,
    line,
    problems.flatMap(problem => problem.column ?? []),
  )
  const fence = '`'.repeat(Math.max(3, longestRun(excerpt) + 1))
  return `${sentences}\n\n${fence}yaml\n${excerpt}\n${fence}`
}

function excerptAround(lines: readonly string[], line: number, columns: readonly number[]): string {
  const first = Math.max(1, line - 2)
  // A file that ends with a line end has no line after it.
  const end = lines.at(-1) === '' ? lines.length - 1 : lines.length
  const last = Math.min(Math.max(end, line), line + 2)
  const width = String(last).length
  const rows: string[] = []
  for (let number = first; number <= last; number++) {
    const row = lines[number - 1] ?? ''
    rows.push(`${String(number).padStart(width)} | ${show(row)}`.trimEnd())
    if (number !== line || row === '') continue
    // What is made visible is longer than it was: the marks move along.
    const marks = new Set(columns.filter(c => c <= widest).map(c => show(row.slice(0, c - 1)).length))
    const carets = Array.from({ length: Math.max(0, ...marks) + 1 }, (_, i) => (marks.has(i) ? '^' : ' ')).join('')
    if (marks.size > 0) rows.push(`${' '.repeat(width)} | ${carets}`)
  }
  return rows.join('\n')
}

function show(row: string): string {
  return visible((row.length > widest ? `${row.slice(0, widest - 1)}…` : row).replaceAll('\t', ' '))
}

function longestRun(text: string): number {
  return Math.max(0, ...(text.match(/`+/g) ?? []).map(run => run.length))
}
