"""Augmentation, rules of optimizers, accumulation and test-time augmentation in complete runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import state_of
from training_helpers import run_steps

from jaxdl.devices import parallel
from jaxdl.runs import files, identity
from jaxdl.step import tasks, views
from jaxdl.sweeps import ensemble
from jaxdl.training import evaluation, experiment, loop

OTHERS = [  # than the config `all_rules` has
  dict(kind='color_jitter', brightness=0.2, contrast=0.2),
  dict(kind='random_erasing', fill='noise'),
]


@pytest.mark.parametrize('augment', [[], OTHERS])
@pytest.mark.slow
def test_a_run_with_all_rules_resumes_bit_for_bit(augment, all_rules, tmp_path):
  """It stops in the second epoch (of 4 steps), between two changes of the slow weights."""
  all_rules['data']['augment'] = augment + all_rules['data']['augment']
  if augment:
    all_rules['data']['augment'].append(dict(kind='mixup'))
    all_rules['optimizer'] |= dict(name='muon', adam_layers=('dense1',))
  built = experiment.build({**all_rules, 'train_for': '8 steps'}, 'small')
  first = loop.train(built, tmp_path / 'uninterrupted')
  loop.train(experiment.build({**all_rules, 'train_for': '5 steps'}, 'small'), tmp_path / 'resumed')
  second = loop.train(built, tmp_path / 'resumed')
  expected, found = (state_of(built, tmp_path / name) for name in ('uninterrupted', 'resumed'))
  jax.tree.map(np.testing.assert_array_equal, found, expected)
  assert int(found.opt_state.since) == 2
  if first['step'] == second['step']:
    assert first['test_accuracy_augmented'] == second['test_accuracy_augmented']
  # not trained: mean and variance of one feature; scale, bias, mean and variance of four
  assert first['parameters'] - first['trainable'] == 2 * 1 + 4 * 4
  line = next(line for line in files.journal(tmp_path / 'resumed') if line['split'] == 'test')
  assert {'accuracy', 'accuracy_augmented'} <= set(line)


@pytest.mark.slow
def test_runs_with_all_rules_share_a_program(all_rules):
  """Members that differ in the seed and the learning rate equal separate runs."""
  configs = []
  for seed, rate in ((0, 1e-2), (1, 2e-2)):
    optimizer = {**all_rules['optimizer'], 'learning_rate': rate, 'eps': 1e-4}
    configs.append({**all_rules, 'seed': seed, 'optimizer': optimizer})
  built = [experiment.build(config, 'small') for config in configs]
  states = ensemble.placed(ensemble.stacked([member.initial_state() for member in built]))
  arrays = parallel.replicate(built[0].data.splits['train'].arrays)
  feeds = ensemble.split_feeds(2)(ensemble.feeds(built)(0, 5), 5)
  states, history = ensemble.compile_steps(built)(states, arrays, feeds, np.int32(5))
  for number, config in enumerate(configs):
    after, separate = run_steps(config, 5)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5),
      ensemble.member(states, number).params,
      after.params,
    )
    np.testing.assert_allclose(history['loss'][number], separate['loss'], rtol=1e-4)


@pytest.mark.parametrize('model', ['small_text', 'small'])
@pytest.mark.slow
def test_accumulation_equals_the_large_batch(model, request):
  """Five steps, of which the fourth is partly padding (13 of 16 digits). A text carries its state."""
  config = {**request.getfixturevalue(model), 'l2': 1e-3}
  (one, of_one), (four, of_four) = (run_steps({**config, 'accumulate': n}, 5) for n in (1, 4))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5),
    (four.params, four.carry, of_four),
    (one.params, one.carry, of_one),
  )


@pytest.mark.slow
def test_accumulation_with_fewer_examples_than_parts(small_cnn):
  """The fourth batch has one example, so seven of eight parts have none."""
  small_cnn['data'].update(splits={'train': 'train[:49]'}, size=8, augment=[])
  small_cnn['model']['layers'] = (
    dict(kind='batch_norm'),
    dict(kind='flatten'),
    dict(kind='dense', features=10, activate=False),
  )
  config = {**small_cnn, 'accumulate': 8, 'optimizer': dict(name='sgd', learning_rate=1e-3)}
  after, history = run_steps(config, 5)
  np.testing.assert_array_equal(history['count'], [16, 16, 16, 1, 16])
  for leaf in jax.tree.leaves((after.params, after.batch_stats, history)):
    assert np.isfinite(leaf).all()
  before, _ = run_steps(config, 3)
  fourth, _ = run_steps(config, 4)
  momentum = 0.99  # the statistics of the only example are added once
  old, new = (state.batch_stats['batch_norm1']['var'] for state in (before, fourth))
  assert (np.asarray(new) >= momentum * np.asarray(old) - 1e-6).all()


def test_frozen_layers_keep_parameters_and_batch_statistics(small_cnn):
  """Batch normalisation then computes with its running averages, also in training."""
  config = {
    **small_cnn,
    'l2': 0.1,
    'l2_all': True,
    'ema_decay': 0.9,
    'optimizer': dict(
      name='adamw', learning_rate=1e-2, decay_all=True, frozen=('conv*', 'batch_norm1')
    ),
  }
  built = experiment.build(config, 'small')
  start, (after, history) = built.initial_state(), run_steps(config, 3)
  for layer in ('conv1', 'batch_norm1'):
    jax.tree.map(np.testing.assert_array_equal, after.params[layer], start.params[layer])
    jax.tree.map(np.testing.assert_array_equal, after.average[layer], start.average[layer])
  jax.tree.map(
    np.testing.assert_array_equal,
    after.batch_stats['batch_norm1'],
    start.batch_stats['batch_norm1'],
  )
  assert (after.batch_stats['logits']['mean'] != start.batch_stats['logits']['mean']).any()
  assert (after.params['dense1']['kernel'] != start.params['dense1']['kernel']).any()
  trained = {row['name']: row['trainable'] for row in built.layers}
  assert (trained['conv1'], trained['batch_norm1']) == (0, 0)
  assert trained['dense1'] > 0
  unfrozen = {**config, 'optimizer': {**config['optimizer'], 'frozen': ('conv*',)}}
  # the first loss is before any update: it differs by the statistics alone
  assert run_steps(unfrozen, 1)[1]['loss'][0] != history['loss'][0]


def test_mixed_loss_is_the_weighted_mean_of_the_losses_of_both_labels():
  logits = jnp.array([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0], [3.0, 0.0, 0.0]])
  batch = {
    'label': jnp.array([0, 1, 2]),
    'label_b': jnp.array([1, 0, 0]),
    'mix': jnp.array([0.75, 0.5, 1.0]),
    'mask': jnp.array([1.0, 1.0, 0.0]),
  }
  sums = tasks.of_mixed(tasks.classify, logits, batch)
  nll = -np.asarray(jax.nn.log_softmax(logits))
  expected = 0.75 * nll[0, 0] + 0.25 * nll[0, 1] + 0.5 * nll[1, 1] + 0.5 * nll[1, 0]
  np.testing.assert_allclose(sums['loss'], expected, rtol=1e-6)
  assert (sums['correct'], sums['count']) == (2, 2)
  gradient = jax.grad(lambda logits: tasks.of_mixed(tasks.classify, logits, batch)['loss'])(logits)
  target = np.array([[0.75, 0.25, 0], [0.5, 0.5, 0]])  # cross entropy of the mixed label
  np.testing.assert_allclose(gradient[:2], jax.nn.softmax(logits[:2]) - target, atol=1e-6)


def test_test_augmentation_is_the_mean_of_probabilities_and_a_figure_of_its_own(small_cnn):
  """Compares with probabilities computed image by image; the other figures do not change."""
  plain = experiment.build(small_cnn, 'small')
  both = experiment.build({**small_cnn, 'test_augment': ['flip', 'shift']}, 'small')
  state = plain.initial_state()
  one, two = (evaluation.of_splits(built)(parallel.replicate(state)) for built in (plain, both))
  assert set(two['test']) - set(one['test']) == {'correct_augmented'}
  assert set(two['validation']) == set(one['validation'])
  assert {name: float(two['test'][name]) for name in one['test']} == one['test']
  columns = plain.data.splits['test'].arrays
  padded = np.pad(columns['image'], ((0, 0), (1, 1), (1, 1), (0, 0)), mode='edge')
  seen = [columns['image'], padded[:, 2:, 2:], padded[:, :28, :28]]
  seen += [images[:, :, ::-1] for images in seen]
  probabilities = sum(
    jax.nn.softmax(plain.recipe.model.apply(state.variables(), images.astype(np.float32) / 255))
    for images in seen
  )
  correct = (np.asarray(probabilities).argmax(-1) == columns['label']).sum()
  assert two['test']['correct_augmented'] == correct
  assert identity.of('test_augment').resume is identity.Resume.ALWAYS


def test_views_are_the_image_mirrored_and_shifted():
  image = jnp.arange(6).reshape(1, 2, 3, 1)
  found = [
    np.asarray(view(image))[0, ..., 0].tolist() for view in views.read(('flip', 'shift'), '')
  ]
  assert found[:3] == [[[0, 1, 2], [3, 4, 5]], [[4, 5, 5], [4, 5, 5]], [[0, 0, 1], [0, 0, 1]]]
  assert found[3:] == [[row[::-1] for row in picture] for picture in found[:3]]


@pytest.mark.parametrize(
  ('key', 'value', 'message'),
  [
    ('accumulate', 0, r'config\.accumulate=0 is not an integer from 1 to'),
    (
      'accumulate',
      3,
      r'config\.data\.batch_size=16 does not divide over 1 devices and config\.accumulate=3 and '
      'pairs for cutmix: use 12 or 18',
    ),
    ('test_augment', 'flip', r"config\.test_augment='flip' is not a list of flip and shift: write"),
    ('test_augment', ('mirror',), r'config\.test_augment=.*is not a list of flip and shift'),
    ('plateau', dict(patience='1 epoch'), r'config\.plateau cannot scale the slow weights'),
    ('data.batch_size', 15, r'batch_size=15 does not divide over 1 devices and pairs for cutmix'),
    ('data.splits', {'train': 'train[:61]'}, r'config\.test_augment is set, but there is no test'),
    ('optimizer.frozen', ('pool*',), r"frozen='pool\*' matches no layer with parameters: they are"),
  ],
)
def test_invalid_rules_are_named_in_the_error(key, value, message, all_rules):
  all_rules['accumulate'] = 1
  *sections, last = key.split('.')
  node = all_rules
  for section in sections:
    node = node[section]
  node[last] = value
  with pytest.raises(ValueError, match=message):
    experiment.build(all_rules, 'small')


def test_rules_that_do_not_fit_a_task_are_refused(small_autoencoder, small_text):
  small_autoencoder['data']['augment'] = [dict(kind='mixup')]
  message = r"config\.task='reconstruct' has no labels that mixup and cutmix can mix: leave them"
  with pytest.raises(ValueError, match=message):
    experiment.build(small_autoencoder, 'small')
  message = r"config\.test_augment is set, but the outputs of config\.task='next_char' are not"
  with pytest.raises(ValueError, match=message):
    experiment.build({**small_text, 'test_augment': ('flip',)}, 'small')
