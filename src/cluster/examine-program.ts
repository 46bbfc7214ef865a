import { preamble } from './preamble.ts'

/** Every job and every program of ours needs these there. */
export const neededTools =
  'awk cat cp cut date df find grep head id ls mkdir mv ps rm sed sha256sum sleep sort tail tar timeout tr uname wc xargs'.split(
    ' ',
  )

/**
 * Input: PATH prefix, root. Output: lines `<key> <value>`, at last `end`. Nothing stays behind: what is written is one file below the root, or nothing
 * where the root is not there yet.
 */
export const examineProgram = `${preamble}
IFS= read -r root || exit 97
one() { printf '%s %s\\n' "$1" "$(printf '%s' "$2" | head -c 300 | tr '\\n\\r' '  ')"; }
one clock "$(date +%s)"
one user "$(id -un)"
one host "$(uname -n)"
one shell "\${SHELL-}"
# As sshd starts it: bash reads ~/.bashrc there only when it thinks itself the first (SHLVL).
if [ -x "\${SHELL-}" ]; then one printed "$( (SHLVL=0; export SHLVL; exec timeout 20 "$SHELL" -c : </dev/null 2>/dev/null) | head -c 300)"; fi
one bash "$(/bin/bash -c 'echo "\${BASH_VERSINFO[0]}.\${BASH_VERSINFO[1]}"' 2>/dev/null)"
began=$(date +%s)
timeout 20 /bin/bash -l -c : </dev/null >/dev/null 2>&1
one login "$(($(date +%s) - began))"
for tool in ${neededTools.join(' ')}; do command -v "$tool" >/dev/null 2>&1 || one missing "$tool"; done
if [ -d "$root" ]; then
  file=$root/.compops-doctor.$$
  trap 'rm -f "$file"' EXIT
  if said=$( { head -c 1048576 /dev/zero >"$file"; } 2>&1) && [ $(($(wc -c <"$file"))) -eq 1048576 ]; then one root written; else one root "refused $said"; fi
  rm -f "$file"
  [ -z "$(find "$root" -prune -perm -0002 2>/dev/null)" ] || one open "$root"
elif [ -e "$root" ]; then
  one root "refused $root is no directory"
else
  above=$root
  while [ ! -d "$above" ]; do above=\${above%/*}; [ -n "$above" ] || above=/; done
  if [ -w "$above" ]; then one root "absent $above"; else one root "refused $root does not exist, and $above may not be written"; fi
  root=$above
fi
one free "$(df -Pk "$root" 2>/dev/null | awk 'NR == 2 { print $4, $2 }')"
if command -v quota >/dev/null 2>&1; then one quota "$(timeout 20 quota -q 2>/dev/null | head -n 3)"; fi
echo end
`

/**
 * Input: PATH prefix, how many arguments, the arguments. Output: `none` where the dialect cannot try, else `tried <exit code>` and what was said. No job
 * is made.
 */
export function tryProgram(dialectShell: string): string {
  return `${preamble}
IFS= read -r arguments || exit 97
set --
while [ "$arguments" -gt 0 ]; do
  IFS= read -r line || exit 97
  set -- "$@" "$line"
  arguments=$((arguments - 1))
done
${dialectShell}
if ! command -v scheduler_try >/dev/null 2>&1; then echo none; exit 0; fi
said=$(scheduler_try "$@" 2>&1 </dev/null)
echo "tried $?"
printf '%s\\n' "$said" | head -c 2000
`
}

/**
 * Input: PATH prefix, directory, our number, how many are wanted. Each waits until it sees the others, or five seconds. Output: how many were there at once.
 */
export const sessionsProgram = `${preamble}
for name in directory me want; do IFS= read -r "$name" || exit 97; done
mkdir -p "$directory" && : >"$directory/$me" || exit 96
trap 'rm -f "$directory/$me"; rmdir "$directory" 2>/dev/null' EXIT
most=0
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
  set -- "$directory"/*
  [ $# -le $most ] || most=$#
  [ $most -lt "$want" ] || break
  sleep 0.2 2>/dev/null || sleep 1
done
# The others look, too, before we go.
sleep 0.5 2>/dev/null || sleep 1
echo "$most"
`
