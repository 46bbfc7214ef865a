import { expect, test } from 'vitest'
import { createSecrets, formsOf } from '../src/log.ts'

// A secret may come back to us in the words of a proxy, a shell or a library: in each form it is taken out.
test.each([
  ['as it is', (secret: string) => secret],
  ['in JSON', (secret: string) => JSON.stringify({ x: secret })],
  ['in an address', (secret: string) => `https://x:${encodeURIComponent(secret)}@host/`],
  ['in basic authentication, whatever the user', (secret: string) => btoa(`oauth2:${secret}`)],
  ['with another user', (secret: string) => btoa(`u:${secret}`)],
  ['with a third', (secret: string) => btoa(`me:${secret}`)],
  ['with something behind it', (secret: string) => btoa(`${secret}@host`)],
])('%s', (_, form) => {
  for (const secret of ['glpat-abc"def/+=123', 'glpat-0123456789', 'glpat-01234567890', 'glpat-012345678901']) {
    const secrets = createSecrets()
    secrets.add(secret)
    const clean = secrets.redact(`before ${form(secret)} after`)
    expect(clean).toContain('[secret]')
    for (const one of formsOf(secret)) expect(clean).not.toContain(one)
    expect(clean).toMatch(/^before [\s\S]* after$/)
  }
})
