"""Runs on tables: training, resuming, prediction equal to the evaluation, analyses."""

import csv
import json
import shutil

import jax
import numpy as np
import pytest
from helpers import SMALL, last_json

import jaxdl
from jaxdl import analyze, predict
from jaxdl.data import loading
from jaxdl.views import subject

DRAW = np.random.default_rng(0)
PLACES = np.arange(90) % 3
COLUMNS = {
  'length': [f'{value:.3f}' for value in DRAW.normal(3 * PLACES, 1)],
  'colour': [('red', 'green', 'red')[place] for place in PLACES],
  'age': ['' if number % 10 == 0 else str(number % 17) for number in range(90)],
  'kind': [('low', 'middle', 'high')[place] for place in PLACES],
}
MODEL = dict(
  name='cnn',
  layers=[dict(kind='dense', features=8), dict(kind='dense', features='classes', activate=False)],
)


def write(path, columns=COLUMNS, rows=slice(None)):
  with open(path, 'w', encoding='utf-8', newline='') as file:
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows(list(zip(*columns.values(), strict=True))[rows])
  return str(path)


def config_of(file, task='classify', **data):
  data = dict(
    name='table',
    file=str(file),
    batch_size=16,
    evaluation_batch_size=16,
    **{'target': 'kind', 'missing': {'age': 'mean'}, **data},
  )
  return {**SMALL, 'task': task, 'data': data, 'model': MODEL}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """(folder, summary) of a run on `table.csv` in the folder."""
  folder = tmp_path_factory.mktemp('table')
  write(folder / 'table.csv')
  return folder, jaxdl.train(config_of(folder / 'table.csv'), folder / 'run')


def evaluated(run, split='test'):
  """The logits of a split, computed from the data set's own examples."""
  section = run.config['data']
  data = loading.bind(section, seed=0, task=run.config['task']['name'])()
  examples = np.asarray(data.splits[split].arrays['input'])
  padded = np.zeros((16, examples.shape[1]), np.float32)
  padded[: len(examples)] = examples

  def outputs(variables, values):
    inputs = data.prepare({'input': values, 'index': np.arange(16)})['inputs']
    return run.model.apply(variables, inputs)

  found = jax.jit(outputs)(run.variables, padded)
  return examples, np.asarray(found)[: len(examples)]


def rows_of(examples):
  """The rows of the table of some encoded examples."""
  lengths = {np.float32(value): number for number, value in enumerate(COLUMNS['length'])}
  assert len(lengths) == 90
  return [lengths[row[0]] for row in examples]


def test_predictions_of_rows_equal_the_evaluation_to_the_bit(trained, tmp_path):
  folder, summary = trained
  run = jaxdl.load(folder / 'run')
  examples, logits = evaluated(run)
  rows = rows_of(examples)
  table = {name: [values[row] for row in rows] for name, values in COLUMNS.items()}
  file = write(tmp_path / 'test.csv', table)
  found = run.predict(file)
  np.testing.assert_array_equal(found.logits, logits)
  assert found.names[0] == f'{file}[0]'
  assert [run.classes[label] for label in found.labels] == table['kind']
  np.testing.assert_array_equal(run.predict(table).logits, logits)
  without = {name: table[name] for name in ('age', 'colour', 'length')}  # in another order
  np.testing.assert_array_equal(run.predict(without).logits, logits)
  assert run.predict(without).labels is None
  measured = run.evaluate(table)
  assert measured == run.evaluate('test') == run.evaluate((without, table['kind']))
  for name, value in measured.items():
    assert round(value, 6) == summary[f'test_{name}']
  assert run.features(table, 'dense1').shape == (len(rows), 8)


def test_a_data_frame_is_predicted(trained):
  pandas = pytest.importorskip('pandas')
  folder, _ = trained
  run = jaxdl.load(folder / 'run')
  frame = pandas.read_csv(folder / 'table.csv')
  expected = run.predict(str(folder / 'table.csv'))
  np.testing.assert_array_equal(run.predict(frame).logits, expected.logits)
  np.testing.assert_array_equal(run.predict(frame).labels, expected.labels)
  assert run.evaluate(frame)['examples'] == 90


def test_the_command_predicts_a_file(trained, tmp_path, capsys):
  folder, _ = trained
  out = tmp_path / 'out.csv'
  arguments = [str(folder / 'run'), str(folder / 'table.csv'), f'--out={out}', '--json']
  capsys.readouterr()
  assert predict.main(['predict', *arguments]) == 0
  printed = capsys.readouterr().out
  assert '\n90 rows by predicted class: ' in printed
  found = last_json(printed)
  run = jaxdl.load(folder / 'run')
  expected = run.evaluate(str(folder / 'table.csv'))
  assert (found['inputs'], found['labelled']) == (90, 90)
  assert found['metrics']['accuracy'] == expected['accuracy']
  with out.open(encoding='utf-8', newline='') as file:
    header, *rows = csv.reader(file)
  assert header == ['file', 'class', 'probability', *run.classes, 'label']
  assert len(rows) == 90


def test_rows_that_do_not_fit_the_run_are_refused(trained, tmp_path):
  folder, _ = trained
  run = jaxdl.load(folder / 'run')
  row = {name: [values[1]] for name, values in COLUMNS.items()}
  with pytest.raises(
    ValueError, match="the table has no column 'age', on which the network was tr"
  ):
    run.predict({name: row[name] for name in ('length', 'colour')})
  with pytest.raises(ValueError, match="row 0, column 'colour' of the table: 'blue' is not one of"):
    run.predict({**row, 'colour': ['blue']})
  with pytest.raises(ValueError, match="row 0, column 'length' of the table has no value"):
    run.predict({**row, 'length': [None]})
  with pytest.raises(ValueError, match="has the label 'huge', which is not one of the 3 classes"):
    run.predict({**row, 'kind': ['huge']})
  with pytest.raises(ValueError, match='data is ndarray, not a table: give a data frame'):
    run.predict(np.zeros((1, 4), np.float32))
  (tmp_path / 'a.npz').write_bytes(b'no table')
  with pytest.raises(ValueError, match='the run takes tables: give a .csv or .parquet file'):
    run.predict(str(tmp_path / 'a.npz'))


@pytest.mark.slow
def test_a_run_resumes_with_a_moved_file(trained, tmp_path):
  folder, summary = trained
  write(tmp_path / 'moved.csv')
  jaxdl.train({**config_of(folder / 'table.csv'), 'train_for': '4 steps'}, tmp_path / 'run')
  resumed = jaxdl.train(config_of(tmp_path / 'moved.csv'), tmp_path / 'run')
  assert resumed['test_loss'] == summary['test_loss']
  found = subject.read(tmp_path / 'run', folder=tmp_path / 'moved.csv')
  assert (found.split, len(found.inputs)) == ('test', 9)
  other = write(tmp_path / 'other.csv', {**COLUMNS, 'length': COLUMNS['length'][::-1]})
  with pytest.raises(ValueError, match='other examples than .* give the file of the table'):
    subject.read(tmp_path / 'run', folder=other)


def test_a_run_on_a_table_in_python(tmp_path):
  config = config_of('')
  del config['data']['file']
  summary = jaxdl.train(config, tmp_path / 'run', data=COLUMNS)
  assert summary['data'] == 'Python'
  with pytest.raises(
    FileNotFoundError, match=r'the data of .* \(table\) were given in Python and are'
  ):
    jaxdl.load(tmp_path / 'run').evaluate('test')
  assert jaxdl.load(tmp_path / 'run').evaluate(COLUMNS)['examples'] == 90


@pytest.mark.slow
def test_the_importance_of_features_and_every_analysis(trained, capsys):
  folder, _ = trained
  assert analyze.main(['analyze', str(folder / 'run')]) == 0
  assert last_json(capsys.readouterr().out)['failed'] == {}
  facts = json.loads((folder / 'run/analysis/importance.json').read_text(encoding='utf-8'))
  assert [row['feature'] for row in facts['features']] == ['length', 'colour', 'age']
  page = (folder / 'run/report.html').read_text(encoding='utf-8')
  assert 'colour' in page
  assert "run.predict('table.csv')" in (folder / 'run/card.md').read_text(encoding='utf-8')


@pytest.mark.slow
def test_a_regression_of_two_columns(tmp_path):
  columns = {**COLUMNS, 'mass': [str(10 * float(value)) for value in COLUMNS['length']]}
  file = write(tmp_path / 'a.csv', columns)
  config = config_of(file, 'regress', target=['mass', 'age'], missing='refuse')
  config['data']['features'] = ['length', 'colour']
  with pytest.raises(ValueError, match="row 2, column 'age' of a.csv has no value"):
    jaxdl.train(config, tmp_path / 'run')
  columns['age'] = [str(number) for number in range(90)]
  write(tmp_path / 'a.csv', columns)
  summary = jaxdl.train(config, tmp_path / 'run')
  run = jaxdl.load(tmp_path / 'run')
  found = run.predict(str(tmp_path / 'a.csv'))
  assert found.targets == ('mass', 'age')
  assert found.values.shape == (90, 2)
  assert round(run.evaluate('test')['loss'], 6) == summary['test_loss']
  shutil.rmtree(tmp_path / 'run')
