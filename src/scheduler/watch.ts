/**
 * The part of the wrapper that watches what a job writes, in bash: ends it when a line matches a pattern of `fail_on` or nothing comes for `stall_timeout`, and
 * tells lines that match `progress`. It is there only for jobs that ask for it. Each look costs a `wc` when nothing is new, else some ten
 * processes over the new part alone. It ends the job by itself, with or without the service.
 */
export const watch = `# One look at what is new in the log, whole lines and at most 16 MiB of them. Fails where there is nothing. Sets compops_match to \`<pattern> TAB <line>\`.
compops_match=
compops_scan() {
  local -x LC_ALL=C
  local size pattern line whole part=$compops_dir/new.part.$compops_i
  size=$(command wc -c <"$compops_dir/log.$compops_i") || return 1
  size=$((size))
  # Somebody has emptied it.
  [ "$size" -ge "$compops_seen" ] || compops_seen=0
  [ "$size" -gt "$compops_seen" ] || return 1
  [ $((size - compops_seen)) -le 16777216 ] || size=$((compops_seen + 16777216))
  # A bar that is drawn over and over is lines too.
  command tail -c "+$((compops_seen + 1))" -- "$compops_dir/log.$compops_i" | command head -c "$((size - compops_seen))" |
    command tr '\\r\\000' '\\n ' >"$part" || return 1
  # The last may be half a line: it is looked at now, and again when there is more.
  whole=$(command sed '$d' <"$part" | command wc -c)
  whole=$((whole))
  [ $((size - compops_seen - whole)) -le 65536 ] || whole=$((size - compops_seen))
  # What shows the commands is no output of theirs, and could hold the pattern itself.
  command grep -v -e '^\\$ ' -e '^compops: ' <"$part" >"$part.own"
  for pattern in "\${compops_fail_on[@]}"; do
    line=$(command grep -E -e "$pattern" <"$part.own" | command head -n 1)
    if [ -n "$line" ]; then
      # Cut in the middle a secret could not be recognised any more.
      [ -z "$compops_secrets" ] || line='(not shown: this job has secrets)'
      compops_match=$(compops_one_line "$pattern" 100)$compops_tab$(compops_one_line "$line" 200)
      break
    fi
  done
  if [ -n "$compops_progress_pattern" ]; then
    line=$(command grep -E -e "$compops_progress_pattern" <"$part.own" | command tail -n 1)
    [ -z "$line" ] || COMPOPS_PARAMS_FILE=$compops_dir/params.json COMPOPS_ARRAY_INDEX=$compops_index \\
      COMPOPS_PROGRESS_FILE=$compops_progress_file "$compops_dir/bin/compops_progress" - "$line"
  fi
  command rm -f -- "$part" "$part.own"
  # Nobody looks behind a line that matched: whoever dies now leaves it to be found again.
  [ -z "$compops_match" ] || return 0
  compops_seen=$((compops_seen + whole))
  printf '%s\\n' "$compops_seen" >"$compops_dir/watch.$compops_i"
  [ "$whole" -gt 0 ] || return 1
}
# $1 in at most $2 bytes: the line of the exit file must stay short.
compops_one_line() {
  local LC_ALL=C text=\${1//[[:cntrl:]]/ }
  printf '%s' "\${text:0:$2}"
}

# Waits $1 s without a process that would outlive this shell.
compops_doze() { read -r -t "$1" -u 8 _ 2>/dev/null || [ $? -gt 128 ] || command sleep "$1"; }

compops_watch() {
  local last=$SECONDS size=0 now grace
  exec 8<> <(:)
  while :; do
    compops_doze "$compops_watch_every"
    now=$(command wc -c <"$compops_dir/log.$compops_i") || continue
    if [ $((now)) -ne "$size" ] || [ "$compops_dir/progress.$compops_i" -nt "$compops_dir/watch.$compops_i" ]; then
      last=$SECONDS size=$((now))
      printf '%s\\n' "$compops_seen" >"$compops_dir/watch.$compops_i"
    fi
    if [ \${#compops_fail_on[@]} -gt 0 ] || [ -n "$compops_progress_pattern" ]; then
      while compops_scan && [ -z "$compops_match" ]; do :; done
    fi
    if [ -n "$compops_match" ]; then
      compops_ended=matched$compops_tab$compops_match
      printf 'compops: ended, because of a line that \`fail_on\` names (%s): %s\\n' "\${compops_match%%$compops_tab*}" "\${compops_match#*$compops_tab}"
      break
    fi
    if [ -n "$compops_stall" ] && [ $((SECONDS - last)) -ge "$compops_stall" ]; then
      compops_ended=stalled$compops_tab$compops_stall
      printf 'compops: ended, because nothing was written for %s s (\`stall_timeout\`)\\n' "$compops_stall"
      break
    fi
  done
  printf '%s\\n' "$compops_ended" | compops_store "ended.$compops_i"
  compops_put_down TERM
  for ((grace = 0; grace < 10; grace++)); do
    compops_doze 1
    [ ! -s "$compops_dir/code.$compops_i" ] || [ -n "$(compops_living)" ] || return
  done
  compops_put_down KILL
}

# The commands and all that they have started. Of those that were found first the rest is found again when their parents are gone.
compops_tree=
compops_living() {
  local pid=
  { read -r pid <"$compops_dir/pid.$compops_i"; } 2>/dev/null
  case $pid in *[!0-9]* | 0* | 1) pid= ;; esac
  [ -n "$pid$compops_tree" ] || return
  command ps -A -o pid= -o ppid= | command awk -v top="$pid" -v before=" $compops_tree " '
    { up[$1] = $2 }
    END { for (p in up) { if (index(before, " " p " ")) { print p; continue } q = p; n = 0; while (q in up && n++ < 500) { if (q == top) { print p; break } q = up[q] } } }'
}
compops_put_down() {
  local pid
  compops_tree=$(compops_living)
  compops_tree=\${compops_tree//$'\\n'/ }
  for pid in $compops_tree; do kill -s "$1" "$pid" 2>/dev/null; done
}

# Patterns that this node's grep does not know are told and end the job, rather than being ignored.
compops_watchable() {
  local pattern
  for pattern in "\${compops_fail_on[@]}" "$compops_progress_pattern"; do
    [ -n "$pattern" ] || continue
    LC_ALL=C command grep -E -e "$pattern" </dev/null >/dev/null 2>&1
    [ $? -gt 1 ] || continue
    printf 'compops: grep -E does not understand the pattern %s of \`fail_on\` or \`progress\`\\n' "$pattern"
    return 1
  done
}
compops_looker=
compops_begin_watch() {
  compops_watch &
  compops_looker=$!
  disown "$compops_looker"
}
# When the commands have ended: what the last look did not see counts too, so that a line that \`fail_on\` names is never a success.
compops_end_watch() {
  [ -n "$compops_looker" ] || return 0
  # One that is ending the job comes to its end.
  [ -e "$compops_dir/ended.$compops_i" ] || kill -s KILL "$compops_looker" 2>/dev/null
  { read -r compops_seen <"$compops_dir/watch.$compops_i"; } 2>/dev/null
  case $compops_seen in '' | *[!0-9]*) compops_seen=$compops_from ;; esac
  { IFS= read -r compops_ended <"$compops_dir/ended.$compops_i"; } 2>/dev/null
  if [ -z "$compops_ended" ] && [ \${#compops_fail_on[@]} -gt 0 ]; then
    while compops_scan && [ -z "$compops_match" ]; do :; done
    if [ -n "$compops_match" ]; then
      compops_ended=matched$compops_tab$compops_match
      printf 'compops: failed, because of a line that \`fail_on\` names (%s): %s\\n' "\${compops_match%%$compops_tab*}" "\${compops_match#*$compops_tab}"
    fi
  fi
  local LC_ALL=C
  compops_ended=\${compops_ended:0:350}
  [ -z "$compops_ended" ] || [ "$compops_code" -ne 0 ] || compops_code=1
}
`
