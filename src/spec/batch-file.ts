/** The program that runs a batch script, from its `#!` line; or why it cannot run, as the end of a sentence, with what to do. */
export function readInterpreter(
  text: string,
):
  | { readonly ok: true; readonly interpreter: readonly string[] }
  | { readonly ok: false; readonly message: string; readonly remedy: string } {
  const first = text.slice(0, 1_000).split('\n', 1)[0] ?? ''
  // sbatch: "Batch script contains DOS line breaks (\r\n) instead of expected UNIX line breaks (\n)."
  if (first.endsWith('\r'))
    return { ok: false, message: 'has the line ends of Windows', remedy: 'Convert it, for example with `dos2unix`.' }
  if (text.includes('\0')) return { ok: false, message: 'is not a text', remedy: 'Name a batch script.' }
  if (text.trim() === '') return { ok: false, message: 'is empty', remedy: 'Name a batch script.' }
  if (!first.startsWith('#!')) return { ok: true, interpreter: ['/bin/sh'] }
  // As execve(2) on Linux: the program, and all the rest as one argument.
  const [, program = '', argument = ''] = /^#!\s*(\S*)\s*(.*?)\s*$/s.exec(first) ?? []
  if (!program.startsWith('/'))
    return { ok: false, message: 'names no whole path in its first line', remedy: 'Begin it with `#!/bin/bash`.' }
  return { ok: true, interpreter: argument === '' ? [program] : [program, argument] }
}
