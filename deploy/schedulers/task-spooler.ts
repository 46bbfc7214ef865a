/**
 * A scheduler of a site's own, complete: Task Spooler, a queue for one workstation (`apt install task-spooler`, tsp(1)).
 *
 *     clusters:
 *       workstation: { scheduler: ./task-spooler.ts, root: /scratch/compops, ssh: { … } }
 *
 * Text in, text out: the service carries the words there and back. What each member must keep to stands in src/scheduler/dialect.ts.
 */
import { CompopsError, type Dialect, fieldMark, type QueueRow, recordMark, UnreadableError } from 'compops/scheduler'

const states: Readonly<Record<string, QueueRow['state']>> = {
  queued: 'queued',
  allocating: 'queued',
  running: 'running',
  finished: 'ended',
  skipped: 'ended',
}

const head = `ID${fieldMark}STATE${fieldMark}NAME\n`

const taskSpooler: Dialect = {
  name: 'tsp',
  // It has no directive lines, so a batch script's are not read and a job's resources ask it for nothing.
  prefix: null,
  directives: ({ directives }) => {
    if (directives.length > 0)
      throw new CompopsError(`directives: ${directives[0]} says nothing to tsp, which has none`)
    return []
  },
  readDirectives: () => ({ resources: {}, lines: {}, directives: [], dropped: [] }),
  allowedDirective: () => 'tsp has no directives',

  // `tsp -L NAME COMMAND` answers with a number. Numbers begin anew with each start of its server; the name, and the fence, tell such jobs apart.
  nativeId: /^\d{1,9}$/,
  nativeDependencies: false,
  array: { variable: 'COMPOPS_ARRAY_INDEX', canNumber: () => true },
  submitArguments: request => [request.name],
  readSubmit(answer) {
    const id = /^(\d{1,9})\n?$/.exec(answer)?.[1]
    if (id === undefined) throw new UnreadableError(`tsp did not answer with a number: ${JSON.stringify(answer)}`)
    return id
  },
  judgeRefusal: () => 'unknown',

  readFacts(text) {
    const version = /^Task Spooler v(\S+)/.exec(text)?.[1]
    if (version === undefined) throw new UnreadableError(`tsp -V did not answer: ${JSON.stringify(text.slice(0, 100))}`)
    return {
      version: `tsp ${version}`,
      accounting: false,
      // It forgets what has ended only when it is told to, or after so many others; believed for five minutes.
      remembers: 300,
      nativeDependencies: false,
      maxArraySize: null,
    }
  },
  *readQueue(text) {
    // The head line comes only when tsp has answered: without it the list is cut, and says nothing about any job.
    const [before, first, ...records] = text.split(recordMark)
    if (before !== '' || first !== head) throw new UnreadableError(`tsp's list is not whole: ${text.slice(0, 100)}`)
    for (const record of records) {
      const [nativeId = '', word = '', name = ''] = record.trimEnd().split(fieldMark)
      const state = states[word]
      if (!/^\d{1,9}$/.test(nativeId) || state === undefined)
        throw new UnreadableError(`not a line of tsp's list: ${record.slice(0, 100)}`)
      yield {
        ...{ nativeId, name, state, nativeState: word, tasks: null, verdict: null, reason: null, queue: null },
        ...{ submittedAt: null, startAt: null, endAt: null, nodes: [], restarts: 0 },
      }
    }
  },
  // There is no accounting: how a job ended says the exit file that our wrapper writes.
  pastWithoutAccounting: false,
  readPast(text) {
    if (text !== '') throw new UnreadableError(`tsp keeps no accounting, and this came: ${text.slice(0, 100)}`)
    return []
  },
  reasonInWords: reason => reason,

  // In the job: who am I? tsp does not tell its jobs, so it is asked which of its processes we are.
  identify: `compops_index=
compops_restarts=0
compops_nodes=$(command uname -n)
compops_native=
for compops_id in $(tsp | command awk -v name="[$1]" 'NR > 1 && $2 == "running" && index($0, name) { print $1 }'); do
  [ "$(tsp -p "$compops_id")" != $$ ] || compops_native=$compops_id
done
`,
  hooks: '',

  // On the cluster, in POSIX sh. tsp_list prints `<id> <state> <name>` for each of our jobs, and fails where tsp does not answer.
  shell: `tsp_list() {
  _list=$(tsp) || return 1
  case $_list in 'ID   State'*) ;; *) printf 'tsp answered: %s\\n' "$_list" >&2; return 1 ;; esac
  printf '%s\\n' "$_list" | awk 'NR > 1 && match($0, /\\[compops-[0-9a-f-]+\\]/) { print $1, $2, substr($0, RSTART + 1, RLENGTH - 2) }'
}

scheduler_probe() { tsp -V; }

# The first call starts tsp's server, which must not keep our standard output open.
scheduler_submit() {
  (
    unset TZ LC_ALL
    tsp >/dev/null 2>&1 </dev/null
    exec tsp -L "$2" /bin/bash -l "$1" "$2"
  )
}

scheduler_submitted() {
  _id=$(cat)
  case $_id in '' | *[!0-9]*) return 1 ;; esac
  echo "$_id"
}

scheduler_judge() { cat >/dev/null; echo unknown; }

scheduler_find() { tsp_list | awk -v name="$1" '$3 == name { print $1 }'; }

scheduler_queue() {
  _rows=$(tsp_list) || return
  printf '\\036ID\\037STATE\\037NAME\\n'
  printf '%s\\n' "$_rows" | while read -r _id _state _name; do
    [ -z "$_id" ] || printf '\\036%s\\037%s\\037%s\\n' "$_id" "$_state" "$_name"
  done
}

scheduler_past() { cat >/dev/null; }

scheduler_active() {
  _rows=$(tsp_list) || return
  printf '%s\\n' "$_rows" | awk '$2 == "queued" || $2 == "allocating" || $2 == "running" { print $1, $3 }'
}

# What waits is taken out; what runs gets the signal that our wrapper passes on to the job's commands.
scheduler_kill() {
  while read -r _id _name _dir; do
    tsp -r "$_id" >/dev/null 2>&1 || tsp -k "$_id" >/dev/null 2>&1 || :
  done
}
`,
}

export default taskSpooler
