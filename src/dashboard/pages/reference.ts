import { escapeHtml, Html } from '../template.ts'
import type { PageKind } from './site.ts'

/** What is read of an OpenAPI 3.1 description: no more than a page of it needs. */
export interface ApiDescription {
  readonly servers?: readonly { readonly url: string }[]
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> }
}

interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly parameters?: readonly (Pick<Field, 'name' | 'required'> & {
    readonly in: string
    readonly description?: string
    readonly schema: Schema
  })[]
  readonly requestBody?: { readonly content: Contents }
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Contents }>>
}

type Contents = Readonly<Record<string, { readonly schema: Schema }>>

interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly format?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly description?: string
  readonly default?: unknown
}

interface Field {
  readonly name: string
  readonly type: string
  readonly required: boolean
  readonly says: Html | null
  /** The named answer that it holds. */
  readonly links: string | null
}

/** The API for people: the description that programs read at `/openapi.json`, as a page. */
export const referencePage: PageKind = {
  at: /^\/reference$/,
  async show(site) {
    const api = await site.api()
    const schemas = Object.entries(api.components?.schemas ?? {})
    const operations = Object.entries(api.paths ?? {}).flatMap(([path, methods]) =>
      // Beside its methods an address may say where else it stands.
      Object.entries(methods).flatMap(([method, operation]) =>
        operation.operationId === undefined ? [] : [operationView(method, path, operation)],
      ),
    )
    const usual = Object.values(api.paths ?? {}).flatMap(methods => Object.values(methods))[0]
    return {
      title: 'API',
      section: 'overview',
      template: 'reference',
      regions: [],
      view: {
        server: api.servers?.[0]?.url ?? '',
        operations,
        refusals: Object.entries(usual?.responses ?? {})
          .filter(([status]) => status !== '200')
          .map(([status, { description }]) => ({ status, description: inWords(description) })),
        schemas: schemas.map(([name, schema]) => ({
          ...{ name, says: inWords(schema.description), fields: fieldsOf(schema) },
          type: schema.properties === undefined ? typeOf(schema) : null,
        })),
      },
    }
  },
}

function operationView(method: string, path: string, operation: Operation) {
  const body = schemaIn(operation.requestBody?.content)
  const answer = schemaIn(operation.responses['200']?.content)
  const shown = (schema: Schema) => ({ name: nameOf(schema), type: typeOf(schema) })
  return {
    ...{ id: operation.operationId, method: method.toUpperCase(), path, summary: inWords(operation.summary) },
    parameters: (operation.parameters ?? []).map(one => ({
      ...{ name: one.name, required: one.required, type: typeOf(one.schema), in: one.in },
      says: inWords(one.description),
    })),
    body: body === null ? null : shown(body),
    answer: answer === null ? null : shown(answer),
  }
}

/** What stands between backticks is code. */
function inWords(text: string | undefined): Html | null {
  return text === undefined ? null : new Html(escapeHtml(text).replace(/&#96;(.+?)&#96;/g, '<code>$1</code>'))
}

/** null where it is bytes. */
function schemaIn(content: Contents | undefined): Schema | null {
  return content?.['application/json']?.schema ?? null
}

/** Every field by its way through the answer: `clusters[].hold.mode`. */
export function fieldsOf(schema: Schema, before = ''): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, property]) => {
    const name = `${before}${key}`
    const field: Field = {
      ...{ name, type: typeOf(property), required: schema.required?.includes(key) === true },
      ...{ says: inWords(property.description), links: nameOf(property) },
    }
    const [inner, way] = within(property)
    return [field, ...(inner.properties === undefined ? [] : fieldsOf(inner, `${name}${way}.`))]
  })
}

/** What stands in a list or beside null. */
function within(schema: Schema): readonly [Schema, string] {
  if (schema.items !== undefined) {
    const [inner, way] = within(schema.items)
    return [inner, `[]${way}`]
  }
  const only = (schema.anyOf ?? schema.oneOf ?? []).filter(one => one.type !== 'null')
  return only.length === 1 ? within(only[0]!) : [schema, '']
}

function nameOf(schema: Schema): string | null {
  return within(schema)[0].$ref?.split('/').at(-1) ?? null
}

export function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.split('/').at(-1)!
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum !== undefined) return schema.enum.map(one => JSON.stringify(one)).join(' | ')
  const choice = schema.anyOf ?? schema.oneOf
  if (choice !== undefined) return choice.map(typeOf).join(' | ')
  if (schema.items !== undefined) {
    const inner = typeOf(schema.items)
    return inner.includes(' | ') ? `(${inner})[]` : `${inner}[]`
  }
  if (typeof schema.additionalProperties === 'object') return `any name: ${typeOf(schema.additionalProperties)}`
  if (schema.format !== undefined) return schema.format
  if (schema.properties !== undefined) return 'object'
  return [schema.type ?? 'anything'].flat().join(' | ')
}
