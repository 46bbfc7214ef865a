import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { rows } from '../../src/store/open.ts'
import { compops } from '../support/compops.ts'
import { patience } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { inWorld, type World } from '../support/world.ts'

// What a computation leaves behind comes back to where people look.
vi.setConfig({ testTimeout: 240_000 * patience })

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

  it('logs are followed to their end, and results collected into a directory, twice without fetching twice', () =>
    inWorld({}, async world => {
      const gate = join(world.place, 'gate')
      const sha = await world.push('calc/logs', {
        '.compops.yml': `jobs:
  talk:
    params: { degree: 12 }
    script:
      - echo first line
      - until [ -e ${gate} ]; do sleep 0.1; done
      - echo last line
      - mkdir out; echo 1,2 > "out/a b.csv"; head -c 9000000 /dev/urandom > out/large.bin
      - printf 'step,rmse\\n1,0.5\\n' > m.csv
    outputs: [out/*]
    metrics: m.csv
  other:
    script: ["true"]
`,
      })
      const ask = (...args: string[]) => compops([...args, '--config', world.configFile])
      await until(
        'the job to run',
        async () => (await ask('logs', 'calc/logs', 'talk')).out.includes('\nfirst line\n'),
        90,
      )
      expect(await ask('logs', 'calc/logs')).toMatchObject({
        code: 1,
        err: expect.stringContaining('name one: talk, other'),
      })
      const following = ask('logs', 'calc/logs', 'talk', '--follow')
      writeFileSync(gate, '')
      const all = /^\$ echo first line\nfirst line\n[\s\S]*\nlast line\n[\s\S]*m\.csv\n$/
      expect(await following).toMatchObject({ code: 0, out: expect.stringMatching(all), err: '' })
      await world.treeEnds(sha, ['success'])
      await until('the evidence', () => world.evidenceOf('calc/logs', sha))

      const into = join(world.place, 'results')
      const collected = await ask('collect', 'calc/logs', '--into', into)
      expect(collected).toMatchObject({ code: 0, err: '' })
      const read = (...path: string[]) => readFileSync(join(into, ...path))
      expect(read('talk', 'log.txt').toString()).toMatch(all)
      expect(read('talk', 'outputs', 'out', 'a%20b.csv').toString()).toBe('1,2\n')
      expect(JSON.parse(read('talk', 'params.json').toString())).toEqual({ degree: 12 })
      expect(JSON.parse(read('talk', 'metrics.json').toString())).toEqual({ step: 1, rmse: 0.5 })
      expect(read('SUMMARY.md').toString()).toMatch(/calc\/logs[\s\S]*\| rmse \| 0\.5 \|[\s\S]*large\.bin/)
      const record = parse(read('metadata.yml').toString())
      const large = record.jobs.talk.outputs.find((one: { path: string }) => one.path === 'out/large.bin')
      const digest = () =>
        createHash('sha256')
          .update(read('talk', 'outputs', 'out', 'large.bin'))
          .digest('hex')
      expect(digest()).toBe(large.sha256)

      // A begun file is continued, a spoiled one is fetched anew, what is whole stays.
      const whole = read('talk', 'outputs', 'out', 'large.bin')
      rmSync(join(into, 'talk', 'outputs', 'out', 'large.bin'))
      writeFileSync(join(into, 'talk', 'outputs', 'out', 'large.bin.part'), whole.subarray(0, 5_000_000))
      const before = world.service.context.clusterOf('laptop').stats().commands
      const again = await ask('collect', 'calc/logs', 'talk', '--into', into)
      expect(again.out).toContain('1 were there already')
      expect(digest()).toBe(large.sha256)
      expect(world.service.context.clusterOf('laptop').stats().commands - before).toBeLessThan(9)
      writeFileSync(join(into, 'talk', 'outputs', 'out', 'large.bin'), whole.subarray(1))
      writeFileSync(join(into, 'talk', 'outputs', 'out', 'large.bin.part'), 'of something else')
      expect(await ask('collect', 'calc/logs', 'talk', '--into', into)).toMatchObject({ code: 0 })
      expect(digest()).toBe(large.sha256)

      // What somebody changed on the cluster is said, and not taken for the result.
      writeFileSync(large.at, 'short')
      rmSync(join(into, 'talk', 'outputs', 'out', 'large.bin'))
      expect(await ask('collect', 'calc/logs', 'talk', '--into', into)).toMatchObject({
        code: 1,
        err: expect.stringMatching(/large\.bin: it is no longer what the job had listed/),
      })
    }))

  it('run directories are removed by age, never what is still needed, and an old commit is computed anew', () =>
    inWorld(
      { clusters: '  laptop: { scheduler: local, root: ROOT, poll_interval: 1s, keep: { days: 30 } }' },
      async world => {
        const { context } = world.service
        const runs = () => readdirSync(join(world.place, 'cluster', String(world.project.id), 'runs')).sort()
        const file = (n: number, code = 0) => ({
          '.compops.yml': `jobs:\n  a:\n    script: [echo ${n}, exit ${code}]\n  b: { needs: [a], script: [echo b] }\n`,
        })
        const ids: string[] = []
        const compute = async (n: number, code = 0) => {
          const sha = await world.push('calc/old', file(n, code))
          await until('the evidence', () => world.evidenceOf('calc/old', sha), 90)
          const [row] = await rows<{ id: string }>(context.db, sql`select id from runs where sha = ${sha}`)
          ids.push(row!.id)
          return sha
        }
        const failed = await compute(1, 3)
        await compute(2)
        await compute(3)
        await compute(4)
        const [one, two, three, four] = ids as [string, string, string, string]
        const kept = await compops(['keep', three, '--config', world.configFile])
        expect(kept).toMatchObject({ code: 0, out: expect.stringContaining(`run ${three} (calc/old`) })
        // Nothing is old yet.
        context.wake.call('prune')
        await context.db.execute(sql`update runs set ended_at = ended_at - interval '31 days'`)
        // What a process that was killed between row and deed leaves behind.
        await context.db.execute(
          sql`insert into run_directories (run_id, connection, days) values (${two}, 'laptop', 30)`,
        )
        context.wake.call('prune')
        await until('old directories to be removed', () => runs().join() === [three, four].sort().join(), 90)
        const page = await until('the record to say so', async () => {
          const text = await world.evidenceOf('calc/old', failed)
          return text?.includes('removed:') ? text : null
        })
        expect(parse(page).removed).toEqual([{ cluster: 'laptop', at: expect.anything(), keep: '30 days' }])
        const why = await compops(['why', failed, '--config', world.configFile])
        expect(why.out).toMatch(/its directory on laptop was removed \(keep: 30 days\)/)
        expect(await compops(['logs', failed, 'a', '--config', world.configFile])).toMatchObject({
          code: 1,
          err: expect.stringMatching(/is not there any more; its directory on laptop was removed on \d{4}-\d\d-\d\d/),
        })
        expect(await compops(['keep', two, '--config', world.configFile])).toMatchObject({ code: 1 })

        const released = await compops(['keep', '--release', three, '--config', world.configFile])
        expect(released.code).toBe(0)
        context.wake.call('prune')
        await until('the released one to be removed', () => runs().join() === four, 90)

        // The branch goes back to where `b` was never run: all of it is computed again, in a new run.
        await context.db.execute(sql`update jobs set state = 'canceled' where run_id = ${one} and name = 'b'`)
        const head = (await world.simulator.branches(world.project.id)).find(branch => branch.name === 'calc/old')!
        execFileSync('git', ['-C', world.project.directory, 'update-ref', 'refs/heads/calc/old', failed])
        await world.simulator.pushed(world.project.id, 'refs/heads/calc/old', head.sha, failed, world.alice.id)
        await until(
          'a new run of the old commit',
          async () => {
            const found = await rows<{ id: string; state: string }>(
              context.db,
              sql`select id, state from runs where sha = ${failed} and ended_at is not null order by id`,
            )
            return found.length === 2 && found[1]!.state === 'failed' && runs().includes(found[1]!.id)
          },
          90,
        )
      },
    ))
})
