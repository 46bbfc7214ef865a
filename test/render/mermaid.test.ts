import { describe, expect, test } from 'vitest'
import { jobStateNames } from '../../src/model/job-state.ts'
import { type Neighbourhood, noteDiagramLimit, renderNeighbourhood, renderTree } from '../../src/render/mermaid.ts'
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
}

test('the neighbourhood of a branch', () => {
  expect(renderNeighbourhood(view)).toBe(
    `flowchart LR
  p("calc/heat<br/>● completed"):::completed
  subgraph b ["calc/heat/4d"]
    direction LR
    j0("mesh<br/>● completed"):::completed
    j1("simulate<br/>◐ running"):::running
    j0 --> j1
  end
  p -. stale .-> b
  c0("calc/heat/4d/fine<br/>· no run yet"):::none
  class c0 stale
  b -. stale .-> c0
  style b fill:none,stroke:#888
  classDef completed fill:#009E73,color:#000,stroke:#333
  classDef none fill:#fff,color:#333,stroke:#888
  classDef running fill:#0072B2,color:#fff,stroke:#333
  classDef stale stroke-dasharray:5 4,stroke-width:2px`,
  )
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
        /^ +(?:\w+[([]"[^"`<>{}%&\\[\]()|$@;#]*(?:#\d+;[^"`<>{}%&\\[\]()|$@;#]*)*(?:<br\/>. [a-z ,]+)?"[)\]](?::::\w+)?|subgraph b \["[^"`<>{}%&\\[\]()|$@]*"\]|direction LR|end|class \w+ stale|style b [\w:,#]+|classDef [\w :#,-]+|\w+ (?:-->|-\. stale \.->) \w+)$/u,
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

  test('a wall of boxes is no picture', () => {
    const nodes = Array.from({ length: 2000 }, (_, i) => ({ branch: `b${i}`, parent: 'b0', state: null, stale: false }))
    expect(renderTree(nodes)).toContain('more("1,850 more branches"):::none')
    expect(renderTree([])).toBeNull()
  })
})
