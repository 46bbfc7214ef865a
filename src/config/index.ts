/** compops.config.yml: what it may hold, reading it, and the list of everything that is wrong with it. */
export { conflictingRoots, type RootConflict, type SharedAccount, sharedAccounts } from './accounts.ts'
export { matchGlob } from './glob.ts'
export { loadConfig, projectFor, readConfig, secretSources, secretValues } from './load.ts'
export { nearest } from './nearest.ts'
export { type Place, readPlace, readSite, type Site } from './place.ts'
export type {
  ClusterConfig,
  Config,
  GitLabConfig,
  Intervals,
  OpensshConfig,
  PackageKind,
  PackagesConfig,
  ProjectConfig,
  RunAs,
  SecretSource,
  Ssh2Config,
  SshConfig,
  StationConfig,
} from './schema.ts'
