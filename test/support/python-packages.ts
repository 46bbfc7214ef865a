import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A wheel with one module, as `pip --find-links` finds it in a directory: PEP 427. */
export function makeWheel(
  directory: string,
  name: string,
  version: string,
  { requires = [], tag = 'py3-none-any' }: { requires?: readonly string[]; tag?: string } = {},
): void {
  mkdirSync(directory, { recursive: true })
  const info = `${name}-${version}.dist-info`
  const files = {
    [`${name}.py`]: `version = ${JSON.stringify(version)}\n`,
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n${requires.map(one => `Requires-Dist: ${one}\n`).join('')}`,
    [`${info}/WHEEL`]: `Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: ${tag}\n`,
    [`${info}/RECORD`]: '',
  }
  execFileSync('python3', [
    '-c',
    'import json, sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], "w") as wheel:\n  for name, text in json.loads(sys.argv[2]).items(): wheel.writestr(name, text)',
    join(directory, `${name}-${version}-${tag}.whl`),
    JSON.stringify(files),
  ])
}

/** Sources with a setup.py that holds this statement. */
export function makeSourcePackage(directory: string, name: string, version: string, statement: string): void {
  mkdirSync(directory, { recursive: true })
  const scratch = mkdtempSync(join(tmpdir(), 'compops-sdist-'))
  const folder = join(scratch, `${name}-${version}`)
  mkdirSync(folder)
  writeFileSync(
    join(folder, 'setup.py'),
    `${statement}\nfrom setuptools import setup\nsetup(name="${name}", version="${version}")\n`,
  )
  writeFileSync(join(folder, 'PKG-INFO'), `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`)
  execFileSync('tar', ['-czf', join(directory, `${name}-${version}.tar.gz`), '-C', scratch, `${name}-${version}`])
  rmSync(scratch, { recursive: true })
}
