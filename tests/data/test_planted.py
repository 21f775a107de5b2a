"""Tests of the data sets with planted evidence."""

import numpy as np
import pytest

from jaxdl.data import DATA_SETS, characters
from jaxdl.data.sets import mnist, planted
from jaxdl.data.source import Source, check_images

IMAGES = [planted.planted_mark, planted.planted_cues, planted.planted_row]


def read(function):
  return function(source='auto', data_dir=None)


@pytest.mark.parametrize('function', IMAGES)
def test_only_the_evidence_was_planted(function):
  digits = mnist.mnist(source='bundled', data_dir=None).columns
  found = read(function)
  check_images(function.__name__, found)
  for split, columns in found.columns.items():
    image, label, evidence = (columns[name] for name in ('image', 'label', 'evidence'))
    assert len(image) == planted.COUNTS[split]
    assert np.bincount(label).tolist() == [len(label) // 4] * 4
    if function is not planted.planted_cues or split == 'test':
      original = digits[split]['image'][: len(image)]
      np.testing.assert_array_equal(image[~evidence], original[~evidence])
    places = evidence.sum((1, 2))
    expected = 28 if function is planted.planted_row else 25
    assert set(places) == {50 if (function, split) == (planted.planted_cues, 'train') else expected}
    # The evidence of a class is the same in all images: it decides.
    for number in range(4):
      same = image[label == number]
      if function is not planted.planted_cues:
        assert len(np.unique(same[evidence[label == number]].reshape(len(same), -1), axis=0)) == 1
  repeated = read(function)
  np.testing.assert_array_equal(repeated.columns['test']['image'], found.columns['test']['image'])


def test_one_cue_is_left_in_a_test_image():
  columns = read(planted.planted_cues).columns
  upper, lower = (columns['test']['evidence'][:, row, row] for row in (1, 22))
  assert (upper != lower).all()
  assert 0.45 < upper.mean() < 0.55
  assert columns['train']['evidence'][:, [1, 22], [1, 22]].all()
  cross = columns['train']['label'] == list(planted.MARKS).index('cross')
  mark = columns['train']['image'][cross][0, 1:6, 1:6, 0] > 0
  assert mark.tolist() == (np.eye(5) + np.eye(5)[::-1] > 0).tolist()


def test_the_key_of_a_line_is_asked_for():
  found = read(planted.planted_character)
  for columns in found.columns.values():
    text = characters.decode(columns['character'], found.classes)
    evidence = columns['evidence']
    assert len(evidence) == len(text)
    lines = text.splitlines()
    length = planted.LETTERS + 3  # of a line: letters, question, answer, line feed
    answers = length - 2 + length * np.arange(len(lines))
    has_key = [any(letter in planted.KEYS for letter in line) for line in lines]
    assert np.flatnonzero(evidence).tolist() == answers[has_key].tolist()
    for place in np.flatnonzero(evidence)[:200]:
      assert text[place - 1] == '>'
      assert text[place - evidence[place]] == text[place].upper()
      line = text[: place + 1].rpartition('\n')[2]
      assert sum(letter in planted.KEYS for letter in line) == 1


def test_a_quarter_of_the_lines_has_no_key_and_a_random_answer():
  found = read(planted.planted_character)
  text = characters.decode(found.columns['train']['character'], found.classes)
  lines = [line.split(planted.QUESTION) for line in text.splitlines()]
  answers = [answer for letters, answer in lines if letters.islower()]
  assert 0.24 < len(answers) / len(lines) < 0.26
  for key in planted.KEYS.lower():
    assert 0.23 < answers.count(key) / len(answers) < 0.27


def test_evidence_is_no_part_of_a_batch():
  data = DATA_SETS['planted_mark'](
    seed=0, batch_size=4, splits=dict(train='train[:100]', test='test[10:20]')
  )
  assert set(data.splits['train'].arrays) == {'image', 'label'}
  expected = read(planted.planted_mark).columns['test']['evidence'][10:20]
  np.testing.assert_array_equal(data.evidence['test'], expected)
  text = DATA_SETS['planted_character'](
    seed=0, batch_size=4, time_step=5, splits=dict(train='train', test='test[:130]')
  )
  assert len(text.evidence['test']) == 130
  assert not DATA_SETS['mnist'](
    seed=0, batch_size=4, source='bundled', splits=dict(train='train[:10]')
  ).evidence


def test_wrong_evidence_is_refused():
  image, label = np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, np.int32)
  evidence = np.zeros((2, 4, 4), np.uint8)
  columns = {'train': dict(image=image, label=label, evidence=evidence)}
  with pytest.raises(ValueError, match=r"'evidence' of train is uint8 \[2, 4, 4\]: make it bool"):
    check_images('own', Source('own', columns, ('a',)))
  with pytest.raises(ValueError, match=r"config.data.source='tfds' is not a source of planted_row"):
    planted.planted_row(source='tfds', data_dir=None)
