import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, vi } from 'vitest'
import { jobs, runs } from '../../src/store/schema.ts'
import { ciJobIs } from '../support/ci.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// gitlab-runner's calls of a custom executor, replayed: the runner itself is not at hand.
vi.setConfig({ testTimeout: 240_000 * patience })

interface Call {
  readonly step: string
  readonly args: readonly string[]
  readonly script?: string
}

const recorded = JSON.parse(
  readFileSync(new URL('../fixtures/gitlab-runner/custom-executor.json', import.meta.url), 'utf8'),
) as { environment: Record<string, string>; calls: Call[] }
const program = fileURLToPath(new URL('../../src/cli/compops.ts', import.meta.url))

interface Runner {
  /** Calls the driver as the runner would; without an end the call goes on. */
  begin(
    call: Call,
    stage: string,
    script: string,
  ): Promise<{ child: ChildProcess; end: Promise<{ code: number | null; out: string }> }>
  call(call: Call, stage: string, script: string): Promise<{ code: number | null; out: string }>
  readonly builds: string
  readonly codeFile: string
  readonly environment: Record<string, string>
}

async function runnerOf(world: World, more: Record<string, string> = {}): Promise<Runner> {
  world.simulator.settings.ciJobs = 'wait'
  const sha = await world.push('feature/x', { '.gitlab-ci.yml': 'solve:\n  script: [x]\n' })
  const job = await ciJobIs(world, sha, 'solve', ['pending'])
  const [builds, tmp] = [join(world.place, 'builds'), join(world.place, 'runner')]
  await mkdir(tmp, { recursive: true })
  const codeFile = join(tmp, 'exit-code')
  const environment = {
    ...recorded.environment,
    ...{
      PATH: process.env.PATH ?? '',
      HOME: tmp,
      TMPDIR: tmp,
      BUILD_EXIT_CODE_FILE: codeFile,
      CUSTOM_ENV_BUILDS: builds,
    },
    CUSTOM_ENV_CI_JOB_ID: String(job.id),
    CUSTOM_ENV_COMPOPS_ID_TOKEN: world.simulator.idToken(job.id, world.url),
    ...more,
  }
  let number = 0
  const begin: Runner['begin'] = async (call, stage, script) => {
    const file = join(tmp, `script.${number++}`)
    await writeFile(
      file,
      `#!/usr/bin/env bash\nset -eo pipefail\n${call.script === 'PERSON' ? script : (call.script ?? ':')}\n`,
    )
    const args = call.args.map(arg => (arg === 'SCRIPT' ? file : arg === 'STAGE' ? stage : arg))
    const child = spawn(
      process.execPath,
      [program, 'executor', call.step, '--url', world.url, '--builds-dir', builds, ...args],
      { env: environment, stdio: ['ignore', 'pipe', 'pipe'], detached: true },
    )
    const out: Buffer[] = []
    child.stdout.on('data', chunk => out.push(chunk))
    child.stderr.on('data', chunk => out.push(chunk))
    return {
      child,
      end: new Promise(resolve => child.once('close', code => resolve({ code, out: Buffer.concat(out).toString() }))),
    }
  }
  return { begin, call: async (...all) => (await begin(...all)).end, builds, codeFile, environment }
}

const personal = recorded.calls.find(call => call.script === 'PERSON')!

describe.concurrent('the custom executor', () => {
  it.each(['step_script', 'build_script'])(
    'runs %s on the cluster, and everything else of a job on the runner',
    stage =>
      inWorld({}, async world => {
        const runner = await runnerOf(world, { CUSTOM_ENV_SECRET: 'masked-in-gitlab' })
        const script = `export SECRET=masked-in-gitlab\ncd ${runner.builds}/heat\nread -r n < input\necho "on the cluster: $n $COMPOPS_JOB"\necho $((n + 1)) > output`
        const said: string[] = []
        for (const call of recorded.calls) {
          const { code, out } = await runner.call(call, stage, script)
          expect([call.step, call.args[1], code, out]).toEqual([call.step, call.args[1], 0, out])
          said.push(out)
        }
        expect(JSON.parse(said[0]!)).toMatchObject({ builds_dir: runner.builds, driver: { name: 'compops' } })
        const all = said.join('')
        expect([all.includes('on the runner'), all.includes('on the cluster: 42 solve'), all.includes('43')]).toEqual([
          true,
          true,
          true,
        ])
        // The job's variables are neither in our rows nor left behind.
        const { db } = world.service.context
        expect(JSON.stringify([await db.select().from(jobs), await db.select().from(runs)])).not.toContain(
          'masked-in-gitlab',
        )
        expect(await readdir(join(runner.builds, '.compops'))).toEqual([])
      }),
  )

  it("tells the job's own failure from ours, by the codes that the runner wants", () =>
    inWorld({}, async world => {
      const runner = await runnerOf(world)
      const { code, out } = await runner.call(personal, 'step_script', 'echo going; exit 9')
      expect([code, out]).toEqual([31, expect.stringContaining('going')])
      expect(await readFile(runner.codeFile, 'utf8')).toBe('9')
      Object.assign(runner.environment, { CUSTOM_ENV_COMPOPS_ID_TOKEN: 'no.token.atall' })
      expect((await runner.call(personal, 'step_script', 'true')).code).toBe(32)
      Object.assign(runner.environment, { CUSTOM_ENV_COMPOPS_ID_TOKEN: '' })
      const without = await runner.call({ step: 'prepare', args: [] }, '', '')
      expect([without.code, without.out]).toEqual([31, expect.stringContaining('has no id_token')])
      expect((await runner.call({ step: 'cleanup', args: [] }, '', '')).code).toBe(0)
    }))

  it('shows no more of a long log than the runner keeps, its last lines, and where all of it is', () =>
    inWorld({}, async world => {
      const runner = await runnerOf(world, { CUSTOM_ENV_COMPOPS_LOG_LIMIT: '20000' })
      const { code, out } = await runner.call(personal, 'step_script', 'seq 1 300000; echo the very end; exit 9')
      expect([code, await readFile(runner.codeFile, 'utf8'), out.length < 40_000]).toEqual([31, '9', true])
      expect(out).toMatch(/^1\n2\n3$/m)
      expect(out).toMatch(/^the very end\ncompops: .* bytes are left out before these last lines; all of it: laptop:/m)
    }))

  it.each(['SIGTERM', 'SIGKILL'] as const)('ends the batch job when the driver is ended by %s', signal =>
    inWorld({}, async world => {
      const states = async () => (await world.service.context.db.select().from(jobs)).map(job => job.state)
      const runner = await runnerOf(world)
      const run = await runner.begin(personal, 'step_script', 'sleep 600')
      await until('the batch job to run', async () => (await states()).includes('running'), 60)
      process.kill(-run.child.pid!, signal)
      expect((await run.end).code).toBe(signal === 'SIGTERM' ? 31 : null)
      // What could not end it itself is ended by the call that always comes.
      expect((await runner.call({ step: 'cleanup', args: [] }, '', '')).code).toBe(0)
      expect(await states()).toEqual(['canceled'])
      expect(await readdir(join(runner.builds, '.compops'))).toEqual([])
    }),
  )
})
