"""Writes the network of a run in the format of another tool, to D/export.

Usage:

    python -m jaxdl.export D --format=onnx
"""

if __name__ == '__main__':  # before the slow imports below
  from jaxdl.terminal import start

  start.begin()


import os
import pathlib
import sys
import types
from typing import Any

import numpy as np

from jaxdl import exports
from jaxdl.data.tfds_arrays import downloads
from jaxdl.exports import examples, write
from jaxdl.runs import Run
from jaxdl.terminal import command, progress
from jaxdl.views import subject

LESS_MEMORY = 'close other programs'

EXAMPLES = """\
  python -m jaxdl.export runs/cnn_mnist --format=onnx
  python -m jaxdl.export runs/cnn_mnist --format=torch --raw

formats:
  onnx         a graph for ONNX Runtime and other runtimes
  stablehlo    a program for JAX on CPUs, GPUs and TPUs
  safetensors  the weights by name
  keras        a model of Keras 3
  torch        the source of a PyTorch module and its state_dict"""


def main(arguments: list[str]) -> int:
  """Runs the command; returns the exit code."""
  parser = command.Parser(
    name='export',
    called=arguments[0],
    description='Write a network in the format of another tool, checked by its own runtime.',
    examples=EXAMPLES,
    quiet=True,
    run='folder of a run; what is made goes to DIR/export',
  )
  add = parser.add_argument
  add('--format', required=True, choices=list(write.FORMATS), help=', '.join(write.FORMATS))
  add('--raw', action='store_true', help='take images as uint8: the preprocessing is included')
  add(
    '--step',
    default='best',
    type=command.step,
    metavar='N',
    help='checkpoint: best, last or a number (default best)',
  )
  add(
    '--data_dir',
    metavar='DIR',
    help='folder of the prepared data sets, where it is another than in training',
  )
  add(
    '--folder',
    metavar='DIR',
    help='folder of the photographs, where it is another than in training',
  )
  chosen = parser.parse_args(arguments[1:])
  with progress.waiting(f'writing {chosen.format}'):
    try:
      found, compared = _export(
        chosen.workdir,
        chosen.format,
        raw=chosen.raw,
        step=chosen.step,
        data_dir=chosen.data_dir,
        folder=chosen.folder,
      )
    except ImportError as error:  # its message names the extra
      raise ValueError(str(error)) from error
  print(
    f'compared on {compared}: outputs up to {found.largest:.3g} differ from those of jaxdl by at '
    f'most {found.difference:.2g}'
  )
  print(f'written: {", ".join(map(_with_size, found.files))}', flush=True)
  command.print_result(
    {
      'workdir': chosen.workdir,
      'format': chosen.format,
      'files': [str(file) for file in found.files],
      'difference': found.difference,
      'compared_on': compared,
    },
    as_json=chosen.json,
  )
  return 0


def export(
  run: Run | str | os.PathLike,
  *,
  format: str,
  raw: bool = False,
  step: str | int = 'best',
  data_dir: str | os.PathLike | None = None,
  folder: str | os.PathLike | None = None,
) -> pathlib.Path:
  """Writes the network of a run in the format of another tool.

  What was written is loaded by the format's own runtime and compared with jaxdl on 256 test images
  or 2,048 characters; on random ones if the data of the run are not at hand.

  Args:
    run: the run, or its folder.
    format: 'onnx' | 'stablehlo' | 'safetensors' | 'keras' | 'torch'.
    raw: whether the network takes images as uint8, so that its preprocessing is included.
    step: checkpoint, 'best' | 'last' | int.
    data_dir: folder of the prepared data sets; None for that of the run.
    folder: folder of the photographs; None for that of the run.

  Returns:
    The main file, in the folder `export` of the run.

  Raises:
    ValueError: the format cannot express the network, or its outputs differ by more than 1e-4.
    ImportError: a library of the format is not installed; the message names the extra.
    OSError: there is no checkpoint, or the files cannot be written.
  """
  workdir = run.folder if isinstance(run, Run) else run
  found, _ = _export(workdir, format, raw=raw, step=step, data_dir=data_dir, folder=folder)
  return found.files[0]


def _export(workdir, format, *, raw, step, data_dir, folder):
  """Returns (Exported, description of the examples)."""
  seen = subject.read(workdir, step=step, examples=False)
  network = exports.Network(
    name=pathlib.Path(workdir).resolve().name,
    step=seen.step,
    model=seen.model,
    variables=seen.variables,
    config=seen.config,
    raw=raw,
  )
  write.check(network, format)
  given, compared = _examples(network, workdir, step, data_dir, folder)
  return exports.export(network, format, pathlib.Path(workdir) / 'export', given), compared


def _examples(network: exports.Network, workdir: Any, step: Any, data_dir: Any, folder: Any):
  """Returns (examples, their description): test examples, or random ones without data."""
  count = examples.count(network)
  what = 'characters' if network.is_text else 'images'
  try:
    with downloads(False):
      seen = subject.read(workdir, step=step, count=count, data_dir=data_dir, folder=folder)
  except (OSError, ValueError) as error:
    if data_dir is not None or folder is not None:
      raise
    reason = str(error).partition('\n')[0]
    return examples.random(network), f'{count:,} random {what}, because {reason}'
  if network.is_text:
    found = examples.of_text(seen.inputs)
    count = found.size
  else:
    found = examples.of_images(network, np.rint(seen.images * 255).astype(np.uint8))
    count = len(found)
  return found, f'{count:,} {seen.split} {what} of {seen.name}'


def _with_size(file):
  size = file.stat().st_size
  return f'{file} ({size / 1e6:.1f} MB)' if size >= 1e5 else f'{file} ({size / 1e3:.1f} kB)'


class _Module(types.ModuleType):
  """Lets `jaxdl.export(…)` work after `import jaxdl.export`, which binds it to the module."""

  def __call__(self, *arguments: Any, **keywords: Any) -> pathlib.Path:
    return export(*arguments, **keywords)


sys.modules[__name__].__class__ = _Module


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=LESS_MEMORY))
