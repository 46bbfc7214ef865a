/**
 * sh text: `process_start PID` prints what no later process with the same pid shares, its start: clock ticks since boot where there is /proc
 * (proc_pid_stat(5), field 22; the command name before it may hold blanks and brackets), else what ps calls lstart. Fails for a process that
 * has ended, a zombie too.
 */
export const processStart = `process_start() {
  if [ -r /proc/self/stat ]; then
    { IFS= read -r _stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    set -- \${_stat##*) }
    case $1 in Z | X | '') return 1 ;; esac
    shift 19
    echo "$1"
  else
    _stat=$(ps -o lstart= -p "$1" 2>/dev/null | tr -cd '[:alnum:]')
    case $_stat in '') return 1 ;; esac
    echo "$_stat"
  fi
}`
