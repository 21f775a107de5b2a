"""Tables: kinds of columns, targets, splits, missing values; every fault has one line."""

import csv

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from jaxdl.data import loading
from jaxdl.data.tables import columns, reading

DRAW = np.random.default_rng(0)
AGE = DRAW.integers(20, 80, 60).tolist()
CITY = [('Basel', 'Rome', 'Oslo')[number % 3] for number in range(60)]
WEIGHT = DRAW.normal(70, 9, 60).round(3).tolist()
KIND = [(1, 3, 10)[number % 3] for number in range(60)]  # with gaps, not in the order of texts
COLUMNS = {'age': AGE, 'city': CITY, 'weight': WEIGHT, 'kind': KIND}


def write(path, table=None, delimiter=',', encoding='utf-8', **changed):
  """Writes a CSV file; returns its path."""
  table = {**(COLUMNS if table is None else table), **changed}
  with path.open('w', encoding=encoding, newline='') as file:
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
  return str(path)


def load(given=None, for_task='classify', seed=0, **section):
  section = {'name': 'table', 'batch_size': 16, 'evaluation_batch_size': 16, **section}
  return loading.bind(section, seed=seed, task=for_task, given=given)()


def inputs(data):
  return {split: np.asarray(part.arrays['input']) for split, part in data.splits.items()}


def changed(name, row, value):
  """The table with another value in a row, counted from 0."""
  return {**COLUMNS, name: [*COLUMNS[name][:row], value, *COLUMNS[name][row + 1 :]]}


def test_columns_become_features_of_a_vector(tmp_path):
  data = load(file=write(tmp_path / 'a.csv'), target='kind', splits='80/10/10')
  assert data.further['features'] == ['age', 'city=Basel', 'city=Oslo', 'city=Rome', 'weight']
  assert (data.classes, data.form, data.origin) == (('1', '3', '10'), 'vectors', 'a.csv')
  assert data.place == {'file': str(tmp_path / 'a.csv')}
  assert {split: part.count for split, part in data.splits.items()} == {
    'train': 48,
    'validation': 6,
    'test': 6,
  }
  assert data.per_class['test'] == [2, 2, 2]
  rows = {
    (age, weight): number for number, (age, weight) in enumerate(zip(AGE, WEIGHT, strict=True))
  }
  found = inputs(data)['test']
  for row, label in zip(found, data.splits['test'].arrays['label'], strict=True):
    near = min(rows, key=lambda one: abs(one[0] - row[0]) + abs(one[1] - row[4]))
    number = rows[near]
    expected = [AGE[number], *(CITY[number] == name for name in ('Basel', 'Oslo', 'Rome'))]
    assert row[:4].tolist() == expected
    assert row[4] == np.float32(WEIGHT[number])
    assert KIND[number] == int(data.classes[label])
  train = inputs(data)['train']
  np.testing.assert_allclose(data.scaling['mean'], train.mean(0), rtol=1e-6)
  np.testing.assert_allclose(data.scaling['deviation'], train.std(0), rtol=1e-6)


def test_csv_parquet_and_python_give_the_same_data(tmp_path):
  write(tmp_path / 'a.csv')
  write(tmp_path / 'b.csv', delimiter=';', weight=[str(one).replace('.', ',') for one in WEIGHT])
  write(tmp_path / 'c.csv', delimiter='\t', encoding='utf-16')
  table = pyarrow.table(COLUMNS)
  pyarrow.parquet.write_table(table, tmp_path / 'a.parquet')
  encoded = table.set_column(1, 'city', table['city'].dictionary_encode())
  options = {'target': 'kind'}
  found = [
    load(file=str(tmp_path / 'a.csv'), **options),
    load(file=str(tmp_path / 'b.csv'), delimiter=';', decimal=',', **options),
    load(file=str(tmp_path / 'c.csv'), delimiter='\t', encoding='utf-16', **options),
    load(file=str(tmp_path / 'a.parquet'), **options),
    load(table, **options),
    load(encoded, **options),
    load(COLUMNS, **options),
  ]
  assert len({str(data.checksums) for data in found}) == 1
  assert len({str(data.further) for data in found}) == 1
  assert (found[4].origin, found[4].place) == ('Python', {'file': None})


def test_a_data_frame_of_pandas_is_a_table(tmp_path):
  pandas = pytest.importorskip('pandas')
  expected = load(file=write(tmp_path / 'a.csv'), target='kind')
  frame = pandas.DataFrame(COLUMNS)
  assert load(frame, target='kind').checksums == expected.checksums
  frame['city'] = frame['city'].astype('category')
  frame['age'] = frame['age'].astype('Int64')
  assert load(frame, target='kind').checksums == expected.checksums
  frame.loc[5, 'age'] = pandas.NA
  with pytest.raises(ValueError, match="row 5, column 'age' of the table has no value"):
    load(frame, target='kind')


def test_what_is_fitted_is_fitted_on_the_training_split(tmp_path):
  """The mean that fills gaps, the most frequent category and the scaling."""
  split = ['train'] * 40 + ['val'] * 10 + ['test'] * 10
  age = [None, *range(1, 40), *[1000] * 19, None]
  city = ['Rome'] * 30 + ['Oslo'] * 9 + [''] + ['Oslo'] * 20
  file = write(tmp_path / 'a.csv', age=age, city=city, split=split)
  options = {'file': file, 'target': 'kind', 'split_column': 'split'}
  data = load(missing={'age': 'mean', 'city': 'most_frequent'}, **options)
  assert data.further['features'] == ['age', 'city=Oslo', 'city=Rome', 'weight']
  assert inputs(data)['train'][0, 0] == 20  # the mean of 1 … 39
  assert inputs(data)['test'][-1, 0] == 20
  assert inputs(data)['train'][39, 1:3].tolist() == [0, 1]
  assert {name: part.count for name, part in data.splits.items()} == {
    'train': 40,
    'validation': 10,
    'test': 10,
  }
  data = load(missing={'age': -1, 'city': 'unknown'}, **options)
  assert inputs(data)['test'][-1, 0] == -1
  assert data.further['features'][1:4] == ['city=Oslo', 'city=Rome', 'city=unknown']
  assert inputs(data)['train'][39, 1:4].tolist() == [0, 0, 1]


def test_categories_that_the_training_split_lacks(tmp_path):
  split = ['train'] * 50 + ['test'] * 10
  city = [*CITY[:50], *['Bern'] * 10]
  file = write(tmp_path / 'a.csv', city=city, split=split)
  options = {'file': file, 'target': 'kind', 'split_column': 'split', 'splits': '90/10'}
  with pytest.raises(
    ValueError, match=r"row 52, column 'city' of a.csv: 'Bern' is not one of the 3 categories of th"
  ):
    load(**options)
  data = load(unknown='ignore', **options)
  assert not inputs(data)['test'][:, 1:4].any()


def test_numbers_may_be_categories_and_features_are_chosen(tmp_path):
  file = write(tmp_path / 'a.csv', kind=CITY, zip=[f'0{number % 2}' for number in range(60)])
  data = load(file=file, target='kind', features=['zip', 'age'], categorical=['zip'])
  assert data.further['features'] == ['zip=00', 'zip=01', 'age']
  assert data.classes == ('Basel', 'Oslo', 'Rome')
  assert load(file=file, target='kind', class_names=['b', 'o', 'r']).classes == ('b', 'o', 'r')
  data = load({**COLUMNS, 'kind': [number % 2 == 0 for number in range(60)]}, target='kind')
  assert data.classes == ('False', 'True')


def test_several_targets(tmp_path):
  one, two = np.arange(60) % 2, np.arange(60) // 3 % 2
  file = write(tmp_path / 'a.csv', {'x': WEIGHT, 'one': one, 'two': two})
  data = load(file=file, target=['one', 'two'], for_task='multi_label')
  assert data.classes == ('one', 'two')
  assert data.batch['label'].shape == (16, 2)
  file = write(tmp_path / 'b.csv', {'x': WEIGHT, 'one': one, 'not': 1 - one})
  data = load(file=file, target=['one', 'not'])
  assert data.classes == ('one', 'not')
  file = write(tmp_path / 'c.csv')
  data = load(file=file, target=['weight', 'age'], for_task='regress')
  assert data.targets['names'] == ['weight', 'age']
  values = np.asarray(data.splits['train'].arrays['value'])
  np.testing.assert_allclose(data.targets['mean'], values.mean(0), rtol=1e-6)
  assert set(values[:, 1].tolist()) <= set(map(float, AGE))


def test_the_division_depends_on_the_seed_alone(tmp_path):
  file = write(tmp_path / 'a.csv')
  first, again, other = (load(file=file, target='kind', seed=seed) for seed in (3, 3, 4))
  assert first.checksums == again.checksums != other.checksums
  data = load(
    file=file, target='kind', splits={'train': 'train[:50%]', 'test': 'train[50%:]'}, scale='none'
  )
  assert inputs(data)['train'][:, 0].tolist() == AGE[:30]


def test_row_numbers_are_lines_of_the_file(tmp_path):
  """Also after a cell of two lines and an empty line."""
  path = tmp_path / 'a.csv'
  path.write_text('name,x,y\n"two\nlines",1,a\n\nb,oops,b\n', encoding='utf-8')
  table = reading.read(path, reading.Form())
  assert table.rows == [2, 5]
  assert table.columns['name'].tolist() == ['two\nlines', 'b']
  with pytest.raises(ValueError, match=r"row 5, column 'x' of a.csv: 'oops' is not a number"):
    columns.numbers(table, 'x', '.', 'correct it')


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('', 'a.csv is empty: give a table with a row of names'),
    ('x,y\n', 'a.csv has no rows: give at least one below the names'),
    ('x,y,x\n1,2,3\n', "a.csv has two columns 'x', 1 and 3: rename one"),
    (',x,y\n0,1,a\n', 'a.csv has no name for column 1: add one .*index=False'),
    ('x,y\n1,a\n2\n', r'row 3 of .*a.csv has 1 cell, but the first row names 2 columns: correct'),
    ('x,y\n1,a,b\n', 'row 2 of .*a.csv has 3 cells, but the first row names 2 columns'),
    ('x;y\n1;a\n', "a.csv has a single column, 'x;y', .*: set config.data.delimiter=';'"),
    ('x,y\n1,"a\n', r'a.csv cannot be read as CSV \(.*\): check the quotation marks'),
    ('x,y\n1,a\nfive,b\n', r"row 3, column 'x' of a.csv: 'five' is not a number: .*categorical="),
    ('x,y\n1_0,a\n2,b\n', r"row 2, column 'x' of a.csv: '1_0' is not a number"),
    ('x,y\n1,a\n,b\n', r"row 3, column 'x' of a.csv has no value: fill it, .*missing='mean'"),
    ('x,y\n1,a\nNA,b\n', r"row 3, column 'x' of a.csv has no value"),
    ('x,y\n1,a\n2,\n', r"row 3, column 'y' of a.csv has no value: fill it, or leave the row out$"),
    ('x,y\n1,a\ninf,b\n', r"row 3, column 'x' of a.csv: inf is infinite or too large"),
    ('x,y\n1,a\n1e39,b\n', r"row 3, column 'x' of a.csv: 1e\+39 is infinite or too large"),
    ('x,y\n1,a\n2,a\n', "column y of a.csv has one class only, 'a'"),
    ('x,y\n1,1.5\n2,2\n', r"row 2, column 'y' of a.csv: 1.5 is not a class: set task='regress'"),
    ('x,y\n,a\n,b\n', "column 'x' of a.csv has no value in the training split"),
    ('x,z\n1,a\n2,b\n', r"config.data.target='y' is not a column of a.csv: .* names x, z"),
    ('y\n1\n2\n', 'a.csv has no column besides the target'),
  ],
)
def test_a_faulty_file_is_refused_in_one_line(tmp_path, content, message):
  path = tmp_path / 'a.csv'
  path.write_text(content, encoding='utf-8')
  with pytest.raises(ValueError, match=message):
    load(file=str(path), target='y', splits={'train': 'train'})


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'target': None}, 'target is missing: name the column of a.csv that is predicted'),
    ({'target': 'knd'}, "target='knd' is not a column of a.csv: .*; did you mean kind?"),
    ({'features': ['age', 'kind']}, "features has 'kind', which is config.data.target: remove it"),
    ({'features': []}, 'features=.* is not a list of different columns'),
    ({'categorical': ['kind']}, "categorical has 'kind', which is not a feature"),
    ({'missing': 'median'}, "missing='median' is unknown: use 'refuse', 'mean'"),
    ({'missing': {'agee': 'mean'}}, 'missing.agee is not a feature: use some of age'),
    ({'missing': {'age': 'old'}}, "missing.age='old' is not a number"),
    ({'unknown': 'skip'}, "unknown='skip' is unknown"),
    ({'delimiter': ';;'}, "delimiter=';;' is not one character"),
    ({'decimal': ','}, "decimal=',' is the delimiter, too: set config.data.delimiter=';'"),
    ({'encoding': 'utf-9'}, "encoding='utf-9' is not an encoding"),
    ({'encoding': 'base64'}, "encoding='base64' is not an encoding"),
    ({'split_column': 'city'}, "row 2, column 'city' of a.csv: 'Basel' is not a split"),
    (
      {'for_task': 'regress', 'target': 'city'},
      "row 2, column 'city' of a.csv: 'Basel' is not a n",
    ),
    ({'splits': '50/50/50'}, 'adds up to 150'),
    ({'file': 3}, 'file=3 is not a path'),
    ({'scale': 'unit'}, "scale='unit' is not for vectors"),
  ],
)
def test_a_faulty_config_is_refused_in_one_line(tmp_path, options, message):
  with pytest.raises(ValueError, match=message):
    load(**{'file': write(tmp_path / 'a.csv'), 'target': 'kind', **options})


def test_files_of_another_kind_are_refused(tmp_path):
  write(tmp_path / 'wine.csv')
  with pytest.raises(
    FileNotFoundError, match=r'wine.cvs does not exist: did you mean .*wine.csv\?'
  ):
    load(file=str(tmp_path / 'wine.cvs'), target='kind')
  (tmp_path / 'a.parquet').write_bytes(b'PAR1 damaged')
  with pytest.raises(ValueError, match=r'a.parquet cannot be read as Parquet \('):
    load(file=str(tmp_path / 'a.parquet'), target='kind')
  (tmp_path / 'a.csv').write_bytes('stadt,kind\nZürich,1\n'.encode('latin-1'))
  with pytest.raises(
    ValueError, match=r"not UTF-8 text \(invalid byte 0xfc at offset 12\): set .*'latin-1'"
  ):
    load(file=str(tmp_path / 'a.csv'), target='kind')


def test_columns_of_other_types_are_refused_only_if_they_are_used():
  table = {**COLUMNS, 'when': np.array(['2020-01-01'] * 60, 'M8[D]'), 'list': [[1], [2, 3]] * 30}
  assert load(table, target='kind', features=['age', 'city']).input_shape() == (4,)
  with pytest.raises(
    ValueError, match="column 'when' of the table has values of the type datetime"
  ):
    load(table, target='kind')
  names = [f'name {number}' for number in range(150)]
  long = {'name': names, 'x': list(range(150)), 'kind': [1, 2, 3] * 50}
  with pytest.raises(ValueError, match=r"column 'name' of the table has 120 different texts, such"):
    load(long, target='kind')
  with pytest.raises(ValueError, match='columns of 60 and of 61 rows'):
    load({**COLUMNS, 'age': [*AGE, 1]}, target='kind')
