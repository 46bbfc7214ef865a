import type { ChildProcess } from 'node:child_process'
import { startChild } from './child.ts'

// biome-ignore lint/suspicious/noExplicitAny: whatever can be sent between processes.
export type Methods = Record<string, (...args: any[]) => unknown>
type Call = { readonly id: number; readonly method: string; readonly args: unknown[] }
type Answer = { readonly id: number; readonly value?: unknown; readonly error?: string }

/** In the child: does what the parent asks, and ends with it. */
export function answerParent(methods: Methods): void {
  process.on('disconnect', () => process.exit())
  process.on('message', ({ id, method, args }: Call) => {
    Promise.resolve()
      .then(() => methods[method]!(...args))
      .then(
        value => process.send?.({ id, value } satisfies Answer),
        error => process.send?.({ id, error: String(error instanceof Error ? error.stack : error) } satisfies Answer),
      )
  })
}

type Remote<M extends Methods> = { [K in keyof M]: (...args: Parameters<M[K]>) => Promise<Awaited<ReturnType<M[K]>>> }

/** In the parent: a child whose methods are called as if they were here. */
export function startRemote<M extends Methods>(
  file: string,
  execArgv: readonly string[] = [],
): { readonly child: ChildProcess; readonly call: Remote<M> } {
  const child = startChild(file, [], execArgv)
  const open = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  let ids = 0
  let words = ''
  child.stderr?.on('data', text => {
    words = (words + text).slice(-2_000)
  })
  child.on('message', ({ id, value, error }: Answer) => {
    const waiting = open.get(id)
    open.delete(id)
    if (error === undefined) waiting?.resolve(value)
    else waiting?.reject(new Error(error))
  })
  child.once('exit', code => {
    for (const { reject } of open.values()) reject(new Error(`${file} ended with ${code}: ${words}`))
  })
  const call = new Proxy({} as Remote<M>, {
    get:
      (_, method: string) =>
      (...args: unknown[]) =>
        new Promise((resolve, reject) => {
          const id = ids++
          open.set(id, { resolve, reject })
          child.send({ id, method, args } satisfies Call)
        }),
  })
  return { child, call }
}
