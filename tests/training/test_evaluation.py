"""Splits that share one compiled program are evaluated as each of them alone."""

import numpy as np
import pytest
from helpers import SMALL

from jaxdl.devices import parallel
from jaxdl.training import evaluation, experiment

TEXT = dict(
  seed=0,
  task='next_char',
  train_for='8 steps',
  data=dict(
    name='shakespeare',
    source='bundled',
    batch_size=4,
    evaluation_batch_size=4,
    time_step=8,
    splits=dict(train='train[:400]', validation='train[400:700]', test='test[:150]'),
  ),
  model=dict(name='language_model', cell='rnn', features=8, classes='classes'),
  optimizer=dict(name='adam', learning_rate=1e-2),
)
CONFIGS = {
  'images': {
    **SMALL,
    'data': {**SMALL['data'], 'splits': {**SMALL['data']['splits'], 'test': 'test[:150]'}},
  },
  'text': TEXT,
}  # name → config whose splits have different lengths and numbers of batches


def counted_programs(built):
  """(number of compiled programs, sums of all splits)."""
  programs = []

  def over(run, **keywords):
    programs.append(run)
    return parallel.over_devices(run, **keywords)

  evaluate = evaluation.of_splits(built, over=over)
  return len(programs), evaluate(parallel.replicate(built.initial_state()))


@pytest.mark.parametrize('name', CONFIGS)
def test_one_program_evaluates_all_splits(name, monkeypatch):
  built = experiment.build(CONFIGS[name], 'small')
  counts = {split.batches for key, split in built.data.splits.items() if key != 'train'}
  assert len(counts) == 2
  number, shared = counted_programs(built)
  monkeypatch.setattr(evaluation, 'MOST_PADDING', -1)
  separate_number, separate = counted_programs(built)
  assert (number, separate_number) == (1, 2)
  for split, sums in separate.items():
    assert int(sums['count']) == built.data.splits[split].count
    for key, value in sums.items():
      np.testing.assert_array_equal(shared[split][key], value, err_msg=f'{split} {key}')


def test_metrics_of_all_scores_have_their_own_programs(small):
  """They depend on the number of examples of a split."""
  number, found = counted_programs(experiment.build({**small, 'metrics': ('roc_auc',)}, 'small'))
  assert number == 2
  assert found.keys() == {'validation', 'test'}
