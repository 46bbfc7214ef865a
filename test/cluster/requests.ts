import { execFileSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll } from 'vitest'
import type { SubmitRequest, WatchedAttempt } from '../../src/cluster/cluster.ts'
import type { JobSpec } from '../../src/model/job-spec.ts'

/** A job with everything left out that can be; the test says what matters. */
export function jobSpec(changes: Partial<JobSpec> = {}): JobSpec {
  return {
    name: 'simulate',
    cluster: 'falcon',
    needs: [],
    setup: [],
    script: ['echo hello'],
    file: null,
    resources: {},
    env: {},
    params: {},
    outputs: [],
    metrics: null,
    directives: [],
    requeue: false,
    origins: {},
    ...changes,
  }
}

const made: string[] = []
afterAll(() => {
  for (const dir of made) rmSync(dir, { recursive: true, force: true })
})

/** A checkout as the service sends it: a tar of these files. */
export function makeSource(
  files: Readonly<Record<string, string>> = { 'README.md': 'a computation\n' },
): SubmitRequest['source'] {
  const dir = mkdtempSync(join(tmpdir(), 'compops-source-'))
  made.push(dir)
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(dir, 'tree', dirname(path)), { recursive: true })
    writeFileSync(join(dir, 'tree', path), text, { mode: path.endsWith('.sh') ? 0o755 : 0o644 })
  }
  const path = join(dir, 'source.tar')
  execFileSync('tar', ['-cf', path, '-C', join(dir, 'tree'), '.'])
  return { sha: createHash('sha1').update(path).digest('hex'), path, size: statSync(path).size }
}

export function submitRequest(
  changes: Partial<Omit<SubmitRequest, 'spec'>> & { spec?: Partial<JobSpec> } = {},
): SubmitRequest {
  const { spec, ...rest } = changes
  return {
    projectId: 42,
    projectPath: 'physics/ising',
    runId: randomUUID(),
    jobId: randomUUID(),
    attemptId: randomUUID(),
    attempt: 1,
    restart: 0,
    siblings: [],
    branch: 'calc/4d',
    sha: 'b'.repeat(40),
    parentBranch: null,
    parentRunId: null,
    person: 'ada',
    origin: {
      gitlab: 'https://gitlab.example.org',
      cause: 'head:1',
      how: 'push by ada',
      by: { id: 3, username: 'ada', name: 'Ada' },
      createdAt: new Date('2026-03-01T12:00:00Z'),
    },
    secrets: {},
    dependsOn: [],
    source: changes.source ?? makeSource(),
    ...rest,
    spec: jobSpec(spec),
  }
}

export function watched(request: SubmitRequest, nativeId: string | null): WatchedAttempt {
  const { projectId, runId, jobId, attemptId } = request
  return { projectId, runId, jobId, id: attemptId, nativeId }
}
