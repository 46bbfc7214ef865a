import { createHash } from 'node:crypto'
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import { z } from 'zod'
import type { Person } from '../model/run.ts'
import { Refusal } from './refusal.ts'

/** A CI job that asks, as GitLab vouches for it in an `id_token`. */
export interface CiCaller {
  /** Where the job runs: what it may do follows from this project alone. */
  readonly projectId: number
  readonly projectPath: string
  /** Of the code; another project's in a merge request pipeline of a fork. */
  readonly sourceProjectId: number
  readonly jobId: number
  readonly pipelineId: number
  /** Short name of a branch or tag. */
  readonly ref: string
  readonly refType: 'branch' | 'tag'
  readonly refProtected: boolean
  readonly sha: string
  readonly event: string
  /** Whoever started the job. */
  readonly person: Person
  readonly jti: string
  readonly expiresAt: Date
}

const id = z.union([z.number(), z.string().regex(/^\d{1,15}$/)]).transform(Number)
// GitLab writes ids and booleans as strings (lib/gitlab/ci/jwt_v2.rb).
const claims = z.object({
  jti: z.string().min(1).max(200),
  exp: z.number(),
  project_id: id,
  project_path: z.string(),
  job_project_id: id.optional(),
  job_project_path: z.string().optional(),
  job_id: id,
  pipeline_id: id,
  pipeline_source: z.string().default(''),
  ref: z.string().min(1).max(1_024),
  ref_type: z.enum(['branch', 'tag']),
  ref_protected: z.union([z.boolean(), z.enum(['true', 'false'])]),
  sha: z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/),
  user_id: id,
  user_login: z.string(),
})

/** What a verified token says. Throws Refusal 403 where it is none of a CI job, or GitLab is too old to say where the job runs. */
export function readClaims(payload: JWTPayload): CiCaller {
  const read = claims.safeParse(payload)
  if (!read.success) {
    const names = [...new Set(read.error.issues.map(issue => String(issue.path[0] ?? '')))]
    throw new Refusal(403, `This is no id_token of a CI job: ${names.join(', ')} of it cannot be read`)
  }
  const said = read.data
  // In a merge request pipeline `project_id` is the fork's: without the other claim nobody can tell whose job it is.
  if (said.job_project_id === undefined && said.pipeline_source === 'merge_request_event')
    throw new Refusal(
      403,
      'This GitLab does not say in which project a job of a merge request pipeline runs (`job_project_id`, GitLab 18.4): let the job run in branch pipelines',
    )
  return {
    projectId: said.job_project_id ?? said.project_id,
    projectPath: said.job_project_path ?? said.project_path,
    sourceProjectId: said.project_id,
    jobId: said.job_id,
    pipelineId: said.pipeline_id,
    ref: said.ref,
    refType: said.ref_type,
    refProtected: String(said.ref_protected) === 'true',
    sha: said.sha,
    event: said.pipeline_source,
    person: { id: said.user_id, username: said.user_login, name: said.user_login },
    jti: said.jti,
    expiresAt: new Date(said.exp * 1_000),
  }
}

export interface TokenFacts {
  /** What `aud` must be: our own address. */
  readonly audience: string
  readonly issuer: string
}

/** What is wrong with a token that was not verified, for whoever reads the job's log. Trouble with GitLab's keys is 503; anything unknown is thrown on. */
export function refusalOfToken(error: unknown, { audience, issuer }: TokenFacts): unknown {
  if (error instanceof errors.JWTExpired)
    return new Refusal(401, 'This id_token has expired: it lives as long as the timeout of its job')
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'aud')
      return new Refusal(401, `This id_token is for somebody else: write \`aud: ${audience}\` in \`id_tokens\``)
    if (error.claim === 'iss')
      return new Refusal(401, `This id_token is of another GitLab: this service works with ${issuer}`)
    return new Refusal(401, `This id_token does not hold: ${error.message}`)
  }
  if (
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys
  )
    return new Refusal(401, `This id_token was not signed by ${issuer}`)
  if (
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported
  )
    return new Refusal(401, 'This is no id_token of GitLab')
  return new Refusal(
    503,
    'The keys of GitLab cannot be had at present, and only they tell whether a token is genuine',
    {
      retryAfter: 10,
      cause: error,
    },
  )
}

/** Keeps who was the first to show a token; false where that was somebody else. Kept as long as the token lives, over restarts. */
export type BindToken = (caller: CiCaller, holder: string) => Promise<boolean>

export interface CiSignInOptions extends TokenFacts {
  readonly keys: JWTVerifyGetKey
  readonly now: () => Date
  readonly bind: BindToken
  /** Told of what GitLab did sign and what is refused none the less. */
  readonly refused?: (caller: CiCaller, refusal: Refusal) => Promise<void>
}

/** Throws Refusal: 401 for a token that is wrong, expired or not for us, 403 for one that another holder has shown before, 503 while GitLab's keys cannot be had. */
export type CiSignIn = (headers: Headers) => Promise<CiCaller>

/**
 * Sign-in by `id_token`. A job asks many times with its one token, so the first who shows it names a secret of their own beside it, and from then on both are needed: a token that
 * got into a log is worth nothing to whoever reads it there.
 */
export function createCiSignIn(options: CiSignInOptions): CiSignIn {
  async function refuse(payload: JWTPayload, refusal: unknown): Promise<never> {
    // The claims of a token that is expired, or for somebody else, were looked at after its signature.
    const read = claims.safeParse(payload)
    if (read.success && refusal instanceof Refusal) await options.refused?.(readClaims(payload), refusal)
    throw refusal
  }

  return async function ciSignIn(headers) {
    const token = /^Bearer[ \t]+(\S+)$/i.exec(headers.get('authorization')?.trim() ?? '')?.[1]
    if (token === undefined)
      throw new Refusal(401, 'Who is asking? Send the id_token of the CI job: `Authorization: Bearer …`')
    const holder = headers.get(holderHeader)?.trim() ?? ''
    if (!/^[\x21-\x7e]{16,200}$/.test(holder))
      throw new Refusal(401, `\`${holderHeader}\` is missing: a secret of at least 16 letters that the job makes up`)
    let payload: JWTPayload
    try {
      ;({ payload } = await jwtVerify(token, options.keys, {
        // Whoever writes an address ends it with a slash or not.
        audience: [options.audience, `${options.audience}/`],
        issuer: options.issuer,
        algorithms: ['RS256'],
        requiredClaims: ['exp', 'jti'],
        currentDate: options.now(),
        clockTolerance: 30,
      }))
    } catch (error) {
      const signed = error instanceof errors.JWTExpired || error instanceof errors.JWTClaimValidationFailed
      return refuse(signed ? error.payload : {}, refusalOfToken(error, options))
    }
    const caller = readClaims(payload)
    if (!(await options.bind(caller, createHash('sha256').update(holder).digest('hex'))))
      return refuse(
        payload,
        new Refusal(
          403,
          'This id_token was shown by somebody else before: a token serves the job that it was made for',
        ),
      )
    return caller
  }
}

export const holderHeader = 'compops-holder'

/** The keys of the configured GitLab; kept, and asked for again when a token names one that is not known. */
export function keysOf(gitlabUrl: string): JWTVerifyGetKey {
  return createRemoteJWKSet(new URL(`${gitlabUrl.replace(/\/$/, '')}/oauth/discovery/keys`), {
    timeoutDuration: 10_000,
    cooldownDuration: 10_000,
  })
}
