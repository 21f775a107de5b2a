#!/usr/bin/env bash
# One run as N processes on this machine:
#
#   launch/local.sh 2 --config=configs/lstm_mnist.py --workdir=runs/two_processes
#
# Process 0 prints as ever, the lines of the others begin with their number, '[1] '. Process I sees the I-th GPU alone, of all
# or of those in CUDA_VISIBLE_DEVICES. PYTHON=.venv/bin/python names another Python.
#
# Ctrl-C or SIGTERM stops all with a checkpoint, a second one kills them; a stopped run ends with exit code 75. Where a process
# fails, the others are ended too, and its exit code is this command's.
set -euo pipefail

processes=${1:-}
if ! [[ $processes =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: launch/local.sh N --config=FILE [--flag=value …], not '$*': N is the number of processes" >&2
  exit 2
fi
shift
python=${PYTHON:-python}
seconds_to_end=30  # of the others, once one has failed; then they are killed, for they may wait for the dead one
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
IFS=, read -ra gpus <<<"${CUDA_VISIBLE_DEVICES-$(seq -s, 0 $((processes - 1)))}"

running=()  # number → process id
start() {
  exec env CUDA_VISIBLE_DEVICES="${gpus[$1]:-}" "$python" -m jaxdl.main --coordinator="127.0.0.1:$port" \
    --processes="$processes" --process="$1" "${@:2}"
}
signal_all() {
  for id in "${running[@]}"; do
    kill -s "$1" -- "-$id" 2>/dev/null || true  # it may have ended just now
  done
}
told=0 passed_on=''
trap 'told=$((told + 1))' INT TERM HUP  # no more than that: bash forgets a signal that comes while it handles another

set -m  # each process in a group of its own: Ctrl-C on the keyboard reaches only this script, which passes it on once
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
  if ((told > 1)); then
    signal_all KILL
  elif ((told)) && [[ ! $passed_on ]]; then
    signal_all TERM
    passed_on=yes
  fi
  for number in "${!running[@]}"; do
    if kill -0 "${running[number]}" 2>/dev/null; then
      continue
    fi
    wait "${running[number]}" && ended=0 || ended=$?
    unset 'running[number]'
    if ((ended == 75)); then  # stopped and saved, as the others are
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
  sleep 0.2 &
  wait "$!" || true  # in the background, for then a signal ends the wait at once
done
exit "$((code ? code : stopped))"
