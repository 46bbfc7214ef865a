import { eq } from 'drizzle-orm'
import { type Cache, createCache, remembered } from '../auth/cache.ts'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { findProject } from '../store/projects.ts'
import { attempts, jobs, runs } from '../store/schema.ts'
import { readCiVariables } from './ci-variables.ts'

/** By what holds the secrets of a process: the attempts whose values stand in it. */
const known = new WeakMap<Context['secrets'], Cache<Promise<void>>>()
const day = 24 * 3_600_000

function attemptsKnown({ secrets, clock }: Pick<Context, 'secrets' | 'clock'>): Cache<Promise<void>> {
  const before = known.get(secrets)
  if (before !== undefined) return before
  const made = createCache<Promise<void>>(() => clock.now().getTime(), 20_000)
  known.set(secrets, made)
  return made
}

/** The values that the attempt is given have just been read. */
export function nowKnown(context: Context, attempt: string): void {
  attemptsKnown(context).keep(attempt, Promise.resolve(), day)
}

/**
 * Before what an attempt printed is told or kept: has the values of its secrets taken out of it also by a process that did not hand it over (another replica, or this one
 * before a restart). They are read once for each attempt; what cannot be read now keeps its log back.
 *
 * @throws CompopsError, transient.
 */
export function knowSecrets(context: Context, attempt: string): Promise<void> {
  return remembered(attemptsKnown(context), attempt, day, () => readSecrets(context, attempt))
}

async function readSecrets(context: Context, attempt: string): Promise<void> {
  const { db, config, secrets } = context
  const [row] = await db
    .select({ spec: jobs.spec, ref: runs.ref, projectId: runs.projectId })
    .from(attempts)
    .innerJoin(jobs, eq(jobs.id, attempts.jobId))
    .innerJoin(runs, eq(runs.id, jobs.runId))
    .where(eq(attempts.id, attempt))
  const named = row?.spec.secrets ?? []
  if (row === undefined || named.length === 0) return
  const project = await findProject(db, row.projectId)
  const rule = project === null ? null : projectFor(config, project.path)
  if (project === null || rule === null) return
  const ofSite = named.flatMap(name => (Object.hasOwn(rule.secrets, name) ? [rule.secrets[name]!.source] : []))
  for (const source of ofSite) {
    secrets.add(await source.read())
    for (const value of source.values()) secrets.add(value)
  }
  if (ofSite.length === named.length || !row.ref.startsWith('refs/heads/')) return
  // Whether the branch is protected, or still there, does not matter: it had them.
  for (const { key, value } of await readCiVariables(context, rule, project))
    if (named.includes(key)) secrets.add(value)
}
