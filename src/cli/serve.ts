import { loadConfig } from '../config/index.ts'
import { startService } from '../main.ts'
import { configPath, type Io } from './command.ts'

/** `compops serve`: runs the service until SIGTERM or Ctrl-C; nothing is lost by stopping it. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const config = await loadConfig(configPath(args, io.env), io.env)
  const service = await startService(config)
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
  return 0
}
