"""Which members of a sweep one compiled program can train."""

import copy
import json

import jax

from jaxdl.sweeps import members as sweep_members


def grouped(found, *, together):
  """Which members one compiled program can train; all of one seed are built, so that errors come
  before any run.

  They may differ in the seed, the learning rate, the strength of the L2 penalty and the rates of
  dropout, where these are not 0; whatever else differs, a layer or a batch, needs a program of its
  own. Photographs come from one stream, what follows the validation loss follows one, and a trace
  is of one run: such members are trained one after another.

  Args:
    found: list of Member.
    together: 'auto' (on a CPU only as many as divide over two devices or more, which was measured
      faster, then) | 'always'
      | 'never'.

  Returns:
    list of lists of Member.

  Raises:
    ValueError, OSError: as `experiment.build`.
  """
  alike = {}
  for member in found:
    alike.setdefault(json.dumps(separated(member.config)[0], sort_keys=True), []).append(member)
  groups = []
  for members in alike.values():
    for member in [other for other in members if other.seed == members[0].seed]:
      one = sweep_members.built(member)
    can = one.observe is None and not one.profile and one.data.splits['train'].capacity is None
    devices = jax.device_count()
    gain = (
      len(members)
      if jax.default_backend() != 'cpu'
      else len(members) // devices * devices * (devices > 1)
    )
    shared = {'always': len(members), 'auto': gain, 'never': 0}[together] * can
    groups += [members[:shared]] * (shared > 0) + [[member] for member in members[shared:]]
  return groups


def separated(config):
  """(the config without what may differ within a program, {place: number} of what may be an
  argument of it).
  """
  fixed = copy.deepcopy(config)
  for key in ('seed', 'reported'):
    fixed.pop(key, None)
  places = [('optimizer', 'learning_rate'), ('l2',), ('model', 'dropout')]
  places += [('model', 'layers', number, 'rate') for number, _ in enumerate(_layers(config))]
  numbers = {}
  for *path, key in places:
    section = _below(fixed, path)
    if isinstance(section, dict) and section.get(key):
      numbers[(*path, key)] = section[key]
      section[key] = 'an argument'
  return fixed, numbers


def with_numbers(config, numbers):
  """The config with numbers, perhaps traced, in their places."""
  config = copy.deepcopy(config)
  for (*path, key), number in numbers.items():
    _below(config, path)[key] = number
  return config


def _layers(config):
  layers = _below(config, ('model', 'layers'))
  return layers if isinstance(layers, (list, tuple)) else ()


def _below(config, path):
  """What stands at a path of keys and positions; None where nothing does."""
  for key in path:
    try:
      config = config[key]
    except (KeyError, IndexError, TypeError):
      return None
  return config
