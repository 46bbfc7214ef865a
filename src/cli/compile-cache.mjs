/** Imported before any TypeScript: what was stripped of its types and compiled is kept for the next start. Without it, starting takes longer and nothing else. */
import { enableCompileCache, flushCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

const { NODE_COMPILE_CACHE, CACHE_DIRECTORY, XDG_CACHE_HOME } = process.env

// systemd's cache directory, else the user's own. Never one that others can write to (as Node's default is), since what lies there is run.
const own = CACHE_DIRECTORY?.split(':')[0] || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'compops')
enableCompileCache(NODE_COMPILE_CACHE || join(own, 'compiled'))
// Node keeps it when the process ends by itself; a service may end by a kill.
setTimeout(flushCompileCache, 10_000).unref()
