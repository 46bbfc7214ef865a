/** Run as a child process: tries to lock the directory named by its one argument, or lets go of it, when its parent says so. */
import { type DataDirLock, lockDataDir } from '../../src/store/data-dir.ts'

const [dataDir = ''] = process.argv.slice(2)
let lock: DataDirLock | null = null

process.on('message', async word => {
  if (word === 'release') {
    await lock?.release()
    process.send?.('released')
    return
  }
  try {
    lock = await lockDataDir(dataDir)
    process.send?.('won')
  } catch (error) {
    process.send?.(String(error))
  }
})
process.once('disconnect', () => process.exit())
