import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { schedulers } from '../../src/config/schema.ts'
import { CompopsError, UnreadableError } from '../../src/errors.ts'
import type { Resources } from '../../src/model/job-spec.ts'
import type { QueueRow } from '../../src/model/observation.ts'
import { dialectOf, dialects } from '../../src/scheduler/index.ts'
import { jobRequest } from './requests.ts'
import { rows } from './rows/index.ts'
import { ourName } from './rows/row.ts'

/**
 * The contract of src/scheduler/dialect.ts: every dialect is asked the same questions. To add one, describe it in `rows/<name>.ts` (the fields
 * are explained in rows/row.ts; rows/slurm.ts is the one to read first) and name it in rows/index.ts. A new question belongs here only if it is
 * asked of all; what one scheduler alone does stands in test/scheduler/<name>/.
 */
test('every dialect has a row, and can be named in the configuration', () => {
  expect(Object.keys(rows).sort()).toEqual(Object.keys(dialects).sort())
  expect([...schedulers].sort()).toEqual(Object.keys(dialects).sort())
})

/** The shells that a cluster may have as sh. */
const shells = [
  { shell: 'dash', args: [] },
  { shell: 'bash', args: ['--posix'] },
  { shell: 'busybox', args: ['sh'] },
]

const places: string[] = []
afterAll(() => {
  for (const place of places) rmSync(place, { recursive: true, force: true })
})

/** A PATH on which each of the scheduler's programs is this text. */
function pathWith(programs: readonly string[], text: string): string {
  const place = mkdtempSync(join(tmpdir(), 'compops-dialect-'))
  places.push(place)
  mkdirSync(join(place, 'bin'))
  writeFileSync(join(place, 'program'), `#!/bin/sh\n${text}\n`)
  chmodSync(join(place, 'program'), 0o755)
  for (const program of programs) symlinkSync('../program', join(place, 'bin', program))
  return `${join(place, 'bin')}:/usr/bin:/bin`
}

function run(
  { shell, args }: (typeof shells)[number],
  text: string,
  { path = '/usr/bin:/bin', input = '' }: { path?: string; input?: string } = {},
) {
  const { status, stdout, stderr } = spawnSync(shell, [...args, '-c', text], {
    input,
    // A real Grid Engine of this machine is found without being in the path.
    env: { PATH: path, HOME: '/nonexistent', SGE_ROOT: '/nonexistent', TZ: 'UTC', LC_ALL: 'C' },
    encoding: 'utf8',
  })
  return { rc: status, stdout, stderr }
}

describe.each(Object.entries(rows))('%s', (name, row) => {
  const { dialect } = row
  const readQueue = (text: string): QueueRow[] => [...dialect.readQueue(text)]

  test('is known by its name', () => {
    expect([dialect.name, dialectOf(name)]).toEqual([name, dialect])
  })

  describe('a submission', () => {
    test.each(row.accepted)('$answer is the id $id', ({ answer, id }) => {
      expect(dialect.readSubmit(answer)).toBe(id)
      expect(dialect.nativeId.test(id)).toBe(true)
      for (const shell of shells)
        expect(run(shell, `${dialect.shell}\nscheduler_submitted`, { input: answer })).toMatchObject({
          rc: 0,
          stdout: `${id}\n`,
        })
    })

    test.each([
      '',
      '\n',
      'error\n',
      'Job not submitted.\n',
      '1 2\n',
      '; rm -rf /\n',
      '*** maintenance on Friday ***\n',
      ...row.accepted.map(({ answer }) => `${answer}${answer.replace(/\d/, '9')}`),
    ])('unreadable submit output is an error: %j', answer => {
      expect(() => dialect.readSubmit(answer)).toThrow(UnreadableError)
      for (const shell of shells)
        expect(run(shell, `${dialect.shell}\nscheduler_submitted`, { input: answer }).rc).not.toBe(0)
    })

    test.each(row.judged)('rc $rc, $stderr: $meaning', ({ rc, stderr, meaning }) => {
      expect(dialect.judgeRefusal(rc, stderr)).toBe(meaning)
      for (const shell of shells)
        expect(run(shell, `${dialect.shell}\nscheduler_judge ${rc}`, { input: stderr }).stdout).toBe(`${meaning}\n`)
    })

    test('in doubt a job may have been made', () => {
      for (const rc of [1, 124, 137, 255])
        expect(['unknown', 'transient']).toContain(dialect.judgeRefusal(rc, 'something nobody has seen'))
    })

    test('no argument holds a newline, and the name stands among them', () => {
      const request = jobRequest({}, { comment: 'a\nb\0c' })
      const options = dialect.submitArguments(request)
      expect(options.filter(option => /[\0\n\r]/.test(option))).toEqual([])
      expect(options.some(option => option.includes(request.name))).toBe(true)
    })

    test('what is no native id is no dependency', () => {
      for (const id of ['', '1,2', '1) || done(2', '$(id)', '1:2'])
        expect(() => dialect.submitArguments(jobRequest({}, { dependsOn: [id] }))).toThrow(CompopsError)
    })
  })

  describe('native ids', () => {
    test.each(row.nativeIds)('%j is one', id => {
      expect(dialect.nativeId.test(id)).toBe(true)
    })
    test.each(['', '-rf', '1;id', '1 2', '$(id)', '1\n', '../1', '1|2'])('%j is none', id => {
      expect(dialect.nativeId.test(id)).toBe(false)
    })
  })

  describe('the queue', () => {
    test('that lists jobs', () => {
      const seen = readQueue(row.queue.listed).filter(({ name }) => name.startsWith('compops-'))
      expect(seen.map(({ name, state }) => [name, state])).toEqual(row.queue.rows)
      for (const { nativeId } of seen) expect(dialect.nativeId.test(nativeId)).toBe(true)
    })

    test('that is empty has nobody finished', () => {
      expect(readQueue(row.queue.empty)).toEqual([])
    })

    test.each(['', '\n', 'command not found\n', '\x1e', '{}', ...row.queue.silent])(
      'that says nothing is an error: %j',
      text => {
        expect(() => readQueue(text)).toThrow(UnreadableError)
      },
    )

    test('that was cut anywhere shows no job otherwise than it is', () => {
      const { listed } = row.queue
      const whole = readQueue(listed)
      for (let length = 0; length < listed.length; length += Math.max(1, Math.floor(listed.length / 400))) {
        const seen: QueueRow[] = []
        try {
          for (const one of dialect.readQueue(listed.slice(0, length))) seen.push(one)
        } catch (error) {
          expect(error).toBeInstanceOf(UnreadableError)
          continue
        }
        // A name that was cut is nobody's.
        for (const one of seen.filter(({ name }) => row.queue.rows.some(([whole]) => whole === name)))
          expect(whole).toContainEqual(one)
      }
    })

    test('a state that nobody knows is not the end of a job', () => {
      if (row.queue.unheardOf === null) return
      const [job] = readQueue(row.queue.unheardOf)
      expect(job).toMatchObject({ verdict: null })
      expect(job!.state).not.toBe('ended')
    })

    test('a reason it does not know stands as it is', () => {
      expect(dialect.reasonInWords('SomethingNew')).toBe('SomethingNew')
    })
  })

  describe('what was', () => {
    test('a job that ended has a verdict', () => {
      const found = [...dialect.readPast(row.past.ended)].map(one => one.row)
      expect(found).toHaveLength(1)
      expect(found[0]!.name).toBe(row.past.name)
      expect(found[0]!.verdict).not.toBeNull()
    })

    test('an unknown id has none', () => {
      expect([...dialect.readPast(row.past.unknown)]).toEqual([])
    })

    test('rubbish is an error', () => {
      expect(() => [...dialect.readPast('command not found\n')]).toThrow(UnreadableError)
    })
  })

  test('facts: a version, how long the queue remembers; rubbish is an error', () => {
    const facts = dialect.readFacts(row.facts)
    expect(facts.version).toContain(name)
    expect(facts.remembers).toBeGreaterThanOrEqual(0)
    for (const text of ['', 'command not found\n']) expect(() => dialect.readFacts(text)).toThrow(UnreadableError)
  })

  describe('the whole cluster', () => {
    const { capacity } = dialect
    const told = (shell: (typeof shells)[number], path?: string) =>
      run(shell, `${dialect.shell}\n${capacity?.shell}\nscheduler_capacity`, path === undefined ? {} : { path })

    test.each(row.capacity === null ? [] : shells)('queues, nodes and what waits, in $shell', shell => {
      const cases = row.capacity!.printed.map(([call, text]) => {
        const file = join(mkdtempSync(join(tmpdir(), 'compops-dialect-')), 'printed')
        places.push(file)
        writeFileSync(file, text)
        return `'${call}'*) cat ${file} ;;`
      })
      const path = pathWith(row.programs, `case "\${0##*/} $*" in ${cases.join('\n')}\n*) exit 1 ;; esac`)
      const answer = told(shell, path)
      expect(answer).toMatchObject({ rc: 0, stderr: '' })
      expect(capacity!.read(answer.stdout)).toEqual(row.capacity!.told)
      // One command that fails is one part that is not told.
      const first = row.capacity!.printed[0]![0]
      const without = pathWith(
        row.programs,
        `case "\${0##*/} $*" in '${first}'*) exit 1 ;; ${cases.slice(1).join('\n')}\n*) exit 1 ;; esac`,
      )
      const rest = capacity!.read(told(shell, without).stdout)
      expect(rest).not.toEqual(row.capacity!.told)
      for (const [part, value] of Object.entries(rest)) expect(row.capacity!.told).toMatchObject({ [part]: value })
      // However it was cut, it is read or it is unreadable.
      for (let length = 0; length < answer.stdout.length; length += Math.ceil(answer.stdout.length / 300))
        try {
          capacity!.read(answer.stdout.slice(0, length))
        } catch (error) {
          expect(error).toBeInstanceOf(UnreadableError)
        }
    })

    test('of this machine is told without a scheduler', () => {
      if (row.capacity !== null || capacity === undefined) return
      for (const shell of shells) expect(capacity.read(told(shell).stdout).cores?.total).toBeGreaterThan(0)
    })

    test('rubbish says nothing about it', () => {
      for (const text of ['', '\n', 'command not found\n', '\x1d', '\x1dnodes\n{}\n', '\x1dconstructor\n'])
        expect(() => capacity?.read(text)).toThrow(UnreadableError)
    })
  })

  describe('values', () => {
    const words = ['partition', 'account', 'qos', 'reservation', 'gres', 'constraint', 'licenses'] as const
    const hostile = ['a\nb', 'a\0b', '-x', '', 'a b', '$(id)', '`id`', `a'b`, 'a"b', 'a#b', 'a\\b', 'a<b']
    test.each(words)('a hostile %s is refused, by its name', key => {
      if (dialect.prefix === null) return
      for (const value of hostile) {
        const resources: Resources = { [key]: value }
        expect(() => dialect.directives({ resources, directives: [] }), value).toThrow(CompopsError)
        expect(() => dialect.directives({ resources, directives: [] }), value).toThrow(key)
      }
    })

    test.each([0, -1, 1.5, Number.NaN, 1e21])('a count or a time of %d is refused', value => {
      if (dialect.prefix === null) return
      for (const key of ['time', 'nodes', 'ntasks', 'ntasks_per_node', 'cpus_per_task', 'mem', 'mem_per_cpu'] as const)
        expect(() => dialect.directives({ resources: { [key]: value }, directives: [] }), key).toThrow(CompopsError)
    })

    test.each(row.resources)('written and read again they are the same: %j', resources => {
      const lines = dialect.directives({ resources, directives: [] }).map(({ option }) => `${dialect.prefix} ${option}`)
      const read = dialect.readDirectives(`#!/bin/bash\n${lines.join('\n')}\necho\n`)
      expect(read).toMatchObject({ resources, directives: [], dropped: [] })
    })

    test('each directive is one line and names the key it came from', () => {
      for (const resources of row.resources)
        for (const { option, key } of dialect.directives({ resources, directives: [] })) {
          expect(option).not.toMatch(/[\0\n\r]/)
          expect(Object.keys(resources)).toContain(key)
        }
    })
  })

  describe('raw directives', () => {
    test.each(row.allowed)('%s may be allowed', directive => {
      expect(dialect.allowedDirective(['*'], directive)).toBe(true)
      expect(dialect.allowedDirective([directive], directive)).toBe(true)
      expect(dialect.allowedDirective([], directive)).toEqual(expect.any(String))
      expect(dialect.directives({ resources: {}, directives: [directive] })).toEqual([
        { option: directive, key: 'directives[0]' },
      ])
    })
    test.each([...row.never, '', 'x', '-', '--', '$(id)', `${row.allowed[0] ?? '--x'}\ny`])(
      '%j is refused',
      directive => {
        expect(dialect.allowedDirective(['*'], directive)).toEqual(expect.any(String))
        expect(() => dialect.directives({ resources: {}, directives: [directive] })).toThrow(CompopsError)
      },
    )
  })

  describe('arrays', () => {
    test.each(row.array.can)('the numbers %j can be had', (...numbers) => {
      expect(dialect.array.canNumber(numbers, row.array.maxArraySize)).toBe(true)
    })
    test.each(row.array.cannot)('the numbers %j cannot', (...numbers) => {
      expect(dialect.array.canNumber(numbers, row.array.maxArraySize)).toBe(false)
    })
    test('a task knows its number by a variable', () => {
      expect(dialect.array.variable).toMatch(/^[A-Z][A-Z_]+$/)
    })
  })

  describe.each(shells)('its shell text in $shell', shell => {
    const functions = 'probe submit submitted judge find queue past active kill'.split(' ').map(f => `scheduler_${f}`)
    const call = (text: string, path: string, input = '') => run(shell, `${dialect.shell}\n${text}`, { path, input })

    test('defines every function, and prints nothing by itself', () => {
      const text = functions.map(f => `command -v ${f} >/dev/null || echo no ${f}`).join('\n')
      expect(call(text, '/usr/bin:/bin')).toEqual({ rc: 0, stdout: '', stderr: '' })
    })

    const troubles = [
      // As the shell says it; a real one may be installed on this machine.
      ['is not there', 'echo "$0: not found" >&2; exit 127'],
      ['fails', 'echo trouble >&2; exit 1'],
      ['fails with the largest code', 'echo trouble >&2; exit 255'],
      ['says nothing, and all is well', 'exit 0'],
      ['says something else, and all is well', "echo '*** maintenance on Friday ***'"],
      ['is killed', 'kill -KILL $$'],
    ] as const

    test.each(row.programs.length === 0 ? [] : troubles)('nothing is read out of a scheduler that %s', (_, text) => {
      const path = pathWith(row.programs, text)
      const found = call(`scheduler_find ${ourName(1)}`, path)
      expect(found, 'find').toMatchObject({ stdout: '' })
      expect(found.rc, 'find').not.toBe(0)
      expect(call('scheduler_active', path).rc, 'active').not.toBe(0)
      const queue = call('scheduler_queue', path)
      if (queue.rc === 0) expect(() => readQueue(queue.stdout), 'queue').toThrow(UnreadableError)
      const facts = call('scheduler_probe', path)
      if (facts.rc === 0) expect(() => dialect.readFacts(facts.stdout), 'facts').toThrow(UnreadableError)
      const past = call('scheduler_past', path, `${row.nativeIds[0]} ${ourName(1)} /nonexistent/1\n`)
      if (past.rc === 0 && past.stdout !== '')
        expect(() => [...dialect.readPast(past.stdout)], 'past').toThrow(UnreadableError)
      const submitted = call(`scheduler_submit /dev/null | scheduler_submitted`, path)
      expect(submitted, 'submit').toMatchObject({ stdout: '' })
      expect(submitted.rc, 'submit').not.toBe(0)
      const capacity = call(`${dialect.capacity?.shell}\nscheduler_capacity`, path)
      expect(() => dialect.capacity?.read(capacity.stdout), 'capacity').toThrow(UnreadableError)
      const refused = call(
        `_said=$(scheduler_submit /dev/null 2>&1 >/dev/null); _rc=$?
        [ $_rc -eq 0 ] || printf '%s' "$_said" | scheduler_judge $_rc`,
        path,
      )
      expect(refused.stdout, 'judge').not.toContain('refused')
    })

    test('asked about no job it asks nothing, and ends none', () => {
      if (row.programs.length === 0) return
      const path = pathWith(row.programs, `echo "$0 $*" >>"\${0%/*}/../asked"; exit 1`)
      const asked = join(path.split('/bin:')[0]!, 'asked')
      expect(call('scheduler_past; scheduler_kill', path).stdout).toBe('')
      expect(call(`[ ! -e ${asked} ] || cat ${asked}`, path).stdout).toBe('')
    })
  })

  test.each(row.identified)('in a job with %j', ({ env, native, index, restarts }) => {
    const text = `${dialect.identify}\nprintf '%s\\n' "$compops_native" "$compops_index" "$compops_restarts" "\${compops_nodes-unset}"`
    const said = execFileSync('bash', ['-c', text], {
      env: { PATH: '/usr/bin:/bin', ...env },
      encoding: 'utf8',
    }).split('\n')
    if (native !== null) expect(said[0]).toBe(native)
    expect(dialect.nativeId.test(said[0]!)).toBe(true)
    expect(said.slice(1, 3)).toEqual([index, restarts])
    expect(said[3]).not.toBe('unset')
  })

  test('what it adds to the wrapper is bash', () => {
    execFileSync('bash', ['-n'], { input: `${dialect.identify}\n${dialect.hooks}` })
  })
})

test('names', () => {
  expect(() => dialectOf('constructor')).toThrow('scheduler "constructor" is not known; there are: slurm')
})
