import { createReadStream } from 'node:fs'
import { CompopsError } from '../errors.ts'
import type { Bundle } from './contract.ts'
import { type AttemptPaths, bundlesDirectory } from './layout.ts'
import { preamble } from './preamble.ts'
import { notWhole, type Reach } from './reach.ts'

/** Large, over a slow line; what has arrived by then is not sent again. */
const deadline = 1_800_000

/**
 * Brings packages to the cluster, by the way that is meant for data, unless they lie there already. A transfer that was cut goes on where it stopped. Only sizes are compared: the
 * job itself takes the digest when it unpacks, so that no login node has to read gigabytes.
 */
export async function bringBundle(reach: Reach, paths: AttemptPaths, bundle: Bundle): Promise<void> {
  const lines = [bundlesDirectory(paths), name(bundle), String(bundle.size)]
  const asked = await reach.run({ text: haveProgram, lines, urgent: true, bulk: true })
  if (asked.rc !== 0) throw notWhole(reach.name, 'the packages could not be stored', asked)
  if (asked.stdout === 'whole\n') return
  const have = /^have (\d{1,15})\n$/.exec(asked.stdout)?.[1]
  if (have === undefined) throw notWhole(reach.name, 'it did not say how much of the packages it has', asked)
  const rest = createReadStream(bundle.path, { start: Number(have) })
  try {
    const answer = await reach.run({
      text: bringProgram,
      lines: [...lines, have],
      rest,
      urgent: true,
      bulk: true,
      deadline,
    })
    if (answer.rc !== 0) throw notWhole(reach.name, 'the packages could not be stored', answer)
  } finally {
    rest.destroy()
  }
}

function name({ sha256 }: Bundle): string {
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new CompopsError(`${JSON.stringify(sha256)} is not a digest`)
  return sha256
}

const enter = `${preamble}
for name in folder bundle whole; do IFS= read -r "$name" || exit 97; done
mkdir -p "$folder" && cd "$folder" || exit 1
size_of() { if [ -f "$1" ] && [ ! -L "$1" ]; then echo $(($(wc -c <"$1"))); else echo 0; fi; }
`

/** Input: directory, digest, size. Output: `whole` where it is all there, and made young; else `have <bytes>`. */
const haveProgram = `${enter}
if [ "$(size_of "$bundle.tar")" -eq "$whole" ]; then touch "$bundle.tar"; echo whole; exit 0; fi
have=$(size_of "$bundle.part")
if [ "$have" -gt "$whole" ] || [ -L "$bundle.part" ]; then rm -f "$bundle.part" || exit 1; have=0; fi
echo "have $have"
`

/** Input: as before, and from which byte on; then those bytes. It appears under its name only when it is all there. */
const bringProgram = `${enter}
IFS= read -r from || exit 97
have=$(size_of "$bundle.part")
if [ "$have" -ne "$from" ]; then echo "somebody else brings them, too: $have bytes are there, not $from" >&2; exit 1; fi
cat >>"$bundle.part" || exit 1
have=$(size_of "$bundle.part")
if [ "$have" -gt "$whole" ]; then rm -f "$bundle.part"; fi
if [ "$have" -ne "$whole" ]; then echo "the packages arrived cut: $have of $whole bytes" >&2; exit 1; fi
mv -f "$bundle.part" "$bundle.tar"
`
