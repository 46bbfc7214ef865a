import { z } from 'zod'
import type { Located } from '../config/yaml.ts'
import { isId } from '../model/id.ts'
import { failureReasonNames, isFinal, jobStateNames } from '../model/job-state.ts'
import { storable } from '../model/storable.ts'
import { evidencePath } from '../render/links.ts'
import { createYamlReader } from '../spec/index.ts'

/** The record of a run on the evidence branch (render/evidence.ts), read back: what is known of a run that the database has forgotten. */
export type EvidenceRecord = z.infer<typeof Record>

/** Longer records are read as far as their jobs. */
export const recordBytes = 512 * 1024

const Text = z.string().max(2_000)
// What no column holds would keep the whole project from being recovered.
const Time = z.iso
  .datetime()
  .transform(text => new Date(text))
  .refine(time => time.getTime() >= 0)
const state = z.enum(jobStateNames as [(typeof jobStateNames)[number]]).refine(isFinal)
const reason = z.enum(failureReasonNames as [(typeof failureReasonNames)[number]])
// An id, a version or a name of digits alone may have been read as a number.
const Word = z.union([Text, z.number().transform(String)])

const Attempt = z.object({
  native_id: Word.nullish(),
  state,
  reason: reason.nullish(),
  queue: Word.nullish(),
  nodes: z.array(Word).max(10_000).default([]),
  submitted_at: Time.nullish(),
  queued_at: Time.nullish(),
  started_at: Time.nullish(),
  ended_at: Time.nullish(),
  exit_code: z.int32().nullish(),
  signal: z.int32().nullish(),
  restarts: z.int32().default(0),
  script: z.object({ sha256: Text }).nullish(),
})

const Job = z.object({
  state,
  reason: reason.nullish(),
  message: Text.nullish(),
  scheduler: Word.nullish(),
  attempts: z.array(Attempt).max(1_000).default([]),
  outputs: z
    .array(z.object({ path: z.string(), size: z.number(), sha256: Text.nullish(), at: z.string() }))
    .max(10_000)
    .default([]),
  outputs_omitted: z.number().default(0),
  metrics: z.record(z.string(), z.number()).default({}),
  metrics_problem: Text.nullish(),
})

const Record = z.object({
  run: z.string().refine(isId),
  project: Text,
  branch: z.string().max(4_000),
  commit: z.object({
    sha: z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/),
    author: Word.nullish(),
    message: Word.nullish(),
  }),
  parent: z.object({ branch: Word, why: Word.nullish() }).nullish(),
  triggered_by: Word.nullish(),
  cause: z.string().regex(/^(?:(?:head|note|ci):\d{1,15}|(?:tick|api):\S{1,200})$/),
  spec: z.object({ sha256: Text }).nullish(),
  includes: z
    .array(z.object({ project: Text, ref: Text, sha: z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/), file: Text }))
    .max(50)
    .default([]),
  state,
  problem: Word.nullish(),
  superseded_by: z.string().refine(isId).nullish(),
  submitted_at: Time,
  ended_at: Time,
  jobs: z.record(z.string(), Job).default({}),
})

const reader = createYamlReader()

/** null where it cannot be read, or speaks of another run than its path does: anybody who may push could have written it. */
export async function readRecord(path: string, text: string): Promise<EvidenceRecord | null> {
  // The jobs come last, and their lists of outputs can be long.
  const head = text.slice(0, Math.max(0, text.indexOf('\njobs:')))
  for (const part of text.length <= recordBytes ? [text, head] : [head]) {
    if (part === '' || part.length > recordBytes) continue
    const answer = await reader.read(part)
    if (answer.kind !== 'read' || !answer.result.ok) continue
    const record = Record.safeParse(storable(plain(answer.result.root)))
    if (!record.success) continue
    const { run, branch, commit } = record.data
    return evidencePath({ id: run, branch, sha: commit.sha }) === path ? record.data : null
  }
  return null
}

function plain(node: Located): unknown {
  if (node.kind === 'scalar') return node.value
  if (node.kind === 'list') return node.items.map(plain)
  return Object.fromEntries(node.entries.map(({ key, value }) => [key, plain(value)]))
}
