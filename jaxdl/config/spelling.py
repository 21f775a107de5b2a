"""What a misspelt word was to be."""

import difflib

ELSEWHERE = {  # what Keras and PyTorch call a key → what a config does
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
  'sched': 'schedule',
  'scheduler': 'schedule',
  'weight_decay': 'l2',
}


def nearest(word, words):
  """The one of some words (strings) that this one is elsewhere, or is spelt nearly so, None where
  there is none.
  """
  return same(word, words) or next(iter(difflib.get_close_matches(str(word), list(words), 1)), None)


def same(word, words):
  """The one of some words, such as 'optimizer.learning_rate', whose last part this one is, here or
  elsewhere, else None.
  """
  word = str(word).lower()
  meant_by = [
    known for known in words if str(known).rpartition('.')[2] in (word, ELSEWHERE.get(word))
  ]
  return next(iter(meant_by), None)


def meant(word, words):
  """'; did you mean WORD?' of the `nearest` one, '' where there is none."""
  return f'; did you mean {near}?' if (near := nearest(word, words)) else ''
