import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { patience } from './patience.ts'

const program = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(path =>
  existsSync(path),
)

/** Whether this machine has a Chromium (Debian: `apt-get install chromium`); what needs one is skipped where it has not. */
export const hasBrowser = program !== undefined

let running: Promise<Browser> | null = null

/** One for a file of tests. */
export function openBrowser(): Promise<Browser> {
  running ??= chromium.launch({ executablePath: program!, args: ['--no-sandbox', '--disable-gpu'] })
  return running
}

export async function closeBrowser(): Promise<void> {
  await (await running)?.close()
  running = null
}

export interface Visit {
  readonly page: Page
  readonly context: BrowserContext
  /** What the console and the page complained of: a page of ours gives no cause. */
  readonly complaints: string[]
}

/** A browser of its own, as a person has one: cookies and all. */
export async function visit(
  options: { readonly dark?: boolean; readonly phone?: boolean; readonly script?: boolean } = {},
): Promise<Visit> {
  const context = await (await openBrowser()).newContext({
    colorScheme: options.dark === true ? 'dark' : 'light',
    viewport: options.phone === true ? { width: 390, height: 844 } : { width: 1280, height: 860 },
    javaScriptEnabled: options.script !== false,
    reducedMotion: 'reduce',
  })
  const page = await context.newPage()
  page.setDefaultTimeout(15_000 * patience)
  const complaints: string[] = []
  page.on('console', message => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  page.on('pageerror', error => complaints.push(error.message))
  return { page, context, complaints }
}

/** Signs in as a person does: to GitLab, name and password, and back. */
export async function signIn(page: Page, url: string, username: string, password: string): Promise<void> {
  await page.goto(url)
  await page.getByRole('link', { name: 'Sign in with GitLab' }).click()
  await page.getByLabel('Username').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in and authorize' }).click()
  await page.waitForURL(`${url}/**`)
}

const axeFile = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

/** What axe-core finds against WCAG 2.2 A and AA: each with the elements it is about. */
export async function accessibilityTroubles(page: Page): Promise<string[]> {
  // Through the debugger, as the page lets no foreign script in.
  const { readFile } = await import('node:fs/promises')
  await page.evaluate(await readFile(axeFile, 'utf8'))
  const found = (await page.evaluate(
    "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })",
  )) as { violations: { id: string; help: string; nodes: { target: string[]; failureSummary: string }[] }[] }
  return found.violations.map(
    one =>
      `${one.id}: ${one.help}: ${one.nodes
        .slice(0, 3)
        .map(node => `${node.target.join(' ')} (${node.failureSummary})`)
        .join('; ')}`,
  )
}

const artifacts = fileURLToPath(new URL('../artifacts/', import.meta.url))

/** Kept in `test/artifacts/`, for whoever wants to see what the tests saw. */
export async function picture(page: Page, name: string): Promise<void> {
  await mkdir(artifacts, { recursive: true })
  await page.screenshot({ path: `${artifacts}${name}.png`, fullPage: true })
}
