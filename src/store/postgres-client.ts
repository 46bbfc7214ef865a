import postgres from 'postgres'
import { CompopsError, toError } from '../errors.ts'

type Client = postgres.Sql
type Options = postgres.Options<Record<string, postgres.PostgresType>>

/** What drizzle needs of a client, and how to end it. */
export interface PostgresClient {
  readonly client: Client
  end(): Promise<void>
}

/**
 * A pool of connections that outlives its connections. Seen with postgres.js 3.4.9, when a server is restarted or ends a session:
 * - a statement sent to a connection that has closed meanwhile throws past every handler, and ends the process;
 * - one that was about to be sent stays in the connection, which never works again;
 * - the rest of a transaction goes to whoever has its connection next.
 * So a pool that has lost a connection is replaced by a new one, and a transaction that has lost its own says nothing more.
 */
export function openPostgresClient(url: string, options: Options): PostgresClient {
  let current = open()
  let ended = false

  function open(): Client {
    const client: Client = postgres(url, {
      ...options,
      onclose() {
        if (client !== current || ended) return
        current = open()
        // drizzle has set these on the first one.
        Object.assign(current.options.parsers, client.options.parsers)
        Object.assign(current.options.serializers, client.options.serializers)
        // What other connections of it are doing may still end well.
        void client.end({ timeout: 10 }).catch(() => {})
      },
    })
    guardTransactions(client)
    return client
  }

  const front = {
    options: current.options,
    unsafe: (...statement: Parameters<Client['unsafe']>) => current.unsafe(...statement),
    begin: (work: Work) => current.begin(work),
  }
  return {
    client: front as unknown as Client,
    async end() {
      ended = true
      await current.end({ timeout: 5 })
    },
  }
}

type Work = (tx: postgres.TransactionSql) => Promise<unknown>

/** The connection of a transaction, as the library gives it to `onexecute`. */
interface Connection {
  onclose?: ((error: Error) => void) | null
}

interface Begun {
  connection: Connection | null
  lost: Error | null
}

/** Whatever is asked in a transaction after its connection was lost is refused, and neither `commit` nor `rollback` is sent. */
function guardTransactions(client: Client): void {
  const library = { begin: client.begin.bind(client), unsafe: client.unsafe.bind(client) }
  // `begin` calls `unsafe` before it gives up its turn; that is how we learn which connection it got.
  let beginning: Begun | null = null

  client.unsafe = ((text: string, args?: never[], options?: { onexecute?: (connection: Connection) => unknown }) => {
    const begun = beginning
    const theirs = options?.onexecute
    if (begun === null || theirs === undefined) return library.unsafe(text, args, options as never)
    const onexecute = (connection: Connection) => {
      begun.connection = connection
      return theirs(connection)
    }
    return library.unsafe(text, args, { ...options, onexecute } as never)
  }) as Client['unsafe']

  client.begin = ((work: Work) => {
    const begun: Begun = { connection: null, lost: null }
    beginning = begun
    try {
      return library.begin(tx => guarded(begun, tx, work))
    } finally {
      beginning = null
    }
  }) as Client['begin']
}

async function guarded(begun: Begun, tx: postgres.TransactionSql, work: Work): Promise<unknown> {
  const { promise: closed, resolve: close } = Promise.withResolvers<void>()
  // The library sets its own in this turn, after us; it is called before anything that waits for the transaction goes on.
  queueMicrotask(() => {
    const { connection } = begun
    if (connection === null) return
    const theirs = connection.onclose
    connection.onclose = error => {
      begun.lost = error
      close()
      theirs?.(error)
    }
  })
  const unsafe = (...statement: Parameters<Client['unsafe']>) => {
    if (begun.lost !== null)
      throw new CompopsError('the connection to the database was lost', { transient: true, cause: begun.lost })
    return tx.unsafe(...statement)
  }
  try {
    const result = await work(Object.assign(Object.create(tx), { unsafe }))
    if (begun.lost === null) return result
  } catch (thrown) {
    // The server has said goodbye, the line is not closed yet: nothing may be written to it any more.
    if (begun.lost === null && isGoodbye(toError(thrown))) await closed
    if (begun.lost === null) throw thrown
  }
  // `begin` was rejected when the line was closed. Whatever we answered, it would write to it.
  return new Promise(() => {})
}

function isGoodbye(thrown: Error): boolean {
  for (let error: unknown = thrown; error instanceof Error; error = error.cause)
    if ('severity' in error && (error.severity === 'FATAL' || error.severity === 'PANIC')) return true
  return false
}
