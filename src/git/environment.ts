import { formsOf } from '../log.ts'
import type { Mirror } from './mirror.ts'

/** What git may know of the machine: where programs are, proxies, certificates. Nothing of a person's configuration. */
const PASSED_ON = [
  'PATH',
  'TMPDIR',
  'http_proxy',
  'https_proxy',
  'HTTPS_PROXY',
  'all_proxy',
  'ALL_PROXY',
  'no_proxy',
  'NO_PROXY',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
]

export type ConfigEntry = readonly [key: string, value: string]

const ALWAYS: readonly ConfigEntry[] = [
  ['safe.directory', '*'],
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.logAllRefUpdates', 'false'],
  ['core.autocrlf', 'false'],
  // Trees that hurt on other people's file systems are refused here too, since packs and evidence travel.
  ['core.protectHFS', 'true'],
  ['core.protectNTFS', 'true'],
  ['credential.helper', ''],
  ['protocol.allow', 'never'],
  ['protocol.http.allow', 'always'],
  ['protocol.https.allow', 'always'],
  // A redirect would carry the token to another host.
  ['http.followRedirects', 'false'],
  ['http.lowSpeedLimit', '1'],
  ['http.lowSpeedTime', '60'],
  // Always a whole pack, moved into place when complete: a killed fetch never leaves a commit without its files.
  ['fetch.unpackLimit', '1'],
  ['transfer.unpackLimit', '1'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['pack.writeReverseIndex', 'false'],
  ['index.threads', '1'],
  ['submodule.recurse', 'false'],
  ['advice.detachedHead', 'false'],
  ['init.defaultBranch', 'main'],
]

/** Configuration that travels in the environment (git-config(1), GIT_CONFIG_COUNT): not in `ps`, not on the disk. */
export function gitEnvironment(entries: readonly ConfigEntry[], more: Readonly<Record<string, string>> = {}) {
  const environment: Record<string, string> = {}
  for (const name of PASSED_ON) {
    const value = process.env[name]
    if (value !== undefined) environment[name] = value
  }
  Object.assign(environment, {
    HOME: '/nonexistent',
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '',
    SSH_ASKPASS: '',
    GIT_OPTIONAL_LOCKS: '0',
  })
  const all = [...ALWAYS, ...entries]
  environment.GIT_CONFIG_COUNT = String(all.length)
  all.forEach(([key, value], index) => {
    environment[`GIT_CONFIG_KEY_${index}`] = key
    environment[`GIT_CONFIG_VALUE_${index}`] = value
  })
  return { ...environment, ...more }
}

/** The header that GitLab wants, for addresses on that GitLab alone. */
export function credentialEntries(mirror: Mirror, token: string): ConfigEntry[] {
  const prefix = `${mirror.gitlabUrl.replace(/\/+$/, '')}/`
  const entries: ConfigEntry[] = [[`http.${prefix}.extraHeader`, `Authorization: Basic ${basic(token)}`]]
  if (mirror.caFile !== undefined) entries.push(['http.sslCAInfo', mirror.caFile])
  return entries
}

function basic(token: string): string {
  return Buffer.from(`oauth2:${token}`).toString('base64')
}

/** Replaces the token, also in the form in which it travels, and whatever stands before an @ in an address. */
export function redact(text: string, token: string): string {
  let clean = text
  for (const form of token === '' ? [] : [basic(token), ...formsOf(token)]) clean = clean.replaceAll(form, '[redacted]')
  return clean.replace(/(https?:\/\/)[^/\s@'"]*@/gi, '$1')
}
