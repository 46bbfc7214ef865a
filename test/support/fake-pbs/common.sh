# An OpenPBS made of executables: it keeps its jobs in $FAKE_PBS/jobs/<number> and really runs them. What it prints and its exit codes are those
# recorded on 23.06 (test/fixtures/scheduler/pbs).
#
# $FAKE_PBS/behave/<command> says how the next calls go wrong (first word) and, with a number behind it, for how many calls; further
# lines are for the calls after those:
#   any command  wait (until told otherwise, then as usual), die (with the program that called it), down (no server), nothing (rc 0)
#   qsub         slow, banner, silent, refuse, limit (of a person), hook (of the site), lost-accepted, lost (the server went away in the middle),
#                wait-accepted (accepts, then waits), die-before, die-after
#   qselect      banner
#   qstat        half (ends in the middle of a row, rc 0), cut (killed)            qdel   ignore
# and of the whole PBS: hold (jobs stay queued), no-history (ended jobs are forgotten at once), clock (seconds that its clock is ahead).
# $FAKE_PBS/calls has a line for every call. In a job's directory a file `status` (`-29 93`) says how it ends instead; a job may write it itself.
S=${FAKE_PBS:?fake-pbs: FAKE_PBS must name its state directory}
mkdir -p "$S/jobs" "$S/behave"
me=${0##*/}
printf '%s %s\n' "$me" "$*" | tr '\036\037' '^_' >>"$S/calls"
server=fake

# Sets $mode, and counts it down.
mode=ok
if [ -s "$S/behave/$me" ]; then
  read -r mode times <"$S/behave/$me"
  case $times in
    '') ;;
    1)
      # In one step, and never an empty file: another call may look at this moment.
      sed 1d "$S/behave/$me" >"$S/behave/$me.$$"
      if [ -s "$S/behave/$me.$$" ]; then mv "$S/behave/$me.$$" "$S/behave/$me"; else rm -f "$S/behave/$me" "$S/behave/$me.$$"; fi
      ;;
    *)
      { echo "$mode $((times - 1))"; sed 1d "$S/behave/$me"; } >"$S/behave/$me.$$"
      mv "$S/behave/$me.$$" "$S/behave/$me"
      ;;
  esac
fi

# Holds on for as long as $FAKE_PBS/behave says so.
wait_here() { while grep -qx "$mode" "$S/behave/$me" 2>/dev/null; do sleep 0.05; done; }

# Ends the program that called us at once, with all of its process group, as when a login node goes down. timeout(1) leads a group of its own.
die_with_caller() {
  if [ "$(ps -o comm= -p "$PPID")" = timeout ]; then
    group=$(ps -o pgid= -p "$(ps -o ppid= -p "$PPID" | tr -d ' ')" | tr -d ' ')
    kill -KILL "-$group"
  fi
  kill -KILL 0
}

case $mode in
  wait) wait_here; mode=ok ;;
  die) die_with_caller ;;
  nothing) exit 0 ;;
  down)
    printf 'Connection refused\n%s: cannot connect to server %s (errno=15010)\n' "$me" "$server" >&2
    case $me in qstat) exit 255 ;; *) exit 162 ;; esac
    ;;
esac

now() { date '+%a %b %e %H:%M:%S %Y'; }
has_history() { [ ! -e "$S/behave/no-history" ]; }
# What is ended, and whether it is forgotten.
ended() { [ "$(cat "$1/state")" = F ]; }
