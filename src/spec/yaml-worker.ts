import { parentPort } from 'node:worker_threads'
import { locateYaml } from '../config/yaml.ts'

/** Turns text into a located tree in a thread of its own: the `yaml` package needs seconds for some texts, and the event loop has none to give. */
parentPort?.on('message', (text: string) => parentPort?.postMessage({ result: locateYaml(text) }))
parentPort?.postMessage('ready')
