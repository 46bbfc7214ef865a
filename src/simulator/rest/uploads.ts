import { randomBytes } from 'node:crypto'
import type { Hono } from 'hono'
import { canReadCode } from '../access.ts'
import { LIMITS } from '../limits.ts'
import { badParameter, forbidden, Refusal } from '../refusal.ts'
import type { SimUpload } from '../types.ts'
import type { World } from '../world.ts'
import type { RestEnv } from './request.ts'
import { requireCode, requireUser } from './request.ts'

const MAX_FILE = 10 * 1024 * 1024
const IMAGE = /\.(png|jpe?g|gif|webp|svg|bmp|ico)$/i

/** Files in comments. Kept in memory; the oldest go when there are too many. */
export function addUploadRoutes(api: Hono<RestEnv>, world: World): void {
  api.post('/projects/:id/uploads', async c => {
    const user = requireUser(c)
    const project = requireCode(world, c)
    if (!canReadCode(user, project)) throw forbidden()
    const file = c.get('params').file
    if (!(file instanceof File)) throw badParameter('file is invalid')
    if (file.size > MAX_FILE) throw new Refusal(413, { message: '413 Request Entity Too Large' })
    // GitLab keeps letters, digits and -_. of a name (CarrierWave's sanitizer).
    const filename = (file.name.split(/[\\/]/).at(-1) ?? '').replace(/[^\p{L}\p{N}.\-+_]/gu, '_') || '_'
    const upload: SimUpload = {
      secret: randomBytes(16).toString('hex'),
      filename,
      projectId: project.id,
      type: file.type,
      bytes: new Uint8Array(await file.arrayBuffer()),
    }
    world.uploads.set(upload.secret, upload)
    let total = [...world.uploads.values()].reduce((sum, u) => sum + u.bytes.length, 0)
    for (const [secret, old] of world.uploads) {
      if (total <= LIMITS.uploadBytes) break
      total -= old.bytes.length
      world.uploads.delete(secret)
    }
    const url = `/uploads/${upload.secret}/${filename}`
    const alt = filename.replace(/\.[^.]*$/, '')
    return c.json(
      {
        id: world.nextId('upload'),
        alt: IMAGE.test(filename) ? alt : filename,
        url,
        full_path: `/-/project/${project.id}${url}`,
        markdown: `${IMAGE.test(filename) ? '!' : ''}[${IMAGE.test(filename) ? alt : filename}](${url})`,
      },
      201,
    )
  })
}
