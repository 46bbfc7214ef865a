import type { PGlite } from '@electric-sql/pglite'
import { CompopsError, describeError, toError } from '../errors.ts'

/**
 * Watches the embedded database for the errors that it does not survive. Seen on PGlite 0.5 (PostgreSQL 18): on a full disk one statement fails
 * (ERROR 53100, or PANIC when it is the log that cannot be written), and the one after a PANIC blocks the event loop for ever. So none comes
 * after: all are refused, and `onBroken` is called once.
 */
export function guardPglite(client: PGlite, onBroken: (why: string) => void): { readonly broken: boolean } {
  let broken: string | null = null
  const refuse = () => {
    if (broken !== null) throw new CompopsError(`the embedded database cannot go on: ${broken}`, { transient: true })
  }
  const look = (thrown: unknown) => {
    if (broken !== null || !isFatal(toError(thrown))) return
    broken = describeError(thrown)
    onBroken(broken)
  }

  // What queries, transactions and whole scripts come to. The second is the entry into its code.
  const stream = client.execProtocolStream.bind(client)
  client.execProtocolStream = async (...message) => {
    refuse()
    try {
      return await stream(...message)
    } catch (error) {
      look(error)
      throw error
    }
  }
  const raw = client.execProtocolRawSync.bind(client)
  client.execProtocolRawSync = message => {
    refuse()
    try {
      return raw(message)
    } catch (error) {
      look(error)
      throw error
    }
  }
  return {
    get broken() {
      return broken !== null
    },
  }
}

function isFatal(error: Error): boolean {
  const { severity, code } = error as { severity?: unknown; code?: unknown }
  // 53100 disk_full, 58030 io_error; a trap of its WebAssembly leaves it in no state at all.
  return severity === 'PANIC' || severity === 'FATAL' || code === '53100' || code === '58030' || isTrap(error)
}

const isTrap = (error: Error): boolean => error.name === 'RuntimeError' || error.name === 'ExitStatus'
