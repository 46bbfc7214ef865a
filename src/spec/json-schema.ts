import { needKinds } from '../model/needs.ts'
import { type ResourceKind, resourceKeys, resourceNames } from '../model/resources.ts'
import { checkpointSignals, onExhausted, type RetryReason, retryReasons } from '../model/retry.ts'
import { supersedeModes } from '../model/supersede.ts'
import { mostRetries, mostSegments } from './again.ts'
import { isInDefaults, type JobKey, type OwnKey, ownKeyNames, ownKeys } from './keys.ts'
import { longestPattern, mostPatterns } from './watched.ts'

type Schema = { readonly [key: string]: unknown }

const kinds: Readonly<Record<ResourceKind, Schema>> = {
  word: { type: 'string', pattern: '^[^-\\s\'"`\\\\$;<>#][^\\s\'"`\\\\$;<>#]*$' },
  count: { type: 'integer', minimum: 1 },
  integer: { type: 'integer' },
  flag: { type: 'boolean' },
  time: {
    type: 'string',
    pattern: '^(\\s*(\\d+\\s*d)?\\s*(\\d+\\s*h)?\\s*(\\d+\\s*m)?\\s*(\\d+\\s*s)?|(\\d+-)?\\d+:[0-5]?\\d:[0-5]?\\d)$',
    minLength: 2,
    examples: ['30m', '2h', '1-12:00:00'],
  },
  memory: { type: 'string', pattern: '^\\d+(\\.\\d+)?\\s*[KMGTkmgt]([Ii]?[Bb])?$', examples: ['512M', '2G'] },
  gpus: {
    anyOf: [
      { type: 'integer', minimum: 1 },
      { type: 'string', pattern: '^([A-Za-z][A-Za-z0-9_.-]*(:[0-9]+)?|[0-9]+)$' },
    ],
    examples: [1, 'a100', 'a100:2'],
  },
  minutes: { type: 'integer', minimum: 1 },
  seconds: { type: 'integer', minimum: 1 },
  mebibytes: { type: 'integer', minimum: 1 },
}

const text: Schema = { type: 'string', minLength: 1 }
const texts: Schema = { type: 'array', items: text }
const textOrTexts: Schema = { anyOf: [text, texts] }
const pattern: Schema = { ...text, maxLength: longestPattern, examples: ['^(ERROR|FATAL)'] }
const commands: Schema = { anyOf: [text, { type: 'array', items: { anyOf: [{ type: 'string' }, texts] } }] }

const value: Schema = { type: ['string', 'number', 'boolean'] }

function object(properties: Schema, required: readonly string[] = []): Schema {
  return { type: 'object', properties, ...(required.length === 0 ? {} : { required }), additionalProperties: false }
}

const includedFile: Schema = {
  anyOf: [
    text,
    object({ local: textOrTexts }, ['local']),
    object({ project: text, ref: text, file: textOrTexts }, ['project', 'file']),
  ],
}
const matrixRows: Schema = {
  type: 'array',
  minItems: 1,
  items: {
    type: 'object',
    minProperties: 1,
    additionalProperties: { anyOf: [value, { type: 'array', minItems: 1, items: value }] },
  },
}
const times: Schema = { type: 'integer', minimum: 0, maximum: mostRetries }
const segments: Schema = { type: 'integer', minimum: 1, maximum: mostSegments }

const own: Readonly<Record<OwnKey, Schema>> = {
  cluster: text,
  needs: {
    type: 'array',
    uniqueItems: true,
    items: {
      anyOf: [
        text,
        {
          type: 'object',
          properties: {
            job: text,
            kind: { enum: [...needKinds], default: 'afterok' },
            optional: { type: 'boolean' },
            branch: text,
            parallel: object({ matrix: matrixRows }, ['matrix']),
          },
          required: ['job'],
          additionalProperties: false,
        },
      ],
    },
  },
  extends: textOrTexts,
  parallel: object(
    {
      matrix: matrixRows,
    },
    ['matrix'],
  ),
  rules: {
    type: 'array',
    minItems: 1,
    items: object({
      if: { ...text, examples: ['$COMPOPS_CAUSE == "schedule"', '$COMPOPS_BRANCH =~ /^calc\\//'] },
      changes: { anyOf: [textOrTexts, object({ paths: textOrTexts, compare_to: text }, ['paths'])] },
      exists: textOrTexts,
      when: { enum: ['on_success', 'always', 'never'], default: 'on_success' },
    }),
  },
  modules: textOrTexts,
  template: text,
  image: text,
  secrets: textOrTexts,
  setup: commands,
  script: commands,
  file: text,
  env: {
    type: 'object',
    propertyNames: { pattern: '^(?!COMPOPS_)[A-Za-z_][A-Za-z0-9_]*$' },
    additionalProperties: { type: 'string' },
  },
  params: { type: 'object', propertyNames: { pattern: '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$' } },
  inputs: {
    type: 'array',
    items: {
      type: 'object',
      properties: { from: { enum: ['parent'] }, paths: textOrTexts },
      required: ['from', 'paths'],
      additionalProperties: false,
    },
    examples: [[{ from: 'parent', paths: ['mesh/*.msh'] }]],
  },
  outputs: textOrTexts,
  metrics: {
    anyOf: [
      text,
      {
        type: 'object',
        properties: {
          file: text,
          better: { type: 'object', additionalProperties: { enum: ['lower', 'higher'] } },
          noise: { type: 'string', pattern: '^\\d{1,2}(\\.\\d{1,6})? ?%$', examples: ['1%'] },
        },
        required: ['file'],
        additionalProperties: false,
      },
    ],
  },
  directives: textOrTexts,
  fail_on: { anyOf: [pattern, { type: 'array', items: pattern, maxItems: mostPatterns }] },
  stall_timeout: kinds.time,
  progress: pattern,
  array: {
    anyOf: [
      { type: 'string', pattern: '^\\s*\\d+(-\\d+(:\\d+)?)?(\\s*,\\s*\\d+(-\\d+(:\\d+)?)?)*\\s*(%[1-9]\\d*)?\\s*$' },
      { type: 'array', minItems: 1, items: { type: 'integer', minimum: 0 } },
    ],
    examples: ['0-9', '0-9%4', '0-100:10', [1, 3, 7]],
  },
  cache: {
    anyOf: [
      { type: 'boolean' },
      { type: 'object', properties: { paths: textOrTexts }, required: ['paths'], additionalProperties: false },
    ],
  },
  gate: { type: 'boolean' },
  retry: {
    anyOf: [
      times,
      {
        type: 'object',
        minProperties: 1,
        additionalProperties: false,
        properties: Object.fromEntries(retryReasons.map(reason => [reason, { anyOf: [times, retryRule(reason)] }])),
      },
    ],
    examples: [2, { node: 2, memory: { mem: 'x1.5', max: '64G' } }],
  },
  checkpoint: {
    anyOf: [
      kinds.time,
      {
        type: 'object',
        required: ['lead'],
        additionalProperties: false,
        properties: {
          signal: { enum: checkpointSignals.flatMap(signal => [signal, `SIG${signal}`]), default: 'USR1' },
          lead: kinds.time,
          restarts: { type: 'integer', minimum: 0, maximum: mostSegments },
        },
      },
    ],
  },
  chain: {
    anyOf: [
      segments,
      {
        type: 'object',
        required: ['segments'],
        additionalProperties: false,
        properties: { segments, until: text },
      },
    ],
  },
  on_exhausted: { enum: [...onExhausted] },
  requeue: { type: 'boolean' },
}

function retryRule(reason: RetryReason): Schema {
  const raise = { type: 'string', pattern: '^x(10|[1-9](\\.\\d{1,3})?)$', examples: ['x1.5'] }
  const more =
    reason === 'memory'
      ? { mem: raise, max: kinds.memory }
      : reason === 'timeout'
        ? { time: raise, max: kinds.time }
        : reason === 'node'
          ? { exclude: { type: 'boolean' } }
          : {}
  return { type: 'object', additionalProperties: false, properties: { times, max_attempts: times, ...more } }
}

/** The JSON Schema of `.compops.yml` for editors, from the same tables that the reader uses. `gitlab/compops.schema.json` is this, printed. */
export function jsonSchema(): Schema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: '.compops.yml',
    description: 'The computation that a git branch stands for.',
    type: 'object',
    // The jobs may come from what is included.
    anyOf: [{ required: ['jobs'] }, { required: ['include'] }],
    additionalProperties: false,
    properties: {
      cluster: { ...text, description: 'The cluster of all jobs that name none.' },
      parent: {
        ...text,
        description:
          "The branch this one was computed from. Without it: the merge request's target, or the branch it was forked from.",
      },
      include: {
        anyOf: [includedFile, { type: 'array', items: includedFile }],
        description:
          'Files with jobs and defaults: of this repository, or of a project of this GitLab that the site allows.',
      },
      schedule: {
        ...object({ cron: text, timezone: text, branches: { type: 'array', items: text } }, ['cron']),
        description: 'When the branch is computed without a push.',
        examples: [{ cron: '0 3 * * *', timezone: 'Europe/Berlin' }],
      },
      supersede: {
        enum: [...supersedeModes],
        description: 'What a newer commit does to older runs of the branch: ends what is queued, all, or nothing.',
      },
      on_stale: {
        enum: ['mark', 'rerun'],
        description:
          'What a new result of the parent does: `mark` (the default) says that this one is stale, `rerun` computes it again.',
      },
      defaults: { $ref: '#/definitions/defaults', description: 'What jobs share; a job that says otherwise wins.' },
      jobs: {
        type: 'object',
        description: 'The jobs, each under its name.',
        minProperties: 1,
        propertyNames: { pattern: '^[A-Za-z0-9.][A-Za-z0-9_.-]{0,62}$' },
        additionalProperties: { $ref: '#/definitions/job' },
      },
    },
    definitions: {
      defaults: { type: 'object', additionalProperties: false, properties: properties(key => isInDefaults(key)) },
      job: { type: 'object', additionalProperties: false, properties: properties(() => true) },
    },
  }
}

function properties(included: (key: JobKey) => boolean): Schema {
  const schema: Record<string, Schema> = {}
  for (const key of ownKeyNames.filter(included)) {
    schema[key] = { ...own[key], description: ownKeys[key].meaning }
    for (const alias of ownKeys[key].aliases)
      schema[alias] = { ...aliasSchema(key, alias), description: `Same as ${key}.` }
  }
  for (const key of resourceNames.filter(included)) {
    const { kind, meaning, aliases } = resourceKeys[key]
    schema[key] = { ...kinds[kind], description: meaning }
    for (const [alias, as] of Object.entries(aliases)) {
      const unit = as === 'minutes' || as === 'seconds' ? `, in ${as}` : as === 'mebibytes' ? ', in MiB' : ''
      schema[alias] = { ...kinds[as], description: `Same as ${key}${unit}.` }
    }
  }
  return schema
}

function aliasSchema(key: OwnKey, alias: string): Schema {
  if (alias !== 'artifacts') return own[key]
  return {
    anyOf: [
      own.outputs,
      { type: 'object', properties: { paths: own.outputs }, required: ['paths'], additionalProperties: false },
    ],
  }
}
