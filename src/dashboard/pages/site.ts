import type { Desk } from '../../auth/desk.ts'
import type { Context } from '../../context.ts'
import { pathUrl } from '../../render/links.ts'
import type { LogReader } from '../../results/log-reader.ts'
import type { Page } from '../page.ts'
import type { Visitor } from '../visitor.ts'
import type { ApiDescription } from './reference.ts'

export type { Desk }

/** What every page is made from. */
export interface Site {
  readonly context: Context
  /** Path of `public_url`, without a slash at the end. */
  readonly base: string
  readonly desk: Desk
  readonly log: LogReader
  /** The description of the API, as programs get it. */
  api(): Promise<ApiDescription>
}

export interface PageAsked {
  /** The parts of the address that its pattern names, decoded. */
  readonly params: readonly string[]
  readonly query: URLSearchParams
}

/** One kind of page: where it stands and how it is made. Throws Refusal for what the visitor may not see. */
export interface PageKind {
  readonly at: RegExp
  show(site: Site, visitor: Visitor, asked: PageAsked): Promise<Page | null>
}

/** A word of the address that is looked for, or names something; empty where there is none. */
export function wordOf(query: URLSearchParams, name: string): string {
  return (query.get(name) ?? '').trim().slice(0, 200).replaceAll('\0', '')
}

/** Addresses of pages, in one place. */
export function addressesOf({ base, context }: Site) {
  const segment = (text: string) => encodeURIComponent(text.toWellFormed())
  const gitlab = context.config.gitlab.url
  return {
    run: (id: string) => `${base}/runs/${segment(id)}`,
    job: (run: string, job: string) => `${base}/runs/${segment(run)}/jobs/${segment(job)}`,
    act: (run: string, verb: string, job: string | null, back: string) =>
      `${base}/runs/${segment(run)}/act/${segment(verb)}?${new URLSearchParams({ ...(job === null ? {} : { job }), back })}`,
    tree: (path: string) => `${base}/projects/${pathUrl(path)}/-/tree`,
    compare: (path: string) => `${base}/projects/${pathUrl(path)}/-/compare`,
    launch: (path: string) => `${base}/projects/${pathUrl(path)}/-/launch`,
    project: (path: string) => `${base}/projects/${pathUrl(path)}`,
    clusterAct: (cluster: string, act: string) => `${base}/load/${segment(cluster)}/${act}`,
    jobs: (query: Readonly<Record<string, string>>) => {
      const text = new URLSearchParams(query).toString()
      return `${base}/jobs${text === '' ? '' : `?${text}`}`
    },
    /** In GitLab, which shows it to whom it may. */
    inGitLab: (project: string, ...rest: string[]) =>
      `${gitlab}/${pathUrl(project)}${rest.length === 0 ? '' : `/-/${rest.map(pathUrl).join('/')}`}`,
  }
}

/** What cannot be decoded is nobody's name. */
export function decoded(text: string | undefined): string {
  try {
    return decodeURIComponent(text ?? '')
  } catch {
    return ''
  }
}
