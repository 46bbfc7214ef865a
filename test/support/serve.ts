import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from './until.ts'
import type { World } from './world.ts'

const program = fileURLToPath(new URL('../../src/cli/compops.ts', import.meta.url))

/** The service of a world as an operator runs it: `compops serve` in a process of its own, which can be killed, frozen and started again. */
export type Served = Awaited<ReturnType<typeof serve>>

/** Starts it and waits until it answers. `dataDir` and `port` of its own make it another replica of the same service. */
export async function serve(world: World, own: { readonly dataDir?: string; readonly port?: number } = {}) {
  const port = own.port ?? world.port
  const config = join(world.place, `compops.config.${port}.yml`)
  const text = (await readFile(world.configFile, 'utf8'))
    .replace(/^listen: .*$/m, `listen: 127.0.0.1:${port}`)
    .replace(/^data_dir: .*$/m, line => (own.dataDir === undefined ? line : `data_dir: ${own.dataDir}`))
  await writeFile(config, text)
  const child = spawn(process.execPath, [program, 'serve', '--config', config], {
    env: { ...process.env, STORY_TOKEN: world.token, STORY_SECRET: world.secret },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  let ended: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | null = null
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', text => {
      said += text
    })
  const gone = new Promise<void>(resolve =>
    child.once('close', (code, signal) => {
      ended = { code, signal }
      resolve()
    }),
  )
  const url = `http://127.0.0.1:${port}`
  const served = {
    url,
    port,
    pid: child.pid!,
    /** Everything it has written, to both streams. */
    said: () => said,
    /** How it has ended; null while it runs. */
    ended: () => ended,
    gone,
    async ready(): Promise<boolean> {
      return (await fetch(`${url}/readyz`).catch(() => null))?.ok === true
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async kill(): Promise<void> {
      child.kill('SIGKILL')
      await gone
    },
    async stop(): Promise<void> {
      child.kill('SIGTERM')
      await gone
    },
  }
  await until(
    `compops serve on ${port} to be ready`,
    async () => {
      if (ended !== null) throw new Error(`compops serve ended with ${JSON.stringify(ended)}:\n${said.slice(-4_000)}`)
      return served.ready()
    },
    60,
  )
  return served
}
