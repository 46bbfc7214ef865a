import type { FileHandle } from 'node:fs/promises'

/** The operator's socket in the data directory. */
export const socketName = 'compops.sock'

/** A socket's path may have 107 bytes at most; through the descriptor of its directory it is short whatever that is called. */
export function shortPath(dataDir: string, directory: FileHandle): string {
  return dataDir.length > 70 && process.platform === 'linux' ? `/proc/self/fd/${directory.fd}` : dataDir
}
