import {
  Branches,
  Commits,
  Jobs,
  MergeRequestNoteAwardEmojis,
  MergeRequestNotes,
  MergeRequests,
  PersonalAccessTokens,
  Pipelines,
  ProjectHooks,
  ProjectMembers,
  Projects,
  ProjectVariables,
  ProtectedBranches,
  Repositories,
  RepositoryFiles,
  Users,
} from '@gitbeaker/rest'
import { createRequester, type RequesterOptions } from './requester.ts'

export type Client = ReturnType<typeof createClient>

/** gitbeaker's resources that we use, over our requester. They build paths (each segment encoded once) and name parameters; nothing else. */
export function createClient(options: RequesterOptions) {
  const requester = createRequester(options)
  const over = {
    host: requester.url,
    requesterFn: requester.requesterFn,
    // Deadlines and limits are the requester's; gitbeaker's would come on top.
    queryTimeout: null,
    rateLimits: {},
    // Field names stay GitLab's until our schemas rename them.
    camelize: false as const,
  }
  return {
    requester,
    branches: new Branches(over),
    commits: new Commits(over),
    members: new ProjectMembers(over),
    mergeRequests: new MergeRequests(over),
    notes: new MergeRequestNotes(over),
    noteEmojis: new MergeRequestNoteAwardEmojis(over),
    personalAccessTokens: new PersonalAccessTokens(over),
    pipelines: new Pipelines(over),
    jobs: new Jobs(over),
    hooks: new ProjectHooks(over),
    projects: new Projects(over),
    projectVariables: new ProjectVariables(over),
    protectedBranches: new ProtectedBranches(over),
    repositories: new Repositories(over),
    files: new RepositoryFiles(over),
    users: new Users(over),
  }
}
