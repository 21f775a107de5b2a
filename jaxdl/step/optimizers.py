"""Optimizers by name, put together from optax's parts; their learning rate follows a schedule.

The same keys mean the same everywhere: `clip_norm` is the largest global norm of the gradients (0
leaves them as they are), `weight_decay` is decoupled (every step takes off learning rate ·
weight_decay · parameter, Loshchilov & Hutter 2019) and leaves out biases and batch normalisation,
every parameter of fewer than two axes, unless `decay_all`.
"""

import jax
import optax

from jaxdl.config import checks


def adam(schedule, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8, clip_norm=0.0):
  """Adam.

  Args:
    schedule: function(step) → factor on the learning rate.
    learning_rate: float.
    b1, b2, eps: Adam's own.
    clip_norm: as above.

  Returns:
    optax.GradientTransformation.

  Raises:
    ValueError: a number out of its range.

  Source: Kingma & Ba 2015.
  """
  return _rule(_adam(b1, b2, eps), schedule, learning_rate, clip_norm)


def adamw(
  schedule,
  *,
  learning_rate,
  b1=0.9,
  b2=0.999,
  eps=1e-8,
  weight_decay=1e-2,
  decay_all=False,
  clip_norm=0.0,
):
  """Adam with decoupled weight decay (Loshchilov & Hutter 2019); the default decay is PyTorch's."""
  return _rule(_adam(b1, b2, eps), schedule, learning_rate, clip_norm, weight_decay, decay_all)


def sgd(schedule, *, learning_rate, weight_decay=0.0, decay_all=False, clip_norm=0.0):
  """Gradient descent: w ← w − learning rate · g."""
  return _rule(optax.identity(), schedule, learning_rate, clip_norm, weight_decay, decay_all)


def momentum(
  schedule, *, learning_rate, momentum=0.9, weight_decay=0.0, decay_all=False, clip_norm=0.0
):
  """Heavy ball: v ← momentum · v + g, w ← w − learning rate · v (Polyak 1964)."""
  checks.check_range(momentum, 'config.optimizer.momentum', 0, 1)
  return _rule(optax.trace(momentum), schedule, learning_rate, clip_norm, weight_decay, decay_all)


def nesterov(
  schedule, *, learning_rate, momentum=0.9, weight_decay=0.0, decay_all=False, clip_norm=0.0
):
  """Nesterov's momentum: v ← momentum · v + g, w ← w − learning rate · (g + momentum · v)
  (Sutskever et al. 2013).
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


def adagrad(schedule, *, learning_rate, initial=0.1, eps=1e-7, clip_norm=0.0):
  """AdaGrad: s ← s + g², w ← w − learning rate · g / √(s + eps), s from `initial` on (Duchi et al.
  2011).
  """
  checks.check_range(initial, 'config.optimizer.initial', 0)
  checks.check_range(eps, 'config.optimizer.eps', 0)
  return _rule(optax.scale_by_rss(initial, eps), schedule, learning_rate, clip_norm)


def rmsprop(schedule, *, learning_rate, decay=0.9, eps=1e-7, clip_norm=0.0):
  """RMSProp: s ← decay · s + (1 − decay) · g², w ← w − learning rate · g / √(s + eps) (Hinton 2012,
  lecture 6e).
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
  """Clipped gradients, their direction, decay and the learning rate one after another."""
  checks.check_range(learning_rate, 'config.optimizer.learning_rate', 0, above=True)
  checks.check_range(clip_norm, 'config.optimizer.clip_norm', 0)
  checks.check_range(weight_decay, 'config.optimizer.weight_decay', 0)
  checks.check_flag(decay_all, 'config.optimizer.decay_all')
  clipped = [optax.clip_by_global_norm(clip_norm)] if clip_norm > 0 else []
  decayed = (
    [optax.add_decayed_weights(weight_decay, mask=None if decay_all else _kernels)]
    if weight_decay > 0
    else []
  )
  return optax.chain(
    *clipped,
    direction,
    *decayed,
    optax.scale_by_learning_rate(lambda step: learning_rate * schedule(step)),
  )


def _kernels(params):
  """True for every parameter of two axes or more: neither biases nor batch normalisation."""
  return jax.tree.map(lambda values: values.ndim >= 2, params)


OPTIMIZERS = {
  'adam': adam,
  'adamw': adamw,
  'sgd': sgd,
  'momentum': momentum,
  'nesterov': nesterov,
  'adagrad': adagrad,
  'rmsprop': rmsprop,
}
