import { matchGlob, type ProjectConfig } from '../config/index.ts'
import { quote } from '../config/yaml.ts'
import type { Context } from '../context.ts'
import { isGitLabError } from '../gitlab/gitlab.ts'
import type { ResolvedInclude } from '../model/job-spec.ts'
import type { SharedFile } from '../spec/index.ts'
import { specLimits } from '../spec/index.ts'
import type { ProjectRow } from '../store/projects.ts'

/**
 * Reads files that a computation includes from other projects of the same GitLab. The service's token may see more than the person who pushed, so the site says
 * which projects may be included (`includes:`). `recorded`: a run that was started already is read at the commits that its refs were at then.
 */
export function sharedFiles(
  context: Context,
  project: ProjectRow,
  rule: Pick<ProjectConfig, 'includes'>,
  recorded: readonly ResolvedInclude[] = [],
): (path: string, ref: string | null, file: string) => Promise<SharedFile> {
  const no = (message: string, remedy: string | null = null): SharedFile => ({ ok: false, message, remedy })
  const commits = new Map<string, Promise<{ id: number; sha: string } | SharedFile>>()

  async function commitOf(path: string, ref: string | null): Promise<{ id: number; sha: string } | SharedFile> {
    const gitlab = context.gitlabOf(project.path)
    try {
      const found = await gitlab.project(path)
      const name = ref ?? found.defaultBranch
      if (name === null) return no(`The project ${quote(path)} is empty.`)
      try {
        return { id: found.id, sha: (await gitlab.commit(found.id, name)).id }
      } catch (error) {
        if (!isGitLabError(error, 'not found')) throw error
        return no(
          `There is no ${quote(name)} in the project ${quote(path)}.`,
          'Name one of its branches, tags or commits.',
        )
      }
    } catch (error) {
      if (isGitLabError(error, 'redirected'))
        return no(`The project ${quote(path)} has moved.`, 'Name it as it is called now.')
      if (!isGitLabError(error, 'not found', 'forbidden')) throw error
      return no(
        `The service cannot read a project ${quote(path)}.`,
        'Correct its path, or make the user of the service a Reporter there.',
      )
    }
  }

  return async (path, ref, file) => {
    if (path !== project.path && !rule.includes.some(glob => matchGlob(glob, path)))
      return no(
        `Files of the project ${quote(path)} may not be included here.`,
        `The site allows it with \`includes: [${path}]\` in its rule for this project.`,
      )
    const known = recorded.find(
      one => one.project === path && one.file === file && (one.ref === (ref ?? 'HEAD') || one.sha === ref),
    )
    const at = known?.sha ?? ref
    const key = `${path} ${at}`
    let commit = commits.get(key)
    if (commit === undefined) {
      commit = commitOf(path, at)
      commits.set(key, commit)
    }
    const found = await commit
    if ('ok' in found) return found
    const read = await context.gitlabOf(project.path).file(found.id, file, found.sha)
    if (read === null)
      return no(
        `There is no file ${quote(file)} in ${quote(path)} at ${quote(ref ?? 'HEAD')}.`,
        'It begins at the top folder of that repository.',
      )
    if (read.content.length > specLimits.bytes)
      return no(`${quote(file)} of ${quote(path)} is larger than ${specLimits.bytes / 1024} KiB.`)
    return { ok: true, text: read.content.toString('utf8'), sha: found.sha }
  }
}
