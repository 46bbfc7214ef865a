import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import type { JobSpec } from '../../src/model/job-spec.ts'
import { dialects } from '../../src/scheduler/index.ts'
import { quote, quoteArray } from '../../src/scheduler/quote.ts'
import { paramVariables, planLines, renderCommands, renderParams, renderScript } from '../../src/scheduler/script.ts'
import { jobRequest } from './requests.ts'

const slurm = dialects.slurm!
const local = dialects.local!

const simulate: Partial<JobSpec> = {
  setup: ['module load openmpi'],
  script: ['make', 'srun ./simulate --degree "$COMPOPS_PARAM_DEGREE"', 'if true; then\n  echo "it\'s done"\nfi'],
  resources: { partition: 'main', nodes: 2, ntasks: 8, time: 14_400, mem: 2048, gpus: { type: 'a100', count: 2 } },
  env: { OMP_NUM_THREADS: '4', QUOTED: `it's "here" $(id)` },
  params: { problem: '4d_benchmark', degree: 12 },
  outputs: ['results/**/*.csv', "it's/*.txt"],
  metrics: 'results/metrics.json',
  directives: ['--hint=nomultithread'],
}

describe('the whole script', () => {
  test.each([
    ['slurm-least', slurm, {}],
    ['slurm-simulate', slurm, simulate],
    ['local-simulate', local, { ...simulate, directives: [] }],
  ] as const)('%s', async (file, dialect, spec) => {
    const script = renderScript(jobRequest(spec), dialect)
    await expect(script).toMatchFileSnapshot(`../fixtures/scheduler/scripts/${file}.sh`)
    execFileSync('bash', ['-n'], { input: script })
  })

  test('its head, to be read beside sbatch(1)', () => {
    expect(renderScript(jobRequest(simulate), slurm).split('\n').slice(0, 37).join('\n')).toBe(`#!/bin/bash -l
#SBATCH --partition=main
#SBATCH --time=04:00:00
#SBATCH --nodes=2
#SBATCH --ntasks=8
#SBATCH --mem=2048M
#SBATCH --gpus=a100:2
#SBATCH --hint=nomultithread
# compops-00000000-0000-4000-8000-000000000003; everything below is the same for every job
compops_dir='/scratch/attempt'
compops_work='/scratch/work'
compops_output='/scratch/attempt/output'
compops_events=''
compops_env=(
  'OMP_NUM_THREADS=4'
  'QUOTED=it'\\''s "here" $(id)'
)
compops_variables=(
  'COMPOPS_PARAM_PROBLEM=4d_benchmark'
  'COMPOPS_PARAM_DEGREE=12'
  'COMPOPS_RUN_ID=00000000-0000-4000-8000-000000000001'
  'COMPOPS_JOB=simulate'
  'COMPOPS_BRANCH=calc/4d'
  'COMPOPS_OUTPUT_DIR=/scratch/attempt/output'
  'COMPOPS_CACHE=/scratch/cache'
  'COMPOPS_PARAMS_FILE=/scratch/attempt/params.json'
)
compops_array=
compops_indexes=()
compops_array_variable=
compops_patterns=(
  'results/**/*.csv'
  'it'\\''s/*.txt'
)
compops_metrics='results/metrics.json'
compops_secrets=
compops_seconds='14400'`)
  })

  test('no value begins a line: an LSF or PBS would look for directives in each', () => {
    const hostile = 'x\n#SBATCH --uid=0\n#BSUB -u root'
    const request = jobRequest(
      { env: { A: hostile }, params: { b: hostile } },
      { variables: { COMPOPS_BRANCH: hostile } },
    )
    const script = renderScript(request, slurm)
    expect(script.split('\n').filter(line => /^#(SBATCH|BSUB)/.test(line))).toEqual([])
    expect(script).toContain(`$'COMPOPS_BRANCH=x\\012#SBATCH --uid=0\\012#BSUB -u root'`)
  })

  test.each([
    [{ outputs: ['../secret'] }, '"../secret" leaves the checkout'],
    [{ outputs: ['/etc/*'] }, '"/etc/*" leaves the checkout'],
    [{ outputs: ['a\nb'] }, 'leaves the checkout'],
    [{ metrics: 'a/../../b' }, 'leaves the checkout'],
    [{ env: { 'A B': 'x' } }, '"A B" cannot be the name of an environment variable'],
    [{ env: { 'A=B;rm': 'x' } }, 'cannot be the name of an environment variable'],
    [{ env: { A: 'x\0y' } }, 'NUL'],
    [{ params: { 'a-b': 1, a_b: 2 } }, 'the params a-b and a_b would both be COMPOPS_PARAM_A_B: rename one of them'],
  ] as const)('%j is refused', (spec, message) => {
    expect(() => renderScript(jobRequest(spec), slurm)).toThrow(message)
  })
})

describe("the researcher's commands, in a file of their own", () => {
  test('stand as they were written, each shown before it runs', () => {
    const lines = renderCommands(jobRequest(simulate)).split('\n')
    expect(lines.slice(0, 4)).toEqual([
      `printf '%s\\n' "$$" >'/scratch/attempt/pid.'"\${COMPOPS_ARRAY_INDEX:-0}"`,
      'set -eo pipefail',
      `printf '%s\\n' '$ module load openmpi'`,
      'module load openmpi',
    ])
    expect(lines.slice(lines.indexOf('unset compops_tool') + 1)).toEqual([
      `printf '%s\\n' '$ make'`,
      'make',
      `printf '%s\\n' '$ srun ./simulate --degree "$COMPOPS_PARAM_DEGREE"'`,
      'srun ./simulate --degree "$COMPOPS_PARAM_DEGREE"',
      `printf '%s\\n' '$ if true; then # collapsed multi-line command'`,
      'if true; then',
      `  echo "it's done"`,
      'fi',
      '',
    ])
  })

  test('a batch script is run by its own interpreter', () => {
    const request = jobRequest({ script: null, file: { path: "jobs/it's.sh", interpreter: ['/bin/bash', '-l'] } })
    expect(renderCommands(request).split('\n').slice(-4)).toEqual([
      `printf '%s\\n' '$ /bin/bash -l jobs/it'\\''s.sh'`,
      `[ -f './jobs/it'\\''s.sh' ] || { printf 'compops: %s is not in this commit\\n' './jobs/it'\\''s.sh'; exit 127; }`,
      `exec '/bin/bash' '-l' './jobs/it'\\''s.sh'`,
      '',
    ])
    expect(() =>
      renderCommands(jobRequest({ script: null, file: { path: '../x', interpreter: ['/bin/sh'] } })),
    ).toThrow('leaves the checkout')
  })
})

test('what a person sees before a submission', () => {
  expect(planLines(jobRequest(simulate), slurm)).toEqual([
    { text: '#SBATCH --partition=main', key: 'partition' },
    { text: '#SBATCH --time=04:00:00', key: 'time' },
    { text: '#SBATCH --nodes=2', key: 'nodes' },
    { text: '#SBATCH --ntasks=8', key: 'ntasks' },
    { text: '#SBATCH --mem=2048M', key: 'mem' },
    { text: '#SBATCH --gpus=a100:2', key: 'gpus' },
    { text: '#SBATCH --hint=nomultithread', key: 'directives[0]' },
    { text: 'module load openmpi', key: 'setup[0]' },
    { text: 'make', key: 'script[0]' },
    { text: 'srun ./simulate --degree "$COMPOPS_PARAM_DEGREE"', key: 'script[1]' },
    { text: 'if true; then\n  echo "it\'s done"\nfi', key: 'script[2]' },
  ])
})

test('parameters as variables and as a file', () => {
  const params = {
    problem: '4d',
    degree: 12,
    deep: { a: [1, 2] },
    flag: true,
    nothing: null,
    long: 'x'.repeat(200_000),
  }
  expect(paramVariables(params)).toEqual({
    COMPOPS_PARAM_PROBLEM: '4d',
    COMPOPS_PARAM_DEGREE: '12',
    COMPOPS_PARAM_DEEP: '{"a":[1,2]}',
    COMPOPS_PARAM_FLAG: 'true',
    COMPOPS_PARAM_NOTHING: '',
  })
  expect(JSON.parse(renderParams(params))).toEqual(params)
})

test('a word of bash is the value, whatever it holds', () => {
  const values = ['', 'a b', `it's`, '$(id) `id` "x" \\', 'a\nb\tc\x1b[31m\x7f', '-rf', '!x', 'ünï', "\\'\n'"]
  for (const value of values) expect(execFileSync('bash', ['-c', `printf %s ${quote(value)}`]).toString()).toBe(value)
  const array = execFileSync('bash', ['-c', `a=${quoteArray(values)}; printf '<%s>' "\${a[@]}"`]).toString()
  expect(array).toBe(values.map(value => `<${value}>`).join(''))
  expect(() => quote('a\0b')).toThrow('NUL')
})
