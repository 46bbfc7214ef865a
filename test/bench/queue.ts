import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openCluster } from '../../src/cluster/cluster.ts'
import { createLocalRemote } from '../../src/remote/local.ts'
import type { Remote } from '../../src/remote/remote.ts'
import { fieldMark, recordMark } from '../../src/scheduler/dialect.ts'
import { slurm } from '../../src/scheduler/slurm/slurm.ts'
import { recorded } from '../scheduler/recorded.ts'

const config = join(import.meta.dirname, '../fixtures/scheduler/slurm/22.05-scontrol-config.txt')
const [head = '', ...rows] = recorded('slurm/22.05-squeue-running.txt').split(recordMark).slice(1)
const like = (state: string, reason: string) => {
  const row = rows.map(text => text.split(fieldMark)).find(fields => fields[1] === state && fields[2] === reason)
  if (row === undefined) throw new Error(`the recorded queue has no row ${state} ${reason}`)
  return row
}
const waiting = like('PENDING', 'BeginTime')
const running = like('RUNNING', 'None')

/** What a waiting job of {@link writeQueue} says to people, and where a running one runs: for rows that know it already. */
export const waitsFor = slurm.reasonInWords(waiting[2]!)
export const runsOn = [running[7]!]

export interface QueuedJob {
  /** The attempt's. */
  readonly id: string
  readonly nativeId: string
  readonly running: boolean
}

/** A Slurm whose queue is a file, made of recorded rows, asked by the programs that the service sends to a cluster. */
export async function openRecordedSlurm(place: string, name = 'recorded', remote: Remote = createLocalRemote()) {
  const commands = join(place, name)
  const queue = join(commands, 'queue.txt')
  await mkdir(commands, { recursive: true })
  const scripts = { squeue: `exec cat '${queue}'`, scontrol: `case $1 in show) exec cat '${config}' ;; esac` }
  for (const [name, line] of Object.entries(scripts)) {
    await writeFile(join(commands, name), `#!/bin/sh\n${line}\n`)
    await chmod(join(commands, name), 0o755)
  }
  const cluster = openCluster({
    name,
    dialect: slurm,
    remote,
    root: join(place, 'cluster'),
    shellPath: commands,
  })
  return {
    cluster,
    async show(jobs: readonly QueuedJob[]): Promise<void> {
      const text = jobs.map(job => {
        const fields = [...(job.running ? running : waiting)]
        fields[0] = job.nativeId
        fields[8] = `compops-${job.id}\n`
        return recordMark + fields.join(fieldMark)
      })
      await writeFile(queue, `${recordMark}${head}${text.join('')}`)
    },
  }
}
