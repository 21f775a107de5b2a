"""Speed of training against Keras, PyTorch and plain Flax, interleaved, medians.

Network, weights, batch and optimizer are the same.

    pip install '.[bench]'
    python -m launch.benchmarks.benchmark [--rounds=5] [--seconds=2] [--only=lstm_mnist,…]
    [--peers=torch,…] [--bfloat16]
    python -m launch.benchmarks.benchmark --table-only
    python -m launch.benchmarks.benchmark --starts [--rounds=2]
    python -m launch.benchmarks.benchmark --together=8 --only=lstm_mnist

Each contender runs in its own process. All are started and must have the same loss with the same
weights; then they take turns. The figures are written to docs/speed.json and to the table of
docs/speed.md, which names the peers that are not installed. With `--starts` only the time from the
start of a process to its first step is measured. With `--together` runs of several seeds that one
program trains are compared with the same runs one after another.
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
from collections.abc import Iterator, Sequence

import psutil

from launch.benchmarks import contender, speed_table
from launch.benchmarks.racing import CLOSE, CLOSE_BFLOAT16, PEERS, race, start_of_main, starts

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIGURES = ROOT / 'docs/speed.json'
PAGE = ROOT / 'docs/speed.md'


def serve(kind: str, folder: str) -> None:
  """Runs in a contender's process: each line of standard input is a number of steps to train.

  Args:
    kind: contender, such as 'torch'.
    folder: folder of a workload.
  """
  task = contender.read(folder)
  one = importlib.import_module(f'launch.benchmarks.with_{kind.partition("_")[0]}').start(task)

  def answer(**values):
    print(json.dumps(values), flush=True)

  one.train(1)
  answer(first_step=True)
  one.restore()
  answer(parameters=one.parameters, loss=one.loss())
  for line in sys.stdin:
    began = time.perf_counter()
    one.train(int(line))
    answer(seconds=time.perf_counter() - began)
  answer(loss_after=one.loss(), peak_bytes=peak_bytes(), device_bytes=one.memory())


def peak_bytes() -> int:
  """Peak memory of this process."""
  if sys.platform == 'win32':
    return psutil.Process().memory_info().peak_wset
  if sys.platform == 'darwin':
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  # On Linux, getrusage would include the process that started this one.
  status = pathlib.Path('/proc/self/status').read_text(encoding='utf-8')
  return int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]) << 10


def measure(
  names: Sequence[str], peers: Sequence[str], rounds: int, seconds: float, bfloat16: bool
) -> Iterator[tuple[str, dict]]:
  """Races the contenders on each workload.

  Args:
    names: workloads.
    peers: contenders besides jaxdl.
    rounds: turns of each contender.
    seconds: approximate length of a turn.
    bfloat16: whether products are in bfloat16 in training.

  Yields:
    First ('limits', speed of the device and start of `jaxdl.main`), then (workload, figures).
  """
  from launch.benchmarks import limits, with_flax, workloads

  operations, copied = limits.measure(bfloat16=bfloat16)
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
      workloads.write(name, folder, bfloat16)
      task = contender.read(folder)
      flops = with_flax.work(task)
      figures = race(
        folder,
        ['jaxdl', *peers],
        rounds=rounds,
        seconds=seconds,
        close=CLOSE_BFLOAT16 if bfloat16 else CLOSE,
      )
      best = figures['contenders']['jaxdl']['ms'] / 1e3
      examples = task.batch * (task.inputs.shape[-1] if task.text else 1)
      # Adam reads at least four numbers of each parameter and writes three
      moved = 4 * 7 * figures['parameters']
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


def measure_starts(names: Sequence[str], rounds: int) -> Iterator[tuple[str, dict]]:
  """Yields (workload, its figures of the time to the first step)."""
  from launch.benchmarks import workloads

  for name in names:
    with tempfile.TemporaryDirectory() as folder:
      workloads.write(name, folder)
      yield name, {'starts': starts(folder, rounds)}


def main() -> None:
  """Runs the command."""
  if sys.argv[1:2] == ['--serve']:
    serve(*sys.argv[2:])
    return
  parser = _parser()
  options = parser.parse_args()
  if options.together and not options.table_only:
    _compare_grouped_runs(parser, options)
    return
  if not options.table_only:
    _measure_and_store(parser, options)
  elif not options.json.exists():
    parser.error(f'{options.json} is missing: run the benchmark without --table-only first')
  if options.json.resolve() == FIGURES:  # other files are not shown on the page
    speed_table.rewrite(PAGE, json.loads(options.json.read_text(encoding='utf-8')))


def _parser():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--seconds', type=float, default=2.0, help='approximate length of a turn')
  parser.add_argument('--only', default='', help='workloads, comma-separated; all by default')
  parser.add_argument('--peers', default=','.join(PEERS), help='comma-separated')
  parser.add_argument(
    '--json',
    type=pathlib.Path,
    default=FIGURES,
    help='file of the figures; docs/speed.md shows those of the default, docs/speed.json',
  )
  parser.add_argument(
    '--table-only',
    action='store_true',
    help='rewrite the table of docs/speed.md from the figures in the file',
  )
  parser.add_argument(
    '--starts', action='store_true', help='only measure the time to the first step'
  )
  parser.add_argument(
    '--bfloat16',
    action='store_true',
    help='train with products in bfloat16; other frameworks by their own mixed precision',
  )
  parser.add_argument('--together', type=int, default=0, help='seeds that one program trains')
  return parser


def _chosen_workloads(parser, options):
  """Names of the workloads; an unknown workload or peer ends the command."""
  from launch.benchmarks import workloads

  names = options.only.split(',') if options.only else workloads.WORKLOADS
  for given, known in ((names, workloads.WORKLOADS), (options.peers.split(','), PEERS)):
    unknown = [name for name in given if name and name not in known]
    if unknown:
      parser.error(f'{unknown[0]!r} is unknown: use {", ".join(known)}')
  return names


def _compare_grouped_runs(parser, options):
  from launch.benchmarks import grouped_runs

  for name in _chosen_workloads(parser, options):
    figures = grouped_runs.compare(name, options.together, options.rounds, steps=60)
    print(json.dumps(figures), flush=True)


def _measure_and_store(parser, options):
  """Measures workloads and writes the figures of each as soon as they are available."""
  import jax

  names = _chosen_workloads(parser, options)
  device = f'{len(jax.local_devices())} x {jax.local_devices()[0].device_kind}'
  if options.bfloat16:
    device += ', products in bfloat16'
  raced = _read(options.json).get(device, {}) if options.starts else {}
  if options.starts:
    missing = [name for name in names if name not in raced]
    if missing:
      parser.error(
        f'{missing[0]} was not raced on {device}: run the benchmark without --starts first'
      )
    found = measure_starts(names, options.rounds)
  else:
    peers = [peer for peer in options.peers.split(',') if peer]
    found = measure(names, peers, options.rounds, options.seconds, options.bfloat16)
  for name, figures in found:
    print(json.dumps({'workload': name, **figures}), flush=True)
    race_facts = {'date': f'{datetime.date.today()}', 'rounds': options.rounds}
    stored = _read(options.json)
    stored.setdefault(device, {})[name] = {**raced.get(name, race_facts), **figures}
    options.json.write_text(json.dumps(stored, indent=1, sort_keys=True) + '\n', encoding='utf-8')


def _read(file):
  """The figures in a file; none where it is missing."""
  return json.loads(file.read_text(encoding='utf-8')) if file.exists() else {}


if __name__ == '__main__':
  main()
