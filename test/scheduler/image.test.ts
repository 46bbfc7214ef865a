import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { JobSpec } from '../../src/model/job-spec.ts'
import { renderCommands } from '../../src/scheduler/script.ts'
import { jobRequest } from './requests.ts'

const run = promisify(execFile)
let folder: string

/** Stands for apptainer: writes down what it was asked, and enters no image but goes on. */
const apptainer = `#!/bin/bash
printf '%s\\n' "$*" >>FOLDER/calls
case $1 in
  pull) shift; [ "$1" != --force ] || shift; echo image >"$1" ;;
  exec) while [ "$1" != /bin/sh ]; do shift; done; IN_IMAGE=yes exec "$@" ;;
esac
`

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'compops-image-'))
  for (const name of ['bin', 'attempt', 'work', 'cache']) mkdirSync(join(folder, name))
  writeFileSync(join(folder, 'bin/apptainer'), apptainer.replaceAll('FOLDER', folder), {
    mode: 0o755,
  })
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function commands(spec: Partial<JobSpec>, path = `${folder}/bin:${process.env.PATH}`) {
  const request = jobRequest(spec, { directory: `${folder}/attempt`, work: `${folder}/work`, cache: `${folder}/cache` })
  writeFileSync(join(folder, 'attempt/commands'), renderCommands(request))
  return run('bash', ['--noprofile', '--norc', join(folder, 'attempt/commands')], {
    cwd: join(folder, 'work'),
    env: { PATH: path },
  })
}
const calls = () => readFileSync(join(folder, 'calls'), 'utf8').trimEnd().split('\n')

test('of a registry: pulled once and kept, with the modules loaded outside and everything else done inside', async () => {
  const spec: Partial<JobSpec> = {
    image: 'docker://python:3.12',
    setup: ['export IN_SETUP=$IN_IMAGE'],
    script: ['echo "in the image: $IN_IMAGE $IN_SETUP"'],
    resources: { gpus: { type: null, count: 1 } },
  }
  const { stdout } = await commands(spec)
  expect(stdout).toContain('in the image: yes yes')
  await commands(spec)
  expect(calls().filter(call => call.startsWith('pull'))).toHaveLength(1)
  const asked = calls().find(call => call.startsWith('exec'))
  expect(asked).toContain(
    `exec --nv --bind ${folder}/attempt --bind ${folder}/work --bind ${folder}/cache --pwd ${folder}/work`,
  )
  const environment = readFileSync(join(folder, 'attempt/environment.0'), 'utf8')
  expect(environment).toMatch(/^image docker:\/\/python:3\.12 sha256:[0-9a-f]{64}$/m)
})

test('a file of the checkout, or of the cluster', async () => {
  writeFileSync(join(folder, 'work/solver.sif'), 'image')
  await commands({ image: 'solver.sif' })
  expect(calls()[0]).toContain(' ./solver.sif /bin/sh -c')
  await expect(commands({ image: '/nowhere/solver.sif' })).rejects.toMatchObject({
    code: 127,
    stdout: expect.stringContaining('compops: there is no image /nowhere/solver.sif on'),
  })
})

test('one that cannot be pulled ends the job, and nothing is left that looks like an image', async () => {
  writeFileSync(join(folder, 'bin/apptainer'), '#!/bin/sh\necho no such manifest >&2; exit 255\n', { mode: 0o755 })
  await expect(commands({ image: 'docker://none' })).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no such manifest'),
    stdout: expect.stringContaining('compops: the image docker://none cannot be pulled on'),
  })
  const { stdout } = await run('find', [join(folder, 'cache/images'), '-mindepth', '1'])
  expect(stdout).toBe('')
})

test('a node without apptainer says what is missing', async () => {
  const tools = join(folder, 'tools')
  mkdirSync(tools)
  for (const tool of ['bash', 'uname', 'head', 'timeout'])
    writeFileSync(
      join(tools, tool),
      `#!/bin/sh\nexec ${existsSync(`/bin/${tool}`) ? '/bin' : '/usr/bin'}/${tool} "$@"\n`,
      { mode: 0o755 },
    )
  writeFileSync(
    join(folder, 'attempt/commands'),
    renderCommands(
      jobRequest(
        { image: 'docker://x' },
        { directory: `${folder}/attempt`, work: `${folder}/work`, cache: `${folder}/cache` },
      ),
    ),
  )
  await expect(
    run('/bin/bash', [join(folder, 'attempt/commands')], { cwd: join(folder, 'work'), env: { PATH: tools } }),
  ).rejects.toMatchObject({ code: 127, stdout: expect.stringContaining('neither apptainer nor singularity is on') })
})

test('a root that cannot be bound is refused before anything is submitted', () => {
  expect(() => renderCommands(jobRequest({ image: 'docker://x' }, { work: '/scratch/a:b' }))).toThrow(
    'cannot be bound into a container',
  )
})
