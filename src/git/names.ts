import { CompopsError } from '../errors.ts'

const SHA = /^[0-9a-f]{40}$/

export function isSha(text: string): boolean {
  return SHA.test(text)
}

/** @throws CompopsError unless it is a full SHA-1 in lower case: nothing else is ever handed to git as a commit. */
export function checkSha(text: string): void {
  if (!isSha(text))
    throw new CompopsError(
      `${JSON.stringify(text.slice(0, 80))} is not the full id of a commit (40 hexadecimal digits)`,
    )
}

/** Whether git could hold a ref of that full name: the rules of git-check-ref-format(1). */
export function isRefName(ref: string): boolean {
  if (!ref.startsWith('refs/') || /[\0-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|\/$|\.$/.test(ref)) return false
  return !ref.split('/').some(part => part === '' || part.startsWith('.') || part.endsWith('.lock'))
}

/** Whether it is a plain path inside a tree: relative, no empty, `.`, `..` or `.git` parts. */
export function isTreePath(path: string): boolean {
  if (path.includes('\0')) return false
  return path.split('/').every(part => part !== '' && part !== '.' && part !== '..' && part.toLowerCase() !== '.git')
}
