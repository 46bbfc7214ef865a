/** What `prose`, `inline` and `code` have made safe for GitLab, as a person reads it in a terminal: no escapes, no invisible spaces, code as it stands. */
export function plain(markdown: string): string {
  return markdown
    .replace(
      /^(`{3,})\w*\n([\s\S]*?)\n\1$|\\([!-/:-@[-`{-~])|(`+)([\s\S]*?[^`])\4(?!`)/gm,
      (_, __, block?: string, escaped?: string, ___?: string, code?: string) =>
        block ?? escaped ?? (code ?? '').replace(/^ (?=`)|(?<=`) $/g, ''),
    )
    .replaceAll('\u200b', '')
    .replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, ' ')
}
