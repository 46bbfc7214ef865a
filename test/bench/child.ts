import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'

/** What the command line loads before the service (`src/cli/compops.mjs`), as arguments for Node. */
export const asCommandLine: readonly string[] = ['quick-imports', 'compile-cache'].flatMap(name => [
  '--import',
  join(import.meta.dirname, `../../src/cli/${name}.mjs`),
])

const running = new Set<ChildProcess>()

/** Starts a file of this folder as a child process that can be talked to. It ends with us, at the latest. */
export function startChild(file: string, args: readonly string[] = [], execArgv: readonly string[] = []): ChildProcess {
  const child = fork(join(import.meta.dirname, file), args, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: [...execArgv],
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

/** What it says next. Rejects with its last words when it ends instead. */
export function hear<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    let words = ''
    const listen = (text: Buffer) => {
      words += text
    }
    const ended = (code: number | null) => {
      reject(new Error(`a child process of the bench ended with ${code}: ${words.trim().slice(-500)}`))
    }
    child.stderr?.on('data', listen)
    child.once('exit', ended)
    child.once('message', message => {
      child.off('exit', ended)
      child.stderr?.off('data', listen)
      resolve(message as T)
    })
  })
}

export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise(resolve => child.once('exit', resolve))
  if (child.connected) child.disconnect()
  const giveUp = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await gone
  clearTimeout(giveUp)
}

/** At once, without a goodbye: when the run is interrupted. */
export function killChildren(): void {
  for (const child of running) child.kill('SIGKILL')
}
