import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { dispatch } from '../../src/cli/dispatch.ts'
import type { Finding } from '../../src/doctor/finding.ts'
import { type Lab, labUp } from '../support/lab.ts'
import { patience } from '../support/patience.ts'

// The doctor at a real Slurm behind a real sshd: green as it is, and a partition that does not exist is told in Slurm's own words.
let lab: Lab
let folder: string

beforeAll(async () => {
  lab = await labUp()
  folder = await mkdtemp(join(tmpdir(), 'compops-doctor-'))
}, 300_000 * patience)
afterAll(() => rm(folder, { recursive: true, force: true }))

async function look(partition: string): Promise<{ code: number; findings: Finding[] }> {
  const config = join(folder, `${partition}.yml`)
  await writeFile(
    config,
    `gitlab: { url: "http://127.0.0.1:9", token: glpat-12345678, webhook_secret: long-enough-secret }
clusters:
  falcon:
    scheduler: slurm
    ssh: { host: ${lab.host}, port: ${lab.port}, user: ${lab.user}, identity_file: ${lab.identityFile}, known_hosts_file: ${lab.knownHostsFile} }
    root: ${lab.root}
    defaults: { partition: ${partition}, time: 5m }
projects: [{ path: physics/heat, clusters: [falcon] }]
`,
  )
  let said = ''
  const write = (text: string) => {
    said += text
  }
  const code = await dispatch(['doctor', 'falcon', '--json', '--config', config], {
    stdout: { write },
    stderr: { write },
    env: {},
  })
  return { code, findings: JSON.parse(said) as Finding[] }
}

it('is green at the lab', async () => {
  const { code, findings } = await look('main')
  expect(findings.filter(({ level, check }) => level !== 'ok' && check !== 'space')).toEqual([])
  expect(code).toBe(0)
  expect(findings.find(({ check }) => check === 'submission')?.sentence).toBe(
    'The scheduler would take a job with the defaults of the cluster.',
  )
})

it("says in Slurm's words why it would take no job", async () => {
  const { code, findings } = await look('nosuch')
  expect(findings.find(({ check }) => check === 'submission')).toMatchObject({
    level: 'error',
    sentence: expect.stringMatching(/would not take a job .*[Ii]nvalid partition/),
  })
  expect(code).toBe(1)
})
