import { quote } from './quote.ts'

/** One file that a job takes from elsewhere on its cluster. */
export interface InputFile {
  /** Where it lies; what was brought from elsewhere under `/cache/inputs/`. */
  readonly from: string
  /** Where it goes, relative to the checkout. */
  readonly path: string
  readonly size: number
  readonly sha256: string | null
}

/** What the shell lines below read, three lines a file. */
export function renderInputs(inputs: readonly InputFile[]): string {
  return inputs.map(({ from, path, size, sha256 }) => `${from}\n${path}\n${size} ${sha256 ?? '-'}\n`).join('')
}

/**
 * Puts the inputs into the checkout, in the job, where what the parent left is at hand. Each is compared with what was computed then: another attempt may
 * have written since. Jobs and tasks share the checkout, so a file appears in one step, and one that is there already is left alone.
 */
export function bringInputs(directory: string): string {
  return `compops_bring() {
  local from to size sum new
  compops_same() {
    [ -f "$1" ] && [ "$(($(wc -c <"$1")))" = "$size" ] || return 1
    [ "$sum" != - ] || return 0
    if command -v sha256sum >/dev/null; then set -- "$(sha256sum <"$1")"; else set -- "$(shasum -a 256 <"$1")"; fi
    [ "\${1%% *}" = "$sum" ]
  }
  while IFS= read -r from && IFS= read -r to && read -r size sum; do
    ! compops_same "./$to" || continue
    case $to in */*) mkdir -p -- "./\${to%/*}" || return ;; esac
    new=./$to.compops-$$-\${COMPOPS_ARRAY_INDEX:-0}
    if ! cp -- "$from" "$new"; then
      rm -f -- "$new"
      printf 'compops: the input %s cannot be read\\n' "$to"
      return 1
    fi
    if ! compops_same "$new"; then
      rm -f -- "$new"
      case $from in
        */cache/inputs/*)
          # The next attempt has it brought anew.
          rm -f -- "$from"
          printf 'compops: the input %s is damaged: it is not what was brought here\\n' "$to"
          return 1
          ;;
      esac
      printf 'compops: the input %s is not what the parent had computed: it was written again since\\n' "$to"
      return 1
    fi
    mv -f -- "$new" "./$to" || return
  done <${quote(`${directory}/inputs`)}
}
if [ "\${1-}" != inside ]; then compops_bring || exit 78; fi
unset -f compops_bring compops_same`
}
