import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Context } from 'hono'
import { Hono } from 'hono'
import { accessLevel, canReadCode } from './access.ts'
import { checkBasic, hasScope } from './credentials.ts'
import type { SimProject } from './types.ts'
import { ACCESS } from './types.ts'
import type { World } from './world.ts'
import { findProject } from './world.ts'

/** Git LFS: the batch API and its basic transfer (github.com/git-lfs/git-lfs, docs/api). */

const MEDIA_TYPE = 'application/vnd.git-lfs+json'
const OID = /^[0-9a-f]{64}$/

function objectFile(world: World, oid: string): string {
  return join(world.dataDir, 'lfs', oid.slice(0, 2), oid)
}

function answer(c: Context, status: 200 | 401 | 403 | 404 | 422, body: object, headers: Record<string, string> = {}) {
  return c.body(JSON.stringify(body), status, { 'Content-Type': MEDIA_TYPE, ...headers })
}

interface LfsObject {
  oid: string
  size: number
}

function readObjects(body: unknown): LfsObject[] | null {
  const objects = (body as { objects?: unknown } | null)?.objects
  if (!Array.isArray(objects)) return null
  const read: LfsObject[] = []
  for (const object of objects as { oid?: unknown; size?: unknown }[]) {
    if (typeof object?.oid !== 'string' || !OID.test(object.oid)) return null
    if (typeof object.size !== 'number' || !(object.size >= 0)) return null
    read.push({ oid: object.oid, size: object.size })
  }
  return read
}

/** True when the address belongs to LFS; such requests never reach the pages. */
export function isLfsPath(path: string): boolean {
  return /\.git\/(info\/lfs\/|gitlab-lfs\/)/.test(path)
}

export function createLfs(world: World): Hono {
  const app = new Hono()

  function enter(c: Context, writing: boolean): SimProject | Response {
    const path = decodeURIComponent(/^\/(.+?)\.git\//.exec(c.req.path)?.[1] ?? '')
    const project = findProject(world, path)
    const credentials = checkBasic(world, c.req.header('authorization'))
    const user = credentials?.user ?? null
    if (user === null && (writing || project?.visibility !== 'public')) {
      return answer(c, 401, { message: 'Credentials needed' }, { 'LFS-Authenticate': 'Basic realm="GitLab"' })
    }
    if (project === null || !canReadCode(user, project)) return answer(c, 404, { message: 'Not found' })
    const scopes = writing ? ['api', 'write_repository'] : ['api', 'read_api', 'read_repository', 'write_repository']
    const allowed = credentials === null || hasScope(credentials, scopes)
    if (!allowed || (writing && accessLevel(user, project) < ACCESS.developer)) {
      return answer(c, 403, { message: 'Access forbidden. Check your access level.' })
    }
    return project
  }

  app.post('*', async function postBatch(c) {
    if (!c.req.path.endsWith('.git/info/lfs/objects/batch')) return answer(c, 404, { message: 'Not found' })
    const body: unknown = await c.req.json().catch(() => null)
    const writing = (body as { operation?: unknown } | null)?.operation === 'upload'
    const project = enter(c, writing)
    if (project instanceof Response) return project
    const objects = readObjects(body)
    if (objects === null) return answer(c, 422, { message: 'objects must be a list of {oid, size}' })
    const known = world.lfsObjects.get(project.id) ?? new Map<string, number>()
    const authorization = c.req.header('authorization')
    const header = authorization === undefined ? {} : { Authorization: authorization }
    const base = `${world.url}/${project.fullPath}.git/gitlab-lfs/objects`
    return answer(c, 200, {
      transfer: 'basic',
      objects: objects.map(({ oid, size }) => {
        const there = known.has(oid)
        if (writing) {
          return there ? { oid, size } : { oid, size, actions: { upload: { href: `${base}/${oid}/${size}`, header } } }
        }
        return there
          ? { oid, size, authenticated: true, actions: { download: { href: `${base}/${oid}`, header } } }
          : {
              oid,
              size,
              error: {
                code: 404,
                message: 'Object does not exist on the server or you do not have permissions to access it',
              },
            }
      }),
    })
  })

  app.put('*', async function putObject(c) {
    const project = enter(c, true)
    if (project instanceof Response) return project
    const [oid = '', size = ''] = c.req.path.split('/').slice(-2)
    if (!OID.test(oid) || !/^\d+$/.test(size)) return answer(c, 422, { message: 'not an LFS object' })
    const file = objectFile(world, oid)
    await mkdir(join(file, '..'), { recursive: true })
    const partial = `${file}.${world.nextId('lfs')}`
    const hash = createHash('sha256')
    let length = 0
    const source = c.req.raw.body === null ? Readable.from([]) : Readable.fromWeb(c.req.raw.body as never)
    await pipeline(
      source,
      async function* watch(chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          hash.update(chunk)
          length += chunk.length
          yield chunk
        }
      },
      createWriteStream(partial),
    )
    if (hash.digest('hex') !== oid || length !== Number(size)) {
      await rm(partial, { force: true })
      return answer(c, 422, { message: 'SHA256 or size does not match the object' })
    }
    await rename(partial, file)
    const known = world.lfsObjects.get(project.id) ?? new Map<string, number>()
    known.set(oid, length)
    world.lfsObjects.set(project.id, known)
    return answer(c, 200, {})
  })

  app.get('*', async function getObject(c) {
    const project = enter(c, false)
    if (project instanceof Response) return project
    const oid = c.req.path.split('/').at(-1) ?? ''
    if (!world.lfsObjects.get(project.id)?.has(oid)) return answer(c, 404, { message: 'Not found' })
    return c.body(await readFile(objectFile(world, oid)), 200, { 'Content-Type': 'application/octet-stream' })
  })

  return app
}
