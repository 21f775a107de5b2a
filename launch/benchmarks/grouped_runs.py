"""Several seeds trained by one program, compared with the same runs one after another."""

import statistics
import time
from typing import Any

import jax
import numpy as np

from jaxdl.config.reading import read_file
from jaxdl.devices import parallel
from jaxdl.sweeps import ensemble
from jaxdl.training import chunks, experiment
from launch.benchmarks import workloads


def compare(name: str, seeds: int, rounds: int, steps: int) -> dict[str, Any]:
  """Times both ways in turn.

  Args:
    name: config.
    seeds: number of runs.
    rounds: turns of each way.
    steps: training steps in a turn.

  Returns:
    Milliseconds of one step of all runs, and how many times as fast one program is.
  """
  config = read_file(workloads.ROOT / f'configs/{name}.py').to_dict()
  parallel.use_cpu_devices([config])
  built = [experiment.build({**config, 'seed': seed}, name) for seed in range(seeds)]
  arrays = parallel.replicate(built[0].data.splits['train'].arrays)
  states = [one.initial_state() for one in built]
  stacked = [ensemble.placed(ensemble.stacked(states))]
  separate = [[parallel.replicate(state)] for state in states]
  all_feeds = ensemble.split_feeds(seeds)(ensemble.feeds(built)(0, steps), steps)
  feeds = [parallel.split_feed(one.data.splits['train'].feed(0, steps), steps) for one in built]
  run_all, run_one = ensemble.compile_steps(built), chunks.compile_steps(built[0])

  def at_once():
    stacked[0], history = run_all(stacked[0], arrays, all_feeds, np.int32(steps))
    jax.block_until_ready(history)

  def in_turn():
    for state, feed in zip(separate, feeds, strict=True):
      state[0], history = run_one(state[0], arrays, feed, np.int32(steps))
      jax.block_until_ready(history)

  times = {'together': [], 'in_turn': []}
  for turn in range(rounds + 1):
    for way, train in (('together', at_once), ('in_turn', in_turn)):
      began = time.perf_counter()
      train()
      if turn:  # the first one compiles
        times[way].append((time.perf_counter() - began) / steps * 1e3)
  ratios = [b / a for a, b in zip(times['together'], times['in_turn'], strict=True)]
  return {
    'workload': name,
    'seeds': seeds,
    **{f'{way}_ms': round(statistics.median(ms), 1) for way, ms in times.items()},
    'times_as_fast': round(statistics.median(ratios), 2),
    'spread': [round(min(ratios), 2), round(max(ratios), 2)],
  }
