"""A model of the time of a training step on many machines, from figures measured on this one.

    python -m launch.benchmarks.scale_model [--names=lstm_mnist,…]

The step of a machine with its part of the batch is measured on this machine. The bytes that devices
exchange are read from the compiled program (`launch.benchmarks.scaling`). The exchange is modelled
as a ring: every device sends and receives 2 · (D − 1) / D of the bytes in 2 · (D − 1) messages.
The network's bandwidth and latency are assumptions (`NETWORKS`). Computing and exchanging are
assumed not to overlap. Prints a Markdown table; nothing in it beyond this machine is a measurement.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence

from launch.benchmarks import random_examples, scaling

NAMES = ('rnn_mnist', 'lstm_mnist', 'cnn_cifar10', 'deep_cnn_cifar10', 'char_lstm_shakespeare')
STEPS, CALLS = 4, 5
ON_A_MACHINE = 2  # devices of a machine
SAME_BATCH = (1, 4, 32)  # machines that share the config's batch
LARGER_BATCH = (32, 512)  # machines of which each has the config's batch


@dataclasses.dataclass(frozen=True)
class Network:
  """What connects the machines.

  Attributes:
    bandwidth: bytes per second of one machine, in each direction.
    latency: seconds of one message.
  """

  bandwidth: float
  latency: float


NETWORKS = {
  '10 Gbit/s Ethernet': Network(1.25e9, 20e-6),
  '200 Gbit/s InfiniBand': Network(25e9, 2e-6),
}


def exchange(machines: int, size: int, network: Network) -> float:
  """Seconds of the all-reduce of a step on a ring.

  Args:
    machines: number of machines D.
    size: bytes of the sums.
    network: what connects them.

  Returns:
    2 · (D − 1) · (size / D / bandwidth + latency); 0 for one machine.

  Source: Patarasuk & Yuan 2009, Bandwidth optimal all-reduce algorithms for clusters of
    workstations.
  """
  return 2 * (machines - 1) * (size / machines / network.bandwidth + network.latency)


def times_as_fast(alone: float, part: float, machines: int, size: int, network: Network) -> float:
  """Examples per second of D machines divided by those of one, of the same batch.

  Args:
    alone: seconds of a step of the whole batch on one machine.
    part: seconds of a step of one machine's part of the batch.
    machines: number of machines D.
    size: bytes of the sums.
    network: what connects them.
  """
  return alone / (part + exchange(machines, size, network))


def measure(name: str) -> dict:
  """Measures a config on this machine.

  Returns:
    'batch', 'bytes' of the exchange of a step, and 'seconds', number of machines → seconds of a
    step of one machine's part of the batch.
  """
  from jaxdl.devices import parallel

  batch = random_examples.read(name)['data']['batch_size']
  parallel.use_cpu_devices([{'cpu_devices': ON_A_MACHINE, 'data': {'batch_size': ON_A_MACHINE}}])
  parts = {machines: batch // machines for machines in SAME_BATCH}
  sizes = {part + part % ON_A_MACHINE for part in parts.values()}
  built = {size: random_examples.build(name, str(size), cpu_devices=ON_A_MACHINE) for size in sizes}
  taken = dict(
    zip(built, random_examples.seconds_of_steps(list(built.values()), STEPS, CALLS), strict=True)
  )
  exchanged = scaling.collectives(scaling.program(built[batch]))
  return {
    'batch': batch,
    'bytes': sum(one['bytes'] for one in exchanged),
    'seconds': {machines: taken[part + part % ON_A_MACHINE] for machines, part in parts.items()},
  }


def row(name: str, found: dict) -> str:
  """The row of a config of the table; `found` is the result of `measure`."""
  seconds = {int(machines): value for machines, value in found['seconds'].items()}
  cells = []
  for machines in SAME_BATCH[1:]:
    cells.append(
      ' / '.join(
        f'{times_as_fast(seconds[1], seconds[machines], machines, found["bytes"], network):.1f}'
        for network in NETWORKS.values()
      )
    )
  for machines in LARGER_BATCH:
    cells.append(
      ' / '.join(
        f'{machines * times_as_fast(seconds[1], seconds[1], machines, found["bytes"], network):.0f}'
        for network in NETWORKS.values()
      )
    )
  milliseconds = ' | '.join(f'{1e3 * seconds[machines]:.1f}' for machines in SAME_BATCH)
  return f'| `{name}` | {found["batch"]} | {milliseconds} | {" | ".join(cells)} |'


def main(arguments: Sequence[str]) -> int:
  """Runs the command; returns the exit code, 1 if a config failed."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--names', default=','.join(NAMES), help='configs, comma-separated')
  parser.add_argument('--measure', help=argparse.SUPPRESS)  # a child process
  given = parser.parse_args(arguments)
  if given.measure:
    print(json.dumps(measure(given.measure)))
    return 0
  print(f'The two figures of a cell: {" / ".join(NETWORKS)}.\n')
  parts = [f'a step of 1/{machines} of it, ms' for machines in SAME_BATCH[1:]]
  same = [f'{machines} machines, same batch' for machines in SAME_BATCH[1:]]
  larger = [f'{machines} machines, {machines} times the batch' for machines in LARGER_BATCH]
  print(f'| config | batch | a step, ms | {" | ".join([*parts, *same, *larger])} |')
  print(f'|---|{"---:|" * (2 + len(parts) + len(same) + len(larger))}', flush=True)
  failed = False
  for name in given.names.split(','):
    command = [sys.executable, '-m', __spec__.name, f'--measure={name}']
    ended = subprocess.run(command, capture_output=True, text=True)
    failed = failed or ended.returncode != 0
    if ended.returncode:
      print((ended.stderr.strip().splitlines() or [f'{name} failed'])[-1], file=sys.stderr)
    else:
      print(row(name, json.loads(ended.stdout.splitlines()[-1])), flush=True)
  return int(failed)


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
