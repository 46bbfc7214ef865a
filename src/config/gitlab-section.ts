import { asSwitch, join } from './fields.ts'
import type { GitLabConfig, Intervals, SecretSource } from './schema.ts'
import type { Section } from './section.ts'
import {
  asInterval,
  asUrl,
  isLoopback,
  longSecret,
  readableFile,
  readSecret,
  type Surroundings,
  signingToken,
} from './values.ts'

export const gitlabKeys = [
  'url',
  'ca_file',
  'token',
  'token_file',
  'webhook_secret',
  'webhook_secret_file',
  'webhook_signing_token',
  'webhook_signing_token_file',
  'webhook',
  'poll_interval',
  'ci_pipeline_wait',
  'timeout',
]

export function readGitLab(
  section: Section,
  intervals: Pick<Intervals, 'shortestPoll'>,
  around: Surroundings,
): GitLabConfig | undefined {
  const url = section.need(
    'url',
    asUrl,
    'Write the address of your GitLab, for example `url: https://gitlab.example.org`.',
  )
  if (url?.startsWith('http://') === true && !isLoopback(url))
    around.warn(`${join(section.path, 'url')}: ${url} is not encrypted; the token travels in clear.`)
  const caFile = section.read('ca_file', readableFile(around)) ?? null
  const token = readSecret(section, 'token', longSecret, around)
  if (token === undefined)
    section.complain(
      'token',
      '`token` is missing.',
      'Write `token: ${GITLAB_TOKEN}` or `token_file: PATH`: a project, group or service account token, scope `api`, role Developer.',
    )
  const { webhookSecret, webhookSigningToken } = readWebhookSecrets(section, around)
  const webhook = section.read('webhook', asSwitch) ?? true
  const pollInterval = section.read('poll_interval', asInterval) ?? 30_000
  if (webhook && section.has('poll_interval'))
    section.complain(
      'poll_interval',
      '`poll_interval` is for `webhook: off`.',
      'Leave it out: what no webhook told is looked for every five minutes.',
    )
  else if (pollInterval < intervals.shortestPoll)
    section.complain(
      'poll_interval',
      `\`poll_interval\` is shorter than ${intervals.shortestPoll / 1_000} s.`,
      'Write for example `30s`: each look asks GitLab and git about every project.',
    )
  if (!webhook && namesWebhookSecret(section))
    around.warn('gitlab.webhook is off: nothing is received, and the webhook secrets are not used.')
  const wait = section.read('ci_pipeline_wait', asInterval) ?? 60_000
  const timeout = section.read('timeout', asInterval) ?? 20_000
  if (url === undefined || token === undefined || token === null) return undefined
  return {
    url,
    caFile,
    token,
    webhookSecret,
    webhookSigningToken,
    webhook,
    pollInterval,
    ciPipelineWait: wait / 1_000,
    timeout,
  }
}

export function readWebhookSecrets(
  section: Section,
  around: Surroundings,
): { webhookSecret: SecretSource | null; webhookSigningToken: SecretSource | null } {
  return {
    webhookSecret: readSecret(section, 'webhook_secret', longSecret, around) ?? null,
    webhookSigningToken: readSecret(section, 'webhook_signing_token', signingToken, around) ?? null,
  }
}

/** Whether a key for a webhook secret stands there at all, right or wrong. */
export function namesWebhookSecret(section: Section): boolean {
  return gitlabKeys.some(key => key.startsWith('webhook_') && section.has(key))
}
