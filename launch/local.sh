#!/usr/bin/env bash
# One run as N processes on this machine:
#
#   launch/local.sh 2 --config=configs/lstm_mnist.py --workdir=runs/two_processes
#
# Process 0 prints its output unchanged. The output lines of the other processes start with the
# process number, such as '[1] '. Process I uses only the I-th GPU, of all GPUs or of those in
# CUDA_VISIBLE_DEVICES. PYTHON=.venv/bin/python selects another Python.
#
# Ctrl-C or SIGTERM stops all processes with a checkpoint; a second signal kills them. A stopped run
# ends with exit code 75. If a process fails, the other processes are stopped too, and this command
# returns the exit code of the failed process.
set -euo pipefail

processes=${1:-}
if ! [[ $processes =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: launch/local.sh N --config=FILE [--flag=value …], not '$*': N is the number of processes" >&2
  exit 2
fi
shift
python=${PYTHON:-python}
# Seconds that the other processes have to end after one has failed. Then they are killed, because
# they may wait for the failed process.
seconds_to_end=30
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
IFS=, read -ra gpus <<<"${CUDA_VISIBLE_DEVICES-$(seq -s, 0 $((processes - 1)))}"

running=()  # number → process id
start() {
  exec env CUDA_VISIBLE_DEVICES="${gpus[$1]:-}" "$python" -m jaxdl.main --coordinator="127.0.0.1:$port" \
    --processes="$processes" --process="$1" "${@:2}"
}
signal_all() {
  for id in "${running[@]}"; do
    kill -s "$1" -- "-$id" 2>/dev/null || true  # the process may have just ended
  done
}
signals=0 forwarded=''
# The handler only counts signals: bash drops a signal that arrives while it handles another.
trap 'signals=$((signals + 1))' INT TERM HUP

# Start each process in its own process group. Ctrl-C on the keyboard then reaches only this script,
# which forwards it once.
set -m
for ((number = 0; number < processes; number++)); do
  if ((number == 0)); then
    start "$number" "$@" &
  else
    start "$number" "$@" > >(trap '' INT TERM HUP && exec sed -u "s/^/[$number] /") 2>&1 &
  fi
  running[number]=$!
done
set +m

code=0 stopped=0
while ((${#running[@]})); do
  if ((signals > 1)); then
    signal_all KILL
  elif ((signals)) && [[ ! $forwarded ]]; then
    signal_all TERM
    forwarded=yes
  fi
  for number in "${!running[@]}"; do
    if kill -0 "${running[number]}" 2>/dev/null; then
      continue
    fi
    wait "${running[number]}" && ended=0 || ended=$?
    unset 'running[number]'
    if ((ended == 75)); then  # stopped with a checkpoint, like the other processes
      stopped=75
    elif ((ended != 0 && code == 0)); then
      code=$ended
      echo "launch/local.sh: process $number ended with code $code, ending the others" >&2
      signal_all TERM
      deadline=$((SECONDS + seconds_to_end))
    fi
  done
  if ((code != 0 && SECONDS >= deadline)); then
    signal_all KILL
  fi
  sleep 0.2 &  # in the background, so that a signal interrupts the wait immediately
  wait "$!" || true
done
exit "$((code ? code : stopped))"
