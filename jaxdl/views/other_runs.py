"""Other runs, which an analysis compares with a Subject on the same examples."""

import dataclasses
import pathlib

from jaxdl.runs import checkpoint
from jaxdl.views.subject import Subject, kind_of

SAME = ('input_shape', 'mean', 'deviation')  # facts about the data that must be equal


def read(subject: Subject, folder: str | pathlib.Path, step: str | int) -> Subject:
  """The network of another run, with the examples of a Subject.

  Args:
    subject: the Subject.
    folder: folder of the other run.
    step: step of its checkpoint: 'best' | 'last' | int.

  Returns:
    Subject of the other run.

  Raises:
    ValueError: the other run has another kind of network, other classes or differently scaled
      inputs.
    OSError: there is no checkpoint.
  """
  found, model, variables, config = checkpoint.load_step(folder, step)
  kept, other = subject.config['dataset'], config['dataset']
  same = {
    'kind of network': (subject.kind, kind_of(config)),
    'classes': (list(subject.classes), list(other['classes'])),
    **{name: (_plain(kept[name]), _plain(other[name])) for name in SAME},
  }
  for name, (own, others) in same.items():
    if own != others:
      raise ValueError(
        f'against={folder} has another {name} ({others}) than {subject.workdir} ({own}): '
        'give a run on the same data'
      )
  return dataclasses.replace(
    subject,
    workdir=pathlib.Path(folder),
    step=found,
    model=model,
    variables=variables,
    config=config,
  )


def _plain(value):
  return list(value) if isinstance(value, (list, tuple)) else value
