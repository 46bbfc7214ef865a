import { UnreadableError } from '../errors.ts'
import type { OutputFile } from '../model/observation.ts'
import type { ReuseOutcome, ReuseRequest } from './contract.ts'
import { placeOf } from './files.ts'
import { pathsOf, sourceName } from './layout.ts'
import { locks, preamble, short } from './preamble.ts'
import { notWhole, type Reach } from './reach.ts'
import { ids, sendSources } from './submit.ts'
import { checkout } from './submit-program.ts'

/** Results may be large, and are read twice. */
const deadline = 1_800_000

/**
 * Copies, never links: the next job of the run may write into what it finds. Each file is compared with the size and digest that stood in the list when it was
 * made; one that is not what it was ends it, and the job runs. A kill leaves a part, which is written anew. Input: lines, then `<place> <size> <digest or -> <path>`
 * each. Answer: one word, a reason below it.
 */
const reuseProgram = `${preamble}
for name in project run attempt from_run from_attempt source source_size settle; do IFS= read -r "$name" || exit 97; done
fail() { printf 'FAILED\\n%s\\n' "$*"; exit 0; }
gone() { printf 'GONE\\n%s\\n' "$*"; exit 0; }
${short}
problem=$(mkdir -p "$project/src" "$attempt" 2>&1) || fail "$problem"
sent=$attempt/sent.$$
trap 'rm -f "$sent" "$attempt"/*.new.$$' EXIT
problem=$({ cat >"$sent"; } 2>&1) || fail "cannot write to $attempt: $problem"
[ ! -e "$attempt/fenced" ] || { echo GIVENUP; exit 0; }
[ -d "$from_run/work" ] && [ -d "$from_attempt" ] || gone 'its directory was removed'
${locks}
asked=0 inline=0
${checkout}
if command -v sha256sum >/dev/null; then digest_of() { sha256sum <"$1"; }; else digest_of() { shasum -a 256 <"$1"; }; fi
while IFS=' ' read -r place size digest path; do
  case $place in
    checkout) from=$from_run/work/$path to=$run/work/$path ;;
    output) from=$from_attempt/output/$path to=$attempt/output/$path ;;
    *) exit 97 ;;
  esac
  [ -f "$from" ] && [ ! -L "$from" ] || gone "$path is not there any more"
  problem=$(mkdir -p "\${to%/*}" 2>&1 && cp -p "$from" "$to.compops.$$" 2>&1) || { rm -f "$to.compops.$$"; fail "$path cannot be copied: $problem"; }
  same=yes
  [ $(($(wc -c <"$to.compops.$$"))) -eq "$size" ] || same=
  if [ "$digest" != - ]; then
    found=$(digest_of "$to.compops.$$")
    [ "\${found%% *}" = "$digest" ] || same=
  fi
  [ -n "$same" ] || { rm -f "$to.compops.$$"; gone "$path was changed after the job had ended"; }
  mv -f "$to.compops.$$" "$to" || fail "cannot write $path"
done <"$sent"
# What is fetched of an attempt, so that it is fetched of this one in the same way.
for file in metrics.0 metrics-problem.0 environment.0 log.0 outputs.0; do
  [ ! -f "$from_attempt/$file" ] || { cp -p "$from_attempt/$file" "$attempt/$file.new.$$" && mv -f "$attempt/$file.new.$$" "$attempt/$file"; } || fail "cannot write to $attempt"
done
echo REUSED
`

export async function reuseResult(reach: Reach, request: ReuseRequest): Promise<ReuseOutcome> {
  const paths = pathsOf(reach.root, ids(request))
  const from = pathsOf(reach.root, { projectId: request.projectId, ...request.from })
  const strange = request.outputs.find(output => /[\n\\]/.test(output.path))
  if (strange !== undefined)
    return { kind: 'gone', why: `${JSON.stringify(strange.path)} is no name that can be copied` }
  for (let brought = false; ; brought = true) {
    const answer = await reach.run({
      text: reuseProgram,
      lines: [
        ...[paths.project, paths.run, paths.attempt, from.run, from.attempt],
        ...[sourceName(request.source.sha), String(request.source.size), String(reach.settle)],
      ],
      rest: request.outputs.map(lineOf).join(''),
      bulk: true,
      deadline,
    })
    if (answer.rc !== 0) throw notWhole(reach.name, 'the copying stopped half way, it is asked for again', answer)
    const [word = '', ...more] = answer.stdout.split('\n')
    const said = more.join('\n').trim()
    switch (word.split(' ')[0]) {
      case 'REUSED':
        return { kind: 'reused' }
      case 'GONE':
        return { kind: 'gone', why: said }
      case 'GIVENUP':
        return { kind: 'given up' }
      case 'BUSY':
      case 'FAILED':
        return {
          kind: 'transient',
          message: `${reach.name}: a result could not be reused: ${said || 'the checkout is being made'}`,
        }
      case 'NEEDSOURCE': {
        const later = await sendSources(reach, request, brought)
        if (later !== null) return later
        continue
      }
      default:
        throw new UnreadableError(
          `${reach.name}: the copying answered ${JSON.stringify(answer.stdout.slice(0, 200))}`,
          {
            transient: true,
          },
        )
    }
  }
}

const lineOf = (output: OutputFile) => `${placeOf(output)} ${output.size} ${output.sha256 ?? '-'} ${output.path}\n`
