import { existsSync } from 'node:fs'
import { appendFile, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** A Slurm that costs next to nothing: what a submission or a poll takes is then ours. Jobs run until they are told to end, or end as they are submitted. */
export interface InstantSlurm {
  /** For `path:` of a cluster: goes before PATH. */
  readonly path: string
  /** Jobs submitted from now on have ended at once. */
  instant(yes: boolean): Promise<void>
  /** Its commands do not answer any more. */
  hang(yes: boolean): Promise<void>
  /** Every job that is still running ends, all at the same moment, with code 0. */
  endAll(): Promise<void>
  submitted(): Promise<number>
  /** Jobs that run although nobody submitted them. */
  add(jobs: readonly { readonly id: string; readonly name: string; readonly directory: string }[]): Promise<void>
}

export async function openInstantSlurm(place: string): Promise<InstantSlurm> {
  const path = join(place, 'instant-slurm')
  const state = join(path, 'state')
  await cp(join(import.meta.dirname, 'instant-slurm'), path, { recursive: true })
  await mkdir(state)
  await writeFile(join(state, 'last'), '100000\n')
  for (const name of ['jobs', 'ended']) await writeFile(join(state, name), '')
  const lines = async (name: string) =>
    (await readFile(join(state, name), 'utf8')).split('\n').filter(line => line !== '')
  const flag = (name: string) => (yes: boolean) =>
    yes ? writeFile(join(state, name), '') : rm(join(state, name), { force: true })
  return {
    path,
    instant: flag('instant'),
    hang: flag('hang'),
    async endAll() {
      const ended = new Set((await lines('ended')).map(line => line.split(' ')[0]))
      const fresh = (await lines('jobs')).filter(line => !ended.has(line.split(' ')[0]))
      const now = Math.floor(Date.now() / 1000)
      for (const line of fresh) {
        const [id, , ...directory] = line.split(' ')
        await mkdir(directory.join(' '), { recursive: true })
        await writeFile(join(directory.join(' '), 'started.0'), `${id} ${now - 60}\n`)
        await writeFile(join(directory.join(' '), 'exit.0'), `${id} 0 0 ${now}\n`)
      }
      // As the wrapper: the scheduler has seen the end a moment later than the job has told it.
      for (const line of fresh) {
        const directory = line.split(' ').slice(2).join(' ')
        const events = join(directory, '../../../../../../events')
        if (existsSync(events)) await writeFile(join(events, `${basename(directory)}.0.end`), '')
      }
      await appendFile(join(state, 'ended'), fresh.map(line => `${line.split(' ').slice(0, 2).join(' ')}\n`).join(''))
    },
    add: jobs => appendFile(join(state, 'jobs'), jobs.map(job => `${job.id} ${job.name} ${job.directory}\n`).join('')),
    submitted: async () => (await lines('jobs')).length,
  }
}
