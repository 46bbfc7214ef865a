import { type Config, projectFor, secretValues } from '../config/index.ts'
import { CompopsError, describeError } from '../errors.ts'
import {
  coversBranch,
  createGitLab,
  fixedToken,
  type GitLab,
  type Hook,
  hookAddress,
  hookEvents,
  isGitLabError,
  leadsToCompops,
  letsPush,
  type Project,
  type ProtectedBranch,
} from '../gitlab/gitlab.ts'
import { proposeFirstFile } from './propose.ts'

/** What was done to a project, or left, in a sentence each. */
export interface Done {
  /** `left` was not needed; `undone` is needed, and a person must do it. */
  readonly did: 'made' | 'mended' | 'left' | 'in order' | 'undone'
  readonly what: 'webhook' | 'evidence' | 'first file'
  readonly sentence: string
}

export interface SetUpOptions {
  /** Address of a webhook that is turned here instead of making one. */
  readonly replace?: string | null
  /** Whether a first `.compops.yml` is proposed; null: where there is none, and nobody has closed a proposal. */
  readonly propose?: boolean | null
}

/**
 * Brings a project's side in order with a Maintainer's token, which is used for this and kept nowhere: the webhook, and who may push evidence. What
 * is in order is left; asked again it finds everything in order. Nothing is taken from anybody: another service's webhook stays unless `replace` names
 * its address, and a rule that protects a branch is changed in place or left.
 */
export async function setUpProject(
  config: Config,
  path: string,
  maintainerToken: string,
  { replace = null, propose = null }: SetUpOptions = {},
): Promise<Done[]> {
  const rule = projectFor(config, path)
  if (rule === null)
    throw new CompopsError(
      `no rule of ${config.file} matches ${path}: add it under \`projects\` first, and see \`compops check\``,
    )
  const { url, timeout } = config.gitlab
  const client = (token: string) =>
    createGitLab({ url, token: fixedToken(token), deadline: timeout, hide: [maintainerToken, ...secretValues(config)] })
  const gitlab = client(maintainerToken)
  const service = client(await (rule.token ?? config.gitlab.token).read())
  const me = await gitlab.me()
  const project = await gitlab.project(path).catch(error => {
    if (!isGitLabError(error, 'not found')) throw error
    throw new CompopsError(`the token, which is ${me.username}'s, does not see ${path}: is the path right?`, {
      cause: error,
    })
  })
  const role = await gitlab.memberAccess(project.id, me.id)
  if (role < 40)
    throw new CompopsError(
      `the token is ${me.username}'s, who is no Maintainer of ${path}: only a Maintainer may set up webhooks and protected branches`,
    )
  const done: Done[] = []
  if (!config.gitlab.webhook)
    done.push({
      did: 'left',
      what: 'webhook',
      sentence: 'No webhook is needed: `webhook: off`, changes are looked for.',
    })
  else {
    const read = async (source: typeof rule.webhookSecret) => (source === null ? null : source.read())
    const settings = {
      url: `${config.publicUrl}/webhooks/gitlab`,
      secret: await read(rule.webhookSecret ?? config.gitlab.webhookSecret),
      signingToken: await read(rule.webhookSigningToken ?? config.gitlab.webhookSigningToken),
    }
    done.push(await attempt('webhook', setUpHook(gitlab, project.id, settings, replace)))
  }
  done.push(await attempt('evidence', setUpEvidence(gitlab, service, project, rule.evidence.branch)))
  if (propose !== false)
    done.push(
      await attempt('first file', proposeFirstFile(gitlab, project, { config, rule, insist: propose === true })),
    )
  return done
}

/** What fails is told beside what was done: one part stops no other, and no change goes unsaid. */
async function attempt(what: Done['what'], part: Promise<Done>): Promise<Done> {
  try {
    return await part
  } catch (error) {
    if (!(error instanceof CompopsError)) throw error
    return { did: 'undone', what, sentence: `${error.message.replace(/\.$/, '')}.` }
  }
}

async function setUpHook(
  gitlab: GitLab,
  projectId: number,
  settings: Parameters<GitLab['createHook']>[1],
  replace: string | null,
): Promise<Done> {
  const hooks = await gitlab.hooks(projectId)
  const ours = chooseHook(hooks, settings.url, replace)
  const what = 'webhook'
  const more = otherHooks(hooks, settings.url, ours)
  try {
    if (ours === null) {
      await gitlab.createHook(projectId, settings)
      return {
        did: 'made',
        what,
        sentence: `A webhook leads to ${settings.url}, with the secret of the configuration.${more}`,
      }
    }
    const wrong = wrongWith(ours, settings.url)
    // Its secret cannot be read, only written: so it is right in any case.
    await gitlab.updateHook(projectId, ours.id, settings)
    return wrong.length === 0
      ? { did: 'in order', what, sentence: `The webhook was in order; its secret was written again.${more}` }
      : {
          did: 'mended',
          what,
          sentence: `The webhook was mended: ${wrong.join(', ')}; its secret was written again.${more}`,
        }
  } catch (error) {
    if (!isGitLabError(error) || error.status !== 422) throw error
    throw new CompopsError(
      `GitLab does not take the webhook's address ${settings.url} (${describeError(error)}). Is \`public_url\` right? For a local address an administrator must allow it: Admin → Settings → Network → Outbound requests.`,
      { cause: error },
    )
  }
}

/** The one that leads here; else the one at the address that may be replaced; null where one is to be made. */
export function chooseHook(hooks: readonly Hook[], url: string, replace: string | null): Hook | null {
  const at = (place: string) =>
    hooks.find(hook => (hookAddress(hook.url) ?? hook.url) === (hookAddress(place) ?? place))
  const ours = hooks.find(hook => hook.url === url) ?? at(url)
  if (ours !== undefined) return ours
  if (replace === null) return null
  const old = at(replace)
  if (old === undefined) {
    const others = addressesOf(hooks.filter(leadsToCompops))
    throw new CompopsError(
      `no webhook of the project leads to ${hookAddress(replace) ?? replace}: ${others === '' ? 'leave `--replace` out, and one is made' : `those that could be meant lead to ${others}`}`,
    )
  }
  return old
}

/** What a person should know of the other webhooks. Those that are not of our kind are not named: an address may be a secret. Pure. */
function otherHooks(hooks: readonly Hook[], url: string, ours: Hook | null): string {
  const others = hooks.filter(hook => hook.id !== ours?.id)
  const double = others.filter(hook => hookAddress(hook.url) === hookAddress(url))
  const elsewhere = others.filter(hook => leadsToCompops(hook) && !double.includes(hook))
  return [
    double.length === 0
      ? ''
      : ` ${double.length} more lead to the same address: delete them, else every event comes so often.`,
    elsewhere.length === 0
      ? ''
      : ` Left as it is: ${addressesOf(elsewhere)}. If that is where this service was before, delete it there (Settings → Webhooks)${ours === null ? ', or next time use `--replace` with that address' : ''}.`,
  ].join('')
}

function addressesOf(hooks: readonly Hook[]): string {
  return [...new Set(hooks.map(hook => hookAddress(hook.url)))].join(', ')
}

/** What was not as it should be, in words. Pure. */
export function wrongWith(hook: Hook, url: string): string[] {
  const missing = hookEvents.filter(event => !hook.events[event]).map(event => event.replaceAll('_', ' '))
  return [
    ...(hook.url === url ? [] : [`it led to ${hookAddress(hook.url) ?? 'elsewhere'}`]),
    ...(missing.length === 0 ? [] : [`it did not tell of ${missing.join(', ')}`]),
    ...(hook.branchFilter === '' ? [] : [`it told only of branches that match ${hook.branchFilter}`]),
    ...(hook.sslVerification ? [] : ['it did not look at certificates']),
    ...(hook.tokenPresent === false ? ['it had no secret'] : []),
  ]
}

/**
 * A rule of its own for the evidence branch: a wildcard that shuts Developers out stands beside it, and the more generous of two counts. A rule that is
 * there is never removed, not for a moment, and gives way only as far as our user needs.
 */
async function setUpEvidence(gitlab: GitLab, service: GitLab, project: Project, branch: string): Promise<Done> {
  const done = (did: Done['did'], sentence: string): Done => ({ did, what: 'evidence', sentence })
  const bot = await service.me().catch(error => {
    if (!isGitLabError(error, 'unauthorized')) throw error
    return null
  })
  const role = bot === null ? 0 : await gitlab.memberAccess(project.id, bot.id)
  if (bot === null || role < 30)
    return done(
      'undone',
      `${bot === null ? "The service's own token is refused" : `${bot.username}, the service, is no Developer here`}: it could not push evidence whatever is protected. \`compops doctor\` says what to do.`,
    )
  if (branch === project.defaultBranch)
    return done(
      'undone',
      `${branch} is the default branch of the project, whose protection is its people's and was left as it is. Name a branch of its own: \`evidence.branch\`.`,
    )
  const user = { id: bot.id, role }
  const rules = (await gitlab.protectedBranches(project.id)).filter(rule => coversBranch(rule, branch))
  const own = rules.find(rule => rule.name === branch)
  // Of a branch that is there GitLab itself knows, groups and all.
  const open =
    rules.some(rule => letsPush(rule, user)) ||
    (rules.length > 0 && ((await service.branch(project.id, branch))?.canPush ?? false))
  const loose = rules.filter(rule => rule.allowForcePush)
  if (open && loose.length === 0)
    return done('in order', `The branch ${branch} is protected, and ${bot.username} may push to it.`)
  if (own === undefined && !open) {
    await gitlab.protectBranch(project.id, branch, role >= 40 ? 40 : 30)
    return loose.length === 0
      ? done('made', `The branch ${branch} is protected: ${bot.username} may push to it, nobody may rewrite it.`)
      : done('undone', `The branch ${branch} has a rule now: ${bot.username} may push to it. ${rewritable(loose)}`)
  }
  const shut =
    own?.allowForcePush === true &&
    (await changed(
      gitlab.changeProtection(project.id, branch, { allowForcePush: false }),
      rule => !rule.allowForcePush,
    ))
  const opened =
    !open &&
    (await changed(gitlab.changeProtection(project.id, branch, { allowedToPush: [{ userId: bot.id }] }), rule =>
      letsPush(rule, user),
    ))
  const stillLoose = loose.filter(rule => !(shut && rule === own))
  const did = [
    ...(opened ? [`${bot.username} may push to it`] : []),
    ...(shut ? ['nobody may rewrite it by this rule'] : []),
  ]
  const wanted = [
    ...(open || opened
      ? []
      : [
          `The rule for ${branch} does not let ${bot.username} push, and GitLab does not let us name a user in it (that needs Premium): nothing was opened. In Settings → Repository → Protected branches allow whom you choose, Developers for instance, or name another \`evidence.branch\`.`,
        ]),
    ...(stillLoose.length === 0 ? [] : [rewritable(stillLoose)]),
  ]
  const sentence = did.length === 0 ? '' : `The branch ${branch} is protected: ${did.join(', ')}. `
  return done(wanted.length === 0 ? 'mended' : 'undone', `${sentence}${wanted.join(' ')}`.trim())
}

function rewritable(loose: readonly ProtectedBranch[]): string {
  return `Evidence may be rewritten: switch “Allowed to force push” off for ${loose.map(rule => rule.name).join(', ')} (Settings → Repository → Protected branches).`
}

/** Whether GitLab did it. What it refuses, or knows nothing of, is for a person; trouble on the way is trouble. */
async function changed(call: Promise<ProtectedBranch>, isDone: (rule: ProtectedBranch) => boolean): Promise<boolean> {
  try {
    return isDone(await call)
  } catch (error) {
    if (isGitLabError(error, 'invalid', 'forbidden', 'not found')) return false
    throw error
  }
}
