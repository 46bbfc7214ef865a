import { locks, preamble, short } from './preamble.ts'

/**
 * 1. The checkout, once per run; what is missing of its sources is asked for, or comes along as the last `$inline` bytes of the file `$sent`. Needs `locks`, and
 * `fail` for what goes wrong.
 */
export const checkout = `if [ ! -d "$run/work" ]; then
  if [ ! -f "$project/src/$source" ] || [ $(($(wc -c <"$project/src/$source"))) -ne "$source_size" ]; then
    [ "$inline" -gt 0 ] || { echo 'NEEDSOURCE 0'; exit 0; }
    new=$project/src/new.$source.$our_host.$$
    problem=$({ tail -c +$((files + 1)) "$sent" >"$new" && mv -f "$new" "$project/src/$source" || { rm -f "$new"; exit 1; }; } 2>&1) ||
      fail "the sources cannot be stored: $problem"
  fi
  tries=0
  until take "$run/work.lock"; do
    [ $? -eq 1 ] || fail "cannot make $run/work.lock"
    [ ! -d "$run/work" ] || break
    tries=$((tries + 1))
    [ $tries -lt 50 ] || { echo "BUSY $asked"; exit 0; }
    nap
  done
  if [ ! -d "$run/work" ]; then
    rm -rf "$run"/work.new.*
    problem=$(mkdir "$run/work.new.$$" && tar -xof "$project/src/$source" -C "$run/work.new.$$" 2>&1 && mv "$run/work.new.$$" "$run/work") ||
      { give_back "$run/work.lock"; rm -rf "$run/work.new.$$"; fail "the sources cannot be unpacked: $problem"; }
    give_back "$run/work.lock"
  fi
fi
`

/**
 * One guarded submission. Whoever asks for the same attempt, however often, from wherever, gets the same answer:
 *
 *     id          the native id: accepted
 *     refused     the scheduler's words
 *     fenced      given up by a cancellation: it is never submitted
 *     submitting  when sbatch was begun, by the cluster's clock: until `settle` seconds have passed a job may still appear under our name
 *     lock/       its holder is between the first look and the last of these files
 *
 * Input: lines (see submit.ts), then the files as one block. Answer: one word, a rest of the line, and text below it.
 */
export function submitProgram(dialectShell: string): string {
  return `${preamble}
for name in project run attempt source source_size job settle siblings files inline arguments; do
  IFS= read -r "$name" || exit 97
done
set --
while [ "$arguments" -gt 0 ]; do
  IFS= read -r line || exit 97
  set -- "$@" "$line"
  arguments=$((arguments - 1))
done

# Every answer begins with a word and how many commands of the scheduler it took.
asked=0
fail() { printf 'FAILED %s\\n%s\\n' $asked "$*"; exit 0; }
problem=$(mkdir -p "$project/src" "$attempt" 2>&1) || fail "$problem"
cd "$attempt" || fail "cannot enter $attempt"

${short}
# The files go to disk before anything else is read: a cut link looks like the end of the input.
sent=$attempt/sent.$$
said=$attempt/said.$$
answer=$attempt/answer.$$
locked=
# On a full disk each try would else leave something behind.
trap 'rm -f "$sent" "$said" "$said.first" "$answer" "$attempt"/*.new.$$; [ -z "$locked" ] || give_back "$attempt/lock"' EXIT
problem=$({ cat >"$sent"; } 2>&1) || fail "cannot write to $attempt: $problem"
[ $(($(wc -c <"$sent"))) -eq $((files + inline)) ] || fail 'the files of the job arrived cut'

accepted() { printf 'ACCEPTED %s %s\\n' $asked "$1"; exit 0; }
# A line becomes a file of the attempt, or nothing more is done.
keep() { problem=$(line "$attempt/$1" "$2" 2>&1) || fail "cannot write to $attempt: $problem"; }
keep_id() {
  keep id "$1"
  accepted "$1"
}
known() {
  if [ -s id ]; then IFS= read -r id <id; accepted "$id"; fi
  if [ -e refused ]; then echo "REFUSED $asked"; cat refused; exit 0; fi
  for file in started.*; do
    [ -s "$file" ] || continue
    read -r id _ <"$file"
    keep_id "$id"
  done
  if [ -e fenced ]; then echo "GIVENUP $asked"; exit 0; fi
}
known

# An attempt of this job that the asker does not know of: its database is older than this directory (a restored backup), and the job may have run.
for other in ../*; do
  other=\${other##*/}
  case $other in *[!0-9a-f-]*) continue ;; ????????-????-????-????-????????????) ;; *) continue ;; esac
  case " $siblings \${attempt##*/} " in *" $other "*) continue ;; esac
  if [ -f "../$other/id" ] || [ -f "../$other/submitting" ]; then printf 'OVERTAKEN %s %s\\n' $asked "$other"; exit 0; fi
done

${locks}
${checkout}

${dialectShell}

# 2. Alone with this attempt.
tries=0
until take lock; do
  [ $? -eq 1 ] || fail "cannot make $attempt/lock"
  known
  tries=$((tries + 1))
  [ $tries -lt 50 ] || { echo "BUSY $asked"; exit 0; }
  nap
done
locked=yes
known

find_by_name() {
  asked=$((asked + 1 + $#))
  found=$(scheduler_find "$job" "$@" 2>"$said") || return 1
  # Two of them cannot both run (the fence); the first is the job.
  for id in $found; do keep_id "$id"; done
}
unsure() { printf 'UNSURE %s %s\\n' $asked "$1"; head -c 4000 "$said"; exit 0; }

# 3. Is there a job of this name? With a submission begun before, accounting is asked too, and patience is needed.
if [ -s submitting ]; then
  read -r began <submitting
  find_by_name past || unsure 15
  age=$(($(date +%s) - began))
  if [ $age -lt 0 ]; then
    # The clock was set back since, or this login node's is behind: counted from now.
    keep submitting "$(date +%s)"
    age=0
  fi
  if [ $age -lt "$settle" ]; then
    printf '%s\\n' 'a submission was begun and nobody heard how it ended; no job of this name is known yet' >"$said"
    unsure $((settle - age))
  fi
else
  find_by_name || { echo "TRANSIENT $asked"; head -c 4000 "$said"; exit 0; }
fi

# 4. The files, then the intent, then the deed.
problem=$(tar -xmof "$sent" -C "$attempt" 2>&1) || fail "cannot write to $attempt: $problem"
cd "$run/work" || fail "cannot enter $run/work"
keep submitting "$(date +%s)"
asked=$((asked + 1))
scheduler_submit "$attempt/script" "$@" >"$answer" 2>"$said" </dev/null
rc=$?
cd "$attempt" || exit 96
if [ $rc -eq 0 ] && id=$(scheduler_submitted <"$answer"); then keep_id "$id"; fi
if [ $rc -eq 0 ]; then
  meaning=unknown
  { echo 'the scheduler accepted, but its answer holds no id:'; cat "$answer"; } >>"$said"
else
  meaning=$(scheduler_judge $rc <"$said")
fi
case $meaning in
  refused)
    head -c 4000 "$said" | store refused
    rm -f submitting secrets
    echo "REFUSED $asked"
    cat refused
    ;;
  transient)
    rm -f submitting
    echo "TRANSIENT $asked"
    head -c 4000 "$said"
    ;;
  *)
    cp "$said" "$said.first"
    find_by_name past
    mv "$said.first" "$said"
    unsure "$settle"
    ;;
esac
exit 0
`
}

/** Input: two lines, then the tar; it appears under its name only when it is all there. */
export const uploadProgram = `${preamble}
for name in project source source_size; do IFS= read -r "$name" || exit 97; done
mkdir -p "$project/src" || exit 1
new=$project/src/new.$source.$(uname -n).$$
trap 'rm -f "$new"' EXIT
cat >"$new" || exit 1
got=$(wc -c <"$new")
if [ "$((got))" -ne "$source_size" ]; then echo "the sources arrived cut: $((got)) of $source_size bytes" >&2; exit 1; fi
mv -f "$new" "$project/src/$source"
`
