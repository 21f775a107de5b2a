"""Own code in every place that may name it, alone, in sweeps and in several processes."""

import copy
import functools
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import SMALL, state_of
from training_helpers import leaves

from jaxdl import sweep as sweep_command
from jaxdl.config import reading
from jaxdl.data import augment
from jaxdl.models import table
from jaxdl.runs import record
from jaxdl.step import optimizers, tasks
from jaxdl.sweeps import members
from jaxdl.terminal import command
from jaxdl.training import experiment, loop

PARTS = """\
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax
from jaxdl.data import Source


class Mean(nn.Module):
  features: int = 6
  classes: int = 10
  dropout: float = 0.0

  @nn.compact
  def __call__(self, inputs, train=False):
    rows = nn.tanh(nn.Dense(self.features, name='rows')(inputs)).mean(1)
    rows = nn.Dropout(self.dropout, deterministic=not train)(rows)
    return nn.Dense(self.classes, name='logits')(rows)


def squares(outputs, batch, *, power):
  own = (jnp.abs(outputs - nn.one_hot(batch['label'], 10)) ** power).sum(-1)
  return {'loss': (own * batch['mask']).sum(), 'count': batch['mask'].sum()}


def half(steps, *, at):
  return lambda step: jnp.where(step < at, 1.0, 0.5)


def descent(schedule, *, learning_rate):
  return optax.scale_by_learning_rate(lambda step: learning_rate * schedule(step))


def darker(key, image, *, by):
  return image * by


def dots(*, count):
  image = np.zeros((count, 6, 6, 1), np.uint8)
  image[np.arange(count), np.arange(count) % 6] = 255
  part = dict(image=image, label=(np.arange(count) % 3).astype(np.int32))
  return Source('made', classes=('a', 'b', 'c'), columns={'train': part, 'test': part})
"""


@pytest.fixture
def parts(tmp_path):
  file = tmp_path / 'parts.py'
  file.write_text(PARTS)
  return lambda name: f'{file}:{name}'


@pytest.fixture
def config():
  return copy.deepcopy(SMALL)


def test_a_plain_flax_model_has_a_layer_table_and_its_own_output(parts, config):
  config['model'] = {'name': parts('Mean'), 'classes': 'classes'}
  built = experiment.build(config)
  rows = [(row['name'], row['type'], row['output'], row['parameters']) for row in built.layers]
  assert ('rows', 'Dense', [28, 6], 28 * 6 + 6) in rows
  assert rows[-1] == ('logits', 'Dense', [10], 70)
  config['model'] = {'name': parts('Mean'), 'classes': 9}
  with pytest.raises(ValueError, match=r'output \[9\], but mnist has 10 classes'):
    experiment.build(config)
  config['model'] = {'name': parts('Mean'), 'feature': 9}
  with pytest.raises(ValueError, match=r'config\.model\.feature .*did you mean features\?'):
    experiment.build(config)


def test_the_layer_table_counts_shared_and_free_parameters_once():
  class Shared(nn.Module):
    @nn.compact
    def __call__(self, inputs):
      layer = nn.Dense(28, name='twice')
      states = nn.RNN(nn.LSTMCell(5), name='rnn')(layer(layer(inputs)))
      return states[:, -1] * self.param('scale', nn.initializers.ones, (5,))

  model = Shared()
  rows = {row['name']: row for row in table.layers(model, (4, 28))}
  variables = model.init(jax.random.PRNGKey(0), np.zeros((1, 4, 28)))
  count = sum(leaf.size for leaf in jax.tree.leaves(variables))
  assert table.totals(list(rows.values()))['parameters'] == count
  assert (rows['twice']['parameters'], rows['scale']['parameters']) == (28 * 29, 5)
  assert table.output_shape(model, (4, 28)) == [5]


@pytest.mark.slow
def test_layers_of_own_code_and_of_flax_in_a_list(config, tmp_path):
  (tmp_path / 'gain.py').write_text(
    'import flax.linen as nn\n\nclass Gain(nn.Module):\n  by: float\n\n'
    '  def __call__(self, inputs, context):\n    return inputs * self.by\n'
  )
  config['data']['layout'] = 'image'
  layers = [
    dict(kind='flatten'),
    dict(kind='flax.linen:Dense', features=12),
    dict(kind='flax.linen:BatchNorm'),
    dict(kind='flax.linen:Dropout', rate=0.5),
    dict(kind=f'{tmp_path / "gain.py"}:Gain', by=2.0, name='double'),
    dict(kind='dense', features=10, activate=False, name='logits'),
  ]
  config.update(model=dict(name='cnn', layers=layers), train_for='1 steps')
  built = experiment.build(config)
  names = [(row['name'], row['type']) for row in built.layers]
  assert names == [
    ('flatten1', 'Flatten'),
    ('dense1', 'Dense'),
    ('batchnorm1', 'BatchNorm'),
    ('dropout1', 'Dropout'),
    ('double', 'Gain'),
    ('logits', 'Dense'),
  ]
  loop.train(built, tmp_path / 'run')
  before, after = built.initial_state(), state_of(built, tmp_path / 'run')
  assert not np.array_equal(
    before.batch_stats['batchnorm1']['mean'], after.batch_stats['batchnorm1']['mean']
  )
  layers[4]['to'] = 3
  with pytest.raises(ValueError, match=r'layers\[4\]\.to is not a key .*: its keys are by, kind'):
    experiment.build(config)
  layers[4] = dict(kind='flax.linen:relu')
  with pytest.raises(ValueError, match="'flax.linen:relu' is not a layer: name a class"):
    experiment.build(config)


def test_a_task_is_measured_with_the_arguments_that_it_needs(parts, config):
  config['task'] = {'name': parts('squares'), 'power': 2}
  config['model']['classes'] = 10
  built = experiment.build(config)
  outputs, batch = jnp.zeros((2, 10)), {'label': jnp.array([1, 2]), 'mask': jnp.array([1.0, 0])}
  for task in (built.recipe.task, built.evaluation_task):
    assert {name: float(value) for name, value in task(outputs, batch).items()} == {
      'loss': 1,
      'count': 1,
    }
  config['task'] = {'name': parts('squares')}
  with pytest.raises(ValueError, match=r'config\.task\.power is missing'):
    experiment.build(config)
  assert tasks.build('classify')[1] is tasks.classify


def test_an_optimizer_a_schedule_and_one_of_optax(parts, config):
  config['optimizer'] = {'name': parts('descent'), 'learning_rate': 0.5}
  config['schedule'] = {'name': parts('half'), 'at': 3}
  built = experiment.build(config)
  gradient = jnp.ones(2)
  state = built.recipe.optimizer.init(gradient)
  steps = []
  for _ in range(5):
    update, state = built.recipe.optimizer.update(gradient, state)
    steps.append(float(update[0]))
  assert steps == [-0.5, -0.5, -0.5, -0.25, -0.25]
  assert [built.learning_rate(step, None) for step in (3, 4)] == [0.5, 0.25]
  config = {**copy.deepcopy(SMALL), 'optimizer': {'name': 'optax:sgd', 'learning_rate': 1e-2}}
  theirs = leaves(config)
  assert theirs == leaves({**config, 'optimizer': {'name': 'sgd', 'learning_rate': 1e-2}})
  config['optimizer'] = {'name': 'optax:lion', 'learning_rate': 1e-2, 'b3': 1}
  with pytest.raises(ValueError, match=r'optimizer\.b3 is not a key .* learning_rate, b1, b2'):
    experiment.build(config)
  config['optimizer'] = {'name': 'optax:lion', 'learning_rate': -1}
  with pytest.raises(ValueError, match=r'optimizer\.learning_rate=-1 is out of range'):
    experiment.build(config)


def test_an_augmentation(parts, config):
  config['data'].update(layout='image', augment=[dict(kind=parts('darker'), by=0.5)])
  config['model'] = dict(
    name='cnn', layers=[dict(kind='flatten'), dict(kind='dense', features=10, activate=False)]
  )
  built = experiment.build(config)
  split = built.data.splits['train']
  feed = {name: values[0] for name, values in split.feed(0, 1).items()}
  batch = split.fetch(split.arrays, feed)
  plain, changed = (
    built.data.prepare(batch, **keywords)['inputs']
    for keywords in ({}, {'key': jax.random.PRNGKey(0)})
  )
  np.testing.assert_allclose(changed, plain / 2, atol=1e-6)
  assert 'darker' not in augment.KINDS


def test_a_data_set(parts, config, tmp_path):
  data = dict(name=parts('dots'), count=30, batch_size=6, scale='unit')
  config['data'] = {**data, 'splits': dict(train='train[:24]', test='test[24:]')}
  config['model'] = dict(
    name='cnn',
    layers=[dict(kind='flatten'), dict(kind='dense', features='classes', activate=False)],
  )
  built = experiment.build(config)
  assert (built.data.name, built.data.origin) == ('dots', 'made')
  assert (built.data.splits['test'].count, built.data.input_shape()) == (6, (6, 6, 1))
  config['data']['counts'] = config['data'].pop('count')
  with pytest.raises(ValueError, match=r'data\.counts .*did you mean count\?'):
    experiment.build(config)


def test_a_data_set_that_returns_something_else(config, tmp_path):
  (tmp_path / 'parts.py').write_text('def dots():\n  return [1]\n')
  config['data'] = dict(
    name=f'{tmp_path / "parts.py"}:dots', batch_size=6, splits=dict(train='train')
  )
  with pytest.raises(ValueError, match=r'dots. returns a list: return a jaxdl\.data\.Source'):
    experiment.build(config)


def test_objects_in_python_equal_the_same_objects_by_name(parts, config):
  config['optimizer'] = {'name': optax.sgd, 'learning_rate': 1e-2}
  built = experiment.build(config)
  assert built.config['optimizer']['name'] == 'optax._src.alias:sgd'
  assert isinstance(built.recipe.optimizer, optax.GradientTransformation)
  assert optimizers.OPTIMIZERS.keys() >= {'sgd'}


@pytest.mark.slow
def test_runs_of_a_sweep_are_compiled_together(parts, config, config_file, tmp_path, capsys):
  """Also with another file of the same name; the second call finds the runs finished."""
  config['model'] = {'name': 'parts.py:Mean', 'classes': 'classes', 'dropout': 0.3}
  parts('Mean')
  config_file({**config, 'train_for': '2 steps'}, 'base')
  rates = [dict(name=f'r{rate}', optimizer=dict(learning_rate=rate)) for rate in (0.01, 0.1)]
  file = config_file(
    {'base': 'base.py', 'seeds': (0,), 'axes': [dict(name='rate', choices=rates)]}, 'sweep'
  )
  found = members.read(reading.read_file(file), file)
  assert found[0].config['model']['name'] == 'parts.py:Mean'
  arguments = ['sweep', f'--config={file}', f'--workdir={tmp_path / "out"}', '--together=always']
  assert command.run(sweep_command.main, arguments) == 0
  assert 'compiled together: r0.01 (seed 0); r0.1 (seed 0)' in capsys.readouterr().out
  assert (tmp_path / 'out/r0_1/seed0/code/parts.py').read_text() == PARTS
  finished = functools.partial(record.finished, tmp_path / 'out/r0_1/seed0')
  assert finished(found[1].config) is not None
  built = members.built(found[1])
  loop.train(built, tmp_path / 'alone')
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
    *(state_of(built, place).params for place in (tmp_path / 'alone', tmp_path / 'out/r0_1/seed0')),
  )
  (tmp_path / 'parts.py').write_text(PARTS + '# changed\n')
  assert finished(members.read(reading.read_file(file), file)[1].config) is None


def test_members_with_other_files_of_the_same_name_are_separate(config, config_file, tmp_path):
  for name in ('a', 'b'):
    (tmp_path / name).mkdir()
    (tmp_path / name / 'parts.py').write_text(f'{PARTS}\n# {name}\n')
  config_file({**config, 'model': {'name': 'a/parts.py:Mean'}}, 'base')
  choices = [dict(name=name, model=dict(name=f'{name}/parts.py:Mean')) for name in ('a', 'b')]
  file = config_file(
    {'base': 'base.py', 'seeds': (0,), 'axes': [dict(name='which', choices=choices)]}, 'sweep'
  )
  found = members.read(reading.read_file(file), file)
  groups = sweep_command.grouping.grouped(found, together='always')
  assert [len(group) for group in groups] == [1, 1]
  assert json.dumps(found[0].config) == json.dumps(found[1].config)
