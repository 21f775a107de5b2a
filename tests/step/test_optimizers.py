"""Tests of optimizers: each equals its published update rule, written in NumPy."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from jaxdl.config import named
from jaxdl.step import optimizers, schedules

GRADIENTS = [
  np.array([0.3, -2.0]),
  np.array([0.1, 0.4]),
  np.array([-1.0, 0.2]),
  np.array([0.5, 0.5]),
]
RATE = 0.1


def run_optimizer(name, gradients, schedule=lambda step: 1.0, start=(0.0, 0.0), **arguments):
  """Returns a parameter [2] after one update per gradient."""
  optimizer = optimizers.OPTIMIZERS[name](schedule, learning_rate=RATE, **arguments)
  params = jnp.array([start], jnp.float32)
  state = optimizer.init(params)
  for gradient in gradients:
    updates, state = optimizer.update(jnp.asarray(gradient, jnp.float32)[None], state, params)
    params = params + updates
  return params[0]


def numpy_adam(gradients, *, start=0.0, decay=0.0, b1=0.9, b2=0.999, eps=1e-8):
  first = second = 0.0
  param = start
  for step, gradient in enumerate(gradients, start=1):
    first, second = b1 * first + (1 - b1) * gradient, b2 * second + (1 - b2) * gradient**2
    param = param - RATE * (
      first / (1 - b1**step) / (np.sqrt(second / (1 - b2**step)) + eps) + decay * param
    )
  return param


def numpy_sgd(gradients, *, start=0.0, decay=0.0, momentum=0.0, nesterov=False):
  param, velocity = start, 0.0
  for gradient in gradients:
    velocity = momentum * velocity + gradient
    param = param - RATE * (
      (gradient + momentum * velocity if nesterov else velocity) + decay * param
    )
  return param


def numpy_adagrad(gradients):
  param, squares = 0.0, 0.1
  for gradient in gradients:
    squares = squares + gradient**2
    param = param - RATE * gradient / np.sqrt(squares + 1e-7)
  return param


def numpy_rmsprop(gradients):
  param, squares = 0.0, 0.0
  for gradient in gradients:
    squares = 0.9 * squares + 0.1 * gradient**2
    param = param - RATE * gradient / np.sqrt(squares + 1e-7)
  return param


def numpy_lion(gradients, *, start=0.0, decay=0.001, b1=0.9, b2=0.99):
  param, mean = start, 0.0
  for gradient in gradients:
    param = param - RATE * (np.sign(b1 * mean + (1 - b1) * gradient) + decay * param)
    mean = b2 * mean + (1 - b2) * gradient
  return param


START = np.array([2.0, -1.0])
CASES = [
  ('adam', {}, numpy_adam(GRADIENTS)),
  ('adamw', dict(start=START), numpy_adam(GRADIENTS, start=START, decay=0.01)),
  ('sgd', {}, numpy_sgd(GRADIENTS)),
  ('sgd', dict(start=START, weight_decay=0.3), numpy_sgd(GRADIENTS, start=START, decay=0.3)),
  ('momentum', {}, numpy_sgd(GRADIENTS, momentum=0.9)),
  (
    'momentum',
    dict(start=START, weight_decay=0.3, momentum=0.5),
    numpy_sgd(GRADIENTS, start=START, decay=0.3, momentum=0.5),
  ),
  ('nesterov', {}, numpy_sgd(GRADIENTS, momentum=0.9, nesterov=True)),
  (
    'nesterov',
    dict(start=START, weight_decay=0.3),
    numpy_sgd(GRADIENTS, start=START, decay=0.3, momentum=0.9, nesterov=True),
  ),
  ('adagrad', {}, numpy_adagrad(GRADIENTS)),
  ('rmsprop', {}, numpy_rmsprop(GRADIENTS)),
  ('lion', dict(start=START), numpy_lion(GRADIENTS, start=START)),
]


@pytest.mark.parametrize(
  ('name', 'arguments', 'expected'),
  CASES,
  ids=lambda value: value if isinstance(value, str) else '',
)
def test_optimizer_equals_its_published_update_rule(name, arguments, expected):
  np.testing.assert_allclose(run_optimizer(name, GRADIENTS, **arguments), expected, rtol=1e-4)


@pytest.mark.parametrize('name', optimizers.OPTIMIZERS)
def test_clipping_scales_gradients_by_their_global_norm(name):
  norms = [np.linalg.norm(gradient) for gradient in GRADIENTS]
  clipped = [gradient * min(1, 0.5 / norm) for gradient, norm in zip(GRADIENTS, norms, strict=True)]
  np.testing.assert_allclose(
    run_optimizer(name, GRADIENTS, clip_norm=0.5), run_optimizer(name, clipped), rtol=1e-5
  )
  assert not np.allclose(
    run_optimizer('sgd', GRADIENTS, clip_norm=0.5), run_optimizer('sgd', GRADIENTS)
  )


@pytest.mark.parametrize('name', optimizers.OPTIMIZERS)
def test_schedule_multiplies_the_learning_rate(name):
  np.testing.assert_array_equal(run_optimizer(name, GRADIENTS, schedule=lambda step: 0.0), 0)
  np.testing.assert_allclose(
    run_optimizer(name, GRADIENTS, schedule=lambda step: jnp.where(step < 2, 1.0, 0.0)),
    run_optimizer(name, GRADIENTS[:2]),
    rtol=1e-6,
  )


@pytest.mark.parametrize('name', ['adamw', 'sgd', 'momentum', 'nesterov', 'lion', 'muon'])
def test_weight_decay_excludes_biases_and_batch_normalisation(name):
  """With zero gradients, the update is −rate · decay · parameter, also with gradient clipping."""
  params = {
    'conv1': {'kernel': jnp.ones((3, 3, 1, 2)), 'bias': jnp.ones(2)},
    'batch_norm1': {'scale': jnp.ones(2), 'bias': jnp.ones(2)},
    'lstm': {'recurrent_kernel': jnp.ones((2, 8)), 'bias': jnp.ones(8)},
  }
  for decay_all in (False, True):
    optimizer = optimizers.OPTIMIZERS[name](
      schedules.constant(3, 1),
      learning_rate=RATE,
      weight_decay=0.2,
      decay_all=decay_all,
      clip_norm=1.0,
    )
    gradients = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    for path, update in jax.tree_util.tree_leaves_with_path(updates):
      decays = decay_all or 'kernel' in path[-1].key
      np.testing.assert_allclose(update, -0.02 if decays else 0.0, rtol=1e-6, err_msg=str(path))


@pytest.mark.parametrize(
  ('name', 'arguments', 'message'),
  [
    (
      'adam',
      dict(learning_rate=0),
      r'config\.optimizer\.learning_rate=0 is out of range: use a number above 0',
    ),
    (
      'adam',
      dict(learning_rate='fast'),
      r"config\.optimizer\.learning_rate='fast' is not a number: use a number above 0",
    ),
    (
      'adam',
      dict(b1=1.0),
      r'config\.optimizer\.b1=1\.0 is out of range: use a number from 0 to below 1',
    ),
    (
      'sgd',
      dict(clip_norm=-1.0),
      r'config\.optimizer\.clip_norm=-1\.0 is out of range: use a number from 0 on',
    ),
    ('momentum', dict(momentum=1.5), r'config\.optimizer\.momentum=1\.5 is out of range'),
    (
      'adamw',
      dict(weight_decay=float('nan')),
      r'config\.optimizer\.weight_decay=nan is out of range',
    ),
    (
      'sgd',
      dict(decay_all=1),
      r'config\.optimizer\.decay_all=1 is not a boolean: use True or False',
    ),
    ('adagrad', dict(initial=-0.1), r'config\.optimizer\.initial=-0\.1 is out of range'),
    ('rmsprop', dict(decay=True), r'config\.optimizer\.decay=True is not a number'),
    ('rmsprop', dict(decay=1.0), r'config\.optimizer\.decay=1\.0 is out of range'),
    ('lion', dict(b2=1.5), r'config\.optimizer\.b2=1\.5 is out of range'),
    (
      'muon',
      dict(iterations=0),
      r'config\.optimizer\.iterations=0 is not an integer from 1 to 100',
    ),
    ('muon', dict(adam_layers=3), r'config\.optimizer\.adam_layers=3 is not a list of layer names'),
    ('muon', dict(adam_rate=0), r'config\.optimizer\.adam_rate=0 is out of range'),
  ],
)
def test_out_of_range_error_names_the_valid_range(name, arguments, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    optimizers.OPTIMIZERS[name](schedules.constant(3, 1), **{'learning_rate': 0.1, **arguments})


def test_own_optimizer_has_the_named_arguments_of_its_function():
  """Those after * and ** are left out; the learning rate is multiplied by the schedule."""

  def mine(learning_rate, momentum=0.5, *others, **more):
    return optax.sgd(learning_rate, momentum)

  made = optimizers.own(named.Reference('own.py:mine', mine))
  assert list(inspect.signature(made).parameters) == ['schedule', 'learning_rate', 'momentum']
  for arguments, momentum in (({}, 0.5), ({'momentum': 0.25}, 0.25)):
    optimizer = made(lambda step: 0.5, learning_rate=2 * RATE, **arguments)
    params, state = jnp.array(START), optimizer.init(jnp.array(START))
    for gradient in GRADIENTS:
      updates, state = optimizer.update(jnp.asarray(gradient), state, params)
      params = params + updates
    expected = numpy_sgd(GRADIENTS, start=START, momentum=momentum)
    np.testing.assert_allclose(params, expected, rtol=1e-5)
  with pytest.raises(ValueError, match='learning_rate=0 is out of range: use a number above 0'):
    made(lambda step: 1.0, learning_rate=0)


SHAPES = {
  'conv1': {'kernel': (3, 3, 2, 8), 'bias': (8,)},
  'batch_norm1': {'scale': (8,), 'bias': (8,)},
  'lstm': {'recurrent_kernel': (4, 16)},
  'logits': {'kernel': (8, 3), 'bias': (3,)},
}


def random_tree(seed):
  """Returns an array of every shape in SHAPES."""
  shapes, structure = jax.tree.flatten(SHAPES, is_leaf=lambda node: isinstance(node, tuple))
  keys = jax.random.split(jax.random.key(seed), len(shapes))
  drawn = [jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)]
  return structure.unflatten(drawn)


def run_on_tree(optimizer, params, *, steps=3, gradient=lambda step, params: random_tree(step)):
  """Returns the parameters after some steps, by default with random gradients."""

  @jax.jit
  def one(params, state, gradients):
    updates, state = optimizer.update(gradients, state, params)
    return optax.apply_updates(params, updates), state

  state = optimizer.init(params)
  for step in range(steps):
    params, state = one(params, state, gradient(step, params))
  return params


def assert_close(found, expected, **tolerance):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, **{'rtol': 1e-4, 'atol': 1e-6, **tolerance}),
    found,
    expected,
  )


def build(schedule=lambda step: 1.0, **section):
  return optimizers.build({'learning_rate': RATE, **section}, schedule)


def test_muon_equals_that_of_optax():
  """Kernels of convolutions are matrices [9 · 2, 8]; biases and the layer 'logits' use Adam."""

  def matrix(path, values):
    is_matrix = values.ndim > 1 and path[0].key != 'logits'
    axes = tuple(range(values.ndim))
    return contrib.MuonDimensionNumbers(axes[:-1], axes[-1]) if is_matrix else None

  def matrices(params):
    return jax.tree_util.tree_map_with_path(matrix, params)

  theirs = contrib.muon(RATE, adam_learning_rate=RATE / 2, muon_weight_dimension_numbers=matrices)
  ours = build(name='muon', adam_layers=('logits',), adam_rate=0.5)
  params = random_tree(9)
  assert_close(run_on_tree(ours, params), run_on_tree(theirs, params))


def test_muon_update_is_almost_orthogonal():
  """The singular values are √(8 / 4) · 0.7 to 1.2 for 8 outputs and 4 inputs (Jordan et al.)."""
  params = {'dense1': {'kernel': jnp.zeros((4, 8))}}
  gradient = {'dense1': {'kernel': jax.random.normal(jax.random.key(0), (4, 8))}}
  after = run_on_tree(build(name='muon'), params, steps=1, gradient=lambda *_: gradient)
  values = np.linalg.svd(np.asarray(after['dense1']['kernel']), compute_uv=False)
  assert (values > 0.65 * RATE * 2**0.5).all()
  assert (values < 1.25 * RATE * 2**0.5).all()


@pytest.mark.parametrize('name', ['sgd', 'momentum'])
def test_lookahead_equals_that_of_optax(name):
  """After 3 and 6 of 7 steps, the parameters return halfway to the slow ones."""
  params, fast = random_tree(9), build(name=name)
  theirs = optax.lookahead(fast, sync_period=3, slow_step_size=0.4)
  pair = optax.LookaheadParams.init_synced(params)
  state = theirs.init(pair)
  for step in range(7):
    updates, state = theirs.update(random_tree(step), state, pair)
    pair = optax.apply_updates(pair, updates)
  found = run_on_tree(build(name=name, lookahead=dict(every=3, rate=0.4)), params, steps=7)
  assert_close(found, pair.fast, rtol=1e-5)


def test_groups_have_their_own_rate_and_decay_and_frozen_layers_do_not_change():
  """Gradient descent: w ← w − rate · (g + decay · w); biases have no decay."""
  params, gradients = random_tree(9), random_tree(0)
  groups = [
    dict(layers='conv*', rate=0.1, weight_decay=0.0),
    dict(layers=['lstm', 'conv1'], rate=2.0),
  ]
  optimizer = build(name='sgd', weight_decay=0.5, groups=groups, frozen=('batch_*',))
  found = run_on_tree(optimizer, params, steps=1)
  rules = {'conv1': (0.1, 0.0), 'lstm': (2.0, 0.5), 'logits': (1.0, 0.5), 'batch_norm1': (0.0, 0.0)}
  for layer, (rate, decay) in rules.items():
    for name, before in params[layer].items():
      own = decay if before.ndim > 1 else 0.0
      expected = before - RATE * rate * (gradients[layer][name] + own * before)
      np.testing.assert_allclose(found[layer][name], expected, rtol=1e-5, atol=1e-6, err_msg=layer)
  for name, before in params['batch_norm1'].items():
    np.testing.assert_array_equal(found['batch_norm1'][name], before)


@pytest.mark.parametrize('name', ['adam', 'muon', 'lion'])
def test_a_group_of_all_layers_equals_the_optimizer_without_groups(name):
  params = random_tree(9)
  grouped = build(name=name, learning_rate=2 * RATE, groups=[dict(layers='*', rate=0.5)])
  assert_close(run_on_tree(grouped, params), run_on_tree(build(name=name), params), rtol=1e-5)


def test_clipping_uses_the_norm_of_all_layers_that_are_not_frozen():
  params, gradients = jax.tree.map(jnp.zeros_like, random_tree(9)), random_tree(0)
  groups = [dict(layers='conv*', rate=1.0)]
  optimizer = build(name='sgd', clip_norm=0.1, groups=groups, frozen=('lstm',))
  found = run_on_tree(optimizer, params, steps=1)
  norm = optax.tree.norm({name: part for name, part in gradients.items() if name != 'lstm'})
  for layer in ('conv1', 'logits', 'batch_norm1'):
    for name, gradient in gradients[layer].items():
      np.testing.assert_allclose(
        found[layer][name], -RATE * 0.1 / norm * gradient, rtol=1e-4, atol=1e-8
      )


ROWS = [dict(name=name, parameters=9, trainable=9) for name in ('conv1', 'conv2', 'logits')] + [
  dict(name='flatten1', parameters=0, trainable=0)
]


def test_frozen_layers_have_no_trainable_parameters():
  rows = optimizers.check_layers(dict(frozen=('conv*',)), ROWS)
  assert [row['trainable'] for row in rows] == [0, 0, 9, 0]
  assert [row['parameters'] for row in rows] == [9, 9, 9, 0]


@pytest.mark.parametrize(
  ('section', 'message'),
  [
    (
      dict(frozen='kernel'),
      r"config\.optimizer\.frozen='kernel' matches no layer with parameters: they are conv1, conv2, "
      'logits',
    ),
    (dict(frozen=('flatten1',)), r"frozen='flatten1' matches no layer with parameters"),
    (dict(frozen=('conv?', 'logits')), r"frozen=\['conv\?', 'logits'\] freezes every layer"),
    (dict(groups=[dict(layers='conf*')]), r"groups\[0\]\.layers='conf\*' matches no layer"),
    (dict(name='muon', adam_layers=('x',)), r"adam_layers='x' matches no layer"),
  ],
)
def test_pattern_error_lists_the_layers(section, message):
  with pytest.raises(ValueError, match=message):
    optimizers.check_layers(section, ROWS)


@pytest.mark.parametrize(
  ('section', 'message'),
  [
    (dict(groups='conv*'), r"config\.optimizer\.groups='conv\*' is not a list of groups: write"),
    (dict(groups=['conv*']), r"config\.optimizer\.groups\[0\]='conv\*' is not a section"),
    (dict(groups=[dict(rate=0.1)]), r'config\.optimizer\.groups\[0\]\.layers is missing'),
    (dict(groups=[dict(layers='*', lr=1)]), r'groups\[0\]\.lr is not a key of this section'),
    (dict(groups=[dict(layers='*', rate=0)]), r'groups\[0\]\.rate=0 is out of range: use a number'),
    (dict(groups=[dict(layers=3)]), r'groups\[0\]\.layers=3 is not a list of layer names'),
    (
      dict(groups=[dict(layers='*', weight_decay=0.1)]),
      r'groups\[0\]\.weight_decay is set, but adam has no weight decay: use adamw',
    ),
    (dict(frozen=[3]), r'config\.optimizer\.frozen=\[3\] is not a list of layer names'),
    (dict(lookahead=dict(every=0)), r'lookahead\.every=0 is not an integer from 1 to'),
    (dict(lookahead=dict(rate=2)), r'lookahead\.rate=2 is out of range: use a number above 0, at'),
    (dict(lookahead=5), r'config\.optimizer\.lookahead=5 is not a section'),
    (
      dict(freeze='conv1'),
      r'freeze is not a key of this section: .*frozen, lookahead.*mean frozen',
    ),
  ],
)
def test_invalid_additions_are_named_in_the_error(section, message):
  with pytest.raises(ValueError, match=message):
    build(name='adam', **section)
