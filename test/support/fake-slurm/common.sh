# A Slurm made of executables, after PSI/J's fake batch system: it keeps its jobs in $FAKE_SLURM/jobs/<id> and really runs them.
# $FAKE_SLURM/behave/<command> says how the next calls go wrong (first word) and, with a number behind it, for how many calls.
# $FAKE_SLURM/calls has a line for every call. MinJobAge is played by an empty file `forgotten` in a job's directory.
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
    1) rm -f "$S/behave/$me" ;;
    *) echo "$mode $((times - 1))" >"$S/behave/$me" ;;
  esac
fi

# Ends the program that called us at once, with all of its process group, as when a login node goes down. timeout(1) leads a group of its own.
die_with_caller() {
  if [ "$(ps -o comm= -p "$PPID")" = timeout ]; then
    group=$(ps -o pgid= -p "$(ps -o ppid= -p "$PPID" | tr -d ' ')" | tr -d ' ')
    kill -KILL "-$group"
  fi
  kill -KILL 0
}

now() { date -u +%Y-%m-%dT%H:%M:%S; }
