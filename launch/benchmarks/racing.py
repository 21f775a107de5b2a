"""Contenders in processes that take turns."""

import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]
PEERS = ('keras_tensorflow', 'keras_jax', 'torch', 'torch_compile', 'flax')
CLOSE = 2e-4  # relative difference of losses of equal weights, in float32
CLOSE_BFLOAT16 = 2e-2


class Process:
  """A contender; its first step is done when it is constructed.

  Attributes:
    failure: the last line of its errors if its first step failed, else ''.
    start: seconds from the start of the process to the end of its first step.
    times: milliseconds of a step in each turn that counts.
    facts: its parameters and loss, once they are `checked`.
  """

  def __init__(self, kind: str, folder: str, cache: str, **more: str):
    environment = {
      **os.environ,
      'TF_CPP_MIN_LOG_LEVEL': '3',
      'XDG_CACHE_HOME': cache,
      'TORCHINDUCTOR_CACHE_DIR': cache,
      **more,
    }
    if kind.startswith('keras'):
      environment['KERAS_BACKEND'] = kind.partition('_')[2]
    if kind == 'torch_compile':
      environment['TORCH_COMPILE'] = '1'
    began = time.monotonic()
    # It is open as long as the process runs.
    self.errors = tempfile.TemporaryFile('w+', encoding='utf-8')  # noqa: SIM115
    command = [sys.executable, '-m', 'launch.benchmarks.benchmark', '--serve', kind, folder]
    self.process = subprocess.Popen(
      command,
      cwd=ROOT,
      env=environment,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=self.errors,
      text=True,
    )
    self.failure = '' if self._answer() else self._last_words()
    self.start = time.monotonic() - began
    self.times: list[float] = []

  def checked(self) -> 'Process':
    """Reads the contender's parameters and loss; returns itself."""
    self.facts = self._answer()
    return self

  def train(self, steps: int, keep: bool = True) -> float:
    """Trains a number of steps; returns the seconds, which `keep` adds to `times`."""
    print(steps, file=self.process.stdin, flush=True)
    seconds = self._answer()['seconds']
    if keep:
      self.times.append(seconds / steps * 1e3)
    return seconds

  def end(self) -> dict:
    """Ends the process; returns its last loss and its peak memory."""
    self.process.stdin.close()
    found = self._answer()
    self.process.wait()
    return found

  def _answer(self):
    for line in self.process.stdout:
      if line.startswith('{'):
        return json.loads(line)
    return {}

  def _last_words(self):
    self.process.wait()
    self.errors.seek(0)
    return ([line.strip() for line in self.errors if line.strip()] or ['ended without output'])[-1]


def race(
  folder: str, kinds: Sequence[str], *, rounds: int, seconds: float, close: float = CLOSE
) -> dict[str, Any]:
  """Starts all contenders, checks that they are the same network, and lets them train in turn.

  Args:
    folder: the files of `workloads.write`.
    kinds: contenders, 'jaxdl' first.
    rounds: number of counted turns, after one turn that compiles.
    seconds: approximate length of a turn of jaxdl.
    close: allowed relative difference of the losses.

  Returns:
    'contenders' → kind → figures, 'left_out' → kind → reason, 'steps' of a turn, 'parameters', and
    the speed relative to the fastest peer: 'times_as_fast', median, and 'range' over the rounds.

  Raises:
    AssertionError: parameters or losses differ.
  """
  with tempfile.TemporaryDirectory() as cache:
    started = {kind: Process(kind, folder, cache).checked() for kind in kinds}
    left_out = {kind: one.failure for kind, one in started.items() if one.failure}
    running = {kind: one for kind, one in started.items() if not one.failure}
    first = running['jaxdl']
    for kind, one in running.items():
      assert one.facts['parameters'] == first.facts['parameters'], (kind, one.facts, first.facts)
      assert math.isclose(one.facts['loss'], first.facts['loss'], rel_tol=close), (
        kind,
        one.facts,
        first.facts,
      )
    first.train(4, keep=False)
    steps = max(2, min(200, round(seconds / (first.train(4, keep=False) / 4))))
    for turn in range(rounds + 1):
      for one in running.values():
        one.train(steps, keep=turn > 0)
    ends = {kind: one.end() for kind, one in running.items()}
  found = {
    kind: {
      'ms': round(statistics.median(one.times), 2),
      'range_ms': [round(min(one.times), 2), round(max(one.times), 2)],
      'loss': one.facts['loss'],
      'loss_after': ends[kind]['loss_after'],
      'peak_mbytes': ends[kind]['peak_bytes'] >> 20,
      'device_mbytes': ends[kind]['device_bytes'] >> 20,
    }
    for kind, one in running.items()
  }
  ratios = {
    kind: [theirs / ours for ours, theirs in zip(first.times, one.times, strict=True)]
    for kind, one in running.items()
    if kind != 'jaxdl'
  }
  for kind, values in ratios.items():
    found[kind]['times_as_fast'] = round(statistics.median(values), 2)
  fastest = min(ratios, key=lambda kind: found[kind]['ms'], default=None)
  return {
    'contenders': found,
    'left_out': left_out,
    'steps': steps,
    'parameters': first.facts['parameters'],
    'fastest_peer': fastest,
    'times_as_fast': found[fastest]['times_as_fast'] if fastest else None,
    'range': [round(min(ratios[fastest]), 2), round(max(ratios[fastest]), 2)] if fastest else None,
  }


def starts(folder: str, rounds: int) -> dict[str, float | None]:
  """Median seconds from the start of a process to the end of its first step, in turn.

  Args:
    folder: the files of `workloads.write`.
    rounds: starts of each.

  Returns:
    'cold' and 'cached', jaxdl without and with compiled programs in its cache, and 'torch'; None
    for one that failed.
  """
  found = {'cold': [], 'cached': [], 'torch': []}
  for _ in range(rounds):
    with tempfile.TemporaryDirectory() as cache:
      kept = {  # as in `command.run`
        'JAX_COMPILATION_CACHE_DIR': cache,
        'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.1',
      }
      for name, seconds in found.items():
        one = Process('torch' if name == 'torch' else 'jaxdl', folder, cache, **kept)
        one.process.kill()
        one.process.wait()
        seconds.append(math.nan if one.failure else one.start)
  medians = {name: statistics.median(seconds) for name, seconds in found.items()}
  return {
    name: None if math.isnan(seconds) else round(seconds, 1) for name, seconds in medians.items()
  }


def start_of_main() -> tuple[float, float]:
  """Seconds from the start of `python -m jaxdl.main` to its first finished step of lstm_mnist,
  without and with compiled programs in the cache.
  """
  with tempfile.TemporaryDirectory() as cache:
    cold, *warm = [_start_of_main(cache) for _ in range(4)]
  return round(cold, 1), round(statistics.median(warm), 1)


def _start_of_main(cache):
  from launch.benchmarks import workloads

  with tempfile.TemporaryDirectory() as folder:
    config = workloads.config('lstm_mnist') | {'train_for': '1 steps', 'log_every': '1 steps'}
    config['data']['splits'] = {'train': 'train'}  # nothing to evaluate before the line is printed
    file = pathlib.Path(folder) / 'first_step.py'
    get_config = f'def get_config():\n  return ml_collections.ConfigDict({config!r})\n'
    file.write_text(f'import ml_collections\n\n{get_config}', encoding='utf-8')
    began = time.monotonic()
    command = [
      sys.executable,
      '-u',
      '-m',
      'jaxdl.main',
      f'--config={file}',
      f'--workdir={folder}/run',
    ]
    environment = {**os.environ, 'XDG_CACHE_HOME': cache}
    with subprocess.Popen(
      command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment
    ) as run:
      for line in run.stdout:
        if line.startswith('step 1 of 1'):
          seconds = time.monotonic() - began
    return seconds
