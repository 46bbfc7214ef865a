import { createSign, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { protectionsOf } from './access.ts'
import type { SimJob, SimPipeline } from './types.ts'
import type { World } from './world.ts'
import { projectOf, userOf } from './world.ts'

/** The instance's key for `id_tokens`; `rotate` gives it another, as an administrator would. */
export interface SigningKeys {
  current(): { readonly id: string; readonly privateKey: KeyObject }
  /** What `/oauth/discovery/keys` answers. */
  jwks(): { keys: unknown[] }
  rotate(): void
}

export function createSigningKeys(): SigningKeys {
  let pair: { id: string; privateKey: KeyObject; publicKey: KeyObject } | null = null
  const made = () => {
    pair ??= { id: randomUUID(), ...generateKeyPairSync('rsa', { modulusLength: 2048 }) }
    return pair
  }
  return {
    current: made,
    jwks: () => ({
      keys: [{ ...made().publicKey.export({ format: 'jwk' }), kid: made().id, use: 'sig', alg: 'RS256' }],
    }),
    rotate: () => {
      pair = null
    },
  }
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Signs any claims: also those that GitLab would never make, for tests of whoever reads them. */
export function signToken(world: World, claims: Record<string, unknown>): string {
  const { id, privateKey } = world.signingKeys.current()
  const head = `${encode({ typ: 'JWT', alg: 'RS256', kid: id })}.${encode(claims)}`
  return `${head}.${createSign('RSA-SHA256').update(head).sign(privateKey).toString('base64url')}`
}

/** lib/gitlab/ci/jwt_v2.rb: values are strings, ids and booleans too. In a merge request pipeline project and ref are the source's, `job_project_id` is not. */
export function claimsOf(
  world: World,
  pipeline: SimPipeline,
  job: SimJob,
  audience: string[],
): Record<string, unknown> {
  const target = projectOf(world, pipeline.projectId)
  const mr = pipeline.mergeRequestId === null ? undefined : world.mergeRequests.get(pipeline.mergeRequestId)
  const source = mr === undefined ? target : projectOf(world, mr.sourceProjectId)
  const user = userOf(world, job.userId)
  const ref = mr?.sourceBranch ?? pipeline.ref
  const refType = pipeline.tag ? 'tag' : 'branch'
  const isProtected = mr === undefined && !pipeline.tag && protectionsOf(target, ref).length > 0
  const now = Math.floor(world.now().getTime() / 1_000)
  return {
    namespace_id: '1',
    namespace_path: source.namespace,
    project_id: String(source.id),
    project_path: source.fullPath,
    user_id: String(user.id),
    user_login: user.username,
    user_email: user.email,
    user_access_level: 'developer',
    job_project_id: String(target.id),
    job_project_path: target.fullPath,
    job_namespace_id: '1',
    job_namespace_path: target.namespace,
    pipeline_id: String(pipeline.id),
    pipeline_source: pipeline.source,
    job_id: String(job.id),
    ref,
    ref_type: refType,
    ref_path: `refs/${refType === 'tag' ? 'tags' : 'heads'}/${ref}`,
    ref_protected: String(isProtected),
    runner_id: 1,
    runner_environment: 'self-hosted',
    sha: pipeline.sha,
    project_visibility: source.visibility,
    jti: randomUUID(),
    iat: now,
    nbf: now - 5,
    exp: now + world.settings.ciJobTimeout,
    iss: world.url,
    sub: `project_path:${source.fullPath}:ref_type:${refType}:ref:${ref}`,
    aud: audience.length === 1 ? audience[0] : audience,
  }
}
