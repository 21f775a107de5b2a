"""What a network is trained for: pure functions (outputs, batch) → sums over the real examples.

A task's keyword arguments change what is trained, never what is measured: evaluation calls it
without them.
"""

import jax
import jax.numpy as jnp
import optax

from jaxdl.config import binding, checks
from jaxdl.step.metrics import METRICS


def classify(logits, batch, *, label_smoothing=0.0):
  """Sums over real examples: loss (nats), correct, count. logits [B, K]; label [B] int; mask [B]
  0/1.

  `label_smoothing` is the share of the target that is spread over all classes (Szegedy et al.
  2016).
  """
  nll = optax.softmax_cross_entropy_with_integer_labels(logits, batch['label'])  # [B]
  if label_smoothing:
    nll = (1 - label_smoothing) * nll - label_smoothing * jax.nn.log_softmax(logits).mean(-1)
  parts = dict(loss=nll, correct=logits.argmax(-1) == batch['label'], count=1.0)
  return {name: (value * batch['mask']).sum() for name, value in parts.items()}  # []


def classify_by_squared_error(logits, batch):
  """As `classify`, but the loss is Σ_k (p_k − y_k)² of softmax p and one-hot label y, from 0 to 2
  (Brier 1950).
  """
  squares = jnp.square(
    jax.nn.softmax(logits) - jax.nn.one_hot(batch['label'], logits.shape[-1])
  ).sum(-1)  # [B]
  return {**classify(logits, batch), 'loss': (squares * batch['mask']).sum()}


def next_char(logits, batch, *, label_smoothing=0.0):
  """Sums over real characters: loss (nats), bits, correct, count. logits [B, T, V]; label [B, T]
  int; mask [B, T] 0/1.

  `label_smoothing` is that of `classify`; the bits are always −log2 of the character's own
  probability.
  """
  sums = classify(logits, batch, label_smoothing=label_smoothing)
  return {**sums, 'bits': classify(logits, batch)['loss'] / jnp.log(2.0)}


def reconstruct(images, batch):
  """Sums over real examples: loss and mse (both the mean square over an example's pixels), count.

  images and target [B, H, W, C] in the scale of the inputs; mask [B] 0/1.
  """
  mse = jnp.square(images - batch['target']).mean((1, 2, 3))  # [B]
  parts = dict(loss=mse, mse=mse, count=1.0)
  return {name: (value * batch['mask']).sum() for name, value in parts.items()}


def build(task):
  """The task that a config names.

  Args:
    task: str, or a dict of 'name' and the task's keyword arguments.

  Returns:
    (function to train by, function to evaluate by), both (outputs, batch) → sums.

  Raises:
    ValueError: an unknown name or key, or a share out of its range.
  """
  if not isinstance(task, dict) and task not in list(TASKS):
    raise ValueError(f'config.task={task!r} is unknown: use one of {", ".join(TASKS)}')
  trained = binding.bind(TASKS, task if isinstance(task, dict) else {'name': task}, 'config.task')
  checks.check_range(
    trained.keywords.get('label_smoothing', 0.0), 'config.task.label_smoothing', 0, 1
  )
  return trained, trained.func


TASKS = {
  'classify': classify,
  'classify_by_squared_error': classify_by_squared_error,
  'next_char': next_char,
  'reconstruct': reconstruct,
}


def metrics(sums: dict) -> dict[str, float]:
  """Divides sums by their count, once and on the host.

  Args:
    sums: name → sum over examples; 'count' is the number of examples.

  Returns:
    name → mean, in the order of `metrics.METRICS`; a name is absent where its sum is. 'accuracy' is
    a share, 'loss' leaves out the 'penalty'.
  """
  return {
    metric.name: float(sums[metric.sum]) / float(sums['count'])
    for metric in METRICS.values()
    if metric.sum in sums
  }


def l2(params, *, strength, everything=False):
  """strength · Σ w², Keras's convention: its gradient is 2 · strength · w, PyTorch's weight_decay=2
  · strength.

  Args:
    params: tree of parameters.
    strength: float, λ.
    everything: bool; if not, biases and batch normalisation (fewer than two axes) are left out.

  Returns:
    [] in nats.
  """
  counted = [values for values in jax.tree.leaves(params) if everything or values.ndim >= 2]
  return strength * sum((jnp.square(values).sum() for values in counted), jnp.float32(0))
