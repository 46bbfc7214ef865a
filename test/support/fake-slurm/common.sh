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
#   sinfo        down, nothing, banner; $FAKE_SLURM/reservations is what scontrol says of them
# and of the whole Slurm: hold (jobs stay pending), forget (the queue forgets a job with its end), no-accounting,
#   min-job-age (seconds), clock (seconds that its clock is ahead).
# Jobs run on n1, or where sbatch was told --exclude=n1 on n2.
# $FAKE_SLURM/calls has a line for every call. In a job's directory an empty file `forgotten` plays MinJobAge, and `accounted`
# (`OUT_OF_MEMORY 0:125`) is what sacct says of its end; a job may write both itself.
S=${FAKE_SLURM:?fake-slurm: FAKE_SLURM must name its state directory}
mkdir -p "$S/jobs" "$S/behave"
. "${0%/*}/../fake-scheduler/behave.sh"

now() { date -u +%Y-%m-%dT%H:%M:%S; }
