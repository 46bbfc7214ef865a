import { CompopsError, UnreadableError } from '../errors.ts'
import { aboutBytes, readAbout } from './about.ts'
import type { AttemptIds, DescribedAttempt, Directories } from './contract.ts'
import {
  describeProgram,
  listProgram,
  removeRunsProgram,
  removeSourcesProgram,
  youngerProgram,
} from './directories-program.ts'
import { pathsOf } from './layout.ts'
import { notWhole, type Reach } from './reach.ts'

/** Directories described by one command. */
const batch = 100
const deadline = 300_000

/** What lies on the cluster, asked when our own rows may be older than it. A page of 5,000 attempts has some 600 KB. */
export function openDirectories(reach: Reach, page = 5_000): Directories {
  return {
    async *attempts() {
      let after = ''
      for (;;) {
        const { lines, end } = await ask(reach, listProgram, [reach.root, after, String(page)])
        if (end === 'absent') {
          yield 'absent'
          return
        }
        yield lines.flatMap(line => toIds(line) ?? [])
        if (end === 'end') return
        after = lines.at(-1) ?? ''
      }
    },
    async runsYoungerThan(runId, limit) {
      const { lines } = await ask(reach, youngerProgram, [reach.root, runId ?? '', String(limit)])
      return lines.filter(line => uuid.test(line))
    },
    async describe(list) {
      const described: DescribedAttempt[] = []
      for (let start = 0; start < list.length; start += batch)
        described.push(...(await describe(reach, list.slice(start, start + batch))))
      return described
    },
    removeRuns: (projectId, runIds) => removeRuns(reach, projectId, runIds),
    async removeSources(days) {
      const { lines, end } = await ask(reach, removeSourcesProgram, [reach.root, String(Math.trunc(days))])
      if (end === 'absent') return 0
      return lines.filter(line => line === 'removed').length
    },
  }
}

async function removeRuns(reach: Reach, projectId: number, runIds: readonly string[]) {
  if (!Number.isSafeInteger(projectId) || projectId < 1 || !runIds.every(id => uuid.test(id)))
    throw new CompopsError('what should be removed is no run of ours')
  const answer = await reach.run({
    text: removeRunsProgram,
    lines: [reach.root, String(projectId)],
    rest: runIds.map(id => `${id}\n`).join(''),
    deadline: 600_000,
  })
  const lines = answer.stdout.split('\n')
  if (answer.rc !== 0 || lines.pop() !== '' || lines.pop() !== `end ${runIds.length}`)
    throw notWhole(reach.name, 'run directories could not be removed', answer)
  const gone = new Set<string>()
  const kept = new Map<string, string>()
  for (const line of lines) {
    const [, how, id, why] = /^(gone|kept) ([0-9a-f-]{36})(?: (.*))?$/.exec(line) ?? []
    if (how === 'gone') gone.add(id!)
    else if (how === 'kept') kept.set(id!, why ?? 'cannot be removed')
  }
  return { gone, kept }
}

async function ask(reach: Reach, text: string, lines: readonly string[]): Promise<{ lines: string[]; end: string }> {
  const answer = await reach.run({ text, lines, deadline })
  if (answer.rc !== 0) throw notWhole(reach.name, 'the run directories could not be listed', answer)
  const found = answer.stdout.split('\n')
  const last = found.pop()
  const end = found.pop() ?? ''
  if (last !== '' || !['end', 'more', 'absent'].includes(end))
    throw new UnreadableError(`${reach.name}: the list of the run directories is not whole`, { transient: true })
  return { lines: found, end }
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

function toIds(line: string): AttemptIds | null {
  const [project = '', , runId = '', , jobId = '', attemptId = ''] = line.split('/')
  const projectId = Number(project)
  const ours = [runId, jobId, attemptId].every(id => uuid.test(id))
  return ours && Number.isSafeInteger(projectId) && projectId > 0 ? { projectId, runId, jobId, attemptId } : null
}

async function describe(reach: Reach, list: readonly AttemptIds[]): Promise<DescribedAttempt[]> {
  const answer = await reach.run({
    text: describeProgram,
    lines: [String(aboutBytes)],
    rest: list.map(ids => `${pathsOf(reach.root, ids).attempt}\n`).join(''),
    deadline,
  })
  if (answer.rc !== 0) throw notWhole(reach.name, 'the run directories could not be read', answer)
  const lines = answer.stdout.split('\n')
  if (lines.pop() !== '' || lines.pop() !== `end ${list.length}`)
    throw new UnreadableError(`${reach.name}: what lies in the run directories did not come whole`, { transient: true })
  const files = list.map(() => new Map<string, string>())
  for (const line of lines) {
    const [, n, file, text] = /^(\d{1,6}) (\S+) (.*)$/s.exec(line) ?? []
    if (file !== undefined) files[Number(n)]?.set(file, text ?? '')
  }
  return list.map((ids, index) => toDescribed(reach, ids, files[index]!))
}

function toDescribed(reach: Reach, ids: AttemptIds, files: ReadonlyMap<string, string>): DescribedAttempt {
  const id = files.get('id') ?? (files.get('started.array') ?? files.get('started.0'))?.split(' ')[0] ?? null
  const nativeId = id !== null && reach.dialect.nativeId.test(id) ? id : null
  const about = files.get('about')
  const began = files.has('started.0') || files.has('started.array') || files.has('exit.0')
  return {
    ids,
    nativeId,
    about: about === undefined ? null : readAbout(about, ids),
    // Whatever stands in `id`: what the guard of a submission takes for an attempt must be found here too, or the two would go round in circles.
    handedOver: began || ['id', 'submitting', 'refused'].some(file => files.has(file)),
    givenUp: files.has('fenced') && !began,
  }
}
