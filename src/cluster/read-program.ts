import { preamble } from './preamble.ts'

/**
 * Pieces of files of one run, as text. Input: PATH prefix, root, a directory below it, then a line `<offset> <bytes> <path>` for each; a negative
 * offset counts from the end. Output: for each `piece <offset> <size> <base64 or hex>`, the encoded bytes and a line `.`, or `no <why>`; at last `end <how many>`.
 *
 * Nothing but a regular file is opened, and none behind a link: each directory on the way is entered by itself, and then the place where we stand is
 * compared. Whoever swaps one at that very moment can do so only with the rights of this account; what was read is compared with the job's own digest.
 */
export const readProgram = `${preamble}
for name in root place; do IFS= read -r "$name" || exit 97; done
[ -d "$root" ] || { echo "$root is not there" >&2; exit 96; }
real=$(cd -P "$root" && pwd -P) || exit 96
if command -v base64 >/dev/null 2>&1; then
  how=base64
  encode() { base64; }
else
  how=hex
  encode() { od -An -v -tx1; }
fi
# Stands in the directory $1 below the root, no link on the way; 1 where it is not there, 2 where something else is.
enter() {
  cd -P "$real" || return 1
  rest=$1
  while [ -n "$rest" ]; do
    part=\${rest%%/*}
    case $rest in */*) rest=\${rest#*/} ;; *) rest= ;; esac
    case $part in '' | . | ..) return 2 ;; esac
    [ ! -L "./$part" ] || return 2
    [ -e "./$part" ] || return 1
    cd -P "./$part" 2>/dev/null || return 2
  done
  [ "$(pwd -P)" = "\${real%/}/$1" ] || return 2
}
enter "$place" || { echo 'gone'; exit 0; }
n=0
while IFS=' ' read -r offset bytes path; do
  n=$((n + 1))
  file=\${path##*/}
  case $path in */*) enter "$place/\${path%/*}" ;; *) enter "$place" ;; esac
  case $?-$file in
    1-*) echo 'no is not there any more'; continue ;;
    0- | 0-. | 0-..) echo 'no is no file'; continue ;;
    0-*) ;;
    *) echo 'no lies behind a link'; continue ;;
  esac
  if [ -L "./$file" ]; then echo 'no is a link'; continue; fi
  if [ ! -e "./$file" ]; then echo 'no is not there any more'; continue; fi
  if [ ! -f "./$file" ]; then echo 'no is no file'; continue; fi
  # wc may read all of a file that is mostly hole.
  size=$(stat -c %s "./$file" 2>/dev/null) || size=$(wc -c <"./$file") || { echo 'no cannot be read'; continue; }
  size=$((size))
  if [ ! -r "./$file" ]; then echo 'no cannot be read'; continue; fi
  [ "$offset" -ge 0 ] || offset=$((size + offset))
  [ "$offset" -ge 0 ] || offset=0
  echo "piece $offset $size $how"
  if [ "$offset" -lt "$size" ] && [ "$bytes" -gt 0 ]; then
    tail -c +$((offset + 1)) "./$file" 2>/dev/null | head -c "$bytes" | encode
  fi
  printf '\\n.\\n'
done
echo "end $n"
`
