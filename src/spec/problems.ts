import type { Report } from '../config/fields.ts'
import type { SpecProblem } from '../model/job-spec.ts'

/** Collects mistakes up to `most`: a file of nonsense shall cost no more than one of a hundred mistakes. */
export interface Problems {
  readonly report: Report
  /** For what has no place of its own in the file. */
  tell(path: string, message: string, remedy: string | null): void
  /** No more will be kept: whoever goes through many keys may stop. */
  full(): boolean
  list(): SpecProblem[]
}

export function collectProblems(most = 100): Problems {
  const kept: SpecProblem[] = []
  const add = (problem: SpecProblem) => {
    if (kept.length >= most) return
    if (
      !kept.some(
        p =>
          // What several jobs inherit is told once.
          (p.path === problem.path || problem.line !== null || problem.file !== undefined) &&
          p.file === problem.file &&
          p.line === problem.line &&
          p.column === problem.column &&
          p.message === problem.message,
      )
    )
      kept.push(problem)
  }
  return {
    report: (at, path, message, remedy) =>
      add({
        ...(at.file === undefined ? {} : { file: at.file }),
        path,
        line: at.line === 0 ? null : at.line,
        column: at.line === 0 ? null : at.column,
        message,
        remedy,
      }),
    tell: (path, message, remedy) => add({ path, line: null, column: null, message, remedy }),
    full: () => kept.length >= most,
    list() {
      const last = Number.POSITIVE_INFINITY
      const sorted = [...kept].sort(
        // Those of the file itself first.
        (a, b) =>
          (a.file ?? '').localeCompare(b.file ?? '') ||
          (a.line ?? last) - (b.line ?? last) ||
          (a.column ?? last) - (b.column ?? last),
      )
      if (kept.length >= most) {
        const message = `Only the first ${most} mistakes are listed; there may be more.`
        sorted.push({ path: '', line: null, column: null, message, remedy: null })
      }
      return sorted
    },
  }
}
