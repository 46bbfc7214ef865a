import { describeError, toError, UnreadableError } from '../errors.ts'
import { newId } from '../model/id.ts'
import type { Resources } from '../model/job-spec.ts'
import type { ClusterFacts } from '../model/observation.ts'
import { clockAhead } from './clock.ts'
import { examineProgram, sessionsProgram, tryProgram } from './examine-program.ts'
import { observeAttempts } from './observe.ts'
import { notWhole, type Reach } from './reach.ts'

/** What a look around a cluster showed; nothing is concluded here, and nothing is left behind there. */
export interface Examined {
  /** Why nothing at all could be asked: each hop names itself. null where the cluster answers. */
  readonly unreachable: { readonly error: string; readonly transient: boolean } | null
  readonly place: Place | null
  readonly facts: ClusterFacts | Trouble | null
  /** One round of the queue for no job. */
  readonly queue: 'whole' | Trouble | null
  /** Whether the scheduler would take a job with the cluster's defaults; null where it cannot be asked without making one. */
  readonly submission: { readonly accepted: boolean; readonly said: string } | null
  /** Programs that ran side by side, of four; null where that was not asked. */
  readonly sessions: number | null
}

export interface Trouble {
  readonly error: string
}

export interface Place {
  readonly user: string
  readonly host: string
  readonly shell: string
  /** What the start files of the account print. */
  readonly printed: string
  /** Seconds that a login shell takes to come up, 20 at most: each job begins with one. */
  readonly loginSeconds: number
  /** e.g. `5.2`; empty where there is no /bin/bash. */
  readonly bash: string
  readonly missingTools: readonly string[]
  readonly root: { readonly state: 'written' } | { readonly state: 'absent' | 'refused'; readonly said: string }
  readonly openToAll: boolean
  readonly freeBytes: number | null
  readonly sizeBytes: number | null
  /** What quota(1) says is exceeded; empty where nothing is. */
  readonly quota: string
  /** Seconds that its clock is ahead of ours, as far as that is certain. */
  readonly clockAhead: number
  /** Milliseconds for the way there and back, and what the account's start files take. */
  readonly ms: number
}

export interface ExamineOptions {
  /** What the site's `defaults` ask for. */
  readonly defaults: Resources
  /** Over SSH: how many programs may run at once is asked too. */
  readonly sessions: boolean
}

const deadline = 45_000

export async function examineCluster(reach: Reach, options: ExamineOptions): Promise<Examined> {
  const nothing = { place: null, facts: null, queue: null, submission: null, sessions: null }
  let place: Place
  try {
    place = await lookAround(reach)
  } catch (thrown) {
    const error = toError(thrown)
    const transient = 'transient' in error ? error.transient === true : true
    return { ...nothing, unreachable: { error: describeError(error), transient } }
  }
  const [facts, queue, submission] = await Promise.all([
    reach.facts().catch(trouble),
    askQueue(reach).catch(trouble),
    trySubmission(reach, options.defaults).catch(error => ({ accepted: false, said: describeError(error) })),
  ])
  // Alone on the connection: it counts channels.
  const sessions =
    options.sessions && place.root.state === 'written' ? await countSessions(reach).catch(() => null) : null
  return { unreachable: null, place, facts, queue, submission, sessions }
}

const trouble = (error: unknown): Trouble => ({ error: describeError(error) })

async function lookAround(reach: Reach): Promise<Place> {
  // The first program makes the connection: the time of the second is that of a program.
  await reach.run({ text: 'exit 0', lines: [], deadline })
  const began = performance.now()
  const asked = reach.now()
  const answer = await reach.run({ text: examineProgram, lines: [reach.root], deadline })
  const answered = reach.now()
  const ms = Math.round(performance.now() - began)
  if (answer.rc !== 0 || !answer.stdout.endsWith('\nend\n'))
    throw notWhole(reach.name, 'the look around is not whole', answer)
  return { ...readPlace(answer.stdout, asked, answered), ms }
}

/** Pure: the lines of the program as a place. What the account's own programs print is hostile; keys are ours. */
export function readPlace(text: string, asked: Date, answered: Date): Omit<Place, 'ms'> {
  const values = new Map<string, string>()
  const missingTools: string[] = []
  for (const line of text.split('\n')) {
    const key = line.split(' ', 1)[0]!
    const value = line.slice(key.length + 1).trim()
    if (key === 'missing') missingTools.push(value)
    else if (!values.has(key)) values.set(key, value)
  }
  const value = (key: string) => values.get(key) ?? ''
  const seconds = /^\d{1,12}$/.test(value('clock')) ? Number(value('clock')) : null
  if (seconds === null) throw new UnreadableError('the cluster did not say what time it is there', { transient: true })
  const [free, size] = value('free')
    .split(' ')
    .map(word => (/^\d{1,15}$/.test(word) ? Number(word) * 1024 : null))
  const [state = '', ...rest] = value('root').split(' ')
  return {
    user: value('user'),
    host: value('host'),
    shell: value('shell'),
    printed: value('printed'),
    loginSeconds: /^\d{1,4}$/.test(value('login')) ? Number(value('login')) : 0,
    bash: value('bash'),
    missingTools,
    root:
      state === 'written'
        ? { state }
        : {
            state: state === 'absent' ? 'absent' : 'refused',
            said: rest.join(' ') || 'the file could not be written whole',
          },
    openToAll: values.has('open'),
    freeBytes: free ?? null,
    sizeBytes: size ?? null,
    quota: value('quota'),
    clockAhead: Math.round(clockAhead(new Date(seconds * 1000), asked, answered) / 1000),
  }
}

async function askQueue(reach: Reach): Promise<'whole'> {
  await observeAttempts(reach, [])
  return 'whole'
}

async function trySubmission(reach: Reach, defaults: Resources): Promise<Examined['submission']> {
  const options = reach.dialect.directives({ resources: defaults, directives: [] }).map(({ option }) => option)
  const answer = await reach.run({
    text: tryProgram(reach.dialect.shell),
    lines: [String(options.length), ...options],
    deadline: 90_000,
  })
  if (answer.rc !== 0) throw notWhole(reach.name, 'the submission could not be tried', answer)
  if (answer.stdout === 'none\n') return null
  reach.count(1)
  const [, rc, said = ''] = /^tried (\d{1,3})\n([\s\S]*)$/.exec(answer.stdout) ?? []
  if (rc === undefined) throw notWhole(reach.name, 'the trial of a submission cannot be read', answer)
  return { accepted: rc === '0', said: said.replace(/\s+/g, ' ').trim().slice(0, 400) }
}

/** Four programs that wait for each other: as many channels as we ever use. */
async function countSessions(reach: Reach): Promise<number> {
  const directory = `${reach.root}/.compops-doctor.${newId()}`
  const answers = await Promise.all(
    [1, 2, 3, 4].map(me =>
      reach.run({
        text: sessionsProgram,
        lines: [directory, String(me), '4'],
        deadline,
        // One channel is kept for submissions: only as such do all four get one.
        urgent: true,
      }),
    ),
  )
  return Math.max(...answers.map(({ rc, stdout }) => (rc === 0 && /^\d\n$/.test(stdout) ? Number(stdout) : 0)))
}
