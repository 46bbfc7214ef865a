/** What git allows as a name (performance-and-faults 2.7) and shells do not mean. */
export const hostileRefs = [
  'a;touch${IFS}pwn',
  '$(touch${IFS}pwn)',
  '`touch${IFS}pwn`',
  "a'b",
  'a"b',
  'a|b&c',
  'a>pwn',
  // GitLab and git push refuse a name that begins with a dash.
  'calc/-rf',
  '{a,b}',
  'a!b',
  '%0a',
  'calc/🔥',
]
