"""The state of a run: exactly what a checkpoint holds."""

import dataclasses
import inspect
import os
from typing import Any, no_type_check

import jax
import jax.numpy as jnp


@no_type_check  # at run time: JAX also builds States of shapes and of None
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
  """All that training needs to go on.

  Attributes:
    step: [] int32, steps finished.
    params: trainable parameters, by layer name.
    batch_stats: running averages of batch normalisation, by layer name.
    opt_state: optax's state.
    rng: [2] uint32, the root key; every random draw is folded from it, so it never changes.
    carry: recurrent state that runs on from one batch to the next ({} where there is none).
    average: exponential moving average of the parameters ({} where there is none).
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  rng: jax.Array
  carry: Any
  average: Any = dataclasses.field(default_factory=dict)

  def variables(self):
    """What is evaluated and analysed: the averaged parameters where there are any, and the batch
    statistics.
    """
    return {'params': self.average or self.params, 'batch_stats': self.batch_stats}


def trace_initial_state(
  model, optimizer, *, seed, input_shape, input_dtype=jnp.float32, averaged=False, streams=0
):
  """The program that draws the state before the first step.

  Args:
    model: linen module.
    optimizer: optax.GradientTransformation.
    seed: int, the root of every random draw.
    input_shape: shape of one example, without the batch axis.
    input_dtype: its type.
    averaged: bool, whether the state holds an average of the parameters.
    streams: int, how many streams a recurrent state is carried for; 0 where nothing goes on.

  Returns:
    jax.stages.Traced, a function of nothing to compile; its `out_info` is the State's shapes.
  """
  rng = jax.random.PRNGKey(seed)

  def initial():  # one compiled program: operation by operation it takes seconds
    going_on = {'reset': jnp.ones(streams, bool)} if streams else {}
    inputs = jnp.zeros((max(streams, 1), *input_shape), input_dtype)
    variables = model.init({'params': rng}, inputs, **accepted_kwargs(model, **going_on))
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

  return jax.jit(initial, compiler_options=_quickly()).trace()


def accepted_kwargs(model, **keywords):
  """Of some keywords those that a linen module's __call__ takes: one that maps inputs to outputs
  need not know the others.
  """
  takes = inspect.signature(type(model).__call__).parameters
  everything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in takes.values())
  return {name: value for name, value in keywords.items() if everything or name in takes}


def _quickly():
  """Compiler options of a program that runs once: a CPU takes a third of the time to compile it so,
  to the same bits.
  """
  chosen = jax.default_backend() != 'cpu' or 'xla_backend_optimization_level' in os.environ.get(
    'XLA_FLAGS', ''
  )
  return None if chosen else {'xla_backend_optimization_level': 1}
