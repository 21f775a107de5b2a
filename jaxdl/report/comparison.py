"""Comparison of runs: the config keys that differ, and one image through each network."""

import json
from collections.abc import Sequence
from typing import Any

from jaxdl.config import differences as config_differences
from jaxdl.report import examples, network
from jaxdl.runs import identity
from jaxdl.runs import record as records
from jaxdl.runs.record import Run

BYTES = 15_000_000  # most bytes of all networks in a page, which has other parts, too
KEYS = 40  # most keys in the table
LONGEST = 60  # characters of a value
ABSENT = '–'


def differences(found: Sequence[Run], labels: Sequence[str]) -> dict[str, Any] | None:
  """Returns the table of the config keys in which runs differ.

  Keys that do not change what is learned, such as the place of the data, are left out.

  Args:
    found: the runs.
    labels: their names.

  Returns:
    A dict with 'columns', 'rows' and 'note' for the page template; None if no keys differ.
  """
  flat = [config_differences.flat(_with_layers(record.config)) for record in found]
  keys = [key for key in dict.fromkeys(key for one in flat for key in one) if _matters(key)]
  rows = []
  for key in keys:
    values = [_shown(one[key]) if key in one else ABSENT for one in flat]
    if len(set(values)) > 1:
      rows.append([key, *values])
  if not rows:
    return None
  note = ''
  if len(rows) > KEYS:
    note = f'{len(rows) - KEYS:,} further keys differ.'
  return {'columns': ['config key', *labels], 'rows': rows[:KEYS], 'note': note}


def _with_layers(tree):
  """A config whose lists of sections, such as layers, are dicts: their keys are compared."""
  if isinstance(tree, dict):
    return {key: _with_layers(value) for key, value in tree.items()}
  if isinstance(tree, (list, tuple)) and any(isinstance(value, dict) for value in tree):
    return {str(number): _with_layers(value) for number, value in enumerate(tree)}
  return tree


def _matters(key):
  """Whether a key may change what is learned; the seed and the length of the run do."""
  properties = identity.of(key)
  return key.partition('.')[0] != 'dataset' and (
    key in ('seed', 'evaluate_every') or not properties.same_experiment
  )


def _shown(value):
  text = value if isinstance(value, str) else json.dumps(value)
  return text if len(text) <= LONGEST else f'{text[: LONGEST - 1]}…'


def same_image(found: Sequence[Run], labels: Sequence[str]) -> dict[str, Any] | None:
  """Returns the networks of several runs, for the comparison of their probabilities.

  Args:
    found: the runs.
    labels: their names.

  Returns:
    None if not all runs classify images. Otherwise a dict for the page template: 'reason', why
    there is no comparison ('' if there is one), 'networks' (list of dicts with 'label' and
    'network', as returned by `network.of_run`) and 'examples' (as returned by `examples.of_run`).

  Raises:
    ValueError: a file of a run is damaged.
  """
  if not all(_classifies_images(record.config) for record in found):
    return None
  reason, networks, shown = _without_comparison(found), [], None
  if not reason:
    reason, networks = _networks(found, labels)
  if not reason:
    shown = next(filter(None, map(examples.of_run, found)), None)
    if shown is None or 'sprite' not in shown:
      reason = 'No run has examples: run jaxdl.analyze on one of them.'
  if reason:
    return {'reason': reason, 'networks': [], 'examples': None}
  return {'reason': '', 'networks': networks, 'examples': shown}


def _classifies_images(config):
  shape = config.get('dataset', {}).get('input_shape', ())
  is_rows = config.get('data', {}).get('layout') == 'rows'
  return 'classify' in str(records.task(config)) and (len(shape) == 3 or is_rows)


def _without_comparison(found):
  """Why the runs cannot be compared on one image; '' if they can."""
  for key, what in (('name', 'data sets'), ('classes', 'classes')):
    if len({json.dumps(record.config['dataset'].get(key)) for record in found}) > 1:
      return f'The runs have different {what}, so that they cannot classify the same image.'
  return ''


def _networks(found, labels):
  """(why the page has no networks, or ''; the networks)."""
  networks, size = [], 0
  for label, record in zip(labels, found, strict=True):
    described = network.of_run(record)
    if 'reason' in described:
      return f'{label}: {described["reason"]}', []
    size += len(described['network'].get('weights', ''))
    if size > BYTES:
      return (
        f'The networks of the {len(found)} runs take more than {BYTES / 1e6:.0f} MB, so that they '
        'are not in the page: compare fewer runs.',
        [],
      )
    networks.append({'label': label, 'network': described['network']})
  shapes = {json.dumps(one['network']['input']['shape']) for one in networks}
  if len(shapes) > 1:
    return 'The networks have inputs of different sizes.', []
  return '', networks
