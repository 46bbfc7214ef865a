#!/bin/bash
# train.sh EPOCHS CHECKPOINT: stands for a program that catches a signal and writes a checkpoint.
epoch=$(cat "$2" 2>/dev/null || echo 0)
save() {
  echo "$epoch" >"$2.new" && mv "$2.new" "$2"
  echo "checkpoint at epoch $epoch"
  # Any code but 0 says: not done, start me again.
  exit 85
}
trap 'save "$@"' USR1
while [ "$epoch" -lt "$1" ]; do
  sleep 1 # one epoch
  epoch=$((epoch + 1))
done
echo "trained $epoch epochs"
