"""Searches the compiled programs of jaxdl for the faulty CPU fusions of jaxlib 0.10.2.

    python -m launch.benchmarks.compiler_check [--only=lstm_mnist,…] [--folder=DIR of photographs]
    [--runs=RUN,…]

Compiles the training step and the evaluations of each config, or with --runs makes every analysis
of trained runs, without the XLA flag that `jaxdl.devices.compiler` sets, and searches the programs
that XLA dumps. A fusion by YNNPACK is faulty that reduces the result of a matrix product in it
(jax#39103), or reduces a product of arrays of rank 7 or more (jax#39257). Prints a Markdown table
and the faulty fusions; the exit code is 1 if there are any. The CPU is split into devices as in
training with --only=ONE_CONFIG.
"""

import argparse
import os
import pathlib
import re
import sys
import tempfile

from jaxdl.devices import compiler

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
KEYS = ('dot', 'reduce', 'dot_then_reduce', 'reduce_of_rank')  # what is counted
RANK = 7  # from which on a reduction of a product ends the process
COMPUTATION = re.compile(r'^(?:ENTRY )?%?([\w.\-]+) \(.*\{$')
FUSION = re.compile(r'calls=%?([\w.\-]+).*"kind":"__ynn_fusion"')
INSTRUCTION = re.compile(r'^\s*(?:ROOT )?%?([\w.\-]+) = \(?\w+\[([\d,]*)\].*? ([\w\-]+)\((.*?)\)')


def computations(hlo: str) -> dict[str, list[str]]:
  """The lines of every computation of a program, by its name."""
  found, lines = {}, []
  for line in hlo.splitlines():
    beginning = COMPUTATION.match(line)
    if beginning:
      lines = found[beginning[1]] = []
    else:
      lines.append(line)
  return found


def instructions(lines: list[str]) -> dict[str, tuple[str, int, list[str]]]:
  """Name → (operation, rank of its result, names of its operands) of the instructions in lines."""
  found = {}
  for match in filter(None, map(INSTRUCTION.match, lines)):
    name, shape, operation, operands = match.groups()
    rank = len(shape.split(',')) if shape else 0
    found[name] = operation, rank, re.findall(r'%([\w.\-]+)', operands)
  return found


def before(name: str, graph: dict) -> set[str]:
  """The instructions of a computation whose results one of them depends on."""
  found, waiting = set(), list(graph[name][2])
  while waiting:
    operand = waiting.pop()
    if operand in graph and operand not in found:
      found.add(operand)
      waiting += graph[operand][2]
  return found


def fusions(hlo: str) -> list[dict]:
  """The YNNPACK fusions of an optimised program: 'name' of the fused computation, and whether it
  holds a 'dot', a 'reduce', and the faulty forms 'dot_then_reduce' and 'reduce_of_rank'.
  """
  parts, found = computations(hlo), []
  for name in re.findall(FUSION, hlo):
    graph = instructions(parts[name])
    operations = [operation for operation, _, _ in graph.values()]
    reductions = [key for key in graph if graph[key][0] == 'reduce']
    inputs = [graph[operand] for key in reductions for operand in before(key, graph)]
    found.append(
      {
        'name': name,
        'dot': 'dot' in operations,
        'reduce': 'reduce' in operations,
        'dot_then_reduce': any(operation == 'dot' for operation, _, _ in inputs),
        'reduce_of_rank': any(
          operation == 'multiply' and rank >= RANK for operation, rank, _ in inputs
        ),
      }
    )
  return found


def compile_config(name: str, folder: str | None) -> None:
  """Compiles the training step and every evaluation of `configs/<name>.py`."""
  import jax
  import ml_collections
  import numpy as np

  from jaxdl.config.reading import read_file
  from jaxdl.devices import parallel
  from jaxdl.step import steps
  from jaxdl.training import chunks, experiment

  config = read_file(CONFIGS / f'{name}.py')
  if folder and 'folder' in config.data:
    config.data.update(
      ml_collections.ConfigDict(
        dict(folder=folder, splits=dict(train='train[:85%]', validation='train[85%:]', test='test'))
      )
    )
  built = experiment.build(config, name)
  state = built.drawing().out_info
  for split_name, split in built.data.splits.items():
    arrays, count = jax.eval_shape(lambda split=split: split.arrays), min(split.capacity or 2, 2)
    feed = parallel.split_feed(split.feed(0, count), count)
    if split_name == 'train':
      chunks.compile_steps(built).lower(state, arrays, feed, np.int32(count)).compile()
    else:
      run = steps.many_eval_steps(
        model=built.recipe.model,
        task=built.evaluation_task,
        split=split,
        prepare=built.data.prepare,
      )
      call = parallel.over_devices(run, scalars=1)
      call.lower(state.variables(), arrays, feed, np.int32(count)).compile()


def main(arguments: list[str]) -> int:
  """Runs the command; returns the exit code."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--only', help='names of configs, comma-separated')
  parser.add_argument('--folder', help='of photographs, for the configs that read a folder')
  parser.add_argument('--runs', help='folders of runs to analyse instead, comma-separated')
  given = parser.parse_args(arguments)
  flags = os.environ.get('XLA_FLAGS', '').replace(compiler.SAFE, '')
  faulty = 0
  with tempfile.TemporaryDirectory() as dump:
    os.environ['XLA_FLAGS'] = f'{flags} --xla_dump_to={dump} --xla_dump_hlo_as_text'
    os.environ['JAX_ENABLE_COMPILATION_CACHE'] = '0'
    from jaxdl import analyze
    from jaxdl.config.reading import read_file, to_dict
    from jaxdl.devices import parallel

    chosen = given.runs or given.only
    names = chosen.split(',') if chosen else sorted(file.stem for file in CONFIGS.glob('*.py'))
    if not given.runs:
      parallel.use_cpu_devices([to_dict(read_file(CONFIGS / f'{name}.py')) for name in names])
    print('| what | programs | fusions | a dot | a reduce | dot then reduce | reduce of rank 7 |')
    print('|---|---:|---:|---:|---:|---:|---:|', flush=True)
    for name in names:
      try:
        if given.runs:
          analyze.main(['analyze', name, '--images=64'])
        else:
          compile_config(name, given.folder)
      except (OSError, ValueError) as error:
        print(f'{name} is left out: {error}', file=sys.stderr)
      files = sorted(pathlib.Path(dump).glob('*.cpu_after_optimizations.txt'))
      found = [
        (file.name, fusion)
        for file in files
        for fusion in fusions(file.read_text(encoding='utf-8'))
      ]
      kinds = [one for _, one in found]
      counts = [len(files), len(kinds)]
      counts += [sum(one[key] for one in kinds) for key in KEYS]
      print(f'| `{name}` | {" | ".join(map(str, counts))} |', flush=True)
      for file, one in found:
        if one['dot_then_reduce'] or one['reduce_of_rank']:
          print(f'{name}: {file}: {one["name"]}', file=sys.stderr)
          faulty += 1
      for file in pathlib.Path(dump).iterdir():
        if file.is_file():
          file.unlink()
  return 1 if faulty else 0


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
