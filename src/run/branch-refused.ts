import { matchGlob, type ProjectConfig } from '../config/index.ts'
import type { ProjectRow } from '../store/projects.ts'
import { shortBranch } from '../store/runs.ts'

/** Why a branch is never a computation branch here; null where it may be one. */
export function branchRefused(rule: ProjectConfig, project: ProjectRow, ref: string): string | null {
  if (!ref.startsWith('refs/heads/')) return `${ref} is not a branch`
  const branch = shortBranch(ref)
  if (branch === rule.evidence.branch) return 'our own evidence branch'
  if (rule.branches === null) return branch === project.defaultBranch ? `${branch} is the default branch` : null
  return rule.branches.some(glob => matchGlob(glob, branch))
    ? null
    : `no rule matches ${branch} (branches: ${rule.branches.join(', ')})`
}
