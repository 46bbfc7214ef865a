import { CompopsError, UnreadableError } from '../errors.ts'
import { readTasks, toRanges, writeTasks } from '../model/array.ts'
import type { Capacity } from '../model/capacity.ts'
import type { AccountingRow, QueueRow } from '../model/observation.ts'
import type { Dialect, JobRequest, PastRow } from './dialect.ts'
import { fieldMark, recordMark } from './dialect.ts'
import { localArray } from './local-array.ts'
import { processStart } from './process.ts'

/**
 * Jobs as processes of this machine, in sessions of their own, for laptops, workstations and tests. The native id is `<pid>.<start>`, so that a
 * process which later gets the same pid is a stranger. What is alive is the queue; there is no accounting. `/proc` on Linux, else ps(1). An array is one
 * process that starts its tasks (local-array.ts); they have its id.
 */
export const local: Dialect = {
  name: 'local',
  prefix: null,
  nativeId: /^\d{1,10}\.[A-Za-z0-9]{1,40}$/,
  nativeDependencies: false,
  pastWithoutAccounting: true,
  shell: localShell(),
  identify: `${processStart}
if [ $# -eq 3 ]; then
  compops_index=$1
  compops_native=$2
else
  compops_index=
  compops_native=$$.$(process_start $$)
fi
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
    const { array } = request
    if (array === null) return [request.name, request.work]
    return [request.name, request.work, writeTasks(array.numbers), String(array.throttle ?? '')]
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
    if (before !== '' || head !== `${['ID', 'STATE', 'TASKS', 'NEXT', 'NAME'].join(fieldMark)}\n`)
      throw new UnreadableError(`the list of processes is not whole: ${JSON.stringify(text.slice(0, 200))}`)
    for (const record of records) {
      const [id = '', state = '', list = '', next = '', name = ''] = record.trimEnd().split(fieldMark)
      const word = states[state]
      if (
        !local.nativeId.test(id) ||
        word === undefined ||
        !/^[0-9,:-]{0,16000}$/.test(list) ||
        !/^\d{0,7}$/.test(next)
      )
        throw new UnreadableError(`not a line of the list of processes: ${JSON.stringify(record.slice(0, 200))}`)
      const row = { ...blank, nativeId: id, name, state: word, nativeState: state }
      if (list === '') {
        yield row
        continue
      }
      // What was started has rows of its own while it runs.
      const tasks = toRanges(readTasks(list).filter(task => state !== 'WAITING' || task >= Number(next)))
      if (tasks.length > 0) yield { ...row, tasks, reason: state === 'WAITING' ? atOnce : null }
    }
  },
  *readPast(text): Generator<PastRow> {
    for (const line of text.split('\n')) {
      if (line === '') continue
      const [id = '', name = '', why = '', epoch = '', task = ''] = line.split(fieldMark)
      if (!local.nativeId.test(id) || why !== 'timeout' || !/^\d{1,12}$/.test(epoch) || !/^\d{0,7}$/.test(task))
        throw new UnreadableError(`not a line about an ended process: ${JSON.stringify(line.slice(0, 200))}`)
      const endAt = new Date(Number(epoch) * 1000)
      yield {
        kind: 'queue',
        row: {
          ...blank,
          nativeId: id,
          name,
          tasks: task === '' ? null : [{ from: Number(task), to: Number(task), step: 1 }],
          state: 'ended',
          nativeState: 'TIMEOUT',
          verdict: 'timeout',
          endAt,
        },
      }
    }
  },
  reasonInWords: reason => (reason === atOnce ? 'as many of its tasks run as may at once' : reason),
  capacity: { shell: capacityShell(), commands: 1, read: readCapacity },
}

function capacityShell(): string {
  return `scheduler_capacity() {
  _load=
  if [ -r /proc/loadavg ]; then read -r _load _ </proc/loadavg; else _load=$(uptime | sed 's/.*average[s]*: *\\([0-9][0-9.,]*[0-9]\\).*/\\1/'); fi
  printf 'processors %s load %s\\n' "$(local_processors)" "$_load"
}`
}

/** Nobody gives out its processors, so what is free cannot be said; how busy it is can: proc_loadavg(5), uptime(1). */
function readCapacity(text: string): Capacity {
  const [, processors, load] = /^processors (\d{1,6}) load (\d{1,6}[.,]\d\d)\n$/.exec(text) ?? []
  if (processors === undefined || load === undefined)
    throw new UnreadableError(`this machine does not tell its processors: ${JSON.stringify(text.slice(0, 200))}`)
  return { cores: { total: Number(processors), free: null }, load: Number(load.replace(',', '.')) }
}

const atOnce = 'AtOnce'

const states: Readonly<Record<string, QueueRow['state']>> = {
  RUNNING: 'running',
  STOPPED: 'suspended',
  WAITING: 'queued',
}

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

${localArray}

# setsid(1), or where there is none (macOS) the job control of bash, gives the job a process group of its own: it outlives us and the service.
scheduler_submit() {
  (
    unset TZ LC_ALL
    trap - PIPE
    _log=\${1%/*}/scheduler.log
    cd "$3" || exit
    if [ -n "\${4-}" ]; then
      local_array >"\${1%/*}/array" || exit
      set -- "\${1%/*}/array" "$1" "\${5:-$(local_processors)}" "$4" "$2"
    else
      set -- -l "$1" "$2"
    fi
    if command -v setsid >/dev/null; then
      setsid /bin/bash "$@" </dev/null >>"$_log" 2>&1 &
      _pid=$!
    else
      _pid=$(/bin/bash -c 'set -m; _log=$1; shift; /bin/bash "$@" </dev/null >>"$_log" 2>&1 & echo $!' bash "$_log" "$@")
    fi
    _start=$(process_start "$_pid") && echo "$_pid.$_start"
  )
}

scheduler_submitted() {
  _id=$(cat)
  case $_id in *.*.* | *[!A-Za-z0-9.]* | .* | *.) return 1 ;; [0-9]*.*) echo "$_id" ;; *) return 1 ;; esac
}

scheduler_judge() { cat >/dev/null; echo transient; }

# What was started by us, one line each: <native id> <state> <name>, and of an array <list> <next> for what waits, <task> for each that runs.
# local_line PID START STATE leads|no GROUP SCRIPT BEFORE LAST NAME: the last words of its command line
local_line() {
  case $9 in *[!a-z0-9-]*) return ;; compops-*) ;; *) return ;; esac
  case $4$8 in
    # Leads its session: a subshell of a job has the same command line.
    leads*/*) echo "$1.$2 $3 $9" ;;
    */*) ;;
    *.*)
      # A task; also one whose array was killed.
      case $7 in '' | *[!0-9]*) return ;; esac
      case $8 in *.*.* | *[!0-9A-Za-z.]*) return ;; esac
      [ "$5" != "\${8%%.*}" ] || echo "$8 $3 $9 $7"
      ;;
    leads*)
      case $8 in '' | *[!0-9,:-]*) return ;; esac
      _next=
      { IFS= read -r _next <"\${6%/*}/next"; } 2>/dev/null
      case $_next in '' | *[!0-9]*) _next=0 ;; esac
      echo "$1.$2 WAITING $9 $8 $_next"
      ;;
  esac
}
local_jobs() {
  if [ -r /proc/self/stat ]; then
    grep -ls compops- /proc/[0-9]*/cmdline | while IFS=/ read -r _ _ _pid _; do
      [ -O "/proc/$_pid" ] || continue
      _words=$(tr '\\000\\n' '\\n ' <"/proc/$_pid/cmdline" 2>/dev/null | tail -n 4)
      { IFS= read -r _script && IFS= read -r _before && IFS= read -r _last && IFS= read -r _name; } <<WORDS || continue
$_words
WORDS
      { IFS= read -r _stat <"/proc/$_pid/stat"; } 2>/dev/null || continue
      set -- \${_stat##*) }
      case $1 in Z | X) continue ;; T | t) _state=STOPPED ;; *) _state=RUNNING ;; esac
      [ "$4" = "$_pid" ] && _leads=leads || _leads=no
      _group=$3
      shift 19
      local_line "$_pid" "$1" "$_state" "$_leads" "$_group" "$_script" "$_before" "$_last" "$_name"
    done
  else
    ps -U "$(id -u)" -o pid=,pgid=,state=,args= | while read -r _pid _group _letter _args; do
      case $_args in *' compops-'*) ;; *) continue ;; esac
      case $_letter in Z*) continue ;; T*) _state=STOPPED ;; *) _state=RUNNING ;; esac
      [ "$_pid" = "$_group" ] && _leads=leads || _leads=no
      _name=\${_args##* }
      _args=\${_args% *}
      _last=\${_args##* }
      _args=\${_args% *}
      _before=\${_args##* }
      _args=\${_args% *}
      _start=$(process_start "$_pid") &&
        local_line "$_pid" "$_start" "$_state" "$_leads" "$_group" "\${_args#*/array }" "$_before" "$_last" "$_name"
    done
  fi
}

scheduler_find() { local_jobs | awk -v name="$1" '$3 == name && !seen[$1]++ { print $1 }'; }

scheduler_queue() {
  printf '\\036ID\\037STATE\\037TASKS\\037NEXT\\037NAME\\n'
  local_jobs | while read -r _id _state _name _list _next; do
    printf '\\036%s\\037%s\\037%s\\037%s\\037%s\\n' "$_id" "$_state" "$_list" "$_next" "$_name"
  done
}

scheduler_past() {
  while read -r _id _name _dir; do
    for _killed in "$_dir"/killed.*; do
      [ -f "$_killed" ] || continue
      _task=
      [ ! -e "$_dir/started.array" ] || _task=\${_killed##*.}
      case $_task in *[!0-9]* | ????????*) continue ;; esac
      # The job could write that file, too: what our watcher did not write says nothing, and must not spoil the answer about the others.
      _when=$(head -c 64 "$_killed" 2>/dev/null)
      case $_when in timeout\\ [0-9]*) _when=\${_when#timeout } ;; *) continue ;; esac
      case $_when in *[!0-9]* | ???????????*) continue ;; esac
      printf '%s\\037%s\\037timeout\\037%s\\037%s\\n' "$_id" "$_name" "$_when" "$_task"
    done
  done
  return 0
}

scheduler_active() { local_jobs | awk '!seen[$1 $3]++ { print $1, $3 }'; }

# Sets $_alive and $_commands: whether the wrapper of the job $1 $2 in $3 lives (of an array: it, or that of a task), and the process groups of commands while
# those are theirs.
local_job() {
  _alive=
  case $_left in *"$1 $2"*) _alive=1 ;; esac
  _commands=
  for _file in "$3"/group.*; do
    _group=
    { read -r _group <"$_file"; } 2>/dev/null
    [ "$(process_start "\${_group%%.*}")" = "\${_group#*.}" ] || continue
    # The job could write that file: never everybody (-1), never ourselves (-0).
    case \${_group%%.*} in '' | 0* | 1 | *[!0-9]*) continue ;; esac
    _commands="$_commands -\${_group%%.*}"
  done
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
          0ask) for _group in $_commands; do kill -TERM "$_group"; done ;;
          0insist*) for _group in $_commands; do kill -KILL "$_group"; done ;;
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
      printf "timeout %s\\n" "$(date +%s)" >"$3/new.killed.$4" && mv -f "$3/new.killed.$4" "$3/killed.$4"
      printf "compops: the time limit of %s s is reached\\n" "$1"
      kill -s TERM -- "-$2"
      sleep 10
      kill -s KILL -- "-$2"' watch "$compops_seconds" "$compops_child" "$compops_dir" "$compops_i" 2>/dev/null &
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
  # Who cancels an array of thousands looks at those that run only.
  [ -z "$compops_array" ] || command rm -f -- "$compops_dir/group.$compops_i"
} 2>/dev/null
`
}
