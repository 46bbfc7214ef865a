import { describe, expect, test } from 'vitest'
import type { BranchAnswer, JobAnswer, PlanAnswer, RunAnswer, RunSummary } from '../../src/model/api.ts'
import { renderTree } from '../../src/render/branch-tree.ts'
import { inline, prose } from '../../src/render/markdown.ts'
import { plain } from '../../src/render/plain.ts'
import { renderPlan } from '../../src/render/plan-table.ts'
import { renderRun, renderRuns } from '../../src/render/run-table.ts'

const now = new Date('2026-11-20T13:00:00Z')
const id = '0190f3c2-0000-7000-8000-000000000000'

const summary: RunSummary = {
  ...{ id, project: 'physics/heat', branch: 'calc/heat', sha: '1adad2a7'.repeat(5), subject: 'finer mesh' },
  ...{ state: 'running', jobs: { completed: 1, running: 1 }, cause: 'head:1' },
  ...{ caused_by: null, caused_how: 'push by alice', problem: null },
  ...{ created_at: '2026-11-20T12:00:00.000Z', ended_at: null, superseded_by: null },
}

function job(name: string, more: Partial<JobAnswer> = {}): JobAnswer {
  return {
    ...{ id, name, state: 'completed', reason: null, message: null, cluster: 'falcon', scheduler: null },
    ...{ needs: [], resources: {}, progress: null, metrics: {}, tasks: null, attempts: [attempt], ...more },
  }
}

const attempt: JobAnswer['attempts'][number] = {
  ...{ id, number: 1, native_id: '4711', state: 'completed', reason: null, message: null, queue: 'main', nodes: [] },
  ...{ submitted_at: '2026-11-20T12:00:00.000Z', started_at: '2026-11-20T12:00:12.000Z' },
  ...{ ended_at: '2026-11-20T12:02:22.000Z', exit_code: 0, signal: null, max_rss_bytes: null, cpu_seconds: null },
}

const open = { ...attempt, ended_at: null, exit_code: null, native_id: '4712' }
const run: RunAnswer = {
  ...summary,
  ...{ parent: { branch: 'calc/base', why: 'parent:' }, problems: [], removed: [] },
  job_list: [
    job('mesh', { metrics: { cells: 41_200 } }),
    job('simulate', { state: 'running', progress: { percent: 40.2, text: '' }, attempts: [open] }),
    job('sweep', {
      ...{ state: 'failed', reason: 'exit', message: '1 of 3 tasks failed: exit 3' },
      ...{ tasks: { total: 3, states: { completed: 2, failed: 1 }, failed: [2] } },
      attempts: [
        { ...attempt, exit_code: 3, number: 1 },
        { ...attempt, exit_code: 3, number: 2 },
      ],
    }),
    job('post', { state: 'waiting', message: 'waits for simulate', attempts: [] }),
  ],
}

describe('a run in a terminal', () => {
  test('each job in a line', () => {
    expect(renderRun(run, { now })).toBe(`
  ◐ running  calc/heat at 1adad2a7 · 1 of 4 jobs done · child of calc/base
  finer mesh · push by alice, 1 h ago · ${id}

  JOB       STATE            WHERE        WAITED  RAN
  mesh      ● completed      falcon 4711  12 s    2 m 10 s   cells 41200
  simulate  ◐ running, 40 %  falcon 4712  12 s    59 m 48 s
  sweep     ✕ failed         falcon 4711  12 s    2 m 10 s   exit 3 · attempt 2 · 2 completed, 1 failed
  post      ○ waiting        falcon       -       -          waits for simulate

`)
  })

  test('in colours only where they are wanted, and no wider than the terminal', () => {
    const coloured = renderRun(run, { now, colour: true, width: 60 })
    expect(coloured).toContain('\x1b[31m✕ failed\x1b[39m')
    const plain = coloured.replace(/\x1b\[\d+m/g, '')
    expect(
      Math.max(
        ...plain
          .split('\n')
          .slice(4)
          .map(line => line.length),
      ),
    ).toBeLessThanOrEqual(60)
    expect(renderRun(run, { now })).not.toContain('\x1b')
  })

  test('what others wrote steers no terminal', () => {
    const hostile = { ...run, subject: 'a\x1b[2Jb', job_list: [job('x', { state: 'held', message: 'c\x9b1md\ne' })] }
    const text = renderRun(hostile, { now })
    expect(text).not.toMatch(/[\0-\x09\x0b-\x1f\x7f-\x9f]/)
    expect(text.split('\n')).toHaveLength(8)
  })

  test('runs as a list, and a file that is wrong with its line', () => {
    expect(
      renderRuns([summary, { ...summary, branch: 'main', state: 'failed', jobs: {}, problem: 'no jobs' }], { now }),
    ).toBe(
      `  BRANCH     STATE      JOBS  COMMIT    WHEN
  calc/heat  ◐ running  1/2   1adad2a7  1 h ago  finer mesh
  main       ✕ failed   -     1adad2a7  1 h ago  no jobs
`,
    )
    const wrong = { path: 'jobs', line: 7, column: 1, message: '`x` is no key.', remedy: 'Did you mean `y`?' }
    expect(renderRun({ ...run, problems: [wrong], job_list: [] }, { now })).toContain(
      '  line 7: `x` is no key. Did you mean `y`?\n',
    )
  })
})

describe('the tree in a terminal', () => {
  const branch = (name: string, parent: string | null): BranchAnswer => ({
    ...{ name, state: 'active', head: null, stale: null, run: { ...summary, branch: name } },
    parent: parent === null ? null : { branch: parent, why: '' },
  })
  const tree = (...branches: BranchAnswer[]) => ({ project: 'physics/heat', branches, whole: true })

  test('each branch below its parent, also below one that computes nothing', () => {
    const all = tree(
      branch('calc/base', 'main'),
      branch('calc/heat', 'calc/base'),
      branch('calc/heat/4d', 'calc/heat'),
      branch('calc/wave', 'calc/base'),
      branch('calc/alone', null),
    )
    expect(renderTree(all, { now, here: 'calc/heat' })).toBe(`
  calc/alone             ◐ running  1/2  1adad2a7  1 h ago
  main
  └─ calc/base           ◐ running  1/2  1adad2a7  1 h ago
     ├─ calc/heat *      ◐ running  1/2  1adad2a7  1 h ago
     │  └─ calc/heat/4d  ◐ running  1/2  1adad2a7  1 h ago
     └─ calc/wave        ◐ running  1/2  1adad2a7  1 h ago

`)
    expect(renderTree(all, { now, from: 'calc/heat' })).toBe(`
  calc/heat        ◐ running  1/2  1adad2a7  1 h ago
  └─ calc/heat/4d  ◐ running  1/2  1adad2a7  1 h ago

`)
    expect(renderTree(all, { now, from: 'calc/none' })).toBe('')
  })

  test('what was computed from an older result says so', () => {
    const stale = { branch: 'calc/base', sha: '62a2ce6f'.repeat(5), run: id }
    expect(renderTree(tree({ ...branch('calc/heat', null), stale }), { now })).toContain(
      'stale: calc/base has a newer result, 62a2ce6f',
    )
  })

  test('branches that name each other, or themselves, as parent are still all shown', () => {
    const text = renderTree(tree(branch('a', 'b'), branch('b', 'a'), branch('c', 'c'), branch('d', 'a')), { now })
    for (const name of ['a', 'b', 'c', 'd']) expect(text).toMatch(new RegExp(`(^|[ ─]) ?${name} +◐`, 'm'))
  })
})

describe('a plan in a terminal', () => {
  const cost = { core_hours: 2, gpu_hours: 0, unknown: [] }
  const plan: PlanAnswer = {
    ...{
      branch: 'calc/heat',
      sha: '1adad2a7'.repeat(5),
      refused: null,
      problems: [],
      explained: null,
      notices: [],
      left_out: [],
      cost,
      approval: null,
    },
    jobs: [
      {
        ...{ name: 'solve', cluster: 'falcon', needs: ['mesh'], tasks: '0-9', cost, values: [], problem: null },
        resources: { time: 7_200, mem: 2_048, cpus_per_task: 4, 'of a later version': [1] },
        script: [
          { text: '#SBATCH --mem=2G', from: '.compops.yml line 3' },
          { text: '  echo \x1b[2J', from: null },
        ],
      },
    ],
  }

  test('what each job asks for and costs at most, and on demand each line with where it came from', () => {
    expect(renderPlan(plan, { scripts: true })).toBe(`
  calc/heat at 1adad2a7: 1 job, at most 2 core-h

  JOB          CLUSTER  NEEDS  ASKS FOR                                                  AT MOST
  solve [0-9]  falcon   mesh   time 2h, mem 2G, cpus_per_task 4, of a later version [1]  2 core-h

  solve
    #SBATCH --mem=2G  ← .compops.yml line 3
      echo

`)
    const refused = renderPlan({ ...plan, refused: 'main is the default branch' }, { scripts: false })
    expect(refused).toContain('A push would run nothing: main is the default branch.')
  })
})

test('what is written for GitLab is read without its escapes', () => {
  const hostile = 'a*b_c <script> @alice #1 `code` \\ end'
  expect(plain(inline(hostile, 200))).toBe(hostile)
  expect(plain(prose('Cancelled: `solve`, 2 of *3*.'))).toBe('Cancelled: solve, 2 of *3*.')
  expect(plain('x\x1b[2Jy')).toBe('x [2Jy')
})
