import { type Bench, type Figure, informs } from './figure.ts'

/** Promises that are kept by tests, not by figures: named here so that the table holds them all. */
export async function benchElsewhere(_: Bench): Promise<Figure[]> {
  return [
    informs(
      'nothing lost, doubled or false after 200 random kills',
      'asserted in test/live/kill.test.ts (npm run test:live)',
    ),
  ]
}
