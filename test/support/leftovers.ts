import { readdirSync, readFileSync } from 'node:fs'

/** Ends what jobs of a test left running: whose command line names its directory, with its process group. Where there is no /proc nothing is known. */
export function endLeftovers(directory: string): void {
  const pids = (() => {
    try {
      return readdirSync('/proc').filter(name => /^\d+$/.test(name))
    } catch {
      return []
    }
  })()
  for (const pid of pids) {
    try {
      // Programs of `sh -c` and vitest itself name directories, too: of a job the script is an argument of its own below it.
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      if (!words.some(word => word.startsWith(`${directory}/`) && word.includes('/runs/'))) continue
      // pgrp is the third word behind the name, proc(5).
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const group = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2])
      if (group > 1) process.kill(-group, 'SIGKILL')
    } catch {
      // it has ended meanwhile
    }
  }
}
