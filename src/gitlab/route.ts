/** Every call we make, as GitLab's documentation writes them. Metrics are kept by these, so that no id becomes a label. */
export const routes = [
  'version',
  'user',
  'users/:id',
  'personal_access_tokens/self',
  'oauth/token/info',
  'projects',
  'projects/:id',
  'projects/:id/members/all/:user_id',
  'projects/:id/hooks',
  'projects/:id/hooks/:hook_id',
  'projects/:id/hooks/:hook_id/events',
  'projects/:id/pipelines',
  'projects/:id/pipelines/:pipeline_id',
  'projects/:id/protected_branches',
  'projects/:id/protected_branches/:name',
  'projects/:id/repository/branches',
  'projects/:id/repository/branches/:branch',
  'projects/:id/repository/commits/:sha',
  'projects/:id/repository/commits/:sha/statuses',
  'projects/:id/repository/files/:file_path',
  'projects/:id/statuses/:sha',
  'projects/:id/uploads',
  'projects/:id/variables',
  'projects/:id/merge_requests',
  'projects/:id/merge_requests/:iid',
  'projects/:id/merge_requests/:iid/pipelines',
  'projects/:id/merge_requests/:iid/notes',
  'projects/:id/merge_requests/:iid/notes/:note_id',
  'projects/:id/merge_requests/:iid/notes/:note_id/award_emoji',
] as const

const patterns = routes.map(route => ({ route, parts: route.split('/') }))

/** The route of a path below `/api/v4/`; `other` for one that is not in the list. */
export function routeOf(path: string): string {
  const parts = path.split('/')
  const found = patterns.find(
    pattern =>
      pattern.parts.length === parts.length &&
      pattern.parts.every((part, index) => part.startsWith(':') || part === parts[index]),
  )
  return found?.route ?? 'other'
}
