import { writeSync } from 'node:fs'
import { loadConfig } from '../config/index.ts'
import { startService } from '../main.ts'
import { startWatchdog } from '../store/watchdog.ts'
import { type Io, readCommandLine } from './command.ts'

/** EX_TEMPFAIL of sysexits.h: whatever supervises us starts us again. */
const tryAgain = 75

/**
 * `compops serve`: runs the service until SIGTERM or Ctrl-C; nothing is lost by stopping it. With `--recover` it first learns
 * from the clusters and from GitLab what has happened since the database was backed up, and starts nothing before.
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const line = readCommandLine(args, io.env, { flags: ['recover'] })
  const config = await loadConfig(line.config, io.env)
  // Before the database is opened: on a full disk that alone can hang.
  const watchdog = config.databaseUrl === null ? startWatchdog() : null
  const service = await startService(config, {
    recover: line.flags.has('recover'),
    onBroken(why) {
      // At once and past every buffer; then what is being answered is answered, with 503.
      writeSync(
        2,
        `compops: the embedded database in ${config.dataDir} cannot go on: ${why}. This process ends; free some space and start it again. Nothing that was acknowledged is lost.\n`,
      )
      setTimeout(() => process.exit(tryAgain), 500)
    },
  })
  await new Promise<void>(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        resolve()
        // A second signal does not wait for a cluster that hangs.
        process.once(signal, () => process.exit(1))
      })
    }
  })
  await service.stop()
  await watchdog?.stop()
  return 0
}
