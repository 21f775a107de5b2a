"""Fuzz tests of configs: an experiment is built, or one line names the error."""

import copy
import re

import PIL.Image
import pytest
from fuzzing import cases, more_counts, works_or_is_refused
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st

from jaxdl.config import reading
from jaxdl.sweeps import grouping, members
from jaxdl.training import experiment

pytestmark = pytest.mark.usefixtures('unchecked_types')
JUNK = st.one_of(
  st.none(),
  st.booleans(),
  st.integers(-3, 3),
  st.sampled_from([10**6, 10**12, 10**30, -(10**30), 2**31, 2**63, 10**400]),
  st.floats(),
  st.sampled_from(
    [
      '',
      'x',
      '3',
      '5 steps',
      '0 steps',
      '9' * 30 + ' epochs',
      '1 epoch',
      'train',
      'train[5:',
      'SAME',
      'classes',
      '../x',
      '\x00',
      '\ud800',
      '<b>',
    ]
  ),
  st.sampled_from(
    [
      [],
      {},
      [[]],
      [1, 2],
      [None],
      ['x'],
      {'name': []},
      {'name': 'x'},
      {'kind': {}},
      [{'kind': 'flip'}],
      [3, [4]],
      {'train': 3},
      [{}],
      {'a': {'b': [{}]}},
      (10**9, 10**9),
      [0, 0],
      [1.5, 2],
      {1: 2},
      {3, 4},
      b'x',
      object(),
    ]
  ),
)
KEYS = st.sampled_from(
  [
    'name',
    'kind',
    'features',
    'batch_size',
    'l2',
    'plateau',
    'early_stopping',
    'keep_every',
    'precision',
    'x',
    'size',
    'rate',
    'padding',
    'strides',
    'workers',
    'overlap',
    'fit',
    'color',
    'distort',
    'warmup',
    'dropout',
    'parent',
    'axis_name',
    'activation',
    'clip_norm',
    'data_dir',
    'folder',
    'corrupt',
    'label_smoothing',
    'accumulate',
    'shards',
    'test_augment',
    'groups',
    'frozen',
    'lookahead',
    'augment',
  ]
)


@pytest.fixture(autouse=True)
def nothing_prepared(monkeypatch, tmp_path):
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path))


@pytest.fixture(scope='module')
def configs(tmp_path_factory):
  """The configs of the repository, with a few examples of the data in the package."""
  folder = tmp_path_factory.mktemp('photographs')
  for split in ('train', 'validation', 'test'):
    for name in 'abcdefghijk':
      (folder / split / name).mkdir(parents=True)
      for number in (1, 2):
        PIL.Image.new('RGB', (9, 8), (number, 2, 3)).save(folder / split / name / f'{number}.png')
  found = {}
  for file in sorted((ROOT / 'configs').glob('*.py')):
    config = reading.to_dict(reading.read_file(file))
    available = {
      'tiny_shakespeare': TEXT,
      'hoda': {**DIGITS, 'size': 32},
      'image_folder': dict(folder=str(folder), source='folder'),
    }
    config['data'].update(available.get(config['data']['name'], DIGITS))
    found[file.stem] = config
  return found


TEXT = dict(
  name='shakespeare',
  source='bundled',
  splits=dict(train='train[:4000]', validation='validation[:2000]'),
)
DIGITS = dict(
  name='mnist',
  source='bundled',
  splits=dict(train='train[:61]', validation='train[100:150]', test='test[:50]'),
)


def places(node, path=()):
  """Yields the path of every value, section and list of a config."""
  yield path
  below = ()
  if isinstance(node, dict):
    below = node.items()
  elif isinstance(node, list):  # nothing in a tuple can be replaced
    below = enumerate(node)
  for key, value in below:
    yield from places(value, (*path, key))


@st.composite
def changed(draw, found):
  """A config after one to three changes.

  A value is replaced, nested or scaled, or a key is removed, misspelt or added.
  """
  config = copy.deepcopy(draw(st.sampled_from(found)))
  for _ in range(draw(st.integers(1, 3))):
    path = draw(st.sampled_from(list(places(config))))
    if not path:
      config[draw(KEYS)] = copy.deepcopy(draw(JUNK))
      continue
    node = config
    for key in path[:-1]:
      node = node[key]
    key, value = path[-1], node[path[-1]]
    change = draw(
      st.sampled_from(['replace', 'replace', 'drop', 'misspell', 'add', 'scale', 'nest'])
    )
    if change == 'replace':
      node[key] = copy.deepcopy(draw(JUNK))
    elif change == 'drop':
      del node[key]
    elif change == 'misspell' and isinstance(node, dict):
      node[f'{key}s'] = node.pop(key)
    elif change == 'add' and isinstance(value, dict):
      value[draw(KEYS)] = copy.deepcopy(draw(JUNK))
    elif change == 'scale' and isinstance(value, (int, float)):
      node[key] = value * draw(st.sampled_from([-1, 0, 10, 10**9]))
    elif change == 'nest':
      node[key] = draw(st.sampled_from([[value], {'name': value}, str(value), [[value]] * 3]))
  return config


def fuzz(configs, count):
  @cases(count)
  @given(changed(list(configs.values())))
  def build_case(config):
    with works_or_is_refused():
      experiment.build(config, 'fuzzed')

  build_case()


def fuzz_sweeps(count):
  files = sorted((ROOT / 'configs/sweeps').glob('*.py'))

  @cases(count)
  @given(
    st.sampled_from(files), changed([reading.to_dict(reading.read_file(file)) for file in files])
  )
  def read_case(file, config):
    with works_or_is_refused():
      for member in members.read(config, file):
        grouping.separated(member.config)

  read_case()


def test_fuzz_unchanged_configs_are_valid(configs):
  """The unchanged configs must be valid."""
  for name in (
    'lstm_mnist',
    'cnn_mnist',
    'char_gru_shakespeare',
    'cnn_food11',
    'rotated_autoencoder_hoda',
  ):
    assert experiment.build(configs[name], name).steps > 0


def test_fuzz_configs(configs):
  fuzz(configs, 60)


def test_fuzz_sweeps():
  fuzz_sweeps(30)


def override_every_key(configs, config_file, texts):
  """Overrides each key of each config by texts: an experiment is built, or refused in one line."""
  for config in configs:
    file = config_file(config)
    for path in places(config):
      key = re.sub(r'\.(\d+)(?=\.|$)', r'[\1]', '.'.join(map(str, path)))
      for text in texts if key else ():
        with works_or_is_refused():
          experiment.build(reading.read_config(file, f'{key}={text}'), 'fuzzed')


TYPES = ('None', '3', '0.5', 'text', '(3,5)', '[1,2]', 'dict(a=1)', 'true', 'classes', '')


def test_fuzz_overrides_of_another_type(configs, config_file):
  override_every_key([configs['lstm_mnist']], config_file, ('None', '(3,5)'))


@pytest.mark.slow
def test_fuzz_overrides_of_another_type_of_every_key(configs, config_file, counted_as):
  override_every_key(configs.values(), config_file, TYPES)
  counted_as(
    'every key of every config overridden by None, a number, a text, a list and a section: built, '
    'or refused in one line'
  )


@pytest.mark.parametrize('count', more_counts(1000, 5000))
def test_fuzz_many_configs(count, configs, counted_as):
  fuzz(configs, count)
  counted_as('randomly changed configs: built, or refused in one line')


@pytest.mark.parametrize('count', more_counts(500, 5000))
def test_fuzz_many_sweeps(count, counted_as):
  fuzz_sweeps(count)
  counted_as('randomly changed sweeps: read, or refused in one line')


@pytest.mark.parametrize(
  ('key', 'value', 'message'),
  [
    ('data', 3, r'config\.data=3 is not a section: write dict'),
    (
      'data.batch_size',
      10**12,
      r'config\.data\.batch_size=1000000000000 is not a size: use an integer of at least 1 and at most',
    ),
    (
      'data.batch_size',
      10**6,
      r'config\.data\.batch_size=1,000,000 with this network needs [\d,]+ GB and the machine has \d+',
    ),
    (
      'data.evaluation_batch_size',
      'all',
      r"config\.data\.evaluation_batch_size='all' is not a size",
    ),
    ('data.size', 500_000, r'config\.data\.size=500000 needs [\d,]+ GB'),
    ('data.splits', ['train'], r'config\.data\.splits has no train split'),
    ('data.splits.train', f'train[:{"9" * 400}%]', 'is not one of train, test, or a slice'),
    ('data.layout', ['rows'], r"config\.data\.layout=\['rows'\] is unknown"),
    ('data.source', [], r'config\.data\.source=\[\] is not a text'),
    ('data.data_dir', 3, r'config\.data\.data_dir=3 is not a text'),
    ('data.overlap', 'no', r"config\.data\.overlap='no' is not a boolean"),
    ('data.augment', 'flip', r"config\.data\.augment='flip' is not a list of changes"),
    ('data.augment', [{'kind': []}], r'config\.data\.augment\[0\]\.kind=\[\] is unknown'),
    ('model', None, r'config\.model=None is not a section'),
    ('model.layers', 3, r'config\.model\.layers=3 is not a list of layers'),
    ('model.layers', ['dense'], r"config\.model\.layers\[0\]='dense' is not a layer"),
    (
      'model.layers',
      [{'kind': 'flatten', 'name': '../../x'}],
      r"config\.model\.layers\[0\]\.name='\.\./\.\./x' is not a name",
    ),
    (
      'model.layers',
      [{'kind': 'flatten', 'name': '漢' * 34}],
      r"config\.model\.layers\[0\]\.name='漢{20}'… is too long for a file: use at most 100 bytes",
    ),
    (
      'model.layers',
      [{'kind': 'conv', 'features': 3, 'kernel': 1 << 40}],
      r'layers\[0\]\.kernel=1099511627776 is not an integer',
    ),
    (
      'model.layers',
      [{'kind': 'conv', 'features': 3, 'kernel': 3, 'padding': 3}],
      r'layers\[0\]\.padding=3 is unknown',
    ),
    ('model.layers', [{'kind': 'dropout', 'rate': 1.5}], r'layers\[0\]\.rate=1\.5 is out of range'),
    ('model.layers', [{'kind': 'reshape', 'shape': 9}], r'layers\[0\]\.shape=9 is not a shape'),
    (
      'model.layers',
      [{'kind': 'flatten', 'name': 'x'}] * 2,
      r'config\.model cannot be built \(NameInUseError: ',
    ),
    (
      'model.layers',
      [
        {'kind': 'flatten'},
        {'kind': 'dense', 'features': 10**6},
        {'kind': 'dense', 'features': 10**6},
      ],
      r'has output \[1000000\], but mnist has 10 classes',
    ),
    ('model.axis_name', 'x', r'config\.model\.axis_name is not a key of this section'),
    ('optimizer.learning_rate', 10**400, r'config\.optimizer\.learning_rate=10+ is out of range'),
    ('schedule', 0, r'config\.schedule=0 is not a section'),
    ('reported', 3, r'config\.reported=3 is not a section'),
    ('task', ['classify'], r"config\.task=\['classify'\] is unknown"),
    ('precision', ['float32'], r"config\.precision=\['float32'\] is unknown"),
    ('train_for', f'{10**12} steps', r"config\.train_for='1000000000000 steps' is not a duration"),
    ('train_for', {3}, r'the config holds more than sections, lists, numbers and texts'),
    ('seed', True, r'config\.seed=True is not a seed'),
  ],
)
def test_fuzz_found_invalid_configs(key, value, message, configs):
  config = copy.deepcopy(configs['cnn_mnist'])
  *sections, last = key.split('.')
  node = config
  for section in sections:
    node = node[section]
  node[last] = value
  with works_or_is_refused(), pytest.raises(ValueError, match=message):
    experiment.build(config, 'fuzzed')


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (dict(seeds=3), r'^config\.seeds=3 is not a list of different seeds'),
    (dict(axes=3), r'^config\.axes=3 is not a list of axes'),
    (dict(axes=[dict(name='a', choices=[dict(name=3)])]), r'^config\.axes\[0\] is not an axis'),
    (
      dict(
        axes=[dict(name=str(n), choices=[dict(name=str(m)) for m in range(10)]) for n in range(30)]
      ),
      r'runs: ask for at most 10,000$',
    ),
    (dict(base=3), r'^config\.base=3 is not a path'),
    (dict(common=3), r'^config\.common=3 is not a section'),
    (dict(reported=3), r'^config\.reported=3 is not a section'),
  ],
)
def test_fuzz_found_invalid_sweeps(change, message):
  sweep = dict(base='../lstm_mnist.py', seeds=[0], axes=[dict(name='a', choices=[dict(name='b')])])
  with pytest.raises(ValueError, match=message):
    members.read({**sweep, **change}, ROOT / 'configs/sweeps/x.py')
