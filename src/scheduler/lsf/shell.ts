import { sectionMark } from '../dialect.ts'
import { fullFields, shortFields } from './queue.ts'
import { judgeInShell } from './submit.ts'

const octal = (mark: string) => `\\${mark.charCodeAt(0).toString(8).padStart(3, '0')}`

/**
 * What runs on the cluster: constant POSIX sh; see {@link import('../dialect.ts').Dialect.shell}. While a daemon is away LSF's commands print
 * `… still trying` and wait for ever, so each has a deadline; and their exit codes say little (LSB_BJOBS_CONSISTENT_EXIT_CODE), so each
 * answer is known by its words.
 */
export const lsfShell = `# Settings of the account must not reformat what we ask for, hide bsub's answer, or make it wait for the job (bjobs(1), bsub(1)).
unset LSB_BJOBS_FORMAT BSUB_QUIET BSUB_QUIET2 BSUB_STDERR BSUB_BLOCK BSUB_CHK_RESREQ LSB_BSUB_PARSE_SCRIPT

scheduler_probe() {
  timeout 30 lsid && timeout 30 bparams -l || return
  if command -v bhist >/dev/null; then echo 'history yes'; else echo 'history no'; fi
}

lsf_head() { printf 'LSF %s %s\\n' "$1" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"; }

# lsf_ask COMMAND…: sets $_said to all it says. Fails where it was ended, or is not there.
lsf_ask() {
  _said=$(timeout 30 "$@" 2>&1 </dev/null)
  _rc=$?
  case $_rc in 124 | 126 | 127 | 1[3-9][0-9] | 12[89]) printf '%s\\n' "$_said" >&2; return $_rc ;; esac
  return 0
}
# Whether $_said says that there is no such job: mbatchd has answered.
lsf_none() {
  case $_said in
    *'> is not found'* | *'No unfinished job found'* | *'No job found'* | *'No matching job found'*) return 0 ;;
  esac
  return 1
}
lsf_unreadable() { printf '%s answered: %s\\n' "$1" "$_said" >&2; return 1; }

# The version of bsub as one number, 10.1.0.9 as 10010009; 0 for LSF-compatible systems. It asks no daemon.
lsf_level() {
  timeout 10 bsub -V 2>&1 </dev/null | awk '
    /LSF/ && match($0, /[0-9]+\\.[0-9]+(\\.[0-9]+)*/) {
      split(substr($0, RSTART, RLENGTH), part, ".")
      printf "%d\\n", part[1] * 1000000 + part[2] * 10000 + part[3] * 100 + part[4]
      found = 1
      exit
    }
    END { if (!found) print 0 }'
}
# lsf_translate FLAG VALUE LEVEL: memory in the site's unit, for bsub that knows no units (before 10.1.0.2), and without what it counts for
# (before 10.1.0.9). Where lsf.conf(5) says nothing, -M is in KB and rusage in MB.
lsf_translate() {
  _unit=
  if [ "$3" -lt 10010002 ]; then
    case $1 in -M) _unit=KB ;; *) _unit=MB ;; esac
    _site=$(sed -n 's/^[[:blank:]]*LSF_UNIT_FOR_LIMITS[[:blank:]]*=[[:blank:]"]*\\([KMGTkmgt]\\)[Bb]\\{0,1\\}.*/\\1B/p' "\${LSF_ENVDIR:-/etc}/lsf.conf" 2>/dev/null | tail -n 1)
    _unit=\${_site:-$_unit}
  fi
  printf '%s\\n' "$2" | awk -v unit="$_unit" '{
    rest = $0; out = ""
    while (match(rest, /[0-9]+MB(\\/host|\\/task)?/)) {
      size = substr(rest, RSTART, RLENGTH) + 0
      if (unit == "KB" || unit == "kB") size *= 1024
      else if (unit == "GB" || unit == "gB") size /= 1024
      else if (unit == "TB" || unit == "tB") size /= 1048576
      if (size > int(size)) size = int(size) + 1
      out = out substr(rest, 1, RSTART - 1) sprintf("%.0f", size) (unit == "" ? "MB" : "")
      rest = substr(rest, RSTART + RLENGTH)
    }
    print out rest
  }'
}

# What runs is handed over on standard input: the job is then run by /bin/sh, else by the login shell of the account, which may be anything. One
# line is enough, since mbatchd keeps the text, logs it, and prints it with every bjobs -l.
# TZ and LC_ALL are ours for reading answers; a job inherits the environment of bsub and must not have them.
# Bounded well below the time that the caller waits before it believes that a silent bsub made no job.
scheduler_submit() {
  (
    _script=$1
    shift
    _level=$(lsf_level)
    _left=$#
    _flag=
    while [ "$_left" -gt 0 ]; do
      _word=$1
      shift
      _left=$((_left - 1))
      case $_flag:$_word in
        # LSF-compatible systems know -r only; there a job is not run again unless its queue says so.
        :-rn) [ "$_level" -ne 0 ] || continue ;;
        -R:*MB* | -M:*MB) [ "$_level" -ge 10010009 ] || _word=$(lsf_translate "$_flag" "$_word" "$_level") ;;
      esac
      case $_flag:$_word in :-R | :-M | :-Jd) _flag=$_word ;; *) _flag= ;; esac
      set -- "$@" "$_word"
    done
    unset TZ LC_ALL
    printf "exec /bin/bash -l '%s'\\n" "$(printf '%s\\n' "$_script" | sed "s/'/'\\\\\\\\''/g")" | timeout 60 bsub "$@"
  )
}

scheduler_submitted() {
  _ids=$(sed -n 's/^Job <\\([1-9][0-9]*\\)> is submitted .*/\\1/p')
  case $_ids in '' | *[!0-9]*) return 1 ;; esac
  echo "$_ids"
}

${judgeInShell}

# Ids of jobs of this name, arrays by their one id. Within CLEAN_PERIOD bjobs knows those that have ended, bhist longer.
scheduler_find() {
  lsf_ask bjobs -a -w -J "$1" || return
  case $_said in
    *'JOBID '*' JOB_NAME '*) printf '%s\\n' "$_said" | awk -v name="$1" '$1 ~ /^[0-9]+$/ && (index($0, " " name " ") || index($0, " " name "[")) { print $1 }' | sort -un ;;
    *) lsf_none || lsf_unreadable bjobs || return ;;
  esac
  [ -n "\${2-}" ] && command -v bhist >/dev/null || return 0
  lsf_ask bhist -a -l -J "$1" || return
  case $_said in
    *'Job <'*) printf '%s\\n' "$_said" | sed -n "s/^Job <\\\\([0-9]*\\\\)[][0-9]*>, Job Name <$1[][0-9]*>.*/\\\\1/p" | sort -un ;;
    *) lsf_none || lsf_unreadable bhist ;;
  esac
}

# IBM's bjobs knows all of the fields, LSF-compatible ones some of them or no -json at all. Which are wrong bjobs says itself, without asking mbatchd.
scheduler_queue() {
  for _form in full short wide; do
    case $_form in
      full) lsf_ask bjobs -a -J 'compops-*' -o '${fullFields}' -json || return ;;
      short) lsf_ask bjobs -a -J 'compops-*' -o '${shortFields}' -json || return ;;
      wide) lsf_ask bjobs -a -J 'compops-*' -w || return ;;
    esac
    case $_said in
      *'not a valid field'* | *[Uu]sage:* | *'llegal option'* | *'nvalid option'* | *'nrecognized option'*) [ $_form = wide ] || continue ;;
    esac
    break
  done
  case $_form$_said in
    full*'"RECORDS"'* | short*'"RECORDS"'* | wide*'JOBID '*' JOB_NAME '*) ;;
    *) lsf_none || lsf_unreadable bjobs || return; _form=none ;;
  esac
  lsf_head $_form
  printf '%s\\n' "$_said"
  case $_form$_said in
    none* | full* | *'"PEND"'* | *'"PSUSP"'* | *' PEND '* | *' PSUSP '*) _rows=$_said ;;
    *) _rows= ;;
  esac
  case $_form$_said in
    # An empty list is asked about once more, since nothing is ever concluded from silence.
    none* | wide*) case $_said in *' compops-'*) ;; *) printf '${octal(sectionMark)}ping\\n'; timeout 30 bparams -l 2>&1 </dev/null || : ; return 0 ;; esac ;;
    *) case $_said in *'"STAT"'*) ;; *) printf '${octal(sectionMark)}ping\\n'; timeout 30 bparams -l 2>&1 </dev/null || : ; return 0 ;; esac ;;
  esac
  # Why they wait is no field there.
  case $_form$_rows in
    short?* | wide?*) printf '${octal(sectionMark)}pending\\n'; timeout 30 bjobs -p -w -J 'compops-*' 2>&1 </dev/null || : ;;
  esac
}

# $_ids that $_said says nothing of.
lsf_missing() {
  { printf '%s\\n' "$_said" | sed -n 's/^Job <\\([0-9]*\\)[][0-9]*>.*/\\1/p'; echo; printf '%s\\n' $_ids; } |
    awk 'NF == 0 { rest = 1; next } !rest { known[$1] = 1; next } !($1 in known)'
}

# The current log of events first, then ten older ones (they change each MAX_JOB_NUM jobs), then accounting.
scheduler_past() {
  _ids=$(awk '$1 ~ /^[1-9][0-9]*$/ && !seen[$1]++ { print $1 }')
  [ -n "$_ids" ] || return 0
  lsf_ask bhist -l $_ids || return
  case $_said in *'Job <'*) ;; *) lsf_none || lsf_unreadable bhist || return ;; esac
  lsf_head past
  printf '%s\\n' "$_said"
  for _more in 'bhist -n 10 -l' 'bacct -l'; do
    _ids=$(lsf_missing)
    [ -n "$_ids" ] || return 0
    lsf_ask $_more $_ids 2>/dev/null || return 0
    case $_said in *'Job <'*) printf '%s\\n' "$_said" ;; esac
  done
}

scheduler_active() {
  lsf_ask bjobs -w -J 'compops-*' || return
  case $_said in
    *'JOBID '*' JOB_NAME '*) ;;
    *) lsf_none || lsf_unreadable bjobs || return; return 0 ;;
  esac
  printf '%s\\n' "$_said" | awk '
    $1 ~ /^[0-9]+$/ && $3 !~ /^(DONE|EXIT)$/ {
      for (i = 7; i <= NF; i++) if ($i ~ /^compops-[0-9a-f-]+(\\[[0-9]+\\])?$/) {
        name = $i
        sub(/\\[.*/, "", name)
        if (!seen[$1, name]++) print $1, name
        break
      }
    }'
}

# Of what bkill says nothing follows: the queue is asked again instead. Never 0, which stands for all jobs of the account.
scheduler_kill() {
  _ids=$(awk '$1 ~ /^[1-9][0-9]*$/ { print $1 }')
  [ -z "$_ids" ] || timeout 30 bkill $_ids 2>&1 </dev/null || :
}`
