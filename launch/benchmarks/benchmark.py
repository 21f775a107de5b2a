"""Speed of training against Keras, PyTorch and plain Flax: same network, weights, batch and
optimizer, interleaved, medians.

    pip install '.[bench]'
    python -m launch.benchmarks.benchmark [--rounds=5] [--seconds=2] [--only=lstm_mnist,…]
    [--peers=torch,…]
    python -m launch.benchmarks.benchmark --table-only
    python -m launch.benchmarks.benchmark --starts [--rounds=2]
    python -m launch.benchmarks.benchmark --together=8 --only=lstm_mnist

Every contender is a process of its own; all are started, asked for the loss of the same weights,
which must be equal, and then take turns. Writes the figures to docs/speed.json and the table to
docs/speed.md.
A peer that is not installed is left out by name. With `--starts` it measures anew only how long a
process takes to its first step. With `--together` it compares runs of several seeds trained by one
program with the same runs one after another.
"""

import argparse
import datetime
import importlib
import json
import pathlib
import re
import sys
import tempfile
import time

from launch.benchmarks import contender, speed_table
from launch.benchmarks.racing import PEERS, race, start_of_main, starts

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIGURES = ROOT / 'docs/speed.json'
PAGE = ROOT / 'docs/speed.md'


def serve(kind, folder):
  """A contender's process: trains as many steps as each line of its input says."""
  task = contender.read(folder)
  one = importlib.import_module(f'launch.benchmarks.with_{kind.partition("_")[0]}').start(task)
  answer = lambda **values: print(json.dumps(values), flush=True)  # noqa: E731
  one.train(1)
  answer(first_step=True)
  one.restore()
  answer(parameters=one.parameters, loss=one.loss())
  for line in sys.stdin:
    began = time.perf_counter()
    one.train(int(line))
    answer(seconds=time.perf_counter() - began)
  answer(loss_after=one.loss(), peak_bytes=peak_bytes(), device_bytes=one.memory())


def peak_bytes():
  """Peak memory of this process; getrusage would include the process that started it."""
  status = pathlib.Path('/proc/self/status').read_text()
  return int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]) << 10


def measure(names, peers, rounds, seconds):
  """Yields the limits of the device and the time of a start, then one dict per workload."""
  from launch.benchmarks import limits, with_flax, workloads

  operations, copied = limits.measure()
  cold, warm = start_of_main()
  yield (
    'limits',
    {
      'gflops': round(operations / 1e9),
      'gbytes': round(copied / 1e9, 1),
      'main_cold_s': cold,
      'main_warm_s': warm,
    },
  )
  for name in names:
    with tempfile.TemporaryDirectory() as folder:
      workloads.write(name, folder)
      task = contender.read(folder)
      flops = with_flax.work(task)
      figures = race(folder, ['jaxdl', *peers], rounds=rounds, seconds=seconds)
      best = figures['contenders']['jaxdl']['ms'] / 1e3
      examples = task.batch * (task.inputs.shape[-1] if task.text else 1)
      moved = (
        4 * 7 * figures['parameters']
      )  # Adam reads four numbers of a parameter and writes three, however it is computed
      figures['starts'] = starts(folder, rounds)
      yield (
        name,
        {
          **figures,
          'examples_per_second': round(examples / best),
          'gflop_a_step': round(flops / 1e9, 2),
          'share_of_products': round(flops / operations / best, 2),
          'share_of_copies': round(moved / copied / best, 2),
        },
      )


def measure_starts(names, rounds):
  """Yields, as `measure`, what changes in the figures of workloads that were raced before."""
  from launch.benchmarks import workloads

  for name in names:
    with tempfile.TemporaryDirectory() as folder:
      workloads.write(name, folder)
      yield name, {'starts': starts(folder, rounds)}


def main():
  if sys.argv[1:2] == ['--serve']:
    return serve(*sys.argv[2:])
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--seconds', type=float, default=2.0, help='about how long a turn takes')
  parser.add_argument(
    '--only', default='', help='workloads, with commas between them; all by default'
  )
  parser.add_argument('--peers', default=','.join(PEERS), help='with commas between them')
  parser.add_argument(
    '--json',
    type=pathlib.Path,
    default=FIGURES,
    help='the table of docs/speed.md shows the default, docs/speed.json',
  )
  parser.add_argument(
    '--table-only',
    action='store_true',
    help='only rewrite the table, from the figures measured before',
  )
  parser.add_argument(
    '--starts', action='store_true', help='only how long it takes to the first step'
  )
  parser.add_argument('--together', type=int, default=0, help='how many seeds one program trains')
  options = parser.parse_args()
  if not options.table_only:
    from launch.benchmarks import grouped_runs, workloads

    names = options.only.split(',') if options.only else workloads.WORKLOADS
    for asked, there in ((names, workloads.WORKLOADS), (options.peers.split(','), PEERS)):
      if unknown := [name for name in asked if name and name not in there]:
        parser.error(f'{unknown[0]!r} is unknown: use {", ".join(there)}')
    if options.together:
      for name in names:
        print(
          json.dumps(grouped_runs.compare(name, options.together, options.rounds, steps=60)),
          flush=True,
        )
      return None
    import jax

    device = f'{len(jax.local_devices())} x {jax.local_devices()[0].device_kind}'
    raced = (
      json.loads(options.json.read_text()).get(device, {})
      if options.starts and options.json.exists()
      else {}
    )
    if options.starts and (missing := [name for name in names if name not in raced]):
      parser.error(
        f'{missing[0]} was not raced on {device}: run the benchmark without --starts first'
      )
    made = (
      measure_starts(names, options.rounds)
      if options.starts
      else measure(
        names, [peer for peer in options.peers.split(',') if peer], options.rounds, options.seconds
      )
    )
    for name, figures in made:
      print(json.dumps({'workload': name, **figures}), flush=True)
      stored = json.loads(options.json.read_text()) if options.json.exists() else {}
      others = raced.get(
        name, {'date': f'{datetime.date.today()}', 'rounds': options.rounds}
      )  # of the race
      stored.setdefault(device, {})[name] = {**others, **figures}
      options.json.write_text(json.dumps(stored, indent=1, sort_keys=True) + '\n')
  if options.table_only and not options.json.exists():
    parser.error(f'{options.json} is missing: run the benchmark without --table-only first')
  if options.json.resolve() == FIGURES:  # another file does not belong to the page
    speed_table.rewrite(PAGE, json.loads(options.json.read_text()))
  return None


if __name__ == '__main__':
  main()
