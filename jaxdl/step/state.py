"""The state of a run: exactly what a checkpoint holds."""

import dataclasses
import functools
import inspect
import operator
import os
from collections.abc import Mapping, Sequence
from typing import Any, no_type_check

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

AnyArray = jax.Array | np.ndarray
Batch = Mapping[str, Any]  # name → array of a value for each example
Sums = dict[str, Float[Array, '...']]  # name → sum over examples
Number = float | int | Float[Array, '']  # of a config; traced where a program trains several runs


@no_type_check  # at run time: JAX also builds States of shapes and of None
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  """Everything that training needs to continue.

  The fields are arrays or trees of arrays. JAX also stores other leaves in this class, such as
  shapes, shardings and axes.

  Attributes:
    step: [] int32, number of finished steps.
    params: trainable parameters, by layer name.
    batch_stats: running averages of batch normalisation, by layer name.
    opt_state: optax's state.
    rng: [2] uint32, the root key. Every random draw is folded from it, so it never changes.
    carry: recurrent state that continues from one batch to the next; {} if there is none.
    average: exponential moving average of the parameters; {} if there is none.
  """

  step: Any
  params: Any
  batch_stats: Any
  opt_state: Any
  rng: Any
  carry: Any
  average: Any = dataclasses.field(default_factory=dict)

  def variables(self) -> dict[str, Any]:
    """The variables to evaluate and analyse.

    These are the averaged parameters, or the parameters if there is no average, and the batch
    statistics.
    """
    return {'params': self.average or self.params, 'batch_stats': self.batch_stats}


def trace_initial_state(
  model: nn.Module,
  optimizer: optax.GradientTransformation,
  *,
  seed: int,
  input_shape: Sequence[int],
  input_dtype: DTypeLike = jnp.float32,
  averaged: bool = False,
  streams: int = 0,
  fixed: Mapping[tuple[str, ...], np.ndarray] | None = None,
) -> jax.stages.Traced:
  """Traces the program that draws the state before the first step.

  Args:
    model: the network.
    optimizer: the optimizer.
    seed: root of every random draw.
    input_shape: shape of one example, without the batch axis.
    input_dtype: type of the examples.
    averaged: whether the state has an average of the parameters.
    streams: number of streams that keep a recurrent state between batches; 0 if there are none.
    fixed: path of a parameter, such as ('params', 'conv1', 'kernel') → its value, which is not
      drawn.

  Returns:
    The traced program, which has no arguments; its `out_info` has the shapes of the State.
  """
  rng = jax.random.PRNGKey(seed)

  def initial():  # compiled: one operation at a time, it takes seconds
    keywords = {'reset': jnp.ones(streams, bool)} if streams else {}
    inputs = jnp.zeros((max(streams, 1), *input_shape), input_dtype)
    variables = model.init({'params': rng}, inputs, **accepted_kwargs(model, **keywords))
    for (collection, *layers, name), value in (fixed or {}).items():
      place = functools.reduce(operator.getitem, layers, variables[collection])
      place[name] = jnp.asarray(value)
    params = variables['params']
    return State(
      step=jnp.int32(0),
      params=params,
      batch_stats=variables.get('batch_stats', {}),
      opt_state=optimizer.init(params),
      rng=rng,
      carry=variables.get('carry', {}),
      average=params if averaged else {},
    )

  return jax.jit(initial, compiler_options=_fast_compilation()).trace()


def accepted_kwargs(model: nn.Module, **keywords: Any) -> dict[str, Any]:
  """The keywords that a module's `__call__` accepts.

  A module that only maps inputs to outputs need not accept the other ones.

  Args:
    model: the network.
    **keywords: arguments for it.
  """
  accepted = inspect.signature(type(model).__call__).parameters
  accepts_all = any(
    parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in accepted.values()
  )
  return {name: value for name, value in keywords.items() if accepts_all or name in accepted}


def _fast_compilation():
  """Compiler options of a program that runs once.

  On a CPU, it compiles in a third of the time and computes the same bits.
  """
  flags = os.environ.get('XLA_FLAGS', '')
  if jax.default_backend() != 'cpu' or 'xla_backend_optimization_level' in flags:
    return None
  return {'xla_backend_optimization_level': 1}
