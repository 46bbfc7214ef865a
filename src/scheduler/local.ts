import { CompopsError, UnreadableError } from '../errors.ts'
import type { AccountingRow, QueueRow } from '../model/observation.ts'
import type { Dialect, JobRequest, PastRow } from './dialect.ts'
import { fieldMark, recordMark } from './dialect.ts'
import { processStart } from './process.ts'

/**
 * Jobs as processes of this machine, in sessions of their own, for laptops, workstations and tests. The native id is `<pid>.<start>`, so that a
 * process which later gets the same pid is a stranger. What is alive is the queue; there is no accounting. `/proc` on Linux, else ps(1).
 */
export const local: Dialect = {
  name: 'local',
  prefix: null,
  nativeId: /^\d{1,10}\.[A-Za-z0-9]{1,40}$/,
  nativeDependencies: false,
  pastWithoutAccounting: true,
  shell: localShell(),
  identify: `${processStart}
compops_index=
compops_native=$$.$(process_start $$)
compops_restarts=0
compops_nodes=$(command uname -n)
`,
  hooks: localHooks(),
  array: { variable: 'COMPOPS_ARRAY_INDEX', canNumber: () => true },
  // Nobody gives out processors or memory here; the time limit is kept by the wrapper itself.
  directives: ({ directives }) => {
    if (directives.length > 0)
      throw new CompopsError(`directives: ${directives[0]} says nothing to local, which has no directives`)
    return []
  },
  readDirectives: () => ({ resources: {}, lines: {}, directives: [], dropped: [] }),
  allowedDirective: () => 'local has no directives',
  submitArguments(request: JobRequest) {
    if (request.dependsOn.length > 0)
      throw new CompopsError('local has no dependencies of its own: the service waits instead')
    if (request.array !== null)
      throw new CompopsError('array: local runs no arrays yet; loop in the script, or choose another cluster')
    return [request.name, request.work]
  },
  readSubmit(answer) {
    const id = /^(\d{1,10}\.[A-Za-z0-9]{1,40})\n?$/.exec(answer)?.[1]
    if (id === undefined)
      throw new UnreadableError(
        `starting a process did not answer with its id: ${JSON.stringify(answer.slice(0, 200))}`,
      )
    return id
  },
  // The shell could not even start a process; nothing runs.
  judgeRefusal: () => 'transient',
  readFacts(text) {
    const system = /^local (.+)$/m.exec(text)?.[1]
    if (system === undefined) throw new UnreadableError(`uname did not answer: ${JSON.stringify(text.slice(0, 200))}`)
    return {
      version: `local ${system}`,
      accounting: false,
      remembers: 0,
      nativeDependencies: false,
      maxArraySize: null,
    }
  },
  *readQueue(text) {
    const [before = '', head, ...records] = text.split(recordMark)
    if (before !== '' || head !== `ID${fieldMark}STATE${fieldMark}NAME\n`)
      throw new UnreadableError(`the list of processes is not whole: ${JSON.stringify(text.slice(0, 200))}`)
    for (const record of records) {
      const [id = '', state = '', name = ''] = record.trimEnd().split(fieldMark)
      const word = states[state]
      if (!local.nativeId.test(id) || word === undefined)
        throw new UnreadableError(`not a line of the list of processes: ${JSON.stringify(record.slice(0, 200))}`)
      yield { ...blank, nativeId: id, name, state: word, nativeState: state }
    }
  },
  *readPast(text): Generator<PastRow> {
    for (const line of text.split('\n')) {
      if (line === '') continue
      const [id = '', name = '', why = '', epoch = ''] = line.split(fieldMark)
      if (!local.nativeId.test(id) || why !== 'timeout' || !/^\d{1,12}$/.test(epoch))
        throw new UnreadableError(`not a line about an ended process: ${JSON.stringify(line.slice(0, 200))}`)
      const endAt = new Date(Number(epoch) * 1000)
      yield {
        kind: 'queue',
        row: { ...blank, nativeId: id, name, state: 'ended', nativeState: 'TIMEOUT', verdict: 'timeout', endAt },
      }
    }
  },
  reasonInWords: reason => reason,
}

const states: Readonly<Record<string, QueueRow['state']>> = { RUNNING: 'running', STOPPED: 'suspended' }

const blank = {
  tasks: null,
  verdict: null,
  reason: null,
  queue: null,
  submittedAt: null,
  startAt: null,
  endAt: null,
  nodes: [],
  restarts: 0,
} as const satisfies Partial<QueueRow> & Partial<AccountingRow>

function localShell(): string {
  return `${processStart}

scheduler_probe() { echo "local $(uname -sr)"; }

# setsid(1), or where there is none (macOS) the job control of bash, gives the job a process group of its own: it outlives us and the service.
scheduler_submit() {
  (
    unset TZ LC_ALL
    trap - PIPE
    _log=\${1%/*}/scheduler.log
    cd "$3" || exit
    if command -v setsid >/dev/null; then
      setsid /bin/bash -l "$1" "$2" </dev/null >>"$_log" 2>&1 &
      _pid=$!
    else
      _pid=$(/bin/bash -c 'set -m; _log=$1; shift; /bin/bash -l "$@" </dev/null >>"$_log" 2>&1 & echo $!' bash "$_log" "$1" "$2")
    fi
    _start=$(process_start "$_pid") && echo "$_pid.$_start"
  )
}

scheduler_submitted() {
  _id=$(cat)
  case $_id in *.*.* | *[!A-Za-z0-9.]* | .* | *.) return 1 ;; [0-9]*.*) echo "$_id" ;; *) return 1 ;; esac
}

scheduler_judge() { cat >/dev/null; echo transient; }

# Leaders that were started by us, one line each: <pid>.<start> <state> <name>
local_jobs() {
  if [ -r /proc/self/stat ]; then
    grep -ls compops- /proc/[0-9]*/cmdline | while IFS=/ read -r _ _ _pid _; do
      [ -O "/proc/$_pid" ] || continue
      _name=$(tr '\\000\\n' '\\n ' <"/proc/$_pid/cmdline" 2>/dev/null | tail -n 1)
      case $_name in *[!a-z0-9-]*) continue ;; compops-*) ;; *) continue ;; esac
      { IFS= read -r _stat <"/proc/$_pid/stat"; } 2>/dev/null || continue
      set -- \${_stat##*) }
      case $1 in Z | X) continue ;; T | t) _state=STOPPED ;; *) _state=RUNNING ;; esac
      # Leads its session: a subshell of a job has the same command line.
      [ "$4" = "$_pid" ] || continue
      shift 19
      echo "$_pid.$1 $_state $_name"
    done
  else
    ps -U "$(id -u)" -o pid=,pgid=,state=,args= | while read -r _pid _group _letter _args; do
      [ "$_pid" = "$_group" ] || continue
      _name=\${_args##* }
      case $_name in *[!a-z0-9-]*) continue ;; compops-*) ;; *) continue ;; esac
      case $_letter in Z*) continue ;; T*) _state=STOPPED ;; *) _state=RUNNING ;; esac
      _start=$(process_start "$_pid") && echo "$_pid.$_start $_state $_name"
    done
  fi
}

scheduler_find() { local_jobs | awk -v name="$1" '$3 == name { print $1 }'; }

scheduler_queue() {
  printf '\\036ID\\037STATE\\037NAME\\n'
  local_jobs | while read -r _id _state _name; do printf '\\036%s\\037%s\\037%s\\n' "$_id" "$_state" "$_name"; done
}

scheduler_past() {
  while read -r _id _name _dir; do
    [ -f "$_dir/killed.0" ] || continue
    # The job could write that file, too: what our watcher did not write says nothing, and must not spoil the answer about the others.
    _when=$(head -c 64 "$_dir/killed.0" 2>/dev/null)
    case $_when in timeout\\ [0-9]*) _when=\${_when#timeout } ;; *) continue ;; esac
    case $_when in *[!0-9]* | ???????????*) continue ;; esac
    printf '%s\\037%s\\037timeout\\037%s\\n' "$_id" "$_name" "$_when"
  done
  return 0
}

scheduler_active() { local_jobs | while read -r _id _ _name; do echo "$_id $_name"; done; }

# Sets $_alive and $_commands: whether the wrapper of the job $1 $2 in $3 lives, and the process group of its commands while that is theirs.
local_job() {
  _alive=
  case $_left in *"$1 $2"*) _alive=1 ;; esac
  _commands=
  { read -r _commands <"$3/group.0"; } 2>/dev/null
  [ "$(process_start "\${_commands%%.*}")" = "\${_commands#*.}" ] && _commands=\${_commands%%.*} || _commands=
  # The job could write that file: never everybody (-1), never ourselves (-0).
  case $_commands in 0* | 1 | *[!0-9]*) _commands= ;; esac
}

# First the wrapper is asked (TERM): it passes that on, and writes what it can. After 5 s its commands are killed, and only 5 s later, if it
# has not come to its end even then, it is itself. No -- before a group: dash and busybox take that for a number.
scheduler_kill() {
  _list=$(cat)
  for _phase in ask insist force; do
    for _try in 0 1 2 3 4 5; do
      [ $_try -eq 0 ] || sleep 1
      _left=$(scheduler_active)
      _busy=
      while read -r _id _name _dir; do
        local_job "$_id" "$_name" "$_dir"
        [ -n "$_alive$_commands" ] || continue
        _busy=1
        case $_try$_phase$_alive in
          0ask1) kill -TERM "-\${_id%%.*}" ;;
          0ask) kill -TERM "-$_commands" ;;
          0insist*) [ -z "$_commands" ] || kill -KILL "-$_commands" ;;
          0force1) kill -KILL "-\${_id%%.*}" ;;
        esac 2>/dev/null
      done <<LIST
$_list
LIST
      [ -n "$_busy" ] || return 0
    done
  done
}`
}

function localHooks(): string {
  return `# The commands get a process group of their own, so that a signal can reach all of them and not this shell.
compops_launch() {
  set -m
  compops_run "$@" &
  compops_child=$!
  printf '%s.%s\\n' "$compops_child" "$(process_start "$compops_child")" | compops_store "group.$compops_i"
  compops_watcher=
  if [ -n "$compops_seconds" ]; then
    "$BASH" -c 'sleep "$1"
      printf "timeout %s\\n" "$(date +%s)" >"$3/new.killed" && mv -f "$3/new.killed" "$3/killed.0"
      printf "compops: the time limit of %s s is reached\\n" "$1"
      kill -s TERM -- "-$2"
      sleep 10
      kill -s KILL -- "-$2"' watch "$compops_seconds" "$compops_child" "$compops_dir" 2>/dev/null &
    compops_watcher=$!
    # Its end is no news.
    disown
  fi
  set +m
}
compops_pass_on() {
  compops_caught=$1
  [ -z "$compops_child" ] || kill -s "$1" -- "-$compops_child" 2>/dev/null
}
compops_put_down() { kill -s "$1" -- "-$compops_child" 2>/dev/null; }
# As a scheduler does: what the commands left in the background ends with them.
compops_after() {
  [ -z "$compops_watcher" ] || kill -s KILL -- "-$compops_watcher"
  kill -s TERM -- "-$compops_child" && command sleep 1 && kill -s KILL -- "-$compops_child"
} 2>/dev/null
`
}
