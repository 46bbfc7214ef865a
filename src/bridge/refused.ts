import type { CiCaller } from '../auth/ci-token.ts'
import { Refusal } from '../auth/refusal.ts'
import type { Context } from '../context.ts'
import { ciModes } from '../model/ci.ts'
import { refuseCiJob } from '../store/ci-jobs.ts'
import { findProject } from '../store/projects.ts'
import type { Form } from './order.ts'

/** Why a CI job got nothing, kept for `compops why`: a row for each CI job that GitLab vouches for, in a project that is ours. What it says later takes its place. */
export async function keepRefusal(context: Context, caller: CiCaller, form: Form, thrown: unknown): Promise<void> {
  if (!(thrown instanceof Refusal) || ![400, 401, 403, 422].includes(thrown.status)) return
  if ((await findProject(context.db, caller.projectId)) === null) return
  await refuseCiJob(
    context.db,
    {
      ...{ projectId: caller.projectId, ciJobId: caller.jobId, pipelineId: caller.pipelineId },
      ...{ name: (form.name ?? '').slice(0, 255) || String(caller.jobId), branch: caller.ref, sha: caller.sha },
      by: caller.person,
      asked: {
        mode: ciModes.find(one => one === form.mode) ?? 'detach',
        ...{ jobs: [], own: null, maxWait: null, gate: null },
      },
    },
    thrown.message,
  )
}
