import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { UnreadableError } from '../../src/errors.ts'
import { dialectOf, dialects } from '../../src/scheduler/index.ts'
import { jobRequest } from './requests.ts'

/** Every dialect is asked the same questions (src/scheduler/dialect.ts). */
describe.each(Object.values(dialects))('$name', dialect => {
  test.each(['', '\n', 'error\n', 'Job not submitted.\n', '1 2\n', '; rm -rf /\n'])(
    'unreadable submit output is an error: %j',
    answer => {
      expect(() => dialect.readSubmit(answer)).toThrow(UnreadableError)
    },
  )

  test.each(['', '\n', 'command not found\n', '\x1e'])('an unreadable queue is an error: %j', text => {
    expect(() => [...dialect.readQueue(text)]).toThrow(UnreadableError)
  })

  test('so are unreadable facts and an unreadable past', () => {
    expect(() => dialect.readFacts('')).toThrow(UnreadableError)
    expect(() => [...dialect.readPast('command not found\n')]).toThrow(UnreadableError)
  })

  test.each(['', '-rf', '1;id', '1 2', '$(id)', '1\n', '../1', '1|2'])('%j is no native id', id => {
    expect(dialect.nativeId.test(id)).toBe(false)
  })

  test('no argument holds a newline', () => {
    const request = jobRequest({}, { comment: 'a\nb' })
    expect(dialect.submitArguments(request).filter(argument => /[\0\n]/.test(argument))).toEqual([])
  })

  test('a raw directive with a newline is refused', () => {
    expect(dialect.allowedDirective(['*'], '--hint=x\ny')).not.toBe(true)
  })

  test('in doubt a job may have been made', () => {
    expect(['unknown', 'transient']).toContain(dialect.judgeRefusal(1, 'something nobody has seen'))
  })

  test('a reason it does not know stands as it is', () => {
    expect(dialect.reasonInWords('SomethingNew')).toBe('SomethingNew')
  })

  test.each(['dash', 'bash'])('its shell text is read by %s', shell => {
    execFileSync(shell, ['-n'], { input: dialect.shell })
    const functions = 'probe submit submitted judge find queue past active kill'
      .split(' ')
      .map(name => `scheduler_${name}`)
    const known = execFileSync(shell, ['-c', `${dialect.shell}\ncommand -v ${functions.join(' ')}`], { stdio: 'pipe' })
    expect(known.toString()).toContain('scheduler_')
  })
})

test('names', () => {
  expect(dialectOf('slurm').name).toBe('slurm')
  expect(() => dialectOf('lsf')).toThrow('scheduler lsf is not supported yet; there are: slurm, local')
  expect(() => dialectOf('constructor')).toThrow(
    'scheduler "constructor" is not known; there are: slurm, local, and later lsf, pbs, sge',
  )
})
