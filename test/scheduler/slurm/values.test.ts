import { describe, expect, test } from 'vitest'
import { reasonInWords } from '../../../src/scheduler/slurm/reasons.ts'
import { readDuration, readNodes, readSize, readTime } from '../../../src/scheduler/slurm/values.ts'

test.each([
  ['2026-11-20T12:27:45', '2026-11-20T12:27:45.000Z'],
  ['N/A', null],
  ['Unknown', null],
  ['None', null],
  ['', null],
])('the time %j', (text, time) => {
  expect(readTime(text)?.toISOString() ?? null).toBe(time)
})

test.each([
  ['00:00:00', 0],
  ['00:00.001', 0.001],
  ['01:12', 72],
  ['07:30:00', 27_000],
  ['2-03:04:05', 183_845],
  ['', null],
  ['INVALID', null],
])('the duration %j', (text, seconds) => {
  expect(readDuration(text)).toBe(seconds)
})

test.each([
  ['0', 0],
  ['2900K', 2_969_600],
  ['62.50G', 67_108_864_000],
  ['1M', 1_048_576],
  ['', null],
])('the size %j', (text, bytes) => {
  expect(readSize(text)).toBe(bytes)
})

describe('node lists', () => {
  test.each([
    ['n1', ['n1']],
    ['n[1-3,07]', ['n1', 'n2', 'n3', 'n07']],
    ['n[08-11]', ['n08', 'n09', 'n10', 'n11']],
    ['n1,g[1-2]', ['n1', 'g1', 'g2']],
    ['r[1-2]c[1-2]', ['r1c1', 'r1c2', 'r2c1', 'r2c2']],
    ['login-a.site', ['login-a.site']],
    ['None assigned', []],
    ['(null)', []],
    ['', []],
  ])('%s', (text, nodes) => {
    expect(readNodes(text)).toEqual(nodes)
  })

  test('a list that would explode does not', () => {
    expect(readNodes('n[1-999999999]')).toHaveLength(10_000)
    expect(readNodes('a[1-9999]b[1-9999]c[1-9999]').length).toBeLessThanOrEqual(10_000)
  })
})

test.each([
  ['Resources', 'it waits for resources to become free'],
  ['Priority', 'other jobs have a higher priority'],
  ['QOSMaxCpuPerUserLimit', 'the limit of CPUs per user of this QOS is reached'],
  ['QOSMaxJobsPerUserLimit', 'the limit of running jobs per user of this QOS is reached'],
  ['QOSMaxSubmitJobPerUserLimit', 'the limit of submitted jobs per user of this QOS is reached'],
  ['QOSMaxGRESPerUser', 'the limit of generic resources such as GPUs per user of this QOS is reached'],
  [
    'QOSMaxWallDurationPerJobLimit',
    'it asks for more wall time than this QOS allows one job: it will not start as it is',
  ],
  ['QOSMaxMemoryPerJob', 'it asks for more memory than this QOS allows one job: it will not start as it is'],
  [
    'QOSMinGRES',
    'it asks for less than the least generic resources such as GPUs of this QOS: it will not start as it is',
  ],
  ['QOSGrpNodeLimit', 'the limit of nodes of this QOS, all its jobs together, is reached'],
  ['QOSGrpCPUMinutesLimit', 'the limit of CPU minutes of this QOS, all its jobs together, is reached'],
  [
    'AssocGrpCPURunMinutesLimit',
    'the limit of CPU minutes of running jobs of this account, all its jobs together, is reached',
  ],
  ['AssocGrpCpuLimit', 'the limit of CPUs of this account, all its jobs together, is reached'],
  ['AssocMaxJobsLimit', 'the limit of running jobs of this account is reached'],
  [
    'AssocMaxWallDurationPerJobLimit',
    'it asks for more wall time than this account allows one job: it will not start as it is',
  ],
  [
    'ReqNodeNotAvail, UnavailableNodes:n[1-2]',
    'a node it needs is not available (in use, reserved, down or drained): n[1-2]',
  ],
  [
    'ReqNodeNotAvail, Reserved for maintenance',
    'its time would reach into a reservation for maintenance: it starts after that, or before with a shorter `time`',
  ],
  ['ReqNodeNotAvail(Unavailable:n4)', 'a node it needs is not available (in use, reserved, down or drained)'],
  ['SomethingNew', 'SomethingNew'],
  ['constructor', 'constructor'],
])('the reason %s', (reason, words) => {
  expect(reasonInWords(reason)).toBe(words)
})
