import { loadConfig } from '../config/index.ts'
import { moduleName } from '../doctor/compute.ts'
import { examine } from '../doctor/doctor.ts'
import type { Finding } from '../doctor/finding.ts'
import { trustPrivateCa } from '../main.ts'
import { parseWalltime } from '../model/walltime.ts'
import { type Io, type RunCommand, readCommandLine, terminalStyle, UsageError } from './command.ts'
import { hidingSecrets } from './hide-secrets.ts'

/**
 * `compops doctor [--json] [CLUSTER|PROJECT]`: looks at clusters and projects as the service would use them, and says what is not well and what to do.
 * Changes nothing. `--compute` besides sends one tiny job to each cluster and removes it again; `--module NAME` (as often as you like) does only that, and
 * loads modules in it. Exit code 1 where there is an error.
 */
export const run: RunCommand = async (args, io) => {
  const allowed = { flags: ['json', 'compute'], lists: ['module'], values: ['wait'], files: 1 }
  const { config: path, flags, files, lists, values } = readCommandLine(args, io.env, allowed)
  const modules = (lists.get('module') ?? []).flatMap(names => names.split(/[\s,]+/)).filter(name => name !== '')
  const odd = modules.find(name => !moduleName.test(name))
  if (odd !== undefined) throw new UsageError(`${JSON.stringify(odd)} cannot be the name of a module`)
  const wait = parseWalltime(values.get('wait') ?? '10m')
  if (!wait.ok) throw new UsageError(`--wait: ${wait.message} ${wait.remedy}`)
  const config = await loadConfig(path, io.env)
  await trustPrivateCa(config)
  const maintainerToken = io.env.COMPOPS_SETUP_TOKEN || null
  const style = terminalStyle(io)
  return hidingSecrets(config, io, [maintainerToken], async ({ stdout, stderr }) => {
    const stop = new AbortController()
    const onSignal = () => stop.abort()
    const compute = flags.has('compute') || modules.length > 0
    const progress = showWaiting(io, stderr)
    if (compute) process.once('SIGINT', onSignal)
    const findings = await examine(config, {
      ...{ only: files[0] ?? null, maintainerToken, now: () => new Date() },
      ...(compute
        ? {
            compute: {
              ...{ modules, wait: wait.value * 1000, alone: !flags.has('compute'), signal: stop.signal },
              onProgress: progress.tell,
            },
          }
        : {}),
    }).finally(() => {
      process.removeListener('SIGINT', onSignal)
      progress.end()
    })
    stdout.write(flags.has('json') ? `${JSON.stringify(findings, null, 2)}\n` : renderFindings(findings, style))
    return findings.some(({ level }) => level === 'error') ? 1 : 0
  })
}

/** One line that a person sees move, with how long it has been; elsewhere a line for each change. */
function showWaiting({ stdout }: Io, stderr: Io['stderr']): { tell(name: string, text: string): void; end(): void } {
  const person = stdout.isTTY === true
  const began = Date.now()
  const now = new Map<string, string>()
  const draw = () => {
    const words = [...now].map(([name, text]) => `${name} ${text}`).join(' · ')
    const line = `  ${Math.round((Date.now() - began) / 1000)} s  ${words}`
    stderr.write(`\r\u001b[K${line.slice(0, (stdout.columns ?? 80) - 1)}`)
  }
  const timer = person ? setInterval(() => now.size > 0 && draw(), 1_000) : null
  return {
    tell(name, text) {
      if (now.get(name) === text) return
      now.set(name, text)
      if (person) draw()
      else stderr.write(`${name}: ${text}\n`)
    },
    end() {
      if (timer !== null) clearInterval(timer)
      if (person && now.size > 0) stderr.write('\r\u001b[K')
    },
  }
}

const signs = { error: ['✗', 31], warn: ['!', 33], ok: ['✓', 32] } as const

/** By subject, each with what is wrong first. */
export function renderFindings(findings: readonly Finding[], { colour }: { readonly colour: boolean }): string {
  const subjects = [...new Set(findings.map(({ about }) => about))]
  const parts = subjects.map(subject => {
    const lines = findings
      .filter(({ about }) => about === subject)
      .map(({ level, check, sentence, remedy }) => {
        const [sign, code] = signs[level]
        const mark = colour ? `\u001b[${code}m${sign}\u001b[0m` : sign
        return `  ${mark} ${check}: ${sentence}${remedy === null ? '' : `\n      → ${remedy}`}\n`
      })
    return `${subject}\n${lines.join('')}`
  })
  const count = (level: Finding['level']) => findings.filter(finding => finding.level === level).length
  const [errors, warnings] = [count('error'), count('warn')]
  const verdict =
    errors + warnings === 0
      ? `All ${findings.length} checks are well.`
      : `${errors} ${errors === 1 ? 'error' : 'errors'}, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}, ${count('ok')} well.`
  return `${parts.join('\n')}\n${verdict}\n`
}
