import type { World } from './world.ts'

/** A browser without a screen: it keeps cookies and follows where it is sent only when it is told to. */
export function cookieJar(base: string) {
  const cookies = new Map<string, string>()
  async function ask(path: string, more: RequestInit = {}): Promise<Response> {
    const answer = await fetch(path.startsWith('http') ? path : `${base}${path}`, {
      redirect: 'manual',
      ...more,
      headers: {
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(more.headers as Record<string, string> | undefined),
      },
    })
    for (const line of answer.headers.getSetCookie()) {
      const [pair = '', ...flags] = line.split(/; */)
      const at = pair.indexOf('=')
      if (flags.some(flag => /^max-age=0$/i.test(flag))) cookies.delete(pair.slice(0, at))
      else cookies.set(pair.slice(0, at), pair.slice(at + 1))
    }
    return answer
  }
  return {
    cookies,
    ask,
    async text(path: string): Promise<string> {
      return (await ask(path)).text()
    },
    /** Sends the form that stands on a page. */
    async send(path: string, fields: Readonly<Record<string, string>>, headers: Record<string, string> = {}) {
      return ask(path, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        body: new URLSearchParams(fields).toString(),
      })
    },
  }
}

export type Jar = ReturnType<typeof cookieJar>

/** What stands in the hidden fields of a page's form. */
export function hiddenFields(html: string): Record<string, string> {
  const found = html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)
  return Object.fromEntries([...found].map(([, name = '', value = '']) => [name, decoded(value)]))
}

function decoded(text: string): string {
  return text
    .replace(/&#x([0-9a-f]+);/gi, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)))
    .replace(/&quot;/g, '"')
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&amp;/g, '&')
}

/** Signs in as a person does, with name and password at the simulated GitLab. */
export async function signedIn(world: World, username: string, password: string): Promise<Jar> {
  const jar = cookieJar(world.url)
  const departure = await jar.ask('/sign-in')
  const gitlab = departure.headers.get('location') ?? ''
  const answer = await fetch(gitlab, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams({ username, password }),
  })
  const back = answer.headers.get('location')
  if (back === null) throw new Error(`GitLab did not sign in ${username}: ${answer.status}`)
  const arrived = await jar.ask(back)
  if (arrived.status !== 303)
    throw new Error(`${username} did not come back: ${arrived.status} ${await arrived.text()}`)
  return jar
}
