import { expect, test } from 'vitest'
import { type ComputeSeen, concludeCompute } from '../../src/doctor/compute-findings.ts'

const text = ['clock 1', 'node n7', 'shell 5.2', 'word abc', 'missing sha256sum', 'loaded', 'end 2', ''].join('\n')
const seen: ComputeSeen = {
  ...{ nativeId: '4711', refused: null, waited: null, failed: null, log: '', clockAhead: 0, left: null },
  ...{ ended: { state: 'completed', message: null }, text },
}
const said = (change: Partial<ComputeSeen>, word = 'abc', modules: string[] = []) =>
  concludeCompute({ name: 'falcon', scheduler: 'slurm', root: '/scratch', word, modules, seen: { ...seen, ...change } })
    .filter(({ level }) => level !== 'ok')
    .map(({ level, check, sentence }) => `${level} ${check}: ${sentence}`)

test('what a node lacks, and how far its clock is off, is an error of the node', () => {
  expect(said({ clockAhead: -400 })).toEqual([
    'error compute tools: Missing on the node: sha256sum.',
    'error compute clock: The clock of the node is at least 400 s behind ours.',
  ])
  expect(said({ clockAhead: 6 })[1]).toMatch(/^warn compute clock: .* 6 s ahead of ours\.$/)
})

test('a node that sees another file where ours stands has another root', () => {
  expect(said({}, 'another')[0]).toBe(
    'error compute root: The node does not see the same /scratch as the login node: another file stands where ours should.',
  )
})

test('a job that ended without an answer is told with the end of its log', () => {
  const ended = { state: 'failed', message: 'exit code 127' } as const
  expect(said({ text: null, ended, log: 'cannot write\nto /scratch\n' })).toEqual([
    'error compute: Job 4711 ended (failed, exit code 127) and left no answer; its log ends: “cannot write to /scratch”.',
  ])
  // Cut by a time limit.
  expect(said({ text: 'clock 1\nnode n7\n', ended })).toHaveLength(1)
})

test('what is left behind is said, and a node without modules', () => {
  const absent = text.replace('loaded\n', 'module gcc absent\nloaded\n').replace('missing sha256sum\n', '')
  expect(said({ text: absent, left: '/scratch/x was left: its job is still there' }, 'abc', ['gcc'])).toEqual([
    'error module gcc: There is no `module` command on the compute node, in a login shell.',
    'warn trial: /scratch/x was left: its job is still there.',
  ])
})
