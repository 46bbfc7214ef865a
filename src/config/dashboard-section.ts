import { asLine, asSwitch, listOf, type Read } from './fields.ts'
import type { DashboardConfig } from './schema.ts'
import { openSection } from './section.ts'
import { isLoopback, longSecret, readSecret, type Surroundings } from './values.ts'
import { quote } from './yaml.ts'

const keys = ['application_id', 'secret', 'secret_file', 'open', 'admins']

/** Who may see the pages: whoever signs in with GitLab, or everybody who reaches this machine's own loopback. */
export function readDashboard(
  where: { readonly publicUrl: string; readonly listen: { readonly host: string } },
  around: Surroundings,
): Read<DashboardConfig> {
  return (node, path, report) => {
    const section = openSection(node, path, '`dashboard`', keys, report)
    if (section === undefined) return undefined
    const here = isLoopback(where.publicUrl)
    if (section.has('open')) {
      const open = section.read('open', asSwitch)
      if (open === undefined) return undefined
      if (open && (!here || !isLoopback(`http://${bracketed(where.listen.host)}`))) {
        section.complain(
          'open',
          '`open` lets everybody in without signing in, and this service can be reached from other machines.',
          'Leave it out, and write `application_id` and `secret` of an application in GitLab; or listen on 127.0.0.1 with such a `public_url`.',
        )
        return undefined
      }
      if (open && ['application_id', 'secret', 'secret_file', 'admins'].some(key => section.has(key))) {
        section.complain(
          'open',
          '`open` and what only matters where people sign in both stand here.',
          'Keep one of them.',
        )
        return undefined
      }
      if (open) return { kind: 'open' }
    }
    const admins = section.read('admins', listOf(asUsername)) ?? []
    const remedy =
      'In GitLab, as an administrator or in a group: Applications, redirect URI `<public_url>/sign-in/back`, confidential, scope `read_api`.'
    const applicationId = section.need('application_id', asLine, remedy)
    const secret = readSecret(section, 'secret', longSecret, around)
    if (secret === undefined) section.complain('secret', '`secret` is missing.', remedy)
    if (!here && where.publicUrl.startsWith('http://')) {
      section.complain(
        'application_id',
        '`public_url` is not encrypted: whoever listens could take over the session of who signs in.',
        'Put a proxy with https in front, and write its address as `public_url`.',
      )
      return undefined
    }
    if (applicationId === undefined || secret == null) return undefined
    return { kind: 'sign in', applicationId, secret, admins }
  }
}

/** As GitLab has them: `alice`, not `@alice` and not a name; upper and lower case are the same to it. */
const asUsername: Read<string> = (node, path, report) => {
  const text = asLine(node, path, report)
  if (text === undefined) return undefined
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$/.test(text)) return text.toLowerCase()
  report(node, path, `${quote(text)} is no username of GitLab.`, 'Write it without @: alice.')
  return undefined
}

const bracketed = (host: string) => (host.includes(':') ? `[${host}]` : host)
