import { preamble } from './preamble.ts'

// A root that is not there holds nothing, or its file system is not mounted: the caller knows which is more likely.
const enter = `IFS= read -r root || exit 97
if [ ! -d "$root" ]; then echo absent; exit 0; fi
cd "$root" || exit 96
`

/**
 * Input: PATH prefix, root, the last path of the page before (or empty), how many lines. Output: a page of `<project>/runs/<run>/jobs/<job>/<attempt>` in the
 * order of bytes, and at last `more`, `end`, or `absent` where there is no root. Patterns are expanded by the shell itself, sorted under LC_ALL=C.
 */
export const listProgram = `${preamble}${enter}
IFS= read -r after || exit 97
IFS= read -r limit || exit 97
printf '%s\\n' */runs/*/jobs/*/* | awk -v after="$after" -v limit="$limit" '
  ($0 "") <= (after "") { next }
  $0 !~ /^[0-9]+\\/runs\\/[0-9a-f-]+\\/jobs\\/[0-9a-f-]+\\/[0-9a-f-]+$/ { next }
  { if (n == limit) { more = 1; exit } n++; print }
  END { print more ? "more" : "end" }'
`

/** Input: PATH prefix, root, a run id (or empty), how many lines. Output: the ids of younger runs, then `end`, `more` or `absent`. Our ids sort by time. */
export const youngerProgram = `${preamble}${enter}
IFS= read -r than || exit 97
IFS= read -r limit || exit 97
printf '%s\\n' */runs/* | awk -v than="$than" -v limit="$limit" '
  $0 !~ /^[0-9]+\\/runs\\/[0-9a-f-]+$/ { next }
  { sub(/^.*\\//, "") }
  ($0 "") <= (than "") { next }
  { if (n == limit) { more = 1; exit } n++; print }
  END { print more ? "more" : "end" }'
`

/**
 * Input: PATH prefix, the longest first line wanted, then a directory per line. Output: for each `<n> <file> <first line>` of the files that matter and are there, and at last
 * `end <how many>`. Only regular files: the job's user could put a pipe there, which nobody would ever write to.
 */
export const describeProgram = `${preamble}
IFS= read -r longest || exit 97
n=0
while IFS= read -r directory; do
  [ -n "$directory" ] || continue
  for file in id about submitting refused fenced started.0 exit.0; do
    [ -f "$directory/$file" ] || continue
    printf '%s %s %s\\n' $n "$file" "$(head -c "$longest" "$directory/$file" | tr -d '\\000' | head -n 1)"
  done
  n=$((n + 1))
done
echo "end $n"
`
