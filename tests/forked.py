"""Processes for tests that are forked from one that has already imported the libraries.

That process has not started JAX and has not imported jaxdl.
"""

import multiprocessing
import os
import sys

LIBRARIES = (
  'jax',
  'flax.linen',
  'optax',
  'orbax.checkpoint',
  'clu.metric_writers',
  'tensorflow',
  'scipy.stats',
  'sklearn.manifold',
  'matplotlib.pyplot',
  'hypothesis',
  'pytest',
)


def started(function, arguments, output):
  """Starts a process.

  Args:
    function: a function of a module, as the process imports it.
    arguments: its arguments.
    output: file that gets what the process prints.

  Returns:
    The multiprocessing.Process; it is killed when this one ends.
  """
  context = multiprocessing.get_context('forkserver')
  context.set_forkserver_preload(list(LIBRARIES))
  output.write_text('')
  process = context.Process(target=_run, args=(function, arguments, output), daemon=True)
  process.start()
  return process


def _run(function, arguments, output):
  file = os.open(output, os.O_WRONLY | os.O_APPEND)
  os.dup2(file, 1)
  os.dup2(file, 2)
  sys.stdout.reconfigure(line_buffering=True)
  function(*arguments)


def train(config, workdir):
  """Trains a config, a dict."""
  from jaxdl.training import experiment, loop

  loop.train(experiment.build(config, 'small'), workdir)


def run_pytest(folder, options, environment):
  """Runs pytest in a copy of the repository; the exit code of the process is that of pytest."""
  import pytest
  from helpers import ROOT

  os.environ.update(environment, PYTHONPATH=str(folder))
  os.chdir(folder)

  def is_original(path):
    return path is not None and path.startswith(str(ROOT))

  for name, module in list(sys.modules.items()):
    if is_original(getattr(module, '__file__', None)):
      del sys.modules[name]
  others = [path for path in sys.path if path and not is_original(path)]
  sys.path[:] = [str(folder / 'tests'), str(folder), *others]
  sys.exit(pytest.main(options))
