/**
 * Regular expressions of strangers, in time proportional to pattern times text: JavaScript's own need for ever for some. The language is what RE2, and so GitLab,
 * has of it: no look-around, no back references. Counted repetitions are written out, and the whole is limited.
 */
export interface Pattern {
  /** Whether it matches anywhere in the text. */
  test(text: string): boolean
}

type Step =
  | { readonly kind: 'char'; readonly accepts: (char: string) => boolean }
  | { readonly kind: 'fork'; to: number[] }
  | { readonly kind: 'begin' | 'end' | 'edge' | 'no edge' | 'match' }

const mostSteps = 500
const longestPattern = 500

/** @throws PatternError with the end of a sentence. */
export function compilePattern(source: string, flags: string): Pattern {
  if (source.length > longestPattern) throw new PatternError(`is longer than ${longestPattern} characters`)
  const other = /[^i]/.exec(flags)?.[0]
  if (other !== undefined) throw new PatternError(`has the flag \`${other}\`; only \`i\` is understood`)
  const key = `${flags} ${source}`
  const known = compiled.get(key)
  if (known !== undefined) return known
  const steps = new Compiler([...source], flags.includes('i')).compile()
  // The jobs of a matrix ask the same of the same text.
  let last: { readonly text: string; readonly matches: boolean } | null = null
  const pattern: Pattern = {
    test(text) {
      if (last?.text !== text) last = { text, matches: run(steps, text) }
      return last.matches
    },
  }
  if (compiled.size >= 500) compiled.clear()
  compiled.set(key, pattern)
  return pattern
}

const compiled = new Map<string, Pattern>()

export class PatternError extends Error {}

/** The next step of each piece is the one after it; `fork` leads elsewhere. */
class Compiler {
  private readonly steps: Step[] = []
  private readonly source: readonly string[]
  private readonly ignoreCase: boolean
  private at = 0

  constructor(source: readonly string[], ignoreCase: boolean) {
    this.source = source
    this.ignoreCase = ignoreCase
  }

  compile(): readonly Step[] {
    this.alternatives(0)
    if (this.at < this.source.length) throw new PatternError('has a `)` too many')
    this.emit({ kind: 'match' })
    return this.steps
  }

  private emit(step: Step): number {
    if (this.steps.length >= mostSteps) throw new PatternError('is too large')
    return this.steps.push(step) - 1
  }

  private fork(): { readonly kind: 'fork'; to: number[] } {
    const step = { kind: 'fork' as const, to: [] as number[] }
    this.emit(step)
    return step
  }

  private alternatives(depth: number): void {
    if (depth > 20) throw new PatternError('is nested too deeply')
    const start = this.fork()
    const ends: { to: number[] }[] = []
    for (;;) {
      start.to.push(this.steps.length)
      this.sequence(depth)
      if (this.source[this.at] !== '|') break
      this.at++
      ends.push(this.fork())
    }
    for (const end of ends) end.to.push(this.steps.length)
  }

  private sequence(depth: number): void {
    for (
      let char = this.source[this.at];
      char !== undefined && char !== '|' && char !== ')';
      char = this.source[this.at]
    ) {
      const from = this.at
      const start = this.steps.length
      this.atom(depth)
      this.repetition(depth, from, start)
    }
  }

  private repetition(depth: number, from: number, start: number): void {
    const end = this.at
    const count = this.count()
    if (count === null) return
    // Lazy or not makes no difference to whether something matches.
    if (this.source[this.at] === '?') this.at++
    const after = this.at
    if (/[*+?{]/.test(this.source[after] ?? '')) throw new PatternError('repeats a repetition')
    this.steps.length = start
    const once = () => {
      this.at = from
      this.atom(depth)
      if (this.at !== end) throw new PatternError('cannot be read')
    }
    for (let i = 0; i < count.least; i++) once()
    if (count.most === null) {
      const loop = this.fork()
      const again = this.steps.length
      once()
      const back = this.fork()
      back.to.push(this.steps.indexOf(loop))
      loop.to.push(again, this.steps.length)
    } else {
      const skips: { to: number[] }[] = []
      for (let i = count.least; i < count.most; i++) {
        const skip = this.fork()
        skip.to.push(this.steps.length)
        skips.push(skip)
        once()
      }
      for (const skip of skips) skip.to.push(this.steps.length)
    }
    this.at = after
  }

  private count(): { least: number; most: number | null } | null {
    const char = this.source[this.at]
    if (char === '*' || char === '+' || char === '?') {
      this.at++
      return { least: char === '+' ? 1 : 0, most: char === '?' ? 1 : null }
    }
    if (char !== '{') return null
    const found = /^\{(\d{1,3})(?:(,)(\d{1,3})?)?\}/.exec(this.source.slice(this.at, this.at + 10).join(''))
    if (found === null) return null
    this.at += found[0].length
    const least = Number(found[1])
    const most = found[2] === undefined ? least : found[3] === undefined ? null : Number(found[3])
    if (most !== null && most < least) throw new PatternError(`has the repetition \`${found[0]}\`, which is none`)
    return { least, most }
  }

  private atom(depth: number): void {
    const char = this.source[this.at++]
    switch (char) {
      case '(': {
        if (this.source[this.at] === '?') {
          if (this.source[this.at + 1] !== ':')
            throw new PatternError('looks around or names a group, which is not understood')
          this.at += 2
        }
        this.alternatives(depth + 1)
        if (this.source[this.at++] !== ')') throw new PatternError('has a `(` too many')
        return
      }
      case '[':
        this.emit({ kind: 'char', accepts: this.set() })
        return
      case '^':
        this.emit({ kind: 'begin' })
        return
      case '$':
        this.emit({ kind: 'end' })
        return
      case '.':
        this.emit({ kind: 'char', accepts: one => one !== '\n' })
        return
      case '*':
      case '+':
      case '?':
        throw new PatternError(`has a \`${char}\` that repeats nothing`)
      case '\\':
        this.emit(this.escape())
        return
      default:
        this.emit({ kind: 'char', accepts: this.same(char!) })
    }
  }

  private same(char: string): (one: string) => boolean {
    if (!this.ignoreCase) return one => one === char
    const lower = char.toLowerCase()
    return one => one.toLowerCase() === lower
  }

  private escape(): Step {
    const char = this.source[this.at]
    if (char === 'b' || char === 'B') {
      this.at++
      return { kind: char === 'b' ? 'edge' : 'no edge' }
    }
    return { kind: 'char', accepts: this.escapedClass() }
  }

  private escapedClass(): (one: string) => boolean {
    const char = this.source[this.at++]
    const known = char === undefined ? undefined : classes[char]
    if (known !== undefined) return known
    if (char === undefined) throw new PatternError('ends with a backslash')
    const control = ({ n: '\n', t: '\t', r: '\r' } as Readonly<Record<string, string>>)[char]
    if (control !== undefined) return one => one === control
    if (/[A-Za-z0-9]/.test(char)) throw new PatternError(`has \`\\${char}\`, which is not understood`)
    return this.same(char)
  }

  private set(): (one: string) => boolean {
    const parts: ((one: string) => boolean)[] = []
    const not = this.source[this.at] === '^'
    if (not) this.at++
    for (let first = true; ; first = false) {
      const char = this.source[this.at++]
      if (char === undefined) throw new PatternError('has a `[` too many')
      if (char === ']' && !first) break
      if (char === '[' && this.source[this.at] === ':')
        throw new PatternError('has a class such as `[:alpha:]`, which is not understood')
      if (char === '\\') {
        parts.push(this.escapedClass())
        continue
      }
      const to = this.source[this.at + 1]
      if (this.source[this.at] === '-' && to !== undefined && to !== ']' && to !== '\\') {
        if (to < char) throw new PatternError(`has the range \`${char}-${to}\`, which is none`)
        this.at += 2
        const within = (one: string) => char <= one && one <= to
        parts.push(this.ignoreCase ? one => within(one.toLowerCase()) || within(one.toUpperCase()) : within)
      } else parts.push(this.same(char))
    }
    return one => parts.some(part => part(one)) !== not
  }
}

const isWord = (one: string | undefined) => one !== undefined && /^[A-Za-z0-9_]$/.test(one)
const classes: Readonly<Record<string, (one: string) => boolean>> = {
  d: one => /^[0-9]$/.test(one),
  D: one => !/^[0-9]$/.test(one),
  w: one => isWord(one),
  W: one => !isWord(one),
  s: one => /^\s$/.test(one),
  S: one => !/^\s$/.test(one),
}

/** All ways at once: after each character the set of steps that may come next. */
function run(steps: readonly Step[], text: string): boolean {
  const chars = [...text]
  let reached = new Set<number>()
  for (let i = 0; i <= chars.length; i++) {
    reached.add(0)
    // A set gives what is added to it while it is gone through.
    for (const at of reached) {
      const step = steps[at]!
      if (step.kind === 'match') return true
      if (step.kind === 'fork') for (const to of step.to) reached.add(to)
      else if (step.kind === 'begin' ? i === 0 : step.kind === 'end' ? i === chars.length : false) reached.add(at + 1)
      else if (step.kind === 'edge' || step.kind === 'no edge') {
        const edge = isWord(chars[i - 1]) !== isWord(chars[i])
        if (edge === (step.kind === 'edge')) reached.add(at + 1)
      }
    }
    const char = chars[i]
    if (char === undefined) return false
    const next = new Set<number>()
    for (const at of reached) {
      const step = steps[at]!
      if (step.kind === 'char' && step.accepts(char)) next.add(at + 1)
    }
    reached = next
  }
  return false
}
