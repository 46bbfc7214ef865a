import { createHash } from 'node:crypto'

/** The secret of the bench's hook: token and signature, as GitLab sends both. */
export const token = 'token-of-the-bench'
export const signingToken = `whsec_${Buffer.from('thirty-two bytes of signing key!').toString('base64')}`

const sha = (text: string) => createHash('sha1').update(text).digest('hex')
const web = 'https://gitlab.example.org/physics/heat'

const commit = (n: number) => ({
  id: sha(`commit ${n}`),
  message: `finer mesh, step ${n}\n`,
  title: `finer mesh, step ${n}`,
  timestamp: '2026-11-20T13:49:50+01:00',
  url: `${web}/-/commit/${sha(`commit ${n}`)}`,
  author: { name: 'Alice Example', email: '[REDACTED]' },
  added: [],
  modified: [`mesh/domain-${n}.geo`, `mesh/boundary-${n}.geo`, 'params.yml', '.compops.yml'],
  removed: [],
})

/** A push of three commits, 2.8 KB, in the shape of GitLab's push event. */
export const pushBody = JSON.stringify({
  object_kind: 'push',
  event_name: 'push',
  before: sha('before'),
  after: sha('commit 3'),
  ref: 'refs/heads/calc/heat/4d',
  ref_protected: false,
  checkout_sha: sha('commit 3'),
  message: null,
  user_id: 31,
  user_name: 'Alice Example',
  user_username: 'alice',
  user_email: '',
  user_avatar: `https://gitlab.example.org/uploads/-/system/user/avatar/31/avatar.png`,
  project_id: 4217,
  project: {
    id: 4217,
    name: 'heat',
    description: 'The heat equation in four dimensions, on every mesh that we could think of',
    web_url: web,
    avatar_url: null,
    git_ssh_url: 'git@gitlab.example.org:physics/heat.git',
    git_http_url: `${web}.git`,
    namespace: 'physics',
    visibility_level: 0,
    path_with_namespace: 'physics/heat',
    default_branch: 'main',
    ci_config_path: '',
    homepage: web,
    url: 'git@gitlab.example.org:physics/heat.git',
    ssh_url: 'git@gitlab.example.org:physics/heat.git',
    http_url: `${web}.git`,
  },
  commits: [commit(1), commit(2), commit(3)],
  total_commits_count: 3,
  push_options: {},
  repository: {
    name: 'heat',
    url: 'git@gitlab.example.org:physics/heat.git',
    description: 'The heat equation in four dimensions, on every mesh that we could think of',
    homepage: web,
    git_http_url: `${web}.git`,
    git_ssh_url: 'git@gitlab.example.org:physics/heat.git',
    visibility_level: 0,
  },
})
