/** Which of the jobs that a `parallel: matrix` has made one is. */
export interface MatrixInstance {
  /** The name that was written. */
  readonly of: string
  /** Its values, as written. */
  readonly values: Readonly<Record<string, string>>
}

/** `parallel: matrix` of a need: rows of values. */
export type MatrixChoice = readonly Readonly<Record<string, readonly string[]>>[]

/** Whether a row names one of its values for each variable that the row has. */
export function isChosen(values: MatrixInstance['values'], choice: MatrixChoice | undefined): boolean {
  if (choice === undefined) return true
  return choice.some(row =>
    Object.entries(row).every(([key, wanted]) => Object.hasOwn(values, key) && wanted.includes(values[key]!)),
  )
}

/** ` (DEGREE 1 or 2)`, behind the name of a job; nothing where all are meant. */
export function choiceInWords(choice: MatrixChoice | undefined): string {
  if (choice === undefined) return ''
  const rows = choice.map(row =>
    Object.entries(row)
      .map(([key, wanted]) => `${key} ${wanted.join(' or ')}`)
      .join(', '),
  )
  return ` (${rows.join('; ')})`
}

interface Made {
  readonly name: string
  readonly matrix?: MatrixInstance
}

/** What a word means among jobs: the one of that name, or all that a matrix has made of it; none: there is no such job. */
export function specsNamed<Spec extends Made>(all: readonly Spec[], word: string): Spec[] {
  const own = all.filter(spec => spec.name === word)
  return own.length > 0 ? own : all.filter(spec => spec.matrix?.of === word)
}

/** The same among the jobs of a run. */
export function jobsNamed<Job extends { readonly spec: Made }>(all: readonly Job[], word: string): Job[] {
  const meant = new Set(
    specsNamed(
      all.map(job => job.spec),
      word,
    ),
  )
  return all.filter(job => meant.has(job.spec))
}
