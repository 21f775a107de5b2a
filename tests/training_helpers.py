"""Shared functions that train for a few steps."""

import jax
import numpy as np
from helpers import ROOT

from jaxdl.devices import parallel
from jaxdl.sweeps import ensemble
from jaxdl.training import chunks, experiment, loop

CONFIGS = sorted(ROOT.glob('configs/*.py'))


def run_steps(config, count, *, feed_change=lambda feed: feed):
  """Returns the state and the history after `count` steps of a config."""
  built = experiment.build(config, 'small')
  split = built.data.splits['train']
  run = chunks.compile_steps(built)
  start = built.initial_state()
  feed = feed_change(split.feed(0, count))
  return run(
    parallel.replicate(start),
    parallel.replicate(split.arrays),
    parallel.split_feed(feed, count),
    np.int32(count),
  )


def leaves(config):
  """Returns the state and the history after five steps of a config, as plain JSON data."""
  after, history = run_steps(config, 5)
  found = jax.tree_util.tree_leaves_with_path(
    (after.params, after.batch_stats, after.carry, history)
  )
  return {jax.tree_util.keystr(path): np.asarray(leaf).tolist() for path, leaf in found}


def train_together(experiments, folders, callbacks=None):
  """Trains experiments compiled as one program; returns their summaries or faults."""
  return loop.train_runs(experiments, folders, ensemble.program(experiments), callbacks)
