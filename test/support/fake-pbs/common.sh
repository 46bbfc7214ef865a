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
. "${0%/*}/../fake-scheduler/behave.sh"
server=fake

case $mode in
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
