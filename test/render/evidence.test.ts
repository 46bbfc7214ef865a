import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { branchPage } from '../../src/render/branch-page.ts'
import { renderEvidence } from '../../src/render/evidence.ts'
import { branchPath, evidencePath, relativeUrl } from '../../src/render/links.ts'
import { renderReadme } from '../../src/render/readme.ts'
import { hostileTexts } from './hostile.ts'
import {
  accounting,
  at,
  attempt,
  collected,
  completed,
  history,
  job,
  mesh,
  neighbours,
  options,
  run,
  spec,
  sweep,
} from './sample.ts'

const failed = run([mesh, sweep], {
  endedAt: at('14:33:02'),
  parent: {
    branch: 'calc/heat',
    why: 'target of merge request !7',
    by: 'merge request',
    sha: '62a2ce6f0011223344556677889900aabbccddee',
  },
  parentRunId: '0190e1aa-0000-7abc-8def-0123456789ab',
})

describe('the record of a run', () => {
  test('whole', async () => {
    await expect(renderEvidence(failed)).toMatchFileSnapshot('./expected/evidence.yml')
  })

  test('a wrong file', async () => {
    const problems = [
      {
        path: 'jobs',
        line: 7,
        column: 5,
        message: '`cpus_per_taks` is not a key of a job.',
        remedy: 'Did you mean `cpus_per_task`?',
      },
    ]
    const wrong = run([], { problem: 'the file is wrong', parent: null, spec: { sha256: 'ab', problems } })
    await expect(renderEvidence(wrong)).toMatchFileSnapshot('./expected/evidence-wrong-file.yml')
  })

  test('the same facts give the same bytes, in whatever order they come', () => {
    const turned = <T extends object>(value: T): T => Object.fromEntries(Object.entries(value).reverse()) as T
    const again = {
      ...failed,
      jobs: failed.jobs.toReversed().map(each => ({
        ...each,
        spec: { ...each.spec, resources: turned(each.spec.resources), params: turned(each.spec.params) },
        attempts: each.attempts.map(one => ({
          ...one,
          collected: one.collected && {
            ...one.collected,
            outputs: one.collected.outputs.toReversed(),
            metrics: turned(one.collected.metrics),
            environment: turned(one.collected.environment),
          },
        })),
      })),
    }
    expect(renderEvidence(again)).toBe(renderEvidence(failed))
    expect(renderEvidence(structuredClone(failed))).toBe(renderEvidence(failed))
  })

  test('units that can be copied back, and fits of a second', () => {
    const each = job('x', 'completed', {
      spec: spec('x', {
        time: 5400,
        mem: 1536,
        gpus: { type: 'a100', count: 2 },
        gpus_per_node: { type: null, count: 1 },
        exclusive: true,
      }),
      attempts: [
        attempt({
          accounting: accounting({ cpuSeconds: 0.2, maxRss: 512 }),
          startedAt: new Date('2026-11-20T14:30:00.999Z'),
        }),
      ],
    })
    const { requested, used, started_at } = parse(renderEvidence(run([each]))).jobs.x.attempts[0]
    expect(requested).toEqual({ time: '1h30m', mem: '1536M', gpus: 'a100:2', gpus_per_node: 1, exclusive: true })
    expect(used).toEqual({ cpu: '0s', max_rss: '512B' })
    expect(started_at).toBe('2026-11-20T14:30:00Z')
  })

  test.each(['4711', '0x1F', '1e3', '12:30', 'no', 'null', '~', '4711.server', '123_4', '-1'])(
    'native id %s is text to every reader',
    nativeId => {
      const text = renderEvidence(run([job('x', 'completed', { attempts: [attempt({ nativeId })] })]))
      expect(text).toContain(`native_id: "${nativeId}"`)
    },
  )

  test.each(['no', 'yes', 'on', 'off', '12:30:45', '0777', '2026-11-20', 'null', '~', '<<', '='])(
    '%s is quoted where YAML 1.1 would read something else',
    branch => {
      expect(renderEvidence(run([mesh], { branch }))).toContain(branch === '=' ? 'branch: =' : `branch: "${branch}"`)
    },
  )

  test.each(hostileTexts)('every reader gets back what was written: %j', text => {
    const whole = text.toWellFormed()
    const each = job(whole, 'failed', {
      reason: 'exit',
      message: text,
      spec: spec(whole, { partition: whole }, { params: { [whole]: whole }, directives: [whole] }),
      attempts: [
        attempt({
          nativeId: whole,
          nodes: [whole],
          collected: collected({
            outputs: [{ path: whole, size: 1, sha256: null, at: whole }],
            metrics: { [whole]: 0.5 },
            environment: { host: whole },
          }),
        }),
      ],
    })
    const record = parse(renderEvidence(run([each], { branch: whole, commit: { author: text, subject: text } })), {
      uniqueKeys: true,
      mapAsMap: true,
    })
    const found = record.get('jobs').get(whole)
    expect(record.get('branch')).toBe(whole)
    expect(found.get('attempts')[0].get('native_id')).toBe(whole)
    expect(found.get('attempts')[0].get('requested').get('partition')).toBe(whole)
    expect(found.get('params').get(whole)).toBe(whole)
    expect(found.get('metrics').get(whole)).toBe(0.5)
    expect(found.get('outputs')[0].get('path')).toBe(whole)
    expect(found.get('directives')).toEqual([whole])
  })

  test('names of the language are names like any other', () => {
    const jobs = ['__proto__', 'constructor', 'toString'].map(name => job(name, 'completed'))
    const record = parse(renderEvidence(run(jobs)), { mapAsMap: true })
    expect([...record.get('jobs').keys()]).toEqual(['__proto__', 'constructor', 'toString'])
  })
})

describe('the pages of the evidence branch', () => {
  test('a branch', async () => {
    const page = branchPage({ ...options, ...neighbours, run: failed, at: at('14:33:02'), stale: true, history })
    await expect(page.md).toMatchFileSnapshot('./expected/branch.md')
    await expect(page.yml).toMatchFileSnapshot('./expected/branch.yml')
  })

  test('where things lie', () => {
    expect(evidencePath(failed)).toBe('runs/calc/heat/4d/1adad2a7-0190f3c2-7d00-7abc-8def-0123456789ab.yml')
    expect(branchPath('calc/heat/4d', 'md')).toBe('branches/calc/heat/4d.md')
    expect(relativeUrl('branches/calc/heat/4d.md', 'README.md')).toBe('../../../README.md')
    expect(relativeUrl('branches/a b/#1.md', 'branches/50%.md')).toBe('../../branches/50%25.md')
  })

  const node = (branch: string, parent: string | null, hour: number | null) => ({
    branch,
    parent,
    state: hour === null ? null : ('completed' as const),
    stale: false,
    latest:
      hour === null
        ? null
        : {
            id: `run-${branch}`,
            branch,
            sha: completed.sha,
            createdAt: at(`${hour}:00:00`),
            endedAt: at(`${hour}:41:00`),
            words: '4 of 4 jobs completed',
            coreSeconds: 36_000,
          },
  })

  test('the index, newest first', async () => {
    const nodes = [
      node('main', null, 10),
      node('calc/new', 'main', null),
      node('calc/heat', 'main', 12),
      { ...node('calc/heat/4d', 'calc/heat', 11), stale: true },
    ]
    const text = renderReadme({ ...options, projectPath: 'physics/heat', nodes })
    await expect(text).toMatchFileSnapshot('./expected/readme.md')
    expect(renderReadme({ ...options, projectPath: 'physics/heat', nodes: nodes.toReversed() })).toBe(text)
  })

  test('no branch yet', () => {
    const text = renderReadme({ ...options, projectPath: 'physics/heat', nodes: [] })
    expect(text).toMatch(/^# Computations of physics\/heat\n\n/)
    expect(text).not.toContain('|')
  })

  test('very many branches are counted, with a link', () => {
    const nodes = Array.from({ length: 1000 }, (_, i) => node(`calc/b${i}`, 'main', 10))
    const text = renderReadme({ ...options, projectPath: 'physics/heat', nodes })
    expect(text).toContain('[and 900 more branches](https://compops.example.org)')
    expect(text.match(/^\| \[/gm)).toHaveLength(100)
  })

  test.each(hostileTexts)('tables hold: %j', text => {
    const view = {
      ...options,
      projectPath: text,
      nodes: [{ ...node(text, text, 10), stale: true }, node('b', text, null)],
    }
    for (const [table] of renderReadme(view).matchAll(/^\|.*(?:\n\|.*)+/gm)) {
      const columns = table.split('\n').map(row => row.replaceAll(/\\[\\|]/g, '').split('|').length)
      expect(new Set(columns).size).toBe(1)
    }
  })
})
