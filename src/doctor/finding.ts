/** One thing that was looked at: a sentence, and what to do where it is not well. */
export interface Finding {
  readonly level: 'ok' | 'warn' | 'error'
  /** What it is about: a cluster, a project, `GitLab`. */
  readonly about: string
  /** Which check, a word for scripts: `ssh`, `root`, `token` … */
  readonly check: string
  readonly sentence: string
  readonly remedy: string | null
}

export type Say = (level: Finding['level'], check: string, sentence: string, remedy?: string) => void

/** Collects what a conclusion says about one thing. */
export function findingsAbout(about: string, conclude: (say: Say) => void): Finding[] {
  const found: Finding[] = []
  conclude((level, check, sentence, remedy) => {
    found.push({ level, about, check, sentence: printable(sentence), remedy: remedy ?? null })
  })
  return found
}

/** Some of it was said by machines and their users: no control characters, which a terminal would obey. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim()
}

/** The worst first, then as they were found. */
export function sorted(findings: readonly Finding[]): Finding[] {
  const order = { error: 0, warn: 1, ok: 2 } as const
  return findings.toSorted((a, b) => order[a.level] - order[b.level])
}
