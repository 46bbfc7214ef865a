import { refuseControl } from '../config/fields.ts'

/** Why a path or glob of the repository will not do, as the end of a sentence, with what to write instead; null where it will. */
export function refusePath(text: string, globs: boolean): { message: string; remedy: string } | null {
  const relative = 'Write it from the top folder of the repository, for example `results/*.csv`.'
  const control = refuseControl(text)
  if (control !== null) return { message: control, remedy: 'Write it on one line.' }
  if (text === '') return { message: 'is empty', remedy: relative }
  if (text.startsWith('/') || text.startsWith('~')) return { message: 'is not relative', remedy: relative }
  if (text.startsWith('-')) return { message: 'begins with a dash', remedy: 'Write `./` in front.' }
  if (text.length > 1_024) return { message: 'is longer than 1024 characters', remedy: relative }
  if (text.includes('\\')) return { message: 'holds a backslash', remedy: 'Write `/` between folders.' }
  const parts = text.split('/')
  if (parts.includes('..')) return { message: 'leads out with `..`', remedy: 'Write a path inside the repository.' }
  if (parts.includes('.git')) return { message: 'leads into `.git`', remedy: 'Write a path outside of it.' }
  if (parts.at(-1) === '')
    return {
      message: 'is a folder',
      remedy: globs ? `Write \`${text}**\` for all files in it.` : 'Write the path of a file.',
    }
  if (parts.some(part => part === '' || (part === '.' && part !== parts[0])))
    return { message: 'has an empty part', remedy: 'Write single slashes.' }
  if (parts.length > 20) return { message: 'is deeper than 20 folders', remedy: 'Write a shorter path.' }
  if (!globs && /[*?[\]]/.test(text)) return { message: 'is a pattern', remedy: 'Write the path of one file.' }
  if ((text.match(/\*\*/g) ?? []).length > 3)
    return { message: 'has `**` more than three times', remedy: 'Write a simpler pattern.' }
  return null
}
