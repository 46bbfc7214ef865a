import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * A template must be whole in one file, since GitLab includes one; what all of them do is written once, in compops.sh. `npm run ci-templates` puts it between the marks of each.
 */
const folder = fileURLToPath(new URL('.', import.meta.url))
const indent = ' '.repeat(6)
const begin = `${indent}# compops.sh {{{`
const end = `${indent}# }}} compops.sh`

export function withScript(template: string, script: string): string {
  const [from, to] = [template.indexOf(begin), template.indexOf(end)]
  if (from === -1 || to < from) throw new Error('the template has no marks for compops.sh')
  const lines = script.trimEnd().split('\n')
  const text = lines.map(line => (line === '' ? '' : `${indent}${line}`)).join('\n')
  return `${template.slice(0, from)}${begin}\n${text}\n${template.slice(to)}`
}

export function templates(): { name: string; path: string; text: string; wanted: string }[] {
  const script = readFileSync(join(folder, 'compops.sh'), 'utf8')
  return readdirSync(join(folder, 'templates'))
    .filter(name => name.endsWith('.yml'))
    .map(name => {
      const path = join(folder, 'templates', name)
      const text = readFileSync(path, 'utf8')
      return { name: name.replace(/\.yml$/, ''), path, text, wanted: withScript(text, script) }
    })
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const { path, wanted } of templates()) writeFileSync(path, wanted)
