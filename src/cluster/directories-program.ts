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
  for file in id about submitting refused fenced started.0 started.array exit.0; do
    [ -f "$directory/$file" ] || continue
    printf '%s %s %s\\n' $n "$file" "$(head -c "$longest" "$directory/$file" | tr -d '\\000' | head -n 1)"
  done
  n=$((n + 1))
done
echo "end $n"
`

/**
 * Input: PATH prefix, root, a project, then run ids. Output: for each `gone <id>` or `kept <id> <why>`, and at last `end <how many>`, or `absent` where there is
 * no root. Only directories with the name of one of our ids are touched, no link is followed on the way or below: rm and find follow none.
 */
export const removeRunsProgram = `${preamble}${enter}
IFS= read -r project || exit 97
case $project in '' | *[!0-9]*) exit 97 ;; esac
real=$(pwd -P) || exit 96
there=
if [ -e "./$project/runs" ]; then
  [ ! -L "./$project" ] && [ ! -L "./$project/runs" ] && cd -P "./$project/runs" && [ "$(pwd -P)" = "\${real%/}/$project/runs" ] ||
    { echo 'the run directories lie behind a link' >&2; exit 98; }
  there=yes
fi
n=0
while IFS= read -r id; do
  n=$((n + 1))
  case $id in ????????-????-????-????-????????????) ;; *) exit 97 ;; esac
  case $id in *[!0-9a-f-]*) exit 97 ;; esac
  [ -n "$there" ] || { echo "gone $id"; continue; }
  if [ -L "./$id" ]; then echo "kept $id is a link"; continue; fi
  if [ -e "./$id" ]; then
    [ -d "./$id" ] || { echo "kept $id is no directory"; continue; }
    # What an earlier try left. Renamed first: half of a run must not be taken for one.
    if [ -e "./removed.$id" ]; then nice rm -rf "./removed.$id"; fi
    mv "./$id" "./removed.$id" 2>/dev/null || { echo "kept $id cannot be renamed"; continue; }
  fi
  if [ -e "./removed.$id" ]; then
    nice rm -rf "./removed.$id" 2>/dev/null
    # Package caches come without the right to remove what is in them.
    if [ -e "./removed.$id" ]; then
      nice find "./removed.$id" -type d ! -perm -700 -exec chmod u+rwx {} \\; 2>/dev/null
      nice rm -rf "./removed.$id" 2>/dev/null
    fi
  fi
  if [ -e "./removed.$id" ]; then echo "kept $id cannot be removed whole"; else echo "gone $id"; fi
done
echo "end $n"
`

/** Input: PATH prefix, root, days. Output: `removed` for each tar of sources or packages, and each input from elsewhere, that is older, and what broken uploads left a day ago; then `end`, or `absent`. */
export const removeSourcesProgram = `${preamble}${enter}
IFS= read -r days || exit 97
case $days in '' | *[!0-9]*) exit 97 ;; esac
for folder in */src; do
  project=\${folder%/src}
  case $project in *[!0-9]*) continue ;; esac
  [ -d "./$folder" ] && [ ! -L "./$project" ] && [ ! -L "./$folder" ] || continue
  find "./$folder/." ! -name . -prune -type f -name '*[0-9a-f].tar' ! -name 'new.*' -mtime +"$days" -exec rm -f {} \\; -exec echo removed \\;
  find "./$folder/." ! -name . -prune -type f -name 'new.*' -mtime +1 -exec rm -f {} \\; -exec echo removed \\;
done
# Packages and inputs from elsewhere are asked for, and so made young, with each job that needs them.
for folder in */cache/bundles */cache/inputs; do
  project=\${folder%%/*}
  case $project in *[!0-9]*) continue ;; esac
  [ -d "./$folder" ] && [ ! -L "./$project" ] && [ ! -L "./$project/cache" ] && [ ! -L "./$folder" ] || continue
  find "./$folder/." ! -name . -prune -type f '(' -name '*.tar' -o -name '*.part' -o -path '*/cache/inputs/*' ')' -mtime +"$days" -exec rm -f {} \\; -exec echo removed \\;
done
echo end
`
