"""Suggestions for misspelt names."""

import pytest

from jaxdl.config import spelling


@pytest.fixture
def folder(tmp_path):
  for name in ('.digits', 'seven.png', 'eight.png'):
    (tmp_path / name).touch()
  (tmp_path / 'sevens').mkdir()
  return tmp_path


def test_missing_path_names_the_closest_one(folder):
  path = folder / 'sevn.png'
  expected = f'{path} does not exist: did you mean {folder / "seven.png"}?'
  assert spelling.missing(path, 'give files') == expected


def test_missing_path_considers_only_possible_ones(folder):
  path = folder / 'seven.pn'
  message = spelling.missing(path, 'give a folder', lambda other: other.is_dir())
  assert message == f'{path} does not exist: did you mean {folder / "sevens"}?'


@pytest.mark.parametrize('name', ['digits', 'unlike', 'no/seven.png'])
def test_hidden_and_unlike_names_are_not_suggested(folder, name):
  path = folder / name
  assert spelling.missing(path, 'give files') == f'{path} does not exist: give files'
