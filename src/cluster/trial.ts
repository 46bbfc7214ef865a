import { CompopsError } from '../errors.ts'
import { preamble } from './preamble.ts'
import { notWhole, type Reach } from './reach.ts'

/** A root of its own for one trial (`compops doctor --compute`): nobody takes what lies in it for a run. */
export function trialRoot(root: string, id: string): string {
  return `${root === '/' ? '' : root}/.compops-trial.${id}`
}

/**
 * Input: PATH prefix, root. The scheduler may write a last line of a job that has just ended, so what comes back is removed again. Says `left` where it
 * cannot be removed whole.
 */
const removeProgram = `${preamble}
IFS= read -r root || exit 97
case \${root##*/} in .compops-trial.????????-????-????-????-????????????) ;; *) exit 97 ;; esac
for pause in 0.3 1 2; do
  rm -rf "$root" 2>/dev/null
  sleep $pause 2>/dev/null || sleep 1
  [ -e "$root" ] || break
done
if [ -e "$root" ]; then echo left; else echo gone; fi
`

/** Removes everything below the root of a trial, and the root. Refuses any other. */
export async function removeTrial(reach: Reach): Promise<boolean> {
  if (trialRoot('', reach.root.slice(-36)) !== reach.root.slice(reach.root.lastIndexOf('/')))
    throw new CompopsError(`${reach.root} is not the root of a trial: nothing is removed`)
  const answer = await reach.run({ text: removeProgram, lines: [reach.root], urgent: true, deadline: 120_000 })
  if (answer.rc !== 0 || !/^(?:gone|left)\n$/.test(answer.stdout))
    throw notWhole(reach.name, `${reach.root} could not be removed`, answer)
  return answer.stdout === 'gone\n'
}
