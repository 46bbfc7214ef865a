import { fieldMark, recordMark, sectionMark } from '../dialect.ts'
import { historyFields, queueFields } from './jobs.ts'
import { endedStates } from './states.ts'
import { judgeInShell } from './submit.ts'

const octal = (mark: string) => `\\${mark.charCodeAt(0).toString(8).padStart(3, '0')}`

/** What runs on the cluster: constant POSIX sh. The programs of `cluster/` call these functions; see {@link import('../dialect.ts').Dialect.shell}. */
export const pbsShell = `# PBS_DPREFIX would hide our directive lines, PBS_DEFAULT is the site's choice and stays (qsub(1B), ENVIRONMENT VARIABLES).
unset PBS_DPREFIX
pbs_us='${fieldMark}'
pbs_user=$(id -un)

pbs_server() { qstat -B -f -F dsv -D "$pbs_us"; }
scheduler_probe() { pbs_server; }

# TZ and LC_ALL are ours for reading answers. -f: without the process that qsub leaves behind on the login node to keep its connection (qsub(1B)).
# Bounded well below the time that the caller waits before it believes that a silent qsub made no job.
scheduler_submit() {
  (
    unset TZ LC_ALL
    _script=$1
    shift
    exec timeout 60 qsub -f "$@" "$_script"
  )
}

scheduler_submitted() {
  _ids=$(sed -n 's/^[[:blank:]]*\\([0-9][0-9]*\\(\\[]\\)\\{0,1\\}\\.[A-Za-z0-9][A-Za-z0-9._-]*\\)[[:blank:]]*$/\\1/p')
  [ "$(printf '%s\\n' "$_ids" | grep -c .)" -eq 1 ] || return 1
  printf '%s\\n' "$_ids"
}

${judgeInShell}

# Ids of the account's jobs as qselect's options choose, one a line. Its exit code is the server's error; what is no id among them is no answer.
pbs_select() {
  _ids=$(qselect -u "$pbs_user" "$@") || return 1
  _strange=$(printf '%s\\n' "$_ids" | grep -Ev '^([0-9]+(\\[])?\\.[A-Za-z0-9._-]+)?$' | head -n 1)
  [ -z "$_strange" ] || { printf 'qselect answered: %s\\n' "$_strange" >&2; return 1; }
}

# An empty answer is believed only beside a server that says that it is up. Without history \`qselect -x\` refuses, with exit code 0.
scheduler_find() {
  _server=$(pbs_server) || return 1
  case $_server in *server_state=*) ;; *) printf 'qstat -B answered: %s\\n' "$_server" >&2; return 1 ;; esac
  case \${2-}$_server in past*job_history_enable=True*) pbs_select -x -N "$1" ;; *) pbs_select -N "$1" ;; esac || return 1
  [ -z "$_ids" ] || printf '%s\\n' "$_ids"
}

# pbs_stat FIELDS OPTION…: what qstat says of the jobs $_ids, a record for each with these fields, and how qstat ended. -E asks the server for all of
# them at once (without it, for one after the other), and leaves out the unknown ones: 153 is that all are, 35 that all have ended. The last line
# is there only behind a line that was ended too. Ids of arrays hold brackets, which must be no pattern: set -f.
pbs_stat() {
  _fields=$1
  shift
  {
    (
      set -f
      qstat "$@" -E -f -F dsv -D "$pbs_us" $_ids
    )
    printf 'end %s\\n' $?
  } | awk -F "$pbs_us" -v fields="$_fields" '
    BEGIN {
      count = split(fields, names, " ")
      for (i = 1; i <= count; i++) wanted[names[i]] = 1
    }
    end != "" { end = ""; strange = 1 }
    /^end [0-9]+$/ { end = substr($0, 5); next }
    /^Job Id: / {
      rows++
      printf "${octal(recordMark)}%s", substr($1, 9)
      split("", seen)
      for (i = 2; i <= NF; i++) {
        name = $i
        sub(/=.*/, "", name)
        if (name in wanted && !(name in seen)) { seen[name] = 1; printf "${octal(fieldMark)}%s", $i }
      }
      print ""
    }
    END {
      if (strange || end == "") { print "the answer of qstat was cut" | "cat >&2"; exit 1 }
      if (end != 0 && end != 35 && end != 153) exit 1
      if (end == 0 && !rows) { print "qstat answered without a job or an error" | "cat >&2"; exit 1 }
      printf "${octal(recordMark)}end %s\\n", end
    }'
}

# How many ids were asked for stands first: with none there is nothing to ask qstat, and the server is asked whether it is up.
scheduler_queue() {
  pbs_select || return
  if [ -z "$_ids" ]; then
    printf 'PBS 0\\n${octal(recordMark)}end 0\\n${octal(sectionMark)}'
    pbs_server || :
    return 0
  fi
  printf 'PBS %s\\n' "$(printf '%s\\n' "$_ids" | wc -l | tr -d ' ')"
  pbs_stat '${queueFields.join(' ')}' -t
}

scheduler_past() {
  _ids=$(awk '$1 ~ /^[0-9]+(\\[])?\\.[A-Za-z0-9._-]+$/ { print $1 }')
  [ -n "$_ids" ] || return 0
  printf 'PBS %s\\n' "$(printf '%s\\n' "$_ids" | wc -l | tr -d ' ')"
  pbs_stat '${historyFields.join(' ')}' -x -t
}

scheduler_active() {
  pbs_select || return
  if [ -z "$_ids" ]; then
    _server=$(pbs_server) || return
    case $_server in *server_state=*) return 0 ;; *) printf 'qstat -B answered: %s\\n' "$_server" >&2; return 1 ;; esac
  fi
  _rows=$(pbs_stat 'Job_Name job_state') || return
  printf '%s\\n' "$_rows" | awk -F "$pbs_us" '
    { id = ""; name = ""; state = "" }
    substr($0, 1, 1) == "${octal(recordMark)}" {
      id = substr($1, 2)
      for (i = 2; i <= NF; i++) {
        if ($i ~ /^Job_Name=/) name = substr($i, 10)
        if ($i ~ /^job_state=/) state = substr($i, 11)
      }
      if (state !~ /^[${endedStates.join('')}]$/ && name !~ / / && name != "") print id, name
    }'
}

# Of what qdel says nothing follows: 35 for one that has ended, 153 for one that is forgotten, and a running one takes its time. The queue is asked again.
scheduler_kill() {
  _ids=$(awk '$1 ~ /^[0-9]+(\\[])?\\.[A-Za-z0-9._-]+$/ { print $1 }')
  [ -z "$_ids" ] || printf '%s\\n' "$_ids" | xargs qdel 2>&1 || :
}`
