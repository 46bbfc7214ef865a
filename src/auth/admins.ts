import type { Config } from '../config/index.ts'
import type { Person } from '../model/run.ts'

/** Whether somebody administrates the service: whom the configuration names, by the name that they have in GitLab at this moment. */
export function adminsOf(config: Pick<Config, 'dashboard'>): (person: Person) => boolean {
  const names = new Set(config.dashboard?.kind === 'sign in' ? config.dashboard.admins : [])
  return person => names.has(person.username.toLowerCase())
}

export const adminsOnly = 'Only who administrates this service sees and does this: `dashboard: admins` names them'
