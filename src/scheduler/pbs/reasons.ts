/** Why a job waits, for people. What PBS writes into `comment` is a sentence already; words from OpenPBS' scheduler (misc.c) and recorded on 23.06. */
const words: Readonly<Record<string, string>> = {
  Dependency: 'it waits for another job',
  Execution_Time: 'its begin time has not come yet',
  'Hold_Types=u': 'it is held by its user',
  'Hold_Types=o': 'an operator holds it',
  'Hold_Types=s': 'PBS holds it: it could not be started several times, or an administrator did it',
  'Hold_Types=p': 'it is held: the password of its user is wrong',
}

const sentences: readonly (readonly [RegExp, string])[] = [
  [/^Not enough (?:free nodes|of the right type of nodes) available$/, 'it waits for nodes to become free'],
  [/^Not enough total nodes available$/, 'there are not as many nodes as it asks for'],
  [/^Queue not started\.?$/, 'its queue starts no jobs at present'],
  [/^Queue .*job limit has been reached\.?$/, 'as many jobs of its queue are running as the queue allows'],
  [/^Server .*job limit has been reached\.?$/, 'as many jobs are running as the server allows'],
  [/^User has reached .*running job limit\.?$/, 'as many jobs of this account are running as the site allows'],
  [/^Job would cross dedicated time boundary$/, 'it would run into a time that is kept free'],
  [/^Job would conflict with reservation or top job$/, 'it would run into a reservation, or delay a job before it'],
  [/^Not in primetime$|^Only runs in primetime$/, 'its queue runs at other times of the day'],
  [/^Draining system to allow starving job to run$/, 'the nodes are being kept free for a job that has waited long'],
  [/^Insufficient amount of (?:server |queue )?resource:? ?(.*)$/, 'it waits for free resources: $1'],
]

/** The reason in words; a sentence that we do not know stands as it is, without PBS' own introduction. */
export function reasonInWords(reason: string): string {
  if (Object.hasOwn(words, reason)) return words[reason]!
  const found = /^(Not Running|Can Never Run)\s*[:.]\s*(.+)$/i.exec(reason)
  if (found === null) return reason
  const text = found[2]!.trim()
  if (/^can/i.test(found[1]!)) return `it will never start as it is: ${text}`
  const known = sentences.find(([pattern]) => pattern.test(text))
  return known === undefined ? text : text.replace(known[0], known[1]).replace(/: $/, '')
}
