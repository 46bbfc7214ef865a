/** Mirrors in which git met something broken: a power cut, a disk, a hand. Each is looked over once an hour at most, and made anew where it is damaged. */
interface Look {
  readonly at: number
  readonly remade: boolean
}

const suspects = new Set<string>()
const looks = new Map<string, Look>()
const patience = 3_600_000
/** Whoever was at work in a mirror while it was made anew may ask again. */
const settling = 900_000

const WORDS =
  /not a git repository: '|cat-file [0-9a-f]{40}: bad file|bad object|did not send all necessary objects|unexpected line in .*packed-refs|unable to read (sha1 file|tree|[0-9a-f]{40})|could not read [0-9a-f]{40}|invalid object|invalid sha1 pointer|bad tree object|(object|packfile|index) .*is corrupt|object file .* is empty|garbage at end of|missing (blob|tree|commit|object)|bad (ref|signature)|broken ref|does not point to a valid|packfile .*cannot be|index file .* is too small|inflate: data/

/** Told of each failure of git. Returns whether it may mend by itself. */
export function suspect(dir: string, words: string): boolean {
  const own = words.split('\n').filter(line => !line.startsWith('remote:'))
  if (!own.some(line => WORDS.test(line))) return false
  const last = looks.get(dir)
  if (last !== undefined && performance.now() - last.at < patience)
    return last.remade && performance.now() - last.at < settling
  suspects.add(dir)
  return true
}

export const isSuspect = (dir: string) => suspects.has(dir)

export function lookedOver(dir: string, remade: boolean): void {
  if (suspects.delete(dir)) looks.set(dir, { at: performance.now(), remade })
}
