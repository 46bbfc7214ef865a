import { execFile, execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { templates } from '../../ci-templates/build.ts'

/** GitLab's own schema of CI files, as gitlab-ci-local carries it, on what the examples become with their templates put in. */

const own = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const linter = own('../../node_modules/gitlab-ci-local/dist/index.js')
const run = promisify(execFile)

/** Names of the jobs of an example project; rejects with what the schema says against it. */
async function lint(example: string, change: (text: string) => string = text => text): Promise<string[]> {
  const place = mkdtempSync(join(tmpdir(), 'compops-lint-'))
  onTestFinished(() => rmSync(place, { recursive: true, force: true }))
  cpSync(own(`../../gitlab/ci/${example}`), place, { recursive: true })
  cpSync(own('../../ci-templates/templates'), join(place, 'templates'), { recursive: true })
  const file = join(place, '.gitlab-ci.yml')
  const text = readFileSync(file, 'utf8')
  const here = text.replace(/component: \S+\/(\w+)@\S+/g, 'local: /templates/$1.yml')
  expect(here).not.toBe(text)
  writeFileSync(file, change(here))
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.email=ada@example.org', '-c', 'user.name=Ada', ...args], { cwd: place })
  git('init', '--quiet')
  git('add', '--all')
  git('commit', '--quiet', '--message', 'first')
  git('remote', 'add', 'origin', 'https://gitlab.example.org/physics/heat.git')
  // The editor's schema wants a tag where there are tags; GitLab itself takes none for "any runner" (lib/gitlab/ci/config/entry/tags.rb).
  const options = ['--list-json', '--ignore-schema-paths', '#/definitions/tags/minItems']
  const { stdout } = await run(process.execPath, [linter, ...options], { cwd: place })
  return (JSON.parse(stdout) as { name: string }[]).map(job => job.name)
}

it.each(templates().map(({ name }) => name.replace(/\.yml$/, '')))(
  'the example of %s is a CI file as GitLab takes it',
  async name => {
    expect((await lint(name)).length).toBeGreaterThan(0)
  },
)

it('what GitLab would not take is seen', async () => {
  await expect(lint('attach', text => `${text}\nother:\n  scrip: [make]\n`)).rejects.toThrow(/other/)
  const odd = 'other:\n  script: [make]\n  when: sometimes\n'
  await expect(lint('attach', text => `${text}\n${odd}`)).rejects.toThrow(/'when'|other\.when/)
})
