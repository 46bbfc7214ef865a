import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { CompopsError } from '../errors.ts'
import type { SecretSource } from './schema.ts'

/** A secret that stands in the configuration, by itself or through variables of the environment. */
export function secretFromText(value: string, variables: readonly string[]): SecretSource {
  const from = variables.length > 0 ? `from ${variables.map(name => `$${name}`).join(' and ')}` : 'written in the file'
  return { read: async () => value, describe: () => `set, ${from}`, values: () => [value] }
}

/** A secret in a file of its own, read again each time; `first` is what it held at the start. */
export function secretFromFile(path: string, first: string): SecretSource {
  const seen = new Set([first])
  return {
    async read() {
      let text: string
      try {
        text = await readFile(path, 'utf8')
      } catch (cause) {
        throw new CompopsError(`The secret in ${path} cannot be read.`, { transient: true, cause })
      }
      const value = withoutLineEnd(text)
      // A secret is being replaced just now: the file is empty for a moment.
      if (value === '') throw new CompopsError(`The secret file ${path} is empty.`, { transient: true })
      seen.add(value)
      return value
    },
    describe: () => `set, from ${path}`,
    values: () => [...seen],
  }
}

/** Editors and `echo` end a file with a line end that is no part of the secret. */
export function withoutLineEnd(text: string): string {
  return text.replace(/[\r\n]+$/, '')
}

/** Why a file cannot be read, in words, or null. */
export function refuseFile(path: string): string | null {
  return refuse(() => {
    if (!statSync(path).isFile()) return 'is not a file'
    accessSync(path, constants.R_OK)
    return null
  })
}

/** The same of a directory. */
export function refuseDirectory(path: string): string | null {
  return refuse(() => {
    if (!statSync(path).isDirectory()) return 'is not a directory'
    accessSync(path, constants.R_OK | constants.X_OK)
    return null
  })
}

function refuse(look: () => string | null): string | null {
  try {
    return look()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : ''
    if (code === 'ENOENT') return 'does not exist'
    return code === 'EACCES' ? 'may not be read by this user' : `cannot be read (${String(code)})`
  }
}

/** Whether others than the owner may read a file. Always false on Windows, which knows no such modes. */
export function isOpenToOthers(path: string): boolean {
  return process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0
}

export function readSecretFile(path: string): string {
  return withoutLineEnd(readFileSync(path, 'utf8'))
}
