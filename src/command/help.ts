import { nearest } from '../config/index.ts'
import { code } from '../render/markdown.ts'
import type { Verb } from './verb.ts'

type Verbs = Readonly<Record<string, Verb>>

/** Given the table when it is asked, as it stands in it itself. */
export function helpVerb(verbs: () => Verbs): Verb {
  return {
    also: [],
    usage: '',
    summary: 'this list',
    right: 'see',
    target: 'none',
    async obey() {
      return { outcome: 'done', said: helpText(verbs()), tell: true }
    },
  }
}

const mayWho = {
  see: 'Reporter',
  change: 'Developer',
  stop: 'Developer, or who caused the run',
  allow: 'Maintainer',
} as const

function helpText(verbs: Verbs): string {
  const rows = Object.entries(verbs).map(([name, verb]) => {
    const also = verb.also.length === 0 ? '' : ` (also ${verb.also.map(other => code(other, 'table')).join(', ')})`
    const how = `/compops ${name}${verb.usage === '' ? '' : ` ${verb.usage}`}`
    return `| ${code(how, 'table')}${also} | ${verb.summary} | ${mayWho[verb.right]} |`
  })
  return ['| command | does | who may |', '|---|---|---|', ...rows].join('\n')
}

/** Names the verbs that there are, and the nearest to what was written. */
export function unknownVerb(word: string, verbs: Verbs): string {
  const names = Object.keys(verbs)
  const near = nearest(word, names)
  const meant = near === null ? '' : ` Did you mean ${code(near)}?`
  return `${code(word, 'paragraph', 60)} is no command.${meant} There are: ${names.map(name => code(name)).join(', ')}.`
}
