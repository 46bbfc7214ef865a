import { describe, expect, test } from 'vitest'
import { jobStateNames } from '../../src/model/job-state.ts'
import { type Neighbourhood, noteDiagramLimit, renderNeighbourhood, renderTree } from '../../src/render/mermaid.ts'
import { renderReadme } from '../../src/render/readme.ts'
import { renderTreeText } from '../../src/render/tree-text.ts'
import { hostileTexts } from './hostile.ts'

const view: Neighbourhood = {
  parent: { branch: 'calc/heat', state: 'completed', stale: false },
  branch: 'calc/heat/4d',
  stale: true,
  jobs: [
    { name: 'mesh', state: 'completed', needs: [] },
    { name: 'simulate', state: 'running', needs: ['mesh', 'not there'] },
  ],
  children: [{ branch: 'calc/heat/4d/fine', state: null, stale: true }],
  siblings: [
    { branch: 'calc/heat/5d', state: 'failed', stale: false },
    { branch: 'calc/steel', state: 'completed', stale: false, life: 'merged' },
  ],
}

test('the neighbourhood of a branch: what a child has in common with its parent is said once, stale is dashed and said', () => {
  expect(renderNeighbourhood(view)).toBe(
    `flowchart LR
  p("calc/heat<br/>● completed"):::completed
  subgraph b ["calc/heat/4d, stale"]
    direction LR
    j0("mesh<br/>● completed"):::completed
    j1("simulate<br/>◐ running"):::running
    j0 --> j1
  end
  c0("…/fine<br/>· no run yet, stale"):::none
  class c0 stale
  s0("…/5d<br/>✕ failed"):::failed
  s1("…/steel<br/>● completed, merged"):::completed
  p -. stale .-> b
  b -. stale .-> c0
  p --> s0
  p --> s1
  style b fill:none,stroke:#888,stroke-dasharray:5 4
  classDef completed fill:#009E73,color:#000,stroke:#333
  classDef failed fill:#D55E00,color:#000,stroke:#333
  classDef none fill:#fff,color:#333,stroke:#888
  classDef running fill:#0072B2,color:#fff,stroke:#333
  classDef stale stroke-dasharray:5 4,stroke-width:2px`,
  )
})

test('a small tree is drawn whole, with the jobs of this branch; where that is too large, what is around it', () => {
  const node = (branch: string, parent: string | null) =>
    ({ branch, parent, state: 'completed', stale: false }) as const
  const tree = [
    node('calc/base', null),
    node('calc/base/heat', 'calc/base'),
    node(view.branch, 'calc/base/heat'),
    node('calc/other', null),
    node('calc/other/gpu', 'calc/other'),
  ]
  const near = {
    ...view,
    parent: { branch: 'calc/base/heat', state: 'completed', stale: false } as const,
    children: [],
  }
  const drawn = renderNeighbourhood({ ...near, siblings: [], tree })
  expect(drawn).toContain(
    '  n0("calc/base<br/>● completed"):::completed\n  n1("…/heat<br/>● completed"):::completed\n  subgraph b',
  )
  expect(drawn).toContain('  n1 -. stale .-> b\n  n0 --> n1\n  n3 --> n4\n')
  expect(drawn).toContain('j0 --> j1')
  const large = [...tree, ...Array.from({ length: 60 }, (_, i) => node(`calc/other/${i}`, 'calc/other'))]
  const around = renderNeighbourhood({ ...near, siblings: [], tree: large })
  expect(around).toContain('  p("calc/base/heat<br/>● completed"):::completed\n')
  expect(around).not.toContain('calc/other')
})

test('a need of another kind than "it has completed" is told at its arrow', () => {
  const rescue = { name: 'rescue', state: 'waiting', needs: [{ job: 'simulate', kind: 'afternotok' }] } as const
  expect(renderNeighbourhood({ ...view, jobs: [...view.jobs, rescue] })).toContain('j1 -. afternotok .-> j2')
})

test('a picture that would say nothing is not drawn', () => {
  expect(renderNeighbourhood({ ...view, parent: null, children: [], jobs: view.jobs.slice(0, 1) })).toBeNull()
})

describe('within the limit, whatever the size', () => {
  const jobs = (count: number, name = 'job') =>
    Array.from({ length: count }, (_, i) => ({
      name: `${name}-${i}`,
      state: jobStateNames[i % jobStateNames.length] ?? 'waiting',
      needs: i === 0 ? [] : [`${name}-${i - 1}`],
    }))
  const children = (count: number, name = 'calc/child') =>
    Array.from(
      { length: count },
      (_, i) => ({ branch: `${name}-${i}`, state: 'completed', stale: i % 2 === 0 }) as const,
    )

  test.each([1, 5, 20, 24, 25, 200])('%d jobs', count => {
    const text = renderNeighbourhood({ ...view, jobs: jobs(count) })
    expect(text?.length).toBeLessThanOrEqual(noteDiagramLimit)
  })

  test('too many jobs stand by their state', () => {
    const text = renderNeighbourhood({ ...view, jobs: jobs(200) })
    expect(text).toContain('completed("20 jobs<br/>● completed"):::completed')
  })

  test('too many children are counted', () => {
    expect(renderNeighbourhood({ ...view, children: children(50) })).toContain('more("42 more branches"):::none')
  })

  test.each(hostileTexts)('a name such as %j is a label and nothing else', text => {
    const drawn = renderNeighbourhood({
      parent: { branch: text, state: 'failed', stale: true },
      branch: text,
      stale: false,
      jobs: jobs(8, text),
      children: children(5, text),
    })
    for (const line of drawn?.split('\n').slice(1) ?? [])
      expect(line).toMatch(
        /^ +(?:\w+[([]"[^"`<>{}%&\\[\]()|$@;#]*(?:#\d+;[^"`<>{}%&\\[\]()|$@;#]*)*(?:<br\/>. [a-z ,]+)?"[)\]](?::::\w+)?|subgraph b \["[^"`<>{}%&\\[\]()|$@]*"\]|direction LR|end|class \w+ stale|style b [\w:,# -]+|classDef [\w :#,-]+|\w+ (?:-->|-\. stale \.->) \w+)$/u,
      )
    expect(drawn?.length ?? 0).toBeLessThanOrEqual(noteDiagramLimit)
    // More than 30 of them and GitLab waits for a click.
    expect(drawn ?? '').not.toContain('&')
  })
})

describe('the tree of a project', () => {
  test('branches and whose children they are', () => {
    const nodes = [
      { branch: 'main', parent: null, state: 'completed', stale: false },
      { branch: 'calc/heat', parent: 'main', state: 'failed', stale: true },
      { branch: 'calc/lone', parent: 'not listed', state: null, stale: false },
      { branch: 'calc/self', parent: 'calc/self', state: 'held', stale: false },
    ] as const
    expect(renderTree(nodes)).toBe(
      `flowchart LR
  n0("main<br/>● completed"):::completed
  n1("calc/heat<br/>✕ failed, stale"):::failed
  class n1 stale
  n2("calc/lone<br/>· no run yet"):::none
  n3("calc/self<br/>‖ held"):::held
  n0 -. stale .-> n1
  classDef completed fill:#009E73,color:#000,stroke:#333
  classDef failed fill:#D55E00,color:#000,stroke:#333
  classDef held fill:#CC79A7,color:#000,stroke:#333
  classDef none fill:#fff,color:#333,stroke:#888
  classDef stale stroke-dasharray:5 4,stroke-width:2px`,
    )
  })

  test('of a large one the top is drawn, no child without its parent', () => {
    const nodes = Array.from({ length: 300 }, (_, i) => {
      const parent = i === 0 ? null : `b${Math.floor((i - 1) / 2)}`
      return { branch: `b${i}`, parent, state: 'completed', stale: false } as const
    }).reverse()
    const drawn = renderTree(nodes, 15)!
    expect(drawn.match(/ n\d+\(/g)).toHaveLength(15)
    expect(drawn.match(/-->/g)).toHaveLength(14)
    expect(drawn).toContain('more("285 more branches")')
  })

  test('as text every branch has its line', () => {
    const nodes = [
      { branch: 'calc/heat', parent: null, state: 'completed', stale: false },
      { branch: 'calc/heat/4d', parent: 'calc/heat', state: 'running', stale: false },
      { branch: 'calc/heat/4d/fine', parent: 'calc/heat/4d', state: 'failed', stale: true },
      { branch: 'fork', parent: 'calc/heat', state: null, stale: false },
      { branch: 'calc/old', parent: null, state: 'completed', stale: false, life: 'merged' },
      { branch: 'a', parent: 'b', state: null, stale: false },
      { branch: 'b', parent: 'a', state: null, stale: false },
    ] as const
    expect(renderTreeText(nodes)).toBe(`calc/heat      ● completed
├─ …/4d        ◐ running
│  └─ …/fine   ✕ failed, stale
└─ fork        · no run yet
calc/old       ● completed, merged
a              · no run yet
└─ b           · no run yet`)
  })

  test('a thousand branches, twenty deep, take less than a tenth of a second in all their forms', () => {
    const nodes = Array.from({ length: 1_000 }, (_, i) => {
      const parent = i < 50 ? null : `calc/${i - 50}`
      return { branch: `calc/${i}`, parent, state: 'completed', stale: i % 7 === 0, latest: null } as const
    })
    const draw = () => {
      const began = performance.now()
      renderReadme({ projectPath: 'physics/heat', publicUrl: 'https://x.example', timeZone: 'UTC', nodes })
      renderNeighbourhood({ ...view, tree: nodes, siblings: nodes, children: nodes })
      return performance.now() - began
    }
    expect(Math.min(draw(), draw(), draw())).toBeLessThan(100)
    expect(renderTreeText(nodes).split('\n')).toHaveLength(1_000)
  })

  test('a wall of boxes is no picture', () => {
    const nodes = Array.from({ length: 2000 }, (_, i) => ({ branch: `b${i}`, parent: 'b0', state: null, stale: false }))
    expect(renderTree(nodes)).toContain('more("1,850 more branches"):::none')
    expect(renderTree([])).toBeNull()
  })
})
