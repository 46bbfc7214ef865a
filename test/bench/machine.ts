import { readFile } from 'node:fs/promises'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'

const packages = ['@electric-sql/pglite', 'hono', '@hono/node-server', 'drizzle-orm', 'postgres', 'ssh2']

/** Where the figures were taken, in one line: they only compare with others of the same run. */
export async function describeMachine(loadBefore: number, databases: readonly string[]): Promise<string> {
  const versions = await Promise.all(
    packages.map(async name => {
      const file = join(import.meta.dirname, '../../node_modules', name, 'package.json')
      return `${name} ${(JSON.parse(await readFile(file, 'utf8')) as { version: string }).version}`
    }),
  )
  return [
    `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown CPU'}`,
    `${Math.round(totalmem() / 2 ** 30)} GB`,
    `load ${loadBefore.toFixed(1)} before, ${loadavg()[0]!.toFixed(1)} at the end`,
    `${process.platform} ${release()}`,
    `node ${process.versions.node}`,
    ...databases,
    ...versions,
  ].join(', ')
}
