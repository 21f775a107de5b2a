"""Checks that `config.shards` gives the same bits on any number of devices, and measures its cost.

    python -m launch.benchmarks.shards_study [--names=cnn_mnist,…] [--shards=8] [--devices=2,4,8]

Every config is trained for some steps on random examples and evaluated, in one process for each
number of virtual CPU devices. The state, the sums of all steps and those of the evaluation must be
equal bit for bit. The cost is the time of a step with shards divided by that without, on two
devices, median of interleaved calls. Prints a Markdown table; the exit code is 1 if bits differ.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import numpy as np

from launch.benchmarks import compiler_difference, random_examples

STEPS, CALLS = 4, 5
COST_ON = 2  # devices
ROOT = pathlib.Path(__file__).parents[2]


def arrays_after_steps(built, steps):
  """Name → array of the state after some steps, their sums, and those of the evaluation."""
  import jax

  from jaxdl.devices import parallel
  from jaxdl.training import chunks, evaluation

  split, run = built.data.splits['train'], chunks.compile_steps(built)
  state, history = run(
    parallel.replicate(built.initial_state()),
    parallel.replicate(split.arrays),
    parallel.split_feed(split.feed(0, steps), steps),
    np.int32(steps),
  )
  measured = evaluation.of_splits(built)(state)
  leaves = jax.tree_util.tree_leaves_with_path(jax.device_get((state, history, measured)))
  return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def size_of(name, shards):
  """The smallest multiple of the shards that is at least the config's batch size."""
  size = random_examples.read(name)['data']['batch_size']
  return str(-(-size // shards) * shards)


def compute(name: str, shards: int, file: pathlib.Path, *, cost: bool) -> None:
  """Writes the arrays of a config, or the seconds of a step with shards and without.

  Args:
    name: name of a config.
    shards: number of shards.
    file: the .npz file to write.
    cost: whether to measure seconds.
  """
  size = size_of(name, shards)
  numbers = (shards, 1) if cost else (shards,)
  found = [random_examples.build(name, size, shards=number) for number in numbers]
  if cost:
    np.savez(file, seconds=random_examples.seconds_of_steps(found, STEPS, CALLS))
  else:
    arrays = arrays_after_steps(found[0], STEPS)
    np.savez(file, **compiler_difference.as_numbered(arrays))


def in_child(name: str, shards: int, devices: int, file: pathlib.Path, *, cost: bool) -> str | None:
  """Runs `compute` in a process with a number of devices; returns its last line of error."""
  from jaxdl.devices import parallel

  environment = dict.fromkeys(parallel.THREADS, str(shards))
  environment |= {'JAX_NUM_CPU_DEVICES': str(devices), 'JAX_PLATFORMS': 'cpu'}
  flags = [f'--compute={file}', f'--names={name}', f'--shards={shards}', *['--cost'] * cost]
  ended = subprocess.run(
    [sys.executable, '-m', __spec__.name, *flags],
    cwd=ROOT,
    env={**os.environ, **environment},
    capture_output=True,
    text=True,
  )
  return None if ended.returncode == 0 else (ended.stderr.strip().splitlines() or [''])[-1]


def row(name: str, shards: int, devices: Sequence[int], folder: pathlib.Path) -> tuple[str, bool]:
  """The row of the table of a config, and whether all its bits are equal."""
  first, cells, equal = None, [], True
  for number in devices:
    file = folder / f'{name}-{number}.npz'
    if error := in_child(name, shards, number, file, cost=False):
      cells.append(error.partition(': ')[2] or error)
      continue
    arrays = compiler_difference.read(file)
    first = first or arrays
    wrong = [key for key in arrays if arrays[key].tobytes() != first[key].tobytes()]
    equal = equal and not wrong
    cells.append(f'{len(wrong)} of {len(arrays)} arrays differ' if wrong else 'equal')
  file = folder / f'{name}-cost.npz'
  cost = '–'
  if not in_child(name, shards, COST_ON, file, cost=True):
    with np.load(file) as found:
      sharded, plain = found['seconds']
    cost = f'{sharded / plain:.2f}'
  return f'| `{name}` | {size_of(name, shards)} | {" | ".join(cells)} | {cost} |', equal


def main(arguments: Sequence[str]) -> int:
  """Runs the command; returns the exit code."""
  names = random_examples.all_names()
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--names', default=','.join(names), help='configs, comma-separated')
  parser.add_argument('--shards', type=int, default=8, help='number of shards')
  parser.add_argument('--devices', default='2,4,8', help='numbers of devices, comma-separated')
  parser.add_argument('--compute', type=pathlib.Path, help=argparse.SUPPRESS)  # a child process
  parser.add_argument('--cost', action='store_true', help=argparse.SUPPRESS)
  given = parser.parse_args(arguments)
  if given.compute:
    compute(given.names, given.shards, given.compute, cost=given.cost)
    return 0
  devices = [int(number) for number in given.devices.split(',')]
  heads = [f'{number} devices' for number in devices]
  print(f'| config | batch | {" | ".join(heads)} | cost on {COST_ON} |')
  print(f'|---|---:|{"---|" * len(devices)}---:|', flush=True)
  all_equal = True
  with tempfile.TemporaryDirectory() as folder:
    for name in given.names.split(','):
      text, equal = row(name, given.shards, devices, pathlib.Path(folder))
      all_equal = all_equal and equal
      print(text, flush=True)
  return int(not all_equal)


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
