"""Tests of the analyses of ablation and influence, from a trained run to their results."""

import copy

import numpy as np
import pytest
from helpers import BN_CNN, RECURRENT, SMALL

from jaxdl.training import experiment, loop
from jaxdl.views import VIEWS, subject
from jaxdl.views.view import Choice


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  """Kind → folder of a run of four steps with two checkpoints."""
  found = {}
  for kind, model, layout in (('cnn', BN_CNN, 'image'), ('recurrent', RECURRENT, 'rows')):
    found[kind] = tmp_path_factory.mktemp(kind)
    config = copy.deepcopy({**SMALL, 'model': model, 'train_for': '4 steps'})
    config['data']['layout'] = layout
    config |= dict(keep_every='2 steps', checkpoint_every='2 steps')
    loop.train(experiment.build(config, 'small'), found[kind])
  return found


def made(name, seen, **choice):
  """Name → Result of an analysis; no part may fail."""
  return {result.name: result for result in VIEWS[name].make(seen, Choice(**choice))}


@pytest.mark.parametrize(
  ('kind', 'layer', 'count'), [('cnn', 'conv1', 4), ('recurrent', 'lstm', 8)]
)
def test_ablation_shows_every_channel_and_curves_from_the_intact_network(runs, kind, layer, count):
  seen = subject.read(runs[kind], step='last', count=30)
  found = made('ablation', seen)
  assert set(found) == {'ablation', 'ablation_selectivity', 'ablation_pruning'}
  facts, arrays = found['ablation'].facts, found['ablation'].arrays
  assert facts['layer'] == layer
  assert arrays['loss_to_zero'].shape == (count,)
  assert facts['loss_to_zero'].tolist() == sorted(arrays['loss_to_zero'].tolist(), reverse=True)
  logits = np.asarray(seen.model.apply(seen.variables, seen.inputs))
  right = logits.argmax(-1) == seen.labels
  pruned = found['ablation_pruning'].facts
  assert pruned['measured_on'] == 15
  for accuracy in pruned['accuracy'].values():
    assert accuracy[0] == pytest.approx(right[1::2].mean())
    assert accuracy[-1] == pruned['accuracy']['random'][-1], 'without channels, all are equal'


def test_ablation_names_the_layers_that_it_can_show(runs):
  seen = subject.read(runs['cnn'], step='last', count=10)
  (failure, *_) = VIEWS['ablation'].make(seen, Choice(layer='logits'))
  assert str(failure.error) == 'layer=logits does not fit: use one of conv1, dense1'


def test_influence_uses_training_images_and_all_kept_checkpoints(runs):
  for kind in runs:
    seen = subject.read(runs[kind], step='last', count=30)
    found = made('influence', seen)
    facts = found['influence'].facts
    assert facts['steps'] == [2, 4]
    assert facts['layers'] == 'all'
    assert facts['training_examples'] == 61
    scores = found['influence'].arrays['scores']
    assert scores.shape == (len(facts['test_examples']), 61)
    places = found['influence'].arrays['training']
    for row, one in zip(scores, facts['test_examples'], strict=True):
      assert places[row.argmax()] == one['helpful'][0]
      assert places[row.argmin()] == one['harmful'][0]
      assert (one['harmful_scores'] < 0).all()
    assert (np.diff(found['influence_self'].facts['self_influence']) <= 0).all()
    counts = found['forgetting'].facts
    assert sum(counts['events']) + counts['never_learned'] == 61
    assert 'all layers, in evaluation mode' in VIEWS['influence'].displays['influence'].note(facts)
  assert VIEWS['influence'].named_only


def test_one_checkpoint_gives_no_forgetting_events_but_a_remark(runs):
  seen = subject.read(runs['cnn'], step=2, count=30)
  found = made('influence', seen)
  assert set(found) == {'influence', 'influence_self'}
  assert 'With only one checkpoint, ' in VIEWS['influence'].displays['influence'].note(
    found['influence'].facts
  )


def test_training_examples_are_those_of_the_split(runs):
  seen = subject.read(runs['cnn'], step='last', count=5)
  found = subject.training_examples(seen, 40)
  data = subject.data_of_run(seen.workdir, seen.config)
  assert len(set(found['index'].tolist())) == 40
  column = np.asarray(data.splits['train'].arrays['label'])
  np.testing.assert_array_equal(found['labels'], column[found['index']])
  assert found['images'].shape == (40, 28, 28, 1)
  assert 0 <= found['images'].min() <= found['images'].max() <= 1


def test_influence_is_left_out_for_vectors(runs):
  seen = subject.read(runs['cnn'], examples=False)
  seen.config['dataset']['form'] = 'vectors'
  assert VIEWS['influence'].left_out(seen) == 'it draws images, but the inputs are numbers'
