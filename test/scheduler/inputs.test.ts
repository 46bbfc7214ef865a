import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bringInputs, type InputFile, renderInputs } from '../../src/scheduler/inputs.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'compops-inputs-'))
  for (const name of ['work', 'attempt', 'parent']) mkdirSync(join(dir, name))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function computed(path: string, content: string): InputFile {
  const from = join(dir, 'parent', path.replaceAll('/', '_'))
  writeFileSync(from, content)
  return { from, path, size: content.length, sha256: createHash('sha256').update(content).digest('hex') }
}

/** Runs the lines as a job does, in the checkout. Returns what it said. */
function bring(inputs: readonly InputFile[]): { code: number; said: string } {
  writeFileSync(join(dir, 'attempt/inputs'), renderInputs(inputs))
  try {
    const script = `set -eo pipefail\n${bringInputs(join(dir, 'attempt'))}\necho begins`
    return { code: 0, said: execFileSync('bash', ['-c', script], { cwd: join(dir, 'work'), encoding: 'utf8' }) }
  } catch (error) {
    const { status, stdout } = error as { status: number; stdout: string }
    return { code: status, said: stdout }
  }
}

describe('inputs of a job', () => {
  it('are in the checkout before its commands begin, whatever their names; again is as well', () => {
    const inputs = [computed('mesh/heat.msh', 'fine'), computed(`odd $(id) 'n"ame.txt`, 'x')]
    expect(bring(inputs)).toEqual({ code: 0, said: 'begins\n' })
    expect(bring(inputs)).toEqual({ code: 0, said: 'begins\n' })
    expect(readFileSync(join(dir, 'work/mesh/heat.msh'), 'utf8')).toBe('fine')
    expect(readdirSync(join(dir, 'work')).sort()).toEqual(['mesh', `odd $(id) 'n"ame.txt`])
    expect(readdirSync(join(dir, 'work/mesh'))).toEqual(['heat.msh'])
  })

  it('that were written again since are refused by name, and nothing half is left', () => {
    const input = computed('mesh/heat.msh', 'fine')
    writeFileSync(input.from, 'FINE')
    expect(bring([input])).toEqual({
      code: 78,
      said: 'compops: the input mesh/heat.msh is not what the parent had computed: it was written again since\n',
    })
    expect(readdirSync(join(dir, 'work/mesh'))).toEqual([])
  })

  it('that were brought from another cluster and are damaged there are taken away, so that they are brought anew', () => {
    mkdirSync(join(dir, 'cache/inputs'), { recursive: true })
    const from = join(dir, 'cache/inputs', 'a'.repeat(64))
    writeFileSync(from, 'FINE')
    expect(bring([{ ...computed('heat.msh', 'fine'), from }])).toEqual({
      code: 78,
      said: 'compops: the input heat.msh is damaged: it is not what was brought here\n',
    })
    expect(readdirSync(join(dir, 'cache/inputs'))).toEqual([])
  })

  it('that are gone are told by name', () => {
    const input = computed('heat.msh', 'fine')
    rmSync(input.from)
    expect(bring([input])).toEqual({ code: 78, said: 'compops: the input heat.msh cannot be read\n' })
  })
})
