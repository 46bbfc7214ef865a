import type { Io } from './command.ts'

export interface Progress {
  bytes(count: number): void
  file(): void
  end(): void
}

/** A bar where a person looks, nothing where none does. */
export function showProgress(
  out: Io['stdout'],
  of: { readonly files: number; readonly bytes: number },
  now: () => number = Date.now,
): Progress {
  const done = { files: 0, bytes: 0 }
  let shown = Number.NEGATIVE_INFINITY
  const person = out.isTTY === true
  const draw = (last = false) => {
    if (!person || (!last && now() - shown < 100)) return
    shown = now()
    out.write(`\r${bar(done, of, out.columns ?? 80)}${last ? '\n' : ''}`)
  }
  return {
    bytes(count) {
      done.bytes += count
      draw()
    },
    file() {
      done.files++
      draw()
    },
    end: () => draw(true),
  }
}

/** `███████▌░░░░  12 of 30 files, 3.2 of 10.0 MB`, never wider than the terminal. */
export function bar(
  done: { readonly files: number; readonly bytes: number },
  of: { readonly files: number; readonly bytes: number },
  columns: number,
): string {
  const [unit, name] = of.bytes >= 1e9 ? [1e9, 'GB'] : of.bytes >= 1e6 ? [1e6, 'MB'] : [1e3, 'kB']
  const amount =
    of.bytes === 0 ? '' : `, ${(Math.max(0, done.bytes) / unit).toFixed(1)} of ${(of.bytes / unit).toFixed(1)} ${name}`
  const words = `  ${done.files} of ${of.files} files${amount}`
  const width = Math.max(0, Math.min(30, columns - words.length - 1))
  // Half for the files and half for their bytes: many small ones take their time too.
  const share = (part: number, whole: number) => (whole === 0 ? 1 : Math.min(1, Math.max(0, part / whole)))
  const full = Math.floor(width * ((share(done.files, of.files) + share(done.bytes, of.bytes)) / 2))
  return `${'█'.repeat(full)}${'░'.repeat(width - full)}${words}`.slice(0, Math.max(0, columns - 1))
}
