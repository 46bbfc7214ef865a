import type { CiMode } from './ci.ts'
import type { JobHold } from './job-hold.ts'
import type { FailureReason, JobState } from './job-state.ts'
import type { ReportState } from './report-state.ts'

/** The most chains that one answer tells. */
export const mostChains = 20

/** The answer to "why": the chain from a delivery to what GitLab was told, as data. Times are ISO texts, so that it is the same over a socket. */
export interface Why {
  readonly asked: string
  /** When it was looked at, by the database's clock. */
  readonly at: string
  readonly timeZone: string
  /** false: read from the store while no service runs; nothing goes on before one is started. */
  readonly running: boolean
  /** Newest first. */
  readonly chains: readonly Chain[]
  /** How many more match. */
  readonly more: number
  /** What it was taken for, in words; told where nothing was found. */
  readonly lookedFor: readonly string[]
  /** Where nothing was found: what comes nearest. */
  readonly near: readonly Near[]
}

export interface Near {
  readonly kind: 'branch' | 'delivery' | 'run'
  /** What to ask for instead. */
  readonly ask: string
  readonly project: string
  readonly what: string
  readonly at: string | null
}

export interface Chain {
  readonly project: string
  readonly branch: string | null
  readonly sha: string | null
  readonly steps: readonly Step[]
  readonly stands: Standing
}

export type Step = DeliveryStep | CiStep | RunStep | JobStep | ReportStep

/** How a piece of work goes: claimed from its row, tried again at growing distance, parked in the end. */
export interface Work {
  readonly tries: number
  readonly lastError: string | null
  /** null where it is not due, or parked. */
  readonly nextAt: string | null
  readonly parkedAt: string | null
  /** Somebody is at it at this moment. */
  readonly busy: boolean
}

export interface DeliveryStep {
  readonly kind: 'delivery'
  readonly id: string
  readonly key: string
  /** `push`, `merge request` … */
  readonly event: string
  readonly ref: string | null
  readonly by: string | null
  readonly receivedAt: string
  readonly outcome: 'accepted' | 'ignored'
  /** Why it was ignored. */
  readonly reason: string | null
  /** What came of it, in the words stored; null until it was acted on. */
  readonly result: string | null
  readonly doneAt: string | null
  readonly work: Work
  /** Its project waits until its evidence branch has been read after a restored backup. */
  readonly recovering: boolean
}

/** What a GitLab CI job asked for. */
export interface CiStep {
  readonly kind: 'ci'
  readonly id: string
  readonly ciJob: number
  readonly pipeline: number
  readonly name: string
  readonly mode: CiMode
  /** The manual job that is played at the end. */
  readonly gate: string | null
  /** It was played before its time, and goes again. */
  readonly gateEarly: boolean
  readonly by: string
  readonly askedAt: string
  /** Jobs whose end counts; null: all of the run. */
  readonly wanted: readonly string[] | null
  /** Whether it has a run; without one it was refused, or is asked for again. */
  readonly started: boolean
  /** When an attached one last asked. */
  readonly heardAt: string
  /** What has not begun by then is cancelled. */
  readonly beginsBy: string | null
  /** What came of it; without a run: why it was refused. */
  readonly result: string | null
  readonly endedAt: string | null
  /** Its batch jobs have all ended. */
  readonly over: boolean
  readonly work: Work
}

export interface RunStep {
  readonly kind: 'run'
  readonly id: string
  readonly state: JobState
  readonly cause: string
  readonly how: string
  readonly by: string | null
  readonly jobs: number
  readonly createdAt: string
  readonly endedAt: string | null
  readonly supersededBy: string | null
  /** Who wants its directories kept. */
  readonly keptBy?: string | null
  /** Directories that were removed by age: where, when (null: it is under way), after how many days. */
  readonly removed?: readonly {
    readonly cluster: string
    readonly at: string | null
    readonly days: number
    /** Why it still stands, and when that is tried again. */
    readonly problem: { readonly why: string; readonly nextAt: string } | null
  }[]
  /** Why there are no jobs. */
  readonly problem: string | null
  /** Mistakes of `.compops.yml`, with their lines. */
  readonly mistakes: readonly string[]
  /** What a person could see has changed and is not turned into reports yet. */
  readonly composing: Work | null
}

export interface JobStep {
  readonly kind: 'job'
  readonly id: string
  readonly name: string
  readonly state: JobState
  readonly reason: FailureReason | null
  readonly message: string | null
  readonly cluster: string
  /** The account on the cluster: its name, or `name#user`. */
  readonly connection: string
  readonly nativeId: string | null
  readonly attempts: number
  /** Of the latest attempt. */
  readonly attemptId: string | null
  /** When it came into this state, as far as the rows tell. */
  readonly since: string | null
  readonly cancelling: string | null
  /** It waits for its next attempt, until then at least. */
  readonly retryAt: string | null
  /** What holds it back; its message says why. */
  readonly hold: JobHold['kind'] | null
  /** What is done for it at present: handing it over, fetching its results. */
  readonly doing: 'submit' | 'collect' | 'cancel' | null
  readonly work: Work | null
  /** Only while it is not final. */
  readonly peer: PeerOfJob | null
}

export interface PeerOfJob {
  readonly unreachableSince: string | null
  readonly troubledSince: string | null
  readonly lastError: string | null
  readonly lastRoundAt: string | null
  /** Milliseconds between two rounds, shortest and longest; null where no service runs. */
  readonly pollEvery: readonly [number, number] | null
  /** After a restored backup nothing is handed over before what has happened since has been read. */
  readonly recovering: boolean
}

export interface ReportStep {
  readonly kind: 'report'
  readonly id: string
  readonly report: 'status' | 'note' | 'reply' | 'evidence'
  /** `compops/mesh`, `!7`, or the path of the record. */
  readonly name: string
  /** What a status should say. */
  readonly wants: string | null
  readonly state: ReportState
  readonly sentAt: string | null
  /** Since when GitLab has not been told. */
  readonly unsentSince: string | null
  /** Why GitLab will never take it, in its words. */
  readonly refused: string | null
  readonly work: Work
  /** Nothing is told before what has happened since the restored backup has been read. */
  readonly recovering: boolean
}

/** Where a chain stands: at one of its steps, or at its end. */
export interface Standing {
  /** `over`: nothing is to come. `waits`: as it should be. `trouble`: it failed last and is tried again. `parked`: only a person brings it on. */
  readonly kind: 'over' | 'waits' | 'trouble' | 'parked'
  /** Index into `steps`. */
  readonly step: number
}
