# An LSF made of executables: it keeps its jobs in $FAKE_LSF/jobs/<id> and really runs them.
#
# $FAKE_LSF/behave/<command> says how the next calls go wrong (fake-scheduler/behave.sh):
#   any command  wait (until told otherwise, then as usual), die (with the program that called it), still-trying (says so, and waits)
#   bsub         esub (a site's words first), quiet (accepted, and nothing is said), to-stderr, lost (accepted, but the connection breaks),
#                not-sent (the connection breaks, no job), refuse, threshold, twice (two copies, the id of the second), die-after
#   bjobs        down, nothing (rc 0), banner, noise (before its answer), half (cut in the middle, rc 0), mixed (rows, and rc 255 for another)
#   bhist        down, nothing        bkill   ignore
# and of the whole LSF: kind (`ibm`, which is usual; `compatible`, which knows few fields; `old`, which knows no -o), hold (jobs stay pending),
#   forget (bjobs forgets a job with its end, as after CLEAN_PERIOD), clean-period (seconds).
# Elements of an array are jobs `<id>[<index>]` there. In a job's directory an empty file `forgotten` plays CLEAN_PERIOD, `aged` a switched log of events, `archived` one that is gone; `term`
# (`TERM_MEMLIMIT 137`) is why LSF ended it, and a job may write it itself.
S=${FAKE_LSF:?fake-lsf: FAKE_LSF must name its state directory}
mkdir -p "$S/jobs" "$S/ids" "$S/behave"
mode=ok
[ -n "${asks-}" ] || . "${0%/*}/../fake-scheduler/behave.sh"

kind=$(cat "$S/behave/kind" 2>/dev/null || echo ibm)
read -r kind <<KIND
$kind
KIND
version() {
  case $kind in ibm) echo 'IBM Spectrum LSF Standard 10.1.0.12, Jun 10 2021' ;; *) echo 'volclava project 2.2, Nov 20 2026' ;; esac
}
case $mode in
  still-trying)
    while grep -qx still-trying "$S/behave/$me" 2>/dev/null; do
      echo 'batch system daemon not responding ... still trying' >&2
      sleep 0.2
    done
    mode=ok ;;
esac

moment() { date -u "+$1"; }
file() { cat "$job/$1" 2>/dev/null || echo "${2-}"; }
# The fields of $job in LSF's own words: $id $name $stat $code $term $reason $submitted $started $ended
load() {
  id=${job##*/}
  index=
  case $id in *'['*) index=${id#*'['}; index=${index%]} ;; esac
  id=${id%%'['*}
  name=$(file name)
  stat=$(file state)
  code=$(file exit)
  term=
  reason=$(file reason)
  submitted=$(file submitted)
  started=$(file started)
  ended=$(file ended)
  if [ "$stat" = EXIT ] && [ -s "$job/term" ]; then read -r term code <"$job/term"; fi
}
# $(show FORMAT SECONDS): a time, or nothing where there is none.
show() { [ -z "$2" ] || date -u -d "@$2" "+$1"; }
