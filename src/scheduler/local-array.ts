import { processStart } from './process.ts'

/**
 * sh text: `local_array` prints the bash text of the process that runs an array on this machine, `<script> <how many at once> <list> <name>`. It starts tasks in
 * order, as many at once as may, each as `bash -l <script> <task> <its own id> <name>` in its own process group, and ends with the last of them. `next` beside
 * the script is the first number that was not started yet: what is below it and runs no more has ended. Told to end, it starts no more, and waits.
 */
export const localArray = `local_array() {
  cat <<'COMPOPS_ARRAY'
${processStart}
compops_stopped=
trap 'compops_stopped=yes' HUP INT TERM
compops_dir=\${1%/*}
compops_id=$$.$(process_start $$)
# A signal ends the waiting, not the loop; without wait -n (bash before 4.3) it looks now and then.
compops_wait() {
  if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 403)); then wait -n; else sleep 0.3; fi
}
compops_start() {
  local running
  while [ -z "$compops_stopped" ]; do
    running=($(jobs -rp))
    if [ "\${#running[@]}" -lt "$2" ]; then
      /bin/bash -l "$1" "$5" "$compops_id" "$4" </dev/null >>"$compops_dir/scheduler.log.$5" 2>&1 &
      # Only then: a task that neither waits nor runs has ended.
      printf '%s\\n' "$(($5 + 1))" >"$compops_dir/new.next" && mv -f "$compops_dir/new.next" "$compops_dir/next"
      return
    fi
    compops_wait
  done
}
compops_ranges=$3
while [ -n "$compops_ranges" ]; do
  compops_range=\${compops_ranges%%,*}
  case $compops_ranges in *,*) compops_ranges=\${compops_ranges#*,} ;; *) compops_ranges= ;; esac
  compops_step=1
  case $compops_range in *:*) compops_step=\${compops_range#*:} compops_range=\${compops_range%:*} ;; esac
  for ((compops_n = \${compops_range%-*}; compops_n <= \${compops_range#*-}; compops_n += compops_step)); do
    compops_start "$@" "$compops_n"
  done
done
while compops_running=($(jobs -rp)) && [ "\${#compops_running[@]}" -gt 0 ]; do compops_wait; done
COMPOPS_ARRAY
}

# Where nobody says how many may run at once, as many as this machine has processors.
local_processors() { getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1; }`
