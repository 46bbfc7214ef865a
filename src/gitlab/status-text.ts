import { createHash } from 'node:crypto'
import type { GitLabError } from './errors.ts'

// Columns of 255 characters; GitLab refuses longer ones with a 400.
const longest = 255
// What a merge request's widget shows of a description without cutting it itself.
const longestDescription = 140

/** One line, at most 140 characters. PostgreSQL takes no NUL, a widget no line break. */
export function fitDescription(text: string): string {
  const letters = [...printable(text)]
  return letters.length > longestDescription
    ? `${letters.slice(0, longestDescription - 1).join('')}…`
    : letters.join('')
}

/** A name that is too long keeps its beginning and gets a digest, so that it stays one and the same name. */
export function fitName(name: string): string {
  const clean = printable(name)
  if (clean.length <= longest) return clean
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 16)
  return `${[...clean.slice(0, longest - digest.length - 2)].join('').toWellFormed()}~${digest}`
}

/** null where GitLab would refuse it: a status without a link is better than none. */
export function fitTargetUrl(url: string | null): string | null {
  return url !== null && url.length <= longest && /^https?:$/.test(protocolOf(url)) ? url : null
}

function protocolOf(url: string): string {
  return URL.canParse(url) ? new URL(url).protocol : ''
}

function printable(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\s\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
    .trim()
}

/** Why GitLab refused a status, out of its status code and words. */
export type Refusal =
  /** The row is unfinished and cannot take this step from `from`. */
  | { readonly why: 'transition'; readonly from: string }
  /** The pipeline's own lock, or a row that changed meanwhile: the same again, soon. */
  | { readonly why: 'busy' }
  /** A CI job of the pipeline has this name. */
  | { readonly why: 'name taken' }
  | { readonly why: 'target url' }
  | { readonly why: 'pipeline full' }
  /** Not there with that sha (and ref): deleted, archived, or of another sha. */
  | { readonly why: 'no pipeline' }
  | { readonly why: 'commit gone' }
  | { readonly why: 'not visible' }
  | { readonly why: 'forbidden' }
  | { readonly why: 'other' }

/**
 * Words from lib/api/commit_statuses.rb, Ci::CreateCommitStatusService and Ci::Pipelines::AddJobService, which hands any exception on as a
 * 400, its lock's and ActiveRecord's included. null: no refusal but trouble, to be thrown on.
 */
export function readRefusal(error: GitLabError): Refusal | null {
  const { kind, status, said } = error
  if (kind === 'conflict') return { why: 'busy' }
  if (kind === 'forbidden') return { why: 'forbidden' }
  if (kind === 'not found') {
    if (/project/i.test(said)) return { why: 'not visible' }
    if (/pipeline/i.test(said)) return { why: 'no pipeline' }
    return /commit/i.test(said) ? { why: 'commit gone' } : { why: 'other' }
  }
  if (kind !== 'invalid' || status === null) return null
  if (status === 422) return { why: 'pipeline full' }
  const transition = /cannot transition status via :?\w+ from :?(\w+)/i.exec(said)
  if (transition !== null) return { why: 'transition', from: transition[1]! }
  if (/failed to obtain a lock|stale object|another update/i.test(said)) return { why: 'busy' }
  if (/name.{0,20}already been taken/i.test(said)) return { why: 'name taken' }
  if (/target.?url/i.test(said)) return { why: 'target url' }
  return { why: 'other' }
}
