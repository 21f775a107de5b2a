"""Training that starts from the parameters of another run (`config.start_from`)."""

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from jaxdl import stores
from jaxdl.runs import integrity, packed

Path = tuple[str, ...]  # ('params', 'conv1', 'kernel')


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
  """The parameters with which a run starts.

  Attributes:
    found: path → array of the other run, of the layers that have the same name and shapes.
    lines: one line about the copied layers, and one about each other layer.
    origin: the other run, its step and checksum; plain JSON data, kept in the run's config.
  """

  found: dict[Path, Shaped[np.ndarray, '...']]
  lines: list[str]
  origin: dict[str, Any]

  def over(self, variables: dict[str, Any]) -> dict[str, Any]:
    """Returns the variables of a network, replaced by those that were found."""
    return jax.tree_util.tree_map_with_path(
      lambda path, leaf: self.found.get(_names(path), leaf), variables
    )


def shapes(model: nn.Module, inputs: jax.ShapeDtypeStruct) -> dict[Path, tuple[int, ...]]:
  """Path → shape of the parameters and batch statistics of a network.

  Args:
    model: the network.
    inputs: shape and type [B, …] of its inputs.
  """

  def initial():
    return model.init(
      {'params': jax.random.key(0)}, jnp.zeros((1, *inputs.shape[1:]), inputs.dtype)
    )

  return {path: leaf.shape for path, leaf in _leaves(jax.eval_shape(initial)).items()}


def reader(place: Any, model: nn.Module, inputs: jax.ShapeDtypeStruct) -> Callable[[], Start]:
  """The function that reads the parameters of `config.start_from`, once.

  Args:
    place: the key of the config.
    model: the network of the run that starts.
    inputs: shape and type [B, …] of its inputs.

  Returns:
    Function () → Start, which raises the errors of `read`.

  Raises:
    ValueError: the key is not a string.
  """
  if not isinstance(place, str):
    raise ValueError(
      f"config.start_from={place!r} is not a string: write the folder of a run, 'runs/…'"
    )
  wanted = shapes(model, inputs)
  return functools.cache(lambda: read(place, wanted))


def read(place: str | os.PathLike, wanted: dict[Path, tuple[int, ...]]) -> Start:
  """Reads the parameters of a run's best checkpoint.

  Args:
    place: the run's folder, its address in an object store, or the file of a packed run.
    wanted: path → shape of the parameters of the run that starts.

  Returns:
    Start.

  Raises:
    OSError: there is no such run.
    ValueError: no layer fits, or the checkpoint is damaged.
  """
  from jaxdl.runs import checkpoint  # importing orbax takes seconds

  copy = stores.fetched(place)
  try:
    step, _, variables, _ = checkpoint.load_step(copy, 'best')
  except FileNotFoundError as error:
    raise FileNotFoundError(f'config.start_from: {error}') from error
  given = {path: np.asarray(leaf) for path, leaf in _leaves(variables).items()}
  there = _by_layer({path: leaf.shape for path, leaf in given.items()})
  layers, found, left = _by_layer(wanted), {}, []
  for name, paths in layers.items():
    if paths == there.get(name):
      found |= {path: given[path] for path in paths}
    else:
      other = f'has {_text(there[name])} there' if name in there else 'is not there'
      left.append(f'{name} ({_text(paths)}) {other}: it is initialised')
  if not found:
    raise ValueError(
      f'config.start_from={str(place)!r} has no layer of the same name and shape ({left[0]}): give '
      'a run of a similar network'
    )
  left += [f'{name} of {place} is not used' for name in there if name not in layers]
  folder = packed.opened(copy) / 'checkpoints' / str(step) / 'model'
  origin = {'start_from': str(place), 'step': step, 'sha256': integrity.of_folder(folder)}
  fitting = len(_by_layer({path: leaf.shape for path, leaf in found.items()}))
  first = f'starting from step {step:,} of {place}: {fitting} of {len(layers)} layers with weights'
  return Start(found, [first, *left], origin)


def _by_layer(shapes):
  """Layer → path → shape."""
  layers: dict[str, dict[Path, tuple[int, ...]]] = {}
  for path, shape in shapes.items():
    layers.setdefault('.'.join(path[1:-1]), {})[path] = tuple(shape)
  return layers


def _text(paths):
  return ', '.join(f'{path[-1]} {list(shape)}' for path, shape in paths.items())


def _leaves(variables) -> dict[Path, Any]:
  """Path → leaf of the parameters and batch statistics."""
  leaves = jax.tree_util.tree_leaves_with_path(
    {name: variables.get(name, {}) for name in ('params', 'batch_stats')}
  )
  return {_names(path): leaf for path, leaf in leaves}


def _names(path) -> Path:
  return tuple(str(key.key) for key in path)
