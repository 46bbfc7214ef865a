import { readFile } from 'node:fs/promises'
import { nearest } from '../config/nearest.ts'
import { quote } from '../config/yaml.ts'
import { CompopsError } from '../errors.ts'
import { CommandError, type Io, type RunCommand } from './command.ts'

const commands: Readonly<Record<string, string>> = {
  serve:
    'run the service: compops serve [--recover] [--config FILE]; --recover after a restored backup of another tool than ours',
  check: 'say what the configuration means, and what is wrong with it: compops check [--config FILE]',
  setup:
    "make or mend a project's webhook and the protection of its evidence branch, and propose a first .compops.yml: COMPOPS_SETUP_TOKEN=… compops setup PROJECT [--replace OLD-URL] [--propose|--no-propose]",
  doctor:
    'say what is not well with clusters and projects, and what to do: compops doctor [--json] [--compute] [--module NAME]… [--wait 10m] [CLUSTER|PROJECT]',
  connect:
    'open the session that a cluster with two-factor sign-in needs, at the keyboard: compops connect CLUSTER [--end] [--config FILE]',
  why: 'say where a push, run or job stands: compops why ID|BRANCH [JOB]|SHA|NATIVE-ID [--json] [--last N]',
  status:
    'say how the run of a branch stands: compops status [BRANCH|RUN|COMMIT] [--watch] [--all [--last N]] [--json]',
  plan: 'say what would run, without running it: compops plan [FILE | --branch BRANCH] [--scripts] [--offline] [--json] [-- KEY=VALUE...]',
  run: 'compute the head of a branch anew, or one of its jobs: compops run [BRANCH] [JOB] [--subtree] [--wait] [-- KEY=VALUE...]',
  rerun: 'run again what failed, was cancelled or is missing: compops rerun [BRANCH] [--wait]',
  cancel: 'end a job, or all that is unfinished of a branch: compops cancel [BRANCH] [JOB]',
  hold: 'let nothing further of a job or branch begin: compops hold [BRANCH] [JOB] [--why TEXT]',
  unhold: 'let go on what a person holds: compops unhold [BRANCH] [JOB]',
  approve: 'let a run begin that costs more than may begin unasked: compops approve [BRANCH]',
  tree: 'draw the computation branches, each below its parent: compops tree [BRANCH] [--json]',
  logs: 'show what a job printed: compops logs [BRANCH|RUN] [JOB] [--task N] [-f|--follow] [--all]',
  collect: 'fetch what a run left behind: compops collect [BRANCH|RUN] [JOB] --into DIR',
  keep: 'keep the directory of a run on the cluster, whatever its age: compops keep [--release] ID|BRANCH',
  pause:
    'hand nothing over to a cluster from now on: compops pause CLUSTER [--reason TEXT] [--until 2h|18:00|"2026-12-01 08:00"]',
  drain:
    'let no further job begin on a cluster, and let the others go on: compops drain CLUSTER [--reason TEXT] [--until TIME]',
  resume: 'end a pause or a drain: compops resume CLUSTER',
  load: 'say how often clusters were signed in to and their schedulers asked, in the last 24 hours: compops load [--json] [CLUSTER]',
  parked: 'list the rows that failed too often and wait for a person',
  retry:
    'run a job again that did not complete, of an array only the tasks that did not: compops retry [BRANCH] JOB [--wait]; as operator, give parked rows another chance: compops retry --all | ID...',
  dump: 'write all data of the database to a file, for backup or for another database: compops dump [--config FILE] [FILE[.gz]]',
  restore: 'read such a file into an empty database: compops restore [--config FILE] FILE[.gz]',
  executor:
    "gitlab-runner's custom executor, for sites that have one: compops executor config|prepare|run|cleanup --url URL --builds-dir DIR",
  demo: 'show the main job on this machine, with a simulated GitLab',
  help: 'show this',
}

const help = `compops makes GitLab the front end of an HPC cluster.

${Object.entries(commands)
  .map(([name, meaning]) => `  compops ${name.padEnd(8)}${meaning}`)
  .join('\n')}
  compops --version

The configuration is the file of --config, of COMPOPS_CONFIG, or compops.config.yml in this folder.

status, tree, plan, run, rerun, cancel, hold, unhold and approve ask a service as you, with a GitLab token of yours; logs, collect and retry do where no configuration is given. In a clone they know project and branch
(else --project GROUP/NAME); the service is that of --url, COMPOPS_URL or ~/.config/compops/config.yml, the token that of COMPOPS_TOKEN, GITLAB_TOKEN, the same file, or glab.

Exit codes: 0 fine, 1 failed, 2 the command line is wrong, 3 not signed in or not allowed, 4 the service cannot be reached, 5 there is no such thing.
`

/** Finds the command, loads its file only now, runs it. Resolves with the exit code. */
export async function dispatch(args: readonly string[], io: Io): Promise<number> {
  const [name = 'help', ...rest] = args
  if (name === 'help' || name === '--help' || name === '-h' || rest.includes('--help') || rest.includes('-h')) {
    io.stdout.write(help)
    return 0
  }
  if (name === '--version' || name === '-V') {
    io.stdout.write(`${await version()}\n`)
    return 0
  }
  if (!Object.hasOwn(commands, name)) {
    const near = nearest(name, Object.keys(commands))
    const hint = near === null ? 'See `compops help`.' : `Did you mean \`compops ${near}\`?`
    io.stderr.write(`compops: there is no command ${quote(name)}. ${hint}\n`)
    return 2
  }
  try {
    const command = (await import(new URL(`./${name}.ts`, import.meta.url).href)) as { run: RunCommand }
    return await command.run(rest, io)
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    io.stderr.write(`compops ${name}: ${error.message}\n`)
    return error instanceof CommandError ? error.exitCode : 1
  }
}

async function version(): Promise<string> {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
