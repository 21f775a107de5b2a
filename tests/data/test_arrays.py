"""Own arrays: which array is what, forms, types, splits and scaling; every fault has one line."""

import re

import jax
import numpy as np
import pytest

from jaxdl.data import array_files, arrays, division, loading, recorded
from jaxdl.prediction import own_arrays

DRAW = np.random.default_rng(0)
IMAGES = DRAW.integers(0, 256, (60, 6, 5), np.uint8)
CLASSES = np.array(['cat', 'dog', 'fox'])[np.arange(60) % 3]
VECTORS = DRAW.normal(3, 2, (60, 4)).astype(np.float32)
SEQUENCES = DRAW.normal(3, 2, (60, 7, 2)).astype(np.float32)
LENGTHS = DRAW.integers(1, 8, 60)


def load(given=None, for_task='classify', seed=0, **section):
  section = {'name': 'arrays', 'batch_size': 16, 'evaluation_batch_size': 16, **section}
  return loading.bind(section, seed=seed, task=for_task, given=given)()


def columns(data, split='train'):
  return data.splits[split].arrays


def first_batch(data, split='test'):
  """A prepared batch of a split."""
  part = data.splits[split]
  feed = {name: values[0] for name, values in part.feed(0, 1).items()}
  return jax.device_get(data.prepare(part.fetch(part.arrays, feed)))


@pytest.mark.parametrize(
  'names',
  [
    ('x_train', 'y_train', 'x_test', 'y_test'),  # Keras
    ('X_train', 'Y_train', 'X_test', 'Y_test'),
    ('train_images', 'train_labels', 'test_images', 'test_labels'),  # MedMNIST
  ],
)
def test_splits_are_found_by_the_names_of_the_arrays(tmp_path, names):
  x, y, other, labels = names
  np.savez(
    tmp_path / 'a.npz',
    **{x: IMAGES[:48], y: CLASSES[:48], other: IMAGES[48:], labels: CLASSES[48:]},
  )
  data = load(file=str(tmp_path / 'a.npz'))
  assert data.available == {'train': 42, 'validation': 6, 'test': 12}
  assert data.division == '90/10'
  np.testing.assert_array_equal(columns(data, 'test')['image'][..., 0], IMAGES[48:])
  assert data.classes == ('cat', 'dog', 'fox')
  assert data.place == {'file': str(tmp_path / 'a.npz')}


def test_names_of_scikit_learn_and_named_columns(tmp_path):
  np.savez(tmp_path / 'a.npz', data=VECTORS, target=np.arange(60) % 3, target_names=['u', 'v', 'w'])
  data = load(file=tmp_path / 'a.npz')
  assert (data.form, data.classes, data.labels) == ('vectors', ('u', 'v', 'w'), ('0', '1', '2'))
  np.savez(tmp_path / 'b.npz', pixels=IMAGES, kind=CLASSES, other=np.zeros(3))
  data = load(file=str(tmp_path / 'b.npz'), columns={'x': 'pixels', 'y': 'kind'})
  assert data.input_shape() == (6, 5, 1)
  with pytest.raises(
    ValueError, match=r"columns.y='knd' is not an array of .*b.npz: it has pixels"
  ):
    load(file=str(tmp_path / 'b.npz'), columns={'x': 'pixels', 'y': 'knd'})


def test_files_and_python_give_the_same_data(tmp_path):
  np.savez(tmp_path / 'a.npz', x=IMAGES, y=CLASSES)
  (tmp_path / 'folder').mkdir()
  np.save(tmp_path / 'folder/x.npy', IMAGES)
  np.save(tmp_path / 'folder/y.npy', CLASSES)
  pair = [str(tmp_path / f'folder/{name}.npy') for name in 'xy']
  found = [
    load(file=str(tmp_path / 'a.npz')),
    load(file=str(tmp_path / 'folder')),
    load(file=pair),
    load((IMAGES, CLASSES)),
    load({'x': IMAGES, 'y': list(CLASSES)}),
    load({'train': (IMAGES, CLASSES)}),
  ]
  assert len({tuple(data.checksums.values()) for data in found}) == 1
  assert [data.origin for data in found] == ['a.npz', 'folder', 'x.npy, y.npy', *['Python'] * 3]
  assert found[2].place == {'file': pair}


@pytest.mark.parametrize('name', ['{a,b}', '{0}', '{', '%s', '[x]', 'a\nb', '\\1', '~'])
def test_files_of_any_name_are_read(tmp_path, name):
  np.savez(tmp_path / f'{name}.npz', x=IMAGES, y=CLASSES)
  data = load(file=str(tmp_path / f'{name}.npz'))
  assert data.origin == f'{name}.npz'
  config = {
    'task': {'name': 'classify'},
    'data': {'name': 'arrays'},
    'dataset': {**data.facts(), 'form': 'images'},
  }
  found = own_arrays.from_file(config, tmp_path / f'{name}.npz')
  np.testing.assert_array_equal(found.labels, np.arange(60) % 3)
  message = f"'x' of {name}.npz has 60 examples, but 'y' of {name}.npz has 7"
  with pytest.raises(ValueError, match=re.escape(message)):
    own_arrays.stack(config, IMAGES, CLASSES[:7], None, f'{name}.npz')


def test_the_division_is_stratified_and_depends_on_the_seed_alone():
  data = load((IMAGES, CLASSES))
  assert data.per_class == {'train': [16] * 3, 'validation': [2] * 3, 'test': [2] * 3}
  assert (data.division, load((IMAGES, CLASSES)).checksums) == ('80/10/10', data.checksums)
  assert load((IMAGES, CLASSES), splits='80/10/10').checksums == data.checksums
  assert load((IMAGES, CLASSES), seed=1).checksums != data.checksums
  assert load((IMAGES, CLASSES), splits='60/40').available['validation'] == 24
  sliced = load((IMAGES, CLASSES), splits={'train': 'train[:75%]', 'test': 'train[75%:]'})
  np.testing.assert_array_equal(columns(sliced)['image'][..., 0], IMAGES[:45])
  # The positions of a version must stay: they are those of existing runs.
  found = division.divide(np.arange(20) % 2, 20, '80/10/10', 0)
  assert {name: part.tolist() for name, part in found.items()} == {
    'train': [0, 1, 3, 4, 5, 6, 8, 9, 10, 11, 13, 14, 15, 16, 18, 19],
    'validation': [2, 17],
    'test': [7, 12],
  }


def test_the_parts_of_a_division_are_disjoint_and_complete():
  strata = DRAW.integers(0, 4, 500)
  found = division.divide(strata, 500, '70/20/10', 3)
  together = np.sort(np.concatenate(list(found.values())))
  np.testing.assert_array_equal(together, np.arange(500))
  for group in range(4):
    share = (strata[found['validation']] == group).sum() / (strata == group).sum()
    assert share == pytest.approx(0.2, abs=0.01)
  assert list(division.divide(None, 10, '90/10/0', 0)) == ['train', 'validation']


@pytest.mark.parametrize(
  ('images', 'section', 'expected'),
  [
    (IMAGES, {}, IMAGES[..., None] / 255),
    (IMAGES.astype(np.int64), {}, IMAGES[..., None] / 255),
    (IMAGES > 100, {'inputs': 'images'}, (IMAGES > 100)[..., None]),
    (IMAGES / 255, {'inputs': 'images'}, IMAGES[..., None] / 255),
    (IMAGES / 16, {'inputs': 'images', 'range': [0, 16]}, IMAGES[..., None] / 256),
    (np.stack([IMAGES] * 3, 1), {'channels_first': True}, np.stack([IMAGES] * 3, -1) / 255),
  ],
)
def test_images_of_every_type_become_pixels_from_0_to_1(images, section, expected):
  data = load(
    {'train': (images, CLASSES), 'test': (images, CLASSES)}, **{'inputs': 'images'} | section
  )
  np.testing.assert_allclose(first_batch(data)['inputs'], expected[:16], atol=1e-6)
  assert first_batch(data)['inputs'].dtype == np.float32


def test_float_images_are_scaled_and_converted_as_those_of_bytes():
  given = {'train': (IMAGES, CLASSES), 'test': (IMAGES, CLASSES)}
  floats = {name: ((x / 255).astype(np.float32), y) for name, (x, y) in given.items()}
  section = {'inputs': 'images', 'scale': 'standardized', 'size': 3}
  one, other = load(given, **section), load(floats, **section)
  assert (one.scaling.get('dtype'), other.scaling['dtype']) == (None, 'float32')
  np.testing.assert_allclose(one.scaling['mean'], other.scaling['mean'], atol=1e-3)
  np.testing.assert_allclose(
    first_batch(one)['inputs'], first_batch(other)['inputs'], atol=0.03
  )  # those of bytes are rounded
  assert other.appearance['brightness'] == pytest.approx(one.appearance['brightness'], abs=1e-3)


def test_vectors_are_standardised_by_the_training_split():
  values = VECTORS.copy()
  values[:, 2] = 5  # a constant feature
  data = load((values, CLASSES))
  train = columns(data)['input'].astype(np.float64)
  assert data.scaling['mean'] == pytest.approx(train.mean(0))
  assert data.scaling['deviation'] == pytest.approx([*train.std(0)[:2], 1, train.std(0)[3]])
  batch = first_batch(data)
  expected = (batch['input'] - data.scaling['mean']) / data.scaling['deviation']
  np.testing.assert_allclose(batch['inputs'], expected, atol=1e-5)
  raw = first_batch(load((values, CLASSES), scale='none'))
  np.testing.assert_array_equal(raw['inputs'], raw['input'])


def test_padding_is_zero_and_is_not_counted():
  """What is behind the end of a sequence, even if it is NaN, changes neither inputs nor scaling."""
  values = SEQUENCES.copy()
  values[np.arange(7) >= LENGTHS[:, None]] = np.nan
  data = load((values, CLASSES, LENGTHS))
  assert (data.form, data.masked, data.input_shape()) == ('sequences', True, (7, 3))
  train = columns(data)['input']
  real = train[train[..., 2] > 0][:, :2]
  assert data.scaling['mean'] == pytest.approx([*real.mean(0, np.float64), 0])
  assert data.scaling['deviation'] == pytest.approx([*real.std(0, np.float64), 1])
  batch = first_batch(data)
  steps = batch['input'][..., 2].sum(1)
  assert set(batch['inputs'][..., 2].ravel()) <= {0, 1}
  for row, count in zip(batch['inputs'], steps.astype(int), strict=True):
    assert (row[:count, 2] == 1).all()
    assert (row[count:] == 0).all()
  assert load((VECTORS, CLASSES, np.minimum(LENGTHS, 4))).input_shape() == (4, 2)  # one feature
  # Splits of different lengths are padded to the longest one.
  parts = {'train': (values, CLASSES, LENGTHS), 'test': (SEQUENCES[:, :3], CLASSES)}
  data = load(parts)
  assert columns(data, 'test')['input'].shape == (60, 7, 3)
  assert columns(data, 'test')['input'][..., 2].sum() == 180


def test_targets_of_a_regression_are_standardised():
  values = np.stack([VECTORS[:, 0] * 100, VECTORS[:, 1]], 1)
  data = load((VECTORS, values), for_task='regress', class_names=['mass', 'length'])
  assert data.targets['names'] == ['mass', 'length']
  train = columns(data)['value'].astype(np.float64)
  assert data.targets['mean'] == pytest.approx(train.mean(0))
  batch = first_batch(data)
  back = batch['target'] * batch['target_scale'] + data.targets['mean']
  np.testing.assert_allclose(back, batch['value'], rtol=1e-4)
  assert (data.classes, data.per_class, data.outputs()) == ((), {}, 2)


def test_several_labels_and_no_labels():
  rows = np.stack([IMAGES[:, 0, 0] > 100, IMAGES[:, 1, 1] > 100], 1)
  data = load((IMAGES, rows), for_task='multi_label', class_names=['a', 'b'])
  assert columns(data)['label'].dtype == np.float32
  assert data.per_class['train'] == columns(data)['label'].sum(0).tolist()
  data = load((IMAGES,), for_task='reconstruct')
  assert data.classes == (arrays.UNLABELLED,)
  assert data.input_shape() == (6, 5, 1)


def test_a_run_prepares_examples_as_its_data_did():
  for given in ((VECTORS, CLASSES), (SEQUENCES, CLASSES, LENGTHS), (IMAGES, CLASSES)):
    data = load(given)
    config = {'data': {'name': 'arrays'}, 'dataset': data.facts(), 'task': {'name': 'classify'}}
    form, batch = recorded.example(config), first_batch(data)
    assert (batch[form.column].shape[1:], batch[form.column].dtype) == (form.shape, form.dtype)
    again = recorded.preparation(config)(batch)['inputs']
    np.testing.assert_array_equal(again, batch['inputs'])


SHORT = IMAGES[:6]
FAULTS = {
  'no data': (None, {}, r"data.file is missing: give an .npz file, such as file='digits.npz', or"),
  'no path': (None, {'file': 3}, r'data.file=3 is not a path'),
  'rows': (
    (IMAGES, CLASSES[:59]),
    {},
    r"'x' of train in the arrays has 60 examples, but .* has 59",
  ),
  'text': ((CLASSES, CLASSES), {}, r"'x' of train in the arrays is text \[60\]: give an array"),
  'complex': ((VECTORS * 1j, CLASSES), {}, r'is complex64 \[60, 4\]: give an array of numbers'),
  'objects': ((np.array([{}], object), ['a']), {}, r'is object \[1\]: give an array of numbers'),
  '1-D': ((VECTORS[:, 0], CLASSES), {}, r'is float32 \[60\]: give images .* x.reshape\(-1, 1\)'),
  'empty': ((VECTORS[:0], CLASSES[:0]), {}, r'is float32 \[0, 4\]: give images'),
  'ambiguous': (
    (SEQUENCES, CLASSES),
    {},
    r"may be images or sequences: set config.data.inputs='im",
  ),
  'form': ((VECTORS, CLASSES), {'inputs': 'images'}, r'float32 \[60, 4\], which are not images'),
  'nan': (
    (np.where(np.arange(60)[:, None] == 7, np.nan, VECTORS), CLASSES),
    {},
    r"'x' of train in the arrays has nan in row 7, column 0: replace it, or leave the row out",
  ),
  'inf': ((VECTORS.astype(float) * 1e39, CLASSES), {}, r'has -?inf in row 0, column 0'),
  'range': (
    (IMAGES / 16, CLASSES),
    {'inputs': 'images'},
    r'goes from 0 to 15.9375: give images .* or set config.data.range=\[0, 15.9375\]',
  ),
  'bytes': ((IMAGES.astype(int) * 2, CLASSES), {'inputs': 'images'}, r'goes from 0 to 510: give'),
  'range value': ((IMAGES, CLASSES), {'range': [3]}, r'range=\[3\] is not two numbers'),
  'range order': ((IMAGES, CLASSES), {'range': [3, 3]}, r'range=\[3, 3\] is empty'),
  'channels': ((np.zeros((9, 3, 32, 32), np.uint8), CLASSES[:9]), {}, r'channels_first=True'),
  'lengths number': ((SEQUENCES, CLASSES, LENGTHS[:9]), {}, r'an integer for each of the 60 seq'),
  'lengths type': (
    (SEQUENCES, CLASSES, LENGTHS / 2),
    {},
    r"'lengths' of train .* is float64 \[60\]",
  ),
  'lengths 0': ((SEQUENCES, CLASSES, LENGTHS * 0), {}, r'has 0 in row 0: a length is from 1 to 7'),
  'lengths 8': (
    (SEQUENCES, CLASSES, LENGTHS * 0 + 8),
    {},
    r'has 8 in row 0: a length is from 1 to',
  ),
  'one class': (
    (IMAGES, ['a'] * 60),
    {},
    r"has one class only, 'a': give examples of at least two",
  ),
  'unknown class': (
    {'train': (SHORT, CLASSES[:6]), 'test': (SHORT, ['cow'] * 6)},
    {},
    r"'y' of test in the arrays has the label 'cow', which is not one of the 3 classes of the train",
  ),
  'few of a class': (
    (SHORT, ['a', 'a', 'a', 'a', 'a', 'b']),
    {},
    r"class 'b' has 1 example, too few for train, validation and test \('80/10/10'\)",
  ),
  'class not in training': (
    (SHORT, ['a', 'a', 'b', 'b', 'c', 'c']),
    {'splits': {'train': 'train[:4]', 'test': 'train[4:]'}},
    r"class 'c' has no examples in the training split, but 2 in test: change config.data.splits",
  ),
  'no labels': (
    (IMAGES,),
    {},
    r"the arrays has no labels of train: name an array 'y' or 'y_train'",
  ),
  'no inputs': ({'y': CLASSES}, {}, r"the arrays has no inputs of train: name an array 'x'"),
  'shapes': (
    {'train': (IMAGES, CLASSES), 'test': (IMAGES[:, :5], CLASSES)},
    {},
    r'has examples of uint8 \[6, 5, 1\] in train, but of uint8 \[5, 5, 1\] in test',
  ),
  'two arrays': (
    {'x': IMAGES, 'images': IMAGES},
    {},
    r"two arrays for 'x' of train, 'x' and 'images'",
  ),
  'image keys': ((VECTORS, CLASSES), {'size': 3}, r'config.data.size=3 is for images, but the inp'),
  'scale': (
    (VECTORS, CLASSES),
    {'scale': 'unit'},
    r"scale='unit' is not for vectors and sequences",
  ),
  'range of vectors': ((VECTORS, CLASSES), {'range': [0, 1]}, r'config.data.range is for images'),
  'names': ((IMAGES, CLASSES), {'class_names': ['a', 'b']}, r'3 different labels .* 2 names'),
  'key': ((IMAGES, CLASSES), {'colum': {}}, r'config.data.colum is not a key .* did you mean colu'),
  'task key': ((IMAGES, CLASSES), {'task': 'regress'}, r'config.data.task is not a key'),
  'division': (
    (IMAGES, CLASSES),
    {'splits': '80/30'},
    r"splits='80/30' adds up to 110 instead of 100",
  ),
  'both': ((IMAGES, CLASSES), {'file': 'a.npz'}, r"file='a.npz' is set, but data is given too"),
  'set': (
    (IMAGES, CLASSES),
    {'name': 'mnist'},
    r"name='mnist' reads its own data, but data is giv",
  ),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_faults_are_named_in_one_line(fault):
  given, section, message = FAULTS[fault]
  with pytest.raises(ValueError, match=message) as caught:
    load(given, **section)
  assert '\n' not in str(caught.value)


def test_files_that_are_no_arrays(tmp_path):
  np.savez(tmp_path / 'a.npz', x=IMAGES)
  with pytest.raises(FileNotFoundError, match=r'b.npz does not exist: did you mean .*a.npz\?'):
    load(file=str(tmp_path / 'b.npz'))
  (tmp_path / 'c.npz').write_bytes((tmp_path / 'a.npz').read_bytes()[:200])
  with pytest.raises(ValueError, match=r'c.npz cannot be read as arrays \(.*\): write it with'):
    load(file=str(tmp_path / 'c.npz'))
  np.savez(tmp_path / 'd.npz', x=IMAGES, y=CLASSES.astype(object))
  with pytest.raises(
    ValueError, match=r'd.npz .* \(it contains Python objects, which can execute code\)'
  ):
    load(file=str(tmp_path / 'd.npz'))
  (tmp_path / 'e.csv').write_text('a,b')
  with pytest.raises(ValueError, match=r"e.csv' is not an array file: .* data.name='table'"):
    load(file=str(tmp_path / 'e.csv'))
  (tmp_path / 'f').mkdir()
  with pytest.raises(FileNotFoundError, match=r'f has no .npy files'):
    load(file=str(tmp_path / 'f'))


def test_arrays_of_other_structures_are_refused():
  with pytest.raises(ValueError, match=r'a split of 4 arrays: give \(x, y\)'):
    array_files.given((1, 2, 3, 4))
  with pytest.raises(ValueError, match=r"a split with 'z': give \(x, y\), or dict\(x="):
    array_files.given({'train': {'z': 1}})
