import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { readSpec } from '../../src/spec/index.ts'
import { contextWith, sentences } from '../support/spec-context.ts'

const folder = fileURLToPath(new URL('../../gitlab/', import.meta.url))
const examples = readdirSync(folder, { withFileTypes: true })
  .filter(entry => entry.isDirectory())
  // Those of CI jobs are run, in a story of their own.
  .flatMap(({ name }) => (name === 'ci' ? readdirSync(`${folder}ci`).map(one => `ci/${one}`) : [name]))
  .filter(name => !name.startsWith('ci/') || existsSync(`${folder}${name}/.compops.yml`))

test.each(examples)('gitlab/%s is a project whose computation is understood', name => {
  const read = (path: string) =>
    existsSync(`${folder}${name}/${path}`) ? readFileSync(`${folder}${name}/${path}`, 'utf8') : null
  const result = readSpec(read('.compops.yml') ?? '', { ...contextWith(), readFile: read })
  expect(sentences(result)).toEqual([])
  if (!name.startsWith('ci/')) expect(read('README.md')).toMatch(/^# /)
  if (!('spec' in result)) return
  // What its scripts name is there.
  for (const job of result.spec.jobs)
    for (const [path] of (job.script ?? []).join('\n').matchAll(/\b[a-z_]+\.(?:py|jl|awk|c)\b/g))
      expect(read(path), path).not.toBeNull()
})

test.each(
  examples.flatMap(name =>
    readdirSync(folder + name)
      .filter(file => file.endsWith('.py'))
      .map(file => `${name}/${file}`),
  ),
)('gitlab/%s is Python', file => {
  execFileSync('python3', ['-c', 'import ast, sys; ast.parse(sys.stdin.read())'], {
    input: readFileSync(folder + file),
  })
})
