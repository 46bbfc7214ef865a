/** Run as a child process: a watchdog that waits half a second; then the event loop turns, or is blocked for ever, as its one argument says. */
import { startWatchdog } from '../../src/store/watchdog.ts'

const watchdog = startWatchdog({ silence: 500 })
process.on('message', async word => {
  if (word === 'stop') {
    await watchdog.stop()
    process.disconnect()
  }
  // The way a broken embedded database does it: no timer, no signal handler, nothing is heard any more.
  if (word === 'block') for (;;);
})
process.send?.('ready')
