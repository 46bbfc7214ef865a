import { homedir } from 'node:os'
import { isAbsolute, resolve } from 'node:path'
import { asLine, asScalar, nameOf, type Read } from './fields.ts'
import type { SecretSource } from './schema.ts'
import {
  isOpenToOthers,
  readSecretFile,
  refuseDirectory,
  refuseFile,
  secretFromFile,
  secretFromText,
} from './secret.ts'
import type { Section } from './section.ts'
import { quote } from './yaml.ts'

/** What the values of compops.config.yml are read against. */
export interface Surroundings {
  /** The folder of the configuration file. */
  readonly folder: string
  readonly env: Readonly<Record<string, string | undefined>>
  warn(message: string): void
}

/** A path on this machine: `~/` is the home directory, anything relative begins at the configuration file. */
export function localPath(around: Surroundings): Read<string> {
  return (node, path, report) => {
    const text = asLine(node, path, report)
    if (text === undefined) return undefined
    if (text === '') {
      report(node, path, `${nameOf(path)} is empty.`, 'Write a path, or leave the key out.')
      return undefined
    }
    if (text === '~' || text.startsWith('~/')) return resolve(around.env.HOME || homedir(), text.slice(2))
    if (text.startsWith('~')) {
      report(node, path, `${quote(text)}: only \`~/\`, the own home directory, is understood.`, 'Write the whole path.')
      return undefined
    }
    return isAbsolute(text) ? resolve(text) : resolve(around.folder, text)
  }
}

export function readableFile(around: Surroundings): Read<string> {
  return (node, path, report) => {
    const file = localPath(around)(node, path, report)
    if (file === undefined) return undefined
    const refusal = refuseFile(file)
    if (refusal === null) return file
    report(
      node,
      path,
      `${nameOf(path)}: ${quote(file, 200)} ${refusal}.`,
      'Give the path of a file that the service can read.',
    )
    return undefined
  }
}

export function readableDirectory(around: Surroundings): Read<string> {
  return (node, path, report) => {
    const directory = localPath(around)(node, path, report)
    if (directory === undefined) return undefined
    const refusal = refuseDirectory(directory)
    if (refusal === null) return directory
    report(
      node,
      path,
      `${nameOf(path)}: ${quote(directory, 200)} ${refusal}.`,
      'Give the path of a directory that the service can read.',
    )
    return undefined
  }
}

/** A private key: readable by the service, and by nobody else. */
export function keyFile(around: Surroundings): Read<string> {
  return (node, path, report) => {
    const file = readableFile(around)(node, path, report)
    if (file !== undefined && isOpenToOthers(file))
      around.warn(`${path}: ${file} can be read by others; \`chmod 600\` it.`)
    return file
  }
}

export interface SecretKind {
  /** Why a value will not do, without showing it; null where it will. */
  refuse(value: string): { message: string; remedy: string } | null
}

export const anySecret: SecretKind = {
  refuse: value => (value === '' ? { message: 'is empty', remedy: 'Write the value.' } : null),
}

/** Several lines are fine (a key); what is shorter than the shortest that can be redacted would show in logs. */
export const jobSecret: SecretKind = {
  refuse: value =>
    value.length < 6
      ? {
          message: 'is shorter than 6 characters',
          remedy: 'So short a value cannot be taken out of logs: use a longer one, or `env`.',
        }
      : value.includes('\0')
        ? { message: 'holds a NUL character', remedy: 'No variable can hold one: encode it.' }
        : Buffer.byteLength(value) > 64 * 1024
          ? { message: 'is longer than 64 KiB', remedy: 'Keep it in a file on the cluster.' }
          : null,
}

export const longSecret: SecretKind = {
  refuse: value =>
    value.length < 8
      ? {
          message: 'is shorter than 8 characters',
          remedy: 'Use a long random value, for example from `openssl rand -hex 24`.',
        }
      : /[\s\u0000-\u001f\u007f]/.test(value)
        ? { message: 'holds a space or a line end', remedy: 'Look whether something was copied with it.' }
        : null,
}

/** Standard Webhooks: `whsec_` and base64; GitLab makes 32 bytes. */
export const signingToken: SecretKind = {
  refuse(value) {
    const remedy = 'Copy the signing token as GitLab shows it: `whsec_` and base64 of at least 16 bytes.'
    if (!value.startsWith('whsec_')) return { message: 'does not begin with `whsec_`', remedy }
    const encoded = value.slice('whsec_'.length)
    const valid = /^[A-Za-z0-9+/]+={0,2}$/.test(encoded) && encoded.length % 4 === 0
    if (!valid) return { message: 'is not base64 after `whsec_`', remedy }
    return Buffer.from(encoded, 'base64').length < 16 ? { message: 'holds fewer than 16 bytes', remedy } : null
  },
}

/** `key` or `key_file`, not both: undefined where neither stands, null where what stands is wrong (and reported). */
export function readSecret(
  section: Section,
  key: string,
  kind: SecretKind,
  around: Surroundings,
): SecretSource | null | undefined {
  const fileKey = `${key}_file`
  if (section.has(key) && section.has(fileKey)) {
    section.complain(fileKey, `\`${key}\` and \`${fileKey}\` both stand here.`, 'Keep one of them.')
    return null
  }
  if (section.has(key)) {
    return (
      section.read(key, (node, path, report) => {
        const scalar = asScalar(node, path, report)
        if (scalar === undefined) return undefined
        if (typeof scalar.value !== 'string') {
          report(node, path, `\`${key}\` must be a text.`, 'Write it in quotes.')
          return undefined
        }
        const refusal = kind.refuse(scalar.value)
        if (refusal !== null) report(node, path, `\`${key}\` ${refusal.message}.`, refusal.remedy)
        const variables = scalar.variables ?? []
        if (refusal === null && variables.length === 0)
          around.warn(`${path}: the secret stands in the file itself; \`\${NAME}\` or \`${fileKey}\` keeps it out.`)
        return refusal === null ? secretFromText(scalar.value, variables) : undefined
      }) ?? null
    )
  }
  if (!section.has(fileKey)) return undefined
  return (
    section.read(fileKey, (node, path, report) => {
      const file = readableFile(around)(node, path, report)
      if (file === undefined) return undefined
      const value = readSecretFile(file)
      const refusal = kind.refuse(value)
      if (refusal !== null) {
        report(node, path, `What stands in ${quote(file, 200)} ${refusal.message}.`, refusal.remedy)
        return undefined
      }
      if (isOpenToOthers(file)) around.warn(`${path}: ${file} can be read by others; \`chmod 600\` it.`)
      return secretFromFile(file, value)
    }) ?? null
  )
}

/** An http or https address without a slash at its end. */
export const asUrl: Read<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined) return undefined
  const source = node.kind === 'scalar' ? node.source : text
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    report(
      node,
      path,
      `${nameOf(path)}: ${quote(source)} is not an address of the web.`,
      'Write for example `https://gitlab.example.org`.',
    )
    return undefined
  }
  if (url.username !== '' || url.password !== '') {
    report(node, path, `${nameOf(path)} holds a user or password.`, 'Take them out; tokens have keys of their own.')
    return undefined
  }
  if (url.search !== '' || url.hash !== '') {
    report(node, path, `${nameOf(path)}: ${quote(source)} has a \`?\` or \`#\` part.`, 'Leave it out.')
    return undefined
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

export function isLoopback(url: string): boolean {
  const host = URL.parse(url)?.hostname ?? ''
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

/** Milliseconds from `300ms`, `15s`, `2m`, `1h30m`. */
export const asInterval: Read<number> = (node, path, report) => {
  const scalar = asScalar(node, path, report)
  if (scalar === undefined) return undefined
  const parts = /^(?:(\d{1,6})h)?\s*(?:(\d{1,6})m)?\s*(?:(\d{1,7})s)?\s*(?:(\d{1,9})ms)?$/.exec(
    String(scalar.value).trim(),
  )
  if (typeof scalar.value !== 'string' || parts === null || scalar.value.trim() === '') {
    const bare = typeof scalar.value === 'number'
    report(
      node,
      path,
      `${nameOf(path)}: ${quote(scalar.source)} ${bare ? 'has no unit' : 'is not a length of time'}.`,
      bare
        ? `Write \`${scalar.source}s\` for seconds, \`${scalar.source}m\` for minutes.`
        : 'Write for example `15s` or `2m`.',
    )
    return undefined
  }
  const [, h = '0', m = '0', s = '0', ms = '0'] = parts
  return Number(h) * 3_600_000 + Number(m) * 60_000 + Number(s) * 1_000 + Number(ms)
}

export function wholeNumber(least: number, most: number): Read<number> {
  return (node, path, report) => {
    const scalar = asScalar(node, path, report)
    if (scalar === undefined) return undefined
    // What a variable of the environment put there is always a text.
    const value =
      scalar.variables !== undefined && /^\d{1,12}$/.test(String(scalar.value)) ? Number(scalar.value) : scalar.value
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most) return value
    report(
      node,
      path,
      `${nameOf(path)} cannot be ${quote(scalar.source)}.`,
      `Write a whole number from ${least} to ${most}, without quotes.`,
    )
    return undefined
  }
}

/** Bytes, `300K`, `1M`: binary multiples, as of memory. */
export function sizeUpTo(most: number): Read<number> {
  return (node, path, report) => {
    const scalar = asScalar(node, path, report)
    if (scalar === undefined) return undefined
    const [, amount, unit = ''] = /^(\d{1,12}(?:\.\d{1,3})?)\s*([KMG]?)(?:i?B)?$/i.exec(String(scalar.value)) ?? []
    const bytes =
      amount === undefined ? Number.NaN : Math.round(Number(amount) * 1024 ** ' KMG'.indexOf(unit.toUpperCase() || ' '))
    if (bytes <= most) return bytes
    report(
      node,
      path,
      Number.isNaN(bytes)
        ? `${quote(scalar.source)} is no size.`
        : `${nameOf(path)} is more than ${most / 1024 ** 2}M.`,
      'Write for example `300K` or `1M`.',
    )
    return undefined
  }
}

export const asPort: Read<number> = wholeNumber(1, 65_535)

/** A directory on the cluster. */
export const remoteDirectory: Read<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined) return undefined
  const source = node.kind === 'scalar' ? node.source : text
  if (!text.startsWith('/')) {
    report(
      node,
      path,
      `${nameOf(path)}: ${quote(source)} does not begin with \`/\`.`,
      'Write the whole path on the cluster; `~` is not expanded there.',
    )
    return undefined
  }
  const parts = text.split('/').filter(part => part !== '' && part !== '.')
  if (parts.length === 0 || parts.includes('..')) {
    report(node, path, `${nameOf(path)} cannot be ${quote(source)}.`, 'Write a directory of its own, without `..`.')
    return undefined
  }
  return `/${parts.join('/')}`
}

/** A host name or address. What begins with a dash would be an option to some program. */
export const asHost: Read<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined) return undefined
  if (/^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?$/.test(text) || /^[0-9A-Fa-f:.]+(%[\w.-]+)?$/.test(text))
    return text
  report(
    node,
    path,
    `${nameOf(path)}: ${quote(node.kind === 'scalar' ? node.source : text)} is not a host.`,
    'Write a name or an address; user and port have keys of their own.',
  )
  return undefined
}

export const asUser: Read<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined) return undefined
  if (/^[A-Za-z0-9_][A-Za-z0-9_.@\\+-]{0,127}$/.test(text)) return text
  report(
    node,
    path,
    `${nameOf(path)}: ${quote(node.kind === 'scalar' ? node.source : text)} is not a user name.`,
    'Write the account on the cluster.',
  )
  return undefined
}

/** A glob on slash-separated names. */
export const asGlob: Read<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined) return undefined
  if (text !== '' && !text.startsWith('/') && !text.endsWith('/') && !/[\s?[\]{}\\]/.test(text)) return text
  report(
    node,
    path,
    `${nameOf(path)}: ${quote(node.kind === 'scalar' ? node.source : text)} is not a pattern.`,
    'Write names and slashes; `*` stands for anything within a name, `**` also across slashes.',
  )
  return undefined
}

/** Branch names as git takes them (git-check-ref-format). */
export function refuseBranch(name: string): string | null {
  if (name === '') return 'is empty'
  if (name.startsWith('refs/')) return 'is a full ref'
  const wrong =
    /[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{|\/\/|^[/-]|\/$|\.$|^@$/.test(name) ||
    name.split('/').some(part => part.startsWith('.') || part.endsWith('.lock')) ||
    name.length > 244
  return wrong ? 'is not a name that git allows for a branch' : null
}

export const asBranch: Read<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined) return undefined
  const refusal = refuseBranch(text)
  if (refusal === null) return text
  const remedy = text.startsWith('refs/')
    ? `Write the short name: ${quote(text.replace(/^refs\/(heads\/)?/, ''))}.`
    : 'Write the short name of a branch, for example `calc/base`.'
  report(node, path, `${nameOf(path)}: ${quote(node.kind === 'scalar' ? node.source : text)} ${refusal}.`, remedy)
  return undefined
}
