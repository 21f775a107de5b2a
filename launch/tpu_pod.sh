#!/usr/bin/env bash
# One run on all workers of a Cloud TPU slice:
#
#   launch/tpu_pod.sh NAME ZONE --config=configs/lstm_mnist.py
#
# The script copies this checkout to every worker, installs it there with JAX for TPUs, and trains.
# Ctrl-C stops the run on all workers with a checkpoint. To resume, rerun the command. If the
# connection was lost, the run may still be active. To stop it:
#
#   gcloud compute tpus tpu-vm ssh NAME --zone=ZONE --worker=all --command="pkill -TERM -f '[j]axdl.main'"
#
# The run folder is on the disk of worker 0, not in a bucket. It is lost when the slice is deleted.
# To copy it:
#
#   gcloud compute tpus tpu-vm scp --recurse NAME:jaxdl/runs/lstm_mnist runs/ --zone=ZONE --worker=0
set -euo pipefail

if (($# < 3)) || [[ $1 == -* || $2 == -* ]]; then
  echo "usage: launch/tpu_pod.sh NAME ZONE --config=FILE [--flag=value …], not '$*'" >&2
  exit 2
fi
name=$1
zone=$2
flags=$(printf ' %q' "${@:3}")
everywhere() {
  gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$1"
}

archive=$(mktemp -d)/jaxdl.tar.gz
trap 'rm -r "${archive%/*}"' EXIT
tar --exclude=__pycache__ -C "$(dirname "$0")/.." -czf "$archive" pyproject.toml README.md LICENSE jaxdl configs
gcloud compute tpus tpu-vm scp "$archive" "$name:jaxdl.tar.gz" --zone="$zone" --worker=all

# The workers' system Python may be older than 3.11, so uv installs one. On newer systems pip
# requires PIP_BREAK_SYSTEM_PACKAGES to install packages.
everywhere 'set -e
mkdir -p jaxdl
tar -xzf jaxdl.tar.gz -C jaxdl
cd jaxdl
PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --user uv
python3 -m uv venv --quiet --allow-existing --python=3.12 .venv
python3 -m uv pip install --quiet --python=.venv . "jax[tpu]"'

# Start the connection in its own process group. Ctrl-C must not close it, because it transmits the
# last output of the run.
set -m
everywhere "cd jaxdl && exec .venv/bin/python -m jaxdl.main --coordinator=auto$flags" &
training=$!
set +m
trap 'everywhere "pkill -TERM -f [j]axdl.main" || true' INT TERM HUP
while kill -0 "$training" 2>/dev/null; do
  wait "$training" || true  # a signal interrupts the wait, not the training
done
wait "$training"
