"""Tasks: pure functions (outputs, batch) → sums over the real examples.

The keyword arguments of a task change the loss in training. Evaluation calls the task without them,
except those of `regress`, which name the loss itself.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxdl.config import binding, checks, named, spelling
from jaxdl.step.metrics import METRICS
from jaxdl.step.state import AnyArray, Batch, Number, Sums


def classify(
  logits: Float[AnyArray, '*B K'],
  batch: Batch,
  *,
  label_smoothing: Number = 0.0,
  class_weights: Any = None,
  focal: Number = 0.0,
) -> Sums:
  """Classification by cross-entropy.

  The loss of an example is w_y · (1 − p_y)^γ · cross-entropy, where p_y is the probability of its
  class. The mean divides by the number of examples, not by the sum of the weights, as in Keras.

  Args:
    logits: of each example.
    batch: 'label' [B] int and 'mask' [B], 1 for real examples and 0 for padding.
    label_smoothing: fraction of the target that is distributed over all classes (Szegedy et
      al. 2016); it changes the cross-entropy only.
    class_weights: K weights w, as `class_weights.as_numbers` returns them; None for 1.
    focal: γ of the focal loss (Lin et al. 2017); 0 for the cross-entropy.

  Returns:
    Sums over the real examples: 'loss' in nats, 'correct' and 'count'.
  """
  nll = optax.softmax_cross_entropy_with_integer_labels(logits, batch['label'])  # [B]
  if label_smoothing:
    nll = (1 - label_smoothing) * nll - label_smoothing * jax.nn.log_softmax(logits).mean(-1)
  if focal:
    nll = nll * _missing(logits, batch['label']) ** focal
  if class_weights is not None:
    nll = nll * jnp.asarray(class_weights, nll.dtype)[batch['label']]
  parts = dict(loss=nll, correct=logits.argmax(-1) == batch['label'], count=1.0)
  return {name: (value * batch['mask']).sum() for name, value in parts.items()}  # []


def _missing(logits, label):
  """1 − p of the true class [B].

  It is at least the rounding error of 1, because a power below 1 has no finite slope at 0.
  """
  of_label = -optax.softmax_cross_entropy_with_integer_labels(logits, label)
  return jnp.maximum(-jnp.expm1(of_label), jnp.finfo(logits.dtype).eps)


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


def reconstruct(images: Float[AnyArray, 'B ...'], batch: Batch) -> Sums:
  """Reconstruction by mean squared error.

  Args:
    images: the outputs, in the scale of the inputs.
    batch: 'target', of the same shape and scale, and 'mask' [B], 1 for real examples and 0 for
      padding.

  Returns:
    Sums over the real examples: 'loss' and 'mse', which are both the mean square over the pixels of
    an example, and 'count'.
  """
  mse = jnp.square(images - batch['target']).mean(tuple(range(1, images.ndim)))  # [B]
  parts = dict(loss=mse, mse=mse, count=1.0)
  return {name: (value * batch['mask']).sum() for name, value in parts.items()}


def regress(
  outputs: Float[AnyArray, 'B D'], batch: Batch, *, loss: str = 'squared', delta: Number = 1.0
) -> Sums:
  """Regression of D targets, which are standardised.

  Args:
    outputs: the standardised targets as predicted.
    batch: 'target' [B, D], the targets minus their mean and divided by their deviation, both of the
      training split; 'target_scale' [D] or [B, D], that deviation; and 'mask' [B], 1 for real
      examples and 0 for padding.
    loss: 'squared' (error²), 'absolute' (|error|) or 'huber' (error² / 2 up to `delta` and
      delta · (|error| − delta / 2) above it; Huber 1964), of the standardised error.
    delta: where the Huber loss becomes linear, in deviations.

  Returns:
    Sums over the real examples: 'loss', the mean over the targets; 'count'; in the targets' own
    unit 'squared_errors' [D] and 'absolute_errors', the mean over the targets; and 'r2' [3, D], the
    sums of error², target and target² (standardised).
  """
  error, target = outputs - batch['target'], batch['target']  # [B, D]
  own = error * batch['target_scale']
  mask = batch['mask'][:, None]  # [B, 1]
  losses = LOSSES[loss](error, delta)
  return {
    'loss': (losses.mean(-1) * batch['mask']).sum(),
    'count': batch['mask'].sum(),
    'squared_errors': (jnp.square(own) * mask).sum(0),
    'absolute_errors': (jnp.abs(own).mean(-1) * batch['mask']).sum(),
    'r2': (jnp.stack([jnp.square(error), target, jnp.square(target)]) * mask).sum(1),
  }


LOSSES = {  # loss of `regress` → function (error, delta) → losses
  'squared': lambda error, delta: jnp.square(error),
  'absolute': lambda error, delta: jnp.abs(error),
  'huber': lambda error, delta: optax.huber_loss(error, delta=delta),
}


def multi_label(logits: Float[AnyArray, 'B K'], batch: Batch) -> Sums:
  """Multi-label classification, in which an example may have any number of labels.

  The loss of an example is the binary cross-entropy of the sigmoid, averaged over the labels. A
  label is predicted if its probability is above 0.5.

  Args:
    logits: of each label.
    batch: 'label' [B, K], 1 for a label that the example has and 0 for another, and 'mask' [B], 1
      for real examples and 0 for padding.

  Returns:
    Sums over the real examples: 'loss' in nats, 'count' and 'f1' [3, K], the number of true
    positives, predicted and actual positives of each label.
  """
  losses = optax.sigmoid_binary_cross_entropy(logits, batch['label']).mean(-1)  # [B]
  return {
    'loss': (losses * batch['mask']).sum(),
    'count': batch['mask'].sum(),
    'f1': _counts(logits, batch),
  }


def _counts(logits, batch, examples=0):
  """[3, K]: true positives, predicted and actual positives of each class or label."""
  del examples
  if batch['label'].ndim == logits.ndim:
    actual, predicted = batch['label'], logits > 0
  else:
    classes = logits.shape[-1]
    actual = jax.nn.one_hot(batch['label'], classes)
    predicted = jax.nn.one_hot(logits.argmax(-1), classes)
  parts = jnp.stack([actual * predicted, predicted * jnp.ones_like(actual), actual])  # [3, B, K]
  return (parts * batch['mask'][:, None]).sum(1)


def _in_top_5(logits, batch, examples):
  """Number of examples whose class has one of the five greatest logits."""
  del examples
  _, best = jax.lax.top_k(logits, 5)
  return ((best == batch['label'][:, None]).any(-1) * batch['mask']).sum()


def _rows(logits, batch, examples):
  """The truth and the logits of every example of a split, as `scores.separated` reads them.

  Each example is written to its own row and all other rows are 0. The sum over batches and devices
  therefore has the rows of all examples, without rounding.
  """
  real = batch['mask'] > 0
  if batch['label'].ndim == logits.ndim:
    rows = jnp.stack([batch['label'] + 1, logits], axis=1)  # [B, 2, K]
  else:
    label = (batch['label'] + 1).astype(logits.dtype)
    rows = jnp.concatenate([label[:, None], logits], axis=1)  # [B, 1 + K]
  rows = jnp.where(real.reshape(-1, *[1] * (rows.ndim - 1)), rows, 0)
  return jnp.zeros((examples, *rows.shape[1:]), rows.dtype).at[batch['index']].add(rows)


# Metrics that evaluation measures if a config asks for them: name of the metric, which is also that
# of its sum → function (outputs, batch, examples of the split) → sum over the real examples.
FURTHER = {
  'top_5_accuracy': _in_top_5,
  'balanced_accuracy': _counts,
  'f1': _counts,
  'precision': _counts,
  'recall': _counts,
  'roc_auc': _rows,
  'mean_average_precision': _rows,
}
NEED_SCORES = ('roc_auc', 'mean_average_precision')  # metrics of the scores of all examples
OF_TASK = {  # task → the further metrics that a config may ask for
  'classify': tuple(FURTHER),
  'classify_by_squared_error': tuple(FURTHER),
  'multi_label': ('precision', 'recall', 'roc_auc'),
}
ALWAYS = {'multi_label': ('mean_average_precision',)}  # task → what evaluation always measures


def further_metrics(task: str, asked: Any, classes: int) -> tuple[str, ...]:
  """The metrics that evaluation measures besides those of the task function itself.

  Args:
    task: name of the task.
    asked: names, as in `config.metrics`.
    classes: number of classes or labels.

  Returns:
    Their names, keys of `FURTHER`.

  Raises:
    ValueError: `asked` is not a list of names, or has a metric that the task does not have.
  """
  if not isinstance(asked, (list, tuple)) or not all(isinstance(name, str) for name in asked):
    raise ValueError(
      f"config.metrics={asked!r} is not a list of metrics: write ('f1', 'top_5_accuracy')"
    )
  known = OF_TASK.get(task, ())
  for name in asked:
    if name not in known:
      has = f'use some of {", ".join(known)}' if known else 'leave config.metrics out'
      raise ValueError(
        f'config.metrics has {name!r}, which is not an optional metric of the task {task!r}: {has}'
        f'{spelling.meant(name, known)}'
      )
  if 'top_5_accuracy' in asked and classes < 6:
    raise ValueError(
      f"config.metrics has 'top_5_accuracy', which is always 100 % for {classes} classes: leave it "
      'out'
    )
  return tuple(dict.fromkeys([*ALWAYS.get(task, ()), *asked]))


def measuring(
  task: Callable[..., Sums], further: Sequence[str], examples: int
) -> Callable[..., Sums]:
  """A task for evaluation that also returns the sums of further metrics.

  Args:
    task: task for evaluation, as `build` returns it.
    further: names of the metrics.
    examples: number of examples of the split.

  Returns:
    Function (outputs, batch) → sums over the real examples. The batch of metrics that need all
    scores has 'index' [B], the place of each example in the split.
  """
  if not further:
    return task

  def measured(outputs: Any, batch: Batch) -> Sums:
    sums = {name: FURTHER[name](outputs, batch, examples) for name in further}
    return {**task(outputs, batch), **sums}

  return measured


def build(task: str | Mapping[str, Any]) -> tuple[Callable[..., Sums], Callable[..., Sums]]:
  """Builds the task that a config names.

  Args:
    task: name, or a dict of 'name' and keyword arguments. Class weights must be numbers; see
      `class_weights.as_numbers`.

  Returns:
    (task for training, task for evaluation).

  Raises:
    ValueError: a name or key is unknown, or a number is out of its range.
  """
  if not isinstance(task, (dict, named.Reference)) and task not in list(TASKS):
    raise ValueError(f'config.task={task!r} is unknown: use one of {", ".join(TASKS)}')
  trained = binding.bind(TASKS, binding.as_section(task), 'config.task')
  smoothing = trained.keywords.get('label_smoothing', 0.0)
  checks.check_range(smoothing, 'config.task.label_smoothing', 0, 1)
  checks.check_range(trained.keywords.get('focal', 0.0), 'config.task.focal', 0)
  if trained.func is not regress:
    return trained, _evaluated(trained)
  loss, delta = trained.keywords.get('loss', 'squared'), trained.keywords.get('delta', 1.0)
  if loss not in list(LOSSES):
    raise ValueError(f'config.task.loss={loss!r} is unknown: use one of {", ".join(LOSSES)}')
  checks.check_range(delta, 'config.task.delta', 0, above=True)
  if 'delta' in trained.keywords and loss != 'huber':
    raise ValueError(
      f"config.task.delta={delta!r} changes nothing with loss={loss!r}: use loss='huber', or leave "
      'it out'
    )
  return trained, trained


def name_of(task: Any) -> Any:
  """The name of a config's task: 'classify' of 'classify' and of dict(name='classify')."""
  return task.get('name') if isinstance(task, Mapping) else task


def _evaluated(trained):
  """A task without its keyword arguments, except those that have no default."""
  parameters = inspect.signature(trained.func).parameters
  needed = {
    key: value
    for key, value in trained.keywords.items()
    if parameters[key].default is inspect.Parameter.empty
  }
  if not needed:
    return trained.func
  return functools.update_wrapper(functools.partial(trained.func, **needed), trained.func)


TASKS = {
  'classify': classify,
  'classify_by_squared_error': classify_by_squared_error,
  'next_char': next_char,
  'reconstruct': reconstruct,
  'regress': regress,
  'multi_label': multi_label,
}
CLASSIFICATIONS = (classify, classify_by_squared_error, next_char)  # into one of K classes


WITHOUT_CLASSES = ('reconstruct', 'regress', 'multi_label')  # their examples have no one class
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


def check_examples(task: Any, data: str, *, has_targets: bool, label: Any) -> None:
  """Checks that the examples have what the task predicts.

  Args:
    task: the task of the config.
    data: name of the data set, for messages.
    has_targets: whether the examples have numbers to predict.
    label: shape and type of the labels of a batch; None if there are none.

  Raises:
    ValueError: the task is for other examples.
  """
  name = name_of(task)
  has_labels = label is not None and label.ndim == 2 and label.dtype == jnp.float32
  if has_targets:
    what, use = 'numbers to predict', 'regress'
  elif has_labels:
    what, use = 'any number of labels', 'multi_label'
  else:
    what, use = 'one class', 'classify'
  only = {'regress': has_targets, 'multi_label': has_labels}
  is_wrong = not only.get(name, True) or (
    name in ('classify', 'classify_by_squared_error') and use != 'classify'
  )
  if is_wrong:
    raise ValueError(
      f'config.task={name!r} does not fit {data}, whose examples have {what}: use {use!r}'
    )


def check_sampling(task: Any, sampling: str | None) -> None:
  """Checks that the task uses the classes that the sampling balances.

  Args:
    task: the task of the config.
    sampling: `config.data.sampling`; None if it is not set.

  Raises:
    ValueError: the classes are to be balanced, but the task does not use them.
  """
  name = name_of(task)
  if sampling == 'balanced' and name in WITHOUT_CLASSES:
    raise ValueError(
      f"config.data.sampling='balanced' balances classes, which config.task={name!r} does not use: "
      'leave it out'
    )


def check_output(
  task: Callable[..., Sums],
  layer: str,
  shape: Sequence[int],
  inputs: Sequence[int],
  data: str,
  *,
  wanted: int,
  has_targets: bool,
) -> None:
  """Checks the output of a network for a task of this file.

  Args:
    task: the evaluation function, as returned by `build`.
    layer, shape: the last layer, and the shape of the output for one example.
    inputs: shape of one example.
    data: name of the data set, for messages.
    wanted: number of outputs.
    has_targets: whether these are targets of a regression.

  Raises:
    ValueError: the output has another shape.
  """
  if getattr(task, 'func', task) not in TASKS.values():  # of own code
    return
  if task is reconstruct:
    if list(shape) != list(inputs):
      raise ValueError(
        f'the last layer {layer} has output {list(shape)}, but the images are {list(inputs)}: '
        'change the model section'
      )
  elif list(shape[-1:]) != [wanted]:
    what = 'targets' if has_targets else 'classes'
    raise ValueError(
      f'the last layer {layer} has output {list(shape)}, but {data} has {wanted} {what}: '
      'change the model section'
    )


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
  """Computes metrics from sums, once and on the host.

  Args:
    sums: name → sum over examples; 'count' is the number of examples.

  Returns:
    name → mean or other function of the sum, in the order of `metrics.METRICS`; a name is absent
    where its sum is. 'accuracy' is a share, 'loss' leaves out the 'penalty'.
  """
  return {metric.name: metric.value(sums) for metric in METRICS.values() if metric.sum in sums}


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
