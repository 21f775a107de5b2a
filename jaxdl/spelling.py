"""What a misspelt word was to be."""

import difflib


def nearest(word, words):
  """The one of some words (strings) that is spelt nearly as this one is, None where there is none."""
  return next(iter(difflib.get_close_matches(str(word), list(words), 1)), None)


def meant(word, words):
  """'; did you mean WORD?' of the one that is spelt nearly so, '' where there is none."""
  return f'; did you mean {near}?' if (near := nearest(word, words)) else ''
