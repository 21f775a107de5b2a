"""A training in another process, for tests that kill it.

The processes are forked from one that has already imported the libraries, but has not started JAX.
"""

import multiprocessing
import os
import sys

LIBRARIES = ('jaxdl.training.loop', 'clu.metric_writers', 'orbax.checkpoint', 'tensorflow')


def started(config, workdir, output):
  """Starts the training of a config.

  Args:
    config: the config, a dict.
    workdir: folder of the run.
    output: file that gets what the training prints.

  Returns:
    The process.
  """
  context = multiprocessing.get_context('forkserver')
  context.set_forkserver_preload(list(LIBRARIES))
  output.write_text('')
  process = context.Process(target=_train, args=(config, workdir, output), daemon=True)
  process.start()
  return process


def _train(config, workdir, output):
  sys.stdout.flush()
  sys.stderr.flush()
  file = os.open(output, os.O_WRONLY | os.O_APPEND)
  os.dup2(file, 1)
  os.dup2(file, 2)
  sys.stdout.reconfigure(line_buffering=True)
  from jaxdl.training import experiment, loop

  loop.train(experiment.build(config, 'small'), workdir)
