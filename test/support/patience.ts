/** Deadlines are there so that a test ends, they promise nothing: where everything runs at once on a small shared machine they are longer. */
export const patience = process.env.CI === undefined ? 1 : 3
