import { loadConfig } from '../config/index.ts'
import { examine } from '../doctor/doctor.ts'
import type { Finding } from '../doctor/finding.ts'
import { trustPrivateCa } from '../main.ts'
import { type RunCommand, readCommandLine, terminalStyle } from './command.ts'
import { hidingSecrets } from './hide-secrets.ts'

/**
 * `compops doctor [--json] [CLUSTER|PROJECT]`: looks at clusters and projects as the service would use them, and says what is not well and what to do.
 * Changes nothing. Exit code 1 where there is an error.
 */
export const run: RunCommand = async (args, io) => {
  const { config: path, flags, files } = readCommandLine(args, io.env, { flags: ['json'], files: 1 })
  const config = await loadConfig(path, io.env)
  await trustPrivateCa(config)
  const maintainerToken = io.env.COMPOPS_SETUP_TOKEN || null
  const style = terminalStyle(io)
  return hidingSecrets(config, io, [maintainerToken], async ({ stdout }) => {
    const findings = await examine(config, { only: files[0] ?? null, maintainerToken, now: () => new Date() })
    stdout.write(flags.has('json') ? `${JSON.stringify(findings, null, 2)}\n` : renderFindings(findings, style))
    return findings.some(({ level }) => level === 'error') ? 1 : 0
  })
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
