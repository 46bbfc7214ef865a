import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pbs } from '../../../src/scheduler/pbs/pbs.ts'
import { recorded } from '../recorded.ts'

type Attributes = Readonly<Record<string, string | number | Readonly<Record<string, string | number>>>>

/**
 * Most of what was recorded on 23.06 is JSON; the service asks for dsv. This turns the one into the other as qstat does, and queue.test.ts
 * compares it with the one dsv that was recorded.
 */
export function asDsv(file: string, delimiter = '\x1f'): string {
  const { Jobs = {}, Server = {} } = JSON.parse(recorded(`pbs/${file}`)) as Record<string, Record<string, Attributes>>
  const rows = (kind: string, all: Record<string, Attributes>) =>
    Object.entries(all).map(([id, attributes]) =>
      [
        `${kind}: ${id}`,
        ...Object.entries(attributes).flatMap(([name, value]) => {
          if (typeof value !== 'object') return `${name}=${value}`
          const pairs = Object.entries(value)
          if (name === 'Variable_List') return `${name}=${pairs.map(pair => pair.join('=')).join(',')}`
          return pairs.map(([resource, amount]) => `${name}.${resource}=${amount}`)
        }),
      ].join(delimiter),
    )
  return [...rows('Job Id', Jobs), ...rows('Server', Server)].map(row => `${row}\n`).join('')
}

export interface Said {
  readonly stdout?: string
  readonly stderr?: string
  readonly rc?: number
}

/** What a function of the dialect's shell text prints, where PBS' commands say this. Throws with its stderr where it fails. */
export function throughShell(
  call: string,
  commands: Readonly<Record<string, Said>>,
  shell = 'dash',
  input = '',
): string {
  const dir = mkdtempSync(join(tmpdir(), 'compops-pbs-'))
  try {
    for (const [command, { stdout = '', stderr = '', rc = 0 }] of Object.entries(commands)) {
      writeFileSync(join(dir, `${command}.out`), stdout)
      writeFileSync(join(dir, `${command}.err`), stderr)
      const text = `#!/bin/sh\necho "${command} $*" >>'${dir}/calls'\ncat '${dir}/${command}.out'\ncat '${dir}/${command}.err' >&2\nexit ${rc}\n`
      writeFileSync(join(dir, command), text)
      chmodSync(join(dir, command), 0o755)
    }
    const [program = '', ...options] = shell.split(' ')
    return execFileSync(program, [...options, '-c', `${pbs.shell}\n${call}`], {
      env: { PATH: `${dir}:/usr/bin:/bin`, TZ: 'UTC', LC_ALL: 'C' },
      input,
      encoding: 'utf8',
      stdio: 'pipe',
    })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** What the server says of itself. */
export const up: Said = { stdout: asDsv('23.06-qstat-Bf.json') }
