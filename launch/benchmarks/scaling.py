"""What devices exchange in a training step of each experiment, read from the compiled program.

    python -m launch.benchmarks.scaling [--devices=8] [--only=lstm_mnist,…] [--folder=DIR of
    photographs]

The devices are virtual: exchanges are counted, not timed. Prints a JSON object for each experiment
and a Markdown table at the end.
"""

import argparse
import json
import math
import os
import pathlib
import re
import sys
from typing import Any

import ml_collections

from jaxdl.config.reading import read_file

ROOT = pathlib.Path(__file__).parents[2]
BYTES = {'f32': 4, 'bf16': 2, 'f16': 2, 's32': 4, 'u32': 4, 'pred': 1}  # of an element
HOST = re.compile(
  r'\b(infeed|outfeed|send|recv)\(|custom_call_target="[^"]*(callback|host)', re.IGNORECASE
)


def compiled(config: ml_collections.ConfigDict | dict, name: str) -> tuple[str, Any]:
  """A compiled training call of a config as HLO text.

  Args:
    config: its batch must divide over the devices.
    name: the config's name.

  Returns:
    (HLO text, Experiment).
  """
  from jaxdl.training import experiment

  built = experiment.build(config, name)
  return program(built), built


def program(built: Any) -> str:
  """The compiled training call of an Experiment as HLO text."""
  import jax
  import numpy as np

  from jaxdl.devices import parallel
  from jaxdl.training import chunks

  split, steps = built.data.splits['train'], 2
  feed = parallel.split_feed(split.feed(0, steps), steps)
  arrays = jax.eval_shape(lambda: split.arrays)
  shapes = built.drawing().out_info
  compiled_call = chunks.compile_steps(built).lower(shapes, arrays, feed, np.int32(steps)).compile()
  return compiled_call.as_text()


def collectives(hlo: str) -> list[dict]:
  """What devices exchange in a program.

  Args:
    hlo: the program; a loop's body counts once, so a training call counts as one step.

  Returns:
    A dict for each exchange, in the program's order: 'kind', HLO's name such as 'all-reduce',
    'source', the layer or function that needs it, 'elements' and 'bytes'.
  """
  found = []
  for line in hlo.splitlines():
    match = re.search(
      r'= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(',
      line,
    )
    if match:
      sizes = [
        (BYTES[kind], math.prod(int(size) for size in shape.split(',') if size))
        for kind, shape in re.findall(r'(\w+)\[([\d,]*)\]', match[1])
      ]
      source = re.search(r'op_name="[^"]*?([^/"]*)/\w+"', line)
      found.append(
        dict(
          kind=match[2],
          source=source[1] if source else '',
          elements=sum(count for _, count in sizes),
          bytes=sum(size * count for size, count in sizes),
        )
      )
  return found


def host_transfers(hlo: str) -> list[str]:
  """The lines of a program that move something between a device and its host while it runs."""
  return [line.strip() for line in hlo.splitlines() if HOST.search(line)]


def measure(name: str, folder: str | None = None) -> dict:
  """A row of the table: what one step of `configs/<name>.py` exchanges on all devices."""
  import jax

  config = read_file(ROOT / 'configs' / f'{name}.py')
  if folder and 'folder' in config.data:
    config.data.update(
      ml_collections.ConfigDict(
        dict(folder=folder, splits=dict(train='train[:85%]', validation='train[85%:]', test='test'))
      )
    )
  batch = config.data.batch_size
  config.data.batch_size = -(-batch // jax.device_count()) * jax.device_count()
  hlo, built = compiled(config, name)
  everything = collectives(hlo)
  largest = max(everything, key=lambda one: one['bytes'])
  return {
    'config': name,
    'devices': jax.device_count(),
    'batch': batch,
    'parameters': sum(row['parameters'] for row in built.layers),
    'gradient_bytes': largest['bytes'],
    'other_exchanges': len(everything) - 1,
    'other_bytes': sum(one['bytes'] for one in everything) - largest['bytes'],
    'host_transfers': len(host_transfers(hlo)),
  }


def main(arguments: list[str]) -> int:
  """Runs the command; returns the exit code."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--devices', type=int, default=8, help='virtual devices')
  parser.add_argument('--only', default='', help='names of configs, comma-separated')
  parser.add_argument('--folder', help='of photographs, for the configs that read a folder')
  given = parser.parse_args(arguments)
  os.environ['XLA_FLAGS'] = (
    f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={given.devices}'
  )
  names = (
    given.only.split(',')
    if given.only
    else sorted(file.stem for file in (ROOT / 'configs').glob('*.py'))
  )
  rows = []
  for name in names:
    try:
      rows.append(measure(name, given.folder))
    except (OSError, ValueError) as error:
      print(f'{name} is left out: {error}', file=sys.stderr)
      continue
    print(json.dumps(rows[-1]), flush=True)
  head = ('experiment', 'batch, and devices at most', 'gradients and sums, bytes a step')
  print(f'\n| {" | ".join(head)} | other exchanges | their bytes |')
  print('|---|---:|---:|---:|---:|')
  for row in rows:
    counts = f'{row["gradient_bytes"]:,} | {row["other_exchanges"]} | {row["other_bytes"]:,}'
    print(f'| `{row["config"]}` | {row["batch"]} | {counts} |')
  return 0


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
