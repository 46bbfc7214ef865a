/**
 * A line of a comment that begins with `/close` is an order to GitLab and not text. Lines with a command GitLab does not know
 * (`/compops run`) stay, and so does everything inside fences and block quotes.
 */
const COMMANDS = new Set([
  'approve',
  'assign',
  'assign_reviewer',
  'cc',
  'close',
  'copy_metadata',
  'done',
  'draft',
  'due',
  'estimate',
  'label',
  'labels',
  'lock',
  'merge',
  'milestone',
  'ready',
  'rebase',
  'relabel',
  'remove_milestone',
  'reopen',
  'request_changes',
  'request_review',
  'shrug',
  'spend',
  'submit_review',
  'subscribe',
  'tableflip',
  'target_branch',
  'title',
  'todo',
  'unapprove',
  'unassign',
  'unlabel',
  'unlock',
  'unsubscribe',
])

export interface QuickAction {
  command: string
  argument: string
}

export function readQuickActions(body: string): { text: string; actions: QuickAction[] } {
  const actions: QuickAction[] = []
  const kept: string[] = []
  let fence: string | null = null
  for (const line of body.split('\n')) {
    const opening = /^\s{0,3}(`{3,}|~{3,}|>>>)/.exec(line)?.[1]
    if (opening !== undefined && (fence === null || opening.startsWith(fence))) fence = fence === null ? opening : null
    const match = fence === null ? /^\/([a-z_]+)(?:[ \t]+(.*?))?\s*$/i.exec(line) : null
    const command = match?.[1]?.toLowerCase()
    if (command !== undefined && COMMANDS.has(command)) actions.push({ command, argument: match?.[2] ?? '' })
    else kept.push(line)
  }
  return { text: actions.length === 0 ? body : kept.join('\n').trim(), actions }
}
