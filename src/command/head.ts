import type { Context } from '../context.ts'
import { readHead } from '../git/mirror.ts'
import type { ProjectRow } from '../store/projects.ts'

/** Where a branch stands at this moment, read from GitLab; null where there is none. */
export async function headNow(context: Context, project: ProjectRow, ref: string): Promise<string | null> {
  return readHead(await context.mirror(project), ref)
}
