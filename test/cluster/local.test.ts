import { createHash, randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, openCluster, type SubmitRequest, type WatchedAttempt } from '../../src/cluster/cluster.ts'
import { type AttemptArray, readTasks } from '../../src/model/array.ts'
import type { JobSpec } from '../../src/model/job-spec.ts'
import type { Seen } from '../../src/model/observation.ts'
import { createLocalRemote } from '../../src/remote/local.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { endLeftovers } from '../support/leftovers.ts'
import { until } from '../support/until.ts'
import { makeSource, submitRequest, watched } from './requests.ts'

/** Jobs that really run, as processes of this machine: the wrapper's duties, and the local dialect's own. */

let root: string
const source = makeSource({
  'README.md': 'a computation\n',
  'jobs/simulate.sh': '#!/bin/bash\n#SBATCH -o elsewhere\necho "from the file: $0 $COMPOPS_JOB"\nexit 4\n',
})
const open: Cluster[] = []

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'compops-local-'))
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(cluster => cluster.close()))
})
afterAll(() => {
  endLeftovers(root)
  rmSync(root, { recursive: true, force: true, maxRetries: 5 })
})

function service(): Cluster {
  const cluster = openCluster({ name: 'here', dialect: dialectOf('local'), remote: createLocalRemote(), root })
  open.push(cluster)
  return cluster
}

async function start(cluster: Cluster, request: SubmitRequest): Promise<string> {
  const outcome = await cluster.submit(request)
  if (outcome.kind !== 'accepted') throw new Error(JSON.stringify(outcome))
  return outcome.nativeId
}

async function look(cluster: Cluster, request: SubmitRequest, nativeId: string): Promise<Seen> {
  return (await cluster.observe([watched(request, nativeId)])).seen.get(request.attemptId)!
}

const ended = (cluster: Cluster, request: SubmitRequest, nativeId: string) =>
  until('the end of the job', async () => {
    const seen = await look(cluster, request, nativeId)
    return seen.queue === null || seen.queue.state === 'ended' ? seen : null
  })

/** Runs a job to its end. */
async function run(spec: Partial<JobSpec>, changes: Partial<Omit<SubmitRequest, 'spec'>> = {}) {
  const cluster = service()
  const request = submitRequest({ source, ...changes, spec })
  const nativeId = await start(cluster, request)
  const seen = await ended(cluster, request, nativeId)
  const collected = await cluster.collect(watched(request, nativeId), { metricsFile: request.spec.metrics ?? '' })
  return { request, nativeId, seen, collected, code: seen.exit?.code ?? null, log: collected.logTail }
}

/** Nothing of the commands' process group is left; killed ones are reaped by init a moment later. */
async function nobodyLeft(request: SubmitRequest): Promise<void> {
  const group = Number(readFileSync(join(directory(request), 'group.0'), 'utf8').split('.')[0])
  await until('the commands to be gone', () => {
    try {
      process.kill(-group, 0)
      return false
    } catch {
      return true
    }
  })
}

const directory = (request: SubmitRequest) =>
  join(root, '42/runs', request.runId, 'jobs', request.jobId, request.attemptId)

describe('secrets', () => {
  const secrets = { WANDB_API_KEY: 'hush-hush-123', KEY: "two\nlines' $(id)" }

  test('reach the job as variables, by no argument, script or readable file, and are gone when it has ended', async () => {
    const { request, code, log } = await run(
      {
        script: [
          'stat -c %a ../jobs/*/*/secrets',
          'tr "\\0" "\\n" </proc/$PPID/cmdline | grep -c "h[u]sh" || :',
          'printf %s "$WANDB_API_KEY$KEY" | sha256sum',
        ],
        secrets: Object.keys(secrets),
      },
      { secrets },
    )
    expect(code).toBe(0)
    const digest = createHash('sha256').update(`${secrets.WANDB_API_KEY}${secrets.KEY}`).digest('hex')
    expect(log.split('\n').filter(line => !line.startsWith('$ '))).toEqual(['600', '0', `${digest}  -`, ''])
    // Collecting takes them away: the scheduler may begin a job again that has come to its end.
    expect(readdirSync(directory(request))).not.toContain('secrets')
    for (const file of readdirSync(directory(request), { withFileTypes: true }))
      if (file.isFile()) expect(readFileSync(join(directory(request), file.name), 'utf8')).not.toContain('hush-hush')
  })

  test('of a job that was given up are taken away too', async () => {
    const cluster = service()
    const request = submitRequest({ source, secrets, spec: { script: ['sleep 60'], secrets: Object.keys(secrets) } })
    const nativeId = await start(cluster, request)
    expect(readdirSync(directory(request))).toContain('secrets')
    await cluster.cancel([watched(request, nativeId)], { fence: true })
    expect(readdirSync(directory(request))).not.toContain('secrets')
  })
})

describe('the log and the exit code', () => {
  test('each line is shown before it runs, as in GitLab; the first that fails ends the job', async () => {
    const { code, log, seen, nativeId } = await run({
      setup: ['PREFIX=hello'],
      script: ['echo "$PREFIX world"', 'false | true', 'echo never'],
    })
    expect(log).toBe('$ PREFIX=hello\n$ echo "$PREFIX world"\nhello world\n$ false | true\n')
    expect(code).toBe(1)
    expect(seen).toMatchObject({ accounting: 'off', exit: { nativeId, restarts: 0 }, started: { nativeId } })
    expect(seen.exit?.at).toBeInstanceOf(Date)
  })

  test('the wrapper comes to its last act whatever the commands do', async () => {
    const codes: Record<string, number> = {
      'exit 3': 3,
      'exec false': 1,
      'trap "exit 9" EXIT': 9,
      'trap "" TERM INT HUP; true': 0,
      'kill -KILL $$': 137,
      'kill -SEGV $$': 139,
      'exec sleep 0': 0,
      'set +e; false': 1,
      'no-such-command': 127,
      'echo "an open quote': 2,
      'cat <<EOF\nan open here-document': 0,
      '}; exit 0; {': 2,
      'readonly PATH; exit 5': 5,
      'export compops_dir=/nowhere compops_code=0; exit 6': 6,
      'cd ..; rm -rf work; exit 7': 7,
      'exec >/dev/null 2>&1 <&-; exit 8': 8,
    }
    const lines = Object.keys(codes)
    const cluster = service()
    const requests = lines.map(line => submitRequest({ source, spec: { script: [line] } }))
    const attempts = await Promise.all(requests.map(async r => watched(r, await start(cluster, r))))
    const seen = await until('the end of all jobs', async () => {
      const round = await cluster.observe(attempts)
      return attempts.every(attempt => round.seen.get(attempt.id)?.exit != null) ? round.seen : null
    })
    expect(Object.fromEntries(lines.map((line, i) => [line, seen.get(attempts[i]!.id)?.exit?.code]))).toEqual(codes)
  })

  test('a batch script of the repository is run as it stands', async () => {
    const { code, log } = await run({ script: null, file: { path: 'jobs/simulate.sh', interpreter: ['/bin/bash'] } })
    expect(code).toBe(4)
    expect(log).toBe('$ /bin/bash jobs/simulate.sh\nfrom the file: ./jobs/simulate.sh simulate\n')
  })

  test('one that is not in the commit is missed by name', async () => {
    const { code, log } = await run({ script: null, file: { path: 'jobs/gone.sh', interpreter: ['/bin/bash'] } })
    expect(code).toBe(127)
    expect(log).toContain('compops: ./jobs/gone.sh is not in this commit')
  })
})

describe('what a job finds', () => {
  test('its variables, parameters and checkout, hostile values as they are', async () => {
    const parentRunId = randomUUID()
    const hostile = `$(touch pwned)\`id\`'"\\\n#SBATCH --uid=0 -rf {a,b} é`
    const { request, log, code } = await run(
      {
        script: [
          'env -0 | sort -z | grep -z "^COMPOPS_\\|^MINE" | tr "\\0" "\\1"',
          'cat "$COMPOPS_PARAMS_FILE"',
          'pwd -P',
          'ls',
          '[ -d "$COMPOPS_OUTPUT_DIR" ]',
          'echo "<$TZ$LC_ALL>"',
        ],
        env: { MINE: hostile },
        params: { problem: hostile, degree: 12 },
      },
      { branch: hostile, parentBranch: 'calc/base', parentRunId, attempt: 2 },
    )
    expect(code).toBe(0)
    const value = (name: string) => new RegExp(`(?:^|\\x01|\\n)${name}=([^\\x01]*)`).exec(log)?.[1]
    expect(value('COMPOPS_BRANCH')).toBe(hostile)
    expect(value('MINE')).toBe(hostile)
    expect(value('COMPOPS_PARAM_PROBLEM')).toBe(hostile)
    expect(value('COMPOPS_PARAM_DEGREE')).toBe('12')
    expect(value('COMPOPS_RUN_ID')).toBe(request.runId)
    expect(value('COMPOPS_JOB')).toBe('simulate')
    expect(value('COMPOPS_ATTEMPT')).toBe('2')
    expect(value('COMPOPS_PROJECT')).toBe('physics/ising')
    expect(value('COMPOPS_SHA')).toBe('b'.repeat(40))
    expect(value('COMPOPS_PARENT_BRANCH')).toBe('calc/base')
    expect(value('COMPOPS_PARENT_DIR')).toBe(`${root}/42/runs/${parentRunId}/work`)
    expect(value('COMPOPS_ARRAY_INDEX')).toBe('')
    expect(log).toContain(`"problem": ${JSON.stringify(hostile)}`)
    expect(log).toContain(`\n${join(root, '42/runs', request.runId, 'work')}\n`)
    expect(log).toContain('\nREADME.md\njobs\n')
    expect(log).not.toContain('pwned\n')
    expect(log).toContain('\n<>\n')
  })

  test('the checkout that the jobs of its run share', async () => {
    const runId = crypto.randomUUID()
    await run({ script: ['echo 1 > mesh.dat'] }, { runId })
    const { log } = await run({ script: ['cat mesh.dat'] }, { runId })
    expect(log).toBe('$ cat mesh.dat\n1\n')
  })
})

describe('what a job leaves behind', () => {
  test('outputs by glob, with size and digest; hostile names, links and what lies outside', async () => {
    const { collected, request } = await run({
      script: [
        'mkdir -p results/deep "results/a b" outside && ln -s /etc results/etc && ln -s /etc/passwd results/link.csv && ln -s deep results/inner',
        `printf 1 > results/x.csv; printf 22 > results/deep/y.csv; printf 333 > $'results/a b/new\\nline\\\\n\\t"\\'$(id)<b>.csv'`,
        `printf 4 > 'results/-rf.csv'; printf 5 > 'results/a[0]$(touch pwned).csv'; mkfifo results/pipe.csv; mkdir results/dir.csv`,
        'printf 6 > "$COMPOPS_OUTPUT_DIR/z.csv"; printf 77 > single.txt; printf x > results/not-asked.txt',
      ],
      outputs: [
        'results/**/*.csv',
        'results/*.csv',
        'results/etc/*',
        'results/inner/*.csv',
        'single.txt',
        'z.csv',
        'nothing/*',
      ],
    })
    const work = join(root, '42/runs', request.runId, 'work')
    expect(collected.outputs.map(({ path, size }) => [path, size])).toEqual([
      ['results/-rf.csv', 1],
      [`results/a b/new\nline\\n\t"'$(id)<b>.csv`, 3],
      ['results/a[0]$(touch pwned).csv', 1],
      ['results/deep/y.csv', 2],
      ['results/x.csv', 1],
      ['single.txt', 2],
      ['z.csv', 1],
    ])
    expect(collected.outputsOmitted).toBe(0)
    expect(collected.outputs[4]).toEqual({
      path: 'results/x.csv',
      size: 1,
      sha256: '6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b',
      at: `${work}/results/x.csv`,
    })
    expect(collected.outputs[6]?.at).toBe(`${directory(request)}/output/z.csv`)
  })

  test('a directory stands for all that is in it', async () => {
    const { collected } = await run({
      script: ['mkdir -p results/a/b && touch results/1 results/a/2 results/a/b/3'],
      outputs: ['results/'],
    })
    expect(collected.outputs.map(({ path }) => path)).toEqual(['results/1', 'results/a/2', 'results/a/b/3'])
  })

  test('more outputs than are listed are counted', async () => {
    const { collected } = await run({
      script: ['mkdir many && cd many && seq 2050 | xargs touch'],
      outputs: ['many/*'],
    })
    expect(collected.outputs).toHaveLength(2_000)
    expect(collected.outputsOmitted).toBe(50)
  })

  test('metrics: numbers of a JSON object, nested ones by dotted names', async () => {
    const json = '{"energy":-1.5,"a":{"b":2},"s":"x","t":true,"n":null,"__proto__":{"p":3}}'
    const { collected } = await run({ script: [`echo '${json}' > m.json`], metrics: 'm.json' })
    expect(collected.metrics).toEqual({ energy: -1.5, 'a.b': 2, '__proto__.p': 3 })
    expect(collected.metricsProblem).toBeNull()
  })

  test('metrics of a table that grew: its names and its last row', async () => {
    const { collected } = await run({
      script: ['echo step,loss > m.csv', 'seq 1 40000 | sed "s/$/,0.12345/" >> m.csv', 'echo >> m.csv'],
      metrics: 'm.csv',
    })
    expect(collected).toMatchObject({ metrics: { step: 40_000, loss: 0.12345 }, metricsProblem: null })
  })

  test('metrics that are none, each with the reason', async () => {
    const problems: Record<string, string> = {
      true: 'the metrics file was not written',
      'echo NaN > m.json': 'the metrics file is not JSON',
      'echo [1] > m.json': 'the metrics file is not a JSON object',
      'ln -s /etc/passwd m.json': 'the metrics file is a link, or lies behind one',
      'mkdir m.json': 'the metrics file is not a file',
      'head -c 300000 /dev/zero > m.json': 'the metrics file is larger than 256 KiB',
    }
    const found = await Promise.all(
      Object.keys(problems).map(async line => {
        const { collected } = await run({ script: [line], metrics: 'm.json' })
        expect(collected.metrics).toEqual({})
        return [line, collected.metricsProblem]
      }),
    )
    expect(Object.fromEntries(found)).toEqual(problems)
  })

  test('the environment, with the modules that setup loaded', async () => {
    const { collected } = await run({ setup: ['export LOADEDMODULES=gcc/12:openmpi/4.1'], script: ['true'] })
    expect(collected.environment).toMatchObject({
      host: expect.any(String),
      system: expect.stringContaining('Linux'),
      bash: expect.stringMatching(/^\d/),
      modules: 'gcc/12:openmpi/4.1',
    })
  })

  test('the last lines of a long log, from the beginning of a line', async () => {
    const { collected } = await run({ script: ['seq 10000; printf "%s" "no newline at the end"'] })
    expect(collected.logSize).toBeGreaterThan(48_000)
    expect(collected.logTail.length).toBeLessThanOrEqual(16_384)
    expect(collected.logTail).toMatch(/^\d+\n\d+\n/)
    expect(collected.logTail).toMatch(/10000\nno newline at the end$/)
  })

  test('of a job that could not enter its directory, the reason', async () => {
    const cluster = service()
    const request = submitRequest({ source })
    await expect(cluster.collect(watched(request, null))).rejects.toThrow('was removed')
  })
})

describe('time, signals and cancellation', () => {
  test('a file about a time limit that the job wrote itself says nothing, and does not hold up the round of the others', async () => {
    const cluster = service()
    const jobs = await Promise.all(
      ['x', 'timeout 999999999999', 'timeout 1 \\035', 'timeout', ''].map(async text => {
        const request = submitRequest({ source, spec: { script: [`printf '${text}\\n' >"\${0%/*}/killed.0"`] } })
        return { request, nativeId: await start(cluster, request) }
      }),
    )
    for (const { request, nativeId } of jobs)
      expect(await ended(cluster, request, nativeId)).toMatchObject({ queue: null, exit: { code: 0 } })
  })

  test('a time limit ends the commands, which may write what they have, and is the reason', async () => {
    const { seen, code, log } = await run({
      resources: { time: 1 },
      script: ['trap "echo saved; exit 0" TERM', 'while :; do sleep 0.1; done'],
    })
    expect(seen.queue).toMatchObject({ state: 'ended', verdict: 'timeout', nativeState: 'TIMEOUT' })
    expect(code).toBe(0)
    expect(log).toMatch(/\ncompops: the time limit of 1 s is reached\n(?:Terminated\n)?saved\n$/)
  })

  test('a cancelled job is gone with all its processes, and has come to its last act', async () => {
    const cluster = service()
    const request = submitRequest({
      source,
      spec: { script: ['echo 1 > begun', 'sleep 1000 & sleep 1000'], outputs: ['begun'] },
    })
    const nativeId = await start(cluster, request)
    await until('the job to run', async () =>
      (await cluster.collect(watched(request, nativeId))).logTail.includes('sleep 1000'),
    )
    expect(await cluster.cancel([watched(request, nativeId)])).toEqual(new Map([[request.attemptId, 'gone']]))
    expect(await look(cluster, request, nativeId)).toMatchObject({ queue: null, exit: { code: 143 } })
    expect((await cluster.collect(watched(request, nativeId))).outputs).toMatchObject([{ path: 'begun' }])
    await nobodyLeft(request)
  })

  test('one that ignores TERM is killed', async () => {
    const cluster = service()
    const request = submitRequest({
      source,
      spec: { script: ['trap "" TERM', 'echo ready; while :; do sleep 0.1; done'] },
    })
    const nativeId = await start(cluster, request)
    await until('the job to run', async () =>
      (await cluster.collect(watched(request, nativeId))).logTail.includes('\nready\n'),
    )
    expect(await cluster.cancel([watched(request, nativeId)])).toEqual(new Map([[request.attemptId, 'gone']]))
    await nobodyLeft(request)
  })

  test('cancelling one job leaves the others alone', async () => {
    const cluster = service()
    const [one, two] = [
      submitRequest({ source, spec: { script: ['sleep 1000'] } }),
      submitRequest({ source, spec: { script: ['sleep 1000'] } }),
    ]
    const [first, second] = [await start(cluster, one), await start(cluster, two)]
    await cluster.cancel([watched(one, first)])
    const round = await cluster.observe([watched(one, first), watched(two, second)])
    expect(round.seen.get(one.attemptId)?.queue).toBeNull()
    expect(round.seen.get(two.attemptId)?.queue?.state).toBe('running')
    await cluster.cancel([watched(two, second)])
  })

  test('what the commands left in the background ends with the job', async () => {
    const { request, code } = await run({ script: ['sleep 1000 &', 'echo $! > left'] })
    expect(code).toBe(0)
    const pid = Number(readFileSync(join(root, '42/runs', request.runId, 'work/left'), 'utf8'))
    expect(Number.isSafeInteger(pid)).toBe(true)
    await nobodyLeft(request)
  })
})

describe('the service ends while a job runs', () => {
  test('the job goes on, and the next service sees it running and then its end', async () => {
    const first = service()
    const request = submitRequest({ source, spec: { script: ['until [ -e go ]; do sleep 0.1; done', 'exit 3'] } })
    const nativeId = await start(first, request)
    await first.close()
    const second = service()
    expect((await look(second, request, nativeId)).queue).toMatchObject({ nativeId, state: 'running' })
    expect(await second.submit(request)).toMatchObject({ kind: 'accepted', nativeId })
    writeFileSync(join(root, '42/runs', request.runId, 'work/go'), '')
    expect((await ended(second, request, nativeId)).exit).toMatchObject({ nativeId, code: 3 })
  })

  test('a process that has the pid of an ended job is a stranger', async () => {
    const cluster = service()
    const request = submitRequest({ source, spec: { script: ['sleep 1000'] } })
    const nativeId = await start(cluster, request)
    const [pid = '', begun = ''] = nativeId.split('.')
    expect((await look(cluster, request, `${pid}.${Number(begun) + 1}`)).queue).toBeNull()
    await cluster.cancel([watched(request, nativeId)])
  })

  test('an attempt whose id was never kept is found by its name while it runs', async () => {
    const cluster = service()
    const request = submitRequest({ source, spec: { script: ['sleep 1000'] } })
    const nativeId = await start(cluster, request)
    await until('its claim', () => existsSync(join(directory(request), 'started.0')))
    rmSync(join(directory(request), 'id'))
    rmSync(join(directory(request), 'started.0'))
    expect(await service().submit(request)).toMatchObject({ kind: 'accepted', nativeId })
    await cluster.cancel([watched(request, null)])
    expect((await look(cluster, request, nativeId)).queue).toBeNull()
  })
})

describe('an array', () => {
  const work = (request: SubmitRequest) => join(root, '42/runs', request.runId, 'work')

  async function startArray(
    script: string[],
    array: AttemptArray,
    spec: Partial<JobSpec> = {},
    cluster = service(),
  ): Promise<{ cluster: Cluster; request: SubmitRequest; attempt: WatchedAttempt }> {
    const { tasks, throttle } = array
    const request = submitRequest({ source, array, spec: { script, array: { tasks, throttle }, ...spec } })
    const nativeId = await start(cluster, request)
    const list = readTasks(tasks).map(index => ({ index, native: index }))
    return { cluster, request, attempt: { ...watched(request, nativeId), tasks: list } }
  }

  const seenOf = async (cluster: Cluster, attempt: WatchedAttempt) =>
    (await cluster.observe([attempt])).tasks!.get(attempt.id)!
  const allEnded = (cluster: Cluster, attempt: WatchedAttempt) =>
    until('all tasks to end', async () => {
      const seen = await seenOf(cluster, attempt)
      return [...seen.values()].every(task => task.exit !== null) ? seen : null
    })
  const turn = { renumbered: false } as const

  test('runs as many tasks at once as it may, the others wait, and each has its own state, number and exit code', async () => {
    const { cluster, request, attempt } = await startArray(
      ['until [ -e "go.$COMPOPS_ARRAY_INDEX" ]; do sleep 0.1; done', 'exit $COMPOPS_ARRAY_INDEX'],
      { tasks: '0,2-3,7', throttle: 2, ...turn },
    )
    const go = (n: number) => writeFileSync(join(work(request), `go.${n}`), '')
    const states = async () =>
      Object.fromEntries(
        [...(await seenOf(cluster, attempt))].map(([n, seen]) => [n, seen.exit?.code ?? seen.queue?.state]),
      )
    await until(
      'two to run',
      async () => JSON.stringify(await states()) === '{"0":"running","2":"running","3":"queued","7":"queued"}',
    )
    const waiting = (await seenOf(cluster, attempt)).get(7)!
    expect(waiting).toMatchObject({ queue: { nativeId: attempt.nativeId, reason: 'AtOnce' }, started: null })
    expect(cluster.inWords('AtOnce')).toBe('as many of its tasks run as may at once')
    go(2)
    await until(
      'the next to run',
      async () => JSON.stringify(await states()) === '{"0":"running","2":2,"3":"running","7":"queued"}',
    )
    for (const n of [0, 3, 7]) go(n)
    const seen = await allEnded(cluster, attempt)
    expect([...seen].map(([n, task]) => [n, task.exit!.code, task.exit!.nativeId, task.queue])).toEqual(
      [0, 2, 3, 7].map(n => [n, n, attempt.nativeId, null]),
    )
    await until('nothing of it to be left', async () => !(await cluster.observe([])).others!.has(request.attemptId))
  })

  test('without a limit has as many at once as there are processors', async () => {
    const { cluster, attempt } = await startArray(['sleep 1000'], { tasks: '1-200', throttle: null, ...turn })
    const running = await until('some to run', async () => {
      const seen = [...(await seenOf(cluster, attempt)).values()]
      const n = seen.filter(task => task.queue?.state === 'running').length
      return n >= Math.min(200, availableParallelism()) ? n : null
    })
    expect(running).toBeLessThanOrEqual(cpus().length)
    await cluster.cancel([attempt])
  })

  test('is submitted once, is found by its name, and goes on when the service ends', async () => {
    const first = service()
    const started = await startArray(
      ['echo ran >>"ran.$COMPOPS_ARRAY_INDEX"', 'until [ -e go ]; do sleep 0.1; done'],
      { tasks: '1-3', throttle: 1, ...turn },
      {},
      first,
    )
    const { request, attempt } = started
    await first.close()
    const second = service()
    rmSync(join(directory(request), 'id'))
    await until('its claim', () => existsSync(join(directory(request), 'started.array')))
    rmSync(join(directory(request), 'started.array'))
    for (const name of readdirSync(directory(request)).filter(name => name.startsWith('started.')))
      rmSync(join(directory(request), name))
    expect(await second.submit(request)).toMatchObject({ kind: 'accepted', nativeId: attempt.nativeId })
    writeFileSync(join(directory(request), 'started.array'), `${attempt.nativeId} 1700000000\n`)
    writeFileSync(join(work(request), 'go'), '')
    await allEnded(second, attempt)
    for (const n of [1, 2, 3]) expect(readFileSync(join(work(request), `ran.${n}`), 'utf8')).toBe('ran\n')
  })

  test('that is cancelled starts no more tasks, and those that run can write what they have', async () => {
    const { cluster, request, attempt } = await startArray(
      [
        'trap \'echo saved >"saved.$COMPOPS_ARRAY_INDEX"; exit 3\' TERM',
        'echo x >"up.$COMPOPS_ARRAY_INDEX"',
        'while :; do sleep 0.1; done',
      ],
      { tasks: '1-4', throttle: 2, ...turn },
    )
    await until('two to run', () => [1, 2].every(n => existsSync(join(work(request), `up.${n}`))))
    expect((await cluster.cancel([attempt])).get(attempt.id)).toBe('gone')
    const seen = await seenOf(cluster, attempt)
    expect([1, 2].map(n => seen.get(n)?.exit?.code)).toEqual([3, 3])
    expect([3, 4].map(n => seen.get(n))).toEqual(
      Array(2).fill({ queue: null, accounting: 'off', exit: null, started: null }),
    )
    expect(
      readdirSync(work(request))
        .filter(name => name.startsWith('saved'))
        .sort(),
    ).toEqual(['saved.1', 'saved.2'])
    expect(readdirSync(work(request))).not.toContain('up.3')
  })

  test('whose tasks do not listen is ended all the same', { timeout: 60_000 }, async () => {
    const { cluster, request, attempt } = await startArray(
      ["trap '' TERM", 'echo x >"up.$COMPOPS_ARRAY_INDEX"', 'while :; do sleep 0.1; done'],
      { tasks: '1-2', throttle: 2, ...turn },
    )
    await until('both to run', () => [1, 2].every(n => existsSync(join(work(request), `up.${n}`))))
    const groups = [1, 2].map(n => Number(readFileSync(join(directory(request), `group.${n}`), 'utf8').split('.')[0]))
    expect((await cluster.cancel([attempt])).get(attempt.id)).toBe('gone')
    for (const group of groups)
      await until('the commands to be gone', () => {
        try {
          process.kill(-group, 0)
          return false
        } catch {
          return true
        }
      })
  })

  test('the time limit is that of each task, and only the task that reached it has timed out', {
    timeout: 60_000,
  }, async () => {
    const { cluster, attempt } = await startArray(
      ['[ "$COMPOPS_ARRAY_INDEX" != 0 ] || sleep 1000'],
      { tasks: '0-1', throttle: 2, ...turn },
      { resources: { time: 2 } },
    )
    const seen = await allEnded(cluster, attempt)
    expect(seen.get(0)).toMatchObject({ queue: { verdict: 'timeout', nativeState: 'TIMEOUT' } })
    expect(seen.get(1)).toMatchObject({ queue: null, exit: { code: 0 } })
  })

  test('whose own process is killed leaves the tasks that run to their end, and does not show those that waited as ended well', async () => {
    const { cluster, request, attempt } = await startArray(
      ['echo x >"up.$COMPOPS_ARRAY_INDEX"', 'until [ -e go ]; do sleep 0.1; done'],
      { tasks: '1-2', throttle: 1, ...turn },
    )
    await until('the first to run', () => existsSync(join(work(request), 'up.1')))
    process.kill(Number(attempt.nativeId!.split('.')[0]), 'SIGKILL')
    await until('its process to be gone', async () => (await seenOf(cluster, attempt)).get(2)?.queue === null)
    expect((await seenOf(cluster, attempt)).get(1)).toMatchObject({ queue: { state: 'running' } })
    writeFileSync(join(work(request), 'go'), '')
    await until('the first to end', async () => (await seenOf(cluster, attempt)).get(1)?.exit?.code === 0)
    expect((await seenOf(cluster, attempt)).get(2)).toMatchObject({ queue: null, exit: null, started: null })
  })
})

test('dependencies are for the service to keep', () => {
  expect(service().nativeDependencies).toBe(false)
  expect(() => service().plan(submitRequest({ source, dependsOn: ['1.2'] }))).not.toThrow()
})

describe('a job that may run again', () => {
  const checkpoint = { signal: 'USR1', lead: 58, restarts: 10 } as const

  test('finds what its earlier attempts have left, and how many have begun', async () => {
    const ids = { runId: '0190f3c2-7d00-7abc-8def-0123456789ab', jobId: '0190f3c2-7d00-7abc-8def-0123456789ac' }
    const spec = {
      retry: { total: 1, rules: {} },
      script: ['echo "$COMPOPS_RESTART" >> "$COMPOPS_CHECKPOINT_DIR/starts"', 'cat "$COMPOPS_CHECKPOINT_DIR/starts"'],
    }
    const first = await run(spec, ids)
    const siblings = [first.request.attemptId]
    expect((await run(spec, { ...ids, attempt: 2, restart: 1, siblings })).log).toMatch(/^0\n1$/m)
  })

  test('gets the signal so long before its time limit, and an end with another code after it counts as the limit', async () => {
    const { seen, log, code } = await run({
      resources: { time: 60 },
      checkpoint,
      script: ["trap 'echo saved; exit 85' USR1", 'while sleep 0.1; do true; done'],
    })
    expect(log).toContain('saved')
    expect(code).toBe(85)
    expect(seen.exit?.ended).toEqual({ kind: 'signaled', signal: 'USR1' })
  })

  test('that finishes after the signal has completed; what its shell has started never got it', async () => {
    const { seen } = await run({
      resources: { time: 60 },
      checkpoint,
      script: ["trap 'touch told' USR1", 'while [ ! -e told ]; do sleep 0.1; done'],
    })
    expect(seen.exit).toMatchObject({ code: 0 })
    expect(seen.exit?.ended).toBeUndefined()
  })

  test('tells whether the file is there that its chain waits for, and only where it ended well', async () => {
    const chain = { segments: 3, until: 'out/converged' }
    const leave = 'mkdir -p out && touch out/converged'
    expect((await run({ chain, script: [leave] })).seen.exit?.ended).toEqual({ kind: 'reached' })
    expect((await run({ chain, script: [leave, 'exit 3'] })).seen.exit?.ended).toBeUndefined()
    expect((await run({ chain, script: ['true'] })).seen.exit?.ended).toBeUndefined()
  })
})
