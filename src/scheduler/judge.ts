import { describeError } from '../errors.ts'
import type { Dialect, JobRequest } from './dialect.ts'

/** What is wrong with an adapter object: one sentence each, with what it should be. */
export interface Verdict {
  readonly complaints: readonly string[]
  /** Members and questions that were gone through. */
  readonly asked: number
}

interface Member {
  readonly is: (value: unknown) => boolean
  readonly should: string
}

const text: Member = { is: value => typeof value === 'string', should: 'a text' }
const flag: Member = { is: value => typeof value === 'boolean', should: 'true or false' }
const maybe: Member = {
  is: value => value === undefined || typeof value === 'boolean',
  should: 'true, false or left out',
}
const method = (should: string): Member => ({
  is: value => typeof value === 'function',
  should: `a function: ${should}`,
})

/** A member that the contract gets has its line here, or the compiler says so. */
const members: Record<keyof Dialect, Member> = {
  name: {
    is: value => typeof value === 'string' && /^[a-z][a-z0-9_-]{0,30}$/.test(value),
    should: 'a short name in lower case, e.g. `flux`',
  },
  prefix: {
    is: value => value === null || (typeof value === 'string' && /^#\S+$/.test(value)),
    should: 'what begins a directive line of a script, e.g. `#SBATCH`, or null',
  },
  nativeId: { is: value => value instanceof RegExp, should: 'a RegExp with ^ and $ that a native id matches' },
  nativeDependencies: flag,
  excludesNodes: maybe,
  sendsSignals: maybe,
  pastWithoutAccounting: flag,
  commandsPerLook: {
    is: value => value === undefined || (Number.isSafeInteger(value) && Number(value) > 0),
    should: 'a whole number, or left out',
  },
  shell: { ...text, should: 'a text: the shell functions scheduler_probe, scheduler_submit and so on' },
  identify: { ...text, should: 'a text: bash that sets compops_native and its neighbours' },
  hooks: { ...text, should: "a text: bash that may redefine the wrapper's hooks, or ''" },
  directives: method('(spec) => [{ option, key }]'),
  readDirectives: method('(text) => { resources, lines, directives, dropped }'),
  allowedDirective: method('(allowed, directive) => true, or the reason why not'),
  array: {
    is: value =>
      typeof value === 'object' &&
      value !== null &&
      typeof (value as Partial<Dialect['array']>).variable === 'string' &&
      typeof (value as Partial<Dialect['array']>).canNumber === 'function',
    should: 'an object { variable: text, canNumber: function }',
  },
  submitArguments: method('(request) => the arguments behind the path of the script'),
  readSubmit: method('(answer) => the native id; throws where there is none'),
  judgeRefusal: method("(rc, stderr) => 'refused', 'transient' or 'unknown'"),
  readFacts: method('(text) => { version, accounting, remembers, nativeDependencies, maxArraySize }'),
  readQueue: method('(text) => rows; throws where the answer is not whole'),
  readPast: method('(text) => rows; throws what it cannot read'),
  reasonInWords: method('(reason) => why a job waits, for people'),
  capacity: {
    is: value =>
      value === undefined ||
      (typeof value === 'object' &&
        value !== null &&
        Number.isSafeInteger((value as { commands?: unknown }).commands) &&
        typeof (value as { shell?: unknown }).shell === 'string' &&
        typeof (value as { read?: unknown }).read === 'function'),
    should:
      'an object { shell: text that defines scheduler_capacity, commands: how many that runs, read: (text) => what it says }, or left out',
  },
}

/** The shell functions that the programs of `cluster/` call. */
export const shellFunctions: readonly string[] = 'probe submit submitted judge find queue past active kill'
  .split(' ')
  .map(name => `scheduler_${name}`)

/** Names and values as only an attacker or an accident makes them. */
const hostileIds = ['', '-rf', '1;id', '1 2', '$(id)', '1\n', '../1', '1|2', '`id`', "1'"]
const rubbish = ['', '\n', 'error\n', 'Job not submitted.\n', '1 2\n', '; rm -rf /\n']

/** Members first; only what has them all is asked the questions of the contract (src/scheduler/dialect.ts), with the input that no scheduler should give. */
export function judgeDialect(value: unknown): Verdict {
  if (typeof value !== 'object' || value === null)
    return { complaints: ['it exports no adapter object: `export default { name, shell, readQueue, … }`'], asked: 1 }
  const given = value as Readonly<Record<string, unknown>>
  const complaints = Object.entries(members).flatMap(([name, { is, should }]) => {
    if (is(given[name])) return []
    return [given[name] === undefined ? `${name} is missing: ${should}` : `${name} is not what it should be: ${should}`]
  })
  const asked = Object.keys(members).length
  if (complaints.length > 0) return { complaints, asked }
  const answers = questions(value as Dialect)
  return { complaints: answers.filter(answer => answer !== null), asked: asked + answers.length }
}

/** Each question's answer: null where it is right, else the complaint. */
function questions(dialect: Dialect): (string | null)[] {
  return [
    ...shellFunctions.map(name =>
      new RegExp(`^[ \\t]*${name}[ \\t]*\\(\\)`, 'm').test(dialect.shell) ? null : `shell does not define ${name}()`,
    ),
    ...(dialect.capacity === undefined
      ? []
      : [
          /^[ \t]*scheduler_capacity[ \t]*\(\)/m.test(dialect.capacity.shell)
            ? null
            : 'capacity.shell does not define scheduler_capacity()',
          ...['', 'command not found\n'].map(answer =>
            mustThrow(`capacity.read(${show(answer)})`, 'silence says nothing about a node', () =>
              dialect.capacity?.read(answer),
            ),
          ),
        ]),
    ...rubbish.map(answer =>
      mustThrow(`readSubmit(${show(answer)})`, 'unreadable is never an id', () => dialect.readSubmit(answer)),
    ),
    ...['', '\n', 'command not found\n'].map(answer =>
      mustThrow(
        `readQueue(${show(answer)})`,
        'a queue that is cut or empty of its head says nothing about any job',
        () => [...dialect.readQueue(answer)],
      ),
    ),
    mustThrow(`readFacts(${show('')})`, 'silence is no fact', () => dialect.readFacts('')),
    mustThrow(`readPast(${show('command not found\n')})`, 'unreadable is never "nothing"', () => [
      ...dialect.readPast('command not found\n'),
    ]),
    ...hostileIds.map(id =>
      matches(dialect.nativeId, id)
        ? `nativeId takes ${show(id)}: anchor it with ^ and $, and let only letters, digits and few signs in`
        : null,
    ),
    must(
      'allowedDirective',
      'a directive with a line break must be refused: it would become a line of the script',
      () => dialect.allowedDirective(['*'], '--x=y\n--z') !== true,
    ),
    must('directives', 'a directive with a line break must be refused by throwing, or dropped', () => {
      try {
        return dialect
          .directives({ resources: {}, directives: ['--x=y\n--z'] })
          .every(({ option }) => !/[\0\n]/.test(option))
      } catch {
        return true
      }
    }),
    must('directives', 'a job that asks for nothing needs no more than a list', () =>
      Array.isArray(dialect.directives({ resources: {}, directives: [] })),
    ),
    must('submitArguments', 'it must give a list of texts without line breaks, whatever stands in the comment', () => {
      const given = dialect.submitArguments(plainRequest('a\nb'))
      return Array.isArray(given) && given.every(argument => typeof argument === 'string' && !/[\0\n]/.test(argument))
    }),
    must(
      'judgeRefusal',
      'in doubt a job may have been made: an error nobody has seen is `unknown` or `transient`',
      () => ['unknown', 'transient'].includes(dialect.judgeRefusal(1, 'something nobody has seen')),
    ),
    must(
      'reasonInWords',
      'a reason that it does not know stands as it is',
      () => dialect.reasonInWords('SomethingNew') === 'SomethingNew',
    ),
    must('readDirectives', 'a script without directives has none', () => {
      const read = dialect.readDirectives('echo hello\n')
      return Array.isArray(read.directives) && Array.isArray(read.dropped) && read.directives.length === 0
    }),
  ]
}

function mustThrow(call: string, why: string, ask: () => unknown): string | null {
  try {
    const answer = ask()
    return `${call} answers ${show(answer)}; it must throw: ${why}`
  } catch {
    return null
  }
}

function must(name: string, rule: string, ask: () => boolean): string | null {
  try {
    return ask() ? null : `${name}: ${rule}`
  } catch (error) {
    return `${name}: ${rule}; it throws ${describeError(error, 200)}`
  }
}

/** Independent of the flags: a RegExp with `g` or `y` remembers where it was. */
function matches({ source, flags }: RegExp, id: string): boolean {
  return new RegExp(source, flags.replace(/[gy]/g, '')).test(id)
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 80)
}

function plainRequest(comment: string): JobRequest {
  return {
    name: 'compops-00000000-0000-4000-8000-000000000003',
    comment,
    directory: '/scratch/attempt',
    work: '/scratch/work',
    outputDirectory: '/scratch/attempt/output',
    cache: '/scratch/cache',
    variables: {},
    dependsOn: [],
    array: null,
    spec: {
      name: 'simulate',
      cluster: 'falcon',
      needs: [],
      setup: [],
      script: ['true'],
      file: null,
      resources: {},
      env: {},
      params: {},
      outputs: [],
      metrics: null,
      directives: [],
      requeue: false,
      origins: {},
    },
  }
}
