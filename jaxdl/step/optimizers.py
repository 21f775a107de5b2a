"""Optimizers by name, combined from optax's transformations.

All of them share these arguments:

- `schedule`: function (step) → factor of the learning rate.
- `learning_rate`: the learning rate, above 0.
- `clip_norm`: the largest global norm of the gradients; 0 for no clipping.
- `weight_decay`: decoupled weight decay (Loshchilov & Hutter 2019). Every step subtracts learning
  rate · weight_decay · parameter. It leaves out parameters of fewer than two axes, which are biases
  and batch normalisation.
- `decay_all`: whether weight decay includes these parameters.

They return an optax.GradientTransformation, and raise ValueError if a number is out of its range.
"""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import optax

from jaxdl.config import checks, named

Setting = Any  # a value of a config, which each function checks


def adam(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  b1: Setting = 0.9,
  b2: Setting = 0.999,
  eps: Setting = 1e-8,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """Adam (Kingma & Ba 2015).

  Args:
    schedule, learning_rate, clip_norm: as above.
    b1: decay of the mean of the gradients.
    b2: decay of the mean of the squared gradients.
    eps: number that is added to the divisor.
  """
  return _rule(_adam(b1, b2, eps), schedule, learning_rate, clip_norm)


def adamw(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  b1: Setting = 0.9,
  b2: Setting = 0.999,
  eps: Setting = 1e-8,
  weight_decay: Setting = 1e-2,
  decay_all: Setting = False,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """Adam with decoupled weight decay (Loshchilov & Hutter 2019); the default decay is PyTorch's."""
  return _rule(_adam(b1, b2, eps), schedule, learning_rate, clip_norm, weight_decay, decay_all)


def sgd(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  weight_decay: Setting = 0.0,
  decay_all: Setting = False,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """Gradient descent: w ← w − learning rate · g."""
  return _rule(optax.identity(), schedule, learning_rate, clip_norm, weight_decay, decay_all)


def momentum(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  momentum: Setting = 0.9,
  weight_decay: Setting = 0.0,
  decay_all: Setting = False,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """Heavy ball: v ← momentum · v + g, w ← w − learning rate · v (Polyak 1964)."""
  checks.check_range(momentum, 'config.optimizer.momentum', 0, 1)
  return _rule(optax.trace(momentum), schedule, learning_rate, clip_norm, weight_decay, decay_all)


def nesterov(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  momentum: Setting = 0.9,
  weight_decay: Setting = 0.0,
  decay_all: Setting = False,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """Nesterov's momentum (Sutskever et al. 2013).

  v ← momentum · v + g, w ← w − learning rate · (g + momentum · v).
  """
  checks.check_range(momentum, 'config.optimizer.momentum', 0, 1)
  return _rule(
    optax.trace(momentum, nesterov=True),
    schedule,
    learning_rate,
    clip_norm,
    weight_decay,
    decay_all,
  )


def adagrad(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  initial: Setting = 0.1,
  eps: Setting = 1e-7,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """AdaGrad: s ← s + g², w ← w − learning rate · g / √(s + eps) (Duchi et al. 2011).

  The first s is `initial`.
  """
  checks.check_range(initial, 'config.optimizer.initial', 0)
  checks.check_range(eps, 'config.optimizer.eps', 0)
  return _rule(optax.scale_by_rss(initial, eps), schedule, learning_rate, clip_norm)


def rmsprop(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  decay: Setting = 0.9,
  eps: Setting = 1e-7,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """RMSProp (Hinton 2012, lecture 6e).

  s ← decay · s + (1 − decay) · g², w ← w − learning rate · g / √(s + eps).
  """
  checks.check_range(decay, 'config.optimizer.decay', 0, 1)
  checks.check_range(eps, 'config.optimizer.eps', 0)
  return _rule(optax.scale_by_rms(decay, eps), schedule, learning_rate, clip_norm)


def _adam(b1, b2, eps):
  checks.check_range(b1, 'config.optimizer.b1', 0, 1)
  checks.check_range(b2, 'config.optimizer.b2', 0, 1)
  checks.check_range(eps, 'config.optimizer.eps', 0)
  return optax.scale_by_adam(b1=b1, b2=b2, eps=eps)


def _rule(direction, schedule, learning_rate, clip_norm, weight_decay=0.0, decay_all=False):
  """Chains clipping, the direction, weight decay and the learning rate."""
  checks.check_range(learning_rate, 'config.optimizer.learning_rate', 0, above=True)
  checks.check_range(clip_norm, 'config.optimizer.clip_norm', 0)
  checks.check_range(weight_decay, 'config.optimizer.weight_decay', 0)
  checks.check_flag(decay_all, 'config.optimizer.decay_all')
  parts = []
  if clip_norm > 0:
    parts.append(optax.clip_by_global_norm(clip_norm))
  parts.append(direction)
  if weight_decay > 0:
    parts.append(optax.add_decayed_weights(weight_decay, mask=None if decay_all else _kernels))
  parts.append(optax.scale_by_learning_rate(lambda step: learning_rate * schedule(step)))
  return optax.chain(*parts)


def _kernels(params):
  """True for every parameter of two or more axes, which are not biases or batch normalisation."""
  return jax.tree.map(lambda values: values.ndim >= 2, params)


def own(reference: named.Reference) -> Callable[..., optax.GradientTransformation]:
  """An optimizer of own code, or one of optax, such as 'optax:lion'.

  Args:
    reference: function with the argument `schedule`, as described above; or one whose learning rate
      may be a function of the step, as those of optax.

  Returns:
    Function with the argument `schedule` and all others as keyword arguments.
  """
  function = named.guarded(reference)
  parameters = dict(inspect.signature(function).parameters)
  if 'schedule' in parameters:
    return function

  def made(schedule, *, learning_rate, **others):
    checks.check_range(learning_rate, 'config.optimizer.learning_rate', 0, above=True)
    return function(learning_rate=lambda step: learning_rate * schedule(step), **others)

  keywords = [
    one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
    for one in parameters.values()
    if one.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
  ]
  schedule = inspect.Parameter('schedule', inspect.Parameter.POSITIONAL_OR_KEYWORD)
  made.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
    [schedule, *keywords]
  )
  return made


OPTIMIZERS = {
  'adam': adam,
  'adamw': adamw,
  'sgd': sgd,
  'momentum': momentum,
  'nesterov': nesterov,
  'adagrad': adagrad,
  'rmsprop': rmsprop,
}
