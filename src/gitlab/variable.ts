import { z } from 'zod'
import type { Client } from './client.ts'
import { all, rows, segment } from './read.ts'

/** A CI variable of a project. Never in a log: `value` is a secret. */
export interface CiVariable {
  readonly key: string
  readonly value: string
  /** Only for branches that are protected. */
  readonly protected: boolean
}

const variable = z.object({
  key: z.string(),
  // Hidden ones (17.6) are told without their value.
  value: z.string().nullish(),
  variable_type: z.string().nullish(),
  protected: z.boolean().nullish(),
  environment_scope: z.string().nullish(),
})

export function variableCalls(client: Client) {
  return {
    /**
     * Those that are for any environment and can be read; not those of its groups, not files. `$OTHER` in a value stays as it is. Needs a Maintainer.
     * https://docs.gitlab.com/api/project_level_variables/
     */
    async ciVariables(projectId: number): Promise<CiVariable[]> {
      const found = await all(
        rows(variable, 'the CI variables', page =>
          client.projectVariables.all(segment(projectId, 'a project') as number, page),
        ),
      )
      return found.flatMap(({ key, value, variable_type: type, protected: only, environment_scope: scope }) =>
        value == null || (type ?? 'env_var') !== 'env_var' || (scope ?? '*') !== '*'
          ? []
          : [{ key, value, protected: only !== false }],
      )
    },
  }
}
