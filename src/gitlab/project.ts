import { z } from 'zod'
import type { Client } from './client.ts'
import { GitLabError } from './errors.ts'
import { isMissing, read, segment } from './read.ts'

export interface Project {
  readonly id: number
  readonly pathWithNamespace: string
  /** Short; null for an empty repository. */
  readonly defaultBranch: string | null
  readonly webUrl: string
  readonly archived: boolean
  /** null: `.gitlab-ci.yml`. */
  readonly ciConfigPath: string | null
  readonly emptyRepo: boolean
  readonly forkedFromId: number | null
  /** Informational: where GitLab says git finds it; it may name a host that only GitLab knows. */
  readonly httpUrl: string
}

export interface Branch {
  /** Short. */
  readonly name: string
  readonly sha: string
  readonly protected: boolean
  /** Of the token's user. */
  readonly canPush: boolean
  /** Whether the role Developer is enough; true where it is not protected. */
  readonly developersCanPush: boolean
}

export interface Commit {
  readonly id: string
  readonly title: string
  readonly message: string
  readonly authorName: string
  readonly authorEmail: string
  readonly committedAt: string | null
  readonly lastPipeline: {
    readonly id: number
    readonly ref: string
    readonly status: string
    readonly source: string | null
  } | null
}

const optionalText = z
  .string()
  .nullish()
  .transform(value => (value === undefined || value === null || value === '' ? null : value))

const project = z
  .object({
    id: z.number(),
    path_with_namespace: z.string(),
    default_branch: optionalText,
    web_url: z.string().nullish(),
    archived: z.boolean().nullish(),
    ci_config_path: optionalText,
    empty_repo: z.boolean().nullish(),
    forked_from_project: z.object({ id: z.number() }).nullish(),
    http_url_to_repo: z.string().nullish(),
  })
  .transform(
    (found): Project => ({
      id: found.id,
      pathWithNamespace: found.path_with_namespace,
      defaultBranch: found.default_branch,
      webUrl: found.web_url ?? '',
      archived: found.archived ?? false,
      ciConfigPath: found.ci_config_path,
      emptyRepo: found.empty_repo ?? false,
      forkedFromId: found.forked_from_project?.id ?? null,
      httpUrl: found.http_url_to_repo ?? '',
    }),
  )

const branch = z
  .object({
    name: z.string(),
    commit: z.object({ id: z.string() }),
    protected: z.boolean().nullish(),
    can_push: z.boolean().nullish(),
    developers_can_push: z.boolean().nullish(),
  })
  .transform(
    (found): Branch => ({
      name: found.name,
      sha: found.commit.id,
      protected: found.protected ?? false,
      canPush: found.can_push ?? false,
      developersCanPush: found.protected !== true || found.developers_can_push === true,
    }),
  )

const commit = z
  .object({
    id: z.string(),
    title: z.string().nullish(),
    message: z.string().nullish(),
    author_name: z.string().nullish(),
    author_email: z.string().nullish(),
    committed_date: z.string().nullish(),
    last_pipeline: z
      .object({
        id: z.number(),
        ref: z.string().nullish(),
        status: z.string().nullish(),
        source: z.string().nullish(),
      })
      .nullish(),
  })
  .transform(
    (found): Commit => ({
      id: found.id,
      title: found.title ?? '',
      message: found.message ?? '',
      authorName: found.author_name ?? '',
      authorEmail: found.author_email ?? '',
      committedAt: found.committed_date ?? null,
      lastPipeline:
        found.last_pipeline === null || found.last_pipeline === undefined
          ? null
          : {
              id: found.last_pipeline.id,
              ref: found.last_pipeline.ref ?? '',
              status: found.last_pipeline.status ?? '',
              source: found.last_pipeline.source ?? null,
            },
    }),
  )

export function projectCalls(client: Client) {
  return {
    /** By id, or by path (`group/name`), which GitLab wants as one segment. */
    async project(idOrPath: number | string): Promise<Project> {
      return read(project, await client.projects.show(segment(idOrPath, 'a project')), `project ${idOrPath}`)
    },

    /**
     * Every project, by id. Keyset pagination: offsets end at 50,000 rows. GitLab names a next page until one comes back empty, so that is
     * where we stop too.
     */
    async *projects(options: { membership: boolean; search?: string }): AsyncGenerator<Project, void, undefined> {
      let after = 0
      for (;;) {
        const answer = await client.requester.get('projects', {
          pagination: 'keyset',
          orderBy: 'id',
          sort: 'asc',
          perPage: 100,
          idAfter: after,
          membership: options.membership,
          search: options.search,
        })
        const found = read(z.array(project), answer, 'the projects')
        yield* found
        const last = found.at(-1)?.id
        if (last === undefined) return
        if (last <= after) {
          throw new GitLabError('GitLab lists projects without order (id_after is ignored); cannot read on', {
            kind: 'invalid',
          })
        }
        after = last
      }
    },

    /** null if there is no such branch; a project that cannot be seen is an error. */
    async branch(projectId: number, name: string): Promise<Branch | null> {
      try {
        return read(
          branch,
          await client.branches.show(projectId, segment(name, 'a branch') as string),
          `branch ${name}`,
        )
      } catch (error) {
        if (isMissing(error)) return null
        throw error
      }
    },

    /** `lastPipeline` is the one GitLab itself takes for the commit, which may have been made by our own statuses. */
    async commit(projectId: number, sha: string): Promise<Commit> {
      return read(commit, await client.commits.show(projectId, segment(sha, 'a commit') as string), `commit ${sha}`)
    },
  }
}
