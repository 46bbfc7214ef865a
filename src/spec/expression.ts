import { compilePattern, type Pattern, PatternError } from './pattern.ts'

/** What an `if` of `rules` says, in GitLab's language: variables, texts, patterns, `== != =~ !~ && ||` and parentheses. */
export type Expression =
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'text'; readonly value: string | null }
  | { readonly kind: '==' | '!=' | '&&' | '||'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: '=~' | '!~'; readonly left: Expression; readonly pattern: Pattern }

/** `at` counts characters from 0. */
export interface Refused {
  readonly message: string
  readonly remedy: string | null
}

interface Token {
  readonly kind: 'variable' | 'text' | 'pattern' | 'operator'
  readonly text: string
  readonly flags: string
}

const longest = 1_000
const deepest = 50

/** The expression and the variables in it, or what is wrong. */
export function parseExpression(
  text: string,
):
  | { readonly ok: true; readonly value: Expression; readonly variables: readonly string[] }
  | ({ readonly ok: false } & Refused) {
  const refuse = (message: string, remedy: string | null = null) => ({ ok: false as const, message, remedy })
  if (text.length > longest) return refuse(`is longer than ${longest} characters`, 'Write several rules.')
  const read = tokensOf(text)
  if ('message' in read) return { ok: false, ...read }
  const tokens: readonly Token[] = read
  let at = 0
  const variables = new Set<string>()
  const operator = (...names: string[]) => {
    const token = tokens[at]
    if (token?.kind !== 'operator' || !names.includes(token.text)) return null
    at++
    return token.text
  }

  // `&&` binds more tightly than `||`, as in GitLab.
  function either(depth: number): Expression {
    let left = both(depth)
    while (operator('||') !== null) left = { kind: '||', left, right: both(depth) }
    return left
  }
  function both(depth: number): Expression {
    let left = comparison(depth)
    while (operator('&&') !== null) left = { kind: '&&', left, right: comparison(depth) }
    return left
  }
  function comparison(depth: number): Expression {
    const left = value(depth)
    const kind = operator('==', '!=', '=~', '!~')
    if (kind === null) return left
    if (kind === '==' || kind === '!=') return { kind, left, right: value(depth) }
    const token = tokens[at++]
    if (token?.kind !== 'pattern')
      throw new Mistake(`has no pattern behind \`${kind}\``, 'Write it between slashes: `=~ /^calc\\//`.')
    try {
      return { kind: kind as '=~', left, pattern: compilePattern(token.text, token.flags) }
    } catch (error) {
      if (!(error instanceof PatternError)) throw error
      throw new Mistake(`has a pattern that ${error.message}`, null)
    }
  }
  function value(depth: number): Expression {
    if (depth > deepest) throw new Mistake('is nested too deeply', 'Write several rules.')
    if (operator('(') !== null) {
      const inner = either(depth + 1)
      if (operator(')') === null) throw new Mistake('has a `(` too many', null)
      return inner
    }
    const token = tokens[at++]
    if (token === undefined) throw new Mistake('ends too early', 'Write what it is to be compared with.')
    if (token.kind === 'variable') {
      variables.add(token.text)
      return { kind: 'variable', name: token.text }
    }
    if (token.kind === 'text') return { kind: 'text', value: token.text }
    if (token.kind === 'pattern') throw new Mistake('has a pattern in a wrong place', 'Write it behind `=~` or `!~`.')
    if (token.text === 'null') return { kind: 'text', value: null }
    throw new Mistake(`has a \`${token.text}\` in a wrong place`, null)
  }

  try {
    const expression = either(0)
    if (at < tokens.length)
      throw new Mistake(`goes on behind its end, with \`${tokens[at]!.text}\``, 'Join conditions with `&&` or `||`.')
    return { ok: true, value: expression, variables: [...variables] }
  } catch (error) {
    if (!(error instanceof Mistake)) throw error
    return refuse(error.message, error.remedy)
  }
}

class Mistake extends Error {
  readonly remedy: string | null
  constructor(message: string, remedy: string | null) {
    super(message)
    this.remedy = remedy
  }
}

const shapes: readonly (readonly [Token['kind'], RegExp])[] = [
  ['variable', /\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))/y],
  ['text', /"([^"]*)"|'([^']*)'/y],
  ['operator', /==|!=|=~|!~|&&|\|\||[()]|null\b/y],
  ['pattern', /\/((?:[^/\\]|\\.)+)\/([A-Za-z]*)/y],
]

function tokensOf(text: string): Token[] | Refused {
  const tokens: Token[] = []
  let at = 0
  outer: for (;;) {
    while (/\s/.test(text[at] ?? '')) at++
    if (at >= text.length) return tokens
    for (const [kind, shape] of shapes) {
      shape.lastIndex = at
      const found = shape.exec(text)
      if (found === null) continue
      at += found[0].length
      const inside = found[1] ?? (kind === 'pattern' ? '' : found[2]) ?? ''
      tokens.push({
        kind,
        text: kind === 'operator' ? found[0] : inside,
        flags: kind === 'pattern' ? (found[2] ?? '') : '',
      })
      continue outer
    }
    const word = /^[^\s()]{1,40}/.exec(text.slice(at))?.[0] ?? ''
    return /^[A-Za-z]/.test(word)
      ? {
          message: `has the word \`${word.replaceAll('`', 'ˋ')}\``,
          remedy: 'Texts stand in quotes, variables behind a `$`.',
        }
      : {
          message: `cannot be read from \`${word.replaceAll('`', 'ˋ')}\` on`,
          remedy: 'It knows variables ($NAME), texts in quotes, /patterns/, == != =~ !~ && || and parentheses.',
        }
  }
}

type Value = string | null

/** As GitLab: a variable by itself is true when it is set and not empty; a pattern never matches what is not set. */
export function evaluate(expression: Expression, variables: (name: string) => Value): boolean {
  switch (expression.kind) {
    case '&&':
      return evaluate(expression.left, variables) && evaluate(expression.right, variables)
    case '||':
      return evaluate(expression.left, variables) || evaluate(expression.right, variables)
    case '==':
      return valueIn(expression.left, variables) === valueIn(expression.right, variables)
    case '!=':
      return valueIn(expression.left, variables) !== valueIn(expression.right, variables)
    case '=~':
    case '!~': {
      const value = valueIn(expression.left, variables)
      const matches = value !== null && expression.pattern.test(value.slice(0, 500))
      return matches === (expression.kind === '=~')
    }
    default: {
      const value = valueIn(expression, variables)
      return value !== null && value !== ''
    }
  }
}

function valueIn(expression: Expression, variables: (name: string) => Value): Value {
  if (expression.kind === 'variable') return variables(expression.name)
  if (expression.kind === 'text') return expression.value
  return evaluate(expression, variables) ? 'true' : null
}
