"""Metrics of texts; they equal the evaluation of a language model."""

import csv
import json

import pytest

import jaxdl
from jaxdl import predict as module
from jaxdl.data import characters
from jaxdl.terminal import command
from jaxdl.training import experiment, loop


@pytest.fixture
def loaded(small_text, tmp_path):
  """A language model that is evaluated on one stream, and the text of its test split."""
  small_text['data'].update(evaluation_batch_size=1)
  built = experiment.build({**small_text, 'train_for': '4 steps'}, 'small')
  loop.train(built, tmp_path / 'run')
  text = characters.decode(built.data.splits['test'].arrays['character'], built.data.classes)
  return jaxdl.load(tmp_path / 'run'), text


def test_metrics_of_the_test_text_equal_the_evaluation(loaded, tmp_path, capsys):
  run, text = loaded
  (tmp_path / 'test.txt').write_text(text)
  (found,) = run.predict(tmp_path / 'test.txt')
  assert found.characters == run.summary['test_examples'] == len(text) - 1
  assert round(found.loss, 6) == run.summary['test_loss']
  assert found.bits_per_character == pytest.approx(run.summary['test_bits_per_character'], abs=2e-6)
  assert found.perplexity == pytest.approx(2**found.bits_per_character)
  assert run.evaluate('test')['loss'] == found.loss
  arguments = [str(run.folder), str(tmp_path / 'test.txt'), f'--out={tmp_path}/x.csv']
  capsys.readouterr()
  assert command.run(module.main, ['jaxdl predict', *arguments]) == 0
  printed = json.loads(capsys.readouterr().out.splitlines()[-1])
  assert printed['texts'][0]['bits_per_character'] == found.bits_per_character
  (row,) = csv.DictReader((tmp_path / 'x.csv').open())
  assert float(row['perplexity']) == found.perplexity


@pytest.mark.slow
def test_evaluation_with_several_streams_equals_the_summary(small_text, tmp_path):
  built = experiment.build({**small_text, 'train_for': '4 steps'}, 'small')
  summary = loop.train(built, tmp_path / 'run')
  found = jaxdl.load(tmp_path / 'run').evaluate('test')
  assert round(found['loss'], 6) == summary['test_loss']
  assert round(found['accuracy'], 6) == summary['test_accuracy']


def test_invalid_text_errors_name_the_fix(loaded, tmp_path, capsys):
  run, text = loaded
  files = {
    'empty.txt': b'',
    'one.txt': b'a',
    'odd.txt': f'{text[:20]}\nab\u00e9c'.encode(),
    'latin.txt': 'caf\u00e9'.encode('latin-1'),
    'windows.txt': b'\xef\xbb\xbf' + text[:50].replace('\n', '\r\n').encode(),
  }
  for name, content in files.items():
    (tmp_path / name).write_bytes(content)

  def run_command(*arguments):
    capsys.readouterr()
    code = command.run(module.main, ['jaxdl predict', str(run.folder), *map(str, arguments)])
    return code, capsys.readouterr().err

  lines = text[:20].count('\n') + 2
  for name, message in (
    ('empty.txt', 'empty.txt is empty'),
    ('one.txt', 'one.txt has 1 known characters: give a text of at least 2'),
    ('odd.txt', f"has 'é' in line {lines}, column 3, which is not in the vocabulary of 84"),
    ('latin.txt', 'is not UTF-8 text (invalid byte 0xe9 at offset 3)'),
  ):
    code, errors = run_command(tmp_path / name, f'--out={tmp_path}/x.csv')
    assert code == 1
    assert errors.count('\n') == 1
    assert message in errors
    assert not (tmp_path / 'x.csv').exists()
  code, errors = run_command(tmp_path / 'odd.txt', '--skip')
  assert code == 1
  assert 'odd.txt: left out 1 characters that are not in the vocabulary' in errors
  assert run_command(tmp_path / 'windows.txt') == (0, '')
  assert '--page applies to images' in run_command(tmp_path / 'windows.txt', '--page')[1]
  with pytest.raises(ValueError, match='give the paths of texts'):
    run.predict([1, 2])
  with pytest.raises(ValueError, match='features needs images'):
    run.features('x', 'lstm1')
