import { readPlace } from '../config/index.ts'
import { CompopsError } from '../errors.ts'
import { ResultsAnswer } from '../model/api.ts'
import { pieceHeaders, type Results } from '../model/results.ts'
import type { Io } from './command.ts'
import { askOperator, askPiece, type PieceAnswer, type PieceQuery } from './operator.ts'
import { openPerson, type readPersonLine } from './person/person.ts'
import { findRunAndJob } from './person/which.ts'

/** Where `logs` and `collect` find what a run left behind: the operator's socket, or the API of a service with a person's token. */
export interface ResultsSource {
  /** Of a run, or of the jobs of it that the words name. */
  find(words: readonly string[]): Promise<Results>
  /** A piece of a file; `problem` where there is none. */
  piece(query: PieceQuery): Promise<PieceAnswer | { readonly problem: string; readonly ended: boolean }>
  /** The same of a log, waited for so many seconds where that is possible. */
  log(job: string, query: PieceQuery, wait: number): ReturnType<ResultsSource['piece']>
}

export async function operatorsResults(config: string, env: Io['env']): Promise<ResultsSource> {
  const place = await readPlace(config, env)
  const piece: ResultsSource['piece'] = query => askPiece(place, query)
  return {
    piece,
    log: (_, query) => piece(query),
    find: words =>
      askOperator<Results>(config, env, {
        method: 'GET',
        path: `/results?${new URLSearchParams({ q: words.join(' ').trim() })}`,
      }),
  }
}

export async function personsResults(line: ReturnType<typeof readPersonLine>, io: Io): Promise<ResultsSource> {
  const person = await openPerson(line, io)
  const { service } = person
  return {
    async find(words) {
      const { run, job } = await findRunAndJob(person, words)
      return service.get(ResultsAnswer, `/runs/${run.id}/results`, { job })
    },
    async piece({ attempt, in: place, path, offset, bytes, task }) {
      return readPiece(
        await service.bytes(`/attempts/${attempt}/file`, { in: place, path, offset, bytes, task }, 300_000),
      )
    },
    async log(job, { attempt, offset, bytes, task }, wait) {
      const asked = { attempt, offset, bytes, task, wait }
      return readPiece(await service.bytes(`/jobs/${job}/log`, asked, (wait + 300) * 1_000))
    },
  }
}

async function readPiece(response: Response): Promise<PieceAnswer | { problem: string; ended: boolean }> {
  const header = (name: string) => response.headers.get(name) ?? ''
  if (response.ok) {
    const bytes = await response.arrayBuffer().catch(cause => {
      throw new CompopsError('the answer of the service was cut', { transient: true, cause })
    })
    return {
      bytes: Buffer.from(bytes),
      offset: Number(header(pieceHeaders.offset)),
      size: Number(header(pieceHeaders.size)),
      ended: header(pieceHeaders.ended) === 'yes',
    }
  }
  const said = (await response.json().catch(() => ({}))) as { error?: string; ended?: boolean }
  return {
    problem: said.error ?? 'is not there',
    ended: said.ended ?? header(pieceHeaders.ended) !== 'no',
  }
}
