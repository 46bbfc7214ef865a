import { describe, expect, test } from 'vitest'
import { describeProblem, parseSpec, type SharedFile } from '../../src/spec/index.ts'
import { contextWith } from '../support/spec-context.ts'

const shared: Record<string, string> = {
  'group/shared@v2:jobs.yml':
    'include: /more.yml\ndefaults: { time: 2h, partition: long }\njobs:\n  .gpu: { gpus: 1 }\n  mesh: { script: [make mesh], nodes: 4 }\n',
  'group/shared@sha-of-v2:more.yml': 'jobs: { more: { script: [from more] } }',
  'group/shared@HEAD:wrong.yml': 'jobs:\n  bad: { script: x, nodse: 3 }\n',
  'group/shared@HEAD:broken.yml': 'jobs: {',
}

async function read(text: string, files: Record<string, string> = {}) {
  const asked: string[] = []
  const result = await parseSpec(text, {
    ...contextWith(files),
    async readShared(project, ref, path): Promise<SharedFile> {
      const name = `${project}@${ref ?? 'HEAD'}:${path}`
      asked.push(name)
      const found = shared[name]
      return found === undefined
        ? { ok: false, message: `There is no ${path} in ${project}.`, remedy: null }
        : { ok: true, text: found, sha: ref === 'v2' ? 'sha-of-v2' : (ref ?? 'sha-of-head') }
    },
  })
  return { result, asked, mistakes: 'problems' in result ? result.problems.map(describeProblem) : [] }
}

describe('include', () => {
  test('a file of another project comes first, this file over it; where each value came from is told, and at which commit', async () => {
    const { result, mistakes, asked } = await read(`include: [{ project: group/shared, ref: v2, file: jobs.yml }]
defaults: { time: 1h }
jobs:
  mesh: { nodes: 2 }
  solve: { extends: .gpu, needs: [mesh], script: [./solve] }
`)
    expect(mistakes).toEqual([])
    if (!('spec' in result)) throw new Error('no spec')
    // What it includes itself is of its own project, at the same commit.
    expect(asked).toEqual(['group/shared@v2:jobs.yml', 'group/shared@sha-of-v2:more.yml'])
    const jobs = Object.fromEntries(result.spec.jobs.map(job => [job.name, job]))
    expect(Object.keys(jobs)).toEqual(['more', 'mesh', 'solve'])
    expect(jobs.mesh).toMatchObject({
      script: ['make mesh'],
      resources: { nodes: 2, time: 3_600, partition: 'long' },
      origins: {
        nodes: '.compops.yml line 4',
        time: '.compops.yml line 2',
        script: 'group/shared@v2:jobs.yml line 5',
        partition: 'group/shared@v2:jobs.yml line 2',
      },
    })
    expect(jobs.solve?.resources.gpus).toEqual({ type: null, count: 1 })
    expect(result.includes).toEqual([
      { project: 'group/shared', ref: 'v2', sha: 'sha-of-v2', file: 'jobs.yml' },
      { project: 'group/shared', ref: 'v2', sha: 'sha-of-v2', file: 'more.yml' },
    ])
  })

  test('a file of the repository needs no more than its path, and may hold all the jobs', async () => {
    const files = {
      'ci/a.yml': 'jobs: { a: { script: [x] } }',
      'ci/b.yml': 'jobs: { a: { script: [y] }, b: { script: [z] } }',
    }
    const { result } = await read('include: [ci/a.yml, { local: /ci/b.yml }]', files)
    expect('spec' in result && result.spec.jobs.map(job => [job.name, job.script])).toEqual([
      ['a', ['y']],
      ['b', ['z']],
    ])
    expect('spec' in result && result.includes).toEqual([])
  })

  test('a mistake names the file that it is in, and its line there', async () => {
    expect((await read('include: { project: group/shared, file: wrong.yml }')).mistakes).toEqual([
      '`group/shared@HEAD:wrong.yml`, line 2: `nodse` is not a key of a job. Did you mean `nodes`?',
    ])
    const [broken] = (await read('include: { project: group/shared, file: broken.yml }\njobs: { a: { script: x } }'))
      .mistakes
    expect(broken).toMatch(/^`group\/shared@HEAD:broken\.yml`, line 1: /)
  })

  test.each<[string, Record<string, string>, string]>([
    [
      'include: nothing.yml',
      {},
      '`.compops.yml`, line 1: There is no file `nothing.yml` in this commit. Commit it, or correct the path; it begins at the top folder of the repository.',
    ],
    [
      'include: { project: group/shared, file: gone.yml }',
      {},
      '`.compops.yml`, line 1: There is no gone.yml in group/shared.',
    ],
    [
      'include: { remote: "https://x.example/a.yml" }',
      {},
      '`.compops.yml`, line 1: `remote` cannot be included here. Include a file of this repository (`local`) or of a project of this GitLab (`project`, `ref`, `file`).',
    ],
    [
      'include: { project: group/shared }',
      {},
      '`.compops.yml`, line 1: It must say which file is included. Write `{ local: jobs/common.yml }` or `{ project: group/shared, ref: v2, file: jobs.yml }`.',
    ],
    [
      'include: { project: ../x, file: a.yml }',
      {},
      '`.compops.yml`, line 1: `../x` cannot be a project. Write its path in this GitLab: `group/shared`.',
    ],
    [
      'include: { project: group/shared, ref: --help, file: a.yml }',
      {},
      '`.compops.yml`, line 1: `--help` cannot be a branch, a tag or a commit. Write for example `ref: v2`.',
    ],
    [
      'include: { local: "../../etc/passwd" }',
      {},
      '`.compops.yml`, line 1: `../../etc/passwd` leads out with `..`. Write the path of one file, from the top folder of its repository.',
    ],
    [
      'include: a.yml',
      { 'a.yml': 'parent: calc/x' },
      '`a.yml`, line 1: `parent` cannot stand in a file that is included. Write it in `.compops.yml`.',
    ],
    [
      'include: a.yml',
      { 'a.yml': 'include: b.yml', 'b.yml': 'include: a.yml' },
      '`b.yml`, line 1: `a.yml` includes itself. Take it out.',
    ],
    [
      `include: [${Array.from({ length: 25 }, () => 'a.yml')}]`,
      { 'a.yml': 'jobs: { a: { script: x } }' },
      '`.compops.yml`, line 1: More than 20 files are included. Make one file of several.',
    ],
  ])('%s', async (text, files, expected) => {
    expect((await read(text, files)).mistakes).toContain(expected)
  })

  test('what no file may hold is refused in one that is included too', async () => {
    expect((await read('include: a.yml', { 'a.yml': 'jobs: { a: { script: "x\u0007" } }' })).mistakes).toContain(
      '`.compops.yml`, line 1: `a.yml` holds a control character. Take it out there.',
    )
  })

  test('too deep and too large are refused', async () => {
    const chain = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`${i}.yml`, `include: ${i + 1}.yml`]))
    expect((await read('include: 0.yml', chain)).mistakes).toContain(
      '`4.yml`, line 1: Files include each other more than 5 deep. Include them here.',
    )
    const large = { 'a.yml': `jobs: { a: { script: [${'x'.repeat(300_000)}] } }` }
    expect((await read('include: a.yml', large)).mistakes).toContain(
      '`.compops.yml`, line 1: `a.yml` makes the file larger than 256 KiB. Move data into files of their own.',
    )
  })

  test('an outage while they are read is not the fault of the file', async () => {
    const away = { ...contextWith(), readShared: () => Promise.reject(new Error('GitLab is away')) }
    await expect(parseSpec('include: { project: group/shared, file: a.yml }', away)).rejects.toThrow('GitLab is away')
  })
})
