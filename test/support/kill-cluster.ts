import { execFile } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startFakeSlurm } from './fake-slurm.ts'
import type { Lab } from './lab.ts'
import { startSshd } from './sshd.ts'

/** A cluster behind a real sshd that can be watched from outside: which commands are called, what is accepted, which jobs really begin and end. */
export interface WatchedCluster {
  /** YAML of `clusters:` for the configuration. */
  readonly yaml: string
  /** Where jobs write what they did. */
  readonly ledger: string
  /** One line per call, `sbatch begins`, `sbatch ended 0`, … in the order of time. */
  calls(): string[]
  /** Every job the scheduler ever accepted. */
  accepted(): Promise<{ id: string; name: string; state: string }[]>
  stop(): Promise<void>
}

const commands = ['sbatch', 'squeue', 'sacct', 'scancel', 'scontrol'] as const
export const ended = /^(COMPLETED|FAILED|CANCELLED|TIMEOUT)/

/** Each command says when it begins and ends, and sbatch what it answered; otherwise they are the real ones. */
function writeWrappers(dir: string, real: (command: string) => string, calls: string): string {
  const bin = join(dir, 'bin')
  mkdirSync(bin)
  for (const command of commands) {
    const file = join(bin, command)
    const run =
      command === 'sbatch'
        ? `answer=$(${real(command)} "$@"); code=$?
printf '%s\\n' "$answer"
for word; do case $word in --job-name=*) echo "sbatch answered $answer \${word#*=}" >>'${calls}' ;; esac; done`
        : `${real(command)} "$@"; code=$?`
    writeFileSync(
      file,
      `#!/bin/sh\necho '${command} begins' "$*" >>'${calls}'\n${run}\necho "${command} ended $code" >>'${calls}'\nexit $code\n`,
    )
    chmodSync(file, 0o755)
  }
  return bin
}

function openLedger(dir: string) {
  const ledger = join(dir, 'ledger')
  for (const folder of [ledger, join(ledger, 'proof')]) {
    mkdirSync(folder)
    chmodSync(folder, 0o777)
  }
  for (const file of [join(ledger, 'started'), join(dir, 'calls')]) {
    appendFileSync(file, '')
    chmodSync(file, 0o666)
  }
  return { ledger, calls: join(dir, 'calls') }
}

const linesOf = (file: string) => readFileSync(file, 'utf8').split('\n').filter(Boolean)

export interface ClusterOptions {
  readonly dir: string
  readonly sbatch: 'fast' | 'moody'
  readonly pollSeconds: number
}

/** test/support/fake-slurm as the scheduler, for this user. */
export async function startFakeCluster({ dir, sbatch, pollSeconds }: ClusterOptions): Promise<WatchedCluster> {
  const slurm = startFakeSlurm()
  if (sbatch === 'moody') slurm.behave('sbatch', 'moody')
  const sshd = await startSshd()
  const { ledger, calls } = openLedger(dir)
  const home = join(dir, 'home')
  mkdirSync(home)
  const tools = join(import.meta.dirname, 'fake-slurm')
  const bin = writeWrappers(
    dir,
    command =>
      `HOME='${home}' FAKE_SLURM='${slurm.state}' PATH='${tools}':/usr/local/bin:/usr/bin:/bin '${tools}/${command}'`,
    calls,
  )
  // What ended a while ago is forgotten by squeue, as MinJobAge does it, and the list stays short.
  const forgetting = setInterval(() => {
    for (const { id, state } of slurm.jobs()) {
      const file = join(slurm.state, 'jobs', id, 'ended')
      if (!ended.test(state) || !existsSync(file) || existsSync(join(slurm.state, 'jobs', id, 'forgotten'))) continue
      if (Date.now() - statSync(file).mtimeMs > 3_000) slurm.write(id, 'forgotten', '')
    }
  }, 1_000)
  return {
    yaml: `  falcon:
    scheduler: slurm
    ssh: { host: 127.0.0.1, port: ${sshd.port}, user: ${sshd.user}, identity_file: ${sshd.identityFile}, known_hosts_file: ${sshd.knownHostsFile} }
    root: ${join(dir, 'cluster')}
    path: ${bin}
    poll_interval: ${pollSeconds}s
    max_poll_interval: ${2 * pollSeconds}s`,
    ledger,
    calls: () => linesOf(calls),
    accepted: async () => slurm.jobs(),
    async stop() {
      clearInterval(forgetting)
      await sshd.stop()
      slurm.stop()
    },
  }
}

/** The real Slurm of deploy/lab. */
export async function watchLab(lab: Lab, { dir, pollSeconds }: ClusterOptions): Promise<WatchedCluster> {
  chmodSync(dir, 0o755)
  const { ledger, calls } = openLedger(dir)
  const bin = writeWrappers(dir, command => `/usr/bin/${command}`, calls)
  const env = { ...process.env, SLURM_CONF: lab.slurmConf }
  return {
    yaml: `  falcon:
    scheduler: slurm
    ssh: { host: ${lab.host}, port: ${lab.port}, user: ${lab.user}, identity_file: ${lab.identityFile}, known_hosts_file: ${lab.knownHostsFile} }
    root: ${lab.root}
    path: ${bin}
    poll_interval: ${pollSeconds}s
    max_poll_interval: ${2 * pollSeconds}s`,
    ledger,
    calls: () => linesOf(calls),
    async accepted() {
      const answered = linesOf(calls).flatMap(line => {
        const [, id, name] = /^sbatch answered (\d+) (compops-\S+)$/.exec(line) ?? []
        return id === undefined || name === undefined ? [] : [{ id, name }]
      })
      const ids = answered.map(job => job.id).join(',')
      if (ids === '') return []
      const ask = async (command: string, args: string[]) =>
        (await promisify(execFile)(command, args, { env })).stdout.split('\n').map(line => line.trim().split('|'))
      const states = new Map<string | undefined, string | undefined>([
        ...(await ask('squeue', ['-h', '-a', '-t', 'all', '-o', '%i|%T'])).map(([id, state]) => [id, state] as const),
        ...(await ask('sacct', ['-n', '-X', '-P', '-a', '-j', ids, '-o', 'JobID,State'])).map(
          ([id, state]) => [id, state] as const,
        ),
      ])
      // Accounting never hears of a job that was cancelled before it could have begun.
      return answered.map(job => ({ ...job, state: states.get(job.id) ?? 'CANCELLED' }))
    },
    stop: async () => {},
  }
}

/** Jobs that have begun, as they wrote it themselves: run, job, number of the attempt, native id. */
export function beganOn(cluster: WatchedCluster): { run: string; job: string; attempt: string; nativeId: string }[] {
  return linesOf(join(cluster.ledger, 'started')).map(line => {
    const [run = '', job = '', attempt = '', nativeId = ''] = line.split(' ')
    return { run, job, attempt, nativeId }
  })
}

/** Jobs that ran to their last line, with the time at which they did: `<run> <job>`. */
export function proofsOn(cluster: WatchedCluster): Map<string, Date> {
  const folder = join(cluster.ledger, 'proof')
  return new Map(readdirSync(folder).map(name => [name.replace('.', ' '), statSync(join(folder, name)).mtime]))
}

/** A computation whose jobs write down that they began, and as their last deed that they came to their end. */
export function computation(
  cluster: Pick<WatchedCluster, 'ledger'>,
  jobs: Readonly<Record<string, { seconds: number; needs?: string[]; fails?: boolean }>>,
): string {
  const spec = Object.fromEntries(
    Object.entries(jobs).map(([name, job]) => [
      name,
      {
        ...(job.needs === undefined ? {} : { needs: job.needs }),
        time: '10m',
        script: [
          `echo "$COMPOPS_RUN_ID $COMPOPS_JOB $COMPOPS_ATTEMPT $SLURM_JOB_ID" >> ${cluster.ledger}/started`,
          `sleep ${job.seconds.toFixed(1)}`,
          job.fails === true ? 'exit 3' : `touch ${cluster.ledger}/proof/$COMPOPS_RUN_ID.$COMPOPS_JOB`,
        ],
      },
    ]),
  )
  return `${JSON.stringify({ jobs: spec }, null, 1)}\n`
}
