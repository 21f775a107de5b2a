"""What a loss adds for the parameters themselves."""

import jax
import jax.numpy as jnp


def l2(params, *, strength, everything=False):
  """strength · Σ w², Keras's convention: its gradient is 2 · strength · w, PyTorch's weight_decay=2 · strength.

  Args:
    params: tree of parameters.
    strength: float, λ.
    everything: bool; if not, biases and batch normalisation (fewer than two axes) are left out.

  Returns:
    [] in nats.
  """
  counted = [values for values in jax.tree.leaves(params) if everything or values.ndim >= 2]
  return strength * sum((jnp.square(values).sum() for values in counted), jnp.float32(0))
