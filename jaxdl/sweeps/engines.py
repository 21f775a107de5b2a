"""The engines on which a sweep can be trained, and their flags: --on, --address, --cpus, …"""

import argparse
import contextlib
import importlib.util
import pathlib
from collections.abc import Sequence
from typing import Any

import jax

from jaxdl.devices import parallel
from jaxdl.sweeps.dispatch import Engine
from jaxdl.sweeps.members import Member
from jaxdl.sweeps.on_ray import RayEngine
from jaxdl.sweeps.on_slurm import SlurmEngine

LIBRARIES = {'ray': 'ray', 'slurm': 'submitit'}  # value of --on → its library
PREFIX = '--slurm.'


def add_flags(parser: argparse.ArgumentParser) -> None:
  """Adds the flags of the engines to the parser of the command."""
  parser.add_argument(
    '--on',
    choices=list(LIBRARIES),
    metavar='ENGINE',
    help='train groups at the same time: ray, or slurm with --slurm.KEY=VALUE',
  )
  parser.add_argument(
    '--address',
    metavar='ADDRESS',
    help='a running Ray cluster (default: this machine)',
  )
  parser.add_argument('--cpus', type=int, metavar='N', help='cores of each group, with --on')
  parser.add_argument(
    '--gpus', type=int, metavar='N', help='GPUs of each group, with --on (default 0)'
  )
  parser.add_argument(
    '--wait',
    default='yes',
    choices=['yes', 'no'],
    metavar='ANSWER',
    help='no: submit the jobs to slurm, and end',
  )


def separated(arguments: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
  """Separates the flags --slurm.KEY=VALUE from a command line.

  Returns:
    (the other arguments, KEY → VALUE); digits become an int.

  Raises:
    ValueError: a flag has no value.
  """
  found = {}
  for argument in arguments:
    if argument.startswith(PREFIX):
      key, sign, value = argument.removeprefix(PREFIX).partition('=')
      if not (key and sign and value):
        raise ValueError(f'{argument} has no value: write {argument.partition("=")[0]}=VALUE')
      found[key] = int(value) if value.isdecimal() else value
  return [one for one in arguments if not one.startswith(PREFIX)], found


def check(flags: argparse.Namespace, slurm: dict[str, Any]) -> None:
  """Checks that the flags fit together and that the engine's library is installed.

  Args:
    flags: the parsed flags.
    slurm: the parameters of --slurm.KEY.

  Raises:
    ValueError: they do not; the message names the fix.
  """
  only = {'address': ('ray',), 'cpus': ('ray', 'slurm'), 'gpus': ('ray', 'slurm')}
  for name, engines in only.items():
    value = getattr(flags, name)
    if value is not None and flags.on not in engines:
      others = ' or '.join(f'--on={engine}' for engine in engines)
      raise ValueError(f'--{name}={value} is for {others}: add it, or leave out --{name}')
  for key, value in slurm.items():
    if flags.on != 'slurm':
      raise ValueError(f'{PREFIX}{key}={value} is for --on=slurm: add it, or leave it out')
  if flags.wait == 'no' and flags.on != 'slurm':
    raise ValueError('--wait=no is for --on=slurm: add it, or leave out --wait')
  for name, least in (('cpus', 1), ('gpus', 0)):
    value = getattr(flags, name)
    if value is not None and value < least:
      raise ValueError(f'--{name}={value} is too few: use at least {least}')
  library = LIBRARIES.get(flags.on)
  if library is not None and importlib.util.find_spec(library) is None:
    raise ValueError(
      f"--on={flags.on} needs {library}, which is not installed: pip install 'jaxdl[{flags.on}]'"
    )


def together(flags: argparse.Namespace) -> str:
  """What --together means for the groups, as for `grouping.grouped`.

  With --gpus, the groups are those of a process that has a GPU, which this one may lack.
  """
  return 'always' if flags.gpus and flags.together == 'auto' else flags.together


def opened(
  flags: argparse.Namespace,
  slurm: dict[str, Any],
  workdir: pathlib.Path,
  found: Sequence[Member],
) -> contextlib.AbstractContextManager[Engine]:
  """The engine that the flags choose, to be used in a `with` block.

  JAX uses the CPU in this process, which only plans and compares, and leaves GPUs to the tasks.

  Args:
    flags: the parsed flags, with `on`.
    slurm: the parameters of --slurm.KEY.
    workdir: the sweep's folder.
    found: the members. If they split the CPU into several devices, a group asks for as many cores,
      unless --cpus is given.
  """
  jax.config.update('jax_platforms', 'cpu')
  devices = parallel.shared_cpu_devices([member.config for member in found])
  cpus = flags.cpus or (devices if devices > 1 else None)
  gpus = flags.gpus or 0
  if flags.on == 'ray':
    return RayEngine(cpus=cpus, gpus=gpus, address=flags.address)
  return SlurmEngine(workdir, cpus=cpus, gpus=gpus, parameters=slurm)
