import { Worker } from 'node:worker_threads'

/** Milliseconds that an address took to answer, each time it was asked, every 20 ms, from a thread of its own: whoever is slow here is the one asked. */
export interface Prober {
  stop(): Promise<number[]>
}

const program = `
const { parentPort, workerData } = require('node:worker_threads')
const took = []
let going = true
parentPort.on('message', () => { going = false })
;(async () => {
  parentPort.postMessage('ready')
  while (going) {
    const began = performance.now()
    try {
      const answer = await fetch(workerData.url)
      await answer.text()
      took.push(answer.ok ? performance.now() - began : Infinity)
    } catch { took.push(Infinity) }
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  parentPort.postMessage(took)
  parentPort.close()
})()`

export async function probe(url: string): Promise<Prober> {
  const worker = new Worker(program, { eval: true, workerData: { url } })
  const next = () => new Promise<unknown>(resolve => worker.once('message', resolve))
  await next()
  return {
    async stop() {
      const answer = next()
      worker.postMessage('stop')
      return (await answer) as number[]
    },
  }
}
