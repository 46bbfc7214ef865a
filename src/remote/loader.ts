/**
 * What the far shell does with our standard input. First line: `<nonce> <input size or ->`; then the program, line by line, up to a line that is
 * the nonce; all that follows belongs to the program.
 *
 * `read` takes byte by byte from a pipe (POSIX: it must not read past the newline), so nothing of the input is eaten. `head -c` would: busybox'
 * buffers and takes up to 4 KiB too much. An end of input before the closing nonce means a broken link: half a program is never run.
 * HUP is ignored and PIPE caught in the program's own shell, so that a submission is finished when the link dies; PIPE is not ignored, since
 * what the program starts (a job on this machine) would inherit that and could not undo it.
 * IFS holds a newline by default, which saves a process; a shell that begins with another one takes the way that always works.
 * Both streams are framed, the begin with the process id (see STOP_PROGRAM), the end with the exit code: start files of an account may print before, background children after.
 */
export const LOADER_SCRIPT = [
  'umask 077; TZ=UTC; LC_ALL=C; export TZ LC_ALL; trap "" HUP; unset p n l k input_bytes',
  'nl=${IFS#??}; case ${#nl} in 1) ;; *) nl=$(echo; echo x); nl=${nl%x};; esac',
  'IFS=" " read -r n input_bytes || exit 97',
  'case $input_bytes in -) input_bytes=;; esac',
  'while IFS= read -r l; do case $l in "$n") k=1; break;; esac; p=$p$l$nl; done',
  'case $k in 1) ;; *) exit 97;; esac',
  'echo "compops-begin $n $$"; echo "compops-begin $n $$" >&2',
  '(trap : PIPE; eval "unset p n l k nl$nl$p")',
  'k=$?; echo "compops-end $n $k"; echo "compops-end $n $k" >&2; exit 0',
].join('; ')

/**
 * The one command that is ever sent to an account, whatever its login shell. It holds no quote, exclamation mark, backslash or newline inside
 * its single quotes, so sh, bash, dash, zsh, tcsh and fish read it alike (csh expands `!` even there, fish knows `\'` there).
 */
export const LOADER = `exec /bin/sh -c '${LOADER_SCRIPT}'`

/** The first bytes on standard input: everything the loader reads before the program's own input begins. */
export function frameProgram(program: string, nonce: string, inputBytes: number | undefined): Buffer {
  if (program.includes('\0')) throw new TypeError('a program is shell text and holds no NUL byte')
  return Buffer.from(`${nonce} ${inputBytes ?? '-'}\n${program}\n${nonce}\n`)
}

/**
 * Ends the program whose loader has the process id on standard input: TERM to its process group, KILL two seconds later. sshd makes each session's
 * shell the leader of a group; an id that is none of our loaders any more is left alone. (The SSH protocol's own signals are no way: sshd refuses
 * them for root, for forced commands, without privilege separation and before 7.9.)
 */
export const STOP_PROGRAM = `
read -r p || exit 1
case $(ps -o args= -p "$p") in *compops-begin*) ;; *) exit 0 ;; esac
[ "$(ps -o pgid= -p "$p" | tr -d ' ')" = "$p" ] || exit 1
kill -TERM -"$p"
for i in 1 2; do kill -0 -"$p" 2>/dev/null || exit 0; sleep 1; done
kill -KILL -"$p" 2>/dev/null
exit 0
`
