"""Exports the network of a run to the format of another tool, in D/export.

Usage:

    python -m jaxdl.export D --format=onnx
"""

if __name__ == '__main__':  # before the slow imports below
  from jaxdl.terminal import start

  start.begin()


import sys

from jaxdl import stores
from jaxdl.exports import of_run, write
from jaxdl.terminal import command, progress

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
    description='Export a network to the format of another tool and check the result there.',
    examples=EXAMPLES,
    json=True,
    run='folder of a run; the output folder is DIR/export (for RUN.zip, RUN.results/export)',
  )
  add = parser.add_argument
  add('--format', required=True, choices=list(write.FORMATS), help=', '.join(write.FORMATS))
  add('--raw', action='store_true', help='accept uint8 images: include the preprocessing')
  parser.add_step()
  parser.add_trust_code()
  parser.add_data_places()
  chosen = parser.parse_args(arguments[1:])
  with stores.reading(chosen.workdir) as chosen.workdir:
    return _export(chosen)


def _export(chosen):
  """Exports the network; returns the exit code."""
  with progress.waiting(f'exporting to {chosen.format}'):
    try:
      found, compared = of_run.export_run(
        chosen.workdir,
        chosen.format,
        raw=chosen.raw,
        step=chosen.step,
        data_dir=chosen.data_dir,
        folder=chosen.folder,
        trust_code=chosen.trust_code,
      )
    except ImportError as error:  # the message names the extra to install
      raise ValueError(str(error)) from error
  print(
    f'compared on {compared}: the largest difference from the outputs of jaxdl is '
    f'{found.difference:.2g}, with outputs up to {found.largest:.3g}'
  )
  print(f'written: {", ".join(map(_with_size, found.files))}', flush=True)
  command.print_result(
    {
      'workdir': str(chosen.workdir),
      'format': chosen.format,
      'files': [str(file) for file in found.files],
      'difference': found.difference,
      'compared_on': compared,
    },
    as_json=chosen.json,
  )
  return 0


def _with_size(file):
  size = file.stat().st_size
  return f'{file} ({size / 1e6:.1f} MB)' if size >= 1e5 else f'{file} ({size / 1e3:.1f} kB)'


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=LESS_MEMORY))
