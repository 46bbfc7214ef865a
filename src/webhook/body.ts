/** The raw body of a request: streamed, with a hard cap and a deadline, and shown to a listener as it arrives. */

export interface BodyLimits {
  readonly maxBytes: number
  /** For the whole body, milliseconds: a sender that drips is cut off. */
  readonly deadline: number
  /** Bytes that all requests together may still hold; asked for before they are held. */
  readonly reserve: (bytes: number) => boolean
}

export type ReadBody =
  | { readonly ok: true; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly ok: false; readonly why: 'too large' | 'too slow' | 'too much at once' | 'broken off' }

/** Up to here a declared length is trusted to the server's fast path, which needs no web stream. */
const small = 1024 * 1024

/** `add` sees every byte once, in order. */
export async function readBody(
  request: Request,
  limits: BodyLimits,
  add: (chunk: Uint8Array) => void,
): Promise<ReadBody> {
  const declared = declaredLength(request)
  if (declared !== null && declared > limits.maxBytes) return { ok: false, why: 'too large' }
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>(resolve => {
    timer = setTimeout(resolve, limits.deadline, 'late')
  })
  try {
    return declared !== null && declared <= small
      ? await readWhole(request, declared, limits, late, add)
      : await readChunks(request, limits, late, add)
  } catch {
    return { ok: false, why: 'broken off' }
  } finally {
    clearTimeout(timer)
  }
}

async function readWhole(
  request: Request,
  declared: number,
  limits: BodyLimits,
  late: Promise<'late'>,
  add: (chunk: Uint8Array) => void,
): Promise<ReadBody> {
  if (!limits.reserve(declared)) return { ok: false, why: 'too much at once' }
  const reading = request.arrayBuffer()
  reading.catch(() => {})
  const body = await Promise.race([reading, late])
  if (body === 'late') return { ok: false, why: 'too slow' }
  if (body.byteLength > limits.maxBytes) return { ok: false, why: 'too large' }
  const bytes = new Uint8Array(body)
  add(bytes)
  return { ok: true, bytes }
}

async function readChunks(
  request: Request,
  limits: BodyLimits,
  late: Promise<'late'>,
  add: (chunk: Uint8Array) => void,
): Promise<ReadBody> {
  const reader = request.body?.getReader()
  if (reader === undefined) return { ok: true, bytes: new Uint8Array() }
  const chunks: Uint8Array[] = []
  let size = 0
  const stop = (why: 'too large' | 'too slow' | 'too much at once'): ReadBody => {
    reader.cancel().catch(() => {})
    return { ok: false, why }
  }
  for (;;) {
    const next = await Promise.race([reader.read(), late])
    if (next === 'late') return stop('too slow')
    if (next.done) break
    size += next.value.byteLength
    if (size > limits.maxBytes) return stop('too large')
    if (!limits.reserve(next.value.byteLength)) return stop('too much at once')
    add(next.value)
    chunks.push(next.value)
  }
  const bytes = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  return { ok: true, bytes }
}

/** null where the body is chunked, or where the header is not a plain number (then the stream is counted). */
function declaredLength(request: Request): number | null {
  const header = request.headers.get('content-length')
  if (header === null || !/^\d{1,15}$/.test(header) || request.headers.has('transfer-encoding')) return null
  return Number(header)
}
