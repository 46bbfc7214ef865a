import { sectionMark } from '../dialect.ts'
import { judgeInShell } from './submit.ts'

const octal = (mark: string) => `\\${mark.charCodeAt(0).toString(8).padStart(3, '0')}`

/** What runs on the cluster: constant POSIX sh. The programs of `cluster/` call these functions; see {@link import('../dialect.ts').Dialect.shell}. */
export const sgeShell = `# The cell holds the accounting file, and without SGE_ROOT most clients say nothing. A login that sets none has qstat as <root>/bin/<arch>/qstat,
# or as Debian's wrapper, which knows the root from a file.
if [ -z "\${SGE_ROOT-}" ]; then
  sge_tool=$(command -v qstat)
  sge_said=
  if [ -r /etc/default/gridengine ]; then sge_said=$(sed -n 's/^ *SGE_ROOT=//p' /etc/default/gridengine); fi
  for sge_place in "\${sge_tool%/bin/*/qstat}" "$sge_said" /var/lib/gridengine; do
    if [ -d "$sge_place/\${SGE_CELL:-default}/common" ]; then SGE_ROOT=$sge_place; export SGE_ROOT; break; fi
  done
fi
sge_accounting=\${SGE_ROOT-}/\${SGE_CELL:-default}/common/accounting

scheduler_probe() {
  _help=$(qstat -help) || return
  printf 'version %s\\n' "$_help" | head -n 1
  qconf -sconf || return
  if [ -r "$sge_accounting" ]; then echo 'accounting readable'
  elif [ -e "$sge_accounting" ]; then echo 'accounting unreadable'
  else echo 'accounting missing'; fi
}

# From /, so that no .sge_request of the checkout adds options. Those of the site and of the account hold (sge_request(5)), except what would make
# another command of this. Bounded well below the time that the caller waits before it believes that a silent qsub made no job.
scheduler_submit() {
  (
    unset TZ LC_ALL
    _script=$1
    shift
    cd / || exit
    exec timeout 60 qsub -terse -b n -sync n -now n -C '' "$@" "$_script"
  )
}

scheduler_submitted() {
  _ids=$(sed -n 's/^[[:blank:]]*\\([0-9][0-9]*\\)\\(\\.[0-9]*-[0-9]*:[0-9]*\\)\\{0,1\\}[[:blank:]]*$/\\1/p')
  case $_ids in '' | *[!0-9]*) return 1 ;; esac
  echo "$_ids"
}

${judgeInShell}

# Lines <id> <name> of our account's jobs, from the document on standard input; fails where that is not whole.
sge_names() {
  awk -v RS='<' '
    { sub(/[ \\t\\r\\n]*$/, "") }
    /^job_info[ >]/ { open++; seen = 1 }
    /^\\/job_info>/ { open-- }
    /^job_list/ { id = name = "" }
    /^JB_job_number>/ { id = substr($0, 15) }
    /^JB_name>/ { name = substr($0, 9) }
    /^full_job_name>/ { name = substr($0, 15) }
    /^\\/job_list>/ && id ~ /^[0-9]+$/ && name !~ /[ \\n]/ && !((id, name) in told) { told[id, name]; print id, name }
    END { exit !(seen && open == 0) }'
}

scheduler_active() {
  _rows=$(qstat -xml -s a -u "$(id -un)") || return
  printf '%s\\n' "$_rows" | sge_names
}

# Ours alone: everybody may give a job any name.
scheduler_find() {
  _found=$(scheduler_active) || return 1
  _found=$(printf '%s\\n' "$_found" | awk -v name="$1" '$2 == name { print $1 }')
  if [ -n "\${2-}" ] && [ -e "$sge_accounting" ]; then
    [ -r "$sge_accounting" ] || { printf 'cannot read %s\\n' "$sge_accounting" >&2; return 1; }
    _found=$(printf '%s\\n' "$_found" && LC_ALL=C grep -F ":$1:" "$sge_accounting" |
      awk -F: -v name="$1" -v me="$(id -un)" '$5 == name && $4 == me && $6 ~ /^[0-9]+$/ { print $6 }')
  fi
  printf '%s\\n' "$_found" | sed -n '/^[0-9][0-9]*$/p' | sort -un
}

# Why jobs of ours are in error is told by one more command, of at most fifty.
scheduler_queue() {
  _rows=$(qstat -xml -s a -u "$(id -un)") || return
  printf '%s\\n' "$_rows"
  case $_rows in *'<state>E'*) ;; *) return 0 ;; esac
  _ids=$(printf '%s\\n' "$_rows" | awk -v RS='<' '
    /^job_list/ { id = name = state = "" }
    /^JB_job_number>/ { id = substr($0, 15) + 0 }
    /^JB_name>/ { name = substr($0, 9) }
    /^state>/ { state = substr($0, 7) }
    /^\\/job_list>/ && name ~ /^compops-/ && state ~ /E/ && !(id in told) && n < 50 { told[id]; list = list (n++ ? "," : "") id }
    END { print list }')
  [ -n "$_ids" ] || return 0
  printf '${octal(sectionMark)}'
  qstat -j "$_ids" 2>/dev/null | grep -E '^(job_number:|error reason )' || :
}

# The accounting file is in the order of the ends. It is read from its end, in growing parts, until one begins before the first of these jobs was
# submitted (less an hour for clocks), and no further: what others did last year costs nothing.
scheduler_past() {
  _list=$(cat)
  [ -e "$sge_accounting" ] || return 0
  [ -r "$sge_accounting" ] || { printf 'cannot read %s\\n' "$sge_accounting" >&2; return 1; }
  _since=9999999999
  while IFS= read -r _line; do
    _dir=\${_line#* * }
    _began=
    # The job's user can write there: only a file, and only a number.
    if [ -f "$_dir/submitting" ]; then read -r _began <"$_dir/submitting"; fi 2>/dev/null
    case $_began in '' | *[!0-9]* | ???????????*) _began=0 ;; esac
    [ "$_began" -ge "$_since" ] || _since=$_began
  done <<LIST
$_list
LIST
  _size=$(LC_ALL=C ls -lnL "$sge_accounting" | awk '{ print $5 }')
  _take=1048576
  until [ "$_take" -ge "$_size" ]; do
    if tail -c "$_take" "$sge_accounting" | awk -F: -v since="$((_since - 3600))" '
      NR > 1 && NF >= 45 && $11 > 0 { found = 1; early = ($11 + 0 < since + 0); exit }
      END { exit !(found && early) }'; then break; fi
    _take=$((_take * 8))
  done
  {
    printf '%s\\n' "$_list" | awk '{ print $1 }'
    echo
    # A part begins in the middle of a line; the last line may be being written.
    if [ "$_take" -ge "$_size" ]; then cat "$sge_accounting"; else tail -c "$_take" "$sge_accounting" | sed 1d; fi |
      LC_ALL=C grep -F :compops-
  } | awk -F: '
    !rest && $0 == "" { rest = 1; next }
    !rest { want[$0]; next }
    NF >= 45 && ($6 in want)'
}

# Of what qdel says nothing follows: the queue is asked again instead.
scheduler_kill() {
  _ids=$(awk '$1 ~ /^[0-9]+$/ { print $1 }')
  [ -n "$_ids" ] || return 0
  printf '%s\\n' "$_ids" | xargs qdel 2>&1 || :
}`
