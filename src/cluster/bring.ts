import { createReadStream } from 'node:fs'
import { preamble } from './preamble.ts'
import { notWhole, type Reach } from './reach.ts'

/** Large, over a slow line; what has arrived by then is not sent again. */
const deadline = 1_800_000

export interface Cargo {
  /** There, absolute. */
  readonly folder: string
  /** Under which it appears when it is whole, and while it comes. */
  readonly name: string
  readonly part: string
  readonly size: number
  /** In a sentence: `the packages`. */
  readonly what: string
}

/**
 * Brings a file to the cluster, by the way that is meant for data, unless it lies there already. A transfer that was cut goes on where it stopped. Only sizes are compared: the
 * job itself takes the digest when it uses it, so that no login node has to read gigabytes. `local` says where it is here, and is only asked where something is missing.
 */
export async function bringFile(reach: Reach, cargo: Cargo, local: () => Promise<string>): Promise<void> {
  const { folder, name, part, size, what } = cargo
  const lines = [folder, name, part, String(size)]
  const asked = await reach.run({ text: haveProgram, lines, urgent: true, bulk: true })
  if (asked.rc !== 0) throw notWhole(reach.name, `${what} could not be stored`, asked)
  if (asked.stdout === 'whole\n') return
  const have = /^have (\d{1,15})\n$/.exec(asked.stdout)?.[1]
  if (have === undefined) throw notWhole(reach.name, `it did not say how much of ${what} it has`, asked)
  const rest = createReadStream(await local(), { start: Number(have) })
  try {
    const answer = await reach.run({
      text: bringProgram,
      lines: [...lines, have, what],
      rest,
      urgent: true,
      bulk: true,
      deadline,
    })
    if (answer.rc !== 0) throw notWhole(reach.name, `${what} could not be stored`, answer)
  } finally {
    rest.destroy()
  }
}

const enter = `${preamble}
for name in folder file part whole; do IFS= read -r "$name" || exit 97; done
mkdir -p "$folder" && cd "$folder" || exit 1
size_of() { if [ -f "$1" ] && [ ! -L "$1" ]; then echo $(($(wc -c <"$1"))); else echo 0; fi; }
`

/** Input: directory, name, name of the part, size. Output: `whole` where it is all there, and made young; else `have <bytes>`. */
const haveProgram = `${enter}
if [ -f "$file" ] && [ "$(size_of "$file")" -eq "$whole" ]; then touch "$file"; echo whole; exit 0; fi
have=$(size_of "$part")
if [ "$have" -gt "$whole" ] || [ -L "$part" ]; then rm -f "$part" || exit 1; have=0; fi
echo "have $have"
`

/** Input: as before, from which byte on, and what it is; then those bytes. It appears under its name only when it is all there. */
const bringProgram = `${enter}
for name in from what; do IFS= read -r "$name" || exit 97; done
have=$(size_of "$part")
if [ "$have" -ne "$from" ]; then echo "somebody else brings them, too: $have bytes are there, not $from" >&2; exit 1; fi
cat >>"$part" || exit 1
have=$(size_of "$part")
if [ "$have" -gt "$whole" ]; then rm -f "$part"; fi
if [ "$have" -ne "$whole" ]; then echo "$what arrived cut: $have of $whole bytes" >&2; exit 1; fi
mv -f "$part" "$file"
`
