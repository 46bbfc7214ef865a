import type { ProjectConfig } from '../config/index.ts'
import type { Context } from '../context.ts'
import { CompopsError, describeError } from '../errors.ts'
import type { CiVariable } from '../gitlab/gitlab.ts'
import { shortBranch } from '../store/runs.ts'

/** What a job may not get so: the service's own names, and what would change how its commands run at all. */
const names = /^(?!COMPOPS_)[A-Za-z_][A-Za-z0-9_]{0,127}$/

/**
 * The project's CI variables that jobs of this branch may have as secrets, as GitLab itself would give them to a CI job: those that are protected only on a protected
 * branch, and none to a fork's commit, whose pipelines have none of this project either. Empty where the site does not read them.
 *
 * @throws CompopsError, transient: who runs the service must mend the token.
 */
export async function ciVariablesFor(
  context: Context,
  rule: Pick<ProjectConfig, 'ciVariables'>,
  project: { readonly id: number; readonly path: string },
  ref: string,
): Promise<ReadonlyMap<string, string>> {
  if (!ref.startsWith('refs/heads/')) return new Map()
  const found = await readCiVariables(context, rule, project)
  const usable = found.filter(({ key }) => names.test(key))
  const isProtected =
    usable.some(variable => variable.protected) &&
    (await context.gitlabOf(project.path).branch(project.id, shortBranch(ref)))?.protected === true
  return new Map(
    usable.flatMap(({ key, value, protected: only }) => (only && !isProtected ? [] : [[key, value] as const])),
  )
}

/** All of them, whatever branch they are for. Empty where the site does not read them. @throws CompopsError, transient. */
export async function readCiVariables(
  context: Context,
  rule: Pick<ProjectConfig, 'ciVariables'>,
  project: { readonly id: number; readonly path: string },
): Promise<readonly CiVariable[]> {
  if (rule.ciVariables === undefined) return []
  try {
    return await context.gitlabAs(await rule.ciVariables.read()).ciVariables(project.id)
  } catch (error) {
    throw new CompopsError(
      `the CI variables of ${project.path} cannot be read with \`ci_variables_token\`, which must be a Maintainer's: ${describeError(error)}`,
      { transient: true, cause: error },
    )
  }
}
