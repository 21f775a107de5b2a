"""Speed of a training step with products in bfloat16, relative to float32, interleaved, medians.

    python -m launch.benchmarks.precision [--names=cnn_mnist,…] [--calls=5]

Every config is trained on random examples, on the number of CPU devices that it names, in a process
of its own. Prints a Markdown table.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence

from launch.benchmarks import random_examples

STEPS = 4  # in a call
PRECISIONS = ('float32', 'bfloat16_products')


def row(name: str, calls: int) -> str:
  """The row of a config; this process computes on the devices that the config names."""
  from jaxdl.devices import parallel

  config = random_examples.read(name)
  devices = config.get('cpu_devices') or 1
  parallel.use_cpu_devices([config])
  size = str(config['data']['batch_size'])
  built = [
    random_examples.build(name, size, cpu_devices=devices, precision=precision)
    for precision in PRECISIONS
  ]
  exact, rounded = (
    1e3 * seconds for seconds in random_examples.seconds_of_steps(built, STEPS, calls)
  )
  return f'| `{name}` | {devices} | {exact:.1f} | {rounded:.1f} | {exact / rounded:.2f} |'


def main(arguments: Sequence[str]) -> int:
  """Runs the command; returns the exit code, 1 if a config failed."""
  names = random_examples.all_names()
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--names', default=','.join(names), help='configs, comma-separated')
  parser.add_argument('--calls', type=int, default=5, help=f'calls of {STEPS} steps')
  parser.add_argument('--row', help=argparse.SUPPRESS)  # a child process
  given = parser.parse_args(arguments)
  if given.row:
    print(row(given.row, given.calls))
    return 0
  print('| config | devices | float32, ms | bfloat16 products, ms | times as fast |')
  print('|---|---:|---:|---:|---:|', flush=True)
  failed = False
  for name in given.names.split(','):
    command = [sys.executable, '-m', __spec__.name, f'--row={name}', f'--calls={given.calls}']
    ended = subprocess.run(command, capture_output=True, text=True)
    failed = failed or ended.returncode != 0
    lines = (ended.stdout if ended.returncode == 0 else ended.stderr).strip().splitlines()
    print(lines[-1] if lines else f'{name}: exit code {ended.returncode}', flush=True)
  return int(failed)


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
