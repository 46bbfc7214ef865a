import { spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { accessLevel, canPushTo, canReadCode, canSee, protectionsOf } from './access.ts'
import type { Credentials } from './credentials.ts'
import { checkBasic, hasScope } from './credentials.ts'
import { GIT_ENVIRONMENT, resolveRef } from './git.ts'
import type { PushHead } from './pkt-line.ts'
import { FLUSH, pktLine, readPushHead, refusePush, sideBand } from './pkt-line.ts'
import { afterPush } from './pushes.ts'
import type { SimProject } from './types.ts'
import { ACCESS, ZERO_SHA } from './types.ts'
import type { World } from './world.ts'
import { encodePath, findProject, mergeRequestsOf, webUrl } from './world.ts'

/** Git's smart HTTP protocol (gitprotocol-http(5)), with GitLab's rights in front of it. */

type Service = 'git-upload-pack' | 'git-receive-pack'

export interface GitRequest {
  projectPath: string
  service: Service
  advertise: boolean
}

/** Null when the address is not one of git's. */
export function readGitRequest(method: string, url: URL): GitRequest | null {
  const match = /^\/(.+?)(?:\.git)?\/(info\/refs|git-upload-pack|git-receive-pack)$/.exec(url.pathname)
  if (!match) return null
  const projectPath = safeDecode(match[1] ?? '')
  if (match[2] === 'info/refs') {
    const service = url.searchParams.get('service')
    if (method !== 'GET' || (service !== 'git-upload-pack' && service !== 'git-receive-pack')) return null
    return { projectPath, service, advertise: true }
  }
  return method === 'POST' ? { projectPath, service: match[2] as Service, advertise: false } : null
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function refuse(response: ServerResponse, status: number, message: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', Connection: 'close', ...headers })
  response.end(message)
}

const PULL_SCOPES = ['api', 'read_api', 'read_repository', 'write_repository']
const PUSH_SCOPES = ['api', 'write_repository']

/** 401 before anybody has signed in, 404 for what one may not know of, 403 for what one may not do. */
function authorize(
  project: SimProject | null,
  credentials: Credentials | null,
  service: Service,
): { status: 200 } | { status: 401 | 403 | 404; message: string } {
  const user = credentials?.user ?? null
  const pulling = service === 'git-upload-pack'
  const denied = {
    status: 401,
    message:
      'HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect or you must use a token.',
  } as const
  if (user === null && !(pulling && project?.visibility === 'public')) return denied
  if (project === null || !canSee(user, project)) {
    return {
      status: 404,
      message: "The project you were looking for could not be found or you don't have permission to view it.",
    }
  }
  if (credentials && !hasScope(credentials, pulling ? PULL_SCOPES : PUSH_SCOPES)) return denied
  if (pulling && !canReadCode(user, project))
    return { status: 403, message: 'You are not allowed to download code from this project.' }
  if (!pulling && project.archived) {
    return { status: 403, message: 'You are not allowed to push code to this project: it is archived.' }
  }
  if (!pulling && accessLevel(user, project) < ACCESS.developer) {
    return { status: 403, message: 'You are not allowed to push code to this project.' }
  }
  return { status: 200 }
}

/** The first reason to refuse the push, in the words of lib/gitlab/checks. Fast-forward is checked by git itself, when the objects are there. */
function checkCommands(project: SimProject, credentials: Credentials, head: PushHead): string | null {
  for (const { ref, after } of head.commands) {
    if (!/^refs\/(heads|tags)\//.test(ref)) continue
    if (!ref.startsWith('refs/heads/')) continue
    const branch = ref.slice('refs/heads/'.length)
    const isProtected = protectionsOf(project, branch).length > 0
    if (after === ZERO_SHA && branch === project.defaultBranch) {
      return 'The default branch of a project cannot be deleted.'
    }
    if (after === ZERO_SHA && isProtected) {
      if (accessLevel(credentials.user, project) < ACCESS.maintainer) {
        return 'You are not allowed to delete protected branches from this project. Only a project maintainer or owner can delete a protected branch.'
      }
      return 'You can only delete protected branches using the web interface.'
    }
    if (!canPushTo(credentials.user, project, branch)) {
      return 'You are not allowed to push code to protected branches on this project.'
    }
  }
  return null
}

/** Protected branches that may only move forward. */
function forwardOnly(project: SimProject, head: PushHead): string[] {
  return head.commands
    .filter(({ ref, before, after }) => {
      if (!ref.startsWith('refs/heads/') || before === ZERO_SHA || after === ZERO_SHA) return false
      const rules = protectionsOf(project, ref.slice('refs/heads/'.length))
      return rules.length > 0 && !rules.some(rule => rule.allowForcePush)
    })
    .map(command => command.ref)
}

// Constant text; the refs come in on standard input and in a file, and are only ever compared.
const PRE_RECEIVE = `#!/bin/sh
while read -r old new ref; do
  if grep -qxF -e "$ref" "$SIMULATOR_FORWARD_ONLY" && ! git merge-base --is-ancestor "$old" "$new"; then
    echo "GitLab: You are not allowed to force push code to a protected branch on this project." >&2
    exit 1
  fi
done
`

interface PreReceive {
  config: string[]
  environment: Record<string, string>
  remove(): Promise<void>
}

/** A pre-receive hook for this one push: only there are the new objects known and not yet accepted. */
async function preparePreReceive(world: World, refs: string[]): Promise<PreReceive> {
  if (refs.length === 0) return { config: [], environment: {}, remove: async () => {} }
  await mkdir(world.dataDir, { recursive: true })
  const directory = await mkdtemp(join(world.dataDir, 'push-'))
  const list = join(directory, 'forward-only')
  await writeFile(list, `${refs.join('\n')}\n`)
  const hook = join(directory, 'pre-receive')
  await writeFile(hook, PRE_RECEIVE)
  await chmod(hook, 0o755)
  return {
    config: ['-c', `core.hooksPath=${directory}`],
    environment: { SIMULATOR_FORWARD_ONLY: list },
    remove: () => rm(directory, { recursive: true, force: true }),
  }
}

interface Child {
  stdout: Buffer
  stderr: string
}

function runGit(
  args: string[],
  environment: Record<string, string>,
  input: { first: Buffer; rest: AsyncIterator<Buffer> } | null,
  output: ServerResponse | null,
): Promise<Child> {
  return new Promise((resolve, reject) => {
    const child = spawn('git', args, { env: { ...GIT_ENVIRONMENT, ...environment }, stdio: ['pipe', 'pipe', 'pipe'] })
    const stdout: Buffer[] = []
    let stderr = ''
    child.stderr.on('data', (chunk: Buffer) => {
      if (stderr.length < 65_536) stderr += chunk.toString()
    })
    if (output) {
      child.stdout.pipe(output, { end: false })
      output.on('close', () => child.kill())
    } else child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
    child.on('error', reject)
    child.on('close', () => resolve({ stdout: Buffer.concat(stdout), stderr }))
    child.stdin.on('error', () => {})
    if (input === null) child.stdin.end()
    else {
      feed(child.stdin, input).catch(error => {
        child.kill()
        reject(error)
      })
    }
  })
}

async function feed(
  stdin: NodeJS.WritableStream,
  input: { first: Buffer; rest: AsyncIterator<Buffer> },
): Promise<void> {
  stdin.write(input.first)
  for (let next = await input.rest.next(); !next.done; next = await input.rest.next()) {
    if (!stdin.write(next.value)) {
      await new Promise<void>(resolve => {
        stdin.once('drain', resolve)
        stdin.once('close', resolve)
      })
    }
  }
  stdin.end()
}

/** Pushes to one repository go one after the other, so that what changed can be told by looking before and after. */
const pushing = new WeakMap<SimProject, Promise<unknown>>()

export interface GitHttpOptions {
  /** The work is done; a fault may now spoil the answer. Returns true when it took the answer away. */
  beforeAnswer?: () => boolean
}

export async function handleGit(
  world: World,
  asked: GitRequest,
  request: IncomingMessage,
  response: ServerResponse,
  options: GitHttpOptions = {},
): Promise<void> {
  // GitLab serves a moved project under its old address too, as long as nothing else has taken it.
  const moved = world.redirects.get(asked.projectPath.toLowerCase())
  const project =
    findProject(world, asked.projectPath) ?? (moved === undefined ? null : (world.projects.get(moved) ?? null))
  const credentials = checkBasic(world, request.headers.authorization)
  const verdict = authorize(project, credentials, asked.service)
  if (verdict.status !== 200) {
    const challenge = verdict.status === 401 ? { 'WWW-Authenticate': 'Basic realm="GitLab"' } : undefined
    refuse(response, verdict.status, verdict.message, challenge)
    request.resume()
    return
  }
  if (project === null) return
  const protocol = request.headers['git-protocol']
  const environment = typeof protocol === 'string' ? { GIT_PROTOCOL: protocol } : undefined
  if (asked.advertise) await advertise(asked.service, project, environment ?? {}, response, options)
  else {
    const plain: Readable = request.headers['content-encoding'] === 'gzip' ? request.pipe(createGunzip()) : request
    const body = plain[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    if (asked.service === 'git-upload-pack') await upload(project, environment ?? {}, body, response, options)
    else if (credentials) await receive(world, project, credentials, environment ?? {}, body, response, options)
  }
}

const NO_CACHE = { 'Cache-Control': 'no-cache, max-age=0, must-revalidate', Expires: 'Fri, 01 Jan 1980 00:00:00 GMT' }

async function advertise(
  service: Service,
  project: SimProject,
  environment: Record<string, string>,
  response: ServerResponse,
  options: GitHttpOptions,
): Promise<void> {
  const command = service.slice('git-'.length)
  const args = [command, '--stateless-rpc', '--advertise-refs', project.directory]
  const { stdout } = await runGit(args, environment, null, null)
  const version2 = service === 'git-upload-pack' && /(^|:)version=2(:|$)/.test(environment.GIT_PROTOCOL ?? '')
  const preamble = version2 ? [] : [pktLine(`# service=${service}\n`), Buffer.from(FLUSH)]
  if (options.beforeAnswer?.()) return
  response.writeHead(200, { 'Content-Type': `application/x-${service}-advertisement`, ...NO_CACHE })
  response.end(Buffer.concat([...preamble, stdout]))
}

async function upload(
  project: SimProject,
  environment: Record<string, string>,
  body: AsyncIterator<Buffer>,
  response: ServerResponse,
  options: GitHttpOptions,
): Promise<void> {
  if (options.beforeAnswer?.()) return
  response.writeHead(200, { 'Content-Type': 'application/x-git-upload-pack-result', ...NO_CACHE })
  const args = ['upload-pack', '--stateless-rpc', project.directory]
  await runGit(args, environment, { first: Buffer.alloc(0), rest: body }, response)
  response.end()
}

async function receive(
  world: World,
  project: SimProject,
  credentials: Credentials,
  environment: Record<string, string>,
  body: AsyncIterator<Buffer>,
  response: ServerResponse,
  options: GitHttpOptions,
): Promise<void> {
  const answer = (content: Buffer) => {
    if (options.beforeAnswer?.()) return
    response.writeHead(200, { 'Content-Type': 'application/x-git-receive-pack-result', ...NO_CACHE })
    response.end(content)
  }
  let head: PushHead
  try {
    head = await readPushHead(body)
  } catch (error) {
    refuse(response, 400, error instanceof Error ? error.message : String(error))
    return
  }
  const refused = checkCommands(project, credentials, head)
  if (refused !== null) {
    // The pack is read to its end, or the client would see a broken pipe and not the reason.
    for (let next = await body.next(); !next.done; next = await body.next());
    answer(refusePush(head, refused))
    return
  }
  const turn = (pushing.get(project) ?? Promise.resolve()).then(async () => {
    const before = await readRefs(project, head)
    const hook = await preparePreReceive(world, forwardOnly(project, head))
    const args = [...hook.config, 'receive-pack', '--stateless-rpc', project.directory]
    const { stdout, stderr } = await runGit(
      args,
      { ...environment, ...hook.environment },
      { first: head.bytes, rest: body },
      null,
    )
    await hook.remove()
    if (stderr !== '') world.log(`git receive-pack: ${stderr.trim()}`)
    const after = await readRefs(project, head)
    return { stdout, before, after }
  })
  pushing.set(
    project,
    turn.catch(() => {}),
  )
  const { stdout, before, after } = await world.track(turn)
  const changes = [...before].flatMap(([ref, old]) => {
    const now = after.get(ref) ?? ZERO_SHA
    return now === old ? [] : [{ ref, before: old, after: now }]
  })
  if (changes.length > 0) {
    world.track(afterPush(world, { project, user: credentials.user, changes, options: head.options }))
  }
  answer(addGreeting(world, project, head, changes.length > 0, stdout))
}

async function readRefs(project: SimProject, head: PushHead): Promise<Map<string, string>> {
  const refs = new Map<string, string>()
  for (const { ref } of head.commands) refs.set(ref, (await resolveRef(project.directory, ref)) ?? ZERO_SHA)
  return refs
}

/** The lines a person sees after a push: where to open a merge request, or the one that is open. */
function addGreeting(world: World, project: SimProject, head: PushHead, done: boolean, answer: Buffer): Buffer {
  const [command] = head.commands
  if (!done || head.commands.length !== 1 || !command?.ref.startsWith('refs/heads/')) return answer
  if (command.after === ZERO_SHA || !head.capabilities.includes('side-band-64k')) return answer
  const branch = command.ref.slice('refs/heads/'.length)
  if (branch === project.defaultBranch || !answer.subarray(-4).equals(Buffer.from(FLUSH))) return answer
  const open = mergeRequestsOf(world, project.id).find(
    mr => mr.state === 'opened' && mr.sourceProjectId === project.id && mr.sourceBranch === branch,
  )
  const lines = open
    ? ['', `View merge request for ${branch}:`, `  ${webUrl(world, project, 'merge_requests', open.iid)}`, '']
    : ['', `To see ${branch}, visit:`, `  ${webUrl(world, project, 'tree', encodePath(branch))}`, '']
  return Buffer.concat([answer.subarray(0, -4), sideBand(2, `${lines.join('\n')}\n`), Buffer.from(FLUSH)])
}
