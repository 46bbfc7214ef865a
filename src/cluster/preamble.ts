import { processStart } from '../scheduler/process.ts'

/** The head of every program: the site's PATH prefix is the first line of the input, so that programs stay constant. */
export const preamble = `IFS= read -r path_prefix || exit 97
case $path_prefix in ?*) PATH=$path_prefix:$PATH; export PATH ;; esac
`

export const short = `nap() { sleep 0.1 2>/dev/null || sleep 1; }
# Standard input becomes the file $1 in one step.
store() { cat >"$1.new.$$" && mv -f "$1.new.$$" "$1"; }
# A line $2 becomes the file $1, with one process less.
line() { printf '%s\\n' "$2" >"$1.new.$$" && mv -f "$1.new.$$" "$1"; }
`

/**
 * A lock is a directory (mkdir is atomic on every file system, flock is not) with its holder inside: host, pid, start of that process, time.
 * A holder on this host is asked for; one on another login node is believed for \`$settle\` seconds. The lock of a dead one is renamed away by
 * whoever may, first of all, make \`steal\` inside it: so two cannot take it, nor one take the lock that another has just made anew.
 */
export const locks = `${processStart}
our_host=$(uname -n)
# $$ would be the shell above us, which may die alone.
our_pid=$(exec sh -c 'echo $PPID')
our_start=$(process_start "$our_pid") || our_start=unknown

# take DIR: 0 it is ours, 1 somebody holds it, 2 it cannot be made at all
take() {
  if mkdir "$1" 2>/dev/null; then
    line "$1/holder" "$our_host $our_pid $our_start $(date +%s)"
    return 0
  fi
  [ -d "$1" ] || return 2
  lock_holder=
  { IFS= read -r lock_holder <"$1/holder"; } 2>/dev/null
  case $lock_holder in
    '')
      # Being made this very moment, or its maker died between two steps.
      [ -n "$(find "$1" -prune -mmin +1 2>/dev/null)" ] || return 1
      ;;
    "$our_host "*)
      set -- "$1" $lock_holder
      [ "$(process_start "$3")" != "$4" ] || return 1
      ;;
    *)
      set -- "$1" $lock_holder
      [ $(($(date +%s) - $5)) -ge "$settle" ] || return 1
      ;;
  esac
  find "$1/steal" -prune -mmin +1 -exec rmdir {} \\; 2>/dev/null
  mkdir "$1/steal" 2>/dev/null || return 1
  lock_now=
  { IFS= read -r lock_now <"$1/holder"; } 2>/dev/null
  if [ "$lock_now" != "$lock_holder" ]; then
    rmdir "$1/steal"
    return 1
  fi
  mv "$1" "$1.dead.$our_host.$$" && rm -rf "$1.dead.$our_host.$$"
  mkdir "$1" 2>/dev/null || return 1
  line "$1/holder" "$our_host $our_pid $our_start $(date +%s)"
}
give_back() { rm -rf "$1"; }
`

const compacted = new Map<string, string>()

/** A program without what only people read: a far shell takes it byte by byte. Programs are constant and few. */
export function compact(text: string): string {
  let known = compacted.get(text)
  if (known === undefined) {
    known = text
      .replace(/^[ \t]+/gm, '')
      .replace(/^#.*\n/gm, '')
      .replace(/\n{2,}/g, '\n')
    compacted.set(text, known)
  }
  return known
}
