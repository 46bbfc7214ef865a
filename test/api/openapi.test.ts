import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApi } from '../../src/api/api.ts'
import { createBridge } from '../../src/bridge/bridge.ts'
import { readRange } from '../../src/results/log-reader.ts'
import { openRows } from '../support/rows.ts'

interface Description {
  openapi: string
  paths: Record<
    string,
    Record<string, { operationId: string; security?: unknown; parameters: { name: string; in: string }[] }>
  >
  components: { schemas: Record<string, unknown> }
}

let rows: Awaited<ReturnType<typeof openRows>>
let api: ReturnType<typeof createApi>
let description: Description

beforeAll(async () => {
  rows = await openRows()
  api = createApi(rows.context)
  description = (await (await api.request('/openapi.json')).json()) as Description
})
afterAll(() => rows.close())

describe('/openapi.json', () => {
  test('describes each address once, and every name that it uses', () => {
    expect(description.openapi).toBe('3.1.0')
    const operations = Object.values(description.paths).flatMap(path => Object.values(path))
    const names = operations.map(one => one.operationId)
    expect(new Set(names).size).toBe(names.length)
    const text = JSON.stringify(description)
    const references = [...text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(match => match[1]!)
    expect(references.length).toBeGreaterThan(10)
    expect(references.filter(name => description.components.schemas[name] === undefined)).toEqual([])
  })

  test('every parameter of a path is described, and none besides', () => {
    for (const [path, methods] of Object.entries(description.paths))
      for (const { parameters } of Object.values(methods)) {
        const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(match => match[1])
        expect(parameters.filter(one => one.in === 'path').map(one => one.name)).toEqual(inPath)
      }
  })

  test('nothing that it describes answers anybody without a token', async () => {
    const bridge = createBridge(rows.context)
    for (const [path, methods] of Object.entries(description.paths))
      for (const [method, { security }] of Object.entries(methods)) {
        if (security !== undefined) {
          const answer = await bridge.request(path, { method: method.toUpperCase() })
          expect([path, security, answer.status, answer.headers.get('www-authenticate')]).toEqual([
            ...[path, [{ idToken: [] }], 401],
            'Bearer realm="id_token of a CI job"',
          ])
          continue
        }
        const url = `/api/v1${path.replace(/\{\w+\}/g, '0')}`
        const answer = await api.request(url, { method: method.toUpperCase() })
        expect([url, answer.status, answer.headers.get('www-authenticate')]).toEqual([
          ...[url, 401],
          'Bearer realm="GitLab token"',
        ])
      }
  })

  test('describes what CI jobs call, with every key of their order', async () => {
    const ci = Object.keys(description.paths).filter(path => path.startsWith('/bridge/v1/'))
    expect(ci).toHaveLength(7)
    const text = JSON.stringify(description.paths['/bridge/v1/job']?.post)
    for (const key of ['mode', 'script', 'ntasks_per_node', 'modules', 'SCHEDULER_PARAMETERS', 'SLURM_TIMELIMIT'])
      expect(text).toContain(`"${key}":{`)
    expect(description.paths['/bridge/v1/job/log']?.get?.parameters.map(one => one.name)).toEqual([
      ...['gate', 'job', 'attempt', 'offset', 'room', 'after', 'Compops-Holder'],
    ])
  })

  test('what it does not describe is not there', async () => {
    const answer = await api.request('/api/v1/everything')
    expect([answer.status, await answer.json()]).toEqual([
      404,
      {
        type: 'about:blank',
        title: 'Not Found',
        status: 404,
        detail: 'nothing is at GET /api/v1/everything; /openapi.json says what there is',
        error: 'nothing is at GET /api/v1/everything; /openapi.json says what there is',
      },
    ])
  })
})

test('a range of a log is one of RFC 9110; anything else is none', () => {
  expect(readRange('bytes=100-')).toEqual({ offset: 100 })
  expect(readRange('bytes=100-199')).toEqual({ offset: 100, bytes: 100 })
  expect(readRange('bytes=-500')).toEqual({ offset: -500 })
  for (const none of [null, '', 'bytes=-', 'bytes=-0', 'bytes=9-1', 'bytes=1-2,4-5', 'lines=1-2', 'bytes=a-'])
    expect(readRange(none)).toBeNull()
})
