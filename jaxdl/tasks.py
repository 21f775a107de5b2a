"""What a network is trained for: pure functions (outputs, batch) → sums over the real examples."""

import jax.numpy as jnp
import optax


def classify(logits, batch):
  """Sums over real examples: loss (nats), correct, count. logits [B, K]; label [B] int; mask [B] 0/1."""
  nll = optax.softmax_cross_entropy_with_integer_labels(logits, batch['label'])  # [B]
  parts = dict(loss=nll, correct=logits.argmax(-1) == batch['label'], count=1.0)
  return {name: (value * batch['mask']).sum() for name, value in parts.items()}  # []


def next_char(logits, batch):
  """Sums over real characters: loss (nats), bits, correct, count. logits [B, T, V]; label [B, T] int; mask [B, T] 0/1."""
  sums = classify(logits, batch)
  return {**sums, 'bits': sums['loss'] / jnp.log(2.0)}


def reconstruct(images, batch):
  """Sums over real examples: loss and mse (both the mean square over an example's pixels), count.

  images and target [B, H, W, C] in the scale of the inputs; mask [B] 0/1.
  """
  mse = jnp.square(images - batch['target']).mean((1, 2, 3))  # [B]
  parts = dict(loss=mse, mse=mse, count=1.0)
  return {name: (value * batch['mask']).sum() for name, value in parts.items()}


TASKS = {'classify': classify, 'next_char': next_char, 'reconstruct': reconstruct}
METRICS = {'loss': 'loss', 'bits': 'bits_per_character', 'correct': 'accuracy', 'mse': 'mse'}  # the mean of each sum, in the order in which they are shown


def metrics(sums):
  """Divides sums by their count, once and on the host.

  Args:
    sums: name → sum over examples; 'count' is the number of examples.

  Returns:
    name → mean as float: 'loss' in nats, 'bits_per_character', 'accuracy' as a share.
  """
  return {METRICS[name]: float(sums[name]) / float(sums['count']) for name in METRICS if name in sums}
