import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PackagesConfig } from '../../src/config/index.ts'
import { makeBundle } from '../../src/packages/make.ts'
import { makeSourcePackage, makeWheel } from '../support/python-packages.ts'
import { until } from '../support/until.ts'

let place: string
let bin: string
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'compops-packages-'))
  bin = join(place, 'bin')
  mkdirSync(bin)
})
afterEach(() => rmSync(place, { recursive: true, force: true, maxRetries: 5 }))

const program = (name: string, text: string) => {
  writeFileSync(join(bin, name), `#!/bin/sh\n${text}`, { mode: 0o755 })
  return join(bin, name)
}

function make(
  by: PackagesConfig['by'],
  files: Record<string, string>,
  more: Partial<PackagesConfig> & { env?: Record<string, string> } = {},
) {
  const { env = {}, ...packages } = more
  return makeBundle(
    {
      kind: by.julia === undefined ? 'python' : 'julia',
      what: Object.keys(files)[0]!,
      files,
      packages: { by, platforms: [], limit: 1e9, timeout: 60_000, ...packages },
      workshop: join(place, 'bundle.making'),
      environment: { PATH: process.env.PATH, ...env },
    },
    join(place, 'bundle'),
  )
}

const listing = (path: string) =>
  execFileSync('tar', ['-tf', path], { encoding: 'utf8' })
    .split('\n')
    .filter(name => name !== '' && !name.endsWith('/'))
    .map(name => name.replace(/^\.\//, ''))
    .sort()

describe('python, by pip', () => {
  const index = () => ({ PIP_NO_INDEX: '1', PIP_FIND_LINKS: join(place, 'index') })

  test('the wheels of the requirements and of what they need, as a tar that is named by its digest', async () => {
    makeWheel(join(place, 'index'), 'solver', '1.2', { requires: ['helper'] })
    makeWheel(join(place, 'index'), 'helper', '0.1')
    makeWheel(join(place, 'index'), 'unwanted', '1.0')
    const made = await make({ python: 'pip' }, { 'requirements.txt': 'solver==1.2\n' }, { env: index() })
    expect(listing(made.path)).toEqual(['helper-0.1-py3-none-any.whl', 'solver-1.2-py3-none-any.whl'])
    const digest = createHash('sha256').update(readFileSync(made.path)).digest('hex')
    expect(made.path).toBe(join(place, `bundle-${digest}.tar`))
    expect(readdirSync(place).sort()).toEqual(['bin', `bundle-${digest}.tar`, 'index'])
  })

  test("for the cluster's Python and platform, not for this machine's", async () => {
    makeWheel(join(place, 'index'), 'solver', '1.2', { tag: 'cp39-cp39-manylinux_2_17_aarch64' })
    const asked = { env: index(), pythonVersion: '3.9', platforms: ['manylinux_2_17_aarch64'] }
    const made = await make({ python: 'pip' }, { 'requirements.txt': 'solver\n' }, asked)
    expect(listing(made.path)).toEqual(['solver-1.2-cp39-cp39-manylinux_2_17_aarch64.whl'])
  })

  test('a package of which there are only sources is not fetched: its setup.py never runs here', async () => {
    makeSourcePackage(join(place, 'index'), 'trap', '1.0', `open(${JSON.stringify(join(place, 'sprung'))}, 'w')`)
    const failed = make({ python: 'pip' }, { 'requirements.txt': 'trap\n' }, { env: index() })
    await expect(failed).rejects.toMatchObject({
      transient: false,
      message: expect.stringMatching(/^the packages of requirements.txt cannot be fetched: ERROR: .*trap/),
    })
    expect(existsSync(join(place, 'sprung'))).toBe(false)
  })

  test.each(['pytest-timeout==99', 'timeout', 'async_timeout', 'timed-out'])(
    'a package that there is not fails for good, whatever it is called: %s',
    async name => {
      const failed = make({ python: 'pip' }, { 'requirements.txt': `${name}\n` }, { env: index() })
      await expect(failed).rejects.toMatchObject({
        transient: false,
        message: expect.stringContaining('No matching distribution found'),
      })
    },
  )

  test('what it puts into its temporary directory first is weighed, and no cache grows beside it', async () => {
    program(
      'python3',
      `printf '%s\\n' "$@" >'${place}/arguments'\nhead -c 3000000 /dev/zero >"$TMPDIR/a.whl"\nexec sleep 60\n`,
    )
    const asked = { env: { PATH: `${bin}:${process.env.PATH}` }, limit: 1024 * 1024, timeout: 30_000 }
    await expect(make({ python: 'pip' }, { 'requirements.txt': 'solver\n' }, asked)).rejects.toMatchObject({
      transient: false,
      message:
        "fetching the packages of requirements.txt takes more than 2M, twice the site's limit for what the service fetches",
    })
    expect(readFileSync(join(place, 'arguments'), 'utf8')).toContain('--no-cache-dir\n')
    // Nor does what was too much stay.
    expect(existsSync(join(place, 'bundle.making'))).toBe(false)
  })

  test('an index that is away is no mistake of the researcher', async () => {
    const env = { PIP_INDEX_URL: 'http://user:hush-hush@127.0.0.1:9/simple', PIP_RETRIES: '1', PIP_TIMEOUT: '1' }
    const failed = await make({ python: 'pip' }, { 'requirements.txt': 'solver\n' }, { env }).catch(error => error)
    expect(failed).toMatchObject({ transient: true })
    expect(failed.message).not.toContain('hush-hush')
  })
})

describe('julia', () => {
  test('a depot, instantiated without building or precompiling, without what only this machine can use', async () => {
    // As Pkg does: registries, packages and artifacts are what a depot needs; it logs, and may compile.
    program(
      'julia',
      `printf '%s\\n' "$@" >'${place}/arguments'
[ -f Project.toml ] && [ -f Manifest.toml ] || exit 2
for part in registries/General.toml packages/Adapt/abcde/src/Adapt.jl artifacts/f00/lib.so logs/manifest_usage.toml compiled/v1.10/x.ji; do
  mkdir -p "$JULIA_DEPOT_PATH/\${part%/*}"; echo x >"$JULIA_DEPOT_PATH/$part"
done
`,
    )
    const files = { 'Manifest.toml': 'x', 'Project.toml': 'y' }
    const made = await make({ julia: 'julia' }, files, { env: { PATH: `${bin}:${process.env.PATH}` } })
    expect(listing(made.path)).toEqual([
      'artifacts/f00/lib.so',
      'packages/Adapt/abcde/src/Adapt.jl',
      'registries/General.toml',
    ])
    expect(readFileSync(join(place, 'arguments'), 'utf8')).toContain(
      'Pkg.instantiate(; allow_build=false, allow_autoprecomp=false)',
    )
  })

  test.each([
    ['ERROR: expected package `Timeout [00000000]` to be registered', false],
    ['ERROR: Unsatisfiable requirements detected for package TimeoutError [00000000]:', false],
    ['ERROR: RequestError: Could not resolve host: pkg.example.org while requesting https://pkg.example.org', true],
    ['ERROR: failed to fetch: Connection timed out after 30001 milliseconds', true],
    ['ERROR: RequestError: Timeout was reached', true],
  ])('%s: whether it is tried again: %s', async (line, transient) => {
    program('julia', `cat >&2 <<'E'\n${line}\nStacktrace:\n [1] pkgerror(msg::String)\nE\nexit 1\n`)
    const files = { 'Manifest.toml': '', 'Project.toml': '' }
    const failed = make({ julia: 'julia' }, files, { env: { PATH: `${bin}:${process.env.PATH}` } })
    await expect(failed).rejects.toMatchObject({ transient, message: expect.stringContaining(line) })
  })

  test('where there is no julia on the machine of the service, that is said, and is for its people to mend', async () => {
    const failed = make({ julia: 'julia' }, { 'Manifest.toml': '', 'Project.toml': '' }, { env: { PATH: bin } })
    await expect(failed).rejects.toMatchObject({
      transient: true,
      message:
        'the service cannot fetch the packages of Manifest.toml: there is no julia on its machine; who runs it must mend that, or change `packages` of this cluster',
    })
  })
})

describe("a program of the site's own", () => {
  const files = { 'requirements.txt': 'solver\n' }

  test('finds what is wanted where it starts, puts it where it is told, and knows none of our secrets', async () => {
    const own = program('fetch', 'cp requirements.txt "$1/got"; env >"$1/env"\n')
    const made = await make({ python: own }, files, {
      pythonVersion: '3.11',
      platforms: ['manylinux_2_17_x86_64'],
      env: {
        GITLAB_TOKEN: 'glpat-secret',
        COMPOPS_WEBHOOK_SECRET: 'hush',
        HTTPS_PROXY: 'http://proxy:3128',
        HOME: '/root',
      },
    })
    const read = (name: string) => execFileSync('tar', ['-xOf', made.path, name], { encoding: 'utf8' })
    expect(listing(made.path)).toEqual(['env', 'got'])
    expect(read('got')).toBe('solver\n')
    const env = read('env')
    expect(env).toContain('HTTPS_PROXY=http://proxy:3128')
    expect(env).toContain('COMPOPS_PACKAGES=python\n')
    expect(env).toContain('COMPOPS_PACKAGES_PYTHON=3.11\n')
    expect(env).toContain('COMPOPS_PACKAGES_PLATFORMS=manylinux_2_17_x86_64\n')
    expect(env).not.toMatch(/glpat|hush|HOME=\/root/)
  })

  test('says with 75 that it may go better later; any other failure is told in its words', async () => {
    const own = program('fetch', 'echo "the mirror is being filled" >&2; exit 75\n')
    await expect(make({ python: own }, files)).rejects.toMatchObject({
      transient: true,
      message: 'the packages of requirements.txt cannot be fetched: the mirror is being filled',
    })
    program('fetch', 'echo "solver is not on our list" >&2; exit 1\n')
    await expect(make({ python: own }, files)).rejects.toMatchObject({
      transient: false,
      message: 'the packages of requirements.txt cannot be fetched: solver is not on our list',
    })
    expect(readdirSync(place).filter(name => name.endsWith('.tar'))).toEqual([])
  })

  test('that broke off finds what it had fetched', async () => {
    const own = program('fetch', '[ -e "$1/first" ] || { echo x >"$1/first"; exit 75; }\necho y >"$1/second"\n')
    await expect(make({ python: own }, files)).rejects.toThrow('cannot be fetched')
    expect(listing((await make({ python: own }, files)).path)).toEqual(['first', 'second'])
  })

  test('is ended with everything it started when it fetches too much, or takes too long', async () => {
    const own = program('fetch', `head -c 3000000 /dev/zero >"$1/large"; sleep 600 & echo $! >'${place}/pid'; wait\n`)
    const gone = () =>
      until('the child to be gone', () => {
        try {
          process.kill(Number(readFileSync(join(place, 'pid'), 'utf8')), 0)
          return readFileSync(`/proc/${readFileSync(join(place, 'pid'), 'utf8').trim()}/stat`, 'utf8').includes(') Z ')
        } catch {
          return true
        }
      })
    await expect(make({ python: own }, files, { limit: 2 * 1024 ** 2 })).rejects.toMatchObject({
      transient: false,
      message: "the packages of requirements.txt are more than 2M, the site's limit for what the service fetches",
    })
    await gone()
    await expect(make({ python: own }, files, { timeout: 500 })).rejects.toMatchObject({
      transient: true,
      message: 'fetching the packages of requirements.txt took longer than 0.5 s',
    })
    await gone()
  })

  test('that is not executable is told', async () => {
    writeFileSync(join(bin, 'fetch'), '#!/bin/sh\n', { mode: 0o644 })
    await expect(make({ python: join(bin, 'fetch') }, files)).rejects.toMatchObject({
      transient: true,
      message: expect.stringContaining('is not executable'),
    })
  })
})
