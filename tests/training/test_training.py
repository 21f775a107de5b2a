"""Properties of training that hold for every experiment."""

import dataclasses
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import ROOT
from training_helpers import CONFIGS, run_steps

from jaxdl import models
from jaxdl.analysis import embeddings
from jaxdl.config import binding
from jaxdl.config.reading import read_file
from jaxdl.devices import parallel
from jaxdl.models import table
from jaxdl.runs import checkpoint
from jaxdl.step import optimizers, steps, tasks
from jaxdl.step.state import accepted_kwargs
from jaxdl.training import chunks, experiment, loop, programs

PARAMETERS = {  # config → (total, non-trainable)
  'rnn_mnist': (20096 + 1290, 0),
  'lstm_mnist': (80384 + 1290, 0),
  'gru_mnist': (60672 + 1290, 0),
  'cnn_mnist': (3274634, 0),
  'cnn_cifar10': (324938, 320),
  'deep_cnn_cifar10': (6216114, 20),
  'lenet5_gray_cifar10': (3274634, 0),
  'bn_cnn_gray_cifar10': (322890, 832),
  'cnn_fashion_mnist': (5549162, 0),
  'wide_cnn_fashion_mnist': (11087498, 0),
  'cnn_food11': (400139, 0),
  'cnn_food11_l2': (400139, 0),
  'quick_mnist': (11274, 0),
  'speedrun_cifar10': (1976258, 2616),
  'char_rnn_shakespeare': (854081, 0),
  'char_lstm_shakespeare': (3316289, 0),
  'char_gru_shakespeare': (2498625, 0),
  'char_transformer_shakespeare': (801729, 0),
  'rotated_autoencoder_hoda': (570497, 0),
}
FIRST_LOSS = {  # bounds near ln 10, ln 65 or the mean square of the ink
  'classify': (2.0, 4.0),
  'next_char': (4.0, 4.8),
  'reconstruct': (0.04, 0.5),
}
CHEAP = {'lstm_mnist'}


def test_training_step_is_compiled_during_initialization(small):
  """The State equals `initial_state` bit for bit, and the first call needs no compilation."""
  built = experiment.build(small, 'small')
  run = chunks.compile_steps(built)
  state = chunks.first_state(built, run)
  jax.tree.map(np.testing.assert_array_equal, state, built.initial_state())
  compiled = []

  def listen(event, *_, **__):
    if event.endswith('backend_compile_duration'):
      compiled.append(event)

  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    session = chunks.run_in_chunks(built, 0, dataclasses.replace(programs.of_one(built), run=run))
    next(session)
    _, history, _ = session.send(state)
    assert compiled == []
    jax.jit(lambda x: x * 2.5)(history['loss'])
    assert compiled, 'the listener records compilations'
  finally:
    jax.monitoring.clear_event_listeners()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
@pytest.mark.usefixtures('any_data')
def test_every_config_has_the_reported_parameter_count(path):
  """Total and non-trainable counts are exact; reports 000, 001 and 003 print theirs."""
  config = read_file(path)
  assert str(path.relative_to(ROOT)) in path.read_text(), 'the header gives the command'
  if 'reported' not in config:  # not an experiment of the reports
    return
  assert config.reported.source
  totals = table.totals(experiment.build(config, path.stem).layers)
  assert (totals['parameters'], totals['parameters'] - totals['trainable']) == PARAMETERS[path.stem]


def test_model_classes_come_from_the_data(small_text):
  """The word 'classes' may replace a size. The config in the checkpoint has the number."""
  small_text['model']['classes'] = 'classes'
  built = experiment.build(small_text, 'small')
  assert (
    built.recipe.model.classes == built.config['model']['classes'] == len(built.data.classes) == 84
  )
  section = dict(
    name='cnn',
    layers=[dict(kind='conv', features=4), dict(kind='dense', features='classes', name='classes')],
  )
  assert models.with_classes(section, 7)['layers'] == [
    dict(kind='conv', features=4),
    dict(kind='dense', features=7, name='classes'),
  ]


@pytest.mark.parametrize(
  'path',
  [path if path.stem in CHEAP else pytest.param(path, marks=pytest.mark.slow) for path in CONFIGS],
  ids=lambda path: path.stem,
)
@pytest.mark.usefixtures('any_data')
def test_every_config_trains_one_step(path):
  config = read_file(path)
  before = experiment.build(config, path.stem).initial_state()
  after, history = run_steps(config, 1)
  assert int(after.step) == 1
  lowest, highest = FIRST_LOSS[binding.as_section(config.task)['name']]
  assert lowest < float(history['loss'][0] / history['count'][0]) < highest  # chance level
  changed = jax.tree.map(lambda a, b: bool((a != b).any()), before.params, after.params)
  for layer in optimizers.frozen_layers(config.optimizer.to_dict()):
    assert not any(jax.tree.leaves(changed.pop(layer)))
  assert all(jax.tree.leaves(changed)), 'every other parameter changes'


def test_single_batch_can_be_overfitted(small, small_cnn):
  for config in (small, small_cnn):
    config['data']['splits'] = dict(train='train[:16]')
    config['optimizer']['learning_rate'] = 3e-2
    _, history = run_steps(config, 150)
    first, last = (float(history['loss'][i] / history['count'][i]) for i in (0, -1))
    assert last < 0.25 < 1.5 < first, config['model']['name']


@pytest.mark.slow
def test_plain_flax_module_needs_no_batch_arguments(small, small_text, monkeypatch, tmp_path):
  """The module accepts only inputs: no device axis, no mask, and no stream state for text."""

  class Plain(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, inputs):
      return nn.Dense(self.classes)(nn.relu(nn.Dense(16)(inputs.reshape(len(inputs), -1))))

  class WithBatchArguments(Plain):
    axis_name: str | None = None

    @nn.compact
    def __call__(self, inputs, *, train=False, mask=None, index=None):
      return Plain.__call__(self, inputs)

  class Bigrams(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, inputs):
      return nn.Embed(self.classes, self.classes)(inputs)

  class AnyKeywords(nn.Module):
    def __call__(self, inputs, **keywords):
      return inputs

  assert [
    list(accepted_kwargs(model, train=True, mask=None)) for model in (Plain(10), AnyKeywords())
  ] == [[], ['train', 'mask']]
  for name, model in (
    ('plain', Plain),
    ('with_arguments', WithBatchArguments),
    ('bigrams', Bigrams),
  ):
    monkeypatch.setitem(models.MODELS, name, model)
  plain, with_arguments = (
    loop.train(
      experiment.build({**small, 'model': dict(name=name, classes=10)}, 'small'), tmp_path / name
    )
    for name in ('plain', 'with_arguments')
  )
  assert plain['test_loss'] == with_arguments['test_loss']
  features = embeddings.features(
    *checkpoint.load_model(tmp_path / 'plain')[:2], np.zeros((3, 28, 28), np.float32)
  )
  assert features.shape == (3, 16), 'inputs of the last dense layer'
  text = loop.train(
    experiment.build({**small_text, 'model': dict(name='bigrams', classes='classes')}, 'small'),
    tmp_path / 'text',
  )
  assert np.isfinite(text['validation_loss'])


@pytest.mark.slow
def test_parameter_average_follows_its_recursion(small):
  """average += (1 − decay)(parameters − average), with decay at most (1 + step) / (10 + step). The
  parameters are the same as without.
  """
  built = experiment.build(small, 'small')
  plain = [built.initial_state(), *(run_steps(small, count)[0] for count in (1, 2, 3))]
  averaged = run_steps({**small, 'ema_decay': 0.15}, 3)[0]
  jax.tree.map(np.testing.assert_array_equal, averaged.params, plain[3].params)
  expected = plain[0].params
  for step, decay in enumerate((0.1, 0.15, 0.15)):  # (1 + 0) / (10 + 0), then 2 / 11 > 0.15
    expected = jax.tree.map(
      lambda old, new, decay=decay: decay * old + (1 - decay) * new,
      expected,
      plain[step + 1].params,
    )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), averaged.average, expected
  )
  assert averaged.variables()['params'] is averaged.average
  assert plain[3].variables()['params'] is plain[3].params


def test_padding_content_is_ignored(small_cnn):
  """The last batch of an epoch has 13 real examples; the content of the other 3 must not matter."""

  def other_padding(feed):
    return {**feed, 'index': np.where(feed['mask'] == 1, feed['index'], 37)}

  found, expected = run_steps(small_cnn, 4, feed_change=other_padding), run_steps(small_cnn, 4)
  assert expected[1]['count'].tolist() == [16, 16, 16, 13]
  jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_evaluation_counts_every_example_once(small):
  built = experiment.build(small, 'small')
  variables = built.recipe.model.init(jax.random.PRNGKey(0), jnp.zeros((1, 28, 28)))
  split = built.data.splits['test']  # 50 examples in batches of 48
  run = steps.many_eval_steps(
    model=built.recipe.model, task=built.evaluation_task, split=split, prepare=built.data.prepare
  )
  call = parallel.over_devices(run, scalars=1)
  feed = parallel.split_feed(split.feed(0, split.batches), split.batches)
  sums = call(variables, split.arrays, feed, np.int32(split.batches))
  logits = built.recipe.model.apply(variables, split.arrays['image'][..., 0] / np.float32(255))
  loss = -jax.nn.log_softmax(logits)[np.arange(50), split.arrays['label']]
  assert int(sums['count']) == 50
  assert int(sums['correct']) == int((logits.argmax(-1) == split.arrays['label']).sum())
  np.testing.assert_allclose(sums['loss'], loss.sum(), rtol=1e-5)


def test_classify_matches_hand_computation():
  logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.9, 0.05, 0.05]]))
  sums = tasks.classify(logits, {'label': jnp.array([0, 1, 0]), 'mask': jnp.array([1.0, 1.0, 0.0])})
  np.testing.assert_allclose(sums['loss'], -np.log(0.5) - np.log(0.2), rtol=1e-6)
  assert (float(sums['correct']), float(sums['count'])) == (1, 2)
  assert tasks.metrics({'loss': 3.0, 'correct': 1.0, 'count': 4.0}) == {
    'loss': 0.75,
    'accuracy': 0.25,
  }


def test_batch_norm_matches_hand_computation_with_padding():
  """The mean and the biased variance cover only real examples. The running averages move by a
  hundredth.
  """
  model = models.build(dict(name='cnn', layers=(dict(kind='batch_norm', epsilon=0.0),)))
  inputs, mask = jnp.array([[[[1.0]]], [[[3.0]]], [[[100.0]]]]), jnp.array([1.0, 1.0, 0.0])
  variables = model.init(jax.random.PRNGKey(0), inputs)
  outputs, updated = model.apply(variables, inputs, train=True, mask=mask, mutable=['batch_stats'])
  np.testing.assert_allclose(outputs[:2].ravel(), [-1, 1], rtol=1e-6)
  np.testing.assert_allclose(updated['batch_stats']['batch_norm1']['mean'], [0.02], rtol=1e-5)
  np.testing.assert_allclose(updated['batch_stats']['batch_norm1']['var'], [1.0], rtol=1e-5)
  np.testing.assert_allclose(model.apply(variables, inputs).ravel(), [1, 3, 100], rtol=1e-6)


def test_run_writes_its_files_and_best_model(small_cnn, tmp_path):
  built = experiment.build(small_cnn, 'small')
  summary = loop.train(built, tmp_path)
  lines = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()]
  assert [(line['step'], line['split']) for line in lines] == [
    (step, name) for step in (4, 8) for name in ('train', 'validation', 'test')
  ]
  assert all(set(line) >= {'loss', 'accuracy'} for line in lines)
  losses = {line['step']: line['loss'] for line in lines if line['split'] == 'validation'}
  assert summary['step'] == min(losses, key=losses.get)
  np.testing.assert_allclose(summary['validation_loss'], min(losses.values()), rtol=1e-5)
  assert json.loads((tmp_path / 'config.json').read_text()) == built.config
  model, variables, config = checkpoint.load_model(tmp_path)
  assert config == built.config
  images = built.data.splits['test'].arrays['image'] / np.float32(255)
  correct = (
    model.apply(variables, images).argmax(-1) == built.data.splits['test'].arrays['label']
  ).mean()
  assert float(correct) == pytest.approx(summary['test_accuracy'])
  assert summary['test_examples'] == 50


def test_load_model_error_names_the_available_steps(small, tmp_path):
  with pytest.raises(FileNotFoundError, match='nothing does not exist: give the folder of a run'):
    checkpoint.load_model(tmp_path / 'nothing')
  loop.train(experiment.build({**small, 'train_for': '2 steps'}, 'small'), tmp_path)
  with pytest.raises(FileNotFoundError, match=r'has no checkpoint 7: it has \[2\]'):
    checkpoint.load_model(tmp_path, step=7)


def test_non_finite_loss_stops_and_keeps_the_checkpoint(small, tmp_path):
  loop.train(experiment.build({**small, 'train_for': '4 steps'}, 'small'), tmp_path)
  small['optimizer']['learning_rate'] = 1e38
  broken = experiment.build(small, 'small')
  file = tmp_path / 'config.json'
  file.write_text(json.dumps(broken.config))  # as if the run had started with this rate
  with pytest.raises(
    FloatingPointError, match=r'not finite at step \d: the checkpoint of step 4 is kept; lower'
  ):
    loop.train(broken, tmp_path)
  _, variables, _ = checkpoint.load_model(tmp_path, 'last')
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables))


@pytest.mark.parametrize(
  ('seconds', 'expected'), [(0.01, 200), (0.3, 6), (0.6, 4), (2.5, 4), (4.0, 2), (30.0, 1)]
)
def test_long_steps_share_a_call(seconds, expected):
  assert chunks.steps_of_call(seconds) == expected
