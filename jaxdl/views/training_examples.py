"""Training examples of a run, for analyses that compare test examples with them."""

from typing import Any

import numpy as np

from jaxdl.views.subject import Subject, data_of_run, examples_of


def training_examples(subject: Subject, count: int) -> tuple[np.ndarray, np.ndarray, Any]:
  """Reads the first training examples of a run, in the order of its first epoch.

  They are not augmented.

  Args:
    subject: as returned by `subject.read`, with examples.
    count: most examples.

  Returns:
    (inputs [N, …], labels [N, …], images [N, H, W, C] in 0..1), as those of `Subject`; the images
    are None for inputs that are no pictures.

  Raises:
    ValueError: the count is below 1, the subject is a language model, or the data differ from those
      on which the network was trained.
    OSError: the data cannot be read.
  """
  if count < 1:
    raise ValueError(f'count={count} is too few training examples: use at least 1')
  if subject.kind == 'language_model':
    raise ValueError('a language model has one text, no training examples')
  data = data_of_run(subject.workdir, subject.config, **subject.place)
  found = examples_of(data, data.splits['train'], count)
  images = found['images']
  return (
    found['inputs'],
    found['labels'],
    None if images is None else subject.seen(images),
  )
