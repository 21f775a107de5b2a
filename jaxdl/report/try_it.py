"""The section "Try it" of the page: the network of a run, examples, and how inputs are made."""

import numpy as np

from jaxdl.data import recorded
from jaxdl.report import examples, network
from jaxdl.runs.record import Run, task

MOST_BARS = 12
FIELDS = 40  # most numbers of a vector that are typed
# How drawings become images: the pen and the frame of the data set, as shares of the side.
DRAWINGS = {
  'mnist': {'pen': 2.5, 'box': 20 / 28, 'centre': 'mass', 'fit': True},
  'hoda': {'pen': 3, 'box': 24 / 32, 'centre': 'frame', 'fit': True},
  'fashion_mnist': {'pen': 4, 'box': 1, 'centre': 'frame', 'fit': True},
}
OTHER = {'pen': 2.5, 'box': 20 / 28, 'centre': 'mass', 'fit': False}
FILTERS = (('all', 'all'), ('right', 'right'), ('wrong', 'wrong'), ('uncertain', 'least certain'))
WORST = (('all', 'all'), ('worst', 'largest error'))


def of_run(record: Run, *, pictures: bool = True, most: int | None = None) -> dict | None:
  """Returns the data of the section for the page template.

  Args:
    record: Run.
    pictures: whether to show examples of the data.
    most: maximum number of examples in the page of a run that trains, whose weights must not need
      rounding; None for any other run.

  Returns:
    None for a run without the facts about its data (of older versions) or without a checkpoint,
    else a dict:

      'kind': 'images', 'autoencoder', 'text' or 'vectors'.
      'reason': why the network cannot run in the page; '' if it can.
      'network': as returned by `network.of_run`.
      'precision': one sentence on the precision of the weights.
      'examples': as returned by `examples.of_run`; None without `pictures`.
      'settings': how the page makes inputs, and the sizes of its parts.

  Raises:
    ValueError: a file of the run is damaged.
  """
  has_network = record.network or any((record.folder / 'checkpoints').glob('[0-9]*'))
  if 'dataset' not in record.config or not has_network:
    return None
  found = network.of_run(record, exact=most is not None)
  if 'reason' in found:
    return {'kind': 'none', 'reason': found['reason']}
  kind = _kind(record.config)
  if not kind:
    return {'kind': 'none', 'reason': 'Inputs of this kind cannot be given in the page.'}
  described = found['network']
  shown = examples.of_run(record, most) if pictures else None
  return {
    'kind': kind,
    'reason': '',
    'network': described,
    'precision': _precision(described),
    'examples': shown,
    'settings': _settings(record.config, kind, described),
  }


def _kind(config):
  """The kind of inputs; '' if the page has no controls for them."""
  if task(config) == 'next_char':
    return 'text'
  if recorded.example(config).column == 'image':
    channels = len(config['dataset']['mean'])
    if channels not in (1, 3):
      return ''
    return 'autoencoder' if task(config) == 'reconstruct' else 'images'
  shape = config['dataset']['input_shape']
  return 'vectors' if len(shape) == 1 and shape[0] <= FIELDS else ''


def _precision(described):
  """One sentence on the precision of the weights and its effect."""
  names = {'float32': '32-bit', 'int16': '16-bit', 'int8': '8-bit'}
  text = f'Its weights are {names[described["precision"]]} numbers'
  if described['difference'] is None:
    return f'{text}.'
  return (
    f'{text}: on the examples, its outputs differ by at most {_decimal(described["difference"])} '
    'from those of the run.'
  )


def _decimal(value):
  """A number with one digit, without an exponent: 0.00007."""
  return np.format_float_positional(value, precision=1, unique=False, fractional=False, trim='-')


def _settings(config, kind, described):
  names = described['targets']['names'] if described['targets'] else described['classes']
  longest = max(map(len, names), default=1)
  settings = {'bars': min(MOST_BARS, len(names)), 'names': min(longest, 18) + 3}
  if kind == 'vectors':
    return {**settings, 'features': _features(config)}
  if kind == 'text':
    return settings
  height, width, channels = recorded.image_shape(config)
  dataset = config['data']['name']
  drawing = None
  if channels == 1:
    drawing = dict(DRAWINGS.get(dataset, OTHER))
    drawing['pen'] = round(drawing['pen'] * min(height, width) / 28 * 4) / 4
    drawing['widest'] = max(8, round(min(height, width) / 4))
    brightness = config['dataset'].get('appearance', {}).get('brightness')
    drawing['light'] = bool(brightness) and brightness[0] > 0.5
  classifies = kind == 'images' and task(config) != 'regress'
  return {
    **settings,
    'drawing': drawing,
    'image': {'height': height, 'width': width, 'channels': channels},
    'upload': recorded.setting(config, 'fit'),
    'rotate': _rotation(config) if kind == 'autoencoder' else 0,
    'maps': any(len(layer['output_shape']) == 3 for layer in described['layers']),
    'filters': FILTERS if classifies else WORST,
    'classes': classifies or kind == 'autoencoder',
    'code': _code(described),
  }


def _rotation(config):
  """Degrees by which the run rotates its inputs; 0 if it does not."""
  found = [change for change in config['data'].get('distort') or () if change['kind'] == 'rotate']
  return found[0].get('degrees', 0) if found else 0


def _code(described):
  """Size of the smallest output of a layer: the code of an autoencoder."""
  return min(
    (layer['output_shape'][0] for layer in described['layers'] if len(layer['output_shape']) == 1),
    default=0,
  )


def _features(config):
  """Names of the numbers of a vector."""
  kept = config['dataset']
  return list(kept.get('features', ())) or [str(i + 1) for i in range(kept['input_shape'][0])]
