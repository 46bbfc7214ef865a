import { expect, it } from 'vitest'
import { hereOf } from '../../src/cli/executor/run.ts'

it('scripts on the runner have the variables of the job, and nothing of the driver that may be a secret', () => {
  const driver = {
    ...{ PATH: '/usr/bin', HOME: '/home/runner', COMPOPS_URL: 'https://x', GITLAB_TOKEN: 'glpat-of-the-site' },
    ...{ CUSTOM_ENV_CI_JOB_ID: '7', CUSTOM_ENV_PATH: '/of/the/job', BUILD_FAILURE_EXIT_CODE: '1' },
    https_proxy: 'http://proxy:3128',
  }
  expect(hereOf(driver)).toEqual({
    ...{ PATH: '/usr/bin', HOME: '/home/runner', CI_JOB_ID: '7', https_proxy: 'http://proxy:3128' },
  })
})
