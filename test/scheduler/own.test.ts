import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigError, UnreadableError } from '../../src/errors.ts'
import { dialectOf, dialects, loadDialects } from '../../src/scheduler/index.ts'
import { judgeDialect } from '../../src/scheduler/judge.ts'
import { local } from '../../src/scheduler/local.ts'

const compops = fileURLToPath(new URL('../../src/cli/compops.ts', import.meta.url))
const example = fileURLToPath(new URL('../../deploy/schedulers/task-spooler.ts', import.meta.url))

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'compops-own-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** A site's file that takes `local`'s answers and changes some. */
async function siteFile(name: string, changes: string): Promise<string> {
  const file = join(folder, name)
  const base = fileURLToPath(new URL('../../src/scheduler/local.ts', import.meta.url))
  await writeFile(
    file,
    `import { local } from ${JSON.stringify(base)}\nexport const dialect = { ...local, ${changes} }\n`,
  )
  return file
}

async function complaints(file: string): Promise<readonly string[]> {
  const error = await loadDialects([file]).then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (error === null) return []
  expect(error).toBeInstanceOf(ConfigError)
  return (error as ConfigError).problems
}

describe('the verdict', () => {
  test.each(Object.values(dialects))('$name keeps the contract', dialect => {
    expect(judgeDialect(dialect).complaints).toEqual([])
  })

  test('what is no adapter object at all', () => {
    expect(judgeDialect(undefined).complaints).toEqual([
      'it exports no adapter object: `export default { name, shell, readQueue, … }`',
    ])
  })

  test('each member that is missing or wrong is named, with what it should be', () => {
    const { readQueue: _, ...rest } = local
    expect(judgeDialect({ ...rest, name: 'My Scheduler', nativeId: '^\\d+$', array: {} }).complaints).toEqual([
      'name is not what it should be: a short name in lower case, e.g. `flux`',
      'nativeId is not what it should be: a RegExp with ^ and $ that a native id matches',
      'array is not what it should be: an object { variable: text, canNumber: function }',
      'readQueue is missing: a function: (text) => rows; throws where the answer is not whole',
    ])
  })

  test('what tells of the whole cluster may be left out; if it is there, it is whole and throws what it cannot read', () => {
    const { capacity: _, ...without } = local
    expect(judgeDialect(without).complaints).toEqual([])
    expect(judgeDialect({ ...local, capacity: { read: () => ({}) } }).complaints).toEqual([
      'capacity is not what it should be: an object { shell: text that defines scheduler_capacity, commands: how many that runs, read: (text) => what it says }, or left out',
    ])
    expect(judgeDialect({ ...local, capacity: { shell: '', commands: 1, read: () => ({}) } }).complaints).toEqual([
      'capacity.shell does not define scheduler_capacity()',
      'capacity.read("") answers {}; it must throw: silence says nothing about a node',
      'capacity.read("command not found\\n") answers {}; it must throw: silence says nothing about a node',
    ])
  })

  test('rubbish that is taken for an answer is named', () => {
    const careless = {
      ...local,
      nativeId: /\d+/,
      shell: local.shell.replace('scheduler_kill()', 'scheduler_end()'),
      readSubmit: (answer: string) => answer.trim(),
      readQueue: () => [],
      readFacts: () => ({ version: 'x' }),
      allowedDirective: () => true,
      judgeRefusal: () => 'refused',
      reasonInWords: () => '',
    }
    const { complaints } = judgeDialect(careless)
    expect(complaints).toEqual(
      expect.arrayContaining([
        'shell does not define scheduler_kill()',
        'readSubmit("Job not submitted.\\n") answers "Job not submitted."; it must throw: unreadable is never an id',
        'readQueue("") answers []; it must throw: a queue that is cut or empty of its head says nothing about any job',
        'readFacts("") answers {"version":"x"}; it must throw: silence is no fact',
        'nativeId takes "1;id": anchor it with ^ and $, and let only letters, digits and few signs in',
        'allowedDirective: a directive with a line break must be refused: it would become a line of the script',
        'judgeRefusal: in doubt a job may have been made: an error nobody has seen is `unknown` or `transient`',
        'reasonInWords: a reason that it does not know stands as it is',
      ]),
    )
  })
})

describe("a file of the site's own", () => {
  test('the example keeps the contract, from wherever it lies', async () => {
    const file = join(folder, 'task-spooler.ts')
    await copyFile(example, file)
    const [own] = await loadDialects(['slurm', file])
    expect(own?.asked).toBeGreaterThan(50)
    expect(dialectOf(file).name).toBe('tsp')
    expect(() => dialectOf(file).readSubmit('')).toThrow(UnreadableError)
  })

  test('a file that cannot be loaded says why', async () => {
    const file = join(folder, 'broken.mjs')
    await writeFile(file, 'export default {\n')
    expect((await complaints(file))[0]).toMatch(/^It cannot be loaded: /)
  })

  test('shell that no shell reads is refused', async () => {
    const file = await siteFile('shell.mjs', 'shell: local.shell + "\\nif true; then\\n"')
    expect((await complaints(file))[0]).toMatch(/^shell cannot be read by `sh -n`: .*(unexpected|EOF|end of file)/)
  })

  test('what it tells of the cluster is checked: a queue that is none is an answer that cannot be read', async () => {
    const file = await siteFile(
      'capacity.mjs',
      `capacity: { shell: 'scheduler_capacity() { echo ok; }', commands: 1, read: t => {
        if (t === 'good') return { nodes: { idle: 3 }, load: 0.5 }
        if (t === 'bad') return { nodes: { asleep: 3 } }
        throw new Error('?')
      } }`,
    )
    await loadDialects([file])
    const { capacity } = dialectOf(file)
    expect(capacity?.read('good')).toEqual({ nodes: { idle: 3 }, load: 0.5 })
    for (const text of ['bad', '']) expect(() => capacity?.read(text)).toThrow(UnreadableError)
    const broken = await siteFile(
      'capacity-shell.mjs',
      "capacity: { ...local.capacity, shell: 'scheduler_capacity() { if' }",
    )
    expect((await complaints(broken))[0]).toMatch(/^capacity\.shell cannot be read by `sh -n`/)
  })

  test('what it answers later is checked too: a mistake of the file is an answer that cannot be read', async () => {
    const file = await siteFile(
      'careless.mjs',
      `readSubmit: a => { if (a === 'none') return '-rf'; if (a === 'crash') return undefined.x; return local.readSubmit(a) },
       readQueue: t => t === 'rows' ? [{ nativeId: '1.a', name: 'x', state: 'gone' }] : local.readQueue(t),
       judgeRefusal: (rc) => { if (rc === 2) throw new Error('?'); return local.judgeRefusal(rc, '') },
       submitArguments: r => r.comment === 'two lines' ? ['a\\nb'] : local.submitArguments(r),
       reasonInWords: r => { if (r === 'x') throw new Error('?'); return r }`,
    )
    expect(await complaints(file)).toEqual([])
    const dialect = dialectOf(file)
    expect(() => dialect.readSubmit('none')).toThrow('careless.mjs: readSubmit gave "-rf", which is no native id')
    expect(() => dialect.readSubmit('crash')).toThrow(UnreadableError)
    expect(() => [...dialect.readQueue('rows')]).toThrow(/careless\.mjs: readQueue gave a row that is none: /)
    expect(dialect.judgeRefusal(2, '')).toBe('unknown')
    expect(dialect.reasonInWords('x')).toBe('x')
    expect(() => dialect.submitArguments({ comment: 'two lines' } as never)).toThrow('which is not one line')
  })

  test('compops check shows the verdict', async () => {
    await mkdir(join(folder, 'site'))
    const config = join(folder, 'site', 'compops.config.yml')
    await copyFile(example, join(folder, 'site', 'own.ts'))
    await writeFile(
      config,
      `gitlab: { url: "https://gitlab.example.org", token: glpat-12345678, webhook_secret: long-enough-secret }
clusters:
  desk: { scheduler: ./own.ts, root: /scratch/compops }
projects: [{ path: a/b, clusters: [desk] }]
`,
    )
    // A process of its own: there Node imports the file.
    const check = () => spawnSync(process.execPath, [compops, 'check', '--config', config], { encoding: 'utf8' })
    const right = check()
    expect(right.stderr).toBe('')
    expect(right.stdout).toMatch(
      /site\/own\.ts keeps the contract of a scheduler as tsp: \d+ members and questions\.\n$/,
    )
    await writeFile(join(folder, 'site', 'own.ts'), 'export default { name: 1 }\n')
    const wrong = check()
    expect(wrong.status).toBe(1)
    expect(wrong.stderr).toContain('name is not what it should be: a short name in lower case')
  })
})
