"""Tests of coloured tables of changes, of plots of two numbers, and of captions of pictures."""

import numpy as np
import pytest

from jaxdl import figures


def test_signed_table_has_the_numbers_of_its_cells():
  values = np.array([[-2.0, 0.0, np.nan], [0.5, 1.0, -0.25]])
  figure = figures.signed_table(
    values, ['a', 'b'], ['x', 'y', 'z'], heading='h', xlabel='columns', ylabel='rows', unit='points'
  )
  axis = figure.axes[0]
  texts = {tuple(text.get_position()): text.get_text() for text in axis.texts}
  assert texts == {(0, 0): '-2', (0, 1): '+0.5', (1, 1): '+1', (2, 1): '-0.25'}
  (drawn,) = axis.images
  assert (drawn.norm.vmin, drawn.norm.vmax) == (-2, 2), 'white is 0'
  assert [label.get_text() for label in axis.get_yticklabels()] == ['a', 'b']


def test_signed_table_of_many_columns_has_no_numbers():
  figure = figures.signed_table(
    np.ones((2, 60)), ['a', 'b'], ['c'] * 60, heading='h', xlabel='x', ylabel='y', unit='u'
  )
  assert not figure.axes[0].texts


@pytest.mark.parametrize('shape', [(0, 3), (2, 2)])
def test_signed_table_needs_a_name_for_each_row(shape):
  with pytest.raises(ValueError, match=r'with 2 rows and 3 columns: give one name for each row'):
    figures.signed_table(
      np.ones(shape), ['a', 'b'], ['x', 'y', 'z'], heading='h', xlabel='', ylabel='', unit=''
    )


def test_relation_names_the_largest_groups():
  groups = np.repeat(np.arange(14), np.arange(14, 0, -1))
  points = np.stack([np.arange(len(groups)), -np.arange(len(groups))], axis=1).astype(float)
  names = [f'class {number}' for number in range(14)]
  figure = figures.relation(
    points, groups, names, heading='h', xlabel='x', ylabel='y', marked=[(3, 'third')]
  )
  axis = figure.axes[0]
  legend = [text.get_text() for text in axis.get_legend().get_texts()]
  assert legend == ['others', *names[:12]]
  drawn = np.concatenate([one.get_offsets() for one in axis.collections])
  assert sorted(map(tuple, drawn)) == sorted(map(tuple, points))
  (note,) = axis.texts
  assert (note.get_text(), tuple(note.xy)) == ('third', (3, -3))
  with pytest.raises(ValueError, match='no points to draw'):
    figures.relation(points[:0], groups[:0], names, heading='h', xlabel='x', ylabel='y')


def test_captions_are_below_their_pictures():
  picture = np.zeros((4, 4, 1))
  rows = [[picture, picture], [picture, None]]
  plain = figures.picture_rows(rows, ['', ''])
  with_captions = figures.picture_rows(rows, ['', ''], captions=[['a', 'b'], ['c', '']])
  assert [axis.get_xlabel() for axis in with_captions.axes] == ['a', 'b', 'c', '']
  assert with_captions.get_figheight() > plain.get_figheight()
