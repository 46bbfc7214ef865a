import type { Report } from './fields.ts'
import { join } from './fields.ts'
import { type Located, quote } from './yaml.ts'

/**
 * Every `${NAME}` in the values of a tree replaced from the environment; `$${` stands for `${` itself. A variable that is not set or empty is reported.
 * Done after YAML is read: a value can therefore never become YAML, whatever it holds.
 */
export function substitute(
  node: Located,
  path: string,
  env: Readonly<Record<string, string | undefined>>,
  report: Report,
): Located {
  if (node.kind === 'map')
    return {
      ...node,
      entries: node.entries.map(e => ({ ...e, value: substitute(e.value, join(path, e.key), env, report) })),
    }
  if (node.kind === 'list')
    return { ...node, items: node.items.map((item, i) => substitute(item, `${path}[${i}]`, env, report)) }
  if (typeof node.value !== 'string' || !node.value.includes('${')) return node

  const variables: string[] = []
  const value = node.value.replace(/\$(\$?)\{([^}]*)\}?/g, (written: string, escaped: string, name: string) => {
    if (escaped === '$') return written.slice(1)
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || !written.endsWith('}')) {
      report(
        node,
        path,
        `${quote(written)} is not a variable of the environment.`,
        'Write `${NAME}`; a `${` that is meant as it stands is written `$${`.',
      )
      return ''
    }
    variables.push(name)
    const found = Object.hasOwn(env, name) ? env[name] : undefined
    if (found === undefined || found === '') {
      report(
        node,
        path,
        `The variable ${quote(`$${name}`)} is ${found === '' ? 'empty' : 'not set'} in the environment.`,
        'Set it before the service starts.',
      )
      return ''
    }
    return found
  })
  return { ...node, value, plain: false, variables }
}
