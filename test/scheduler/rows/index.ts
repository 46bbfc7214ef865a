import { localRow } from './local.ts'
import { lsfRow } from './lsf.ts'
import { pbsRow } from './pbs.ts'
import type { DialectRow } from './row.ts'
import { sgeRow } from './sge.ts'
import { slurmRow } from './slurm.ts'

/** Every dialect has a row; one that has none fails the suite. A new one is a file beside this and a line here. */
export const rows: Readonly<Record<string, DialectRow>> = {
  slurm: slurmRow,
  lsf: lsfRow,
  pbs: pbsRow,
  sge: sgeRow,
  local: localRow,
}
