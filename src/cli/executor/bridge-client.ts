import { CommandError, exitCodes } from '../command.ts'

/** What the service said to a CI job: `compops STATUS key=value …`, a sentence, and whatever follows. */
export interface Told {
  readonly words: ReadonlyMap<string, string>
  readonly said: string
  readonly body: Buffer
}

export interface BridgeClient {
  /** Until it is answered: an outage ends nothing. Throws CommandError where the service says no. */
  ask(path: string, form?: Readonly<Record<string, string>>): Promise<Told>
}

export interface BridgeOptions {
  readonly url: string
  readonly token: string
  /** The secret beside the token. */
  readonly holder: string
  /** Told once for an outage. */
  readonly onTrouble: (why: string) => void
  readonly signal?: AbortSignal
  /** Seconds after which it is given up; default a day. */
  readonly patience?: number
}

export function openBridge({ url, token, holder, onTrouble, signal, patience = 86_400 }: BridgeOptions): BridgeClient {
  async function once(
    path: string,
    form: Readonly<Record<string, string>> | undefined,
  ): Promise<Told | { trouble: string }> {
    let bytes: Buffer
    try {
      const answer = await fetch(`${url.replace(/\/$/, '')}/bridge/v1/job${path}`, {
        ...(form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) }),
        headers: { authorization: `Bearer ${token}`, 'compops-holder': holder, accept: 'text/vnd.compops' },
        // A token is for the address that it was made for.
        redirect: 'error',
        signal: AbortSignal.any([AbortSignal.timeout(180_000), ...(signal === undefined ? [] : [signal])]),
      })
      bytes = Buffer.from(await answer.arrayBuffer())
    } catch (error) {
      if (signal?.aborted === true) throw error
      return { trouble: `${url} does not answer (${error instanceof Error ? error.message : String(error)})` }
    }
    const told = readTold(bytes)
    if (told === null) return { trouble: `${url} gave an answer that is none of ComputationalOps` }
    if (/^(429|5\d\d)$/.test(told.status)) return { trouble: told.said }
    if (!told.status.startsWith('2')) throw new CommandError(exitCodes.refused, `${told.status}: ${told.said}`)
    return told
  }

  return {
    async ask(path, form) {
      const until = Date.now() + patience * 1_000
      for (let pause = 1_000, told = false; ; pause = Math.min(30_000, pause * 2)) {
        const answer = await once(path, form)
        if (!('trouble' in answer)) return answer
        if (Date.now() > until) throw new CommandError(exitCodes.unreachable, answer.trouble)
        if (!told) onTrouble(answer.trouble)
        told = true
        await new Promise(resolve => setTimeout(resolve, pause))
      }
    },
  }
}

export function readTold(bytes: Buffer): (Told & { readonly status: string }) | null {
  const first = bytes.indexOf(10)
  const second = bytes.indexOf(10, first + 1)
  if (first === -1 || second === -1) return null
  const [name, status = '', ...words] = bytes.subarray(0, first).toString().split(' ')
  if (name !== 'compops') return null
  return {
    status,
    words: new Map(words.map(word => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)])),
    said: bytes.subarray(first + 1, second).toString(),
    body: bytes.subarray(second + 1),
  }
}
