"""Balanced sampling as a key of a config: training, resumption and errors."""

import jax
import numpy as np
import pytest
from helpers import state_of

import jaxdl
from jaxdl.training import experiment, loop


def points(seed, counts):
  """Points in the plane around (0, 0) and (1.5, 1.5), so many of each class."""
  labels = np.repeat([0, 1], counts)
  x = np.random.default_rng(seed).normal(size=(len(labels), 2)) + 1.5 * labels[:, None]
  return x, np.array(['common', 'rare'])[labels]


def config(steps=60, task='classify', **keys):
  return dict(
    task=task,
    train_for=f'{steps} steps',
    checkpoint_every=f'{steps} steps',
    evaluate_every=f'{steps} steps',
    data=dict(name='arrays', batch_size=32, **keys),
    model=dict(name='cnn', layers=[dict(kind='dense', features='classes', activate=False)]),
    optimizer=dict(name='adam', learning_rate=0.05),
  )


@pytest.mark.slow
def test_balanced_sampling_finds_the_rare_class(tmp_path):
  """180 and 6 examples: without it, no example of the rare class is recognised."""
  data, test = {'train': points(0, (180, 6))}, points(1, (50, 20))
  recall = {}
  for sampling in ('shuffled', 'balanced'):
    keys = config(sampling=sampling, splits=dict(train='train'))
    jaxdl.train(keys, tmp_path / sampling, data=data)
    found = jaxdl.load(tmp_path / sampling).predict(test[0])
    guesses = np.array(found.classes)[found.probabilities.argmax(1)]
    recall[sampling] = [(guesses[test[1] == name] == name).mean() for name in found.classes]
  assert recall['shuffled'][1] == 0
  assert min(recall['balanced']) > 0.7


def test_resumed_balanced_run_equals_an_uninterrupted_one(tmp_path):
  """186 examples: 6 steps in an epoch."""
  keys = dict(sampling='balanced', splits=dict(train='train'))
  data = {'train': points(0, (180, 6))}
  built = experiment.build(config(9, **keys), data=data)
  assert built.data.splits['train'].batches == 6
  loop.train(built, tmp_path / 'uninterrupted')
  for steps in (4, 9):
    loop.train(experiment.build(config(steps, **keys), data=data), tmp_path / 'resumed')
  jax.tree.map(
    np.testing.assert_array_equal,
    *(state_of(built, tmp_path / run) for run in ('resumed', 'uninterrupted')),
  )


@pytest.mark.parametrize(
  ('keys', 'y', 'message'),
  [
    (dict(sampling='even'), None, r"config\.data\.sampling='even' is unknown: use shuffled .* or"),
    (dict(sampling=['balanced']), None, r"sampling=\['balanced'\] is unknown: use shuffled"),
    (dict(task='regress'), np.arange(20.0), 'needs one class for each example, which these data'),
    (dict(task='multi_label'), np.eye(20, 3), 'needs one class for each example, which these data'),
    (
      dict(task='reconstruct'),
      None,
      r"balances classes, which config\.task='reconstruct' does not",
    ),
  ],
)
def test_balanced_sampling_without_classes_is_rejected(keys, y, message):
  y = np.arange(20) % 2 if y is None else y
  data = {'train': (np.random.default_rng(0).normal(size=(20, 3)), y)}
  with pytest.raises(ValueError, match=message) as raised:
    experiment.build(
      config(**{'sampling': 'balanced', 'splits': {'train': 'train'}, **keys}), data=data
    )
  assert '\n' not in str(raised.value)
