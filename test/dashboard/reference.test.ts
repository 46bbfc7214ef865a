import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApi } from '../../src/api/api.ts'
import { type ApiDescription, fieldsOf, referencePage, typeOf } from '../../src/dashboard/pages/reference.ts'
import { render } from '../../src/dashboard/template.ts'
import { openRows } from '../support/rows.ts'

let rows: Awaited<ReturnType<typeof openRows>>
beforeAll(async () => {
  rows = await openRows()
})
afterAll(() => rows.close())

describe('the API for people', () => {
  it('has every address that programs are told of, and each name that one of them uses leads somewhere', async () => {
    const description = (await (await createApi(rows.context).request('/openapi.json')).json()) as ApiDescription
    const page = await referencePage.show({ api: async () => description } as never, {} as never, {} as never)
    const html = render('reference', { ...page?.view, base: '' })
    for (const path of Object.keys(description.paths ?? {})) expect(html).toContain(`<code>${path}</code>`)
    const targets = [...html.matchAll(/href="#([^"]+)"/g)].map(match => match[1]!)
    expect(targets.length).toBeGreaterThan(20)
    expect(targets.filter(one => !html.includes(`id="${one}"`))).toEqual([])
    expect(html).toContain('429')
  })

  it('says fields by the way through an answer, and types in words', () => {
    const schema = {
      properties: {
        runs: { items: { properties: { id: { type: 'string', format: 'uuid' } }, required: ['id'] } },
        hold: { anyOf: [{ properties: { mode: { enum: ['pause', 'drain'] } } }, { type: 'null' }] },
        parent: { anyOf: [{ $ref: '#/components/schemas/Parent' }, { type: 'null' }], description: 'above it' },
        metrics: { additionalProperties: { type: 'number' } },
      },
      required: ['runs'],
    }
    expect(fieldsOf(schema).map(({ name, type, required, links }) => [name, type, required, links])).toEqual([
      ['runs', 'object[]', true, null],
      ['runs[].id', 'uuid', true, null],
      ['hold', 'object | null', false, null],
      ['hold.mode', '"pause" | "drain"', false, null],
      ['parent', 'Parent | null', false, 'Parent'],
      ['metrics', 'any name: number', false, null],
    ])
    expect(typeOf({ items: { anyOf: [{ type: 'string' }, { const: true }] } })).toBe('(string | true)[]')
  })
})
