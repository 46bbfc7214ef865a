/** The simulated GitLab as a process of its own, so that neither its memory nor its turns count as the service's. */
import { type SimSettings, type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { fastClock } from '../support/clock.ts'
import { answerParent } from './rpc.ts'

export interface SharedClock {
  readonly factor: number
  readonly start: number
  readonly startedAt: number
}

const finals: readonly string[] = ['success', 'failed', 'canceled', 'skipped']
let simulator: Simulator
let people: { alice: number; bot: number }
let project: { id: number }
let thaw: (() => void) | null = null

const methods = {
  async start(dataDir: string, clock: SharedClock | null) {
    const time = clock === null ? null : fastClock(clock.factor, new Date(clock.start), new Date(clock.startedAt))
    simulator = await startSimulator({ dataDir, ...(time === null ? {} : { clock: time.now }) })
    const alice = simulator.createUser({ username: 'alice', name: 'Alice', email: 'alice@example.org' })
    const bot = simulator.createUser({ username: 'compops', name: 'ComputationalOps', bot: true })
    people = { alice: alice.id, bot: bot.id }
    project = simulator.createProject({ path: 'physics/heat' })
    simulator.addMember(project.id, alice.id, 40)
    simulator.addMember(project.id, bot.id, 30)
    const token = simulator.createToken(bot.id, { name: 'compops', scopes: ['api'] }).token
    await methods.push('main', { 'README.md': '# Heat\n' }, null)
    return { url: simulator.url, token, projectId: project.id }
  },
  hook: (url: string, token: string) =>
    void simulator.addHook(project.id, { url, token, push: true, mergeRequests: true, pipelines: true, notes: true }),
  push: (branch: string, files: Record<string, string>, from?: string | null) =>
    simulator.commit({
      projectId: project.id,
      branch,
      files,
      message: 'a change',
      authorId: people.alice,
      ...(from === undefined ? {} : { from }),
    }),
  async openMergeRequest(branch: string) {
    const made = await simulator.createMergeRequest({
      projectId: project.id,
      sourceBranch: branch,
      targetBranch: 'main',
      title: branch,
      authorId: people.alice,
    })
    return { iid: made.iid, sha: made.sha }
  },
  set: (settings: Partial<SimSettings>) => void Object.assign(simulator.settings, settings),
  /** What every call meets from now on; null: an honest answer. */
  fault(effect: { hang?: boolean; status?: number } | null) {
    thaw?.()
    thaw = effect === null ? null : simulator.faults.respond({}, effect)
  },
  /** How many statuses of these commits stand in each state. */
  states(shas: readonly string[]): Record<string, number> {
    const count: Record<string, number> = {}
    for (const sha of shas)
      for (const status of simulator.statuses(project.id, sha))
        if (!status.retried) count[status.status] = (count[status.status] ?? 0) + 1
    return count
  },
  isOver: (shas: readonly string[]) =>
    shas.every(sha => {
      const statuses = simulator.statuses(project.id, sha).filter(one => !one.retried)
      return statuses.some(one => one.name === 'compops/tree') && statuses.every(one => finals.includes(one.status))
    }),
  ourNotes: (iid: number) =>
    simulator.notes(project.id, iid).filter(one => one.authorId === people.bot && !one.system).length,
  finalNotes: (iids: readonly number[]) =>
    iids.filter(iid => simulator.notes(project.id, iid).some(one => / completed|succeeded|failed/.test(one.body)))
      .length,
  noteBody: (iid: number) => simulator.notes(project.id, iid).find(one => one.authorId === people.bot)?.body ?? '',
  evidenceFiles: async () =>
    ((await simulator.files(project.id, 'compops/evidence')) ?? []).filter(path => path.startsWith('runs/')).length,
  /** REST calls since the last time it was asked, by method and route, and the status of the answer where it was a refusal. */
  calls(): Record<string, number> {
    const count: Record<string, number> = {}
    for (const { method, path, status } of simulator.requests()) {
      const route = path
        .replace(/\?.*/, '')
        .replace(/^\/api\/v4/, '')
        .replace(/\/[0-9a-f]{40}\b/g, '/:sha')
        .replace(/\/\d+/g, '/:id')
      const key = `${method} ${route}${status !== null && status >= 400 ? ` ${status}` : ''}`
      count[key] = (count[key] ?? 0) + 1
    }
    simulator.resetRequests()
    return count
  },
  /** A pipeline of jobs that hand over, each with a manual one behind it; what each would show as its token. */
  async pipelineOfGates(branch: string, gates: number, audience: string) {
    Object.assign(simulator.settings, { ciJobs: 'wait', ciDelayMs: 0 })
    const jobs = Array.from(
      { length: gates },
      (_, n) =>
        `s${n}:\n  script: [x]\ng${n}:\n  needs: [s${n}]\n  when: manual\n  allow_failure: false\n  script: [x]\n`,
    )
    const sha = await methods.push(branch, { '.gitlab-ci.yml': jobs.join('') })
    await simulator.idle()
    const made = simulator.ciJobs(project.id, sha).filter(job => job.name.startsWith('s'))
    return {
      sha,
      jobs: made.map(job => ({ id: job.id, name: job.name, token: simulator.idToken(job.id, audience) })),
    }
  },
  /** They have handed over. */
  endCiJobs: (ids: readonly number[]) => {
    for (const id of ids) simulator.finishJob(id, 'success')
  },
  /** How many manual jobs of a commit were set going. */
  played: (sha: string) =>
    simulator.ciJobs(project.id, sha).filter(job => job.name.startsWith('g') && job.status === 'pending').length,
  manual: (sha: string) => simulator.ciJobs(project.id, sha).filter(job => job.status === 'manual').length,
  idle: () => simulator.idle(),
  close: () => simulator.close(),
}

export type GitLabChild = typeof methods
answerParent(methods)
