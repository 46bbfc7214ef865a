import { cannotWrite } from '../model/observation.ts'

/**
 * The constant part of every job script, in bash 4.2 (CentOS 7) and later. Values were set above it as `compops_…`; the researcher's commands
 * stand in a file of their own and run in a child, so that nothing they do (exit, exec, trap, an open quote) can keep the wrapper from its
 * last act. And nothing that fails in the wrapper changes what the commands do.
 */
export const prologue = `# \`module\` is often a function of the login shell that is not exported. It goes on to the commands, unless an environment cannot hold it.
compops_functions=$(declare -f)
if [ "\${#compops_functions}" -le 65536 ]; then
  while read -r _ _ compops_name; do export -f "$compops_name"; done < <(declare -F)
fi 2>/dev/null
# Start files may have changed how this shell behaves.
set +e +u +f +C +o pipefail
IFS=$' \\t\\n'
umask 077
`

export const wrapper = `compops_caught=
compops_child=

compops_leave() {
  printf 'compops: %s\\n' "$2" >&2
  exit "$1"
}
# Tasks of an array have the researcher's numbers in all that follows, and each an output directory of its own.
compops_task=$compops_index
if [ -n "$compops_array" ]; then
  case $compops_task in '' | *[!0-9]*) compops_leave 75 "this is an array, and the scheduler does not say which task runs" ;; esac
  [ "\${#compops_indexes[@]}" -eq 0 ] || compops_index=\${compops_indexes[compops_task - 1]-}
  [ -n "$compops_index" ] || compops_leave 75 "there is no task $compops_task in this array"
  compops_output=$compops_output/$compops_index
else
  compops_index=
fi
compops_i=\${compops_index:-0}
# Standard input becomes the file $1 in one step: who reads it sees all of it or nothing.
compops_store() { command cat >"$compops_dir/new.$1" && command mv -f -- "$compops_dir/new.$1" "$compops_dir/$1"; }

# News: an empty file is a hint to look, and made without a process. That it cannot be made is nobody's trouble: the cluster is polled as well.
compops_event() {
  [ -n "$compops_events" ] || return 0
  [ -d "$compops_events" ] || command mkdir -p -- "$compops_events"
  : >"$compops_events/\${compops_dir##*/}.$compops_i.$1"
} 2>/dev/null

# Runs the commands in the foreground of a shell of their own and keeps their exit code in a file. The builtin \`wait\` would lose it now and
# then: a signal and the child's end at the same moment, which is what every cancellation is, make it return -1 for ever (seen: bash 5.2.15,
# 18 of 40). The no-op traps keep this shell alive until it has written; the commands start without them.
compops_run() {
  set +m
  for compops_name in HUP INT QUIT TERM USR1 USR2 XCPU; do trap : "$compops_name"; done
  "$@"
  printf '%s\\n' "$?" | compops_store "code.$compops_i" || return ${cannotWrite}
}

# Hooks; a dialect may have its own.
compops_launch() { compops_run "$@" & compops_child=$!; }
compops_pass_on() {
  compops_caught=$1
  { read -r compops_pid <"$compops_dir/pid.$compops_i"; } 2>/dev/null && kill -s "$1" "$compops_pid" 2>/dev/null
}
compops_after() { :; }
# Of jobs that are watched; see watch.ts.
compops_watchable() { :; }
compops_begin_watch() { :; }
compops_end_watch() { :; }
# Of jobs that may run again; see checkpoint.ts.
compops_before() { :; }
compops_begin_alarm() { :; }
compops_end_alarm() { :; }
compops_ended=
compops_tab=$'\\t'
`

export const wrapperBody = `# The fence. One copy of an attempt runs, whatever was submitted twice, and none once it was given up. A copy leaves with 75 and without a
# trace, so that neither a dependency nor anybody else takes it for a success.
[ ! -e "$compops_dir/fenced" ] || compops_leave 75 "this attempt was given up; job $compops_native does nothing"
# Of an array all tasks have one claim: else each of two copies could win some of them.
compops_fence=\${compops_array:+array}
compops_fence=\${compops_fence:-$compops_i}
compops_claim=new.started.$compops_fence.$compops_native.$compops_i
printf '%s %s\\n' "$compops_native" "$(command date +%s)" >"$compops_dir/$compops_claim" ||
  compops_leave ${cannotWrite} "cannot write to $compops_dir on $(uname -n)"
# A hard link is never seen half written, on NFS too; where the file system has none, noclobber (O_EXCL) makes the file.
command ln -- "$compops_dir/$compops_claim" "$compops_dir/started.$compops_fence" 2>/dev/null ||
  (set -C && command cat -- "$compops_dir/$compops_claim" >"$compops_dir/started.$compops_fence") 2>/dev/null
command rm -f -- "$compops_dir/$compops_claim"
compops_owner=
for compops_try in 1 2 3 4 5; do
  { read -r compops_owner _ <"$compops_dir/started.$compops_fence"; } 2>/dev/null
  [ -z "$compops_owner" ] || break
  command sleep 1
done
# The same id again is the scheduler's own requeue, and goes on.
[ "$compops_owner" = "$compops_native" ] ||
  compops_leave 75 "this attempt runs as job \${compops_owner:-(unknown)}; the copy $compops_native does nothing"
# Asked again now that our claim stands: whoever gives the attempt up writes \`fenced\` first and then looks for a claim, so one sees the other.
[ ! -e "$compops_dir/fenced" ] || compops_leave 75 "this attempt was given up; job $compops_native does nothing"

[ -z "$compops_array" ] || [ -e "$compops_dir/started.$compops_i" ] ||
  printf '%s %s\\n' "$compops_native" "$(command date +%s)" | compops_store "started.$compops_i" ||
  compops_leave ${cannotWrite} "cannot write to $compops_dir on $(uname -n)"

for compops_name in exit code pid outputs metrics metrics-problem environment killed progress watch ended; do
  command rm -f -- "$compops_dir/$compops_name.$compops_i"
done
# By hand rather than by the scheduler's option, which some honour only at the end; append, since a requeued job goes on.
exec </dev/null >>"$compops_dir/log.$compops_i" 2>&1 || compops_leave ${cannotWrite} "cannot write to $compops_dir/log.$compops_i"
# What an earlier start has written is not this one's.
compops_from=0
if [ -s "$compops_dir/log.$compops_i" ]; then
  compops_from=$(command wc -c <"$compops_dir/log.$compops_i")
  compops_from=$((compops_from))
fi
compops_seen=$compops_from
# What the scheduler has of a task, mostly nothing: one empty file for each would be thousands.
[ -z "$compops_array" ] || [ -s "$compops_dir/scheduler.log.$compops_task" ] || command rm -f -- "$compops_dir/scheduler.log.$compops_task"
compops_event start
[ "$compops_restarts" = 0 ] || printf 'compops: started again by the scheduler (%s)\\n' "$compops_restarts"

{
  printf 'host %s\\n' "$(command uname -n)"
  printf 'system %s\\n' "$(command uname -srm)"
  printf 'bash %s\\n' "$BASH_VERSION"
  printf 'nodes %s\\n' "$compops_nodes"
  printf 'modules %s\\n' "\${LOADEDMODULES-}"
  printf 'commit %s\\n' "$(command git -C "$compops_work" rev-parse HEAD 2>/dev/null)"
} | compops_store "environment.$compops_i"

# A time limit or a cancellation reaches the commands too, so that they can write what they have. Slurm sends TERM to all processes and KILL
# some seconds later (KillWait), and \`--signal=B:USR1\` to this shell alone.
for compops_name in HUP INT QUIT TERM USR1 USR2 XCPU; do
  trap "compops_pass_on $compops_name" "$compops_name"
done

# Not by arguments, which everybody on the node can see.
compops_complete() {
  [ -n "$compops_secrets" ] || return 0
  if [ -f "$compops_dir/secrets" ]; then . "$compops_dir/secrets"; else
    printf 'compops: the secrets of this job are not there any more\\n'
    return 1
  fi
}
# How commands in whatever language tell how far they are; a function besides, so that a loop in bash may call it as often as it likes.
if [ ! -x "$compops_dir/bin/compops_progress" ]; then
  command mkdir -p -- "$compops_dir/bin" && command cat >"$compops_dir/new.tool.$compops_i" <<'COMPOPS_END' &&
#!/bin/sh
# compops_progress PERCENT [TEXT], shown on the merge request while the job runs. Never fails: news are no part of the computation.
at=\${COMPOPS_PARAMS_FILE%/*}
new=$at/new.progress.\${COMPOPS_ARRAY_INDEX:-0}.$$
percent=\${1%\\%}
case $percent in '' | *[!0-9.]*) [ "\${1-}" != - ] || shift; percent=- ;; *) shift ;; esac
text=$(printf '%.300s' "$*" | tr '\\n\\r' '  ')
: >"$at/progress.\${COMPOPS_ARRAY_INDEX:-0}"
if [ -n "$COMPOPS_PROGRESS_FILE" ]; then printf '%s %s\\n' "$percent" "$text" >"$new" && mv -f "$new" "$COMPOPS_PROGRESS_FILE"; fi
exit 0
COMPOPS_END
    command chmod 700 -- "$compops_dir/new.tool.$compops_i" && command mv -f -- "$compops_dir/new.tool.$compops_i" "$compops_dir/bin/compops_progress"
fi
compops_progress() {
  [ "\${compops_told-}" != "$SECONDS" ] || [ "\${1-}" = 100 ] || return 0
  compops_told=$SECONDS
  "\${COMPOPS_PARAMS_FILE%/*}/bin/compops_progress" "$@" 2>/dev/null || :
}
export -f compops_progress
compops_progress_file=
[ -z "$compops_events" ] || compops_progress_file=$compops_events/\${compops_dir##*/}.$compops_i.progress

compops_own=("COMPOPS_ARRAY_INDEX=$compops_index")
[ -z "$compops_array" ] || compops_own+=("COMPOPS_OUTPUT_DIR=$compops_output")
[ -z "$compops_array_variable" ] || compops_own+=("$compops_array_variable=$compops_index")
command mkdir -p -- "$compops_output"
compops_before
if ! compops_watchable || ! compops_complete; then
  compops_code=78
elif builtin cd -- "$compops_work"; then
  compops_launch "$(type -P env)" "PATH=$compops_dir/bin:$PATH" "COMPOPS_PROGRESS_FILE=$compops_progress_file" \\
    "\${compops_env[@]}" "\${compops_variables[@]}" "\${compops_own[@]}" \\
    "$BASH" --noprofile --norc "$compops_dir/commands"
  compops_begin_watch
  compops_begin_alarm
  while :; do
    wait "$compops_child" 2>/dev/null
    compops_code=$?
    # What an interrupted \`wait\` returns says nothing: their shell has ended, or it has not.
    kill -0 "$compops_child" 2>/dev/null || break
    [ ! -s "$compops_dir/code.$compops_i" ] || break
    [ "$compops_code" -ge 0 ] || command sleep 0.1
  done
  # Without the file their shell was killed (out of memory, say).
  { read -r compops_code <"$compops_dir/code.$compops_i"; } 2>/dev/null
  [ "$compops_code" -ge 0 ] || compops_code=137
  command rm -f -- "$compops_dir/pid.$compops_i"
else
  printf 'compops: the checkout %s cannot be entered on %s\\n' "$compops_work" "$(command uname -n)"
  compops_code=${cannotWrite}
fi
compops_end_watch
compops_end_alarm
compops_after

# Whether no directory above $1 is a link: outputs are files of the checkout, not of wherever a link leads.
compops_inside() {
  local up=\${1%/*}
  [ "$up" != "$1" ] && [ "$up" != "$compops_checked" ] || return 0
  local at=$up
  while :; do
    [ ! -L "$at" ] || return 1
    case $at in */*) at=\${at%/*} ;; *) break ;; esac
  done
  compops_checked=$up
}

# For each file a line \`<size> <digest or ->\`, by few processes: two thousand outputs are no rarity.
compops_measure() {
  local file line i=0 sizes digests small=()
  mapfile -t sizes < <(command stat -c %s -- "\${@/#/./}")
  if [ "\${#sizes[@]}" -ne $# ]; then
    sizes=()
    for file; do
      line=$(command wc -c <"$file")
      sizes+=("\${line//[!0-9]/}")
    done
  fi
  # Cancelled or out of time: the list matters more than the digests.
  if [ -z "$compops_caught" ] && [ "$SECONDS" -lt "$compops_hash_until" ]; then
    for file; do
      [ "\${sizes[i++]:-0}" -gt "$compops_hash_limit" ] || small+=("./$file")
    done
  fi
  digests=()
  [ "\${#small[@]}" -eq 0 ] || mapfile -t digests < <("\${compops_sha256[@]}" -- "\${small[@]}")
  if [ "\${#digests[@]}" -ne "\${#small[@]}" ]; then
    digests=()
    for file in "\${small[@]}"; do digests+=("$("\${compops_sha256[@]}" <"$file")"); done
  fi
  i=0 line=0
  for file; do
    if [ "\${#small[@]}" -gt 0 ] && [ "\${sizes[i]:-0}" -le "$compops_hash_limit" ]; then
      digests[line]=\${digests[line]#\\\\}
      printf '%s %s\\n' "\${sizes[i]:-0}" "\${digests[line]:0:64}"
      line=$((line + 1))
    else
      printf '%s -\\n' "\${sizes[i]:-0}"
    fi
    i=$((i + 1))
  done
}

compops_list_outputs() (
  LC_ALL=C IFS=
  shopt -s globstar nullglob
  shopt -u dotglob failglob nocaseglob
  if command -v sha256sum >/dev/null; then compops_sha256=(command sha256sum); else compops_sha256=(command shasum -a 256); fi
  compops_hash_until=$((SECONDS + 600))
  declare -A seen
  total=0
  for place in checkout output; do
    case $place in checkout) root=$compops_work ;; *) root=$compops_output ;; esac
    builtin cd -P -- "$root" || continue
    found=()
    for pattern in "\${compops_patterns[@]}"; do
      case /$pattern/ in */../* | //*) continue ;; esac
      compops_checked=
      if [ -d "\${pattern%/}" ] && [ ! -L "\${pattern%/}" ]; then set -- "\${pattern%/}"/**; else set -- $pattern; fi
      for file; do
        [ -f "$file" ] && [ ! -L "$file" ] && [ -r "$file" ] && compops_inside "$file" || continue
        # Tasks share the checkout: each lists what was written since it began, or the last of a thousand would read all files once more.
        [ -z "$compops_array" ] || [ "$place" = output ] || [ ! "$file" -ot "$compops_dir/started.$compops_i" ] || continue
        [ -z "\${seen["$place/$file"]+x}" ] || continue
        seen["$place/$file"]=1
        total=$((total + 1))
        [ "$total" -gt "$compops_list_limit" ] || found+=("$file")
      done
    done
    for ((at = 0; at < \${#found[@]}; at += 200)); do
      set -- "\${found[@]:at:200}"
      while read -r -u 3 measured; do
        file=\${1//\\\\/\\\\\\\\}
        printf '%s %s %s\\n' "$place" "$measured" "\${file//$'\\n'/\\\\n}"
        shift
      done 3< <(compops_measure "$@")
    done
  done
  printf 'total %s\\n' "$total"
)

compops_copy_metrics() {
  local place problem='was not written'
  # A task of an array shares the checkout with the others: its own directory says more.
  for place in \${compops_array:+"$compops_output"} "$compops_work" "$compops_output"; do
    builtin cd -P -- "$place" || continue
    compops_checked=
    [ -e "$compops_metrics" ] || [ -L "$compops_metrics" ] || continue
    if [ -L "$compops_metrics" ] || ! compops_inside "$compops_metrics"; then
      problem='is a link, or lies behind one'
    elif [ ! -f "$compops_metrics" ]; then
      problem='is not a file'
    elif [[ $compops_metrics == *.[ct]sv ]]; then
      # A table grows with every step: its names and its last row are all that is read.
      { command head -c 65536 -- "$compops_metrics" | command head -n 1
        command tail -n +2 -- "$compops_metrics" | command tail -c 65536 | command grep -v '^[[:space:]]*$' | command tail -n 1
      } | compops_store "metrics.$compops_i" && return
      problem='cannot be read'
    elif [ "$(command wc -c <"$compops_metrics")" -gt 262144 ]; then
      problem='is larger than 256 KiB'
    elif compops_store "metrics.$compops_i" <"$compops_metrics"; then
      return
    else
      problem='cannot be read'
    fi
  done
  printf '%s\\n' "$problem" | compops_store "metrics-problem.$compops_i"
}

# What cannot be told (a full disk, a directory that is gone) was no success.
compops_untold() {
  printf 'compops: cannot write %s to %s on %s\\n' "$1" "$compops_dir" "$(command uname -n)"
  [ "$compops_code" -ne 0 ] || compops_code=${cannotWrite}
}
if [ "\${#compops_patterns[@]}" -gt 0 ]; then
  compops_list_outputs 2>/dev/null | compops_store "outputs.$compops_i" || compops_untold 'the list of outputs'
fi
if [ -n "$compops_metrics" ]; then compops_copy_metrics 2>/dev/null || compops_untold 'the metrics'; fi

# The last act.
printf '%s %s %s %s%s\\n' "$compops_native" "$compops_restarts" "$compops_code" "$(command date +%s)" "\${compops_ended:+$compops_tab$compops_ended}" | compops_store "exit.$compops_i" ||
  compops_untold 'the exit code'
compops_event end
exit "$compops_code"
`
