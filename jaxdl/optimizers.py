"""Optimizers and learning-rate schedules by name, as optax has them."""

import optax


def adam(schedule, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8, clip_norm=0.0):
  """Adam (Kingma & Ba 2015).

  Args:
    schedule: function(step) → factor on the learning rate.
    learning_rate: float.
    b1, b2, eps: Adam's own.
    clip_norm: float, the largest global norm of the gradient; 0 leaves it as it is.

  Returns:
    optax.GradientTransformation.
  """
  rule = optax.adam(lambda step: learning_rate * schedule(step), b1=b1, b2=b2, eps=eps)
  return optax.chain(optax.clip_by_global_norm(clip_norm), rule) if clip_norm > 0 else rule


def constant(steps):
  """The same learning rate at every step."""
  del steps
  return optax.constant_schedule(1.0)


def cosine(steps, *, final=0.0):
  """Half a cosine from the learning rate down to `final` times it at the last step (Loshchilov & Hutter 2017)."""
  return optax.cosine_decay_schedule(1.0, steps, alpha=final)


OPTIMIZERS = {'adam': adam}
SCHEDULES = {'constant': constant, 'cosine': cosine}
