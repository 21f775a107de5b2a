#!/usr/bin/env bash
# Measures the speed of training on an NVIDIA GPU, in at most 10 minutes:
#
#   pip install '.[bench]' 'jax[cuda13]'
#   launch/benchmarks/gpu.sh [FOLDER]
#
# FOLDER, gpu_figures by default, gets
#   device.txt    the GPU and the versions
#   limits.txt    operations and bytes per second, in float32 and bfloat16
#   speed.json    steps against PyTorch with and without torch.compile, in float32 and in mixed
#                 precision
#   together.txt  eight seeds in one program against the same runs one after another
#   *.log         messages of each part
#
# A part that fails or runs out of time does not stop the others. The exit code is then 1.
# PYTHON=.venv/bin/python selects another Python.
set -uo pipefail

mkdir -p "${1:-gpu_figures}"
folder=$(cd "${1:-gpu_figures}" && pwd)
cd "$(dirname "$0")/../.." || exit 1
python=${PYTHON:-python}
export XLA_PYTHON_CLIENT_PREALLOCATE=false  # the frameworks share the memory of the GPU
failed=0

part() {  # part NAME SECONDS ARGUMENT …: runs Python with the arguments
  local name=$1 seconds=$2
  shift 2
  echo "$name: at most $seconds s"
  if ! timeout --kill-after=5 "$seconds" "$python" "$@" >"$folder/$name.txt" 2>"$folder/$name.log"; then
    echo "$name failed; see $folder/$name.log" >&2
    failed=1
  fi
}

measure_limits='
from launch.benchmarks import limits
for bfloat16 in (False, True):
  operations, copied = limits.measure(bfloat16=bfloat16)
  factors = "bfloat16" if bfloat16 else "float32"
  print(f"{factors}: {operations / 1e12:.3g} Tflop/s, copies {copied / 1e9:.3g} GB/s")
'
benchmark=(-m launch.benchmarks.benchmark --rounds=3 --seconds=1)
race=("${benchmark[@]}" '--peers=torch,torch_compile' "--json=$folder/speed.json")

nvidia-smi >"$folder/device.txt" 2>&1 || echo "no NVIDIA GPU was found; measuring $(uname -m)" >&2
"$python" -m pip list 2>/dev/null | grep -iE '^(jax|jaxlib|flax|torch) ' >>"$folder/device.txt"
part limits 40 -c "$measure_limits"
part float32 210 "${race[@]}" --only=lstm_mnist,cnn_cifar10,deep_cnn_cifar10,char_lstm_shakespeare
part bfloat16 180 "${race[@]}" --bfloat16 --only=lstm_mnist,cnn_cifar10,deep_cnn_cifar10
part together 120 "${benchmark[@]}" --together=8 --only=rnn_mnist,cnn_mnist
exit "$failed"
