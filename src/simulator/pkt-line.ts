/** Git's framing (gitprotocol-common(5)) and the head of a push (gitprotocol-pack(5)). */

export const FLUSH = '0000'

export function pktLine(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content as Buffer)
  return Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, '0')), bytes])
}

/** A message on a side band: 1 is data, 2 is what the pusher reads as `remote: …`. */
export function sideBand(band: 1 | 2, content: string | Buffer): Buffer {
  return pktLine(Buffer.concat([Buffer.from([band]), Buffer.from(content as Buffer)]))
}

export interface PushCommand {
  before: string
  after: string
  ref: string
}

export interface PushHead {
  commands: PushCommand[]
  capabilities: string[]
  options: string[]
  /** Bytes read so far, to be handed to git unchanged. */
  bytes: Buffer
}

const MAX_HEAD = 1024 * 1024

/** Reads commands and push options from the front of a push and leaves the pack in the stream. */
export async function readPushHead(body: AsyncIterator<Buffer>): Promise<PushHead> {
  let bytes = Buffer.alloc(0)
  let at = 0

  async function need(length: number): Promise<void> {
    while (bytes.length < at + length) {
      const next = await body.next()
      if (next.done) throw new Error('the push ended in the middle of its commands')
      bytes = Buffer.concat([bytes, next.value])
      if (bytes.length > MAX_HEAD + 65_536) throw new Error('the list of commands of this push is larger than 1 MiB')
    }
  }

  /** One line, null at a flush. */
  async function line(): Promise<Buffer | null> {
    await need(4)
    const length = Number.parseInt(bytes.subarray(at, at + 4).toString(), 16)
    if (!Number.isFinite(length) || (length !== 0 && length < 4)) throw new Error('not a pkt-line')
    if (length === 0) {
      at += 4
      return null
    }
    await need(length)
    const content = bytes.subarray(at + 4, at + length)
    at += length
    return content
  }

  const commands: PushCommand[] = []
  let capabilities: string[] = []
  for (let content = await line(); content !== null; content = await line()) {
    const [command = '', list] = content.toString().replace(/\n$/, '').split('\0')
    if (list !== undefined) capabilities = list.trim().split(' ')
    const match = /^([0-9a-f]{40}) ([0-9a-f]{40}) ([\s\S]+)$/.exec(command)
    if (match) commands.push({ before: match[1] ?? '', after: match[2] ?? '', ref: match[3] ?? '' })
  }
  const options: string[] = []
  if (commands.length > 0 && capabilities.includes('push-options')) {
    for (let content = await line(); content !== null; content = await line()) {
      options.push(content.toString().replace(/\n$/, ''))
    }
  }
  return { commands, capabilities, options, bytes }
}

/** The answer to a push that is refused as a whole before git has seen it. */
export function refusePush(head: PushHead, message: string): Buffer {
  const report = Buffer.concat([
    pktLine('unpack ok\n'),
    ...head.commands.map(command => pktLine(`ng ${command.ref} pre-receive hook declined\n`)),
    Buffer.from(FLUSH),
  ])
  if (!head.capabilities.includes('side-band-64k')) return report
  return Buffer.concat([sideBand(2, `GitLab: ${message}\n`), sideBand(1, report), Buffer.from(FLUSH)])
}
