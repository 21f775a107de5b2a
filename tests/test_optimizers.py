"""Optimizers and schedules against their definitions."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import optimizers


def test_cosine_schedule_by_hand():
  schedule = optimizers.cosine(100, final=0.1)
  np.testing.assert_allclose([schedule(step) for step in (0, 50, 100, 120)], [1, 0.55, 0.1, 0.1], atol=1e-6)
  np.testing.assert_allclose([optimizers.constant(100)(step) for step in (0, 99)], [1, 1])


def numpy_adam(gradients, *, learning_rate, b1=0.9, b2=0.999, eps=1e-8):
  first = second = 0.0
  moved = 0.0
  for step, gradient in enumerate(gradients, start=1):
    first, second = b1 * first + (1 - b1) * gradient, b2 * second + (1 - b2) * gradient**2
    moved -= learning_rate * (first / (1 - b1**step)) / (np.sqrt(second / (1 - b2**step)) + eps)
  return moved


@pytest.mark.parametrize('clip_norm', [0.0, 0.5])
def test_adam_equals_its_definition(clip_norm):
  gradients = [np.array([0.3, -2.0]), np.array([0.1, 0.4]), np.array([-1.0, 0.2])]
  rule = optimizers.adam(optimizers.constant(3), learning_rate=0.1, clip_norm=clip_norm)
  params, state = jnp.zeros(2), rule.init(jnp.zeros(2))
  for gradient in gradients:
    updates, state = rule.update(jnp.asarray(gradient), state, params)
    params = params + updates
  norms = [np.linalg.norm(gradient) for gradient in gradients]
  clipped = [g * min(1, clip_norm / n) if clip_norm else g for g, n in zip(gradients, norms, strict=True)]
  np.testing.assert_allclose(params, numpy_adam(clipped, learning_rate=0.1), rtol=1e-4)
