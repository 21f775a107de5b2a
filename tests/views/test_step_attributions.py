"""Tests of the pictures of attributions of rows, steps and characters."""

import pathlib

import jax
import numpy as np
import pytest
from helpers import slow_after

from jaxdl import models
from jaxdl.views import step_attributions
from jaxdl.views.subject import Subject
from jaxdl.views.view import Choice


def subject_of(section, inputs, labels, *, kind='recurrent', classes=('a', 'b'), images=None):
  model = models.build(section)
  return Subject(
    workdir=pathlib.Path('run'),
    name='data',
    split='test',
    step=1,
    kind=kind,
    model=model,
    variables=model.init(jax.random.PRNGKey(0), inputs),
    config={},
    classes=tuple(classes),
    inputs=inputs,
    labels=labels,
    images=images,
    targets=None,
    available=len(inputs),
  )


def random_rows(width=6):
  return np.random.default_rng(0).random((5, 4, width), np.float32)


def texts(figure):
  return [one.get_text() for axis in figure.axes for one in (*axis.texts, axis.title)]


def test_rows_are_shown_beside_the_image_with_both_figures():
  inputs = random_rows()
  inputs[:, 0] = 0  # black
  section = dict(name='recurrent', cell='lstm', features=3, classes=2)
  images = inputs.reshape(5, 4, 3, 2)
  seen = subject_of(section, inputs, np.array([0, 0, 1, 1, 1]), images=images)
  (result,) = step_attributions.of_rows(seen, Choice())
  assert result.arrays['examples'].tolist() == [0, 2], 'the first example of each class'
  assert len(result.figure.axes) == 2 * 8, 'an image and seven methods for each example'
  found = result.facts['methods']
  assert result.facts['measured'] == 5
  assert found['saliency']['completeness_error'] is None
  gradients = found['integrated gradients']
  assert gradients['completeness_error'] < 1e-4 * gradients['score_difference']
  assert gradients['first_step_share'] == 0, 'a black row has no attribution'
  assert 0 < gradients['first_filled_step_share'] < 1
  taken = result.facts['lrp']
  assert found['LRP']['completeness_error'] <= taken['biases'] + taken['stabiliser'] + 1e-6
  assert taken['stabiliser'] > 0
  assert 'integrated\ngradients\nerror 0.0 %\nfirst row 0.0 %' in texts(result.figure)
  assert any(title.startswith('saliency\nno sum\nfirst row ') for title in texts(result.figure))
  shown = result.figure.axes[4].get_images()[0].get_array()
  assert shown.shape == (4, 3 + 1 + 4), 'pixels, a gap, and the strip of the rows'
  maps = result.arrays['integrated gradients'][0]
  of_pixels = maps.reshape(4, 3, 2).sum(-1)
  np.testing.assert_allclose(shown[:, :3], of_pixels / np.abs(of_pixels).max(), atol=1e-6)
  np.testing.assert_allclose(
    shown[:, -1], maps.sum(-1) / np.abs(maps.sum(-1)).max(), rtol=1e-4, atol=1e-6
  )


@pytest.mark.slow
def test_steps_without_an_image_are_shown_without_their_mask():
  inputs = random_rows(width=3)
  inputs[..., -1] = np.arange(4) < np.array([4, 2, 3, 4, 1])[:, None]
  section = dict(name='recurrent', cell='gru', features=3, classes=2, masked=True)
  seen = subject_of(section, inputs, np.array([0, 0, 1, 1, 1]))
  (result,) = step_attributions.of_rows(seen, Choice())
  widths = {axis.get_images()[0].get_array().shape for axis in result.figure.axes}
  assert widths == {(4, 2 + 1 + 4)}
  assert 'first step' in ' '.join(texts(result.figure))


@pytest.mark.parametrize('name', slow_after(1, ['language_model', 'transformer']))
def test_characters_are_shown_for_three_texts(name):
  section = {
    'language_model': dict(name=name, cell='gru', features=4, classes=3),
    'transformer': dict(name=name, features=4, classes=3, layers=1, heads=1, context=8),
  }[name]
  inputs = np.random.default_rng(0).integers(0, 3, (1, 60)).astype(np.int32)
  seen = subject_of(section, inputs, inputs, kind='language_model', classes='a\nb')
  (result,) = step_attributions.of_characters(seen, Choice())
  found, length = result.facts['methods'], 8 if name == 'transformer' else 30
  assert ('LRP' in found) == (name == 'language_model')
  assert (result.facts['without'] == {}) == (name == 'language_model')
  start = 'LRP divides a score of ' if name == 'language_model' else 'LRP is left out: '
  assert step_attributions._remark(result.facts).startswith(start)
  assert result.arrays['texts'].shape == (6, length)
  assert result.arrays['occlusion'].shape == (6, length)
  shown = texts(result.figure)
  assert sum(text.startswith('predicts ') for text in shown) == 3
  characters = ''.join(text for text in shown if len(text) == 1)
  assert len(characters) == 3 * length * len(found)
  first = ''.join('a↵b'[place] for place in result.arrays['texts'][0])
  assert characters.startswith(first * len(found))


def test_a_text_of_one_character_raises():
  section = dict(name='language_model', cell='gru', features=4, classes=3)
  inputs = np.zeros((1, 1), np.int32)
  seen = subject_of(section, inputs, inputs, kind='language_model', classes='a\nb')
  with pytest.raises(ValueError, match='the text has 1 characters: use at least 2'):
    list(step_attributions.of_characters(seen, Choice()))
