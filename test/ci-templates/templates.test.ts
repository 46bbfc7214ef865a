import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { templates } from '../../ci-templates/build.ts'

// What they become in a project is checked against GitLab's schema in lint.test.ts.
const script = fileURLToPath(new URL('../../ci-templates/compops.sh', import.meta.url))
type Mapping = Record<string, unknown>
type CiJob = Mapping & { variables: Mapping; script: unknown[] }

const inputTypes = ['string', 'number', 'boolean', 'array']
const jobKeys = [
  'stage',
  'image',
  'tags',
  'id_tokens',
  'variables',
  'script',
  'after_script',
  'needs',
  'when',
  'allow_failure',
  'artifacts',
]

describe.each(templates())('the template $name', ({ text, wanted }) => {
  const [header, content] = parseAllDocuments(text).map(document => document.toJS() as Mapping)

  it('holds compops.sh as it is (npm run ci-templates)', () => {
    expect(text).toBe(wanted)
  })

  it('is a component: each input has a type and a description, and all but the address a default', () => {
    const inputs = Object.entries((header!.spec as { inputs: Record<string, Record<string, unknown>> }).inputs)
    expect(Object.keys(header!)).toEqual(['spec'])
    for (const [name, input] of inputs) {
      expect([name, input.description]).toEqual([name, expect.stringMatching(/\S/)])
      expect(inputTypes).toContain(input.type ?? 'string')
      expect([name, 'default' in input]).toEqual([name, name !== 'url'])
    }
    const used = [...text.matchAll(/\$\[\[\s*inputs\.(\w+)\s*\]\]/g)].map(match => match[1])
    expect([...new Set(used)].sort()).toEqual(inputs.map(([name]) => name).sort())
  })

  it('has jobs as GitLab takes them, with an id_token for the address and no clone', () => {
    const jobs = Object.entries(content as Record<string, CiJob>).filter(([name]) => !name.startsWith('.'))
    expect(jobs.length).toBeGreaterThan(0)
    for (const [, job] of jobs) {
      expect(Object.keys(job).filter(key => !jobKeys.includes(key))).toEqual([])
      expect(job.id_tokens).toEqual({ COMPOPS_ID_TOKEN: { aud: '$[[ inputs.url ]]' } })
      expect(job.variables.GIT_STRATEGY).toBe('none')
      expect(job.script.every((line: unknown) => typeof line === 'string')).toBe(true)
      for (const value of Object.values<unknown>(job.variables))
        expect(typeof value === 'string' || typeof (value as { value: unknown }).value === 'string').toBe(true)
    }
  })

  it('names no job that GitLab would drop, and interpolates nothing by accident', () => {
    expect(text.replaceAll(/\$\[\[ inputs\.\w+ \]\]/g, '')).not.toContain('$[[')
  })
})

describe('compops.sh', () => {
  it.each([
    ['dash', ['-n']],
    ['busybox', ['sh', '-n']],
    ['sh', ['-n']],
  ] as const)('is read by %s', (shell, words) => {
    execFileSync(shell, [...words, script])
  })

  it('encodes any bytes for a form', () => {
    const nasty = `it's "$HOME" \`id\` %41 & = + \n\ttäglich\n`
    for (const [shell, words] of [
      ['dash', []],
      ['busybox', ['sh']],
    ] as const) {
      const form = execFileSync(shell, [
        ...words,
        '-c',
        '. "$1"; compops_field text "$2"',
        'x',
        script,
        nasty,
      ]).toString()
      expect(new URLSearchParams(form.slice(1)).get('text')).toBe(nasty)
    }
  })

  it('leaves no part of a file, and fails, where the rest of it is not to be had', () => {
    const folder = mkdtempSync(join(tmpdir(), 'compops-sh-'))
    try {
      for (const shell of ['dash', 'busybox sh']) {
        // The first piece comes, then the service says no.
        const text = `. '${script}'
          compops_ask() { [ "$compops_offset" = 0 ] || return 1; compops_words=' next=4 done=no '; }
          compops_body() { printf half; }
          compops_file=out.csv compops_number=0 compops_sha=-
          compops_file '${folder}' '' 2>'${folder}/said'; echo "ended $?"`
        const ended = execFileSync('sh', ['-c', `${shell} -c "$1"`, 'x', text]).toString()
        expect(ended.trim()).toBe('ended 1')
        expect(readFileSync(join(folder, 'said'), 'utf8')).toContain('out.csv could not be fetched whole')
        expect(readdirSync(folder)).toEqual(['said'])
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('is one include of three lines away', () => {
    const readme = readFileSync(fileURLToPath(new URL('../../ci-templates/README.md', import.meta.url)), 'utf8')
    const example = /```yaml\n(include:[\s\S]*?)```/.exec(readme)?.[1] ?? ''
    expect(parse(example)).toMatchObject({ include: [{ component: expect.stringMatching(/\/gate@/) }] })
  })
})
