import { getConnInfo } from '@hono/node-server/conninfo'
import type { Context as HonoContext } from 'hono'

/** Whose sign-ins are counted together. What a proxy says of whom it speaks for is believed on this machine only. */
export function addressOf(c: HonoContext): string {
  let address = ''
  try {
    address = getConnInfo(c).remote.address ?? ''
  } catch {
    // Asked without a connection, as tests do.
  }
  if (address !== '' && !/^(::ffff:)?127\.|^::1$/.test(address)) return address
  // The last is what the proxy itself has seen; the others anybody may have written.
  const forwarded = c.req.header('x-forwarded-for')?.split(',').at(-1)?.trim() ?? ''
  return forwarded === '' ? address : forwarded.slice(0, 64)
}
