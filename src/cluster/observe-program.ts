import { preamble } from './preamble.ts'

/** Input: the PATH prefix. Output: a line with the cluster's clock, then what the dialect's readQueue reads. */
export function queueProgram(dialectShell: string): string {
  return `${preamble}
${dialectShell}
date +%s
scheduler_queue
`
}

/**
 * Input: PATH prefix, root, whether to ask the scheduler (yes or no), whether there are arrays (likewise), a line `<native id or -> <name> <directory>`
 * for each attempt; with arrays an empty line and their tasks (listTasks). Output: what readPast reads, a line \\035 (\\035silent where accounting did not answer), then
 * `<number of the attempt> <file> <its first line>`, and at last `end <how many>`. One process for all of it, however many tasks there are.
 */
export function pastProgram(dialectShell: string): string {
  return `${preamble}
IFS= read -r root || exit 97
IFS= read -r ask || exit 97
IFS= read -r arrays || exit 97
silent=
list=$(cat)
tasks=
if [ "$arrays" = yes ]; then
  tasks=$(printf '%s\\n' "$list" | sed '1,/^$/d')
  list=$(printf '%s\\n' "$list" | sed '/^$/,$d')
fi
# A file system that is not mounted shows no files, and that would say something about no job.
[ -d "$root" ] || { echo "$root is not there" >&2; exit 96; }
${dialectShell}
if [ "$ask" = yes ]; then
  printf '%s\\n' "$list" | scheduler_past || silent=silent
fi
printf '\\035%s\\n' "$silent"
# The job's user can put there what never ends, or never begins (a pipe). One such file must not hold up everybody's round. Listing the
# directory also makes NFS look again.
strange=$(printf '%s\\n' "$list" | sed 's/^[^ ]* [^ ]* //; s,$,/.,' | tr '\\n' '\\000' |
  xargs -0 sh -c 'find "$@" ! -name . -prune "(" -name "started.*" -o -name "exit.*" ")" "(" ! -type f -o -size +1 ")"' find 2>/dev/null)
# tell NUMBER DIRECTORY FILE: only names that we ask for; one with a line break in it would speak for another job.
tell() {
  [ -f "$2/$3" ] || return 0
  case "
$strange
" in *"
$2/./$3
"*) return 0 ;; esac
  text=
  { IFS= read -r text <"$2/$3"; } 2>/dev/null && printf '%s %s %s\\n' "$1" "$3" "$text"
}
printf '%s\\n' "$list" | {
  n=0
  while IFS= read -r line; do
    [ -n "$line" ] || continue
    directory=\${line#* * }
    tell $n "$directory" started.0
    tell $n "$directory" exit.0
    n=$((n + 1))
  done
  told=
  [ -z "$tasks" ] || printf '%s\\n' "$tasks" | while IFS=' ' read -r n from to step directory; do
    [ "$n" = "$told" ] || tell "$n" "$directory" started.array
    told=$n
    while [ "$from" -le "$to" ]; do
      tell "$n" "$directory" "started.$from"
      tell "$n" "$directory" "exit.$from"
      from=$((from + step))
    done
  done
  echo "end $n"
}
`
}

/**
 * Input: PATH prefix, root, attempt directory, a random mark, bytes of log wanted. Output: sections, each begun by a line `<mark> <name>`; the
 * mark is random since the job's user wrote what stands between.
 */
export const collectProgram = `${preamble}
for name in root attempt mark log_bytes; do IFS= read -r "$name" || exit 97; done
[ -d "$root" ] || { echo "$root is not there" >&2; exit 96; }
# With its root there and itself not, it was removed: asking again brings nothing back.
[ -d "$attempt" ] || exit 95
# Of what has ended nobody needs them any more.
rm -f "$attempt/secrets"
section() { # FILE NAME BYTES
  printf '\\n%s %s\\n' "$mark" "$2"
  if [ -f "$1" ]; then head -c "$3" "$1"; fi
}
section "$attempt/outputs.0" outputs 16777216
section "$attempt/metrics.0" metrics 262144
section "$attempt/metrics-problem.0" metrics-problem 1000
section "$attempt/environment.0" environment 65536
bytes=0
log=$attempt/log.0
# A job that never came to its log may have said why to the scheduler's.
[ -f "$log" ] || log=$attempt/scheduler.log
if [ -f "$log" ]; then bytes=$(wc -c <"$log"); fi
printf '\\n%s %s\\n%s' "$mark" log-size "$((bytes))"
printf '\\n%s %s\\n' "$mark" log
if [ -f "$log" ]; then tail -c "$log_bytes" "$log"; fi
printf '\\n%s end\\n' "$mark"
`

/**
 * Input: PATH prefix, settle, whether to fence all (yes or no), then lines `<native id or -> <name> <directory>`. Jobs are looked up by
 * name and ended by the id they have now, so neither a reused id nor a second copy matters. Output: the names that are still there, one
 * line `still <name>` each, of those in doubt that have begun `begun <native id> <name>`, and at last `end <commands of the scheduler>`.
 */
export function cancelProgram(dialectShell: string): string {
  return `${preamble}
IFS= read -r settle || exit 97
IFS= read -r fence_all || exit 97
asked_for=$(cat)
${dialectShell}
# The log is opened behind the fence: with it the job has begun for certain, perhaps ended, and is no longer in doubt. Its claim names its id.
begun() {
  for log in "$1"/log.*; do
    [ -e "$log" ] || continue
    id=
    for claim in "$1"/started.*; do
      { read -r id _ <"$claim"; } 2>/dev/null && [ -n "$id" ] && break
    done
    [ -z "$id" ] || { printf '%s\\n' "$id"; return 0; }
  done
  return 1
}
sorted=$(printf '%s\\n' "$asked_for" | while IFS= read -r line; do
  [ -n "$line" ] || continue
  directory=\${line#* * }
  case $fence_all$line in
    yes*) mkdir -p "$directory" && : >>"$directory/fenced" || exit ;;
    # One that has no id yet may be on its way into the queue: it must never begin. If it was faster, it is left alone: its id says more.
    'no- '*)
      if ! id=$(begun "$directory"); then
        mkdir -p "$directory" && : >>"$directory/fenced" || exit
        id=$(begun "$directory") && rm -f "$directory/fenced"
      fi
      if [ -n "$id" ]; then
        line=\${line#- }
        echo "begun $id \${line%% *}"
        continue
      fi
      ;;
  esac
  printf '%s\\n' "$line"
done) || exit
printf '%s\\n' "$sorted" | awk '$1 == "begun"'
list=$(printf '%s\\n' "$sorted" | awk '$1 != "begun"')

# Lines <native id> <name> <directory> of those of the list that are active now.
active_now() {
  active=$(scheduler_active) || return
  { printf '%s\\n' "$list"; echo; printf '%s\\n' "$active"; } | awk '
    NF == 0 { rest = 1; next }
    !rest { name = $2; sub(/^[^ ]* [^ ]* /, ""); directory[name] = $0; next }
    $2 in directory { print $1, $2, directory[$2] }'
}
asked=1
here=$(active_now) || exit
if [ -n "$here" ]; then
  printf '%s\\n' "$here" | scheduler_kill
  asked=2
  # Asked again a few times only: schedulers do not like to be asked in loops. What is not gone then is asked for later.
  for pause in 0.5 1 2 4; do
    sleep $pause 2>/dev/null || sleep 1
    here=$(active_now) || exit
    asked=$((asked + 1))
    [ -n "$here" ] || break
  done
fi
printf '%s\\n' "$here" | awk 'NF { print "still", $2 }'
# What was given up, or has left the queue without a start, never reads them.
printf '%s\\n' "$list" | while IFS= read -r line; do
  [ -n "$line" ] || continue
  directory=\${line#* * }
  name=\${line#* }
  case " $(printf '%s\\n' "$here" | tr '\\n' ' ')" in *" \${name%% *} "*) continue ;; esac
  set -- "$directory"/started.*
  if [ -e "$directory/fenced" ] || { [ -e "$directory/id" ] && [ ! -e "$1" ]; }; then rm -f "$directory/secrets"; fi
done
# A submission that was begun and not answered may still make a job; one that passed the fence just before it stood has begun.
now=$(date +%s)
printf '%s\\n' "$list" | while IFS= read -r line; do
  directory=\${line#* * }
  case $fence_all$line in
    # The rest of an array, and what its scheduler starts again, are not to leave at a fence that came too late.
    'no- '*) if id=$(begun "$directory"); then rm -f "$directory/fenced"; line=\${line#- }; echo "begun $id \${line%% *}"; continue; fi ;;
  esac
  if [ -n "$line" ] && [ ! -e "$directory/id" ] && [ ! -e "$directory/refused" ]; then
    began=
    [ -f "$directory/submitting" ] || continue
    { read -r began <"$directory/submitting"; } 2>/dev/null
    case $began in '' | *[!0-9]*) continue ;; esac
    # Of a clock that was set back: counted from now.
    [ "$began" -le "$now" ] || echo "$now" >"$directory/submitting"
    [ $((now - began)) -ge "$settle" ] || printf '%s\\n' "$line" | awk '{ print "still", $2 }'
  fi
done
echo "end $asked"
`
}
