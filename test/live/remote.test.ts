import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Remote } from '../../src/remote/remote.ts'
import { createSsh2Remote } from '../../src/remote/ssh2.ts'
import { addLabUser, type Lab, labUp } from '../support/lab.ts'

const run = promisify(execFile)
let lab: Lab
beforeAll(async () => {
  lab = await labUp()
})

describe('on the cluster', () => {
  let remote: Remote
  beforeAll(() => {
    remote = createSsh2Remote(lab)
  })
  afterAll(async () => {
    await remote?.close()
  })

  test('a job is submitted, runs under our account and leaves its output', async () => {
    const script = '#!/bin/sh\nid -un\necho "$SLURM_JOB_NAME"\n'
    const program = `
      root=${lab.root}
      cat >"$root/script" || exit 1
      [ "$(wc -c <"$root/script")" -eq "$input_bytes" ] || exit 1
      sbatch --parsable --wait -J compops-probe -o "$root/log" "$root/script" || exit 1
      cat "$root/log"`
    const answer = await remote.run({ program, input: script, lane: 'urgent' })
    expect(answer).toMatchObject({ rc: 0, stderr: '' })
    expect(answer.stdout).toMatch(/^\d+\nhpcuser\ncompops-probe\n$/)
  })

  test('what a program starts ends with it at the deadline, on a server with privilege separation too', async () => {
    const program = `sh -c 'echo $$; exec sleep 300' >${lab.root}/child`
    await expect(remote.run({ program, deadline: 3_000 })).rejects.toMatchObject({ kind: 'timeout' })
    const gone = `read -r p <${lab.root}/child; while kill -0 "$p" 2>/dev/null; do sleep 0.1; done`
    expect((await remote.run({ program: gone, deadline: 10_000 })).rc).toBe(0)
  })
})

describe.each([
  { shell: '/bin/sh', startFile: '.profile', noise: 'echo never read' },
  { shell: '/bin/bash', startFile: '.bashrc', noise: 'echo Welcome!; printf "no newline"; echo oops >&2' },
  { shell: '/usr/bin/tcsh', startFile: '.tcshrc', noise: 'echo Welcome!; printf "no newline"; setenv n x' },
  {
    shell: '/usr/bin/fish',
    startFile: '.config/fish/config.fish',
    noise: 'echo Welcome!; printf "no newline"; set -x p x',
  },
])('an account whose login shell is $shell', ({ shell, startFile, noise }) => {
  let remote: Remote
  beforeAll(async () => {
    const user = `lab-${shell.split('/').at(-1)}`
    const home = await addLabUser(lab, { user, shell, packages: ['tcsh', 'fish'] })
    await run('install', ['-d', '-o', user, join(home, '.config/fish')])
    await writeFile(join(home, startFile), `${noise}\n`)
    await run('chown', ['-R', `${user}:`, home])
    remote = createSsh2Remote({ ...lab, user })
  })
  afterAll(async () => {
    await remote?.close()
  })

  test('answers like any other', async () => {
    const program = 'echo "$TZ $LC_ALL $(umask) $input_bytes"; cat; echo; echo warning >&2; exit 3'
    const input = `$(id) \`id\` !! !$ it's "quoted" \\ \\n * ~ {a,b} #é\nsecond line`
    expect(await remote.run({ program, input })).toEqual({
      rc: 3,
      stdout: `UTC C 0077 ${Buffer.byteLength(input)}\n${input}\n`,
      stderr: 'warning\n',
    })
  })

  test('takes 5 MB of random bytes', async () => {
    const input = randomBytes(5_000_000)
    const { stdout } = await remote.run({ program: 'sha256sum', input })
    expect(stdout).toBe(`${createHash('sha256').update(input).digest('hex')}  -\n`)
  })

  test('has its programs ended at the deadline', async () => {
    await expect(remote.run({ program: 'sleep 301', deadline: 1_000 })).rejects.toMatchObject({
      kind: 'timeout',
      maybeRan: true,
    })
    const gone = 'while ps -u "$(id -u)" -o args= | grep -qx "sleep 301"; do sleep 0.1; done'
    expect((await remote.run({ program: gone, deadline: 10_000 })).rc).toBe(0)
  })
})
