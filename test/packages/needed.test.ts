import { describe, expect, test } from 'vitest'
import type { PackagesConfig } from '../../src/config/index.ts'
import { neededPackages } from '../../src/packages/needed.ts'

const packages: PackagesConfig = { by: { python: 'pip', julia: 'julia' }, platforms: [], limit: 1e9, timeout: 60_000 }

const needed = (template: string, files: Record<string, string>, env: Record<string, string> = {}, by = packages.by) =>
  neededPackages({ template, env }, { ...packages, by }, async path =>
    path in files
      ? { text: files[path]! }
      : Object.keys(files).some(file => file.startsWith(`${path}/`))
        ? 'not a file'
        : null,
  )

describe('what the service fetches for a job', () => {
  test('python: requirements by name and version, with files that they include, comments and line ends taken out', async () => {
    expect(
      await needed('python', {
        'requirements.txt':
          '# science\nnumpy==2.0.1 \\\n  --hash=sha256:ab01 \\\n  --hash=sha256:cd23\nscipy[all] >=1.10,<2 ; python_version < "3.13"  # solvers\n\n-r more/dev.txt\n-c more/limits.txt\n',
        'more/dev.txt': 'pytest\n-r ../base.txt\n',
        'base.txt': 'attrs~=23.0\r\n',
        'more/limits.txt': 'packaging<24\n',
      }),
    ).toEqual({
      kind: 'python',
      what: 'requirements.txt',
      files: {
        'requirements.txt':
          'numpy==2.0.1 --hash=sha256:ab01 --hash=sha256:cd23\nscipy[all] >=1.10,<2 ; python_version < "3.13"\npytest\nattrs~=23.0\n',
        'constraints.txt': 'packaging<24\n',
      },
    })
  })

  test.each([
    ['--no-binary :all:'],
    ['--index-url https://evil.example.org/simple'],
    ['--extra-index-url=https://evil.example.org'],
    ['-e .'],
    ['.'],
    ['./vendored'],
    ['/etc'],
    ['file:///etc/passwd'],
    ['git+https://gitlab.example.org/x/y.git'],
    ['thing @ https://example.org/thing-1.tar.gz'],
    ['thing@file:///srv/thing.tar.gz'],
    ['https://example.org/thing-1.0.tar.gz'],
    ['thing-1.0.tar.gz --no-binary=:all:'],
    ['numpy --config-settings=x=y'],
    ['numpy==1.0 --global-option="--x"'],
    ['$SECRET'],
  ])(
    'python: a line %s is refused, with its number: what the service runs takes only names and versions',
    async line => {
      await expect(needed('python', { 'requirements.txt': `numpy\n${line}\n` })).rejects.toThrow(
        /^requirements\.txt, line 2: .* is no package by name and version, .*wheelhouse/,
      )
    },
  )

  test('python: an included file must be in the commit, and not lead out of it', async () => {
    await expect(needed('python', { 'requirements.txt': '-r other.txt\n' })).rejects.toThrow(
      'requirements.txt includes other.txt, which is not in this commit',
    )
    for (const path of ['../x.txt', '/etc/passwd', 'https://example.org/r.txt'])
      await expect(needed('python', { 'requirements.txt': `-r ${path}\n` })).rejects.toThrow('leads out')
    expect(await needed('python', { 'requirements.txt': '-r requirements.txt\nnumpy\n' })).toMatchObject({
      files: { 'requirements.txt': 'numpy\n' },
    })
  })

  const mebi = 1024 * 1024
  test.each([
    ['blanks within', `a${' '.repeat(mebi)}@`, 'is no package by name and version'],
    ['blanks between versions', `a==1,${' '.repeat(mebi)}==2${' '.repeat(mebi)}@`, 'is no package by name and version'],
    ['a long name', `${'a-'.repeat(mebi / 2)}@`, 'line 1: is longer than 4096 characters'],
    ['many versions', `a${',==1'.repeat(mebi / 4)}`, 'line 1: is longer than 4096 characters'],
    ['hashes that go wrong', `a${' --hash=sha256:ab'.repeat(mebi / 16)} x`, 'line 1: is longer than 4096 characters'],
    ['hashes and blanks', `a${' --hash=sha256:ab'.repeat(1000)}${' '.repeat(mebi)}@`, 'longer than 4096 characters'],
    ['comments on one line', `a @${' #'.repeat(mebi / 2)}\u2028x`, 'is no package by name and version'],
    ['a line that goes on', `a @${' \\\n'.repeat(mebi / 3)}`, 'is no package by name and version'],
    ['a long include', `-r${' '.repeat(mebi)}${'a/'.repeat(mebi / 2)}`, 'line 1: is longer than 4096 characters'],
  ])('python: a hostile megabyte is refused in no time: %s', async (_, text, said) => {
    const begun = performance.now()
    await expect(needed('python', { 'requirements.txt': text })).rejects.toThrow(said)
    expect(performance.now() - begun).toBeLessThan(2_000)
  })

  test('python: a package with hundreds of hashes on one line is none', async () => {
    const line = `multidict==6.0${` --hash=sha256:${'ab'.repeat(32)}`.repeat(300)}`
    expect(await needed('python', { 'requirements.txt': `${line.replaceAll(' ', '   ')}\n` })).toMatchObject({
      files: { 'requirements.txt': `${line}\n` },
    })
  })

  test.each([
    ['blanks in a list', `x = ["a"${' '.repeat(60_000)}x`],
    ['a megabyte of blanks', `x = ["a"${' '.repeat(mebi)}x`],
    ['a long list', `x = [${'"a" , '.repeat(10_000)}x`],
    ['blanks about a key', `x${' '.repeat(60_000)}y`],
  ])('julia: a hostile line is refused in no time: %s', async (_, text) => {
    const begun = performance.now()
    await expect(needed('julia', { 'Project.toml': '', 'Manifest.toml': `${text}\n` })).rejects.toThrow(
      'is not how Pkg writes it',
    )
    expect(performance.now() - begun).toBeLessThan(2_000)
  })

  test('nothing, where the commit brings its own, names none, or the site leaves the kind to the jobs', async () => {
    const requirements = { 'requirements.txt': 'numpy\n' }
    expect(await needed('python', { ...requirements, 'wheelhouse/numpy.whl': '' })).toBeNull()
    expect(await needed('python', { 'environment.yml': '' })).toBeNull()
    expect(await needed('python', { 'requirements.txt': '# none\n' })).toBeNull()
    expect(await needed('mpi', requirements)).toBeNull()
    expect(await needed('python', requirements, {}, { julia: 'julia' })).toBeNull()
    expect(await needed('python', requirements, { REQUIREMENTS: '$HOME/r.txt' })).toBeNull()
    expect(await needed('python', { 'sub/r.txt': 'scipy\n' }, { REQUIREMENTS: './sub/r.txt' })).toMatchObject({
      what: 'sub/r.txt',
    })
    const julia = { 'Project.toml': '', 'Manifest.toml': '' }
    expect(await needed('julia', { ...julia, 'julia-depot.tar': '' })).toBeNull()
    expect(await needed('julia', julia, { JULIA_BUNDLE: '/scratch/depot.tar' })).toBeNull()
  })

  const manifest = `# This file is machine-generated - editing it directly is not advised

julia_version = "1.10.4"
manifest_format = "2.0"
project_hash = "da39a3ee"

[[deps.Adapt]]
deps = ["LinearAlgebra", "Requires"]
git-tree-sha1 = "6a55b747d1812e699320963ffde36f1ebdda4099"
uuid = "79e6a3ab-5dfb-504d-930d-738a2a938a0e"
version = "4.0.4"
weakdeps = ["StaticArrays"]

    [deps.Adapt.extensions]
    AdaptStaticArraysExt = "StaticArrays"

[[deps.Base64]]
uuid = "2a0f44e3-6c83-55bd-87e4-b1978d98bd5f"
`

  test('julia: the manifest as Pkg writes it, of the project that the job names', async () => {
    const files = { 'sim/Project.toml': '[deps]\nAdapt = "79e6a3ab"\n', 'sim/Manifest.toml': manifest }
    expect(await needed('julia', files, { JULIA_PROJECT: 'sim' })).toEqual({
      kind: 'julia',
      what: 'sim/Manifest.toml',
      files: { 'Project.toml': files['sim/Project.toml'], 'Manifest.toml': manifest },
    })
    await expect(needed('julia', { 'Project.toml': '' })).rejects.toThrow('commit it')
  })

  test.each([
    ['[[deps.Mine]]\npath = "/etc"\n', 'Mine comes from a folder'],
    ['[[deps.Theirs]]\nrepo-rev = "main"\nrepo-url = "https://example.org/x.git"\n', 'Theirs comes from a repository'],
    ['[deps]\nMine = [{path = "/etc"}]\n', 'is not how Pkg writes it'],
    ['[[deps.Mine]]\n"path" = "/etc"\n', 'is not how Pkg writes it'],
    ['[[deps.Mine]]\n"pa\\u0074h" = "/etc"\n', 'is not how Pkg writes it'],
    ['[[deps.Mine]]\nx = """\n"""\n', 'is not how Pkg writes it'],
    ["[[deps.Mine]]\nx = '''\n", 'is not how Pkg writes it'],
  ])('julia: what is not a registered package is refused: %j', async (more, said) => {
    await expect(needed('julia', { 'Project.toml': '', 'Manifest.toml': manifest + more })).rejects.toThrow(said)
  })

  test('julia: sources in Project.toml are refused', async () => {
    for (const project of [
      '[sources]\nX = {url = "https://x"}\n',
      '[sources.X]\npath = ".."\n',
      'sources = {}\n',
      '["sources"]\n',
    ])
      await expect(needed('julia', { 'Project.toml': project, 'Manifest.toml': manifest })).rejects.toThrow(
        'names places',
      )
  })
})
