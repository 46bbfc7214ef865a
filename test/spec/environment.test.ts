import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openTemplates, readSpec } from '../../src/spec/index.ts'
import { contextWith, sentences } from '../support/spec-context.ts'

const run = promisify(execFile)
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'compops-templates-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function job(keys: string, files: Record<string, string> = {}) {
  const result = readSpec(`jobs:\n  a:\n    script: [./solve]\n${keys.replace(/^/gm, '    ')}\n`, contextWith(files))
  if (!('spec' in result)) throw new Error(sentences(result).join('\n'))
  return result.spec.jobs[0]!
}

const mistakes = (keys: string) =>
  sentences(readSpec(`jobs:\n  a:\n    script: [x]\n${keys.replace(/^/gm, '    ')}\n`, contextWith()))

describe('what surrounds the commands', () => {
  test('modules, a template and the own setup, in this order', () => {
    const read = job(
      'modules: gcc/12.2 openmpi/4.1\ntemplate: mpi\nsetup: [ulimit -s unlimited]\nntasks: 8\ncluster: falcon',
    )
    expect(read.modules).toEqual(['gcc/12.2', 'openmpi/4.1'])
    expect(read.setup).toHaveLength(2)
    expect(read.setup[0]).toContain('COMPOPS_LAUNCH:-srun')
    expect(read.setup[1]).toBe('ulimit -s unlimited')
    expect(read.origins['setup[0]']).toBe('template mpi, .compops.yml line 5')
  })

  test('the launcher is that of the scheduler', () => {
    expect(job('template: mpi\nntasks: 8\ncluster: hawk').setup[0]).toContain(
      'COMPOPS_LAUNCH:-mpirun -np $compops_tasks',
    )
  })

  test('a template of the project is a shell file of its own: it runs on the cluster, never in the service', () => {
    expect(job("template: ./jobs/it's env.sh", { "jobs/it's env.sh": '{{danger}}' }).setup).toEqual([
      `. ./'jobs/it'\\''s env.sh'`,
    ])
  })

  test('an image and secrets by name', () => {
    expect(job('image: docker://python:3.12\nsecrets: [WANDB_API_KEY]')).toMatchObject({
      image: 'docker://python:3.12',
      secrets: ['WANDB_API_KEY'],
    })
  })

  test.each([
    ['modules: ["gcc; rm -rf /"]', 'is not the name of a module'],
    ['template: pyton', 'There is no template `pyton`. Did you mean `python`?'],
    ['template: ./jobs/none.sh', 'There is no file `jobs/none.sh` in this commit.'],
    ['template: ../x.sh', 'leads out with `..`'],
    ['image: python:3.12', 'Write `docker://python:3.12`'],
    ['image: "docker://x y"', 'cannot be an image'],
    ['image: file:///etc/passwd', 'begins with what no container program knows'],
    ['secrets: [WANDB_KEY]', 'This project has no secret `WANDB_KEY` on this branch. It has `WANDB_API_KEY`.'],
    ['secrets: [a b]', 'is not the name of a secret'],
  ])('%s is a mistake', (keys, said) => {
    expect(mistakes(keys).join('\n')).toContain(said)
    expect(mistakes(keys).join('\n')).toMatch(/^4: /)
  })
})

describe('what is watched', () => {
  test('patterns are kept as they stand, one or several; times have units', () => {
    expect(job('fail_on: "^ERROR: (a|b)$"\nstall_timeout: 30m\nprogress: step [0-9]+')).toMatchObject({
      fail_on: ['^ERROR: (a|b)$'],
      stall_timeout: 1800,
      progress: 'step [0-9]+',
    })
    expect(job("fail_on: [NaN, 'it''s $(id)']").fail_on).toEqual(['NaN', "it's $(id)"])
  })

  test.each([
    ['fail_on: ".*"', 'matches every line'],
    ['fail_on: [a, "b|"]', 'matches every line'],
    ['fail_on: "a\\nb"', 'line'],
    [`fail_on: ${'x'.repeat(201)}`, 'is longer than 200 characters'],
    [`fail_on: [${'x,'.repeat(21)}]`, 'There are 21 patterns; 20 are the most. Join some with `|`.'],
    ['stall_timeout: 30', '30 has no unit'],
    ['stall_timeout: 3s', '`stall_timeout` is shorter than 10 s.'],
    ['progress: ""', 'matches every line'],
  ])('%s is a mistake', (keys, said) => {
    expect(mistakes(keys).join('\n')).toContain(said)
  })
})

describe('a template', () => {
  const asked = { scheduler: 'slurm', resources: { ntasks: 4, cpus_per_task: 2, nodes: 2 }, params: {} }

  test.each(openTemplates(null).names)('%s is shell that bash reads, for every scheduler', async name => {
    for (const scheduler of ['slurm', 'lsf', 'pbs', 'sge', 'local']) {
      const file = join(folder, 'text')
      writeFileSync(file, openTemplates(null).render(name, { ...asked, scheduler }))
      await run('bash', ['-n', file])
    }
  })

  test('of the site is found beside ours, and wins over one of ours; values come in as words of a shell', async () => {
    await writeFile(join(folder, 'site.sh.hbs'), 'echo {{sh params.0.value}} {{nodes}}\n')
    await writeFile(join(folder, 'mpi.sh.hbs'), 'module load site-mpi\n')
    const templates = openTemplates(folder)
    expect(templates.names).toEqual(['hydra', 'julia', 'mpi', 'nccl', 'python', 'site'])
    expect(templates.render('mpi', asked)).toBe('module load site-mpi')
    const hostile = "it's $(touch pwned) `id`\n{{x}}"
    const text = templates.render('site', { ...asked, params: { name: hostile } })
    expect((await run('bash', ['-c', text])).stdout).toBe(`${hostile} 2\n`)
  })

  test('that is wrong says where', () => {
    writeFileSync(join(folder, 'bad.sh.hbs'), 'echo {{params.nothing.value}}')
    expect(() => openTemplates(folder).render('bad', asked)).toThrow('"value" not defined')
    expect(() => openTemplates(join(folder, 'none'))).toThrow('templates: ')
  })

  test('hydra: the params as overrides that Hydra reads back', async () => {
    const params = {
      problem: '4d',
      degree: 12,
      'opt.lr': 1e-3,
      flags: [1, 'a b'],
      on: true,
      text: "it's",
      word: 'true',
      none: null,
    }
    const text = openTemplates(null).render('hydra', { ...asked, params })
    const { stdout } = await run('bash', [
      '-c',
      `COMPOPS_OUTPUT_DIR=/out\n${text}\nprintf '%s\\n' "\${COMPOPS_OVERRIDES[@]}"`,
    ])
    expect(stdout.trimEnd().split('\n')).toEqual([
      "problem='4d'",
      'degree=12',
      'opt.lr=0.001',
      "flags=[1,'a b']",
      'on=true',
      "text='it\\'s'",
      "word='true'",
      'none=null',
      'hydra.run.dir=/out/hydra',
    ])
  })

  test('nccl: address and port are the same for all tasks of a job, and the port is one that may be used', async () => {
    const text = openTemplates(null).render('nccl', { ...asked, scheduler: 'lsf' })
    const { stdout } = await run(
      'bash',
      [
        '-c',
        `set -e\n${text}\nOMPI_COMM_WORLD_RANK=3 compops_rank; echo "$MASTER_ADDR $MASTER_PORT $WORLD_SIZE $RANK"`,
      ],
      {
        env: {
          PATH: process.env.PATH,
          LSB_HOSTS: 'n1 n1 n2 n2',
          COMPOPS_RUN_ID: 'r',
          COMPOPS_JOB: 'a',
          COMPOPS_ATTEMPT: '1',
        },
      },
    )
    const [host, port, world, rank] = stdout.trim().split(' ')
    expect([host, world, rank]).toEqual(['n1', '4', '3'])
    expect(Number(port)).toBeGreaterThanOrEqual(20_000)
    expect(Number(port)).toBeLessThan(40_000)
  })

  test('python: the environment is made once, whoever comes first, and again when the requirements have changed', async () => {
    const bin = join(folder, 'bin')
    await mkdir(bin)
    // Stands for python -m venv and pip, and counts.
    await writeFile(
      join(bin, 'python3'),
      `#!/bin/sh
case "$*" in
  -VV) echo 'Python 3.12.0' ;;
  '-m venv '*) echo made >>"${folder}/made"; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  '-m pip '*) cat "${folder}/requirements.txt" >"\${0%/bin/python}/packages" ;;
esac
`,
    )
    await chmod(join(bin, 'python3'), 0o755)
    writeFileSync(join(folder, 'requirements.txt'), 'numpy==2.0\n')
    const text = openTemplates(null).render('python', asked)
    const once = () =>
      run('bash', ['-c', `set -eo pipefail\n${text}\ncat "$VIRTUAL_ENV/packages"; echo "$OMP_NUM_THREADS"`], {
        cwd: folder,
        env: { PATH: `${bin}:${process.env.PATH}`, COMPOPS_CACHE: join(folder, 'cache') },
      })
    const both = await Promise.all([once(), once(), once()])
    expect(both.map(one => one.stdout)).toEqual(Array(3).fill('numpy==2.0\n2\n'))
    expect(readFileSync(join(folder, 'made'), 'utf8')).toBe('made\n')
    writeFileSync(join(folder, 'requirements.txt'), 'numpy==2.1\n')
    expect((await once()).stdout).toBe('numpy==2.1\n2\n')
    expect(readFileSync(join(folder, 'made'), 'utf8')).toBe('made\nmade\n')
  })

  test('an environment that could not be made ends the job, and is not taken for one', async () => {
    writeFileSync(join(folder, 'requirements.txt'), 'x\n')
    const bin = join(folder, 'bin')
    await mkdir(bin)
    await writeFile(join(bin, 'python3'), '#!/bin/sh\n[ "$1" = -VV ] || exit 3\n')
    await chmod(join(bin, 'python3'), 0o755)
    const text = openTemplates(null).render('python', asked)
    const failed = run('bash', ['-c', `set -eo pipefail\n${text}\necho went on`], {
      cwd: folder,
      env: { PATH: `${bin}:${process.env.PATH}`, COMPOPS_CACHE: join(folder, 'cache') },
    })
    await expect(failed).rejects.toMatchObject({ code: 3, stdout: '' })
    const { stdout } = await run('find', [join(folder, 'cache'), '-name', '.complete', '-o', '-name', '*.lock'])
    expect(stdout).toBe('')
  })

  test('python: from what the service has brought, without a network; what arrived damaged is removed and said', async () => {
    const bin = join(folder, 'bin')
    await mkdir(bin)
    await writeFile(
      join(bin, 'python3'),
      `#!/bin/sh
case "$*" in
  -VV) echo 'Python 3.12.0' ;;
  '-m venv '*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  '-m pip '*) shift 2; echo "$*"; while [ $# -gt 1 ]; do [ "$1" != --find-links ] || ls "$2"; shift; done ;;
esac
`,
    )
    await chmod(join(bin, 'python3'), 0o755)
    writeFileSync(join(folder, 'requirements.txt'), 'solver\n')
    await mkdir(join(folder, 'wheels'))
    writeFileSync(join(folder, 'wheels/solver.whl'), 'x')
    const bundle = join(folder, 'bundle.tar')
    await run('tar', ['-cf', bundle, '-C', join(folder, 'wheels'), '.'])
    const sha256 = createHash('sha256').update(readFileSync(bundle)).digest('hex')
    const text = openTemplates(null).render('python', asked)
    const job = (digest: string) =>
      run('bash', ['-c', `set -eo pipefail\n${text}\ncommand -v python`], {
        cwd: folder,
        env: {
          PATH: `${bin}:${process.env.PATH}`,
          COMPOPS_CACHE: join(folder, 'cache'),
          COMPOPS_BUNDLE: bundle,
          COMPOPS_BUNDLE_SHA256: digest,
        },
      })
    const { stdout } = await job(sha256)
    expect(stdout).toMatch(/--no-index --find-links \S+\.wheels -r requirements\.txt\nsolver\.whl\n/)
    expect((await run('find', [join(folder, 'cache'), '-name', '*.wheels'])).stdout).toBe('')
    writeFileSync(join(folder, 'requirements.txt'), 'solver==2\n')
    await expect(job('0'.repeat(64))).rejects.toMatchObject({ stderr: expect.stringContaining('were damaged') })
    expect(existsSync(bundle)).toBe(false)
  })

  test('julia: the depot that the service has brought is used offline, once for each', async () => {
    const bin = join(folder, 'bin')
    await mkdir(bin)
    await writeFile(
      join(bin, 'julia'),
      `#!/bin/sh
case "$*" in
  --version) echo 'julia version 1.10.4' ;;
  *Pkg.instantiate*) echo "instantiated offline=$JULIA_PKG_OFFLINE"; cat "\${JULIA_DEPOT_PATH%:}/packages/Adapt" ;;
esac
`,
    )
    await chmod(join(bin, 'julia'), 0o755)
    for (const name of ['Project.toml', 'Manifest.toml']) writeFileSync(join(folder, name), '')
    await mkdir(join(folder, 'depot/packages'), { recursive: true })
    writeFileSync(join(folder, 'depot/packages/Adapt'), 'of the service\n')
    const bundle = join(folder, 'bundle.tar')
    await run('tar', ['-cf', bundle, '-C', join(folder, 'depot'), '.'])
    const text = openTemplates(null).render('julia', asked)
    const job = () =>
      run(
        'bash',
        ['-c', `set -eo pipefail\n${text}\necho "$JULIA_PKG_OFFLINE"; cat "\${JULIA_DEPOT_PATH%:}/packages/Adapt"`],
        {
          cwd: folder,
          env: {
            PATH: `${bin}:${process.env.PATH}`,
            COMPOPS_CACHE: join(folder, 'cache'),
            COMPOPS_BUNDLE: bundle,
            COMPOPS_BUNDLE_SHA256: createHash('sha256').update(readFileSync(bundle)).digest('hex'),
          },
        },
      )
    expect((await job()).stdout).toBe('instantiated offline=true\nof the service\ntrue\nof the service\n')
    expect((await job()).stdout).toBe('true\nof the service\n')
  })

  test('julia says which module is missing where there is no julia', async () => {
    const text = openTemplates(null).render('julia', asked)
    const failed = run('/bin/bash', ['-c', `set -e\n${text}`], { cwd: folder, env: { PATH: '/nonexistent' } })
    await expect(failed).rejects.toMatchObject({ code: 127, stderr: expect.stringContaining('there is no julia here') })
    expect(existsSync(join(folder, 'cache'))).toBe(false)
  })
})
