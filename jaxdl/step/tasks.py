"""Tasks: pure functions (outputs, batch) → sums over the real examples.

The keyword arguments of a task change the loss in training. Evaluation calls the task without them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxdl.config import binding, checks
from jaxdl.step.metrics import METRICS
from jaxdl.step.state import AnyArray, Batch, Number, Sums


def classify(
  logits: Float[AnyArray, '*B K'], batch: Batch, *, label_smoothing: Number = 0.0
) -> Sums:
  """Classification by cross-entropy.

  Args:
    logits: of each example.
    batch: 'label' [B] int and 'mask' [B], 1 for real examples and 0 for padding.
    label_smoothing: share of the target that is spread over all classes (Szegedy et al. 2016).

  Returns:
    Sums over the real examples: 'loss' in nats, 'correct' and 'count'.
  """
  nll = optax.softmax_cross_entropy_with_integer_labels(logits, batch['label'])  # [B]
  if label_smoothing:
    nll = (1 - label_smoothing) * nll - label_smoothing * jax.nn.log_softmax(logits).mean(-1)
  parts = dict(loss=nll, correct=logits.argmax(-1) == batch['label'], count=1.0)
  return {name: (value * batch['mask']).sum() for name, value in parts.items()}  # []


def classify_by_squared_error(logits: Float[AnyArray, '*B K'], batch: Batch) -> Sums:
  """Classification by squared error (Brier 1950).

  The loss of an example is Σ_k (p_k − y_k)² of the softmax p and the one-hot label y, from 0 to 2.

  Args:
    logits: of each example.
    batch: as in `classify`.

  Returns:
    Sums over the real examples: 'loss', 'correct' and 'count'.
  """
  squares = jnp.square(
    jax.nn.softmax(logits) - jax.nn.one_hot(batch['label'], logits.shape[-1])
  ).sum(-1)  # [B]
  return {**classify(logits, batch), 'loss': (squares * batch['mask']).sum()}


def next_char(
  logits: Float[AnyArray, 'B T V'], batch: Batch, *, label_smoothing: Number = 0.0
) -> Sums:
  """Prediction of the next character by cross-entropy.

  Args:
    logits: of each character.
    batch: 'label' [B, T] int and 'mask' [B, T], 1 for real characters and 0 for padding.
    label_smoothing: as in `classify`.

  Returns:
    Sums over the real characters: 'loss' in nats, 'correct', 'count' and 'bits', which is −log2 of
    the probability of the character, without label smoothing.
  """
  sums = classify(logits, batch, label_smoothing=label_smoothing)
  return {**sums, 'bits': classify(logits, batch)['loss'] / jnp.log(2.0)}


def reconstruct(images: Float[AnyArray, 'B H W C'], batch: Batch) -> Sums:
  """Reconstruction by mean squared error.

  Args:
    images: the outputs, in the scale of the inputs.
    batch: 'target' [B, H, W, C], in the same scale, and 'mask' [B], 1 for real examples and 0 for
      padding.

  Returns:
    Sums over the real examples: 'loss' and 'mse', which are both the mean square over the pixels of
    an example, and 'count'.
  """
  mse = jnp.square(images - batch['target']).mean((1, 2, 3))  # [B]
  parts = dict(loss=mse, mse=mse, count=1.0)
  return {name: (value * batch['mask']).sum() for name, value in parts.items()}


def build(task: str | Mapping[str, Any]) -> tuple[Callable[..., Sums], Callable[..., Sums]]:
  """Builds the task that a config names.

  Args:
    task: name, or a dict of 'name' and keyword arguments.

  Returns:
    (task for training, task for evaluation).

  Raises:
    ValueError: a name or key is unknown, or a number is out of its range.
  """
  if not isinstance(task, dict) and task not in list(TASKS):
    raise ValueError(f'config.task={task!r} is unknown: use one of {", ".join(TASKS)}')
  trained = binding.bind(TASKS, binding.as_section(task), 'config.task')
  smoothing = trained.keywords.get('label_smoothing', 0.0)
  checks.check_range(smoothing, 'config.task.label_smoothing', 0, 1)
  return trained, trained.func


TASKS = {
  'classify': classify,
  'classify_by_squared_error': classify_by_squared_error,
  'next_char': next_char,
  'reconstruct': reconstruct,
}


MIXED = ('classify', 'classify_by_squared_error', 'multi_label')  # tasks for mixed labels


def of_mixed(task: Callable[..., Sums], outputs: Any, batch: Batch) -> Sums:
  """The sums of a task for a batch whose images may be mixed in pairs.

  The loss of an example is mix · (loss of its label) + (1 − mix) · (loss of its partner's label).
  The other sums, such as 'correct', are those of its own label.

  Args:
    task: the task; its loss is a sum over examples, weighted by 'mask'.
    outputs: of the network.
    batch: as for the task; also 'label_b', the label of the partner, and 'mix' [B], if it is mixed.

  Returns:
    Sums over the real examples.
  """
  sums = task(outputs, batch)
  if 'label_b' not in batch:
    return sums
  own = batch['mask'] * batch['mix']
  first = task(outputs, {**batch, 'mask': own})
  second = task(outputs, {**batch, 'label': batch['label_b'], 'mask': batch['mask'] - own})
  return {**sums, 'loss': first['loss'] + second['loss']}


def check_mixed(task: Any) -> None:
  """Raises ValueError if a task of a config has no labels that can be mixed.

  Args:
    task: name, or a dict of 'name' and keyword arguments.
  """
  section = binding.as_section(task)
  name = section.get('name') if isinstance(section, dict) else None
  if isinstance(name, str) and name in TASKS and name not in MIXED:
    raise ValueError(
      f'config.task={name!r} has no labels that mixup and cutmix can mix: '
      'leave them out of config.data.augment'
    )


def metrics(sums: Mapping[str, Any]) -> dict[str, float]:
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


def l2(params: Any, *, strength: Number, everything: bool = False) -> Float[Array, '']:
  """L2 penalty strength · Σ w², as in Keras.

  Its gradient is 2 · strength · w, which is that of PyTorch's weight_decay=2 · strength.

  Args:
    params: tree of parameters.
    strength: λ.
    everything: whether parameters of fewer than two axes are included, which are biases and batch
      normalisation.

  Returns:
    The penalty, in the unit of the loss.
  """
  counted = [values for values in jax.tree.leaves(params) if everything or values.ndim >= 2]
  return strength * sum((jnp.square(values).sum() for values in counted), jnp.float32(0))
