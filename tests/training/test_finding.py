"""The learning-rate finder: rules by hand, and a search that writes nothing."""

import dataclasses

import numpy as np
import pytest

import jaxdl
from jaxdl.step import finding, schedules
from jaxdl.training import experiment


def test_a_run_has_diverged_at_four_times_its_lowest_loss():
  assert finding.usable(np.array([2.0, 1.0, 3.9, 4.1, 0.5])) == 3
  assert finding.usable(np.array([2.0, np.nan, 1.0])) == 1
  assert finding.usable(np.array([2.0, 1.0, np.inf])) == 2
  assert finding.usable(np.array([2.0, 1.0, 3.0])) == 3
  assert finding.usable(np.zeros(0)) == 0


def test_smoothing_is_a_centred_mean():
  np.testing.assert_allclose(finding.smoothed(np.array([3.0, 0, 3, 6])), [1.5, 2, 3, 4.5])
  line = np.arange(100.0)
  np.testing.assert_allclose(finding.smoothed(line)[5:-5], line[5:-5])  # without a lag


def test_the_steepest_fall_is_suggested():
  rates = 10.0 ** np.arange(-5, 1)
  assert finding.steepest(rates, np.array([3.0, 2.9, 2.0, 1.0, 0.9, 5.0])) == pytest.approx(1e-3)
  assert finding.steepest(rates, np.array([1.0, 2, 3, 4, 5, 6])) is None


def test_exponential_schedule_has_equal_factors():
  factor = schedules.exponential(5, 1, final=1e-4)
  np.testing.assert_allclose([factor(step) for step in range(6)], [1, 0.1, 0.01, 1e-3, 1e-4, 1e-4])
  rising = schedules.exponential(4, 1, final=8.0, warmup='2 steps')
  np.testing.assert_allclose([rising(step) for step in range(4)], [0.5, 1, 8**0.5, 8], rtol=1e-6)
  with pytest.raises(ValueError, match=r'config\.schedule\.final=0 is out of range'):
    schedules.exponential(5, 1, final=0)


@pytest.mark.slow
def test_find_rate_finds_a_rate_that_learns_and_writes_nothing(small, tmp_path, monkeypatch):
  """The network learns with the suggested rate, and not with the lowest one."""
  monkeypatch.chdir(tmp_path)
  small['schedule'] = dict(name='cosine')  # not used by the search
  small['plateau'] = dict(patience='1 epoch')
  found = jaxdl.find_rate(small, low=1e-5, high=100.0, steps=60)
  assert list(tmp_path.iterdir()) == []
  assert len(found.rates) == len(found.losses) == len(found.smoothed) <= 60
  np.testing.assert_allclose(found.rates[:2], [1e-5, 1e-5 * 1e7 ** (1 / 59)], rtol=1e-5)
  assert 1e-3 < found.suggestion < 1
  assert found.suggestion in found.rates
  start = experiment.build(small).initial_state()
  again = jaxdl.find_rate(small, low=1e-5, high=100.0, steps=60)
  np.testing.assert_array_equal(again.losses, found.losses)
  assert start.step == 0
  found.save(tmp_path / 'rate.png')
  assert (tmp_path / 'rate.png').stat().st_size > 1000
  assert f'{found.suggestion:.2g} suggested' in found.figure().get_suptitle()
  with pytest.raises(dataclasses.FrozenInstanceError):
    found.suggestion = 1.0


def test_find_rate_reads_the_config_of_a_name(small, config_file):
  name = str(config_file(small))
  found, expected = (jaxdl.find_rate(one, high=1e-5, steps=10) for one in (name, small))
  np.testing.assert_array_equal(found.losses, expected.losses)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (dict(low=0.0), r'low=0\.0 is out of range: use a number above 0'),
    (dict(low=1.0, high=0.1), r'high=0\.1 is out of range: use a number above 1\.0'),
    (dict(steps=3), r'steps=3 is not an integer from 10 to 100,000'),
  ],
)
def test_find_rate_names_an_invalid_range(arguments, message, small):
  with pytest.raises(ValueError, match=message):
    jaxdl.find_rate(small, **arguments)
