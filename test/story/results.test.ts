import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// What a computation leaves behind comes back to where people look.
vi.setConfig({ testTimeout: 180_000 })

const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

async function folderOf(world: World, branch: string): Promise<Map<string, string>> {
  const files = (await world.simulator.files(world.project.id, 'compops/evidence')) ?? []
  const copies = files.filter(name => name.startsWith(`runs/${branch}/`) && name.includes('+outputs/'))
  return new Map(
    await Promise.all(
      copies.map(async name => [name.replace(/^.*\+outputs\//, ''), (await world.evidence(name))!] as const),
    ),
  )
}

describe.concurrent('results', () => {
  it('small outputs come back beside the record, plots into the note, each uploaded once', () =>
    inWorld({ rule: '    clusters: [laptop]\n    collect: { file: 2K, run: 3K }' }, async world => {
      const script = (n: number) => `jobs:
  solve:
    script:
      - mkdir -p out
      - echo "step,rmse" > out/table.csv; echo "1,0.5" >> out/table.csv
      - echo ${png} | base64 -d > out/field.png
      - echo '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>' > 'out/a](http:evil) "b".svg'
      - head -c 5000 /dev/zero > out/large.bin
      - head -c 100 /dev/zero > out/binary.npy
      - ln -s /etc/passwd out/link.txt
      - echo ${n} > $COMPOPS_OUTPUT_DIR/of-the-directory.txt
    outputs: [out/*, '*.txt']
    metrics: out/table.csv
`
      const sha = await world.push('calc/plots', { '.compops.yml': script(1) })
      const { iid } = await world.openMergeRequest('calc/plots')
      await world.treeEnds(sha, ['success'])
      const record = parse(await until('the evidence', () => world.evidenceOf('calc/plots', sha)))
      expect(record.jobs.solve.metrics).toEqual({ step: 1, rmse: 0.5 })
      const copies = await folderOf(world, 'calc/plots')
      expect(copies.get('solve/out/table.csv')).toBe('step,rmse\n1,0.5\n')
      expect([...copies.keys()].sort()).toEqual([
        'solve+output/of-the-directory.txt',
        'solve/out/a%5D%28http%3Aevil%29%20%22b%22.svg',
        'solve/out/field.png',
        'solve/out/table.csv',
      ])
      const outputs = new Map<string, { copy?: string }>(
        record.jobs.solve.outputs.map((output: { path: string }) => [output.path, output]),
      )
      expect(outputs.get('out/table.csv')?.copy).toMatch(
        new RegExp(`^${sha.slice(0, 8)}-.*\\+outputs/solve/out/table.csv$`),
      )
      expect(outputs.get('out/large.bin')?.copy).toBeUndefined()
      expect(outputs.get('out/binary.npy')?.copy).toBeUndefined()

      const note = await until('the plots in the note', () =>
        world.note(iid)?.body.includes('plots (2)') && world.note(iid)!.body.match(/!\[plot\]/g)?.length === 2
          ? world.note(iid)
          : null,
      )
      const [, address] = /!\[plot\]\((\/uploads\/[0-9a-f]{32}\/[0-9a-f]{12}\.png)\)/.exec(note.body) ?? []
      expect(address).toBeDefined()
      const picture = await fetch(`${world.simulator.url}/-/project/${world.project.id}${address}`)
      expect(Buffer.from(await picture.arrayBuffer()).toString('base64')).toBe(png)
      // Its name stands there as code, its address is ours.
      expect(note.body).toContain('`out/a](http:evil) "b".svg`\n\n![plot](/uploads/')
      expect(await world.evidence('branches/calc/plots.md')).toMatch(/!\[plot\]\(.*field\.png\)/)

      // The same pictures again, of another commit: nothing new is uploaded.
      const next = await world.push('calc/plots', { '.compops.yml': script(2) })
      await world.treeEnds(next, ['success'])
      await until('the note of the next run', () => {
        const body = world.note(iid)?.body ?? ''
        return body.includes(next.slice(0, 8)) && body.match(/!\[plot\]/g)?.length === 2
      })
      const uploads = world.simulator.requests().filter(one => one.method === 'POST' && one.path.endsWith('/uploads'))
      expect(uploads).toHaveLength(2)
    }))

  it('what was changed after the job had ended is said, and not committed', () =>
    inWorld({}, async world => {
      const cluster = world.service.context.clusterOf('laptop')
      const collect = cluster.collect
      vi.spyOn(cluster, 'collect').mockImplementation(async (attempt, options) => {
        const collected = await collect(attempt, options)
        const at = (path: string) => collected.outputs.find(output => output.path === path)!.at
        writeFileSync(at('a.txt'), 'b\n')
        rmSync(at('b.txt'))
        symlinkSync('/etc/passwd', at('b.txt'))
        rmSync(join(at('d/c.txt'), '..'), { recursive: true })
        symlinkSync('/etc', join(at('d/c.txt'), '..'))
        return collected
      })
      const sha = await world.push('calc/swap', {
        '.compops.yml':
          'jobs:\n  a:\n    script: [echo a > a.txt, echo b > b.txt, mkdir d, echo c > d/c.txt, echo d > d.txt]\n    outputs: ["*.txt", d]\n',
      })
      await world.treeEnds(sha, ['success'])
      const record = parse(await until('the evidence', () => world.evidenceOf('calc/swap', sha)))
      const problems = record.jobs.a.outputs.map((one: { path: string; not_copied?: string }) => [
        one.path,
        one.not_copied,
      ])
      expect(Object.fromEntries(problems)).toEqual({
        'a.txt': 'changed after the job had ended',
        'b.txt': 'is a link',
        'd/c.txt': 'lies behind a link',
        'd.txt': undefined,
      })
      expect([...(await folderOf(world, 'calc/swap'))]).toEqual([['a/d.txt', 'd\n']])
    }))
})
