# How the commands of every fake scheduler are told to misbehave: $S/behave/<command> holds a word for the next calls and, with a number behind
# it, for how many; further lines are for the calls after those. `wait` and `die` are known to all commands, the other words to each. A call is
# a line of $S/calls. Sourced with $S set to the state directory.
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

# Holds on for as long as $S/behave says so.
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
