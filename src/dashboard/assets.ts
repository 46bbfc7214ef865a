import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

export interface Asset {
  /** Below the root of the pages: the digest in its name makes it another file when it changes. */
  readonly path: string
  readonly integrity: string
  readonly type: string
  readonly body: string
}

const types = { css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8', svg: 'image/svg+xml' } as const

/** Stylesheet, script and icon, as they lie in `client/`. */
export function loadAssets(): { readonly style: Asset; readonly script: Asset; readonly icon: Asset } {
  return { style: load('style', 'css'), script: load('dashboard', 'js'), icon: load('icon', 'svg') }
}

function load(name: string, kind: keyof typeof types): Asset {
  const body = readFileSync(new URL(`./client/${name}.${kind}`, import.meta.url), 'utf8')
  const sum = createHash('sha384').update(body).digest()
  return {
    path: `/assets/${name}.${sum.toString('hex').slice(0, 16)}.${kind}`,
    integrity: `sha384-${sum.toString('base64')}`,
    type: types[kind],
    body,
  }
}
