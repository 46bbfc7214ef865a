import type { Person } from '../model/run.ts'
import { code } from '../render/markdown.ts'
import { mention } from '../render/reply.ts'
import type { Answer } from './order.ts'
import type { Written } from './parse.ts'

/** Finds the reply to a note again. */
export const answerMarker = (noteId: number): string => `<!-- compops:answer note=${noteId} -->`

/** The one reply to a note: what came of each of its commands. A single answer stands by itself, of several each under its line. */
export function renderAnswer(view: {
  readonly noteId: number
  readonly person: Person
  readonly written: readonly Written[]
  readonly answers: readonly Answer[]
}): string {
  const { answers, written } = view
  const parts = answers.map(({ said, outcome }, at) => {
    const sign = outcome === 'refused' ? '⛔ ' : ''
    const before = answers.length === 1 ? `${mention(view.person)} ` : `${code(written[at]!.line, 'paragraph', 120)}: `
    // A table or a list begins a line of its own.
    return /^[|\-#`]{1,3}/.test(said) && !/^`[^`]/.test(said)
      ? `${before}${sign}\n\n${said}`
      : `${before}${sign}${said}`
  })
  const head = answers.length === 1 ? [] : [mention(view.person)]
  return `${[...head, ...parts].join('\n\n')}\n\n${answerMarker(view.noteId)}`
}
