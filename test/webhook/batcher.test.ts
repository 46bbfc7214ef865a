import { expect, test } from 'vitest'
import { createBatcher } from '../../src/webhook/batcher.ts'

/** A store that commits when told to, and keeps what it was sent. */
function heldStore(refuses: (row: string) => boolean = () => false) {
  const statements: string[][] = []
  const stored = new Set<string>()
  let open: () => void = () => {}
  let gate = new Promise<void>(resolve => {
    open = resolve
  })
  return {
    statements,
    open() {
      open()
    },
    hold() {
      gate = new Promise<void>(resolve => {
        open = resolve
      })
    },
    async insert(rows: string[]): Promise<('inserted' | 'duplicate')[]> {
      statements.push(rows)
      await gate
      const poison = rows.find(refuses)
      if (poison !== undefined) throw new Error(`cannot store ${poison}`)
      return rows.map(row => {
        if (stored.has(row)) return 'duplicate'
        stored.add(row)
        return 'inserted'
      })
    },
  }
}

const batcherFor = (store: ReturnType<typeof heldStore>, more = {}) =>
  createBatcher<string, 'inserted' | 'duplicate'>({
    insert: store.insert,
    keyOf: row => row,
    repeated: 'duplicate',
    ...more,
  })

test('rows are collected while a statement runs, in their order', async () => {
  const store = heldStore()
  const batcher = batcherFor(store)
  const answers = ['a', 'b', 'c', 'd'].map(row => batcher.add(row))
  store.open()
  expect(await Promise.all(answers)).toEqual(['inserted', 'inserted', 'inserted', 'inserted'])
  expect(store.statements).toEqual([['a'], ['b', 'c', 'd']])
})

test('nobody is answered before the commit', async () => {
  const store = heldStore()
  const batcher = batcherFor(store)
  let answered = false
  const answer = batcher.add('a').then(outcome => {
    answered = true
    return outcome
  })
  await new Promise(resolve => setImmediate(resolve))
  expect(answered).toBe(false)
  store.open()
  expect(await answer).toBe('inserted')
})

test('equal keys are one row', async () => {
  const store = heldStore()
  const batcher = batcherFor(store)
  const answers = Array.from({ length: 50 }, () => batcher.add('a'))
  store.open()
  const outcomes = await Promise.all(answers)
  expect(outcomes.filter(outcome => outcome === 'inserted')).toHaveLength(1)
  expect(store.statements).toEqual([['a'], ['a']])
})

test('one poison row does not refuse its neighbours', async () => {
  const store = heldStore(row => row === 'poison')
  const batcher = batcherFor(store)
  const answers = ['first', 'b', 'poison', 'c'].map(row => batcher.add(row))
  store.open()
  const outcomes = await Promise.allSettled(answers)
  expect(outcomes.map(outcome => (outcome.status === 'fulfilled' ? outcome.value : String(outcome.reason)))).toEqual([
    'inserted',
    'inserted',
    'Error: cannot store poison',
    'inserted',
  ])
  expect(store.statements).toEqual([['first'], ['b', 'poison', 'c'], ['b'], ['poison'], ['c']])
  expect(await batcher.add('later')).toBe('inserted')
})

test('a store that is away is not asked for every row', async () => {
  const store = heldStore(() => true)
  const batcher = batcherFor(store)
  const answers = Array.from({ length: 100 }, (_, i) => batcher.add(`row ${i}`))
  store.open()
  const outcomes = await Promise.allSettled(answers)
  expect(outcomes.every(outcome => outcome.status === 'rejected')).toBe(true)
  expect(store.statements).toHaveLength(1 + 1 + 5)
})

test('a store that hangs does not eat the memory', async () => {
  const store = heldStore()
  const batcher = batcherFor(store, { maxWaiting: 3 })
  const answers = Array.from({ length: 5 }, (_, i) => batcher.add(`row ${i}`))
  await expect(answers[4]).rejects.toThrow('the store is 3 deliveries behind')
  store.open()
  expect(await Promise.all(answers.slice(0, 4))).toEqual(['inserted', 'inserted', 'inserted', 'inserted'])
})

test('a batch has its limit', async () => {
  const store = heldStore()
  const batcher = batcherFor(store, { maxBatch: 2 })
  const answers = ['a', 'b', 'c', 'd'].map(row => batcher.add(row))
  store.open()
  await Promise.all(answers)
  expect(store.statements).toEqual([['a'], ['b', 'c'], ['d']])
})

test('an answer that does not fit the question is a failure', async () => {
  const batcher = createBatcher<string, 'inserted'>({ insert: async () => [], keyOf: row => row, repeated: 'inserted' })
  await expect(batcher.add('a')).rejects.toThrow('the store answered 0 of 1 rows')
})

test('a store that does not answer: the caller is told in time, and the row is stored nevertheless when it does', async () => {
  const store = heldStore()
  const batcher = batcherFor(store, { deadline: 50 })
  await expect(Promise.all([batcher.add('a'), batcher.add('b')])).rejects.toThrow(
    'the store has not answered in 0.05 s',
  )
  store.open()
  expect(await batcher.add('b')).toBe('duplicate')
})
