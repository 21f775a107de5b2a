"""Labels of any form become numbers of classes, and errors name the row."""

import numpy as np
import pytest

from jaxdl.data import labels


@pytest.mark.parametrize(
  ('values', 'codes', 'classes'),
  [
    ([3, 1, 7, 3], [1, 0, 2, 1], ('1', '3', '7')),
    (np.array([[2], [10], [2]]), [0, 1, 0], ('2', '10')),  # ascending as numbers, not as texts
    ([-1, 1, -1], [0, 1, 0], ('-1', '1')),
    ([2.0, 5.0], [0, 1], ('2', '5')),
    ([True, False], [1, 0], ('False', 'True')),
    (['dog', 'cat', 'dog'], [1, 0, 1], ('cat', 'dog')),
    (np.array([b'dog', b'cat']), [1, 0], ('cat', 'dog')),
    (np.array(['dog', 'cat'], object), [1, 0], ('cat', 'dog')),
    (np.array([4, 9], object), [0, 1], ('4', '9')),
    ([[0, 1, 0], [1, 0, 0], [0, 1, 0]], [1, 0, 1], ('0', '1', '2')),
    (np.eye(3, dtype=bool), [0, 1, 2], ('0', '1', '2')),
  ],
)
def test_labels_are_numbered_in_ascending_order(values, codes, classes):
  found, names = labels.encode(values, "'y'")
  assert (found.tolist(), names) == (codes, classes)
  assert found.dtype == np.int32
  again, same = labels.encode(values, "'y'", classes)
  assert (again.tolist(), same) == (codes, classes)


def test_labels_are_numbered_as_the_classes_given():
  codes, _ = labels.encode([7, 3], "'y'", ('1', '3', '7'))
  assert codes.tolist() == [2, 1]
  with pytest.raises(ValueError, match=r"'y' has the label '5', which is not one of the 3 classes"):
    labels.encode([7, 5], "'y'", ('1', '3', '7'))


@pytest.mark.parametrize(
  ('values', 'message'),
  [
    ([1.0, float('nan')], r"'y' has no label in row 1 \(nan\): leave the row out"),
    ([0.5, 1.0], r"'y' has 0.5 in row 0, which is not a class: set task='regress'"),
    ([1.0, float('inf')], r"'y' has inf in row 1, which is not a class"),
    (np.array(['a', None], object), r"'y' has no label in row 1: leave"),
    (np.array([{}, 1], object), r"'y' has dict in row 0: give labels as"),
    ([1j, 2], r"'y' is complex128 \[2\]: give labels"),
    (np.zeros((2, 2, 2)), r"'y' is float64 \[2, 2, 2\]: give labels \[N\]"),
    (
      [[1, 0], [1, 1]],
      r"rows that are not one-hot, such as row 1: \[1, 1\]; set task='multi_label'",
    ),
    ([[0.2, 0.8], [1, 0]], r'not one-hot, such as row 0: \[0.2, 0.8\]'),
    ([['a', 'b']], r"'y' is text \[1, 2\]: give one label"),
    ([[1, 0], [1]], "'y' is not an array"),
  ],
)
def test_invalid_labels_are_named(values, message):
  with pytest.raises(ValueError, match=message) as caught:
    labels.encode(values, "'y'")
  assert '\n' not in str(caught.value)


def test_a_million_different_labels_are_not_classes():
  with pytest.raises(ValueError, match=r'1,000,000 different labels, too many for classes: name'):
    labels.encode(np.arange(1_000_000), "'y'")


@pytest.mark.parametrize(
  ('keys', 'names', 'expected'),
  [
    (('1', '3'), None, (('1', '3'), ('1', '3'))),
    (('1', '3'), ['low', 'high'], (('1', '3'), ('low', 'high'))),
    (('0', '2'), ['a', 'b', 'c'], (('0', '1', '2'), ('a', 'b', 'c'))),
    (('cat', 'dog'), ['dog', 'cat', 'fox'], (('dog', 'cat', 'fox'), ('dog', 'cat', 'fox'))),
  ],
)
def test_names_of_classes(keys, names, expected):
  assert labels.named(keys, names, "'y'") == expected


def test_names_that_do_not_fit_are_refused():
  with pytest.raises(ValueError, match=r"3 different labels \('4', '5', '6'\), but there are 2"):
    labels.named(('4', '5', '6'), ['a', 'b'], "'y'")


def test_several_labels_and_values():
  rows, names = labels.encode_many([[1, 0], [1, 1]], "'y'", ['round', 'red'])
  assert (rows.tolist(), names, rows.dtype) == ([[1, 0], [1, 1]], ('round', 'red'), np.float32)
  assert labels.encode_values([1, 2], "'y'").tolist() == [[1], [2]]
  with pytest.raises(ValueError, match=r"'y' has 2 in row 1, column 0: use 0 or 1"):
    labels.encode_many([[1, 0], [2, 1]], "'y'")
  with pytest.raises(ValueError, match=r"'y' is int64 \[2\]: several labels"):
    labels.encode_many([1, 0], "'y'")
  with pytest.raises(ValueError, match=r"'y' has nan in row 1, column 0: replace it"):
    labels.encode_values([1, np.nan], "'y'")
  with pytest.raises(ValueError, match=r"'y' has inf in row 0, column 1"):
    labels.encode_values([[1, 1e300]], "'y'")
  with pytest.raises(ValueError, match=r"'y' is text \[1\], but task='regress' predicts numbers"):
    labels.encode_values(['a'], "'y'")
