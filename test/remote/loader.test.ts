import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { frameProgram, LOADER, LOADER_SCRIPT, STOP_PROGRAM } from '../../src/remote/loader.ts'

// /bin/sh is dash on Debian, bash on Red Hat and SUSE, busybox on Alpine.
const shells = [['dash'], ['bash', '--posix'], ['busybox', 'sh'], ['ksh'], ['mksh']].filter(
  ([name]) => spawnSync(name as string, ['-c', 'exit 0']).error === undefined,
)

function load(shell: readonly string[], stdin: Buffer | string) {
  const [name, ...args] = shell as [string, ...string[]]
  return spawnSync(name, [...args, '-c', LOADER_SCRIPT], { input: stdin, maxBuffer: 32 << 20 })
}

describe('the command that is sent', () => {
  test('reads alike in sh, bash, zsh, tcsh and fish', () => {
    expect(LOADER).toBe(`exec /bin/sh -c '${LOADER_SCRIPT}'`)
    expect(LOADER_SCRIPT).not.toMatch(/['!\\\n]/)
  })

  test('fits the shortest line a csh takes', () => {
    expect(LOADER.length).toBeLessThan(1024)
  })
})

test('the frame is a line with nonce and input size, the program, the nonce', () => {
  expect(frameProgram('squeue -h\n', 'abc', 12).toString()).toBe('abc 12\nsqueue -h\n\nabc\n')
  expect(frameProgram('cat', 'abc', undefined).toString()).toBe('abc -\ncat\nabc\n')
  expect(() => frameProgram('a\0b', 'abc', 0)).toThrow('NUL')
})

describe.each(shells)('under %s', (...shell) => {
  test('a program is framed on both streams and its exit code told', () => {
    const { stdout, stderr, status } = load(shell, frameProgram('echo out; echo err >&2; exit 7', 'abc', 0))
    expect(stdout.toString()).toMatch(/^compops-begin abc \d+\nout\ncompops-end abc 7\n$/)
    expect(stderr.toString()).toMatch(/^compops-begin abc \d+\nerr\ncompops-end abc 7\n$/)
    expect(status).toBe(0)
  })

  test('5 MB of random input arrive whole', () => {
    const input = randomBytes(5_000_000)
    const { stdout } = load(shell, Buffer.concat([frameProgram('sha256sum', 'abc', input.length), input]))
    expect(stdout.toString()).toContain(`\n${createHash('sha256').update(input).digest('hex')}  -\n`)
  })

  test('a program of many lines keeps quotes, backslashes, blanks and here documents', () => {
    const program = [
      `  printf '%s|' 'a  b' "c\\\\d" \\`,
      `    "it's"`,
      '',
      "cat <<'EOF'",
      '  $(id) `id` \\n\t!',
      'EOF',
      'f() {',
      '  echo "in f: $1"',
      '}',
      'f "$input_bytes"',
    ].join('\n')
    const { stdout } = load(shell, frameProgram(program, 'abc', 42))
    expect(stdout.toString().replace(/\d+/, 'PID')).toBe(
      "compops-begin abc PID\na  b|c\\d|it's|  $(id) `id` \\n\t!\nin f: 42\ncompops-end abc 0\n",
    )
  })

  test.each([
    ['nothing', ''],
    ['half a header', 'ab'],
    ['a header', 'abc 0\n'],
    ['half a program', 'abc 0\necho one\necho two'],
    ['all but the last newline', 'abc 0\necho one\nabc'],
  ])('a link that breaks after %s runs nothing', (_what, stdin) => {
    const { stdout, stderr, status } = load(shell, stdin)
    expect(stdout.toString() + stderr.toString()).toBe('')
    expect(status).toBe(97)
  })

  test('the program sees none of the variables of the loader, nor old ones of the environment', () => {
    const [name, ...args] = shell as [string, ...string[]]
    const { stdout } = spawnSync(name, [...args, '-c', LOADER_SCRIPT], {
      input: frameProgram('echo "<$p$n$l$k$nl>"; env | grep -E "^(p|n|l|k|nl|input_bytes)=" || echo none', 'abc', 0),
      env: { ...process.env, p: 'x', n: 'x', l: 'x', k: '1', input_bytes: 'x' },
    })
    expect(stdout.toString()).toContain('<>\nnone\n')
  })

  test('a syntax error is an exit code, and the frame stays whole', () => {
    const { stdout } = load(shell, frameProgram('if then', 'abc', 0))
    expect(stdout.toString()).toMatch(/^compops-begin abc \d+\ncompops-end abc [1-9]\d*\n$/)
  })

  test('the stop program ends a whole group, also one that ignores TERM, and nothing else', async () => {
    const [name, ...args] = shell as [string, ...string[]]
    const child = spawn(name, [...args, '-c', LOADER_SCRIPT], { detached: true })
    child.stdin.write(frameProgram('trap "" TERM; sh -c "sleep 300"; sleep 300', 'abc', 0))
    const begin = await new Promise(resolve => child.stdout.once('data', resolve))
    expect(String(begin)).toBe(`compops-begin abc ${child.pid}\n`)
    const closed = new Promise(resolve => child.once('close', (_code, signal) => resolve(signal)))
    expect(
      load(shell, Buffer.concat([frameProgram(STOP_PROGRAM, 'abc', 0), Buffer.from(`${child.pid}\n`)])).status,
    ).toBe(0)
    // The shell went at TERM; its streams close when the last of the group has gone.
    expect(await closed).toBe('SIGTERM')

    const other = spawn('sleep', ['300'], { detached: true })
    load(shell, Buffer.concat([frameProgram(STOP_PROGRAM, 'abc', 0), Buffer.from(`${other.pid}\n`)]))
    expect(other.kill(0)).toBe(true)
    other.kill('SIGKILL')
  })

  test('HUP is ignored, PIPE ends what the program starts but not the program', () => {
    const program = [
      'sh -c "kill -HUP \\$\\$; echo survived HUP"',
      'sh -c "kill -PIPE \\$\\$; echo survived PIPE"',
      'kill -PIPE "$(sh -c "echo \\$PPID")"; echo went on',
    ].join('\n')
    const { stdout } = load(shell, frameProgram(program, 'abc', 0))
    expect(stdout.toString()).toContain('survived HUP\n')
    expect(stdout.toString()).not.toContain('survived PIPE')
    expect(stdout.toString()).toContain('went on\n')
  })
})
