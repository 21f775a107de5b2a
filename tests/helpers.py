"""Shared constants and functions. Importing this module does not import JAX."""

import contextlib
import json
import logging
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
# Environment of child processes that compile as for a user, without the flags of the tests.
AS_USERS = {'XLA_FLAGS': os.environ.get('XLA_FLAGS', '')}
# Environment of child processes without TensorFlow, whose import takes 6.5 s of a core. Everything
# except TensorBoard works without it.
WITHOUT_TENSORFLOW = {'PYTHONPATH': f'{ROOT / "tests/without_tensorflow"}{os.pathsep}{ROOT}'}

RECURRENT = dict(name='recurrent', cell='lstm', features=8, classes=10)
BN_CNN = dict(
  name='cnn',
  layers=(
    dict(kind='conv', features=4, kernel=5, strides=2),
    dict(kind='batch_norm'),
    dict(kind='max_pool', window=2),
    dict(kind='dropout', rate=0.3),
    dict(kind='flatten'),
    dict(kind='dense', features=10, activate=False),
    dict(kind='batch_norm', name='logits'),
  ),
)
SMALL = dict(
  seed=0,
  task='classify',
  train_for='8 steps',
  log_every='4 steps',
  evaluate_every='4 steps',
  checkpoint_every='4 steps',
  data=dict(
    name='mnist',
    source='bundled',
    layout='rows',
    batch_size=16,
    evaluation_batch_size=48,
    splits=dict(train='train[:61]', validation='train[100:150]', test='test[:50]'),
  ),
  model=RECURRENT,
  optimizer=dict(name='adam', learning_rate=1e-2),
)


def run_child(*arguments, devices=1, environment=None, timeout=600, folder=ROOT):
  """Runs Python with the arguments in a child process.

  Args:
    *arguments: arguments of Python.
    devices: number of virtual CPU devices.
    environment: additional environment variables.
    timeout: in seconds.
    folder: working directory.

  Returns:
    The CompletedProcess.
  """
  flags = os.environ['XLA_FLAGS']
  if devices > 1:
    flags += f' --xla_force_host_platform_device_count={devices}'
  return subprocess.run(
    [sys.executable, *map(str, arguments)],
    cwd=folder,
    capture_output=True,
    text=True,
    timeout=timeout,
    env={**os.environ, 'XLA_FLAGS': flags, 'PYTHONPATH': str(folder), **(environment or {})},
  )


def with_checked_types(function):
  """Checks a function's annotations at every call; an int is also accepted as a float (PEP 484).

  The fields of Flax modules are not checked, because a config read from JSON has lists for tuples.
  """
  import beartype

  if function.__name__ == '__init__' and function.__module__.startswith('jaxdl.models.'):
    return function
  return beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))(function)


@contextlib.contextmanager
def compiled_programs():
  """Yields a list that, at the end of the block, has a line for each program that JAX compiled.

  A line has the name of the program and the types of its arguments. Programs from the compilation
  cache are included.
  """
  import jax

  lines = []
  handler = logging.Handler(logging.WARNING)
  handler.emit = lambda record: lines.append(record.getMessage())
  logger = logging.getLogger('jax')
  logger.addHandler(handler)
  compiled = []
  try:
    with jax.log_compiles():
      yield compiled
  finally:
    logger.removeHandler(handler)
    compiled += [line for line in lines if line.startswith('Compiling ')]


def state_of(built, workdir, step=None):
  """Returns the State of a run's last checkpoint, or of the checkpoint of a step."""
  from jaxdl.runs import checkpoint

  with checkpoint.manager(workdir) as checkpoints:
    return checkpoint.restore(
      checkpoints, built.initial_state(), step=step or checkpoints.latest_step()
    )


def with_steady_adam(config):
  """Returns a config with a larger eps of Adam.

  A bias before batch normalisation has a gradient of 0 up to rounding. With the default eps, Adam
  would scale the rounding error up to a full step.
  """
  return {**config, 'optimizer': {**config['optimizer'], 'eps': 1e-4}}


def last_json(text):
  """Parses the last line of an output as JSON."""
  return json.loads(text.strip().splitlines()[-1])


def slow_after(count, cases):
  """Marks all but the first `count` cases of a parametrized test as slow."""
  import pytest

  marked = [
    pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
    for case in cases[count:]
  ]
  return [*cases[:count], *marked]
