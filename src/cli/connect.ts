import { stat } from 'node:fs/promises'
import { nearest, readSite } from '../config/index.ts'
import { CompopsError } from '../errors.ts'
import { type Session, sessionsInto, waysInto } from '../way-in.ts'
import { type Io, readCommandLine, UsageError } from './command.ts'

/**
 * `compops connect CLUSTER`: opens the session that the service uses, with the person at the keyboard (password, one-time code, touch of a key).
 * For `transport: openssh`; must run as the service's user on the service's machine. `--end` ends it.
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const line = readCommandLine(args, io.env, { flags: ['end'], files: 1 })
  const asked = line.files[0]
  if (asked === undefined) throw new UsageError('Say which cluster: compops connect CLUSTER')
  const site = await readSite(line.config, io.env)
  const [name = '', user] = asked.split('#')
  const cluster = site.cluster(name)
  if (cluster === null) {
    const near = nearest(name, site.clusterNames)
    throw new CompopsError(
      `there is no cluster ${name} in ${site.file}.${near === null ? '' : ` Did you mean ${near}?`} There are: ${site.clusterNames.join(', ') || 'none'}`,
    )
  }
  const runAs = user === undefined ? null : site.runAs(name, user)
  if (user !== undefined && runAs === null)
    throw new CompopsError(`no project of ${site.file} runs as ${user} on ${name}`)
  await refuseOtherUser(site.dataDir)
  const places = sessionsInto(waysInto(site, cluster, runAs))
  if (places === null)
    throw new CompopsError(
      `${name} needs no session: the service signs in by itself. Sessions are for \`transport: openssh\``,
    )
  for (const sessions of places) {
    const done = line.flags.has('end') ? await endAll(sessions, io) : await openOne(asked, sessions, io)
    if (!done) return 1
  }
  return 0
}

async function openOne(connection: string, sessions: readonly Session[], io: Io): Promise<boolean> {
  for (const session of sessions) {
    if (!(await session.stands())) continue
    io.stdout.write(
      `${connection}: the session to ${session.name} stands. \`compops connect ${connection} --end\` ends it.\n`,
    )
    return true
  }
  for (const session of sessions) {
    if (!(await session.open())) continue
    io.stdout.write(
      `${connection}: signed in as ${session.name}. The session lasts until ${session.name} or the network ends it, or this machine is restarted; the service may be restarted meanwhile.\n` +
        `When it has ended, submissions are held, states are kept, and the notes say that this command is needed again.\n`,
    )
    return true
  }
  io.stderr.write(
    `compops connect: no session to ${sessions.map(session => session.name).join(' or ')}; ssh says above why.\n`,
  )
  return false
}

async function endAll(sessions: readonly Session[], io: Io): Promise<boolean> {
  for (const session of sessions) {
    const stood = await session.stands()
    if (stood) await session.end()
    io.stdout.write(`${session.name}: ${stood ? 'the session is ended' : 'there was no session'}.\n`)
  }
  return true
}

/** A session of another user could not be used by the service. */
async function refuseOtherUser(dataDir: string): Promise<void> {
  const owner = await stat(dataDir).catch(() => null)
  const uid = process.getuid?.()
  if (owner === null || uid === undefined || owner.uid === uid) return
  throw new CompopsError(
    `${dataDir} belongs to user ${owner.uid}, this is user ${uid}: the service could not use the session. Run it as the service's user, for example \`sudo -u compops compops connect …\``,
  )
}
