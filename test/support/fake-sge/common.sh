# A Grid Engine made of executables: it keeps its jobs in $FAKE_SGE/jobs/<id> and really runs them. What it prints and its exit codes are those
# seen on 8.1.9 (test/fixtures/scheduler/sge), exit codes 99 and 100 of a job included. Its commands lie where a cell has them, so that the root
# is found from there.
#
# $FAKE_SGE/behave/<command> says how the next calls go wrong (first word) and, with a number behind it, for how many calls; further
# lines are for the calls after those:
#   any command  wait (until told otherwise, then as usual), die (with the program that called it), down (no master), nothing (rc 0)
#   qsub         slow, banner, silent, refuse, limit (max_u_jobs), lost-accepted, lost (the answer of the master did not come), die-before, die-after
#   qstat        banner, half (ends in the middle of a job, rc 0), cut (killed)            qdel   ignore
# and of the whole Grid Engine: hold (jobs stay pending), lag (accounting is not flushed), clock (seconds that its clock is ahead).
# $FAKE_SGE/calls has a line for every call. In a job's directory a file `failed` (`37 137`) says how it ends instead; a job may write it itself.
S=${FAKE_SGE:?fake-sge: FAKE_SGE must name its state directory}
mkdir -p "$S/jobs" "$S/behave"
me=${0##*/}
printf '%s %s\n' "$me" "$*" >>"$S/calls"

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

# Holds on for as long as $FAKE_SGE/behave says so.
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
    echo 'error: commlib error: got select error (Connection refused)' >&2
    echo 'Unable to run job: unable to send message to qmaster using port 6444 on host "fake": got send error' >&2
    exit 1
    ;;
esac

# record DIRECTORY FAILED EXIT_STATUS: a line of the accounting file, accounting(5).
record() {
  _started=$(cat "$1/started" 2>/dev/null || echo 0)
  _ended=$(date +%s)
  [ "$_started" != 0 ] || _ended=0
  _line="all.q:n1:hpc:$(id -un):$(cat "$1/name"):${1##*/}:sge:0:$(cat "$1/submitted"):$_started:$_ended:$2:$3:0:0.5:0:6476:0:0:0:0:0:0:0:0:0:0:0:0:0:0:NONE:defaultdepartment:NONE:1:0:0.500000:0:0:$(cat "$1/category"):0:NONE:0.000000:0:0"
  printf '%s\n' "$_line" >>"$S/unflushed"
  [ -e "$S/behave/lag" ] || { cat "$S/unflushed" >>"$S/root/default/common/accounting"; rm -f "$S/unflushed"; }
}
