import { auditPage } from './audit.ts'
import { clustersPage } from './clusters.ts'
import { comparePage } from './compare.ts'
import { deliveriesPage, deliveryPage } from './deliveries.ts'
import { jobPage } from './job.ts'
import { launchPage } from './launch.ts'
import { loadPage } from './load.ts'
import { overviewPage } from './overview.ts'
import { projectsPage } from './projects.ts'
import { referencePage } from './reference.ts'
import { runPage } from './run.ts'
import { schedulerPage } from './scheduler.ts'
import type { PageKind } from './site.ts'
import { treePage } from './tree.ts'
import { treePicturePage } from './tree-picture.ts'

/** The table of pages. */
export const pages: readonly PageKind[] = [
  overviewPage,
  schedulerPage,
  runPage,
  jobPage,
  projectsPage,
  // Below the project, whose own page takes whatever is left.
  launchPage,
  comparePage,
  treePicturePage,
  treePage,
  clustersPage,
  deliveriesPage,
  deliveryPage,
  auditPage,
  loadPage,
  referencePage,
]
