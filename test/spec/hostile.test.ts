import { existsSync } from 'node:fs'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { createYamlReader, parseSpec, readSpec, type YamlReader } from '../../src/spec/index.ts'
import { contextWith, sentences } from '../support/spec-context.ts'

const open: YamlReader[] = []
afterEach(async () => {
  for (const reader of open.splice(0)) await reader.close()
})

function reader(options: Parameters<typeof createYamlReader>[0] = {}): YamlReader {
  const made = createYamlReader(options)
  open.push(made)
  return made
}

const never: YamlReader = {
  read: () => Promise.reject(new Error('parsed')),
  close: () => Promise.resolve(),
}

describe('refused by size, before any parser sees it', () => {
  test.each([
    [
      '25,000 keys, 0.9 MB',
      Array.from({ length: 25_000 }, (_, i) => `key_number_${i}_of_a_long_file: ${i}`).join('\n'),
      /^-: The file has \d+ KiB; 256 are the most\. Move data into files of their own\.$/,
    ],
    ['5 MB', `jobs: ${'x'.repeat(5_000_000)}`, /^-: The file has 4883 KiB; 256 are the most/],
    ['20,000 lines', '\n'.repeat(20_000), /^-: The file has 20001 lines; 10000 are the most/],
  ])('%s', async (_, text, sentence) => {
    const [first] = sentences(await parseSpec(text, contextWith(), never))
    expect(first).toMatch(sentence)
  })
})

test('a text of the right size is parsed in the thread, never here', async () => {
  await expect(parseSpec('jobs: {}', contextWith(), never)).rejects.toThrow('parsed')
})

describe('the thread', () => {
  test('is used again, and texts asked for at once are all answered', async () => {
    const yaml = reader()
    const answers = await Promise.all(['a: 1', 'b: [', 'c: 3'].map(text => yaml.read(text)))
    expect(answers.map(a => a.kind === 'read' && a.result.ok)).toEqual([true, false, true])
  })

  test('is ended at the deadline, and the next text is read by another', async () => {
    const yaml = reader({ deadline: 100, worker: new URL('../fixtures/spec/slow-worker.mjs', import.meta.url) })
    expect(sentences(await parseSpec('a: hang', contextWith(), yaml))).toEqual([
      '-: Reading the file took longer than 0.1 s. Make it simpler: fewer keys, less nesting, data in files of their own.',
    ])
    expect(await yaml.read('a: 1')).toMatchObject({ kind: 'read' })
  })

  test('that dies once is replaced and the text read again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'compops-'))
    const copy = join(folder, 'mortal-worker.mjs')
    await copyFile(new URL('../fixtures/spec/mortal-worker.mjs', import.meta.url), copy)
    const worker = pathToFileURL(copy)
    expect(await reader({ worker }).read('x')).toMatchObject({ kind: 'read' })
    expect(existsSync(join(folder, 'died'))).toBe(true)
    await rm(folder, { recursive: true })
  })

  test('that dies twice is told', async () => {
    const yaml = reader({ worker: new URL('../fixtures/spec/dying-worker.mjs', import.meta.url) })
    expect(sentences(await parseSpec('a: 1', contextWith(), yaml))).toEqual([
      '-: The file could not be read: it took more memory than there is for it. Make it simpler: fewer keys, less nesting, data in files of their own.',
    ])
  })
})

describe('within the size limit', () => {
  test.each([
    ['8,000 keys', Array.from({ length: 8_000 }, (_, i) => `key_${i}: ${i}`).join('\n')],
    ['100,000 open brackets', '['.repeat(100_000)],
    ['100,000 dashes', '- '.repeat(100_000)],
    [
      'an alias bomb',
      'a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]',
    ],
    [
      'a job that is a number of keys',
      `jobs:\n  a:\n${Array.from({ length: 5_000 }, (_, i) => `    k${i}: 1`).join('\n')}`,
    ],
    ['quotes', '"'.repeat(1_000)],
  ])('%s gives mistakes, at most a hundred', async (_, text) => {
    const result = sentences(await parseSpec(text, contextWith(), reader({ deadline: 60_000 })))
    expect(result.length).toBeGreaterThan(0)
    expect(result.length).toBeLessThanOrEqual(101)
  })

  test('beyond a hundred mistakes nobody reads on', () => {
    const text = `jobs:\n  a:\n    script: x\n${Array.from({ length: 150 }, (_, i) => `    k${i}: 1`).join('\n')}`
    expect(sentences(readSpec(text, contextWith())).at(-1)).toBe(
      '-: Only the first 100 mistakes are listed; there may be more.',
    )
  })

  test('200 jobs are the most', () => {
    const jobs = (n: number) => `jobs:\n${Array.from({ length: n }, (_, i) => `  j${i}: { script: x }`).join('\n')}\n`
    expect(sentences(readSpec(jobs(200), contextWith()))).toEqual([])
    expect(sentences(readSpec(jobs(201), contextWith()))).toEqual([
      '1: There are 201 jobs; 200 are the most. Make one job of several, or loop in a script.',
    ])
  })

  test('a large default for many jobs is not multiplied without limit', () => {
    const text = `defaults:\n  setup: ["${'x'.repeat(100_000)}"]\njobs:\n${Array.from({ length: 100 }, (_, i) => `  j${i}: { script: x }`).join('\n')}\n`
    expect(sentences(readSpec(text, contextWith()))).toEqual([
      '-: With `defaults` applied, the jobs hold more than 4 MiB. Move long scripts and data into files of the repository.',
    ])
  })

  test('a long chain of needs', () => {
    const text = `jobs:\n${Array.from({ length: 200 }, (_, i) => `  j${i}: { script: x, needs: [j${(i + 1) % 200}] }`).join('\n')}\n`
    expect(sentences(readSpec(text, contextWith()))).toEqual([
      '2: These jobs wait for each other for ever: `j0` needs `j1` needs `j2` needs `j3` needs `j4` needs `j5` needs … needs `j196` needs `j197` needs `j198` needs `j199` needs `j0`. Take one of them out of `needs`.',
    ])
  })

  test('commands are kept to the letter, whatever stands in them', () => {
    const result = readSpec(
      `jobs:\n  a:\n    script:\n      - 'echo "$(id)" \`id\` <img> /close @all'\n`,
      contextWith(),
    )
    expect('spec' in result && result.spec.jobs[0]?.script).toEqual(['echo "$(id)" `id` <img> /close @all'])
  })
})
