/**
 * The part of the wrapper for jobs that may run again: a directory that lasts over their attempts, a signal some time before the time limit, and what an end
 * after it means. It is there only for jobs that ask for it.
 */
export const checkpointing = `compops_announced=
compops_alarm=
compops_before() {
  compops_checkpoints=$compops_checkpoints\${compops_array:+/$compops_index}
  command mkdir -p -- "$compops_checkpoints"
  compops_own+=("COMPOPS_CHECKPOINT_DIR=$compops_checkpoints")
  [ -z "$compops_signal" ] || trap compops_announce "$compops_signal"
}
# To the shell of the commands alone, or what has taken its place: it catches the signal, while what it has started may not.
compops_announce() {
  [ -z "$compops_announced" ] || return 0
  compops_announced=$compops_signal
  printf 'compops: the time limit is near: %s\\n' "$compops_signal"
  { read -r compops_pid <"$compops_dir/pid.$compops_i"; } 2>/dev/null && kill -s "$compops_signal" "$compops_pid" 2>/dev/null
}
# Where the scheduler does not send it. Without a process that would outlive this shell.
compops_begin_alarm() {
  [ -n "$compops_signal_after" ] || return 0
  {
    exec 7<> <(:)
    read -r -t "$compops_signal_after" -u 7 _ || [ $? -gt 128 ] || command sleep "$compops_signal_after"
    kill -s "$compops_signal" $$
  } 2>/dev/null &
  compops_alarm=$!
  disown "$compops_alarm"
}
compops_end_alarm() {
  [ -z "$compops_alarm" ] || kill -s KILL "$compops_alarm" 2>/dev/null
  [ -z "$compops_signal" ] || trap : "$compops_signal"
  [ -z "$compops_ended" ] || return 0
  local place
  if [ "$compops_code" -ne 0 ]; then
    [ -z "$compops_announced" ] || compops_ended=signaled$compops_tab$compops_announced
  elif [ -n "$compops_until" ]; then
    for place in "$compops_work" "$compops_output"; do
      [ ! -e "$place/$compops_until" ] || compops_ended=reached
    done
  fi
}
`
