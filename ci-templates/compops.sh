# What every template does, in POSIX sh with curl or wget (busybox's too): it speaks to COMPOPS_URL with the
# id_token of this job, and with nothing else. The first line of an answer is for this script, the second for you.
umask 077
compops_home=${CI_PROJECT_DIR:-.}/.compops-ci/${CI_JOB_ID:-0}
compops_tell() { printf '\033[1mcompops:\033[0m %s\n' "$*"; }
compops_fail() { printf '\033[31;1mcompops:\033[0m %s\n' "$*" >&2; }
compops_hex() { od -An -v -tx1 | tr -d ' \n'; }

# A secret of this job's own, beside the token: whoever reads the token in a log cannot use it.
compops_begin() {
  if [ -z "${COMPOPS_URL:-}" ]; then compops_fail 'COMPOPS_URL is empty: the address of your ComputationalOps'; return 1; fi
  : "${COMPOPS_ID_TOKEN:=${SITE_ID_TOKEN:-}}"
  if [ -z "$COMPOPS_ID_TOKEN" ]; then compops_fail 'there is no id_token: see id_tokens in the template'; return 1; fi
  compops_url=${COMPOPS_URL%/}
  mkdir -p "$compops_home" || return 1
  if [ ! -s "$compops_home/holder" ]; then
    dd if=/dev/urandom bs=24 count=1 2>/dev/null | compops_hex >"$compops_home/holder"
  fi
  compops_holder=$(cat "$compops_home/holder")
  # In a file, not among the arguments: those can be read by everybody on the machine.
  printf 'header = "Authorization: Bearer %s"\nheader = "Compops-Holder: %s"\nheader = "Accept: text/vnd.compops"\n' \
    "$COMPOPS_ID_TOKEN" "$compops_holder" >"$compops_home/curl"
}

# compops_once METHOD PATH [FORM FILE]: 0 when the service has answered, whatever it said.
compops_once() {
  compops_answer=$compops_home/answer
  rm -f "$compops_answer"
  if command -v curl >/dev/null 2>&1; then
    if [ "$1" = POST ]; then set -- "$2" --data-binary "@${3:-/dev/null}"; else set -- "$2"; fi
    compops_path=$1; shift
    curl -sS -K "$compops_home/curl" --connect-timeout 20 --max-time 180 -o "$compops_answer" "$@" \
      "$compops_url$compops_path" 2>"$compops_home/trouble" || return 1
  else
    if [ "$1" = POST ]; then set -- "$2" --post-file "${3:-/dev/null}"; else set -- "$2"; fi
    compops_path=$1; shift
    # Not by -T: some builds of busybox end with a segmentation fault there.
    compops_limit=''
    if timeout 5 true 2>/dev/null; then compops_limit='timeout 180'; fi
    $compops_limit wget -q -O "$compops_answer" --header "Authorization: Bearer $COMPOPS_ID_TOKEN" \
      --header "Compops-Holder: $compops_holder" --header 'Accept: text/vnd.compops' "$@" \
      "$compops_url$compops_path" 2>"$compops_home/trouble" || return 1
  fi
  compops_status=0 compops_words='' compops_said=''
  { IFS= read -r compops_first && IFS= read -r compops_said; } <"$compops_answer" 2>/dev/null || return 1
  case $compops_first in 'compops '*) ;; *) return 1 ;; esac
  compops_words=" ${compops_first#compops } "
  compops_status=${compops_first#compops }
  compops_status=${compops_status%% *}
}

# compops_word NAME: the value that the answer has for it.
compops_word() {
  case $compops_words in
    *" $1="*) compops_value=${compops_words##*" $1="}; printf %s "${compops_value%% *}" ;;
  esac
}
compops_body() { tail -n +3 "$compops_answer"; }

# Until it is answered: a service that restarts, a GitLab or a cluster that is away for a while end nothing.
compops_ask() {
  compops_pause=1 compops_waited=0
  while :; do
    if compops_once "$@"; then
      case $compops_status in
        2*) [ "$compops_waited" -lt 10 ] || compops_tell 'the service answers again'; return 0 ;;
        429|5*) compops_trouble=$compops_said ;;
        *) compops_fail "$compops_status: $compops_said"; return 1 ;;
      esac
    else
      compops_trouble=$(head -n 1 "$compops_home/trouble" 2>/dev/null)
    fi
    if [ "$compops_waited" -ge "${COMPOPS_PATIENCE:-86400}" ]; then
      compops_fail "gave up after $compops_waited s: $compops_trouble"; return 1
    fi
    if [ "$compops_waited" -lt 10 ] && [ $((compops_waited + compops_pause)) -ge 10 ]; then
      compops_tell "no answer yet, trying on: $compops_trouble"
    fi
    sleep "$compops_pause"
    compops_waited=$((compops_waited + compops_pause))
    [ "$compops_pause" -ge 30 ] || compops_pause=$((compops_pause * 2))
  done
}

# A form, percent-encoded byte by byte: newlines, quotes and shell code arrive as they are.
compops_field() {
  [ -n "$2" ] || return 0
  printf '&%s=' "$1"
  printf %s "$2" | compops_hex | sed 's/../%&/g'
}
compops_form() {
  printf 'mode=%s' "$1"
  compops_field name "${CI_JOB_NAME:-}"
  compops_field gate "${2:-}"
  for compops_key in job script file cluster partition account qos time nodes ntasks ntasks_per_node cpus_per_task \
    mem mem_per_cpu gpus gpus_per_node gres constraint reservation licenses array setup modules template image \
    outputs metrics secrets directives max_wait; do
    eval "compops_value=\${COMPOPS_$(printf %s "$compops_key" | tr '[:lower:]' '[:upper:]'):-}"
    compops_field "$compops_key" "$compops_value"
  done
  # Names of other bridges. Inside of an allocation they are Slurm's own, and say nothing of this job.
  if [ -n "${COMPOPS_SCRIPT:-}${COMPOPS_FILE:-}" ] && [ -z "${SLURM_JOB_ID:-}" ]; then
    for compops_key in SCHEDULER_PARAMETERS SLURM_PARTITION SLURM_TIMELIMIT SLURM_TIME SLURM_JOB_NUM_NODES \
      SLURM_NTASKS SLURM_ACCOUNT SLURM_GRES SLURM_EXCLUSIVE; do
      eval "compops_value=\${$compops_key:-}"
      compops_field "$compops_key" "$compops_value"
    done
  fi
  for compops_key in ${COMPOPS_VARIABLES:-}; do
    case $compops_key in *[!A-Za-z0-9_]*|[0-9]*) compops_fail "$compops_key is no name of a variable"; return 1 ;; esac
    eval "compops_value=\${$compops_key-}"
    compops_field "env.$compops_key" "$compops_value"
  done
}
compops_submit() {
  compops_begin || return 1
  compops_form "$@" >"$compops_home/form" || return 1
  compops_ask POST /bridge/v1/job "$compops_home/form" || return 1
  compops_run=$(compops_word run)
  compops_tell "$compops_said"
  compops_tell "run $compops_run: $compops_url/runs/$compops_run"
}

# detach: hand over and end. The result arrives as a commit status in this pipeline.
compops_detach() {
  compops_submit detach || return 1
  compops_tell 'this CI job ends here; the result will be a commit status of this pipeline'
}

# gate: hand over for the manual job that the service plays at the end.
compops_hand_over() {
  compops_submit gate "$COMPOPS_GATE" || return 1
  compops_tell "$COMPOPS_GATE is played when it has ended; until then no runner is held"
}
# The manual job itself: the outputs, the reports, the verdict.
compops_gate() {
  compops_begin || return 1
  compops_query="gate=$(printf %s "$CI_JOB_NAME" | compops_hex | sed 's/../%&/g')"
  compops_ask GET "/bridge/v1/job?$compops_query" || return 1
  compops_body
  if [ "$(compops_word ended)" != yes ]; then
    compops_fail "not yet: $compops_said. This job is played again when it has ended: nobody needs to."
    return 75
  fi
  compops_code=$(compops_word code)
  compops_said_last=$compops_said
  compops_fetch "${COMPOPS_INTO:-compops-outputs}" "$compops_query&" || return 1
  compops_end "$compops_code" "$compops_said_last"
}
compops_end() {
  if [ "$1" = 0 ]; then compops_tell "$2"; else compops_fail "$2"; fi
  return "$1"
}

# compops_fetch DIRECTORY QUERY: outputs as files, each compared with its digest; JUnit and metrics beside them.
compops_fetch() {
  mkdir -p "$1" || return 1
  for compops_report in junit metrics; do
    compops_ask GET "/bridge/v1/job/$compops_report?$2" || return 1
    compops_name=compops-junit.xml; [ "$compops_report" = junit ] || compops_name=compops-metrics.txt
    [ "$(compops_body | wc -c)" -eq 0 ] || compops_body >"$1/$compops_name"
  done
  compops_ask GET "/bridge/v1/job/files?$2" || return 1
  compops_tell "$compops_said"
  compops_body >"$compops_home/files"
  compops_number=0 compops_total=0
  while IFS='	' read -r compops_size compops_sha compops_file; do
    compops_left=$((${COMPOPS_OUTPUTS_LIMIT:-104857600} - compops_total))
    case $compops_size in ''|*[!0-9]*) compops_size=0 ;; esac
    if [ "$compops_size" -gt "$compops_left" ]; then
      compops_fail "$compops_file stays on the cluster: $compops_size bytes are more than outputs_limit leaves"
    else
      compops_file "$1" "$2" || return 1
      compops_total=$((compops_total + compops_size))
    fi
    compops_number=$((compops_number + 1))
  done <"$compops_home/files"
}
compops_file() {
  case /$compops_file/ in */../*|*//*) compops_fail "$compops_file is no name for a file here"; return 0 ;; esac
  case $compops_file in */*) mkdir -p "$1/${compops_file%/*}" || return 1 ;; esac
  compops_offset=0
  : >"$1/$compops_file"
  while :; do
    compops_ask GET "/bridge/v1/job/file?${2}number=$compops_number&offset=$compops_offset" </dev/null || {
      # Part of a file is worse than none: it would be taken for the whole.
      rm -f "$1/$compops_file"
      compops_fail "$compops_file could not be fetched whole: it is left out, and this CI job fails"
      return 1
    }
    compops_body >>"$1/$compops_file"
    compops_offset=$(compops_word next)
    [ "$(compops_word done)" != yes ] || break
  done
  if [ "$compops_sha" != - ] && command -v sha256sum >/dev/null 2>&1; then
    compops_found=$(sha256sum <"$1/$compops_file")
    if [ "${compops_found%% *}" != "$compops_sha" ]; then
      compops_fail "$compops_file is not what the job wrote: it has changed on the cluster since"
      return 1
    fi
  fi
}

# attach: hand over, follow the log by byte offset, and end as the batch job did.
compops_attach() {
  trap 'compops_canceled; exit 130' INT TERM
  compops_section start submit 'Handing over' collapsed
  compops_submit attach || return 1
  compops_body >"$compops_home/jobs"
  compops_section end submit
  compops_printed=0 compops_tails=0 compops_at=0
  while IFS='	' read -r compops_job compops_rest; do
    compops_follow "$compops_at" "$compops_job" </dev/null || return 1
    compops_at=$((compops_at + 1))
  done <"$compops_home/jobs"
  while :; do
    compops_ask GET /bridge/v1/job || return 1
    [ "$(compops_word ended)" != yes ] || break
    sleep 2
  done
  compops_code=$(compops_word code)
  compops_said_last=$compops_said
  if [ -n "${COMPOPS_INTO:-}" ]; then compops_fetch "$COMPOPS_INTO" '' || return 1; fi
  compops_end "$compops_code" "$compops_said_last"
}
compops_follow() {
  compops_next=0 compops_attempt=- compops_last='' compops_pause_log=1
  compops_section start "job_$1" "$2"
  while :; do
    compops_room "${COMPOPS_LOG_LIMIT:-3500000}" "$compops_printed"
    compops_ask GET "/bridge/v1/job/log?job=$1&attempt=$compops_attempt&offset=$compops_next&room=$compops_left" || return 1
    compops_tell_new
    compops_new=$(compops_word attempt)
    if [ "$compops_attempt" != - ] && [ "$compops_new" != "$compops_attempt" ]; then compops_tell 'it has begun anew'; fi
    compops_attempt=$compops_new
    compops_next=$(compops_word next)
    compops_cost=$(compops_word cost)
    if [ "${compops_cost:-0}" -gt 0 ]; then
      compops_pause_log=1
      compops_body
      compops_printed=$((compops_printed + compops_cost))
    fi
    if [ "$(compops_word full)" = yes ]; then compops_cut "$1" || return 1; break; fi
    [ "$(compops_word done)" != yes ] || break
    # What is behind is fetched without a pause.
    if [ "${compops_cost:-0}" -gt 0 ] && [ "$compops_next" -lt "$(compops_word size)" ]; then continue; fi
    sleep "$compops_pause_log"
    [ "$compops_pause_log" -ge 5 ] || compops_pause_log=$((compops_pause_log + 1))
  done
  compops_section end "job_$1"
}
# The runner keeps so much of a log and drops the rest, the verdict with it: better cut here, with the last lines at the end.
compops_cut() {
  compops_tell 'log_limit is reached: the last lines follow when it has ended, the rest stays on the cluster'
  compops_pause_log=1
  while :; do
    compops_room 200000 "$compops_tails"
    compops_ask GET "/bridge/v1/job/log?job=$1&attempt=$compops_attempt&after=$compops_next&room=$compops_left" || return 1
    [ "$(compops_word done)" != yes ] || break
    compops_tell_new
    sleep "$compops_pause_log"
    [ "$compops_pause_log" -ge 5 ] || compops_pause_log=$((compops_pause_log + 1))
  done
  compops_cost=$(compops_word cost)
  compops_tails=$((compops_tails + ${compops_cost:-0}))
  compops_body
  compops_tell "$compops_said"
}
compops_room() {
  compops_left=$(($1 - $2))
  [ "$compops_left" -ge 0 ] || compops_left=0
}
compops_tell_new() {
  [ "$compops_said" = "$compops_last" ] || compops_tell "$compops_said"
  compops_last=$compops_said
}
compops_section() {
  compops_time=$(date +%s)
  if [ "$1" = end ]; then
    printf '\033[0Ksection_end:%s:compops_%s\r\033[0K\n' "$compops_time" "$2"
  else
    printf '\033[0Ksection_start:%s:compops_%s%s\r\033[0K%s\n' "$compops_time" "$2" "${4:+[collapsed=true]}" "$3"
  fi
}
compops_canceled() {
  COMPOPS_PATIENCE=60
  compops_ask POST "/bridge/v1/job/cancel?status=${CI_JOB_STATUS:-canceled}" && compops_tell "$compops_said"
}
# after_script: GitLab has ended the script; the batch job would go on.
compops_after() {
  case ${CI_JOB_STATUS:-} in canceled|failed) ;; *) return 0 ;; esac
  [ -s "$compops_home/form" ] || return 0
  compops_begin && compops_canceled
}
