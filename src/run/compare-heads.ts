import { and, eq, sql } from 'drizzle-orm'
import { projectFor } from '../config/index.ts'
import type { Context } from '../context.ts'
import { describeError } from '../errors.ts'
import { listHeads } from '../git/mirror.ts'
import { type GitLab, isGitLabError, type Project } from '../gitlab/gitlab.ts'
import { newId } from '../model/id.ts'
import { isPushPending } from '../store/deliveries.ts'
import { LeaseLost, mustHold } from '../store/leases.ts'
import { allProjects, type ProjectRow } from '../store/projects.ts'
import { leftBehind, shortBranch } from '../store/runs.ts'
import { branches, projects } from '../store/schema.ts'
import { sideBySide } from '../store/work.ts'
import { branchGone } from './branch-gone.ts'
import { branchRefused } from './branch-refused.ts'
import { checkEvidence } from './check-evidence.ts'
import { compareMergeRequests, type LookForNotes } from './compare-merge-requests.ts'
import { headMoved, lookAgain } from './head.ts'
import { knowProject } from './know-project.ts'
import { isTokenTrouble } from './outage.ts'
import { standsStill } from './recovering.ts'

/**
 * Finds what no webhook told: compares the heads of every known project with the store. At the first sight of a project its heads become
 * the baseline and nothing runs. Returns how many projects were compared.
 */
export async function compareHeads(context: Context, look: LookForNotes): Promise<number> {
  await learnProjects(context)
  const waiting = (await allProjects(context.db)).filter(project => projectFor(context.config, project.path) !== null)
  let compared = 0
  // Side by side: a project whose git hangs does not hold up all the others.
  const lane = async () => {
    for (let project = waiting.shift(); project !== undefined; project = waiting.shift())
      if (await tryProject(context, project, look)) compared++
  }
  await sideBySide(Array.from({ length: 4 }, lane))
  return compared
}

async function tryProject(context: Context, project: ProjectRow, look: LookForNotes): Promise<boolean> {
  mustHold(context.lease)
  try {
    await compareProject(context, project, look)
    return true
  } catch (error) {
    if (error instanceof LeaseLost) throw error
    if (isTokenTrouble(error)) await context.renewTokens()
    // No listing, no conclusion: an outage and a revoked token both look like this.
    context.metrics.failures.inc({ verb: 'compare heads' })
    await context.db
      .update(projects)
      .set({ lastError: describeError(error), troubledSince: sql`coalesce(${projects.troubledSince}, now())` })
      .where(eq(projects.id, project.id))
    context.log.warn({ step: 'heads', project: project.path, err: describeError(error) }, 'heads could not be compared')
    return false
  }
}

/**
 * Projects are known before their first delivery: those the configuration names outright, and those of a glob that the token is a member of. One that
 * has moved is found at its new path.
 */
async function learnProjects(context: Context): Promise<void> {
  const known = new Map((await allProjects(context.db)).map(project => [project.id, project.path]))
  const listed = new Set<GitLab>()
  for (const rule of context.config.projects) {
    const gitlab = context.gitlabOf(rule.path)
    try {
      if (!rule.path.includes('*')) {
        const found = await named(gitlab, rule.path, known)
        if (found !== null) await remember(context, found, known)
        else
          context.log.warn(
            { step: 'heads', project: rule.path },
            'the configuration names a project that the token cannot see',
          )
      } else if (!listed.has(gitlab)) {
        listed.add(gitlab)
        for await (const found of gitlab.projects({ membership: true })) await remember(context, found, known)
      }
    } catch (error) {
      context.log.warn(
        { step: 'heads', project: rule.path, err: describeError(error) },
        'projects could not be read from GitLab',
      )
    }
  }
}

/** GitLab redirects from a path that a project has left; by its id it is found again. */
async function named(gitlab: GitLab, path: string, known: ReadonlyMap<number, string>): Promise<Project | null> {
  try {
    return await gitlab.project(path)
  } catch (error) {
    if (isGitLabError(error, 'not found')) return null
    const id = [...known].find(([, knownPath]) => knownPath === path)?.[0]
    if (!isGitLabError(error, 'redirected') || id === undefined) throw error
    return gitlab.project(id)
  }
}

async function remember(context: Context, found: Project, known: ReadonlyMap<number, string>): Promise<void> {
  const { id, pathWithNamespace: path, defaultBranch } = found
  const before = known.get(id)
  if (before === path) return
  if (before === undefined && (found.archived || found.emptyRepo || projectFor(context.config, path) === null)) return
  await knowProject(context, { id, path, defaultBranch })
}

async function compareProject(context: Context, project: ProjectRow, lookAtNotes: LookForNotes): Promise<void> {
  const rule = projectFor(context.config, project.path)!
  const still = await standsStill(context, project, rule)
  if (still !== null) {
    context.log.info({ step: 'heads', project: project.path }, still)
    return
  }
  const mirror = await context.mirror(project)
  const heads = await listHeads(mirror)
  const rows = await context.db.select().from(branches).where(eq(branches.projectId, project.id))
  const known = new Map(rows.map(row => [row.ref, row]))

  if (project.baselineAt === null) {
    const fresh = [...heads].filter(([ref]) => !known.has(ref) && branchRefused(rule, project, ref) === null)
    for (let start = 0; start < fresh.length; start += 500) {
      const values = fresh
        .slice(start, start + 500)
        .map(([ref, sha]) => ({ id: newId(), projectId: project.id, ref, headSha: sha }))
      await context.db.insert(branches).values(values).onConflictDoNothing()
    }
    context.log.info(
      { step: 'heads', project: project.path, branches: fresh.length },
      'first sight of the project: its heads are the baseline, nothing runs',
    )
  } else {
    for (const [ref, sha] of heads) {
      if (known.get(ref)?.headSha === sha || branchRefused(rule, project, ref) !== null) continue
      await each(context, project, ref, async () =>
        // What was delivered says better who caused the run, and is only waiting its turn.
        (await isPushPending(context.db, project.id, ref))
          ? `the push to ${shortBranch(ref)} is about to be read`
          : headMoved(context, {
              projectId: project.id,
              ref,
              by: null,
              how: 'found by comparing heads',
              delivered: false,
              deliveryId: null,
            }),
      )
    }
  }
  for (const row of rows) {
    // The commits of a fork's merge request are no branch of this project.
    if (row.state === 'gone' || !row.ref.startsWith('refs/heads/')) continue
    if (heads.has(row.ref)) {
      if (row.missingSince !== null)
        await context.db.update(branches).set({ missingSince: null }).where(eq(branches.id, row.id))
    } else {
      await each(context, project, row.ref, async () => {
        const result = await branchGone(context, { projectId: project.id, ref: row.ref, delivered: false, heads })
        if (row.headSha !== null) await lookAgain(context, project.id, row.headSha)
        return result
      })
    }
  }
  await each(context, project, `refs/heads/${rule.evidence.branch}`, async () => {
    const missing = await checkEvidence(context, project, rule, heads)
    return missing === 0 ? null : `${missing} records of evidence were missing`
  })
  if (project.baselineAt !== null) {
    for (const sha of await leftBehind(context.db, project.id)) await lookAgain(context, project.id, sha)
    await compareMergeRequests(context, project, lookAtNotes)
  }
  await context.db
    .update(projects)
    .set({
      headsAt: sql`now()`,
      lastError: null,
      troubledSince: null,
      baselineAt: sql`coalesce(${projects.baselineAt}, now())`,
    })
    .where(and(eq(projects.id, project.id)))
}

/** One branch that cannot be looked at must not keep the others of its project from being seen. */
async function each(
  context: Context,
  project: ProjectRow,
  ref: string,
  look: () => Promise<string | null>,
): Promise<void> {
  try {
    const result = await look()
    if (result !== null) context.log.info({ step: 'heads', project: project.path, ref, result }, result)
  } catch (error) {
    if (isTokenTrouble(error) || error instanceof LeaseLost) throw error
    context.metrics.failures.inc({ verb: 'compare heads' })
    context.log.warn(
      { step: 'heads', project: project.path, ref, err: describeError(error) },
      'a branch could not be looked at',
    )
  }
}
