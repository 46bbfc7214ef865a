#!/usr/bin/env node
// Plain JavaScript on purpose: it must run on any Node from 18 on, to find one that fits (24 or later, which runs TypeScript).
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const needed = 24

if (majorOf(process.versions.node) < needed) runWith(findNode())
else {
  await import('./quick-imports.mjs')
  await import('./compile-cache.mjs')
  await import('./compops.ts')
}

function majorOf(version) {
  return Number(/^v?(\d+)\./.exec(version)?.[1] ?? 0)
}

/** COMPOPS_NODE, else the development dependency `node`, else `node24` of the PATH; the first that really is new enough. */
function findNode() {
  const asked = process.env.COMPOPS_NODE
  for (const program of [asked, dependency(), 'node24']) {
    if (!program) continue
    const { stdout, status } = spawnSync(program, ['--version'], { encoding: 'utf8', timeout: 10_000 })
    if (status === 0 && majorOf(stdout.trim()) >= needed) return program
    if (program === asked) leave(`COMPOPS_NODE is ${asked}, which is no Node ${needed} or later.`)
  }
  return leave(
    `compops needs Node ${needed} or later; this is ${process.version}. Run \`npm ci\` in its folder, which brings one, or name one in COMPOPS_NODE.`,
  )
}

function dependency() {
  try {
    const folder = dirname(createRequire(import.meta.url).resolve('node/package.json'))
    const program = join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
    return existsSync(program) ? program : null
  } catch {
    return null
  }
}

function leave(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

/** The command in a child that has our terminal, gets our signals and gives us its exit code. */
function runWith(program) {
  // A terminal sends Ctrl-C and its like to the child too; passing them on would be asking twice.
  const fromTerminal = process.stdin.isTTY ? ['SIGINT', 'SIGQUIT', 'SIGHUP'] : []
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']
  // Listened for before there is a child: a signal in between would end us and leave it behind.
  for (const signal of signals) process.on(signal, () => fromTerminal.includes(signal) || child.kill(signal))
  const child = spawn(program, [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  })
  child.on('error', error => leave(`${program} cannot be started: ${error.message}`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    for (const name of signals) process.removeAllListeners(name)
    process.kill(process.pid, signal)
  })
}
