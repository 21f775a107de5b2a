"""Tests of the analysis `dynamic_evaluation` on a small run."""

import numpy as np
import pytest

from jaxdl.training import experiment, loop
from jaxdl.views import VIEWS, dynamic_evaluation, subject
from jaxdl.views.view import Choice


def made(workdir):
  seen = subject.read(workdir)
  view = VIEWS['dynamic_evaluation']
  assert view.named_only
  assert not view.left_out(seen)
  (result,) = view.make(seen, Choice())
  return seen, result


def test_dynamic_evaluation_view(small_text, tmp_path, monkeypatch):
  """The static figure equals the evaluation, and the rates are the best on the validation text."""
  monkeypatch.setattr(dynamic_evaluation, 'RATES', (1e-3, 1e-2))
  small_text['data']['evaluation_batch_size'] = 1  # one stream, as the analysis reads
  summary = loop.train(experiment.build(small_text, 'small'), tmp_path / 'run')
  seen, result = made(tmp_path / 'run')
  facts, bits = result.facts, result.arrays
  assert facts['characters'] == len(bits['static']) == seen.inputs.shape[1] + 1
  assert facts['static_bits_per_character'] == pytest.approx(
    summary['test_bits_per_character'], rel=1e-4
  )
  best = min(facts['tried'], key=lambda row: row['validation_bits_per_character'])
  assert (facts['rate'], facts['decay']) == (best['rate'], best['decay'])
  assert facts['rate'] > 0  # after so few steps, learning from the text helps
  assert facts['dynamic_bits_per_character'] < facts['static_bits_per_character']
  np.testing.assert_allclose(
    np.nanmean(bits['dynamic']), facts['dynamic_bits_per_character'], rtol=1e-6
  )


def test_dynamic_evaluation_needs_a_validation_text(small_text, tmp_path):
  small_text['data']['splits'] = dict(train='train[:1000]', test='test[:300]')
  loop.train(experiment.build(small_text, 'small'), tmp_path / 'run')
  seen = subject.read(tmp_path / 'run')
  assert VIEWS['dynamic_evaluation'].left_out(seen) == (
    'there is no validation text to choose the rates on'
  )
