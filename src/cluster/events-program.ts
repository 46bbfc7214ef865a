import { preamble } from './preamble.ts'

/**
 * The one loop that looks for news, on one channel for as long as somebody listens. Input: PATH prefix, the directory of events, how many tenths of a second it may live,
 * how many pass between two signs of life, how many it waits after news and how many when there is none; then nothing until the reader closes it. Output: for each event its name, of progress also its line; `alive`
 * now and then.
 *
 * It ends with its input (a `read` with a deadline where the shell has one, else a `cat` that is gone), with its output (a write that fails) and with its time.
 * A look at an empty directory is one pattern, no process; a wait is none either in bash, one `sleep` in dash and busybox; news cost an `rm`, progress a `find` besides.
 * Whatever lies there was written by the account's jobs: only names of our making are told, only small regular files are read, of the rest every minute all but directories is removed.
 */
export const eventsProgram = `${preamble}
for name in events lifetime beats soon seldom; do IFS= read -r "$name" || exit 97; done
# A root that is not mounted is not made here: it would look like one from which everything was removed.
[ -d "\${events%/*}/" ] || { echo "\${events%/*} is not there" >&2; exit 96; }
[ -d "$events" ] || problem=$(mkdir "$events" 2>&1) || [ -d "$events" ] || { echo "$problem" >&2; exit 96; }
cd "$events" || exit 96

# Only a shell that tells a passed deadline from the end of the input can wait without a process.
waits=
read -r -t 0.1 _ 2>/dev/null
[ $? -le 128 ] || waits=yes
if [ -z "$waits" ]; then
  exec 3<&0
  cat <&3 >/dev/null 2>&1 &
  reader=$!
  trap 'kill $reader 2>/dev/null' EXIT
fi
# pause TENTHS: fails once nobody reads any more.
pause() {
  if [ -n "$waits" ]; then
    read -r -t "$(($1 / 10)).$(($1 % 10))" _
    [ $? -gt 128 ]
  else
    sleep "$(($1 / 10)).$(($1 % 10))" 2>/dev/null || sleep 1
    kill -0 $reader 2>/dev/null
  fi
}

look() {
  sound=
  for file; do
    case $file in *.progress) sound=$(find . ! -name . -prune -type f -size -3 -name '*.progress' 2>/dev/null); break ;; esac
  done
  told= names= strange=0 n=0
  for file; do
    index=\${file#*.}
    kind=\${index#*.}
    index=\${index%%.*}
    case \${file%%.*} in *[!0-9a-f-]*) kind= ;; ????????-????-????-????-????????????) ;; *) kind= ;; esac
    case $index in '' | *[!0-9]* | ????????*) kind= ;; esac
    line=$file
    case $kind in
      start | end) ;;
      progress)
        case $sound in
          *"./$file"*)
            text=
            { IFS= read -r text <"$file"; } 2>/dev/null && line="$file $text" || line=
            ;;
          *) line= ;;
        esac
        ;;
      *)
        strange=$((strange + 1))
        continue
        ;;
    esac
    # A directory of that name cannot be removed: told once and again it would be news for ever.
    if [ -d "$file" ] && [ ! -L "$file" ]; then
      strange=$((strange + 1))
      continue
    fi
    names="$names $file"
    [ -z "$line" ] || told="$told$line
"
    n=$((n + 1))
    [ $n -lt 500 ] || break
  done
  if [ -n "$told" ]; then printf '%s' "$told" || exit 0; fi
  [ -z "$names" ] || rm -f $names
  [ $n -eq 0 ] || quiet=0
  if [ $strange -gt 0 ] && [ $swept -ge 600 ]; then
    swept=0
    find . ! -name . -prune ! -type d ! -name '*.start' ! -name '*.end' ! -name '*.progress' -exec rm -f {} + 2>/dev/null
  fi
  if [ $strange -gt 2000 ]; then
    stranger=$((stranger + 1))
    [ $stranger -lt 3 ] || { echo "$strange things that are no events lie in $events" >&2; exit 95; }
  fi
}

lived=0 quiet=0 beat=0 swept=600 stranger=0
while [ $lived -lt "$lifetime" ]; do
  set -- *
  if [ $# -gt 1 ] || [ -e "$1" ] || [ -L "$1" ]; then look "$@"; fi
  # News come in groups: for a minute more often.
  if [ $quiet -lt 600 ]; then tenths=$soon; else tenths=$seldom; fi
  pause "$tenths" || exit 0
  lived=$((lived + tenths)) quiet=$((quiet + tenths)) beat=$((beat + tenths)) swept=$((swept + tenths))
  if [ $beat -ge "$beats" ]; then
    beat=0
    echo alive || exit 0
  fi
done
`
