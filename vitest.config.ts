import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { leaveHome } from './test/support/home.ts'
import { patience } from './test/support/patience.ts'

leaveHome()

/** As the command line does: a second less for each file of tests that uses the database. */
const execArgv = ['--import', fileURLToPath(new URL('src/cli/quick-imports.mjs', import.meta.url))]

// As the service lets a site's own scheduler import it (src/scheduler/own.ts); here Vite imports, not Node.
const alias = { 'compops/scheduler': fileURLToPath(new URL('src/scheduler/author.ts', import.meta.url)) }

/** Where everything runs at once on a shared machine a second try is allowed, and `.ci/run` names what needed it: a bug to mend, but no reason to hold up a change. */
const retry = process.env.CI === undefined ? 0 : 1

export default defineConfig({
  test: {
    // Most tests wait for others (sshd, git, databases) most of the time.
    maxWorkers: Math.max(4, availableParallelism()),
    projects: [
      {
        test: {
          name: 'unit',
          alias,
          execArgv,
          retry,
          include: ['test/**/*.test.ts'],
          exclude: ['test/story/**', 'test/live/**', 'test/bench/**'],
          testTimeout: 60_000 * patience,
          hookTimeout: 60_000 * patience,
        },
      },
      {
        test: {
          name: 'story',
          alias,
          execArgv,
          retry,
          include: ['test/story/**/*.test.ts'],
          // Worlds side by side: more of them only wait for the processor.
          maxConcurrency: 3,
          testTimeout: 90_000 * patience,
          hookTimeout: 90_000 * patience,
        },
      },
      {
        test: {
          name: 'live',
          alias,
          execArgv,
          retry,
          include: ['test/live/**/*.test.ts'],
          testTimeout: 240_000 * patience,
          hookTimeout: 300_000 * patience,
          fileParallelism: false,
        },
      },
    ],
  },
})
