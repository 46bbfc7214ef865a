/** Addresses of our own pages and of files on the evidence branch, in one place. */
import { branchFile } from '../model/branch-file.ts'
import type { Run } from '../model/run.ts'

export function runUrl(publicUrl: string, run: { readonly id: string }): string {
  return `${publicUrl}/runs/${encode(run.id)}`
}

export function jobUrl(publicUrl: string, run: { readonly id: string }, job: { readonly name: string }): string {
  return `${runUrl(publicUrl, run)}/jobs/${encode(job.name)}`
}

/** `runs/calc/heat/4d/1adad2a7-0190….yml` */
export function evidencePath(run: Pick<Run, 'id' | 'branch' | 'sha'>): string {
  return `runs/${branchFile(run.branch)}/${run.sha.slice(0, 8)}-${run.id}.yml`
}

/**
 * `runs/calc/heat/4d/1adad2a7-0190…+outputs`: small outputs beside the record. No folder of a branch can be called so (branchFile encodes the
 * plus sign), thus none of these files can pass for a record.
 */
export function copiesFolder(run: Pick<Run, 'id' | 'branch' | 'sha'>): string {
  return evidencePath(run).replace(/\.yml$/, '+outputs')
}

/** `branches/calc/heat/4d.md` */
export function branchPath(branch: string, kind: 'yml' | 'md'): string {
  return `branches/${branchFile(branch)}.${kind}`
}

/** A path as a relative link: each segment encoded, the slashes kept. */
export function pathUrl(path: string): string {
  return path.split('/').map(encode).join('/')
}

/** From a page at `from` to a file at `to`, both relative to the root of the evidence branch. */
export function relativeUrl(from: string, to: string): string {
  const up = '../'.repeat(from.split('/').length - 1)
  return `${up}${pathUrl(to)}`
}

/** Half a character has no place in an address, and encodeURIComponent throws at it. */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed())
}
