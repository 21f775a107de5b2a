"""The keys of config.json and summary.json that readers of a run use, with their checks."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxdl.runs import format
from jaxdl.step import metrics

LARGEST = 3.5e38  # greater than any finite float32
SIZE = 2**31  # sizes of batches and arrays are smaller


class Key(NamedTuple):
  """A key that readers of a run use.

  Attributes:
    is_valid: function (value) → whether a reader can use it.
    needed: whether the key may not be missing.
  """

  is_valid: Callable[[Any], bool]
  needed: bool = False


def is_figure(value: Any) -> bool:
  """Whether a value is a number that a run can measure; it may be infinite or NaN."""
  return (
    isinstance(value, (int, float))
    and not isinstance(value, bool)
    and (abs(value) <= LARGEST or (isinstance(value, float) and not math.isfinite(value)))
  )


def is_finite(value: Any) -> bool:
  """Whether a value is a finite number that a run can measure."""
  return is_figure(value) and math.isfinite(value)


def is_count(value: Any) -> bool:
  """Whether a value is a number of steps, examples or parameters, or that of a process."""
  return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def is_span(value: Any) -> bool:
  """Whether a value is a duration in seconds."""
  return is_finite(value) and 0 <= value < 1e12


def is_text(value: Any) -> bool:
  """Whether a value is a string."""
  return isinstance(value, str)


def _is_size(value):
  return is_count(value) and 1 <= value < SIZE


def _is(*kinds):
  return lambda value: isinstance(value, kinds)


def _are(is_valid):
  return lambda value: isinstance(value, list) and all(map(is_valid, value))


def map_of(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
  """Returns the check of an object all of whose values are valid."""
  return lambda value: isinstance(value, dict) and all(map(is_valid, value.values()))


def _is_shape(value):
  return _are(_is_size)(value) and math.prod(value) < SIZE


def _are_changes(value):
  return isinstance(value, list) and all(
    isinstance(change, dict) and is_text(change.get('kind')) for change in value
  )


def _is_column(value):
  """Whether a value describes a column of a table, as `data.tables.columns.fit` does."""
  if not isinstance(value, dict) or not is_text(value.get('column')):
    return False
  if value.get('kind') == 'number':
    return is_or_none(is_finite)(value.get('fill'))
  return is_or_none(is_text)(value.get('fill')) and _are(is_text)(value.get('categories'))


def is_or_none(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
  """Returns the check of a value that is valid or None."""
  return lambda value: value is None or is_valid(value)


CONFIG = {
  'format': Key(is_count),
  'seed': Key(is_count),
  'task': Key(_is(str, dict)),
  'task.name': Key(is_text),
  'model': Key(_is(dict), needed=True),
  'model.name': Key(is_text, needed=True),
  'model.cell': Key(is_text),
  'optimizer': Key(_is(dict)),
  'data': Key(_is(dict), needed=True),
  'data.name': Key(is_text, needed=True),
  'data.batch_size': Key(_is_size, needed=True),
  'data.evaluation_batch_size': Key(_is_size),
  'data.time_step': Key(_is_size),
  'data.layout': Key(is_text),
  'data.splits': Key(_is(dict, str, type(None))),
  'data.distort': Key(is_or_none(_are_changes)),
  'data.encoding': Key(is_text),
  'dataset': Key(_is(dict)),
  'dataset.name': Key(is_text),
  'dataset.origin': Key(is_text),
  'dataset.classes': Key(_are(is_text)),
  'dataset.input_shape': Key(_is_shape),
  'dataset.steps_per_epoch': Key(is_count),
  'dataset.examples': Key(map_of(is_count)),
  'dataset.examples_per_class': Key(map_of(_are(is_count))),
  'dataset.checksums': Key(map_of(is_text)),
  'dataset.mean': Key(_are(is_finite)),
  'dataset.deviation': Key(_are(is_finite)),
  'dataset.dtype': Key(is_text),
  'dataset.form': Key(is_text),
  'dataset.masked': Key(_is(bool)),
  'dataset.targets': Key(_is(dict)),
  'dataset.targets.names': Key(_are(is_text)),
  'dataset.targets.mean': Key(_are(is_finite)),
  'dataset.targets.deviation': Key(_are(is_finite)),
  'dataset.labels': Key(_are(is_text)),
  'dataset.features': Key(_are(is_text)),
  'dataset.table': Key(_is(dict)),
  'dataset.table.columns': Key(_are(_is_column)),
  'dataset.table.targets': Key(_are(is_text)),
  'dataset.appearance': Key(map_of(_are(is_finite))),
  'dataset.division': Key(is_text),
  **{
    f'dataset.{place}': Key(is_or_none(is_text)) for place in ('folder', 'file', 'copy', 'data_dir')
  },
  'reported': Key(_is(dict, type(None))),
  'origin': Key(_is(dict)),
}


def summary_keys() -> dict[str, Key]:
  """The keys of a summary.json."""
  figures = {
    f'{split}_{metric.name}': Key(is_figure)
    for split in metrics.SPLITS
    for metric in metrics.evaluated()
  }
  return {
    'config': Key(is_text, needed=True),
    'step': Key(is_count, needed=True),
    'steps': Key(is_or_none(is_count)),
    'stopped': Key(is_or_none(is_count)),
    'stopped_early': Key(is_or_none(is_count)),
    'parameters': Key(is_count, needed=True),
    'seed': Key(is_count, needed=True),
    'seconds': Key(is_span, needed=True),
    'device': Key(is_text, needed=True),
    'data': Key(is_text, needed=True),
    'versions': Key(_is(dict)),
    'watch': Key(is_text),
    'reported': Key(_is(dict)),
    **figures,
    **{f'{split}_examples': Key(is_count) for split in metrics.SPLITS},
  }


ANALYSIS = {'step': Key(is_or_none(is_count)), 'split': Key(is_text)}  # the .json of an analysis


def fault(found: Mapping[str, Any], keys: Mapping[str, Key]) -> str:
  """Why readers cannot use an object, such as 'has no data.name'; '' if they can.

  Args:
    found: JSON object.
    keys: CONFIG or `summary_keys()`.
  """
  for key, (is_valid, needed) in keys.items():
    value = format.value_of(found, key)
    if value is format.ABSENT and needed:
      return f'has no {key}'
    if value is not format.ABSENT and not is_valid(value):
      return f'has an invalid {key}'
  return ''


def fault_of_config(found: Mapping[str, Any]) -> str:
  """As `fault` for a run's config, also for keys that contradict each other."""
  wrong = fault(found, CONFIG)
  if wrong or format.number(found) < 2:  # it may lack facts about the data
    return wrong
  missing = format.missing_facts(found)
  if missing:
    return f'has no {missing[0]}'
  return next((f'has an invalid {key}' for key, fits in _FITS.items() if not fits(found)), '')


def _fits_scaling(config):
  kept = config['dataset']
  mean, deviation = kept.get('mean', []), kept.get('deviation', [])
  return len(mean) == len(deviation)


def _fits_shape(config):
  """Whether the shape of the inputs has the axes of the form of the data, and their channels."""
  kept, data = config['dataset'], config['data']
  if 'mean' not in kept:  # a text
    return True
  shape, channels = kept['input_shape'], len(kept['mean'])
  form, layout = kept.get('form'), data.get('layout', 'image')
  if form or layout not in ('image', 'rows'):
    return len(shape) == {'vectors': 1, 'sequences': 2}.get(form, len(shape))
  if layout == 'rows':
    return len(shape) == 2 and channels > 0 and shape[1] % channels == 0
  return len(shape) == 3 and shape[2] == channels


def _fits_targets(config):
  targets = config['dataset'].get('targets')
  sizes = {len(targets.get(key, ())) for key in ('names', 'mean', 'deviation')} if targets else {1}
  return len(sizes) == 1 and 0 not in sizes


_FITS = {
  'dataset.deviation': _fits_scaling,
  'dataset.input_shape': _fits_shape,
  'dataset.targets': _fits_targets,
}
