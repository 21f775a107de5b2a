"""Tests of the exam: training, grades, the table, repeatability, and errors."""

import json
import math

import numpy as np
import pytest

from jaxdl import exam, figures
from jaxdl.analysis import methods
from jaxdl.analysis.grading import map_metrics
from jaxdl.config import reading
from jaxdl.exams import table
from jaxdl.terminal import command
from jaxdl.views import faithfulness, subject

SMALL = [
  '--config.train_for=2 steps',
  '--config.evaluate_every=2 steps',
  '--config.checkpoint_every=2 steps',
  '--config.data.splits.train=train[:200]',
  '--config.data.splits.validation=train[200:220]',
  '--config.data.splits.test=test[:40]',
  '--images=8',
  '--quiet',
]


@pytest.fixture
def few_methods(monkeypatch):
  """Two quick methods instead of all."""
  known = methods.of_images('conv2', {})
  few = {name: known[name] for name in ('saliency', 'gradient × input')}
  monkeypatch.setattr(methods, 'of_images', lambda layer, occluded, **others: few)


def run(capsys, *arguments):
  """(exit code, last line of the output as JSON, standard error) of the command."""
  code = command.run(exam.main, ['jaxdl exam', *map(str, arguments)])
  printed = capsys.readouterr()
  return code, json.loads(printed.out.splitlines()[-1]) if printed.out else None, printed.err


@pytest.mark.slow
def test_an_exam_writes_a_table_keeps_finished_seeds_and_is_repeatable(
  few_methods, tmp_path, capsys
):
  first, second = tmp_path / 'first', tmp_path / 'second'
  code, result, _ = run(capsys, 'exam/planted_mark', f'--workdir={first}', '--seeds=2', *SMALL)
  assert code == 0
  assert result['seeds'] == [0, 1]
  row = {row['method']: row for row in result['rows']}['gradient × input']
  assert set(row['scores']) == set(map_metrics.METRICS)
  for name, score in row['scores'].items():
    known = [value for value in score['each'] if value is not None]
    assert score['mean'] == pytest.approx(np.mean(known)), name
  assert 'completeness error' not in result['rows'][0]['scores']  # saliency is no contribution
  written = {file.name for file in first.iterdir()}
  assert written == {'exam.json', 'exam.csv', 'table.md', 'figure.png', 'seed0', 'seed1'}
  # Finished networks and grades are kept.
  kept = (first / 'seed0/exam.json').stat().st_mtime_ns
  code, again, _ = run(capsys, 'exam/planted_mark', f'--workdir={first}', '--seeds=2', *SMALL)
  assert (code, again) == (0, result)
  assert (first / 'seed0/exam.json').stat().st_mtime_ns == kept
  # The same seed gives the same bits, with or without other seeds.
  code, alone, _ = run(capsys, 'exam/planted_mark', f'--workdir={second}', '--seeds=1', *SMALL)
  assert code == 0
  one, other = (
    json.loads((folder / 'seed0/exam.json').read_text())['scores'] for folder in (first, second)
  )
  assert one == other
  assert (
    (second / 'exam.csv').read_text().startswith('method,metric,mean,interval,seeds\nsaliency,')
  )


@pytest.mark.slow
def test_a_text_is_examined(tmp_path, capsys, monkeypatch):
  known = methods.of_sequences

  def one(model, background):
    return {'occlusion': known(model, background)['occlusion']}

  monkeypatch.setattr(methods, 'of_sequences', one)
  arguments = [
    'exam/planted_character',
    f'--workdir={tmp_path / "exam"}',
    '--seeds=1',
    '--config.train_for=400 steps',
    '--config.evaluate_every=400 steps',
    '--config.checkpoint_every=400 steps',
    '--config.model.features=16',
    '--images=6',
    '--quiet',
  ]
  code, result, error = run(capsys, *arguments)
  assert code == 0, error
  # A finished network and its grades are kept.
  kept = (tmp_path / 'exam/seed0/exam.json').stat().st_mtime_ns
  assert run(capsys, *arguments)[:2] == (0, result)
  assert (tmp_path / 'exam/seed0/exam.json').stat().st_mtime_ns == kept
  (row,) = result['rows']
  assert 'ROAD' not in row['scores']  # for images only
  assert 0 <= row['scores']['pointing game']['mean'] <= 1
  found = subject.read(tmp_path / 'exam/seed0')
  chosen = faithfulness.explained(found, 6)
  assert chosen.evidence.shape == (len(chosen.target), 32)
  assert (chosen.evidence.sum(1) == 1).all()
  for vectors, evidence, target in zip(chosen.inputs, chosen.evidence, chosen.target, strict=True):
    text = ''.join(found.classes[number] for number in vectors.argmax(-1))
    assert text.endswith('>')
    assert text[int(evidence.argmax())].lower() == found.classes[target]


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['cnn_mnist'], 'mnist has no known evidence: use a config of exam/'),
    (['exam/planted_mark', '--seeds=0'], '--seeds=0 is too few'),
    (['exam/planted_mark', '--images=1'], '--images=1 is too few'),
    ([], '--config is missing'),
  ],
)
def test_wrong_calls(arguments, message, tmp_path, capsys):
  code, _, error = run(capsys, *arguments, f'--workdir={tmp_path / "exam"}', '--quiet')
  assert code == 1
  assert message in error
  assert len(error.splitlines()) == 1
  assert not (tmp_path / 'exam').exists()


def test_intervals_by_hand():
  assert table.interval([1.0]) is None
  # Of 1, 2, 3: the deviation is 1, the quantile for 2 degrees of freedom 4.303.
  assert table.interval([1, 2, 3]) == pytest.approx(4.303 / math.sqrt(3), rel=1e-3)
  assert table.interval([5.0] * 4) == 0
  scipy_stats = pytest.importorskip('scipy.stats')
  quantiles = scipy_stats.t.ppf(0.975, np.arange(1, len(table.STUDENT) + 1))
  np.testing.assert_allclose(table.STUDENT, quantiles, atol=6e-4)


def grades(**scores):
  return {
    'scores': {'one': scores},
    'seconds': {'one': 0.5},
    'examples': 8,
    'accuracy': 0.75,
    'follows_evidence': 1.0,
    'reasons': {},
  }


def test_table():
  seeds = {0: grades(**{'pointing game': 0.5, 'ROAD': None}), 3: grades(**{'pointing game': 1.0})}
  result = table.summarised('name', seeds)
  text = table.table(result)
  assert text.splitlines()[0] == '| method | pointing game ↑ | seconds |'
  assert text.splitlines()[2] == '| one | 0.750 ± 3.176 | 0.50 |'
  assert '2 seeds, 8 test examples each' in text
  assert 'in 100.0 % of the examples' in text


def test_score_table_colours_the_best_of_a_column_darkest():
  figure = figures.score_table(
    np.array([[1.0, 1.0, 1.0], [0.5, 0.5, 0.5], [0.1, np.nan, 0.1]]),
    None,
    ['a', 'b', 'c'],
    ['more', 'less', 'neither'],
    [1, -1, 0],
    heading='Scores',
  )
  (axis,) = figure.axes
  brightness = {
    (int(patch.get_y()), int(patch.get_x())): sum(patch.get_facecolor()[:3])
    for patch in axis.patches
  }
  assert brightness[0, 0] < brightness[1, 0] < brightness[2, 0]
  assert brightness[0, 1] > brightness[1, 1]
  assert (2, 1) not in brightness  # the empty cell
  assert len({brightness[row, 2] for row in range(3)}) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
  'name', ['planted_mark', 'planted_cues', 'planted_row', 'planted_character']
)
def test_planted_evidence_is_found_first(name, tmp_path, capsys):
  """The best method has its greatest number on the evidence in at least 99 % of the examples."""
  code, result, error = run(
    capsys, f'exam/{name}', f'--workdir={tmp_path / "exam"}', '--seeds=1', '--quiet'
  )
  assert code == 0, error
  best = max(row['scores']['pointing game']['mean'] for row in result['rows'])
  assert best >= 0.99
  assert result['follows_evidence'][0] >= 0.95


def test_configs_of_exams_are_experiments():
  for name in ('planted_mark', 'planted_cues', 'planted_row', 'planted_character'):
    config = reading.read_file(f'exam/{name}')
    assert config.data.name == name
