"""Layers that join branches. A CNN builds the layers of the branches under names of their own."""

import functools
import operator
from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Float, Num

from jaxdl import ops
from jaxdl.models import layers
from jaxdl.models.layers import Context
from jaxdl.ops.types import AnyArray

JOINS = ('concatenate', 'add')


class Residual(nn.Module):
  """The outputs of a branch plus the inputs of the branch (He et al. 2016).

  It is called with (outputs of the branch, shortcut).

  Attributes:
    layers: the layers of the branch.
    project: whether the shortcut goes through a `Project`, which gives it the shape of the outputs.
  """

  layers: Sequence[Mapping]
  project: bool = False

  def __call__(
    self, inputs: Sequence[Num[AnyArray, 'B ...']], context: Context
  ) -> Num[AnyArray, 'B ...']:
    branch, shortcut = inputs
    if branch.shape != shortcut.shape:
      fix = 'set project=True' if not self.project else 'use another padding in the branch'
      raise ValueError(
        f'its layers have outputs {list(branch.shape[1:])} and its shortcut has '
        f'{list(shortcut.shape[1:])}: {fix}'
      )
    return branch + shortcut


class Project(nn.Module):
  """A dense layer at each position of a shortcut: a 1 × 1 convolution for images.

  It is called with (shortcut, outputs of the branch). Its strides are those of the branch.
  """

  kernel_init: nn.initializers.Initializer = layers.INITIALIZERS['glorot_uniform']

  @nn.compact
  def __call__(
    self, inputs: Sequence[Num[AnyArray, 'B ...']], context: Context
  ) -> Float[AnyArray, 'B ...']:
    shortcut, branch = inputs
    if shortcut.ndim != branch.ndim:
      raise ValueError(
        f'the layers of the branch turn {list(shortcut.shape[1:])} into {list(branch.shape[1:])}: '
        'put layers that flatten or pool all positions after the branch'
      )
    kernel = self.param('kernel', self.kernel_init, (shortcut.shape[-1], branch.shape[-1]))
    bias = self.param('bias', nn.initializers.zeros, (branch.shape[-1],))
    places = tuple(
      slice(None, None, strides_between(before, after))
      for before, after in zip(shortcut.shape[1:-1], branch.shape[1:-1], strict=True)
    )
    return ops.product(shortcut[(slice(None), *places)], kernel) + bias


def strides_between(before: int, after: int) -> int:
  """The stride that leaves `after` of `before` positions; 1 if there is none."""
  return max(1, -(-before // max(after, 1)))


class Parallel(nn.Module):
  """Branches with the same inputs, joined (Szegedy et al. 2015).

  It is called with the outputs of all branches.

  Attributes:
    branches: the layers of each branch; an empty branch passes its inputs on.
    join: 'concatenate' for the features one after another, 'add' for their sum.
  """

  branches: Sequence[Sequence[Mapping]]
  join: str = 'concatenate'

  def __call__(
    self, inputs: Sequence[Num[AnyArray, 'B ...']], context: Context
  ) -> Num[AnyArray, 'B ...']:
    if self.join not in JOINS:
      raise ValueError(f'join={self.join!r} is unknown: use one of {", ".join(JOINS)}')
    shapes = [list(branch.shape[1:]) for branch in inputs]
    sizes = [shape if self.join == 'add' else shape[:-1] for shape in shapes]
    if any(size != sizes[0] for size in sizes):
      raise ValueError(
        f'its branches have outputs {" and ".join(map(str, shapes))}, which join={self.join!r} '
        'does not take: use the same strides, padding and features'
      )
    if self.join == 'concatenate':
      return jnp.concatenate(inputs, axis=-1)
    return functools.reduce(operator.add, inputs)


JOINING = (Residual, Parallel)


def join_of(layer: nn.Module) -> str:
  """How a layer joins its inputs: 'add' or 'concatenate'."""
  return layer.join if isinstance(layer, Parallel) else 'add'
