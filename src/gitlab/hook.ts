import { z } from 'zod'
import type { Client } from './client.ts'
import { all, read, rows, segment } from './read.ts'

/** A project's webhook. GitLab never tells its secrets again, only whether there are any (19.0 and later). */
export interface Hook {
  readonly id: number
  readonly url: string
  readonly events: Readonly<Record<HookEvent, boolean>>
  readonly sslVerification: boolean
  /** `executable`, `temporarily_disabled` or `disabled`: four failures in a row switch it off for a while, forty for good. */
  readonly alertStatus: string
  readonly disabledUntil: string | null
  readonly branchFilter: string
  readonly tokenPresent: boolean | null
}

export const hookEvents = ['push', 'tag_push', 'merge_requests', 'note', 'pipeline'] as const
export type HookEvent = (typeof hookEvents)[number]

/** What GitLab's log says of a delivery; it keeps two days. */
export interface HookDelivery {
  readonly id: number
  readonly at: string
  /** null where no answer came. */
  readonly status: number | null
  readonly error: string | null
}

const flag = z
  .boolean()
  .nullish()
  .transform(value => value ?? false)

const hook = z
  .object({
    id: z.number(),
    url: z.string(),
    push_events: flag,
    tag_push_events: flag,
    merge_requests_events: flag,
    note_events: flag,
    pipeline_events: flag,
    enable_ssl_verification: z.boolean().nullish(),
    alert_status: z.string().nullish(),
    disabled_until: z.string().nullish(),
    push_events_branch_filter: z.string().nullish(),
    token_present: z.boolean().nullish(),
  })
  .transform(
    (found): Hook => ({
      id: found.id,
      url: found.url,
      events: {
        push: found.push_events,
        tag_push: found.tag_push_events,
        merge_requests: found.merge_requests_events,
        note: found.note_events,
        pipeline: found.pipeline_events,
      },
      sslVerification: found.enable_ssl_verification ?? true,
      alertStatus: found.alert_status ?? 'executable',
      disabledUntil: found.disabled_until ?? null,
      branchFilter: found.push_events_branch_filter ?? '',
      tokenPresent: found.token_present ?? null,
    }),
  )

const delivery = z
  .object({
    id: z.number(),
    created_at: z.string().nullish(),
    response_status: z.union([z.string(), z.number()]).nullish(),
    internal_error_message: z.string().nullish(),
  })
  .transform((found): HookDelivery => {
    const status = String(found.response_status ?? '')
    return {
      id: found.id,
      at: found.created_at ?? '',
      status: /^\d{3}$/.test(status) ? Number(status) : null,
      error: found.internal_error_message ?? null,
    }
  })

export interface ProtectedBranch {
  /** A name, or a pattern with `*`. */
  readonly name: string
  /** Roles that may push; 0 is nobody. A level that stands beside a group or a deploy key is theirs, and no role's. */
  readonly pushLevels: readonly number[]
  readonly pushUserIds: readonly number[]
  readonly allowForcePush: boolean
}

const protectedBranch = z
  .object({
    name: z.string(),
    push_access_levels: z
      .array(
        z.object({
          access_level: z.number().nullish(),
          user_id: z.number().nullish(),
          group_id: z.number().nullish(),
          deploy_key_id: z.number().nullish(),
        }),
      )
      .nullish(),
    allow_force_push: z.boolean().nullish(),
  })
  .transform(
    (found): ProtectedBranch => ({
      name: found.name,
      pushLevels: (found.push_access_levels ?? []).flatMap(one =>
        typeof one.access_level === 'number' && (one.user_id ?? one.group_id ?? one.deploy_key_id ?? null) === null
          ? [one.access_level]
          : [],
      ),
      pushUserIds: (found.push_access_levels ?? []).flatMap(one =>
        typeof one.user_id === 'number' ? [one.user_id] : [],
      ),
      allowForcePush: found.allow_force_push ?? false,
    }),
  )

/** Whether the rule speaks of this branch: `*` stands for anything, slashes too. */
export function coversBranch(rule: ProtectedBranch, branch: string): boolean {
  const source = rule.name.split('*').map(part => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${source.join('.*')}$`, 's').test(branch)
}

/** Whether the rule lets this member push, by role or by name. That somebody may by a group, GitLab tells only of a branch that exists (`canPush`). */
export function letsPush(rule: ProtectedBranch, user: { readonly id: number; readonly role: number }): boolean {
  return rule.pushUserIds.includes(user.id) || rule.pushLevels.some(level => level !== 0 && level <= user.role)
}

/** Where a webhook leads, without user, query and fragment, which may hold secrets; null for an address that GitLab has masked beyond reading (`https://host:{port}/…`). */
export function hookAddress(url: string): string | null {
  if (!URL.canParse(url)) return null
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname.replace(/\/+$/, '')}`
}

/** Made for a service like this one, wherever that is. */
export function leadsToCompops(hook: Hook): boolean {
  return hookAddress(hook.url)?.endsWith('/webhooks/gitlab') ?? false
}

export interface HookSettings {
  readonly url: string
  /** GitLab keeps them and never tells them again. null leaves what is there. */
  readonly secret: string | null
  readonly signingToken: string | null
}

/** All that we act on; certificates are looked at. */
function settingsOf({ secret, signingToken }: HookSettings): Record<string, unknown> {
  return {
    name: 'ComputationalOps',
    pushEvents: true,
    tagPushEvents: true,
    mergeRequestsEvents: true,
    noteEvents: true,
    pipelineEvents: true,
    pushEventsBranchFilter: '',
    enableSslVerification: true,
    ...(secret === null ? {} : { token: secret }),
    ...(signingToken === null ? {} : { signingToken }),
  }
}

export function hookCalls(client: Client) {
  return {
    /** Look for one first: a project may have many that lead to one place. */
    async createHook(projectId: number, settings: HookSettings): Promise<Hook> {
      return read(hook, await client.hooks.add(projectId, settings.url, settingsOf(settings)), 'the new webhook', true)
    },

    async updateHook(projectId: number, hookId: number, settings: HookSettings): Promise<Hook> {
      return read(hook, await client.hooks.edit(projectId, hookId, settings.url, settingsOf(settings)), 'the webhook')
    },

    /** A new rule for a branch that has none of this name: 409 where there is one. https://docs.gitlab.com/api/protected_branches/ */
    async protectBranch(projectId: number, name: string, pushLevel: 30 | 40): Promise<ProtectedBranch> {
      const answer = await client.protectedBranches.create(projectId, segment(name, 'a branch') as string, {
        pushAccessLevel: pushLevel,
        mergeAccessLevel: 0,
        allowForcePush: false,
      })
      return read(protectedBranch, answer, 'the protected branch', true)
    },

    /**
     * Changes a rule in place (GitLab 15.6), so that the branch is protected all the while; who may push already stays. To name a user needs Premium:
     * elsewhere GitLab refuses, or says 200 and changes nothing. So look at what comes back.
     */
    async changeProtection(
      projectId: number,
      name: string,
      change: { readonly allowForcePush: false } | { readonly allowedToPush: [{ readonly userId: number }] },
    ): Promise<ProtectedBranch> {
      const answer = await client.protectedBranches.edit(projectId, segment(name, 'a branch') as string, change)
      return read(protectedBranch, answer, 'the protected branch')
    },

    /** Needs a Maintainer. */
    async hooks(projectId: number): Promise<Hook[]> {
      return all(rows(hook, 'the webhooks', page => client.hooks.all(segment(projectId, 'a project') as number, page)))
    },

    /** The newest first. Needs a Maintainer, and GitLab 17.3. */
    async hookDeliveries(projectId: number, hookId: number): Promise<HookDelivery[]> {
      const answer = await client.requester.get(`projects/${projectId}/hooks/${hookId}/events`, { perPage: 20 })
      return read(z.array(delivery), answer, 'the deliveries of a webhook')
    },

    /** May need a Maintainer. */
    async protectedBranches(projectId: number): Promise<ProtectedBranch[]> {
      return all(
        rows(protectedBranch, 'the protected branches', page =>
          client.protectedBranches.all(segment(projectId, 'a project') as number, page),
        ),
      )
    },
  }
}
