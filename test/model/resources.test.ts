import { describe, expect, test } from 'vitest'
import {
  formatGpus,
  formatMemory,
  formatResource,
  parseGpus,
  parseMemory,
  type ResourceKind,
  readResource,
  resourceKeys,
} from '../../src/model/resources.ts'

describe('memory', () => {
  test.each([
    ['2G', 2_048],
    ['512M', 512],
    ['1.5T', 1_572_864],
    ['16GB', 16_384],
    ['16GiB', 16_384],
    ['16 g', 16_384],
    ['1000K', 1],
    ['1025K', 2],
    ['1.1G', 1_127],
  ])('%s is %i MiB', (text, mebibytes) => {
    expect(parseMemory(text)).toEqual({ ok: true, value: mebibytes })
  })

  test.each<[unknown, string]>([
    [4, '4 has no unit. Write `4M` or `4G`.'],
    ['4', '4 has no unit. Write `4M` or `4G`.'],
    [0, 'Memory of 0 means all of a node to Slurm and nothing to others. Write how much, or `exclusive: true`.'],
    ['0G', 'Memory of 0 means all of a node to Slurm and nothing to others. Write how much, or `exclusive: true`.'],
    ['-1G', 'This is not an amount of memory. Write for example `512M`, `2G` or `1.5T`; the units are K, M, G and T.'],
    ['32+', 'This is not an amount of memory. Write for example `512M`, `2G` or `1.5T`; the units are K, M, G and T.'],
    ['2000T', 'This is more than 1024 T. Write for example `512M`, `2G` or `1.5T`.'],
    [null, 'Memory is a text with a unit. Write for example `512M`, `2G` or `1.5T`.'],
  ])('%j is refused with the fix', (value, sentence) => {
    const parsed = parseMemory(value)
    expect(parsed.ok ? parsed.value : `${parsed.message} ${parsed.remedy}`).toBe(sentence)
  })

  test.each([
    [1, '1 M', '1M'],
    [512, '512 M', '512M'],
    [1_536, '1.5 G', '1536M'],
    [2_150, '2.1 G', '2150M'],
    [16_384, '16 G', '16G'],
    [1_048_575, '1 T', '1048575M'],
    [1_572_864, '1.5 T', '1536G'],
  ])('%i MiB read %s, exactly %s', (mebibytes, people, exact) => {
    expect(formatMemory(mebibytes)).toBe(people)
    expect(formatMemory(mebibytes, 'exact')).toBe(exact)
  })
})

describe('GPUs', () => {
  test.each([
    [2, { type: null, count: 2 }, '2 GPUs', '2'],
    ['1', { type: null, count: 1 }, '1 GPU', '1'],
    ['a100', { type: 'a100', count: 1 }, '1 × a100', 'a100:1'],
    ['a100:2', { type: 'a100', count: 2 }, '2 × a100', 'a100:2'],
    [
      'nvidia_a100_3g.20gb:1',
      { type: 'nvidia_a100_3g.20gb', count: 1 },
      '1 × nvidia_a100_3g.20gb',
      'nvidia_a100_3g.20gb:1',
    ],
  ])('%j', (value, gpus, people, exact) => {
    expect(parseGpus(value)).toEqual({ ok: true, value: gpus })
    expect(formatGpus(gpus)).toBe(people)
    expect(formatGpus(gpus, 'exact')).toBe(exact)
  })

  test.each([0, -1, 1.5, '0', 'a100:0', 'a100:', ':2', 'a100:2:3', 'a b', '$(id)', 'a100\n', '', null])(
    '%j is refused',
    value => {
      // A line end after the name is trimmed, not kept.
      const parsed = parseGpus(value)
      if (value === 'a100\n') expect(parsed).toEqual({ ok: true, value: { type: 'a100', count: 1 } })
      else expect(parsed.ok).toBe(false)
    },
  )
})

describe('other resources', () => {
  test.each<[ResourceKind, unknown, string]>([
    [
      'word',
      'a b',
      'Spaces, line ends, quotes and `$ ; < > # \\` cannot stand here. Write one word, lists with commas.',
    ],
    [
      'word',
      'main\n#SBATCH --uid=0',
      'Spaces, line ends, quotes and `$ ; < > # \\` cannot stand here. Write one word, lists with commas.',
    ],
    [
      'word',
      '$(id)',
      'Spaces, line ends, quotes and `$ ; < > # \\` cannot stand here. Write one word, lists with commas.',
    ],
    ['word', '-rf', 'This begins with a dash, which schedulers read as another option. Leave the dash out.'],
    ['word', '', 'This is empty. Write a value or leave the key out.'],
    ['word', 2024, 'This must be a text. Write it in quotes: "2024".'],
    ['count', 0, '0 is out of range. Write a whole number from 1 to 10000000.'],
    ['count', 1.5, 'This must be a whole number. Write for example 1.'],
    ['count', '8', 'This must be a number. Write 8 without quotes.'],
    ['flag', 'yes', 'This is neither true nor false. Write `true` or `false` without quotes.'],
  ])('%s %j is refused with the fix', (kind, value, sentence) => {
    const parsed = readResource(kind, value)
    expect(parsed.ok ? parsed.value : `${parsed.message} ${parsed.remedy}`).toBe(sentence)
  })

  test.each<[ResourceKind, unknown, unknown]>([
    ['word', '[rack1*2&rack2*4]', '[rack1*2&rack2*4]'],
    ['word', 'gpu:a100:2,shard:1', 'gpu:a100:2,shard:1'],
    ['integer', -100, -100],
    ['minutes', 90, 5_400],
    ['seconds', 90, 90],
    ['mebibytes', 2_000, 2_000],
  ])('%s %j is %j', (kind, value, result) => {
    expect(readResource(kind, value)).toEqual({ ok: true, value: result })
  })

  test('no name stands for two things', () => {
    const names = Object.entries(resourceKeys).flatMap(([key, row]) => [key, ...Object.keys(row.aliases)])
    expect(new Set(names).size).toBe(names.length)
  })

  test('values are printed as they would be written', () => {
    expect(formatResource('time', 5_400)).toBe('1h30m')
    expect(formatResource('mem', 2_048)).toBe('2G')
    expect(formatResource('gpus', { type: 'a100', count: 2 })).toBe('a100:2')
    expect(formatResource('partition', 'main')).toBe('main')
  })
})
