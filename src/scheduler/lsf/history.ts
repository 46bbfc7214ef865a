import { UnreadableError } from '../../errors.ts'
import type { AccountingRow } from '../../model/observation.ts'
import { readEnding, readTerm } from './states.ts'
import { readHead, readHosts, readName, readSize, readTime, show } from './values.ts'

/**
 * The answer of `scheduler_past`: `bhist -l`, and of jobs whose events are gone `bacct -l`. Both tell a job's life line by line; lines are folded
 * at 80 characters, the rest behind 21 blanks. A block is whole when it has come to its summary. Strangers' blocks (an id used again) are left out.
 */
export function* readHistory(text: string): Generator<AccountingRow> {
  if (text === '') return
  const { form, now, rest } = readHead(text)
  if (form !== 'past') throw new UnreadableError(`not an answer about ended jobs: ${show(text)}`)
  const lines = unfold(rest)
  const starts = lines.flatMap((line, i) => (/^Job <\d+(?:\[\d+\])?>, /.test(line) ? [i] : []))
  const before = lines.slice(0, starts[0] ?? lines.length)
  if (starts.length === 0 && !before.some(line => /^No matching job found\b/.test(line)))
    throw new UnreadableError(`bhist did not answer: ${show(rest.trim())}`)
  for (const [n, start] of starts.entries()) {
    const row = readBlock(lines.slice(start, starts[n + 1]), now)
    if (row !== null) yield row
  }
}

function unfold(text: string): string[] {
  const lines: string[] = []
  for (const line of text.split('\n')) {
    if (/^ {21}/.test(line) && lines.length > 0) lines[lines.length - 1] += line.slice(21)
    else lines.push(line)
  }
  return lines
}

interface Life {
  submittedAt: Date | null
  startedAt: Date | null
  endedAt: Date | null
  queue: string | null
  account: string | null
  nodes: readonly string[]
  state: 'PEND' | 'RUN' | 'DONE' | 'EXIT'
  exitCode: number | null
  signal: number | null
  term: string | null
  killed: boolean
  hostLost: boolean
  runLimit: boolean
  cpuSeconds: number | null
  maxRss: number | null
  elapsedSeconds: number | null
}

function readBlock(lines: readonly string[], now: Date): AccountingRow | null {
  const head = /^Job <(\d{1,10})(?:\[\d+\])?>, Job Name <([^>]*)>/.exec(lines[0]!)
  const named = readName(head?.[2] ?? '')
  if (head === null || named === null) return null
  const life: Life = {
    submittedAt: null,
    startedAt: null,
    endedAt: null,
    queue: /, Queue <([^>]+)>/.exec(lines[0]!)?.[1] ?? null,
    account: /, Project <([^>]+)>/.exec(lines[0]!)?.[1] ?? null,
    nodes: [],
    state: 'PEND',
    exitCode: null,
    signal: null,
    term: null,
    killed: false,
    hostLost: false,
    runLimit: false,
    cpuSeconds: null,
    maxRss: null,
    elapsedSeconds: null,
  }
  let whole = false
  for (const [i, line] of lines.entries()) {
    const event = /^([A-Z][a-z]{2} [A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d(?: \d{4})?): +(.*)$/.exec(line)
    if (event !== null) happen(life, readTime(event[1]!, now)!, event[2]!)
    else if (/^ RUNLIMIT\b/.test(line)) life.runLimit = true
    else if (/^ *MAX MEM: /.test(line)) life.maxRss = readSize(/MAX MEM: +([\d.]+ ?\w+)/.exec(line)?.[1] ?? '')
    else if (/^Summary of time in seconds spent in various states/.test(line)) {
      // PEND PSUSP RUN USUSP SSUSP UNKWN TOTAL
      const times = /^ +\d+ +\d+ +(\d+) +\d+ +\d+ +\d+ +\d+ *$/.exec(lines[i + 2] ?? '')
      whole = times !== null
      life.elapsedSeconds = times === null ? null : Number(times[1])
    } else if (/^ +CPU_T +WAIT +TURNAROUND +STATUS/.test(line)) {
      const used = /^ +([\d.]+) +(\d+) +(\d+) +(?:done|exit) +[\d.]+ +(\S+) +(\S+)/.exec(lines[i + 1] ?? '')
      whole = used !== null
      if (used !== null) {
        life.cpuSeconds = Number(used[1])
        life.maxRss = readSize(used[4]!)
        life.elapsedSeconds = Math.max(0, Number(used[3]) - Number(used[2]))
      }
    }
  }
  if (!whole)
    throw new UnreadableError(`what bhist says of job ${head[1]} is cut: ${show(lines.join('\n').slice(-120))}`)
  return toRow(head[1]!, named, life)
}

/** One line of a job's life. What follows a requeue counts, what was before it no more. */
function happen(life: Life, at: Date, what: string): void {
  const says = (pattern: RegExp) => pattern.exec(what.replace(/^\[\d+\] /, ''))
  const found = says(/^Submitted from host .*?(?:, to Queue <([^>]+)>|$)/)
  if (found !== null) {
    life.submittedAt = at
    life.queue = found[1] ?? life.queue
  } else if (says(/^(?:Dispatched|Started|started|dispatched|Starting|Running)\b/i) !== null) {
    life.startedAt ??= at
    life.state = 'RUN'
    life.hostLost = false
    // `Dispatched to <a> <b>`, `Dispatched 4 Task(s) on Host(s) <a> <a> <b> <b>, Allocated …`
    const hosts = says(/^(?:Dispatched|Started)[^<]*((?:<[^>]+> ?)+)/i)
    if (hosts !== null && life.nodes.length === 0) life.nodes = readHosts(hosts[1]!)
  } else if (says(/^Pending\b/) !== null || says(/^Requeued|^Rerun|^Migration requested/) !== null) {
    Object.assign(life, { state: 'PEND', startedAt: null, endedAt: null, exitCode: null, signal: null, term: null })
    Object.assign(life, { killed: false, hostLost: false, nodes: [] })
  } else if (says(/^Signal <KILL> requested\b/) !== null) life.killed = true
  else if (says(/^Unknown; unable to reach the execution host/) !== null) life.hostLost = true
  else if (says(/^(?:Done successfully|Completed <done>)/) !== null) end(life, 'DONE', at, what)
  else if (says(/^(?:Exited|Completed <exit>|Termination request issued; job has been)/) !== null) {
    end(life, 'EXIT', at, what)
    const code = says(/^Exited with exit code (\d{1,3})\b/)?.[1]
    const signal = says(/^Exited by signal (\d{1,3})\b/)?.[1]
    if (code !== undefined) life.exitCode = Number(code)
    if (signal !== undefined) {
      life.signal = Number(signal)
      life.exitCode = 128 + life.signal
    }
    life.term = readTerm(what) ?? life.term
  }
}

function end(life: Life, state: 'DONE' | 'EXIT', at: Date, what: string): void {
  life.state = state
  life.endedAt = at
  const cpu = /The CPU time used is ([\d.]+) seconds/.exec(what)?.[1]
  if (cpu !== undefined) life.cpuSeconds = Number(cpu)
  if (state === 'DONE') life.exitCode = 0
}

function toRow(nativeId: string, { name, index }: { name: string; index: number | null }, life: Life): AccountingRow {
  const { state, term, exitCode, startedAt } = life
  return {
    nativeId,
    tasks: index === null ? null : [{ from: index, to: index, step: 1 }],
    name,
    nativeState: term === null ? state : `${state} ${term}`,
    verdict:
      state === 'DONE' ? 'completed' : state === 'EXIT' ? readEnding({ ...life, started: startedAt !== null }) : null,
    exitCode,
    signal: life.signal,
    queue: life.queue,
    account: life.account,
    submittedAt: life.submittedAt,
    startedAt,
    endedAt: life.endedAt,
    nodes: life.nodes,
    cpus: null,
    cpuSeconds: life.cpuSeconds,
    elapsedSeconds: life.elapsedSeconds,
    maxRss: life.maxRss,
    requestedTres: null,
    allocatedTres: null,
  }
}
