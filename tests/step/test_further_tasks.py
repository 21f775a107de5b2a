"""Tests of regression, labels, weighted losses and their metrics, by hand and with scikit-learn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import task_helpers
from sklearn import metrics as reference

from jaxdl.step import class_weights, scores, tasks, watch
from jaxdl.training import experiment

GENERATOR = np.random.default_rng(0)
N, K = 60, 7
LOGITS = GENERATOR.normal(size=(N, K)).astype(np.float32)
LABELS = np.concatenate([GENERATOR.integers(0, K - 1, N - 1), [K - 1]]).astype(np.int32)
SETS = (GENERATOR.random((N, K)) < 0.3).astype(np.float32)
VALUES = GENERATOR.normal(size=(N, 2)) * [3.0, 0.1] + [10.0, -1.0]
FURTHER = tuple(tasks.FURTHER)


@pytest.fixture(autouse=True)
def _own_data(monkeypatch):
  for name, load in task_helpers.OWN.items():
    monkeypatch.setitem(task_helpers.DATA_SETS, name, load)


def batches(outputs, size=16, **columns):
  """Yields (outputs, batch) of N examples; the last batch is partly padding with odd values."""
  for first in range(0, len(outputs), size):
    index = np.arange(first, first + size)
    mask = (index < len(outputs)).astype(np.float32)
    index = np.where(mask > 0, index, 0).astype(np.int32)
    batch = {name: jnp.asarray(values[index]) for name, values in columns.items()}
    yield outputs[index], {**batch, 'index': index, 'mask': jnp.asarray(mask)}


def summed(task, outputs, size=16, **columns):
  """The metrics of all examples, from the sums of batches."""
  parts = [task(*pair) for pair in batches(outputs, size, **columns)]
  sums = {name: sum(np.asarray(part[name], np.float64) for part in parts) for name in parts[0]}
  return tasks.metrics(sums)


def standardised(values):
  mean, deviation = values.mean(0), values.std(0)
  target = ((values - mean) / deviation).astype(np.float32)
  scale = np.broadcast_to(deviation.astype(np.float32), target.shape)
  return {'target': target, 'target_scale': scale}, mean, deviation


@pytest.mark.parametrize(
  ('options', 'expected'),
  [
    ({}, (0.5**2 + 2**2) / 2 + (0 + 1**2) / 2),
    (dict(loss='absolute'), (0.5 + 2) / 2 + (0 + 1) / 2),
    (dict(loss='huber'), (0.5**2 / 2 + 1.5) / 2 + (0 + 0.5) / 2),
    (dict(loss='huber', delta=0.5), (0.5**2 / 2 + 0.5 * 1.75) / 2 + (0 + 0.5 * 0.75) / 2),
  ],
)
def test_regression_losses_equal_hand_values(options, expected):
  """Two examples of two targets; the third is padding."""
  outputs = np.array([[0.5, -1.0], [2.0, 0.0], [9.0, 9.0]], np.float32)
  batch = {
    'target': jnp.array([[0.0, 1.0], [2.0, 1.0], [0.0, 0.0]]),
    'target_scale': jnp.array([10.0, 2.0]),
    'mask': jnp.array([1.0, 1.0, 0.0]),
  }
  sums = tasks.regress(outputs, batch, **options)
  np.testing.assert_allclose(sums['loss'], expected, rtol=1e-6)
  assert float(sums['count']) == 2
  np.testing.assert_allclose(sums['squared_errors'], [5.0**2, 4.0**2 + 2.0**2])
  np.testing.assert_allclose(sums['absolute_errors'], (5 + 4) / 2 + (0 + 2) / 2)


def test_regression_metrics_equal_scikit_learn():
  """In the targets' own unit, over batches of which the last has padding."""
  columns, mean, deviation = standardised(VALUES)
  outputs = (columns['target'] + GENERATOR.normal(size=VALUES.shape) * 0.3).astype(np.float32)
  predicted = outputs * deviation + mean
  found = summed(tasks.regress, outputs, **columns)
  assert list(found) == ['loss', 'rmse', 'mae', 'r2']
  assert found['rmse'] == pytest.approx(reference.root_mean_squared_error(VALUES, predicted))
  assert found['mae'] == pytest.approx(reference.mean_absolute_error(VALUES, predicted), rel=1e-5)
  assert found['r2'] == pytest.approx(reference.r2_score(VALUES, predicted), rel=1e-5)
  np.testing.assert_allclose(
    list(summed(tasks.regress, outputs, size=N, **columns).values()),
    list(found.values()),
    rtol=1e-5,
  )


def test_r_squared_leaves_constant_targets_out():
  """Of the targets 1, 2, 3 and 5, 5, 5 only the first counts."""
  values = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
  errors = np.array([[0.5, 1.0], [0.0, 1.0], [0.0, 1.0]])
  sums = np.stack([(errors**2).sum(0), values.sum(0), (values**2).sum(0)])
  assert scores.r_squared(sums, 3.0) == pytest.approx(1 - 0.25 / 2)
  assert np.isnan(scores.r_squared(sums[:, 1:], 3.0))


def test_label_loss_and_metrics_equal_scikit_learn():
  further = tasks.further_metrics('multi_label', tasks.OF_TASK['multi_label'], K)
  task = tasks.measuring(tasks.multi_label, further, N)
  found = summed(task, LOGITS, label=SETS)
  probabilities = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
  predicted = LOGITS > 0
  entropies = [reference.log_loss(SETS[:, k], probabilities[:, k], labels=[0, 1]) for k in range(K)]
  averaged = dict(average='macro', zero_division=0)
  assert found['loss'] == pytest.approx(np.mean(entropies), rel=1e-5)
  assert found['f1'] == pytest.approx(reference.f1_score(SETS, predicted, **averaged))
  assert found['precision'] == pytest.approx(reference.precision_score(SETS, predicted, **averaged))
  assert found['recall'] == pytest.approx(reference.recall_score(SETS, predicted, **averaged))
  assert found['mean_average_precision'] == pytest.approx(
    reference.average_precision_score(SETS, LOGITS)
  )
  assert found['roc_auc'] == pytest.approx(reference.roc_auc_score(SETS, LOGITS))


@pytest.mark.slow
def test_metrics_of_classes_equal_scikit_learn():
  task = tasks.measuring(tasks.classify, FURTHER, N)
  found = summed(task, LOGITS, label=LABELS)
  predicted = LOGITS.argmax(-1)
  exponents = np.exp(LOGITS.astype(np.float64))
  probabilities = exponents / exponents.sum(-1, keepdims=True)
  averaged = dict(average='macro', zero_division=0)
  expected = {
    'accuracy': reference.accuracy_score(LABELS, predicted),
    'top_5_accuracy': reference.top_k_accuracy_score(LABELS, LOGITS, k=5),
    'balanced_accuracy': reference.balanced_accuracy_score(LABELS, predicted),
    'f1': reference.f1_score(LABELS, predicted, **averaged),
    'precision': reference.precision_score(LABELS, predicted, **averaged),
    'recall': reference.recall_score(LABELS, predicted, **averaged),
    'roc_auc': reference.roc_auc_score(LABELS, probabilities, multi_class='ovr'),
    'mean_average_precision': reference.average_precision_score(np.eye(K)[LABELS], probabilities),
  }
  assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
  assert summed(task, LOGITS, size=N, label=LABELS) == pytest.approx(found, rel=1e-5)


def test_absent_classes_are_left_out_of_macro_metrics():
  """Class 2 neither occurs nor is predicted; class 1 is predicted once and never occurs."""
  counts = np.array([[2, 0, 0], [2, 1, 0], [3, 0, 0]])
  assert scores.macro_f1(counts, 3.0) == pytest.approx((2 * 2 / 5 + 0) / 2)
  assert scores.macro_precision(counts, 3.0) == pytest.approx((1 + 0) / 2)
  assert scores.macro_recall(counts, 3.0) == pytest.approx(2 / 3)
  assert np.isnan(scores.macro_f1(np.zeros((3, 3)), 3.0))
  rows = np.array([[1, 5.0, 1.0], [1, 2.0, 1.0], [0, 0, 0]])  # two examples of class 0, one of none
  assert np.isnan(scores.roc_auc(rows, 2.0))
  assert scores.mean_average_precision(rows, 2.0) == 1
  rows[0, 1] = np.nan
  assert np.isnan(scores.roc_auc(rows, 2.0))
  assert np.isnan(scores.mean_average_precision(rows, 2.0))


PROBABILITIES = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.9, 0.05, 0.05]])
BATCH = {'label': jnp.array([0, 1, 0]), 'mask': jnp.array([1.0, 1.0, 0.0])}


def test_classes_are_ranked_by_their_probabilities():
  """Odds of 1 : 3 and 4 : 1, of two large equal logits, and a row of no example."""
  rows = [[2, 0, np.log(3)], [1, np.log(4), 0], [1, 800, 800], [0, 5, 7]]
  truth, found = scores.separated(rows)
  assert truth.tolist() == [[False, True], [True, False], [True, False]]
  np.testing.assert_allclose(found, [[0.25, 0.75], [0.8, 0.2], [0.5, 0.5]])
  of_labels = [[[2, 1], [5, -6]], [[0, 0], [1, 2]], [[1, 1], [3, 4]]]
  truth, found = scores.separated(of_labels)
  assert truth.tolist() == [[True, False], [False, False]]
  assert found.tolist() == [[5, -6], [3, 4]]


def test_focal_loss_and_class_weights_equal_hand_values():
  """(1 − p)² · −ln p of p = 0.5 and 0.2, with the weights 3 and 0.5; the third is padding."""
  logits = jnp.log(PROBABILITIES)
  plain = [-np.log(0.5), -np.log(0.2)]
  focal = tasks.classify(logits, BATCH, focal=2.0)
  np.testing.assert_allclose(focal['loss'], 0.25 * plain[0] + 0.64 * plain[1], rtol=1e-6)
  weighted = tasks.classify(logits, BATCH, class_weights=[3.0, 0.5, 9.0])
  np.testing.assert_allclose(weighted['loss'], 3 * plain[0] + 0.5 * plain[1], rtol=1e-6)
  assert float(weighted['count']) == 2, 'the mean is over the examples'
  both = tasks.classify(
    logits, BATCH, class_weights=[3.0, 0.5, 9.0], focal=2.0, label_smoothing=0.3
  )
  targets = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
  smooth = -(targets * np.log(PROBABILITIES[:2])).sum(-1)
  np.testing.assert_allclose(both['loss'], 3 * 0.25 * smooth[0] + 0.5 * 0.64 * smooth[1], rtol=1e-6)
  assert both['correct'] == focal['correct']


def test_focal_loss_equals_optax():
  """Of two classes it is the sigmoid focal loss of the difference of the logits."""
  logits = jnp.asarray(GENERATOR.normal(size=(9, 2)), jnp.float32)
  label = jnp.asarray(GENERATOR.integers(0, 2, 9))
  found = tasks.classify(logits, {'label': label, 'mask': jnp.ones(9)}, focal=1.5)['loss']
  expected = optax.sigmoid_focal_loss(logits[:, 1] - logits[:, 0], label, gamma=1.5).sum()
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_class_weights_become_numbers():
  name = dict(name='classify')
  resolve = functools.partial(class_weights.as_numbers, classes=('a', 'b'), counts=[30, 10])
  assert resolve('classify') == 'classify'
  assert resolve(name) == name
  balanced = resolve({**name, 'class_weights': 'balanced'})['class_weights']
  assert balanced == pytest.approx([40 / 60, 40 / 20])
  assert np.dot(balanced, [30, 10]) == pytest.approx(40)
  assert resolve({**name, 'class_weights': {'b': 5}})['class_weights'] == [1.0, 5.0]
  assert resolve({**name, 'class_weights': (1, 2)})['class_weights'] == [1.0, 2.0]
  assert resolve(resolve({**name, 'class_weights': 'balanced'}))['class_weights'] == balanced


WEIGHTS = r'config\.task\.class_weights'


@pytest.mark.parametrize(
  ('keys', 'message'),
  [
    (dict(task=dict(name='classify', focal=-1)), r'config\.task\.focal=-1 is out of range'),
    (
      dict(task=dict(name='classify', class_weights='even')),
      rf"{WEIGHTS}='even' are not class weights: use 'balanced', 10 numbers, or a dict",
    ),
    (
      dict(task=dict(name='classify', class_weights=(1.0, 2.0))),
      rf'{WEIGHTS} has 2 weights, but the data have 10 classes: give one each',
    ),
    (
      dict(task=dict(name='classify', class_weights={'11': 2.0})),
      rf'{WEIGHTS}\.11 is not a class of the data: its classes are 0, 1',
    ),
    (
      dict(task=dict(name='classify', class_weights={'1': -2.0})),
      rf"{WEIGHTS} of class '1'=-2\.0 is out of range: use a number from 0 on",
    ),
    (
      dict(task=dict(name='classify', class_weights=(0,) * 10)),
      rf'{WEIGHTS} are all 0, so nothing can be trained',
    ),
    (
      dict(task=dict(name='next_char', class_weights='balanced')),
      rf'{WEIGHTS} is not a key of this section',
    ),
    (
      dict(task='regress'),
      r"config\.task='regress' does not fit mnist, .* one class: use 'classify'",
    ),
    (
      dict(task='multi_label'),
      r"config\.task='multi_label' does not fit mnist, .* one class: use 'classify'",
    ),
    (dict(metrics='f1'), r"config\.metrics='f1' is not a list of metrics: write \('f1', "),
    (
      dict(metrics=('f2',)),
      r"config\.metrics has 'f2', which is not an optional metric of the task 'classify': use some of",
    ),
    (
      dict(watch='train_loss'),
      r"config\.watch='train_loss' cannot be watched, because it is the mean",
    ),
    (
      dict(watch='test_loss'),
      r"config\.watch='test_loss' cannot be watched, because test examples would then choose",
    ),
    (
      dict(watch='validation_f1'),
      r"config\.watch='validation_f1' cannot be watched, because evaluation does not measure it: add",
    ),
    (
      dict(watch='accuracy'),
      r"config\.watch='accuracy' cannot be watched: use one of validation_loss, validation_accuracy",
    ),
  ],
)
def test_invalid_key_error_names_the_fix(keys, message, small):
  with pytest.raises(ValueError, match=f'^{message}'):
    experiment.build({**small, **keys}, 'small')


@pytest.mark.parametrize(
  ('task', 'keys', 'message'),
  [
    (
      dict(name='regress', loss='cubic'),
      {},
      r"config\.task\.loss='cubic' is unknown: use one of squared, absolute, huber",
    ),
    (
      dict(name='regress', loss='huber', delta=0),
      {},
      r'config\.task\.delta=0 is out of range: use a number above 0',
    ),
    (
      dict(name='regress', delta=2.0),
      {},
      r"config\.task\.delta=2\.0 changes nothing with loss='squared'",
    ),
    (
      'regress',
      dict(metrics=('f1',)),
      r"config\.metrics has 'f1', .* of the task 'regress': leave config\.metrics out",
    ),
    (
      'multi_label',
      dict(metrics=('top_5_accuracy',)),
      r"config\.metrics has 'top_5_accuracy', which is not an optional metric of the task 'multi_label'",
    ),
  ],
)
def test_invalid_key_of_other_data_names_the_fix(task, keys, message, small):
  with pytest.raises(ValueError, match=f'^{message}'):
    experiment.build(task_helpers.config_of(small, task, **keys), 'small')


def test_task_must_fit_the_data(small):
  config = task_helpers.config_of(small, 'regress')
  with pytest.raises(ValueError, match=r"'classify' does not fit digit_values.*use 'regress'"):
    experiment.build({**config, 'task': 'classify'}, 'small')
  with pytest.raises(ValueError, match=r'has output \[3\], but digit_values has 2 targets'):
    experiment.build({**config, 'model': {**config['model'], 'classes': 3}}, 'small')
  data = {**config['data'], 'splits': {'train': 'train[:61]'}}
  with pytest.raises(ValueError, match='needs a validation split'):
    experiment.build({**config, 'watch': 'validation_r2', 'data': data}, 'small')
  built = experiment.build({**config, 'watch': 'validation_r2'}, 'small')
  assert built.config['dataset']['targets']['names'] == list(task_helpers.TARGETS)
  assert built.config['model']['classes'] == 2
  assert built.watch.key == 'validation_r2'


def test_balanced_weights_are_recorded_as_numbers(small):
  """An epoch of 61 digits; the classes have different numbers of examples."""
  task = dict(name='classify', class_weights='balanced', focal=1.0)
  built = experiment.build({**small, 'task': task}, 'small')
  counts = built.data.per_class['train']
  expected = [61 / (10 * count) for count in counts]
  assert built.config['task']['class_weights'] == pytest.approx(expected)
  again = experiment.build({**small, 'task': built.config['task']}, 'small')
  assert again.config['task'] == built.config['task']
  assert built.evaluation_task is tasks.classify, 'the evaluated loss has no weights'


def test_watch_has_the_direction_of_its_metric():
  default = watch.of({})
  assert (default.key, default.better) == ('validation_loss', 'lower')
  assert default.best == 'the lowest validation loss'
  assert default.score({'loss': 0.5}) == 0.5
  found = watch.build(
    'validation_top_5_accuracy',
    lambda outputs, batch: {'loss': outputs.sum(), 'top_5_accuracy': outputs.sum(), 'count': 1},
    outputs=jax.ShapeDtypeStruct((2, 10), np.float32),
    batch={},
    splits=['train', 'validation'],
  )
  assert found.best == 'the highest validation top 5 accuracy'
  assert found.score({'loss': 0.5, 'top_5_accuracy': 0.9}) == -0.9
  assert found.figure(-0.9) == 0.9
  assert watch.of({'watch': 'validation_f1'}).best == 'the highest validation F1'
  assert watch.of({'watch': 3}) == default
  found.check_splits('plateau', ('train', 'validation'))
  message = r'^config\.plateau follows the validation [\w -]+, but there is none: add config'
  with pytest.raises(ValueError, match=message):
    found.check_splits('plateau', ('train', 'test'))
