"""Text divided into parallel streams that continue from step to step."""

import numpy as np
import pytest

from jaxdl.data import DATA_SETS, characters
from jaxdl.data.sets import shakespeare
from jaxdl.data.source import Source

RANDOM = dict(batch_size=4, time_step=20, seed=3)


def batches(split, steps, first=0):
  """Returns the batches of consecutive steps: name → [S, B, …]."""
  feed = split.feed(first, steps)
  fetched = [
    split.fetch(split.arrays, {name: values[step] for name, values in feed.items()})
    for step in range(steps)
  ]
  return {name: np.stack([batch[name] for batch in fetched]) for name in fetched[0]}


def stream_split(text, vocabulary=None, **sizes):
  vocabulary = vocabulary or tuple(sorted(set(text)))
  return characters.streams(characters.encode(text, vocabulary), **sizes), vocabulary


def test_streams_match_the_example_of_report_004():
  """The text is 'NCTU_is_good', with batch 2 and time step 3: [N,s][C,_][T,g] with targets
  [C,_][T,g][U,o], then [U,o][_,o] with targets [_,o][i,d].
  """
  split, vocabulary = stream_split('NCTU_is_good', batch_size=2, time_step=3)
  found = batches(split, 2)

  def decoded(name, step):
    return [
      ''.join(vocabulary[c] for c, real in zip(row, mask, strict=True) if real)
      for row, mask in zip(found[name][step], found['mask'][step], strict=True)
    ]

  assert (split.count, split.batches) == (10, 2)
  assert [decoded('character', step) for step in (0, 1)] == [['NCT', 's_g'], ['U_', 'oo']]
  assert [decoded('label', step) for step in (0, 1)] == [['CTU', '_go'], ['_i', 'od']]
  np.testing.assert_array_equal(found['reset'], [[True, True], [False, False]])


@pytest.mark.parametrize(
  ('length', 'batch_size', 'time_step'), [(50, 4, 5), (97, 8, 7), (16, 8, 3), (41, 1, 40)]
)
def test_each_target_is_predicted_once_per_epoch(length, batch_size, time_step):
  """Each target is predicted from the character before it."""
  text = np.arange(length)
  split = characters.streams(text, batch_size=batch_size, time_step=time_step)
  found = batches(split, split.batches)
  real = found['mask'] == 1
  targets = found['label'][real]
  assert len(set(targets.tolist())) == len(targets) == split.count == length - batch_size
  np.testing.assert_array_equal(found['character'][real] + 1, targets)
  starts = set(range(length)) - set(
    targets.tolist()
  )  # the first character of each stream is never a target
  assert starts == {b * length // batch_size for b in range(batch_size)}
  for stream in range(batch_size):  # each stream is contiguous over the steps
    read = found['character'][:, stream][real[:, stream]]
    np.testing.assert_array_equal(np.diff(read), 1)


def test_streams_reset_each_epoch_and_depend_on_step():
  split, _ = stream_split('to be, or not to be, that is the question', batch_size=3, time_step=4)
  full = batches(split, 2 * split.batches)
  np.testing.assert_array_equal(
    full['reset'][:, 0], [step % split.batches == 0 for step in range(2 * split.batches)]
  )
  part = batches(split, 3, first=split.batches - 1)
  for name, values in part.items():
    np.testing.assert_array_equal(values, full[name][split.batches - 1 : split.batches + 2])


def test_random_lengths_have_the_distribution_of_the_paper():
  found = characters.random_lengths(1_000_000, 100)
  assert found.sum() == 1_000_000
  assert found[:-1].min() >= 5
  assert found.max() <= 110
  short = found < 75  # five deviations from both means
  assert short.mean() == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / len(found)))
  for of_mean, mean in ((found[short], 50), (found[~short], 100)):
    # Lengths are rounded down; the limits change the deviation by less than 0.5.
    assert of_mean.mean() == pytest.approx(mean - 0.5, abs=4 * 5 / np.sqrt(len(of_mean)))
    assert of_mean.std() == pytest.approx(5, abs=0.7)
  few = characters.random_lengths(300, 10)
  assert few.sum() == 300
  assert few[:-1].min() == 5
  assert few.max() <= 20


def test_each_target_is_predicted_once_per_epoch_of_random_lengths():
  """The streams continue, in every epoch with the same lengths in another order."""
  split = characters.streams(np.arange(1, 1002), **RANDOM)
  found = batches(split, 2 * split.batches)
  np.testing.assert_array_equal(found['steps'], found['mask'])
  lengths = found['mask'].sum(-1)  # [S, B]
  np.testing.assert_allclose(found['rate'], lengths.max(1, keepdims=True) / 20 + 0 * found['rate'])
  of_epochs = np.split(lengths.max(1), 2)
  assert sorted(of_epochs[0]) == sorted(of_epochs[1]), of_epochs
  assert of_epochs[0].tolist() != of_epochs[1].tolist()
  assert len(set(of_epochs[0])) > 5
  for epoch in np.split(np.arange(2 * split.batches), 2):
    np.testing.assert_array_equal(found['reset'][epoch].all(1), epoch == epoch[0])
    for stream in range(4):
      real = found['mask'][epoch, stream] == 1
      read = found['character'][epoch, stream][real]
      first, stop = (number * 1001 // 4 for number in (stream, stream + 1))
      np.testing.assert_array_equal(read, np.arange(first, stop - 1) + 1)
      np.testing.assert_array_equal(found['label'][epoch, stream][real], read + 1)


def test_random_lengths_are_a_function_of_seed_and_step():
  text = np.arange(1000)
  split = characters.streams(text, **RANDOM)
  full = batches(split, 3 * split.batches)
  part = batches(characters.streams(text, **RANDOM), 5, first=split.batches - 2)
  for name, values in part.items():
    np.testing.assert_array_equal(values, full[name][split.batches - 2 : split.batches + 3])
  other = characters.streams(text, **{**RANDOM, 'seed': 4})
  assert other.batches == split.batches, 'runs of several seeds are compiled together'
  assert (batches(other, split.batches)['mask'] != full['mask'][: split.batches]).any()


def test_without_random_lengths_a_batch_is_unchanged():
  """Only the training split has random lengths."""
  given = dict(
    seed=0, splits=dict(train='train[:900]', test='test[:90]'), batch_size=4, time_step=10
  )
  data, random = (
    DATA_SETS['shakespeare'](**given, random_length=is_random) for is_random in (False, True)
  )
  assert set(data.batch) == {'character', 'label', 'mask', 'reset', 'index', 'inputs'}
  assert set(random.batch) == {*data.batch, 'steps', 'rate'}
  assert (data.input_shape(), random.input_shape()) == ((10,), (20,))
  found = batches(data.splits['train'], 3)
  text = np.asarray(data.splits['train'].arrays['character'])
  for step in range(3):
    for stream in range(4):
      expected = text[stream * 225 + step * 10 :][:10]
      np.testing.assert_array_equal(found['character'][step, stream], expected)
  tested, plain = (batches(one.splits['test'], 3) for one in (random, data))
  assert tested.keys() == plain.keys()
  for name, values in plain.items():
    np.testing.assert_array_equal(tested[name], values)


def test_encoding_round_trips_and_names_unknown_characters():
  vocabulary = ('\n', ' ', 'é', 'a', '字')
  text = 'a字 é\na'
  assert characters.decode(characters.encode(text, vocabulary), vocabulary) == text
  with pytest.raises(
    ValueError, match="characters '!', 'b' are not in the vocabulary of 5: leave them out"
  ):
    characters.encode('a b!', vocabulary)


def test_short_text_and_invalid_time_step_are_named():
  with pytest.raises(
    ValueError,
    match='a text of 5 characters is too short for 3 streams: use a batch size of at most 2',
  ):
    characters.streams(np.zeros(5, np.uint8), batch_size=3, time_step=2)
  with pytest.raises(ValueError, match=r'config\.data\.time_step=0 is not a size'):
    DATA_SETS['shakespeare'](seed=0, splits={'train': 'train'}, batch_size=2, time_step=0)
  given = dict(seed=0, splits={'train': 'train'}, batch_size=2, time_step=9)
  with pytest.raises(ValueError, match=r'and config\.data\.time_step=9: use at least 10'):
    DATA_SETS['shakespeare'](**given, random_length=True)
  with pytest.raises(ValueError, match=r'config\.data\.random_length=5 is not'):
    DATA_SETS['shakespeare'](**given, random_length=5)


def test_bundled_complete_works_are_split_90_5_5():
  source = shakespeare.shakespeare(source='bundled', data_dir=None)
  lengths = {split: len(columns['character']) for split, columns in source.columns.items()}
  assert lengths == {'train': 4551516, 'validation': 252862, 'test': 252862}
  assert len(source.classes) == 84
  text = ''.join(
    characters.decode(columns['character'], source.classes) for columns in source.columns.values()
  )
  assert (
    'But soft! What light through yonder window breaks?' in text or 'yonder window breaks' in text
  )
  data = DATA_SETS['shakespeare'](
    seed=0,
    source='bundled',
    splits={'train': 'train', 'test': 'test[:1000]'},
    batch_size=32,
    time_step=50,
  )
  assert data.input_shape() == (50,)
  assert data.facts()['classes'] == list(source.classes)  # stored in the checkpoint
  assert (
    data.splits['test'].count == 992
  )  # eight streams, each with a first character that is never a target


def test_tiny_shakespeare_splits_equal_those_of_tfds():
  text = ''.join(chr(32 + i % 90) for i in range(1115394))
  assert [len(part) for part in shakespeare.parts(text).values()] == [1003854, 55770, 55770]
  assert ''.join(shakespeare.parts(text).values()) == text


def test_vocabulary_covers_all_splits():
  columns, vocabulary = characters.columns({'train': 'abc', 'test': 'zc'})
  assert vocabulary == ('a', 'b', 'c', 'z')
  source = Source(origin='memory', columns=columns, classes=vocabulary)
  assert source.columns['test']['character'].tolist() == [3, 2]
