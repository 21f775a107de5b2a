"""'Did you mean …?' suggestions."""

import difflib
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

ELSEWHERE = {  # name of a key in Keras or PyTorch → its name in a config
  'lr': 'learning_rate',
  'epochs': 'train_for',
  'max_epochs': 'train_for',
  'max_steps': 'train_for',
  'hidden_size': 'features',
  'hidden': 'features',
  'units': 'features',
  'filters': 'features',
  'out_channels': 'features',
  'kernel_size': 'kernel',
  'num_layers': 'layers',
  'num_classes': 'classes',
  'seq_len': 'time_step',
  'sequence_length': 'time_step',
  'tied_embedding': 'tie',
  'tie_weights': 'tie',
  'sched': 'schedule',
  'scheduler': 'schedule',
  'weight_decay': 'l2',
}


def nearest(word: Any, words: Iterable[str]) -> str | None:
  """The equivalent of a word in Keras or PyTorch, else the closest spelling, else None."""
  words = list(words)
  return same(word, words) or next(iter(difflib.get_close_matches(str(word), words, 1)), None)


def same(word: Any, words: Iterable[str]) -> str | None:
  """The first key, such as 'optimizer.learning_rate', whose last part is the word.

  The word may also be the equivalent in Keras or PyTorch. The result is None if there is no such
  key.
  """
  word = str(word).lower()
  meant_by = [
    known for known in words if str(known).rpartition('.')[2] in (word, ELSEWHERE.get(word))
  ]
  return next(iter(meant_by), None)


def meant(word: Any, words: Iterable[str]) -> str:
  """'; did you mean WORD?' with the `nearest` word; '' if there is none."""
  near = nearest(word, words)
  return f'; did you mean {near}?' if near else ''


def missing(
  path: pathlib.Path, fix: str, possible: Callable[[pathlib.Path], bool] = lambda other: True
) -> str:
  """'PATH does not exist: did you mean …?', with the closest name in the same folder.

  Args:
    path: the file or folder that does not exist.
    fix: the advice if no name is close.
    possible: whether another path of the folder is of the right kind. Hidden ones are left out.
  """
  there = path.parent.glob('[!.]*') if path.parent.is_dir() else ()
  near = nearest(path.name, [other.name for other in there if possible(other)])
  return f'{path} does not exist: {f"did you mean {path.parent / near}?" if near else fix}'
