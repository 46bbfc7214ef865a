import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { attempts, runs } from '../../src/store/schema.ts'
import { busyboxAlone, ciJobEnds, included, runsCi, traceOf } from '../support/ci.ts'
import { patience } from '../support/patience.ts'
import { inWorld, type World } from '../support/world.ts'

// What a CI job shows of what its batch job printed: as much as GitLab keeps, and where the rest is.
vi.setConfig({ testTimeout: 300_000 * patience })

const size = 200 * 1024 * 1024
const noisy = `{ yes 'step 4711: energy 42.0' || :; } 2>/dev/null | head -c ${size - 14}; printf '\\nthe very end\\n'; exit 3`

/** The most that this process, service and simulated GitLab in one, held at once beyond what it held before, in bytes. */
async function heldDuring<T>(work: () => Promise<T>): Promise<{ held: number; result: T }> {
  const now = () => {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const before = now()
  let [most, going] = [0, true]
  const watch = (async () => {
    while (going) {
      most = Math.max(most, now() - before)
      await sleep(20)
    }
  })()
  const result = await work().finally(() => {
    going = false
  })
  await watch
  return { held: most, result }
}

const lastAttempt = async (world: World) => (await world.service.context.db.select().from(attempts)).at(-1)!

/** A shell that may not have the log in memory, nor may anything that it starts. */
const within = (kilobytes: number, shell: string) => ['sh', '-c', `ulimit -v ${kilobytes}; exec ${shell} "$0"`]

describe('a log of 200 MB', () => {
  it.each(['dash and curl', 'busybox alone'])(
    'is shown as far as GitLab keeps it, with its last lines, the verdict, and where all of it is: %s',
    programs =>
      inWorld({}, async world => {
        if (programs === 'dash and curl') runsCi(world, within(180_000, 'dash'))
        else {
          const { busybox, path } = await busyboxAlone(join(world.place, 'busybox'))
          runsCi(world, [busybox, ...within(32_000, `${busybox} sh`)], path)
        }
        const { held, result: job } = await heldDuring(async () => {
          const sha = await world.push('main', included(world, 'attach', { script: noisy }))
          return ciJobEnds(world, sha, 'compops', 150)
        })
        const trace = traceOf(world, job)
        const attempt = await lastAttempt(world)
        const seconds = (Date.now() - attempt.endedAt!.getTime()) / 1_000
        expect([job.status, job.exitCode, trace.slice(-2_000)]).toEqual([
          'failed',
          3,
          expect.stringContaining('exit code 3'),
        ])
        // Something of the beginning, the end, and what was left out between.
        expect(trace.match(/^step 4711/gm)!.length).toBeGreaterThan(50_000)
        expect(trace).toMatch(/^the very end$/m)
        expect(trace).not.toContain('exceeded limit')
        const said =
          /printed (\d+) bytes, more than log_limit: (\d+) bytes are left out before these last lines; all of it: laptop:(\S+);/.exec(
            trace,
          )
        const printed = Number(said?.[1])
        // What prepared the job may have said something, too.
        expect([printed >= size, printed < size + 1_000, Number(said?.[2]) > size - 4_000_000]).toEqual([
          true,
          true,
          true,
        ])
        expect((await stat(said![3]!)).size).toBe(printed)
        const [run] = await world.service.context.db.select().from(runs)
        expect(trace).toContain(`compops logs ${run!.id} compops`)
        expect(held / 1024 / 1024).toBeLessThan(100)
        expect(seconds).toBeLessThan(45 * patience)
      }),
  )
})

describe.concurrent('of an array', () => {
  it('each task has a section with the end of its log, those that failed first and unfolded', () =>
    inWorld({}, async world => {
      runsCi(world, ['dash'])
      const sha = await world.push('main', {
        ...included(world, 'attach', { job: 'sweep' }),
        '.compops.yml':
          'jobs:\n  sweep:\n    array: 1-4\n    script: ["echo this is $COMPOPS_ARRAY_INDEX", "[ $COMPOPS_ARRAY_INDEX != 3 ] || exit 9"]\n',
      })
      const job = await ciJobEnds(world, sha, 'compops', 120)
      const trace = traceOf(world, job)
      expect([job.status, job.exitCode, trace]).toEqual(['failed', 9, expect.stringContaining('1 of 4 tasks')])
      const sections = [...trace.matchAll(/section_start:\d+:compops_task_(\d)(\[collapsed=true\])?\r/g)]
      expect(sections.map(([, task, folded]) => [task, folded !== undefined])).toEqual([
        ['3', false],
        ['1', true],
        ['2', true],
        ['4', true],
      ])
      expect(trace).toContain('task 3 is failed (exit 9)')
      for (const task of ['1', '2', '3', '4'])
        expect(trace.match(new RegExp(`^this is ${task}$`, 'gm'))).toHaveLength(1)
    }))

  it.each([
    ['twenty', '3500000'],
    ['as many as there is room for', '4000'],
  ])('with many tasks %s are shown, and where the others are', (many, log_limit) =>
    inWorld({}, async world => {
      runsCi(world)
      const sha = await world.push('main', {
        ...included(world, 'attach', { job: 'sweep', log_limit }),
        '.compops.yml':
          'jobs:\n  sweep:\n    array: 0-29\n    script: ["echo this is $COMPOPS_ARRAY_INDEX", "[ $COMPOPS_ARRAY_INDEX -lt 25 ]"]\n',
      })
      const job = await ciJobEnds(world, sha, 'compops', 150)
      const trace = traceOf(world, job)
      const tasks = [...trace.matchAll(/section_start:\d+:compops_task_(\d+)/g)].map(([, task]) => task)
      expect([job.status, tasks.slice(0, 6)]).toEqual(['failed', ['25', '26', '27', '28', '29', '0']])
      expect(many === 'twenty' ? tasks.length === 20 : tasks.length < 20).toBe(true)
      const where = `${tasks.length} of 30 tasks are shown, failed ones first; the others: compops logs \\S+ sweep --task N`
      expect(trace).toMatch(new RegExp(where))
    }),
  )
})
