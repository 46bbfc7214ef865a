import {
  coversBranch,
  type Hook,
  type HookDelivery,
  hookAddress,
  leadsToCompops,
  letsPush,
  type ProtectedBranch,
  type TokenInfo,
} from '../gitlab/gitlab.ts'
import { type Finding, findingsAbout, type Say } from './finding.ts'

export interface Failed {
  readonly error: string
  readonly kind: string
}

export interface InstanceSeen {
  readonly url: string
  readonly version: string | Failed
  /** The token of the configuration, or one of a project's own, with the paths it serves. */
  readonly tokens: readonly { readonly of: readonly string[]; readonly info: TokenInfo | null | Failed }[]
  readonly publicUrl: string
  readonly webhook: boolean
  readonly today: Date
}

export function concludeInstance(seen: InstanceSeen): Finding[] {
  return findingsAbout('GitLab', say => {
    if (typeof seen.version !== 'string') concludeAway(seen.url, seen.version, say)
    else {
      say('ok', 'version', `${seen.url} answers, version ${seen.version}.`)
      const [major = 0, minor = 0] = seen.version.split(/[.-]/).map(Number)
      if (major < 15 || (major === 15 && minor < 5))
        say(
          'warn',
          'version',
          `GitLab ${seen.version} is older than what we know (15.5).`,
          'Expect missing calls; update it.',
        )
    }
    for (const { of, info } of seen.tokens) concludeToken(of, info, seen, say)
    if (seen.webhook) concludePublicUrl(seen, say)
  })
}

function concludeAway(url: string, { error, kind }: Failed, say: Say): void {
  if (/ca_file|certificate|CERT_|SELF_SIGNED|UNABLE_TO_/i.test(error))
    say(
      'error',
      'certificate',
      `The certificate of ${url} is not trusted: ${error}.`,
      "Put the site's CA into a file and name it: `gitlab.ca_file`.",
    )
  else if (kind === 'unauthorized') say('ok', 'version', `${url} answers.`)
  else if (/not GitLab's/.test(error))
    say(
      'error',
      'reach',
      `${url} answers, but not as GitLab does: ${error}.`,
      'Is `gitlab.url` right, and is there a proxy in between?',
    )
  else
    say(
      'error',
      'reach',
      `${url} does not answer: ${error}.`,
      'Try `curl` from this machine: address, proxy (HTTPS_PROXY), firewall.',
    )
}

function concludeToken(of: readonly string[], info: TokenInfo | null | Failed, seen: InstanceSeen, say: Say): void {
  const whose = of.length === 0 ? '`gitlab.token`' : `The token for ${of.join(', ')}`
  if (info !== null && 'error' in info) {
    if (info.kind === 'unauthorized')
      say(
        'error',
        'token',
        `${whose} is refused: ${info.error}.`,
        'Make a new one (Settings → Access tokens, scope `api`, role Developer) and put it where the old one is; with `token_file` no restart is needed.',
      )
    // Whatever else it is was said of the instance.
    else if (typeof seen.version === 'string')
      say('error', 'token', `${whose} could not be looked at: ${info.error}.`, 'Ask again.')
    return
  }
  if (info === null) {
    say('ok', 'token', `${whose} is taken; it cannot tell its scopes.`)
    return
  }
  if (!info.scopes.includes('api'))
    say(
      'error',
      'token',
      `${whose} (${info.name}) has the scopes ${info.scopes.join(', ') || 'none'}, and \`api\` is missing: no status, note or evidence can be written.`,
      'Make one with the scope `api`.',
    )
  const days =
    info.expiresAt === null
      ? null
      : Math.floor((Date.parse(`${info.expiresAt}T00:00:00Z`) - seen.today.getTime()) / 86_400_000)
  if (days !== null && days < 0)
    say('error', 'token', `${whose} (${info.name}) expired on ${info.expiresAt}.`, 'Rotate it.')
  else if (days !== null && days < 14)
    say(
      'warn',
      'token',
      `${whose} (${info.name}) expires on ${info.expiresAt}, in ${days} days.`,
      'Rotate it; with `token_file` no restart is needed.',
    )
  else if (info.scopes.includes('api'))
    say(
      'ok',
      'token',
      `${whose} (${info.name}) has the scope \`api\`, ${info.expiresAt === null ? 'and does not expire' : `until ${info.expiresAt}`}.`,
    )
}

function concludePublicUrl({ publicUrl, url }: InstanceSeen, say: Say): void {
  const ours = new URL(publicUrl)
  if (isLoopback(ours.hostname) && !isLoopback(new URL(url).hostname))
    say(
      'error',
      'public_url',
      `\`public_url\` is ${publicUrl}: GitLab cannot reach this machine there, nor can people.`,
      'Set `public_url` to the address that the proxy before the service has, or `webhook: off`.',
    )
  else if (ours.protocol !== 'https:' && !isLoopback(ours.hostname))
    say(
      'warn',
      'public_url',
      `\`public_url\` is ${publicUrl}: the secret of the webhook travels in clear.`,
      'Put a TLS proxy before the service (deploy/README.md) and write `https://`.',
    )
  else say('ok', 'public_url', `Links and webhooks lead to ${publicUrl}.`)
}

export interface ProjectSeen {
  readonly path: string
  /** Why it cannot be seen at all. */
  readonly failed: Failed | null
  readonly archived: boolean
  readonly bot: string
  readonly botId: number
  /** 30 is Developer. */
  readonly role: number
  readonly evidenceBranch: string
  /** null: there is no such branch yet. */
  readonly evidence: { readonly canPush: boolean; readonly protected: boolean } | null
  readonly protectedBranches: readonly ProtectedBranch[] | Failed
  /** null where webhooks are not used. */
  readonly hooks:
    | readonly { readonly hook: Hook; readonly deliveries: readonly HookDelivery[] | Failed }[]
    | Failed
    | null
  readonly webhookUrl: string
  /** How many CI variables jobs may have as secrets; null where the site does not read them. */
  readonly ciVariables: number | Failed | null
}

const roles: Readonly<Record<number, string>> = {
  0: 'no member',
  5: 'of minimal access',
  10: 'Guest',
  15: 'Planner',
  20: 'Reporter',
  30: 'Developer',
  40: 'Maintainer',
  50: 'Owner',
}

/** What a look at a project means. Pure. */
export function concludeProject(seen: ProjectSeen): Finding[] {
  return findingsAbout(seen.path, say => {
    if (seen.failed !== null) {
      say(
        'error',
        'project',
        seen.failed.kind === 'not found'
          ? 'The token does not see this project.'
          : `It cannot be looked at: ${seen.failed.error}.`,
        'Is the path right? The user of the token must be a member, role Developer: Manage → Members.',
      )
      return
    }
    if (seen.archived)
      say('error', 'project', 'It is archived: nothing can be written.', 'Unarchive it, or take it out of `projects`.')
    const role = roles[seen.role] ?? `of level ${seen.role}`
    if (seen.role < 30)
      say(
        'error',
        'role',
        `${seen.bot} is ${role} here; statuses, notes and evidence need a Developer.`,
        'Raise its role: Manage → Members. For a token of the project, make it anew with the role Developer.',
      )
    else if (seen.role > 40)
      say('warn', 'role', `${seen.bot} is ${role} here, which is more than it needs.`, 'Developer is enough.')
    else say('ok', 'role', `${seen.bot} is ${role} here.`)
    concludeEvidence(seen, say)
    concludeCiVariables(seen, say)
    if (seen.hooks !== null) concludeHooks(seen, seen.hooks, say)
  })
}

function concludeEvidence(seen: ProjectSeen, say: Say): void {
  const remedy = `Allow the role Developer to push to \`${seen.evidenceBranch}\` (Settings → Repository → Protected branches), or choose another \`evidence.branch\`.`
  if (seen.evidence !== null) {
    if (!seen.evidence.canPush)
      say(
        'error',
        'evidence',
        `Evidence cannot be committed: ${seen.bot} may not push to the branch ${seen.evidenceBranch}, which is protected.`,
        remedy,
      )
    else say('ok', 'evidence', `Evidence goes to the branch ${seen.evidenceBranch}.`)
    return
  }
  if ('error' in seen.protectedBranches) {
    say(
      'warn',
      'evidence',
      `Whether a rule protects ${seen.evidenceBranch}, which is not there yet, could not be looked at: ${seen.protectedBranches.error}.`,
      'Run it again; an older GitLab tells it to Maintainers only.',
    )
    return
  }
  const matching = seen.protectedBranches.filter(rule => coversBranch(rule, seen.evidenceBranch))
  if (matching.length > 0 && !matching.some(rule => letsPush(rule, { id: seen.botId, role: seen.role })))
    say(
      'error',
      'evidence',
      `Evidence cannot be committed: the rule ${matching.map(rule => rule.name).join(', ')} protects ${seen.evidenceBranch} from ${seen.bot}.`,
      remedy,
    )
  else say('ok', 'evidence', `The branch ${seen.evidenceBranch} is made with the first evidence.`)
}

function concludeCiVariables({ ciVariables }: ProjectSeen, say: Say): void {
  if (ciVariables === null) return
  if (typeof ciVariables === 'number')
    say(
      'ok',
      'CI variables',
      `Jobs may have ${ciVariables} CI variables as secrets, the protected ones on protected branches.`,
    )
  else
    say(
      'error',
      'CI variables',
      `The CI variables cannot be read: ${ciVariables.error}.`,
      'The token of `ci_variables_token` must be of a Maintainer of the project, with the scope `api`; without the key jobs have the secrets of the configuration alone.',
    )
}

function concludeHooks(seen: ProjectSeen, hooks: NonNullable<ProjectSeen['hooks']>, say: Say): void {
  if ('error' in hooks) {
    if (hooks.kind === 'forbidden' || hooks.kind === 'unauthorized')
      say(
        'ok',
        'webhook',
        "Webhooks cannot be seen with a Developer's token.",
        "To have them looked at: COMPOPS_SETUP_TOKEN=<a Maintainer's token> compops doctor.",
      )
    else say('error', 'webhook', `The webhooks could not be looked at: ${hooks.error}.`, 'Run it again.')
    return
  }
  const ours = hooks.filter(({ hook }) => hookAddress(hook.url) === hookAddress(seen.webhookUrl))
  const first = ours[0]
  if (first === undefined) {
    const byHand =
      'by hand: Settings → Webhooks, this address, the secret of the configuration, events push, merge request, comment and pipeline.'
    const stray = hooks.find(({ hook }) => leadsToCompops(hook))
    say(
      'error',
      'webhook',
      stray === undefined
        ? `No webhook leads to ${seen.webhookUrl}.`
        : `The webhook leads to ${hookAddress(stray.hook.url)}, not to ${seen.webhookUrl}.`,
      stray === undefined
        ? `\`compops setup\` makes it; ${byHand}`
        : `Is it ours, from another address? \`compops setup\` with \`--replace ${hookAddress(stray.hook.url)}\` turns it. Another service's? \`compops setup\` makes one beside it; ${byHand} If the address there is the right one, set \`public_url\` to it.`,
    )
    return
  }
  if (ours.length > 1)
    say('warn', 'webhook', `${ours.length} webhooks lead here: every event comes so often.`, 'Delete all but one.')
  concludeHook(first.hook, first.deliveries, say)
}

function concludeHook(hook: Hook, deliveries: readonly HookDelivery[] | Failed, say: Say): void {
  const before = failures(say)
  const { sayBad, bad } = before
  if (hook.alertStatus !== 'executable')
    sayBad(
      'error',
      'webhook',
      hook.alertStatus === 'disabled'
        ? 'GitLab has switched the webhook off after too many failures.'
        : `GitLab has switched the webhook off${hook.disabledUntil === null ? '' : ` until ${hook.disabledUntil}`}, after failures in a row.`,
      'Mend what made it fail (below), then Settings → Webhooks → Test: a success switches it on again. What was missed is found by comparing heads.',
    )
  const missing = (['push', 'merge_requests', 'note', 'pipeline'] as const).filter(event => !hook.events[event])
  if (missing.length > 0)
    sayBad(
      'error',
      'webhook',
      `The webhook does not tell of: ${missing.join(', ').replaceAll('_', ' ')}.`,
      'Tick push, merge request, comment and pipeline events.',
    )
  if (hook.branchFilter !== '')
    sayBad(
      'warn',
      'webhook',
      `Pushes are told only for branches that match ${hook.branchFilter}.`,
      'Take the filter away, unless it is meant.',
    )
  if (!hook.sslVerification && hook.url.startsWith('https:'))
    sayBad(
      'warn',
      'webhook',
      'GitLab does not check our certificate: somebody in between could read the secret.',
      'Switch “SSL verification” on; for a private CA give its certificate to GitLab.',
    )
  if (hook.tokenPresent === false)
    sayBad(
      'error',
      'webhook',
      'The webhook has no secret: its deliveries are refused.',
      'Write the `webhook_secret` of the configuration there.',
    )
  if (!('error' in deliveries)) concludeDeliveries(deliveries, sayBad)
  if (!bad())
    say(
      'ok',
      'webhook',
      `The webhook is there and switched on${'error' in deliveries || deliveries.length === 0 ? '' : ', its last delivery was taken'}.`,
    )
}

/** Only what failed last counts: an old failure has been mended. */
function concludeDeliveries(deliveries: readonly HookDelivery[], say: Say): void {
  const last = deliveries[0]
  if (last === undefined || (last.status !== null && last.status < 400)) return
  const error = last.error ?? ''
  if (/URL is blocked|not allowed/i.test(error))
    say(
      'error',
      'webhook',
      `GitLab does not deliver: ${error}.`,
      'An administrator of GitLab allows it: Admin → Settings → Network → Outbound requests → “Allow requests to the local network from webhooks and integrations”, or our address in the list below it.',
    )
  else if (last.status === 401)
    say(
      'error',
      'webhook',
      'We refused the last delivery (401): its secret is not that of the configuration.',
      'Write the same `webhook_secret` on both sides; `compops setup` does.',
    )
  else if (last.status !== null)
    say(
      'error',
      'webhook',
      `The last delivery was answered ${last.status}.`,
      last.status === 503
        ? 'Our database could not store it: look at /readyz.'
        : 'Does a proxy before the service answer instead? Look into its log.',
    )
  else
    say(
      'error',
      'webhook',
      `GitLab could not deliver: ${error || 'no answer'}.`,
      'Is the service running, and does the proxy let GitLab in? Timeouts and certificates are in the log of the webhook (Settings → Webhooks → Edit).',
    )
}

/** One token for groups that have nothing to do with each other: who leads one of them reaches the others. */
export function concludeSharing(tokens: readonly { readonly paths: readonly string[] }[]): Finding[] {
  return findingsAbout('GitLab', say => {
    for (const { paths } of tokens) {
      const groups = [...new Set(paths.map(path => path.split('/')[0]!))]
      if (groups.length < 2) continue
      say(
        'warn',
        'token',
        `One token serves the groups ${groups.join(', ')}: whoever gets hold of it through one of them reaches all.`,
        'Give each group a token of its own: `token` on its entry of `projects`.',
      )
    }
  })
}

function failures(say: Say): { sayBad: Say; bad: () => boolean } {
  let any = false
  return {
    sayBad: (...args) => {
      any = true
      say(...args)
    },
    bad: () => any,
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\./.test(host)
}
