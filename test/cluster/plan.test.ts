import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { renderAbout } from '../../src/cluster/about.ts'
import { openCluster } from '../../src/cluster/cluster.ts'
import { checkRoot, jobName, pathsOf, sourceName } from '../../src/cluster/layout.ts'
import { submitInput } from '../../src/cluster/submit.ts'
import type { Remote } from '../../src/remote/remote.ts'
import { dialectOf } from '../../src/scheduler/index.ts'
import { submitRequest } from './requests.ts'

const dialect = dialectOf('slurm')
const unreachable: Remote = {
  description: 'nowhere',
  run: () => Promise.reject(new Error('no connection is needed for this')),
  stats: () => ({
    connects: 0,
    commands: 0,
    openChannels: 0,
    connectedSince: null,
    unreachableSince: null,
    lastError: null,
  }),
  close: async () => {},
}
const cluster = openCluster({ name: 'falcon', dialect, remote: unreachable, root: '/scratch/compops/' })
const uuid = (n: number) => `00000000-0000-4000-8000-00000000000${n}`
const source = { sha: 'c'.repeat(40), path: '/nowhere', size: 10_240 }
const request = submitRequest({
  runId: uuid(1),
  jobId: uuid(2),
  attemptId: uuid(3),
  source,
  dependsOn: ['12'],
  spec: {
    script: ['make'],
    resources: { partition: 'main', nodes: 2 },
    directives: ['--hint=nomultithread'],
    origins: {
      partition: 'default of cluster falcon',
      nodes: '.compops.yml line 12',
      'directives[0]': '.compops.yml line 14',
      script: '.compops.yml line 9',
    },
  },
})

test('a plan needs no connection and says where each value came from', () => {
  const plan = cluster.plan(request)
  expect(plan.lines).toEqual([
    { text: '#SBATCH --partition=main', from: 'default of cluster falcon' },
    { text: '#SBATCH --nodes=2', from: '.compops.yml line 12' },
    { text: '#SBATCH --hint=nomultithread', from: '.compops.yml line 14' },
    { text: 'make', from: '.compops.yml line 9' },
  ])
  expect(plan.script).toContain('\n#SBATCH --nodes=2\n')
  expect(plan.userScript).toContain('\nmake\n')
})

/** By a tar that is not ours. */
function unpacked(tar: Buffer): Record<string, string> {
  const list = execFileSync('tar', ['-tf', '-'], { input: tar, encoding: 'utf8' }).trim().split('\n')
  return Object.fromEntries(
    list.map(name => [name, execFileSync('tar', ['-xOf', '-', name], { input: tar, encoding: 'utf8' })]),
  )
}

test('what a submission sends, line by line', () => {
  const { lines, files } = submitInput(
    { name: 'falcon', dialect, root: '/scratch/compops', settle: 90, events: false },
    request,
  )
  const plan = cluster.plan(request)
  const attempt = `/scratch/compops/42/runs/${uuid(1)}/jobs/${uuid(2)}/${uuid(3)}`
  const about = renderAbout(request)
  expect(lines).toEqual([
    '/scratch/compops/42',
    `/scratch/compops/42/runs/${uuid(1)}`,
    attempt,
    `${'c'.repeat(40)}.tar`,
    '10240',
    `compops-${uuid(3)}`,
    '90',
    '',
    String(files.length),
    '0',
    '11',
    `--job-name=compops-${uuid(3)}`,
    '--comment=physics/ising calc/4d simulate by ada',
    `--output=${attempt}/scheduler.log`,
    '--open-mode=append',
    `--chdir=/scratch/compops/42/runs/${uuid(1)}/work`,
    '--no-requeue',
    '--kill-on-invalid-dep=no',
    '--dependency=afterok:12',
    '--partition=main',
    '--nodes=2',
    '--hint=nomultithread',
  ])
  expect(unpacked(files)).toEqual({ script: plan.script, commands: plan.userScript, 'params.json': '{}\n', about })
})

describe('paths are made of ids, and of nothing else', () => {
  const ids = { projectId: 42, runId: uuid(1), jobId: uuid(2), attemptId: uuid(3) }

  test('layout', () => {
    expect(pathsOf('/scratch', ids)).toEqual({
      project: '/scratch/42',
      run: `/scratch/42/runs/${uuid(1)}`,
      work: `/scratch/42/runs/${uuid(1)}/work`,
      attempt: `/scratch/42/runs/${uuid(1)}/jobs/${uuid(2)}/${uuid(3)}`,
      output: `/scratch/42/runs/${uuid(1)}/jobs/${uuid(2)}/${uuid(3)}/output`,
      checkpoints: `/scratch/42/runs/${uuid(1)}/checkpoints/${uuid(2)}`,
      cache: '/scratch/42/cache',
    })
    expect(sourceName('a'.repeat(64))).toBe(`${'a'.repeat(64)}.tar`)
    expect(jobName(uuid(3))).toBe(`compops-${uuid(3)}`)
  })

  test.each([
    '..',
    '../../etc',
    '',
    'x',
    `${uuid(1)}\n`,
    `${uuid(1)}/..`,
    '__proto__',
    uuid(1).toUpperCase().replace('0', 'A'),
  ])('%j is not one of our ids', id => {
    expect(() => pathsOf('/scratch', { ...ids, runId: id })).toThrow('is not one of our ids')
    expect(() => jobName(id)).toThrow('is not one of our ids')
  })

  test.each([0, -1, 1.5, Number.NaN])('%d is not the id of a project', projectId => {
    expect(() => pathsOf('/scratch', { ...ids, projectId })).toThrow('is not the id of a project')
  })

  test.each(['', 'main', '../x', 'HEAD', `${'a'.repeat(40)}\n`])('%j is not a sha', sha => {
    expect(() => sourceName(sha)).toThrow('is not the sha of a commit')
  })

  test.each(['', 'scratch', './x', '~/compops', '/a/../b', '/a\nb', '/a\\b', '/a%j'])('%j is no root', root => {
    expect(() => checkRoot(root)).toThrow('must be an absolute path')
    expect(() => openCluster({ name: 'x', dialect, remote: unreachable, root })).toThrow('must be an absolute path')
  })

  test('a trailing slash is no difference', () => {
    expect(checkRoot('/scratch//')).toBe('/scratch')
  })
})
