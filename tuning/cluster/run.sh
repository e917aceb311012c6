#!/usr/bin/env bash
# One chief and two workers on this machine, each a process of its own.
#
#     bash tuning/cluster/run.sh --budget tuning/budgets/phone.json
#
# Options are those of tuning/search_student.py. KERASTUNER_ORACLE_PORT may
# be set; logs go to the folder LOGS, by default cluster_logs.
set -euo pipefail

program="$(dirname "${BASH_SOURCE[0]}")/../search_student.py"
python="${PYTHON:-python}"
logs="${LOGS:-cluster_logs}"
mkdir -p "$logs"

export KERASTUNER_ORACLE_IP=127.0.0.1
export KERASTUNER_ORACLE_PORT="${KERASTUNER_ORACLE_PORT:-8000}"

processes=()
# Ctrl-C ends all three; the same command goes on with the search.
trap 'kill "${processes[@]}" 2>/dev/null || true' INT TERM
for name in chief worker_1 worker_2; do
  KERASTUNER_TUNER_ID="$name" \
    "$python" "$program" "$@" >"$logs/$name.out" 2>"$logs/$name.err" &
  processes+=("$!")
done

status=0
for process in "${processes[@]}"; do
  wait "$process" || status=1
done
if [ "$status" -ne 0 ]; then
  tail -n 3 "$logs"/*.err >&2
  exit 1
fi
cat "$logs/chief.out"
