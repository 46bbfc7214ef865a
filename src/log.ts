import { once } from 'node:events'
import { access, constants, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pino } from 'pino'

export type Log = pino.Logger

/** Every secret the process has read. What stands in here is taken out of each log line, whatever field it hides in. */
export interface Secrets {
  add(value: string): void
  redact(text: string): string
  /** With stars in their places, so that every other byte keeps its own. */
  mask(bytes: Buffer): Buffer
  /** How many bytes at the end may be the beginning of one. A few that are, tell nothing. */
  begun(bytes: Buffer): number
  /** Bytes of the longest of them, in whatever form. */
  longest(): number
}

export function createSecrets(): Secrets {
  const values = new Set<string>()
  let ordered: string[] = []
  /** The same in bytes, a letter each: a log is cut anywhere. */
  let inBytes: string[] = []
  return {
    add(value) {
      // Shorter values would tear holes into ordinary words.
      if (value.length < 6) return
      for (const form of formsOf(value)) values.add(form)
      ordered = [...values].sort((a, b) => b.length - a.length)
      inBytes = ordered.map(form => Buffer.from(form).toString('latin1')).sort((a, b) => b.length - a.length)
    },
    redact(text) {
      let clean = text
      for (const value of ordered) if (clean.includes(value)) clean = clean.replaceAll(value, '[secret]')
      return clean
    },
    mask(bytes) {
      let clean = bytes.toString('latin1')
      for (const value of inBytes) if (clean.includes(value)) clean = clean.replaceAll(value, '*'.repeat(value.length))
      return Buffer.from(clean, 'latin1')
    },
    begun(bytes) {
      const text = bytes.toString('latin1')
      let most = 0
      for (const value of inBytes)
        for (let length = Math.min(value.length - 1, text.length); length > Math.max(most, 3); length--)
          if (text.endsWith(value.slice(0, length))) most = length
      return most
    },
    longest: () => inBytes[0]?.length ?? 0,
  }
}

/** The forms in which a secret travels and may come back to us in somebody's words: as it is, in JSON, in an address, in basic authentication. */
export function formsOf(secret: string): string[] {
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), ...base64Forms(secret)]
}

/** Base64 whatever stands before or behind the secret (`oauth2:`, another user): it begins at any third of a group, its edges are mixed with its neighbours. */
function base64Forms(secret: string): string[] {
  const bytes = Buffer.from(secret)
  return [0, 1, 2].map(before => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
    return text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6))
  })
}

interface Sink {
  write(line: string): void
}

export interface LogOptions {
  readonly secrets: Secrets
  readonly level?: string
  readonly destination?: Sink
}

/** The service's log: one JSON line per step of the path, to standard output. Redaction is by value at this one sink. */
export function createLog(options: LogOptions): Log {
  const destination = options.destination ?? process.stdout
  const sink: Sink = { write: line => void destination.write(options.secrets.redact(line)) }
  return pino(
    {
      level: options.level ?? 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
    },
    sink,
  )
}

export interface AuditEntry {
  /** What was done: `run started`, `job submitted`, `job canceled`, `evidence committed` … */
  readonly act: string
  /** Who caused it: a GitLab username, or `compops` where nobody did. */
  readonly by: string
  readonly result: string
  readonly [detail: string]: unknown
}

export interface Audit {
  record(entry: AuditEntry): void
  close(): Promise<void>
}

/**
 * The audit log: who caused what, when, with which result. Rotated daily and at 20 MB; nothing is ever deleted by us. What rotates it brings 300 files of
 * date arithmetic, so it is loaded when something is first recorded; what comes meanwhile waits for it in order.
 */
export async function openAudit(file: string, secrets: Secrets, onTrouble: (error: unknown) => void): Promise<Audit> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  await access(dirname(file), constants.W_OK)
  const open = async () => {
    const { default: pinoRoll } = await import('pino-roll')
    return pinoRoll({ file, frequency: 'daily', size: '20m', mkdir: true, dateFormat: 'yyyy-MM-dd', extension: '.log' })
  }
  let opening: ReturnType<typeof open> | undefined
  // A full disk must not end the process: it is said, and the next line tries anew.
  const lost = (error: unknown) => {
    opening = undefined
    onTrouble(error)
  }
  const sink: Sink = {
    write(line) {
      opening ??= open().then(stream => {
        stream.on('error', lost)
        return stream
      })
      opening.then(stream => stream.write(secrets.redact(line)), lost)
    },
  }
  return {
    record: entry => sink.write(`${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`),
    async close() {
      const stream = await opening?.catch(() => undefined)
      if (stream === undefined) return
      const closed = once(stream, 'close')
      stream.end()
      await closed
    },
  }
}
