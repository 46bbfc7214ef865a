import { createHash } from 'node:crypto'
import { CompopsError } from '../errors.ts'
import { mayRunAgain } from '../model/retry.ts'
import type { JobRequest } from './dialect.ts'
import { quote } from './quote.ts'

/**
 * bash text that goes on inside the job's image, as `commands inside`: by apptainer, or by singularity where that is its name. An image of a registry is
 * pulled once and kept in the cache; which image it was is written down by its digest. apptainer(1): exec, pull.
 */
export function enterImage(request: JobRequest): string[] {
  const { image, resources } = request.spec
  if (image === undefined) return []
  const bound = [
    request.directory,
    request.work,
    request.cache,
    ...(request.events === undefined ? [] : [request.events]),
    ...(request.checkpoints !== undefined && mayRunAgain(request.spec) ? [request.checkpoints] : []),
  ]
  const odd = bound.find(path => /[:,]/.test(path))
  if (odd !== undefined)
    throw new CompopsError(
      `image: ${odd} cannot be bound into a container, because of its colon or comma: the site's \`root\` needs another name`,
    )
  const gpus = resources.gpus !== undefined || resources.gpus_per_node !== undefined || resources.gres?.includes('gpu')
  const options = [
    ...(gpus === true ? ['--nv'] : []),
    ...bound.flatMap(path => ['--bind', path]),
    '--pwd',
    request.work,
  ]
  return [
    `compops_image=${quote(image)}`,
    ...(image.includes('://')
      ? pullOnce(request.cache, image)
      : [`compops_file=${quote(image.startsWith('/') ? image : `./${image}`)}`]),
    `[ -f "$compops_file" ] || { printf 'compops: there is no image %s on %s\\n' "$compops_image" "$(uname -n)"; exit 127; }`,
    image.includes('://')
      ? 'read -r compops_digest _ <"$compops_file.sha256"'
      : 'compops_digest=$(sha256sum <"$compops_file")',
    `printf 'image %s sha256:%s\\n' "$compops_image" "\${compops_digest:0:64}" >>${quote(`${request.directory}/environment.`)}"\${COMPOPS_ARRAY_INDEX:-0}" || :`,
    // apptainer refuses to bind what is not there, and sets a PATH of its own.
    `mkdir -p ${bound.map(quote).join(' ')}`,
    `export APPTAINERENV_PREPEND_PATH=${quote(`${request.directory}/bin`)} SINGULARITYENV_PREPEND_PATH=${quote(`${request.directory}/bin`)}`,
    `exec "$compops_tool" exec ${options.map(quote).join(' ')} "$compops_file" /bin/sh -c ${quote(insideShell)} sh ${quote(`${request.directory}/commands`)}`,
  ]
}

const insideShell = `command -v bash >/dev/null || { echo 'compops: the image has no bash, which runs the commands'; exit 127; }
exec bash --noprofile --norc "$1" inside`

/** Before anything of the image: who can run it. The modules have been loaded. */
export const findContainerTool = `compops_tool=$(type -P apptainer || type -P singularity) || {
  printf 'compops: neither apptainer nor singularity is on %s: name its module in \`modules:\`\\n' "$(uname -n)"
  exit 127
}`

/** One pulls and takes the digest, the others of the same image wait. Its maker holds a directory; one that is older than an hour belongs to somebody who died. */
function pullOnce(cache: string, image: string): string[] {
  const file = `${cache}/images/${createHash('sha256').update(image).digest('hex')}.sif`
  return [
    `compops_file=${quote(file)}
mkdir -p "\${compops_file%/*}"
until [ -f "$compops_file" ]; do
  if mkdir "$compops_file.lock" 2>/dev/null; then
    trap 'rm -f "$compops_file.new"; rmdir "$compops_file.lock" 2>/dev/null' EXIT
    [ -f "$compops_file" ] || { "$compops_tool" pull --force "$compops_file.new" "$compops_image" && sha256sum <"$compops_file.new" >"$compops_file.sha256" && mv -f "$compops_file.new" "$compops_file"; } || {
      printf 'compops: the image %s cannot be pulled on %s\\n' "$compops_image" "$(uname -n)"
      exit 1
    }
    rmdir "$compops_file.lock"
    trap - EXIT
  elif [ -n "$(find "$compops_file.lock" -prune -mmin +60 2>/dev/null)" ]; then
    rmdir "$compops_file.lock" 2>/dev/null || :
  else
    sleep 5
  fi
done`,
  ]
}
