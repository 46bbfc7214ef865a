import { type Config, projectFor } from '../config/index.ts'
import { CompopsError, describeError } from '../errors.ts'
import { createGitLab, fixedToken, type GitLab, type Hook, hookEvents, isGitLabError } from '../gitlab/gitlab.ts'

/** What was done to a project, or left, in a sentence each. */
export interface Done {
  readonly did: 'made' | 'mended' | 'left' | 'in order'
  readonly what: 'webhook' | 'evidence'
  readonly sentence: string
}

/**
 * Brings a project's side in order with a Maintainer's token, which is used for this and kept nowhere: the webhook, and who may push evidence. What
 * is in order is left; asked again it finds everything in order.
 */
export async function setUpProject(config: Config, path: string, maintainerToken: string): Promise<Done[]> {
  const rule = projectFor(config, path)
  if (rule === null)
    throw new CompopsError(
      `no rule of ${config.file} matches ${path}: add it under \`projects\` first, and see \`compops check\``,
    )
  const { url, timeout } = config.gitlab
  const gitlab = createGitLab({ url, token: fixedToken(maintainerToken), deadline: timeout })
  const service = createGitLab({
    url,
    token: fixedToken(await (rule.token ?? config.gitlab.token).read()),
    deadline: timeout,
  })
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
    done.push(await setUpHook(gitlab, project.id, settings))
  }
  done.push(await setUpEvidence(gitlab, service, project.id, rule.evidence.branch))
  return done
}

async function setUpHook(
  gitlab: GitLab,
  projectId: number,
  settings: Parameters<GitLab['createHook']>[1],
): Promise<Done> {
  const hooks = await gitlab.hooks(projectId)
  const ours = chooseHook(hooks, settings.url)
  const what = 'webhook'
  try {
    if (ours === null) {
      await gitlab.createHook(projectId, settings)
      return {
        did: 'made',
        what,
        sentence: `A webhook leads to ${settings.url}, with the secret of the configuration.`,
      }
    }
    const wrong = wrongWith(ours, settings.url)
    // Its secret cannot be read, only written: so it is right in any case.
    await gitlab.updateHook(projectId, ours.id, settings)
    const others = hooks.filter(hook => hook.id !== ours.id && hook.url === settings.url).length
    const more =
      others === 0 ? '' : ` ${others} more lead to the same address: delete them, else every event comes so often.`
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

/** The one that leads here, else one of ours that leads to where we once were. */
export function chooseHook(hooks: readonly Hook[], url: string): Hook | null {
  return (
    hooks.find(hook => hook.url === url) ??
    hooks.find(hook => URL.canParse(hook.url) && new URL(hook.url).pathname.endsWith('/webhooks/gitlab')) ??
    null
  )
}

/** What was not as it should be, in words. Pure. */
export function wrongWith(hook: Hook, url: string): string[] {
  const missing = hookEvents.filter(event => !hook.events[event]).map(event => event.replaceAll('_', ' '))
  return [
    ...(hook.url === url ? [] : [`it led to ${URL.canParse(hook.url) ? new URL(hook.url).host : 'elsewhere'}`]),
    ...(missing.length === 0 ? [] : [`it did not tell of ${missing.join(', ')}`]),
    ...(hook.branchFilter === '' ? [] : [`it told only of branches that match ${hook.branchFilter}`]),
    ...(hook.sslVerification ? [] : ['it did not look at certificates']),
    ...(hook.tokenPresent === false ? ['it had no secret'] : []),
  ]
}

/** A rule of its own for the evidence branch: a wildcard that shuts Developers out stands beside it, and the more generous of two counts. */
async function setUpEvidence(gitlab: GitLab, service: GitLab, projectId: number, branch: string): Promise<Done> {
  const what = 'evidence'
  const bot = await service.me().catch(() => null)
  const role = bot === null ? 0 : await gitlab.memberAccess(projectId, bot.id)
  if (bot === null || role < 30)
    return {
      did: 'left',
      what,
      sentence: `${bot === null ? "The service's own token is refused" : `${bot.username}, the service, is no Developer here`}: it could not push evidence whatever is protected. \`compops doctor\` says what to do.`,
    }
  const rule = (await gitlab.protectedBranches(projectId)).find(one => one.name === branch)
  const open = rule?.pushLevels.some(level => level !== 0 && level <= role) ?? false
  if (rule !== undefined && open && !rule.allowForcePush)
    return { did: 'in order', what, sentence: `The branch ${branch} is protected, and ${bot.username} may push to it.` }
  await gitlab.protectBranch(projectId, branch, role >= 40 ? 40 : 30)
  return {
    did: rule === undefined ? 'made' : 'mended',
    what,
    sentence: `The branch ${branch} is protected: ${bot.username} may push to it, nobody may rewrite it.`,
  }
}
