/** compops.config.yml: what it may hold, reading it, and the list of everything that is wrong with it. */
export { conflictingRoots, type RootConflict, type SharedAccount, sharedAccounts } from './accounts.ts'
export { matchGlob } from './glob.ts'
export { loadConfig, projectFor, readConfig, secretSources, secretValues } from './load.ts'
export { nearest } from './nearest.ts'
export { type Place, readPlace } from './place.ts'
export type {
  ClusterConfig,
  Config,
  GitLabConfig,
  Intervals,
  ProjectConfig,
  RunAs,
  SecretSource,
  SshConfig,
} from './schema.ts'
