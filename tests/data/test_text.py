"""Own texts: files and folders, encodings, splits by position, resuming and prediction."""

import numpy as np
import pytest
from helpers import SMALL

import jaxdl
from jaxdl.data import characters, loading
from jaxdl.training import experiment
from jaxdl.views import subject

TEXT = ''.join(chr(97 + number * number % 23) for number in range(1000)) + 'ß'


def load(file, **section):
  section = {'name': 'text', 'file': file, 'batch_size': 4, 'time_step': 8, **section}
  return loading.bind(section, seed=0)()


def texts(data):
  return {
    split: characters.decode(part.arrays['character'], data.classes)
    for split, part in data.splits.items()
  }


def test_a_text_is_split_by_position(tmp_path):
  (tmp_path / 'my.txt').write_text(TEXT, encoding='utf-8')
  data = load(str(tmp_path / 'my.txt'))
  assert texts(data) == {'train': TEXT[:801], 'validation': TEXT[801:901], 'test': TEXT[901:]}
  assert data.classes == tuple(sorted(set(TEXT)))  # also of the other splits
  assert data.division == '80/10/10'
  assert data.available == {'train': 801, 'validation': 100, 'test': 100}
  assert 'by position' in data.described_splits()[0]
  assert data.place['file'] == str(tmp_path / 'my.txt')
  found = texts(load(str(tmp_path / 'my.txt'), splits='90/0/10'))
  assert found == {'train': TEXT[:901], 'test': TEXT[901:]}
  slices = {'train': 'train[:50%]', 'test': 'train[900:]'}
  found = texts(load(str(tmp_path / 'my.txt'), splits=slices))
  assert found == {'train': TEXT[:500], 'test': TEXT[900:]}


def test_files_of_a_folder_are_joined_in_the_order_of_their_paths(tmp_path):
  for name, text in (('b.txt', 'two'), ('a/z.txt', 'one'), ('c.txt', 'three' * 50), ('.d', 'no')):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text, encoding='utf-8')
  data = load(str(tmp_path), splits='100/0')
  assert texts(data)['train'] == 'one\ntwo\n' + 'three' * 50


def test_encodings_and_line_ends(tmp_path):
  expected = load(_written(tmp_path / 'a.txt', TEXT + '\nend', 'utf-8')).checksums
  for name, encoding in (('b', 'latin-1'), ('c', 'utf-16'), ('d', 'utf-8-sig'), ('e', 'cp1252')):
    file = _written(tmp_path / name, TEXT + '\r\nend', encoding)
    assert load(file, encoding=encoding).checksums == expected
  file = _written(tmp_path / 'b', TEXT, 'latin-1')
  with pytest.raises(
    ValueError, match=r"b is not UTF-8 text \(invalid byte 0xdf at offset 1,000\): set .*'latin-1'"
  ):
    load(file)


def _written(path, text, encoding):
  path.write_bytes(text.encode(encoding))
  return str(path)


@pytest.mark.parametrize(
  ('text', 'section', 'message'),
  [
    (' \n', {}, 'my.txt is empty: give a text'),
    ('abc' * 9, {}, 'the train split of .*my.txt has 22 characters, 5 in each of 4 streams, fewer'),
    ('abc' * 9, {'batch_size': 30}, 'has 22 characters, too few for 30 streams: set .*at most 11'),
    (
      'abc' * 30,
      {'evaluation_batch_size': 8},
      'the validation split .* too few for 8 streams: set config.data.evaluation_batch_size to at',
    ),
    (TEXT, {'splits': '80/10/20'}, 'adds up to 110'),
    (TEXT, {'splits': {'train': 'text'}}, "split 'text' is not one of train"),
    (TEXT, {'encoding': 'utf'}, None),  # Python's name of UTF-8
    (TEXT, {'encoding': 8}, 'encoding=8 is not an encoding'),
    (TEXT, {'time_step': 0}, 'time_step=0 is not a size'),
    (TEXT, {'file': None}, 'config.data.file is missing: give a text file or a folder'),
  ],
)
def test_faults_are_refused_in_one_line(tmp_path, text, section, message):
  section = {'file': _written(tmp_path / 'my.txt', text, 'utf-8'), **section}
  if message is None:
    assert load(**section).classes
    return
  with pytest.raises(ValueError, match=message):
    load(**section)


def test_missing_files_are_named(tmp_path):
  _written(tmp_path / 'my.txt', TEXT, 'utf-8')
  with pytest.raises(FileNotFoundError, match=r'my.tx does not exist: did you mean .*my.txt\?'):
    load(str(tmp_path / 'my.tx'))
  (tmp_path / 'empty').mkdir()
  with pytest.raises(FileNotFoundError, match='empty has no files: give a text file'):
    load(str(tmp_path / 'empty'))


def test_the_text_of_a_run_is_found_again(tmp_path):
  file = _written(tmp_path / 'my.txt', TEXT, 'utf-8')
  data = dict(name='text', file=file, batch_size=4, time_step=8)
  model = dict(name='language_model', cell='gru', features=6, classes='classes')
  config = {**SMALL, 'task': 'next_char', 'model': model, 'data': data}
  kept = experiment.build(config).config
  assert kept['dataset']['file'] == file
  assert subject.data_of_run('run', kept).classes == tuple(kept['dataset']['classes'])
  (tmp_path / 'my.txt').rename(tmp_path / 'moved.txt')
  with pytest.raises(
    FileNotFoundError, match=r'the data of run \(text\) are not in .*my.txt: give the'
  ):
    subject.data_of_run('run', kept)
  found = subject.data_of_run('run', kept, folder=tmp_path / 'moved.txt')
  assert found.checksums == kept['dataset']['checksums']
  _written(tmp_path / 'moved.txt', TEXT[::-1], 'utf-8')
  with pytest.raises(ValueError, match='other examples than run was trained on'):
    subject.data_of_run('run', kept, folder=tmp_path / 'moved.txt')


@pytest.mark.slow
def test_a_run_on_a_text_resumes_and_is_evaluated(tmp_path):
  file = _written(tmp_path / 'my.txt', TEXT * 2, 'latin-1')
  data = dict(name='text', encoding='latin-1', batch_size=4, time_step=8)
  model = dict(name='language_model', cell='gru', features=6, classes='classes')
  config = {**SMALL, 'task': 'next_char', 'model': model, 'data': {**data, 'file': file}}
  jaxdl.train({**config, 'train_for': '4 steps'}, tmp_path / 'run')
  moved = _written(tmp_path / 'moved.txt', TEXT * 2, 'latin-1')
  summary = jaxdl.train({**config, 'data': {**data, 'file': moved}}, tmp_path / 'run')
  assert summary['step'] == 8
  run = jaxdl.load(tmp_path / 'run')
  assert run.config['dataset']['file'] == moved
  assert round(run.evaluate('test')['loss'], 6) == summary['test_loss']
  (measured,) = run.predict(file)
  assert measured.characters == 2 * len(TEXT) - 1
  (tmp_path / 'moved.txt').rename(file)
  with pytest.raises(
    FileNotFoundError, match=r'the data of .* \(text\) are not in .*moved.txt: give the'
  ):
    run.evaluate('test')
  found = subject.read(tmp_path / 'run', folder=file)
  assert found.inputs.shape == (1, round(0.1 * 2 * len(TEXT)) - 1)
  np.testing.assert_array_equal(found.inputs[0, 1:], found.labels[0, :-1])
