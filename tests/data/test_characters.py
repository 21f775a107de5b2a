"""Text divided into parallel streams that continue from step to step."""

import numpy as np
import pytest

from jaxdl.data import DATA_SETS, characters
from jaxdl.data.sets import shakespeare
from jaxdl.data.source import Source


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
