# A Slurm made of executables, after PSI/J's fake batch system: it keeps its jobs in $FAKE_SLURM/jobs/<id> and really runs them.
#
# $FAKE_SLURM/behave/<command> says how the next calls go wrong (first word) and, with a number behind it, for how many calls; further
# lines are for the calls after those:
#   any command  wait (until told otherwise, then as usual), die (with the program that called it)
#   sbatch       slow, banner, silent, refuse, down, timed-out-accepted, timed-out-lost, twice (two copies, the id of the second),
#                wait-accepted (accepts, then waits), die-before, die-during, die-after
#   squeue       down, nothing (rc 0), banner, notice, half (a list that ends in the middle of a row, rc 0), cut
#   sacct        empty, disabled, down, twice (an older record of the same id before each, somebody else's)
#   scontrol     down            scancel   ignore
# and of the whole Slurm: hold (jobs stay pending), forget (the queue forgets a job with its end), no-accounting,
#   min-job-age (seconds), clock (seconds that its clock is ahead).
# $FAKE_SLURM/calls has a line for every call. In a job's directory an empty file `forgotten` plays MinJobAge, and `accounted`
# (`OUT_OF_MEMORY 0:125`) is what sacct says of its end; a job may write both itself.
S=${FAKE_SLURM:?fake-slurm: FAKE_SLURM must name its state directory}
mkdir -p "$S/jobs" "$S/behave"
me=${0##*/}
printf '%s %s\n' "$me" "$*" | tr '\036\037' '^_' >>"$S/calls"

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

# Holds on for as long as $FAKE_SLURM/behave says so.
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
esac

now() { date -u +%Y-%m-%dT%H:%M:%S; }
