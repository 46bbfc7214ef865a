/** Imported before anything else: makes loading drizzle-orm quick, and small. */
import { registerHooks } from 'node:module'

const name = 'drizzle-orm'
const inside = `/node_modules/${name}/`
const found = new Map()

// For each file of a package Node 24 reads its package.json anew, to learn that a `.js` is a module. That of drizzle-orm has 180 KB, most of it a list of
// exports: a second of parsing and 230 MB of garbage for its 250 files. Among themselves the files are what they are called.
registerHooks({
  resolve(specifier, context, next) {
    const from = context.parentURL ?? ''
    if (/^\.\.?\/.*\.js$/.test(specifier) && from.includes(inside) && from.endsWith('.js'))
      return { url: new URL(specifier, from).href, format: 'module', shortCircuit: true }
    if (specifier !== name && !specifier.startsWith(`${name}/`)) return next(specifier, context)
    const key = `${specifier} ${context.conditions}`
    if (!found.has(key)) found.set(key, { ...next(specifier, context), shortCircuit: true })
    return found.get(key)
  },
})
