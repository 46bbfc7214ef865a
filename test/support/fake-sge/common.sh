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
. "${0%/*}/../fake-scheduler/behave.sh"

case $mode in
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
