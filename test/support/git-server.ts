import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { dirname, join } from 'node:path'

/** Git over HTTP as GitLab speaks it, around git's own `git http-backend`: basic auth, push options, a hook, Git LFS, and faults. */
export interface GitServer {
  /** Without a slash at the end. */
  readonly url: string
  readonly token: string
  /** Method and address of each request so far. */
  readonly requests: readonly string[]
  /** How many requests so far match. */
  count(pattern: RegExp): number
  /** Makes an empty bare repository, or one with a hook. */
  create(path: string, options?: { preReceive?: string }): Promise<{ url: string; dir: string }>
  /** Where the repository of that path is on the disk. */
  dir(path: string): string
  /** LFS objects by sha256. Delete one to lose it. */
  readonly lfs: Map<string, Buffer>
  addLfs(content: Buffer): { oid: string; pointer: string }
  /** Answers instead of git when it returns true. */
  intercept(handler: ((request: IncomingMessage, response: ServerResponse) => boolean) | null): void
  /** Lets git do its work for matching requests, and then breaks the connection without an answer. */
  loseAnswers(pattern: RegExp | null): void
  /** The only token that is accepted from now on. */
  accept(token: string): void
  stop(): Promise<void>
}

export async function startGitServer(root: string, firstToken = 'glpat-Sec%ret+token/1'): Promise<GitServer> {
  const requests: string[] = []
  const lfs = new Map<string, Buffer>()
  const children = new Set<ReturnType<typeof spawn>>()
  let token = firstToken
  let handler: ((request: IncomingMessage, response: ServerResponse) => boolean) | null = null
  let lost: RegExp | null = null

  const server = createServer((request, response) => {
    const name = `${request.method} ${request.url}`
    requests.push(name)
    request.on('error', () => {})
    response.on('error', () => {})
    if (handler?.(request, response)) return
    if (request.headers.authorization !== `Basic ${Buffer.from(`oauth2:${token}`).toString('base64')}`) {
      response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="GitLab"' })
      response.end('HTTP Basic: Access denied')
      return
    }
    if (/\/info\/lfs\/|\/gitlab-lfs\//.test(request.url ?? '')) void answerLfs(request, response)
    else backend(request, response, lost?.test(name) ?? false)
  })
  await mkdir(root, { recursive: true })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  const base = `http://127.0.0.1:${address.port}`

  function backend(request: IncomingMessage, response: ServerResponse, lose: boolean): void {
    const url = new URL(request.url ?? '/', base)
    const child = spawn('git', ['http-backend'], {
      env: {
        PATH: process.env.PATH,
        HOME: '/nonexistent',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: 'safe.directory',
        GIT_CONFIG_VALUE_0: '*',
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: '1',
        PATH_INFO: decodeURIComponent(url.pathname),
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        REMOTE_USER: 'oauth2',
        REMOTE_ADDR: '127.0.0.1',
        GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    children.add(child)
    child.on('close', () => children.delete(child))
    child.stdin.on('error', () => {})
    request.pipe(child.stdin)
    response.on('close', () => {
      if (!lose) child.kill()
    })
    if (lose) {
      child.stdout.resume()
      child.on('close', () => request.socket.destroy())
      return
    }
    let head = Buffer.alloc(0)
    child.stdout.on('data', (chunk: Buffer) => {
      if (response.headersSent) {
        response.write(chunk)
        return
      }
      head = Buffer.concat([head, chunk])
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      let status = 200
      for (const line of head.toString('latin1', 0, end).split('\r\n')) {
        const colon = line.indexOf(':')
        const [key, value] = [line.slice(0, colon), line.slice(colon + 1).trim()]
        if (key.toLowerCase() === 'status') status = Number.parseInt(value, 10)
        else response.setHeader(key, value)
      }
      response.writeHead(status)
      response.write(head.subarray(end + 4))
    })
    child.on('close', () => response.end())
  }

  async function answerLfs(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body: Buffer[] = []
    for await (const chunk of request) body.push(chunk)
    const object = /\/gitlab-lfs\/([0-9a-f]{64})$/.exec(request.url ?? '')?.[1]
    if (object !== undefined) {
      const content = lfs.get(object)
      response.writeHead(content === undefined ? 404 : 200)
      response.end(content)
      return
    }
    const wanted = JSON.parse(Buffer.concat(body).toString()).objects as { oid: string; size: number }[]
    const objects = wanted.map(({ oid, size }) =>
      lfs.has(oid)
        ? {
            oid,
            size,
            authenticated: true,
            actions: {
              download: {
                href: `${base}/gitlab-lfs/${oid}`,
                header: { Authorization: request.headers.authorization },
              },
            },
          }
        : { oid, size, error: { code: 404, message: 'Object does not exist on the server' } },
    )
    response.writeHead(200, { 'Content-Type': 'application/vnd.git-lfs+json' })
    response.end(JSON.stringify({ transfer: 'basic', objects }))
  }

  const dir = (path: string) => join(root, `${path}.git`)
  return {
    url: base,
    token: firstToken,
    requests,
    count: pattern => requests.filter(request => pattern.test(request)).length,
    dir,
    async create(path, options = {}) {
      await mkdir(dirname(dir(path)), { recursive: true })
      await runGit(root, ['init', '--quiet', '--bare', '--initial-branch=main', dir(path)])
      const settings = {
        'http.receivepack': 'true',
        'receive.advertisePushOptions': 'true',
        'uploadpack.allowAnySHA1InWant': 'true',
        'receive.denyDeleteCurrent': 'ignore',
      }
      for (const [key, value] of Object.entries(settings)) await runGit(dir(path), ['config', key, value])
      if (options.preReceive !== undefined) {
        await mkdir(join(dir(path), 'hooks'), { recursive: true })
        await writeFile(join(dir(path), 'hooks', 'pre-receive'), `#!/bin/sh\n${options.preReceive}\n`)
        await chmod(join(dir(path), 'hooks', 'pre-receive'), 0o755)
      }
      return { url: `${base}/${path}.git`, dir: dir(path) }
    },
    lfs,
    addLfs(content) {
      const oid = createHash('sha256').update(content).digest('hex')
      lfs.set(oid, content)
      return { oid, pointer: `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${content.length}\n` }
    },
    intercept(next) {
      handler = next
    },
    loseAnswers(pattern) {
      lost = pattern
    },
    accept(next) {
      token = next
    },
    async stop() {
      for (const child of children) child.kill()
      server.closeAllConnections()
      await new Promise<void>(resolve => server.close(() => resolve()))
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** Git as a test calls it: no configuration of the person who runs it. Fails with git's words. */
export function runGit(
  dir: string,
  args: readonly string[],
  options: { input?: string | Buffer; env?: Record<string, string> } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('git', args, {
      cwd: dir,
      env: {
        PATH: process.env.PATH,
        HOME: '/nonexistent',
        LC_ALL: 'C',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_AUTHOR_NAME: 'Alice',
        GIT_AUTHOR_EMAIL: 'alice@example.org',
        GIT_AUTHOR_DATE: '@1700000000 +0000',
        GIT_COMMITTER_NAME: 'Alice',
        GIT_COMMITTER_EMAIL: 'alice@example.org',
        GIT_COMMITTER_DATE: '@1700000000 +0000',
        ...options.env,
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const out: Buffer[] = []
    let words = ''
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => {
      words += chunk.toString()
    })
    child.on('error', reject)
    child.on('close', code => {
      if (code === 0) resolve(Buffer.concat(out).toString())
      else reject(new Error(`git ${args.join(' ')}: ${words}`))
    })
    child.stdin.on('error', () => {})
    child.stdin.end(options.input)
  })
}

export type TreeFile = string | Buffer | { run: string } | { link: string } | { submodule: string }

/** A commit with exactly these files, made without a checkout: any name that git can hold will do. Returns its sha. */
export async function commitFiles(
  dir: string,
  files: Readonly<Record<string, TreeFile>>,
  options: { ref?: string; parents?: readonly string[]; message?: string | Buffer; env?: Record<string, string> } = {},
): Promise<string> {
  const env = { GIT_INDEX_FILE: join(dir, `index-${Math.random().toString(36).slice(2)}`), ...options.env }
  let list = ''
  for (const [path, file] of Object.entries(files)) {
    const plain = typeof file === 'string' || Buffer.isBuffer(file)
    const mode = plain ? '100644' : 'run' in file ? '100755' : 'link' in file ? '120000' : '160000'
    const content = plain ? file : 'run' in file ? file.run : 'link' in file ? file.link : null
    const oid =
      content === null
        ? (file as { submodule: string }).submodule
        : (await runGit(dir, ['hash-object', '-w', '--stdin'], { input: content })).trim()
    list += `${mode} ${oid} 0\t${path}\0`
  }
  await runGit(dir, ['update-index', '-z', '--index-info'], { env, input: list })
  const tree = (await runGit(dir, ['write-tree'], { env })).trim()
  await rm(env.GIT_INDEX_FILE, { force: true })
  const parents = (options.parents ?? []).flatMap(parent => ['-p', parent])
  const input = options.message ?? 'a commit\n'
  const sha = (await runGit(dir, ['commit-tree', ...parents, tree], { env, input })).trim()
  if (options.ref !== undefined) await runGit(dir, ['update-ref', options.ref, sha])
  return sha
}
