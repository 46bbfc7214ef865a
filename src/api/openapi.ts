import { z } from 'zod'
import * as answers from '../model/api.ts'
import { type BridgeCall, bridgeCalls } from '../model/bridge-calls.ts'
import type { Endpoint } from './endpoint.ts'

type Json = { readonly [key: string]: unknown }

/** Answers that are told by their name; what is not among them stands where it is used. */
const named = z.registry<{ id: string }>()
for (const [id, schema] of Object.entries(answers)) if (schema instanceof z.ZodType) named.add(schema, { id })

const refused = {
  400: 'The request is not understood.',
  401: 'There is no token, or GitLab does not take it.',
  403: 'GitLab does not let you.',
  404: 'There is no such thing, or GitLab does not show it to you.',
  409: 'It cannot be done as things stand.',
  422: 'What was asked for means nothing here: a value that no job has.',
  429: 'Too much at once; Retry-After says when again.',
  503: 'GitLab does not answer at present; Retry-After says when again.',
} as const

/** OpenAPI 3.1 of the same table that the routes are made from. */
export function openApi(
  endpoints: readonly Endpoint[],
  about: { readonly url: string; readonly version: string },
): Json {
  const paths: Record<string, Record<string, Json>> = {}
  for (const endpoint of endpoints) {
    paths[endpoint.path] ??= {}
    paths[endpoint.path]![endpoint.method] = operation(endpoint)
  }
  for (const call of Object.values<BridgeCall>(bridgeCalls)) {
    const path = `/bridge/v1${call.path}`
    paths[path] ??= {}
    paths[path]![call.method] = bridgeOperation(call, about.url)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'ComputationalOps',
      version: about.version,
      description: 'What GitLab lets you do in a project, you may do here, with a token of yours from that GitLab.',
    },
    servers: [{ url: `${about.url}/api/v1` }],
    security: [{ bearer: [] }, { privateToken: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description:
            'A personal, project, group or OAuth token of GitLab with the scope `read_api`; `api` to change things.',
        },
        idToken: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'An `id_token` of a CI job, with the address of the service as `aud`. For `/bridge/v1` alone.',
        },
        privateToken: { type: 'apiKey', in: 'header', name: 'PRIVATE-TOKEN', description: "As for GitLab's own API." },
      },
      schemas: components(),
    },
  }
}

function operation(endpoint: Endpoint): Json {
  const ok =
    endpoint.answer === 'bytes'
      ? { 'application/octet-stream': { schema: { type: 'string', contentEncoding: 'binary' } } }
      : { 'application/json': { schema: schemaOf(endpoint.answer) } }
  const no = { 'application/problem+json': { schema: { $ref: '#/components/schemas/ErrorAnswer' } } }
  return {
    operationId: endpoint.name,
    summary: endpoint.summary,
    parameters: [
      ...parameters('path', endpoint.params),
      ...parameters('query', endpoint.query),
      ...(endpoint.changes === undefined ? [] : [idempotencyKey]),
    ],
    ...(endpoint.body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(endpoint.body) } } } }),
    responses: {
      200: { description: 'OK', content: ok },
      ...Object.fromEntries(
        Object.entries(refused).map(([status, description]) => [status, { description, content: no }]),
      ),
    },
  }
}

/** What CI jobs call: with another token than persons have, and at the root of the service. */
function bridgeOperation(call: BridgeCall, url: string): Json {
  const answer = z.object({
    ...call.words,
    said: z.string().describe('A sentence for people.'),
    ...(call.body === undefined ? {} : { body: z.string().optional().describe(call.body) }),
  })
  const no = { 'application/problem+json': { schema: schemaOf(problem) } }
  return {
    operationId: call.name,
    summary: call.summary,
    servers: [{ url }],
    security: [{ idToken: [] }],
    parameters: [...parameters('query', call.query), holder],
    ...(call.form === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/x-www-form-urlencoded': { schema: schemaOf(call.form) } },
          },
        }),
    responses: {
      200: {
        description: 'OK',
        content: {
          'application/json': { schema: schemaOf(answer) },
          'text/vnd.compops': {
            schema: {
              type: 'string',
              description:
                'For shells: `compops STATUS key=value …`, the sentence, then the body as it is. Always with the status 200.',
            },
          },
        },
      },
      ...Object.fromEntries(
        Object.entries(refusedToCi).map(([status, description]) => [status, { description, content: no }]),
      ),
    },
  }
}

const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string().describe('What is wrong, and what to do.'),
  retry: z.number().optional().describe('Seconds after which it may be asked again.'),
})

const refusedToCi = {
  400: 'The request is not understood.',
  401: 'The token is wrong, expired, for somebody else or of another GitLab.',
  403: 'A foreign project, code of a fork, a token that somebody else has shown, or a person without the right.',
  404: 'This CI job has asked for nothing yet, or there is no such thing.',
  422: 'What is asked for cannot be computed; the sentence says what to write instead.',
  503: 'It cannot be answered at present: ask again.',
} as const

const holder = {
  name: 'Compops-Holder',
  in: 'header',
  required: true,
  schema: { type: 'string', minLength: 16, maxLength: 200 },
  description: 'A secret that the CI job makes up: whoever shows its token later needs it, too.',
}

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  schema: { type: 'string', minLength: 1, maxLength: 200 },
  description: 'The same key again is the same request: it is done once, and answered alike.',
}

function parameters(place: 'path' | 'query', shape: Endpoint['params']): Json[] {
  return Object.entries(shape ?? {}).map(([name, schema]) => {
    const { description, ...rest } = schemaOf(schema)
    return {
      name,
      in: place,
      required: place === 'path' || !schema.safeParse(undefined).success,
      ...(description === undefined ? {} : { description }),
      schema: rest,
    }
  })
}

/** A reference where the schema has a name. */
function schemaOf(schema: z.ZodType): Json {
  const id = named.get(schema)?.id
  return id === undefined ? plain(z.toJSONSchema(schema, options)) : { $ref: `#/components/schemas/${id}` }
}

function components(): Json {
  const { schemas } = z.toJSONSchema(named, { ...options, uri: id => `#/components/schemas/${id}` })
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, plain(schema)]))
}

const options = {
  io: 'input',
  override({ jsonSchema }: { jsonSchema: { format?: string; pattern?: string } }) {
    // A page of regular expression says no more than the format does.
    if (jsonSchema.format !== undefined) delete jsonSchema.pattern
  },
} as const

function plain(schema: object): Json {
  const { $schema: _, $id: __, ...rest } = schema as Record<string, unknown>
  return rest
}
