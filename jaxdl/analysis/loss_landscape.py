"""The loss of networks whose parameters are on a line between two runs, or on a plane."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float64

from jaxdl.analysis.units import ArrayLike, Variables


def along_line(
  loss: Callable[[Variables], tuple[float, float]],
  first: Variables,
  second: Variables,
  positions: ArrayLike,
) -> Float64[np.ndarray, 'P 2']:
  """Loss and accuracy of the networks (1 − t) · first + t · second.

  All variables are interpolated, also the statistics of batch normalisation.

  Args:
    loss: variables → (loss, accuracy).
    first: variables of a run.
    second: variables of another run of the same network.
    positions: [P], t of each network; 0 is the first run and 1 the second one.

  Returns:
    (loss, accuracy) of each network.

  Raises:
    ValueError: the runs have other variables or shapes.

  Source: Goodfellow et al. 2015, Qualitatively characterizing neural network optimization problems.
  """
  check_same(first, second)
  found = []
  for position in np.asarray(positions, np.float64):
    mixed = jax.tree.map(lambda a, b, t=position: _mixed(a, b, t), first, second)
    found.append(loss(mixed))
  return np.array(found)


def check_same(first: Variables, second: Variables) -> None:
  """Raises ValueError if two networks have other variables or shapes."""
  shapes = [
    {jax.tree_util.keystr(path): np.shape(leaf) for path, leaf in _leaves(each)}
    for each in (first, second)
  ]
  for name in sorted({*shapes[0], *shapes[1]}):
    sizes = [each.get(name, 'missing') for each in shapes]
    if sizes[0] != sizes[1]:
      raise ValueError(
        f'the networks differ, {name} is {sizes[0]} and {sizes[1]}: '
        'compare runs of the same network'
      )


def _leaves(tree):
  return jax.tree_util.tree_flatten_with_path(tree)[0]


def _mixed(first, second, position):
  """A point of the line; its ends are exact."""
  if position in (0, 1):
    return np.asarray(second if position else first)
  mixed = (1 - position) * np.asarray(first, np.float64) + position * np.asarray(second, np.float64)
  return mixed.astype(np.asarray(first).dtype)


def direction(parameters: Any, seed: int) -> Any:
  """A random direction in which each filter has the norm of the filter of the network.

  Kernels are drawn from a normal distribution, and each filter, the weights of one output, is
  scaled to the norm of the same filter of the network. Biases and other vectors are 0.

  Args:
    parameters: tree of parameters; the last axis of a kernel is its outputs.
    seed: seed of the draw.

  Returns:
    tree of arrays of the same shapes.

  Source: Li et al. 2018, Visualizing the loss landscape of neural nets, section 4.
  """
  random = np.random.default_rng(seed)

  def drawn(leaf):
    leaf = np.asarray(leaf)
    if leaf.ndim < 2:
      return np.zeros_like(leaf)
    axes = tuple(range(leaf.ndim - 1))
    noise = random.standard_normal(leaf.shape)
    lengths = np.sqrt(np.square(noise).sum(axes))
    norms = np.sqrt(np.square(leaf.astype(np.float64)).sum(axes))
    return (noise * norms / lengths).astype(leaf.dtype)

  return jax.tree.map(drawn, parameters)


def on_plane(
  loss: Callable[[Variables], tuple[float, float]],
  variables: Variables,
  first: Any,
  second: Any,
  positions: ArrayLike,
) -> Float64[np.ndarray, 'P P 2']:
  """Loss and accuracy of the networks variables + a · first + b · second.

  The statistics of batch normalisation stay those of the run.

  Args:
    loss: variables → (loss, accuracy).
    variables: variables of the run.
    first: a direction of the parameters, as from `direction`.
    second: another one.
    positions: [P], values of a and b.

  Returns:
    (loss, accuracy); the first axis is a, the second is b.
  """
  positions = np.asarray(positions, np.float64)
  found = np.empty((len(positions), len(positions), 2))
  for row, a in enumerate(positions):
    for column, b in enumerate(positions):
      moved = _moved(variables['params'], first, second, a, b)
      found[row, column] = loss({**variables, 'params': moved})
  return found


@jax.jit
def _moved(parameters, first, second, a, b):
  return jax.tree.map(
    lambda leaf, one, two: (leaf + a * one + b * two).astype(leaf.dtype), parameters, first, second
  )
