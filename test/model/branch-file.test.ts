import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { branchFile } from '../../src/model/branch-file.ts'

test.each([
  ['calc/heat/4d', 'calc/heat/4d'],
  ['größe/Ünï', 'größe/Ünï'],
  ['🚀', '🚀'],
  ['v1.2_x-y=z,@home', 'v1.2_x-y=z,@home'],
  ['-rf', '%2Drf'],
  ['.hidden', '%2Ehidden'],
  ['.git/config', '%2Egit/config'],
  ['.GIT', '%2EGIT'],
  ['git~1', 'git%7E1'],
  ['..', '%2E%2E'],
  ['../../etc/passwd', '%2E%2E/%2E%2E/etc/passwd'],
  ['end.', 'end%2E'],
  ['100%', '100%25'],
  ['%2Drf', '%252Drf'],
  ['a<b>c:d"e|f?g*h\\i', 'a%3Cb%3Ec%3Ad%22e%7Cf%3Fg%2Ah%5Ci'],
  ['$(id)', '%24%28id%29'],
  ['a#b&c;d', 'a%23b%26c%3Bd'],
  ['a b ', 'a%20b%20'],
  ['nul', '%6Eul'],
  ['Con.txt', '%43on.txt'],
  ['x/com1/y', 'x/%63om1/y'],
  ['console', 'console'],
  ['run.yml', 'run%2Eyml'],
  ['a\u202eb', 'a%E2%80%AEb'],
  ['\ud800', '%ED%A0%80'],
  ['__proto__', '__proto__'],
])('%j is %s', (branch, path) => {
  expect(branchFile(branch)).toBe(path)
})

test('what is not the name of a branch still names a file, and no folder twice', () => {
  expect(['', '/', 'a//b', '/a', 'a/'].map(branchFile)).toEqual(['%', '%/%', 'a/%/b', '%/a', 'a/%'])
})

test('long names are cut, and stay different', () => {
  const long = `${'ü'.repeat(120)}1`
  const path = branchFile(long)
  expect(Buffer.byteLength(path)).toBeLessThan(200)
  expect(path).toMatch(/^ü{50}\+[0-9a-f]{40}$/)
  expect(branchFile(`${'ü'.repeat(120)}2`)).not.toBe(path)
  // A branch that is called like the cut form of another does not meet it.
  expect(branchFile(path)).not.toBe(path)
})

test('different branches have different paths, which decode to the branch and which git takes', () => {
  const pieces = ['a', '.', '-', '%', '%2', '2E', '/', 'con', 'CON', '.yml', '+', ' ', 'ü', '~', '🚀', '?', '\u200b']
  const seen = new Map<string, string>()
  for (const a of pieces)
    for (const b of pieces)
      for (const c of pieces) {
        const branch = a + b + c
        if (/^\/|\/$|\/\//.test(branch)) continue
        const path = branchFile(branch)
        expect(seen.get(path) ?? branch).toBe(branch)
        seen.set(path, branch)
        expect(decodeURIComponent(path)).toBe(branch)
      }
  const oid = 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
  const input = [...seen.keys()].map(path => `100644 ${oid} 0\tx/${path}/f\0`).join('')
  const dir = mkdtempSync(join(tmpdir(), 'compops-paths-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  execFileSync('git', ['init', '--quiet', '--bare', dir])
  const taken = execFileSync(
    'git',
    ['-c', 'core.protectNTFS=true', '-c', 'core.protectHFS=true', 'update-index', '-z', '--index-info'],
    {
      input,
      env: { PATH: process.env.PATH, GIT_DIR: dir, GIT_CONFIG_GLOBAL: '/dev/null' },
    },
  )
  expect(taken.toString()).toBe('')
})
