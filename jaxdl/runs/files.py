"""Readers of a run's files: config.json, summary.json, metrics.jsonl and weights.jsonl."""

import datetime
import json
import os
import pathlib
from typing import Any

from jaxdl.runs import format, keys

FIX = 'delete it and rerun the command of its run'


def read_config(file: pathlib.Path) -> dict[str, Any]:
  """Reads a run's `config.json`; its keys are checked.

  Raises:
    ValueError: the file is not a JSON object, was written by a newer version, or has a key that is
      missing or has an invalid value.
  """
  found = read_json(file)
  format.check(found, file.parent)
  if wrong := keys.fault_of_config(found):
    raise ValueError(f'{file} {wrong}: {FIX}')
  return found


def read_summary(file: pathlib.Path) -> dict[str, Any]:
  """Reads a run's `summary.json`; its keys are checked.

  Raises:
    ValueError: the file is not a JSON object, or has a key that is missing or has an invalid value.
  """
  found = read_json(file)
  if wrong := keys.fault(found, keys.summary_keys()):
    raise ValueError(f'{file} {wrong}: {FIX}')
  return found


def read_json(file: pathlib.Path) -> dict[str, Any]:
  """Reads a JSON file of a run; its keys are not checked.

  Args:
    file: the file.

  Returns:
    The JSON object.

  Raises:
    ValueError: the file is not a JSON object.
  """
  try:
    found = loads(file.read_text(encoding='utf-8'))
  except (ValueError, RecursionError) as error:
    raise ValueError(f'{file} is not JSON ({error}): {FIX}') from error
  if not isinstance(found, dict):
    raise ValueError(f'{file} is not the JSON object of a run: {FIX}')
  return found


def loads(text: str) -> Any:
  """Parses JSON.

  Raises:
    ValueError: the text is not JSON, or has an escape for half a character, such as '\\ud800',
      which no page could contain.
    RecursionError: the text is nested too deeply.
  """
  found = json.loads(text)
  if r'\ud' in text.lower():
    try:
      json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
      raise ValueError(f'{error.object[error.start]!a} is half a character') from error
  return found


def journal(workdir: str | os.PathLike) -> list[dict[str, Any]]:
  """Reads `metrics.jsonl` without incomplete and damaged lines.

  Args:
    workdir: the run's folder.

  Returns:
    Its lines in order; [] if there is no such file.
  """
  return [
    line
    for line in _objects(pathlib.Path(workdir) / 'metrics.jsonl')
    if isinstance(line.get('split'), str)
    and all(keys.is_figure(value) for key, value in line.items() if key not in ('step', 'split'))
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
    for line in _objects(pathlib.Path(workdir) / 'weights.jsonl')
    if all(
      isinstance(values, list)
      and len(values) == 9
      and all(keys.is_finite(value) for value in values)
      for key, values in line.items()
      if key != 'step'
    )
  ]


def lines_until(text: str, step: int) -> list[str]:
  """The complete lines of a journal up to a step, as they were written.

  Args:
    text: content of `metrics.jsonl` or `weights.jsonl`.
    step: the last step of the result.
  """
  return [f'{line}\n' for line, found in _lines(text) if found['step'] <= step]


def _lines(text):
  """The lines that are JSON objects with a step: (line, object)."""
  for line in text.splitlines():
    try:
      found = loads(line)
    except (ValueError, RecursionError):
      continue  # such as the incomplete last line of a killed run
    if isinstance(found, dict) and keys.is_count(found.get('step')):
      yield line, found


def _objects(file):
  """The objects of the lines of a journal; none if the file is missing."""
  text = file.read_text(errors='replace', encoding='utf-8') if file.is_file() else ''
  return [found for _, found in _lines(text)]
