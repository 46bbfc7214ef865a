/** Run as a child process by pglite-directory.ts: makes an empty database in the directory named by its one argument, and ends. */
import { PGlite } from '@electric-sql/pglite'

const directory = process.argv[2]
if (directory === undefined) throw new Error('usage: initdb.ts DIRECTORY')
const client = await PGlite.create(directory)
await client.close()
