import { spawn } from 'node:child_process'
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventsProgram } from '../../src/cluster/events-program.ts'
import { compact } from '../../src/cluster/preamble.ts'
import { type Bench, type Figure, informs } from './figure.ts'

const seconds = 10
const programs = ['rm', 'find', 'sleep', 'cat', 'mkdir']

/** What the loop that listens costs a login node: looks at one directory, and processes, a minute. It runs as it does there, with its own programs counted. */
export async function benchLoop(bench: Bench): Promise<Figure[]> {
  const shells = [
    ['bash', 'sh'],
    ['dash', 'dash'],
  ] as const
  const figures = await Promise.all(
    shells.map(async ([shell, argv0]) => {
      const idle = await measure(bench, shell, argv0, 0)
      const busy = await measure(bench, shell, argv0, 1)
      return informs(
        `  the loop there, where /bin/sh is ${shell}, a minute`,
        `quiet ${idle.looks} looks at a directory, ${idle.processes} processes; with an event each second ${busy.looks}, ${busy.processes}`,
      )
    }),
  )
  return figures
}

async function measure(bench: Bench, shell: string, argv0: string, eventsPerSecond: number) {
  const place = join(bench.place, `loop-${shell}-${eventsPerSecond}`)
  const events = join(place, 'events')
  const bin = join(place, 'bin')
  const log = join(place, 'log')
  await mkdir(bin, { recursive: true })
  await mkdir(events)
  await writeFile(log, '')
  for (const program of programs) {
    await writeFile(
      join(bin, program),
      `#!/bin/sh\necho ${program} >>'${log}'\nPATH=/usr/bin:/bin exec ${program} "$@"\n`,
    )
    await chmod(join(bin, program), 0o755)
  }
  // Each turn of the loop is one look: counted where it expands the pattern.
  const program = compact(eventsProgram).replace('\nset -- *\n', `\necho look >>'${log}'\nset -- *\n`)
  const [soon, seldom] = eventsPerSecond === 0 ? [10, 10] : [5, 10]
  const loop = spawn(shell, ['-c', program], { argv0, env: { PATH: `${bin}:/usr/bin:/bin`, LC_ALL: 'C' } })
  loop.stdout.resume()
  loop.stdin.on('error', () => {})
  loop.stdin.write(`\n${events}\n6000\n100\n${soon}\n${seldom}\n`)
  await new Promise(resolve => setTimeout(resolve, 1_000))
  // What a start costs is no budget of a minute.
  await writeFile(log, '')
  for (let n = 0; n < seconds; n++) {
    if (eventsPerSecond > 0) {
      await writeFile(join(place, 'new'), '40 iteration\n')
      const kind = n % 2 === 0 ? 'end' : 'progress'
      await rename(join(place, 'new'), join(events, `0190f3c2-0000-7000-8000-0000000000${10 + n}.0.${kind}`))
    }
    await new Promise(resolve => setTimeout(resolve, 1_000))
  }
  const lines = (await readFile(log, 'utf8')).split('\n').filter(line => line !== '')
  loop.stdin.end()
  const each = (count: number) => Math.round((count * 60) / seconds)
  const looks = lines.filter(line => line === 'look').length
  return { looks: each(looks), processes: each(lines.length - looks) }
}
