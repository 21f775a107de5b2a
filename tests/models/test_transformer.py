"""Tests of the transformer: causality, context, division of a text, gradients, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import slow_after
from jax.test_util import check_grads

from jaxdl import generate, models
from jaxdl.analysis import recurrent, reference, units
from jaxdl.models import sampling, table
from jaxdl.ops import rotate
from jaxdl.step import tasks
from jaxdl.training import experiment, loop

SECTION = dict(name='transformer', classes=9, features=8, layers=1, heads=2, context=4)
KINDS = {'rotary': dict(), 'learned': dict(positions='learned', tie=False)}
TEXT = np.random.default_rng(0).integers(0, 9, (2, 11)).astype(np.int32)


def built(**keywords):
  model = models.build({**SECTION, **keywords})
  shapes = jax.eval_shape(model.init, jax.random.key(0), TEXT)
  draw = np.random.default_rng(1).normal
  return model, jax.tree.map(lambda leaf: jnp.asarray(draw(size=leaf.shape) * 0.5), shapes)


def empty_carry(model, variables):
  shapes = jax.eval_shape(
    lambda: model.apply(variables, TEXT[:, :1], reset=jnp.ones(2, bool), mutable=['carry'])
  )
  return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes[1]['carry'])


@functools.cache
def compiled(model):
  return jax.jit(functools.partial(model.apply, mutable=['carry']))


def read(model, variables, sizes, carry=None, first=True):
  """The logits of TEXT read in pieces of the given sizes."""
  carry, place, parts = carry or empty_carry(model, variables), 0, []
  apply = compiled(model)
  for size in sizes:
    logits, updated = apply(
      {**variables, 'carry': carry},
      TEXT[:, place : place + size],
      reset=jnp.full(2, first and place == 0),
    )
    carry, place = updated['carry'], place + size
    parts.append(logits)
  return np.concatenate(parts, axis=1), carry


@pytest.mark.slow
@pytest.mark.parametrize('kind', KINDS)
def test_the_division_of_a_text_changes_no_logit(kind):
  model, variables = built(**KINDS[kind])
  expected = jax.jit(model.apply)(variables, TEXT)
  for sizes in ([1] * 11, [5, 6]):
    logits, carry = read(model, variables, sizes)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
  again, _ = read(model, variables, [5, 6], carry)  # `reset` forgets what was read
  np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-5)
  assert np.abs(read(model, variables, [5, 6], carry, first=False)[0] - expected).max() > 1e-2


@pytest.mark.parametrize('kind', KINDS)
def test_the_characters_that_a_block_sees(kind):
  """Character 6 of one block: with rotary positions 3 to 6, with learned ones its block, 4 to 6."""
  model, variables = built(**KINDS[kind])
  apply = jax.jit(model.apply)
  changed = np.tile(TEXT[:1], (11, 1))
  changed[range(11), range(11)] = (changed[0] + 1) % 9  # text n has another character n
  logits = apply(variables, np.concatenate([TEXT[:1], changed]))[:, 6]
  differences = np.abs(logits[1:] - logits[0]).max(-1)
  seen = np.flatnonzero(differences > 1e-4).tolist()
  assert seen == ([3, 4, 5, 6] if kind == 'rotary' else [4, 5, 6])


def test_products_of_rotated_vectors_depend_on_their_distance():
  vectors = jnp.asarray(np.random.default_rng(0).normal(size=(1, 1, 1, 6)))
  turned = [rotate(vectors, jnp.array([place]))[0, 0, 0] for place in (0, 3, 50, 53)]
  assert float(turned[0] @ turned[1]) == pytest.approx(float(turned[2] @ turned[3]), rel=1e-4)
  pair = np.array([vectors[0, 0, 0, 1], vectors[0, 0, 0, 4]])  # turns by 3 / 10000^(1/3) radians
  angle = 3 / 10000 ** (1 / 3)
  rotation = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
  np.testing.assert_allclose(turned[1][jnp.array([1, 4])], rotation @ pair, rtol=1e-5)


@pytest.mark.parametrize('kind', slow_after(1, list(KINDS)))
def test_gradients_match_finite_differences(kind):
  """Covers all parameters, with keys and values of earlier characters, dropout and padding."""
  with jax.enable_x64(True):
    model, variables = built(dropout=0.3, **KINDS[kind])
    _, carry = read(model, variables, [3])
    batch = {'label': jnp.asarray(TEXT[:, 1:6]), 'mask': jnp.ones((2, 5)).at[1, 3:].set(0)}

    def loss(params):
      logits, _ = model.apply(
        {'params': params, 'carry': carry},
        TEXT[:, :5],
        train=True,
        reset=jnp.array([True, False]),
        index=jnp.arange(2),
        mutable=['carry'],
        rngs={'dropout': jax.random.PRNGKey(1)},
      )
      return tasks.next_char(logits, batch)['loss']

    check_grads(
      jax.jit(loss), (variables['params'],), order=1, modes=('rev',), atol=1e-6, rtol=1e-6
    )


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.slow
def test_the_reference_and_the_analyses_equal_the_model(kind):
  section = {**SECTION, 'layers': 2, **KINDS[kind]}
  with jax.enable_x64(True):
    model, variables = built(layers=2, **KINDS[kind])
    names = list(units.shapes(model, variables, TEXT))
    expected, outputs = jax.jit(lambda *args: units.outputs(model, *args, names))(variables, TEXT)
    logits, found = reference.forward({'model': section}, variables, TEXT)
    assert list(found) == names
    for name in names:
      np.testing.assert_allclose(found[name], outputs[name], rtol=1e-10, atol=1e-12)
    text = recurrent.characters(model, variables, TEXT[0])
    np.testing.assert_allclose(text.hidden, outputs['block2'][0], rtol=1e-10)
    of_next = jax.nn.log_softmax(expected[0])[jnp.arange(10), TEXT[0, 1:]]
    np.testing.assert_allclose(text.bits[1:], -of_next / np.log(2), rtol=1e-10)
    weights = recurrent.attention(model, variables, TEXT[0, :4])
  assert list(weights) == ['attention1', 'attention2']
  for of_layer in weights.values():
    assert of_layer.shape == (2, 4, 4)
    np.testing.assert_allclose(of_layer.sum(-1), 1)
    assert not np.triu(of_layer, 1).any()


@pytest.mark.slow
def test_generated_text_is_the_most_likely_continuation():
  model, variables = built()
  (added,) = sampling.generate(model, variables, [TEXT[0, :3].tolist()], length=6, temperature=0)
  text = np.concatenate([TEXT[0, :3], added])
  logits = jax.jit(model.apply)(variables, text[None, :-1])[0]
  np.testing.assert_array_equal(added, logits[2:].argmax(-1))


def test_tied_weights_are_counted_once():
  rows = {row['name']: row for row in table.layers(built()[0], (5,), 'int32')}
  assert rows['logits']['parameters'] == 9
  assert rows['embedding']['parameters'] == 9 * 8
  assert rows['attention1']['parameters'] == 4 * (8 * 8 + 8)
  untied = table.layers(built(tie=False)[0], (5,), 'int32')
  assert untied[-1]['parameters'] == 8 * 9 + 9


@pytest.mark.slow
def test_a_transformer_is_trained_and_writes(small_text, tmp_path, capsys):
  section = {**SECTION, 'classes': 'classes', 'features': 32, 'context': 32}
  text = {**small_text['data'], 'time_step': 32}
  text['splits'] = dict(train='train[:100000]', validation='train[100000:104000]')
  config = {
    **small_text,
    'data': text,
    'model': section,
    'optimizer': dict(name='adam', learning_rate=1e-2),
    'train_for': '300 steps',
    'evaluate_every': '150 steps',
  }
  summary = loop.train(experiment.build(config, 'text'), tmp_path)
  assert summary['steps'] == 300
  assert summary['validation_bits_per_character'] < 4.5  # that of the frequencies is about 4.8
  capsys.readouterr()
  assert generate.main(['generate', str(tmp_path), '--prime=ROMEO', '--length=20']) == 0
  assert capsys.readouterr().out.startswith('ROMEO')


@pytest.mark.parametrize(
  ('keywords', 'message'),
  [
    (dict(positions='sine'), "positions='sine' is unknown: use one of rotary, learned"),
    (dict(heads=3), 'heads=3 does not divide config.model.features=8: use a divisor'),
    (dict(heads=8), 'gives each of 8 heads 1 numbers, which rotary positions cannot pair'),
    (dict(context=1), r'context=1 is not an integer from 2 to 1,048,576'),
    (dict(layers=[dict(kind='dense', features=3)]), 'is the number of its blocks: write 1 or more'),
  ],
)
def test_errors_name_the_fix(keywords, message):
  with pytest.raises(ValueError, match=message):
    table.layers(models.build({**SECTION, **keywords}), (5,), 'int32')
