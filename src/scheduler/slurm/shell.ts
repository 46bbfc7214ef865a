import { fieldMark, recordMark, sectionMark } from '../dialect.ts'
import { accountingColumns } from './accounting.ts'
import { queueFormat } from './queue.ts'
import { endedStates } from './states.ts'
import { judgeInShell } from './submit.ts'

const octal = (mark: string) => `\\${mark.charCodeAt(0).toString(8).padStart(3, '0')}`

/** What runs on the cluster: constant POSIX sh. The programs of `cluster/` call these functions; see {@link import('../dialect.ts').Dialect.shell}. */
export const slurmShell = `# Settings of the account must not filter or reformat what we ask for (squeue(1), sacct(1), ENVIRONMENT VARIABLES).
unset SQUEUE_ACCOUNT SQUEUE_ALL SQUEUE_ARRAY SQUEUE_FORMAT SQUEUE_FORMAT2 SQUEUE_LICENSES SQUEUE_LOCAL SQUEUE_NAMES SQUEUE_PARTITION SQUEUE_PRIORITY
unset SQUEUE_QOS SQUEUE_SIBLING SQUEUE_SORT SQUEUE_STATES SQUEUE_USERS SACCT_FORMAT SACCT_LOCAL SCANCEL_INTERACTIVE SCANCEL_NAME SCANCEL_STATE
unset SCANCEL_USER SCANCEL_PARTITION SCANCEL_QOS SCANCEL_ACCOUNT SCANCEL_BATCH SCANCEL_CRON SCANCEL_FULL SCANCEL_HURRY SCANCEL_VERBOSE SCANCEL_WCKEY
SLURM_TIME_FORMAT=standard
# The numbers of waiting tasks in full, not the first 64 characters of them (squeue(1), sacct(1)).
SLURM_BITSTR_LEN=0
export SLURM_TIME_FORMAT SLURM_BITSTR_LEN
# As they are: three processes less for each program.
slurm_us='${fieldMark}'
slurm_rs='${recordMark}'
slurm_format='${recordMark}${queueFormat.join(fieldMark)}'

scheduler_probe() { scontrol --version && scontrol show config; }

# TZ and LC_ALL are ours for reading answers; a job inherits the environment of sbatch and must not have them.
# Bounded well below the time that the caller waits before it believes that a silent sbatch made no job.
scheduler_submit() {
  (
    unset TZ LC_ALL SLURM_TIME_FORMAT SLURM_BITSTR_LEN
    _script=$1
    shift
    exec timeout 60 sbatch --parsable "$@" "$_script"
  )
}

# For the doctor: what sbatch would say, without a job (sbatch(1), --test-only).
scheduler_try() { timeout 60 sbatch --test-only "$@" --wrap true; }

scheduler_submitted() {
  _ids=$(sed -n 's/^[[:blank:]]*\\([0-9][0-9]*\\)\\(;[A-Za-z0-9_.-]*\\)\\{0,1\\}[[:blank:]]*$/\\1/p')
  case $_ids in '' | *[!0-9]*) return 1 ;; esac
  echo "$_ids"
}

${judgeInShell}

scheduler_find() {
  _found=$(squeue -a -t all -u "$(id -u)" -n "$1" -o %F) || return 1
  # Without its head line it is not squeue's answer, and "no such job" would be believed.
  case $_found in ARRAY_JOB_ID*) ;; *) printf 'squeue answered: %s\\n' "$_found" >&2; return 1 ;; esac
  if [ -n "\${2-}" ]; then
    if _past=$(sacct -n -X -P -S now-7days --name "$1" -o JobID 2>&1); then
      _found=$(printf '%s\\n%s\\n' "$_found" "$_past")
    else
      case $_past in *'accounting storage is disabled'*) ;; *) printf '%s\\n' "$_past" >&2; return 1 ;; esac
    fi
  fi
  printf '%s\\n' "$_found" | sed -n 's/^[[:blank:]]*\\([0-9][0-9]*\\)\\(_.*\\)\\{0,1\\}[[:blank:]]*$/\\1/p' | sort -un
}

# The head line shows that the controller answered; an empty list is asked about once more, since nothing is ever concluded from silence.
scheduler_queue() {
  _rows=$(squeue -a -t all -u "$(id -u)" -o "$slurm_format") || return
  printf '%s\\n' "$_rows"
  case $_rows in
    *"$slurm_rs"*"$slurm_rs"*) ;;
    *) printf '${octal(sectionMark)}'; scontrol ping || : ;;
  esac
}

# An argument may have 128 KiB, so ids go in several.
# Whole arrays: tasks that were cancelled while they waited share one row, which has no task number in the database, so \`-j 4711_5\` does not find it, and a task
# that is not found would be lost.
scheduler_past() {
  set -- $(awk '$1 ~ /^[0-9]+$/ { list = list (n++ % 1000 ? "," : " -j ") $1 } END { print list }')
  [ $# -gt 0 ] || return 0
  sacct -n -P --delimiter="$slurm_us" -o ${accountingColumns.join(',')} "$@"
}

scheduler_active() {
  _rows=$(squeue -a -t all -u "$(id -u)" -o '%F %T %j') || return
  case $_rows in 'ARRAY_JOB_ID STATE NAME'*) ;; *) printf 'squeue answered: %s\\n' "$_rows" >&2; return 1 ;; esac
  printf '%s\\n' "$_rows" | awk 'NR > 1 && $2 !~ /^(${endedStates.join('|')})$/ && NF == 3 && !seen[$1, $3]++ { print $1, $3 }'
}

# Of what scancel says nothing follows: for an unknown id it exits 0, for an ended one 0 or 1. The queue is asked again instead.
scheduler_kill() {
  _ids=$(awk '$1 ~ /^[0-9]+$/ { print $1 }')
  [ -z "$_ids" ] || printf '%s\\n' "$_ids" | xargs scancel 2>&1 || :
}`
