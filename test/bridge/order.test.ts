import { describe, expect, it } from 'vitest'
import { renderJUnit } from '../../src/bridge/junit.ts'
import { jobName, readOrder } from '../../src/bridge/order.ts'
import { wholeLines } from '../../src/bridge/tell-log.ts'
import type { Config, ProjectConfig } from '../../src/config/index.ts'

const cluster = (name: string, scheduler: string) => ({ name, scheduler, defaults: {}, allowDirectives: ['*'] })
const config = { clusters: [cluster('falcon', 'slurm'), cluster('laptop', 'local')] } as unknown as Config
const rule = { clusters: ['falcon', 'laptop'] } as unknown as ProjectConfig

const read = (form: Record<string, string>) => readOrder({ config }, rule, { mode: 'detach', name: 'solve', ...form })
const jobOf = (form: Record<string, string>) => JSON.parse(read(form).own!).jobs.solve
const refusal = (form: Record<string, string>) => {
  try {
    read(form)
    return null
  } catch (error) {
    const { status, message } = error as { status: number; message: string }
    return `${status}: ${message}`
  }
}

describe('the order of a CI job', () => {
  it('names jobs of .compops.yml, or none for all of them', () => {
    expect(read({ job: 'mesh, solve' })).toEqual({
      mode: 'detach',
      jobs: ['mesh', 'solve'],
      own: null,
      maxWait: null,
      gate: null,
    })
    expect(read({ max_wait: '12h' }).maxWait).toBe(43_200)
  })

  it('brings work of its own, which becomes a file like any other', () => {
    expect(
      jobOf({
        script: 'make\nmake test',
        nodes: '2',
        time: '01:30:00',
        outputs: 'a/*\nb/*\n',
        'env.A': '1',
        'env.LINES': `it's\n$(id)`,
      }),
    ).toEqual({
      script: ['make\nmake test'],
      ...{ nodes: 2, time: '01:30:00', outputs: ['a/*', 'b/*'], env: { A: '1' } },
      setup: [`export LINES='it'\\''s\n$(id)'`],
    })
  })

  it('understands what was written for Jacamar: SCHEDULER_PARAMETERS, as the scheduler would read it', () => {
    expect(
      jobOf({
        script: 'srun ./a',
        SCHEDULER_PARAMETERS: '--account=hpc --partition=dc-gpu -N 2 --time=00:30:00 --gres=gpu:4 --hint=nomultithread',
      }),
    ).toMatchObject({
      ...{ account: 'hpc', partition: 'dc-gpu', nodes: 2, time: '30m', gres: 'gpu:4' },
      directives: ['--hint=nomultithread'],
    })
    expect(refusal({ script: 'x', SCHEDULER_PARAMETERS: '-N 2', cluster: 'laptop' })).toMatch(
      /^422: laptop \(local\) has no batch options/,
    )
  })

  it('understands the variables of CSCS, and what is said by our own names comes first', () => {
    expect(
      jobOf({
        script: 'x',
        SLURM_PARTITION: 'normal',
        SLURM_TIMELIMIT: '00:10:00',
        SLURM_JOB_NUM_NODES: '4',
        SLURM_NTASKS: '16',
        partition: 'debug',
      }),
    ).toMatchObject({ partition: 'debug', time: '00:10:00', nodes: 4, ntasks: 16 })
  })

  it.each([
    [{ mode: 'later' }, '400: mode is one of attach, detach, gate'],
    [{ colour: 'red' }, '400: colour is nothing that a CI job can say here'],
    [{ job: 'solve', script: 'x' }, '422: A CI job names a `job` of .compops.yml, or brings'],
    [{ job: 'solve', nodes: '2' }, '422: `nodes` is for a `script` or `file`'],
    [{ script: 'x', nodes: '2; rm' }, '422: nodes is a whole number'],
    [{ script: 'x', 'env.A-B': '1' }, '422: "A-B" is no name of a variable'],
    [{ max_wait: 'soon' }, '422: max_wait: This is not a time'],
    [{ job: 'so\0lve' }, '422: "job" holds a NUL byte'],
    [{ script: 'true', name: '\0' }, '422: "name" holds a NUL byte'],
    [{ mode: 'gate', gate: 'deploy', script: 'true' }, '422: The service does not play "deploy": of this project only'],
    [{ mode: 'gate' }, '400: A gate needs the name of the manual CI job'],
  ])('is refused where it says %j', (form, answer) => {
    expect(refusal(form)).toContain(answer)
  })

  it('names a gate that the site has played for CI jobs, by its own globs or as the templates name it', () => {
    expect(read({ mode: 'gate', gate: 'compops: [1]', script: 'true' }).gate).toBe('compops: [1]')
    const open = (gates: string[], gate: string) => () =>
      readOrder({ config }, { ...rule, gates }, { mode: 'gate', gate, script: 'true' }).gate
    expect(open(['solve', 'mesh-*'], 'mesh-1')()).toBe('mesh-1')
    expect(open(['solve', 'mesh-*'], 'compops')).toThrow('named `solve`, `mesh-*` may be gates')
    expect(open([], 'compops')).toThrow('named (none)')
  })

  it('gets a name that a job may have', () => {
    expect(['solve: [1, 2]', '../x', '🚀', 'a'.repeat(99)].map(jobName)).toEqual([
      'solve-1-2',
      'x',
      'job',
      'a'.repeat(60),
    ])
    const begun = performance.now()
    expect(jobName(`a${'.'.repeat(1_000_000)}b`)).toMatch(/^a/)
    expect(performance.now() - begun).toBeLessThan(2_000)
  })
})

describe('what a CI job is told', () => {
  it('of a log that goes on ends with a line, so that no secret is told in two halves', () => {
    expect(wholeLines(Buffer.from('one\ntw'), false)).toEqual({ bytes: Buffer.from('one\n'), rest: 2 })
    expect(wholeLines(Buffer.from('tw'), false).bytes.length).toBe(0)
    expect(wholeLines(Buffer.from('one\ntw'), true)).toEqual({ bytes: Buffer.from('one\ntw'), rest: 0 })
  })

  it('as JUnit is well-formed, whatever jobs wrote', () => {
    const junit = renderJUnit('main', [
      { name: 'a"<b>', state: 'failed', seconds: 1.5, message: 'exit: code 3', log: '\x1b[31m]]> & \0 <end>\x1b[0m' },
      { name: 'c', state: 'completed', seconds: 2, message: '', log: '' },
      { name: 'd', state: 'skipped', seconds: 0, message: 'a failed', log: '' },
    ])
    expect(junit).toContain('tests="3" failures="1" skipped="1"')
    expect(junit).toContain('name="a&#34;&#60;b&#62;"')
    expect(junit).toContain('>]]&#62; &#38;  &#60;end&#62;</failure>')
  })
})
