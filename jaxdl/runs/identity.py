"""Which config keys make another run."""

from jaxdl import models
from jaxdl.config import differences


def changed_keys(before, now, *, but):
  """The keys in which a run's config.json differs from a config, whose 'classes' are as many as the
  run's data have.

  Args:
    before: dict, config.json.
    now: dict, plain JSON data of a config.
    but: keys that may differ, and what stands below them.

  Returns:
    list of str, 'model.features', ….
  """
  classes = before.get('dataset', {}).get('classes', ())
  return differences.changed_keys(
    before, {**now, 'model': models.with_classes(now.get('model'), len(classes))}, but=but
  )


# Keys that may differ between a config and its runs.
SAME_RUN = (
  'format',
  'reported',
  'dataset',
  'seed',
  'cpu_devices',
  'log_every',
  'evaluate_every',
  'checkpoint_every',
  'keep_every',
  'profile',
  'data.folder',
  'data.copy',
  'data.source',
  'data.data_dir',
  'data.workers',
  'data.class_names',
)


MAY_CHANGE = (
  'format',
  'train_for',
  'log_every',
  'evaluate_every',
  'checkpoint_every',
  'keep_every',
  'profile',
  'reported',
  'cpu_devices',
  'data.workers',
  'data.class_names',  # these are compared as dataset.classes
  # what follows from other keys, and older versions did not keep; checksums are compared on their
  # own
  'dataset.steps_per_epoch',
  'dataset.examples',
  'dataset.examples_per_class',
  'dataset.checksums',
  'dataset.folder',
  'dataset.copy',
  'dataset.data_dir',
)


PLACES = (
  'data.folder',
  'data.copy',
  'data.source',
  'data.data_dir',
  'dataset.origin',
)  # may change with the same checksums
