import { parse } from 'yaml'
import type { Simulator } from '../../simulator/simulator.ts'

export interface DemoCheck {
  readonly what: string
  readonly ok: boolean
  /** What a person finds there, in a few words. */
  readonly found: string
}

/** Looks where a researcher would: the statuses of the commit, the note on the merge request, the evidence in the repository. */
export async function checkDemo(
  simulator: Simulator,
  at: { projectId: number; sha: string; iid: number; branch: string },
): Promise<DemoCheck[]> {
  const statuses = simulator.statuses(at.projectId, at.sha).filter(status => !status.retried)
  const successful = statuses.filter(status => status.status === 'success')
  const names = ['compops/mesh', 'compops/plot', 'compops/solve', 'compops/tree']
  const allNamed = names.every(name => successful.some(status => status.name === name))

  const ours = simulator.notes(at.projectId, at.iid).filter(note => note.body.includes('<!-- compops:tree'))
  const note = ours[0]
  const noteRight =
    ours.length === 1 && note !== undefined && /3 of 3 jobs/.test(note.body) && note.body.includes('rmse')

  const evidence = await findEvidence(simulator, at)
  return [
    {
      what: 'commit statuses',
      ok: allNamed && statuses.length === names.length,
      found: `${successful.length} of ${names.length} success`,
    },
    { what: `merge request !${at.iid}`, ok: noteRight, found: noteRight ? 'one note, final' : `${ours.length} notes` },
    { what: 'evidence', ok: evidence !== null, found: evidence ?? 'not committed yet' },
  ]
}

async function findEvidence(
  simulator: Simulator,
  at: { projectId: number; sha: string; branch: string },
): Promise<string | null> {
  const files = (await simulator.files(at.projectId, 'compops/evidence')) ?? []
  const path = files.find(name => name.startsWith(`runs/${at.branch}/${at.sha.slice(0, 8)}-`) && name.endsWith('.yml'))
  if (path === undefined || !files.includes('README.md') || !files.includes(`branches/${at.branch}.md`)) return null
  const record = parse((await simulator.readFile(at.projectId, 'compops/evidence', path)) ?? '')
  const jobs = Object.values(record.jobs ?? {}) as { state: string; outputs?: unknown[] }[]
  const right =
    record.state === 'completed' &&
    jobs.length === 3 &&
    jobs.every(job => job.state === 'completed' && (job.outputs?.length ?? 0) > 0)
  return right ? `compops/evidence, of ${path.slice(path.lastIndexOf('/') + 1, path.lastIndexOf('/') + 9)}` : null
}
