"""Readers of a run's files: config.json, summary.json, metrics.jsonl and weights.jsonl."""

import datetime
import json
import math
import os
import pathlib
from collections.abc import Callable
from typing import Any

from jaxdl.step import metrics

LARGEST = 3.5e38  # greater than any finite float32


def is_figure(value: Any) -> bool:
  """Whether a value is a number that a run can measure; it may be infinite or NaN."""
  return (
    isinstance(value, (int, float))
    and not isinstance(value, bool)
    and (abs(value) <= LARGEST or (isinstance(value, float) and not math.isfinite(value)))
  )


def _is_count(value):
  return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_span(value):
  return is_figure(value) and 0 <= value < 1e12


def _are_counts(value):
  return isinstance(value, dict) and all(map(_is_count, value.values()))


def _are_lists_of_counts(value):
  return isinstance(value, dict) and all(
    isinstance(counts, list) and all(map(_is_count, counts)) for counts in value.values()
  )


def _is(*kinds):
  return lambda value: isinstance(value, kinds)


MUST, MAY = True, False
CONFIG = {  # key → (check of its value, whether it is required)
  'format': (_is_count, MAY),
  'model': (_is(dict), MUST),
  'model.name': (_is(str), MUST),
  'model.cell': (_is(str), MAY),
  'data': (_is(dict), MUST),
  'data.name': (_is(str), MUST),
  'data.batch_size': (_is_count, MUST),
  'data.time_step': (_is_count, MAY),
  'seed': (_is_count, MAY),
  'dataset': (_is(dict), MAY),
  'dataset.classes': (_is(list), MAY),
  'dataset.input_shape': (_is(list), MAY),
  'dataset.steps_per_epoch': (_is_count, MAY),
  'dataset.examples': (_are_counts, MAY),
  'dataset.examples_per_class': (_are_lists_of_counts, MAY),
  'reported': (_is(dict, type(None)), MAY),
}


def summary_keys() -> dict:
  """The keys of a summary.json: key → (check of its value, whether it is required)."""
  figures = {
    f'{split}_{metric.name}': (is_figure, MAY)
    for split in metrics.SPLITS
    for metric in metrics.evaluated()
  }
  return {
    'config': (_is(str), MUST),
    'step': (_is_count, MUST),
    'parameters': (_is_count, MUST),
    'seed': (_is_count, MUST),
    'seconds': (_is_span, MUST),
    'device': (_is(str), MUST),
    'data': (_is(str), MUST),
    'versions': (_is(dict), MAY),
    'watch': (_is(str), MAY),
    'reported': (_is(dict), MAY),
    **figures,
    **{f'{split}_examples': (_is_count, MAY) for split in metrics.SPLITS},
  }


def read_json(
  file: pathlib.Path, keys: dict[str, tuple[Callable[[Any], bool], bool]] | None = None
) -> dict[str, Any]:
  """Reads a run's `config.json` or `summary.json`.

  Args:
    file: the file.
    keys: CONFIG or `summary_keys()`; None checks no keys.

  Returns:
    The JSON object.

  Raises:
    ValueError: the file is not a JSON object, or a key has an invalid value.
  """
  fix = 'delete it and rerun the command of its run'
  try:
    found = json.loads(file.read_text(encoding='utf-8'))
  except (ValueError, RecursionError) as error:
    raise ValueError(f'{file} is not JSON ({error}): {fix}') from error
  if not isinstance(found, dict):
    raise ValueError(f'{file} is not the JSON object of a run: {fix}')
  for key, (good, needed) in (keys or {}).items():
    node = found
    for part in key.split('.'):
      node = node.get(part, _ABSENT) if isinstance(node, dict) else _ABSENT
    if (node is _ABSENT and needed) or (node is not _ABSENT and not good(node)):
      raise ValueError(f'{file} has {"no" if node is _ABSENT else "an invalid"} {key}: {fix}')
  return found


_ABSENT = object()


def journal(workdir: str | os.PathLike) -> list[dict[str, Any]]:
  """Reads `metrics.jsonl` without incomplete and damaged lines.

  Args:
    workdir: the run's folder.

  Returns:
    Its lines in order; [] if there is no such file.
  """
  return [
    line
    for line in _lines(pathlib.Path(workdir) / 'metrics.jsonl')
    if isinstance(line.get('split'), str)
    and all(is_figure(value) for key, value in line.items() if key not in ('step', 'split'))
  ]


def saved_on(workdir: str | os.PathLike, step: int) -> datetime.date | None:
  """The day (UTC) on which a checkpoint was written, as it recorded; None if it is not known.

  Args:
    workdir: the run's folder.
    step: step of the checkpoint.
  """
  file = pathlib.Path(workdir) / 'checkpoints' / str(step) / '_CHECKPOINT_METADATA'
  try:
    seconds = json.loads(file.read_text(encoding='utf-8'))['commit_timestamp_nsecs'] / 1e9
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date()
  except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
    return None


def weights(workdir: str | os.PathLike) -> list[dict[str, Any]]:
  """Reads `weights.jsonl` without incomplete and damaged lines.

  Args:
    workdir: the run's folder.

  Returns:
    Its lines in order, each with 'step' and tensor → nine numbers; [] if there is no such file.
  """
  return [
    line
    for line in _lines(pathlib.Path(workdir) / 'weights.jsonl')
    if all(
      isinstance(values, list)
      and len(values) == 9
      and all(is_figure(value) and math.isfinite(value) for value in values)
      for key, values in line.items()
      if key != 'step'
    )
  ]


def _lines(file):
  """The lines of a file that are JSON objects with a step."""
  for line in (
    file.read_text(errors='replace', encoding='utf-8').splitlines() if file.is_file() else ()
  ):
    try:
      found = json.loads(line)
    except (ValueError, RecursionError):
      continue
    if isinstance(found, dict) and _is_count(found.get('step')):
      yield found
