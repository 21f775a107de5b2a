"""Fuzz tests of command lines: each must succeed, or fail with one line of error."""

import pytest
from fuzzing import cases, more_counts, works_or_is_refused
from helpers import ROOT
from hypothesis import example, given
from hypothesis import strategies as st

from jaxdl import __main__ as commands
from jaxdl import (
  analyze,
  exam,
  exams,
  generate,
  import_weights,
  main,
  pack,
  predict,
  status,
  sweep,
  verify,
)
from jaxdl.config import __main__ as configs
from jaxdl.config import reading
from jaxdl.data import __main__ as data
from jaxdl.data import tfds_arrays
from jaxdl.export import main as export
from jaxdl.report import __main__ as report
from jaxdl.terminal import command
from jaxdl.training import experiment, loop

pytestmark = pytest.mark.usefixtures('unchecked_types')
VALUES = st.sampled_from(
  [
    '',
    '0',
    '-1',
    '1',
    '3.5',
    '1e400',
    'nan',
    '9' * 30,
    '9' * 5000,
    'True',
    'None',
    '[]',
    '{[]}',
    '(1,',
    '{"a": 1}',
    '{"a.b": {"c": 1}}',
    '{1: 2, None: {}}',
    '{"items": 1, "lock": {}}',
    "{'a': {1}, 'b': b'x'}",
    '9' * 400,
    'x',
    'README.md',
    'configs',
    'nowhere/x',
    '../..',
    '/dev/null',
    '\x00',
    '\udcff',
    "'",
    '5 steps',
    '--',
    '$HOME',
    '<script>',
    'best',
    'a' * 300,
    '[' * 300,
  ]
)
CONFIGS = st.sampled_from(
  [
    'configs/lstm_mnist.py',
    'configs/cnn_mnist.py',
    'configs/char_lstm_shakespeare.py',
    'README.md',
    'configs',
    '',
    'nowhere.py',
    'configs/sweeps/hidden_units_mnist.py',
    'configs/sweeps/cells_shakespeare.py',
  ]
)
KEYS = st.sampled_from(
  [
    'seed',
    'data',
    'data.batch_size',
    'data.splits.train',
    'data.name',
    'model',
    'model.layers[0].features',
    'model.layers[99].x',
    'model.layers[-1].kernel',
    'l2',
    'l2.x',
    'plateau.patience',
    'optimizer.learning_rate',
    '',
    '.',
    'x..y',
    '[',
    'items',
    'a.b.c.d',
    'data[0]',
    'train_for',
    'axes',
    'seeds',
    'base',
    'common',
    'keys',
    '_fields',
    'to_dict',
    'lock',
  ]
)


def flags(*names, most=5):
  """Arguments of a command: known flags with any value, in two forms, and unknown arguments."""
  known = [st.builds('--{}={}'.format, st.just(name), VALUES) for name in names]
  separate = st.builds(
    lambda name, value: [f'--{name}', value], st.sampled_from([*names, 'unknown']), VALUES
  )
  unusual = st.sampled_from(
    [
      '--',
      '-',
      '--=',
      '-x',
      '--unknown=3',
      'x',
      '',
      '--flagfile=README.md',
      '--undefok=x',
      '---',
      '--no',
      '\udcff',
    ]
  )
  return st.lists(
    st.one_of(*known, separate, unusual).map(
      lambda found: found if isinstance(found, list) else [found]
    ),
    max_size=most,
  ).map(lambda found: [argument for part in found for argument in part])


def overridden(*names):
  """Command lines with a config, overrides and flags."""
  one = st.builds('--config.{}={}'.format, KEYS, VALUES).map(lambda text: [text])
  unusual = st.one_of(
    st.builds('-config.{}={}'.format, KEYS, VALUES).map(lambda text: [text]),
    st.sampled_from(['--config.{}', '--noconfig.{}']).flatmap(
      lambda form: KEYS.map(lambda key: [form.format(key)])
    ),
    st.builds(lambda key, value: [f'--config.{key}', value], KEYS, VALUES),
  )
  overrides = st.lists(st.one_of(one, one, unusual), max_size=3).map(
    lambda found: [argument for part in found for argument in part]
  )
  return st.builds(
    lambda config, changes, others: [*config, *changes, *others, '--describe'],
    st.sampled_from([['--config=configs/lstm_mnist.py'], ['--config=configs/cnn_mnist.py']])
    | st.just([])
    | CONFIGS.map(lambda path: ['--config', path]),
    overrides,
    st.just([]) | flags(*names, most=2),
  )


COMMANDS = {
  'train': (main.main, overridden('workdir')),
  'sweep': (sweep.main, overridden('workdir', 'together')),
  'analyze': (
    analyze.main,
    flags(
      'workdir',
      'only',
      'step',
      'layer',
      'channel',
      'images',
      'data_dir',
      'against',
      'concepts',
      'seed',
    ),
  ),
  'generate': (
    generate.main,
    flags('workdir', 'prime', 'length', 'temperature', 'top_k', 'seed', 'step'),
  ),
  'predict': (
    predict.main,
    st.builds(
      lambda places, rest: [*places, *rest],
      st.lists(VALUES, max_size=2),
      flags('out', 'explain', 'page', 'step', 'skip', 'invert', 'distort'),
    ),
  ),
  'export': (
    export,
    flags('workdir', 'format', 'raw', 'step', 'data_dir', 'folder'),
  ),
  'report': (report.main, st.lists(VALUES, max_size=3)),
  'status': (status.main, flags('workdir')),
  'verify': (
    verify.main,
    flags('workdir', 'from', 'to', 'no-replay', 'data_dir', 'folder'),
  ),
  'pack': (pack.main, flags('workdir', 'out', 'pictures')),
  'data': (
    data.main,
    st.builds(
      lambda first, rest: [first, *rest],
      st.sampled_from(['list', 'prepare', 'x']),
      st.builds(
        lambda name, rest: [name, *rest],
        st.sampled_from(['mnist', 'hoda', 'shakespeare', 'image_folder', 'x']),
        flags('from', 'data_dir'),
      ),
    ),
  ),
}


COMMANDS |= {
  'exam': (
    exam.main,
    st.builds(
      lambda config, arguments: [*config, *arguments],
      st.sampled_from([['exam/planted_mark'], ['--config=lstm_mnist'], ['x'], []]),
      flags('workdir', 'seeds', 'images', 'config.seed', 'config.data', 'config.data.batch_size'),
    ),
  ),
  'import': (
    import_weights.main,
    st.builds(
      lambda arguments, rest: [*arguments[:-1], *rest],  # --describe is no flag of it
      overridden('workdir'),
      flags('from', 'workdir', 'layout', 'order'),
    ),
  ),
  'configs': (
    configs.main,
    st.builds(
      lambda name, rest: [*name, *rest],
      st.lists(st.sampled_from(['lstm_mnist', 'lstm_mnits', 'x', '', '../x']) | VALUES, max_size=2),
      flags('to'),
    ),
  ),
}


def test_every_command_is_tested():
  assert set(COMMANDS) == set(commands.COMMANDS)


def no_training(*arguments, **keywords):
  raise OSError('nothing is trained in this test')


def no_network(name, root):
  raise OSError(f'{name} is not prepared, and tests do not download data')


@pytest.fixture
def run_here(capsys, monkeypatch, tmp_path):
  """Returns a function that runs a command in a folder with the configs and checks its output."""
  here = tmp_path / 'one/two/here'  # '../..' has no other files
  here.mkdir(parents=True)
  for name in ('README.md', 'configs'):
    (here / name).symlink_to(ROOT / name)
  monkeypatch.chdir(here)
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'prepared'))
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.setattr(tfds_arrays, '_download', no_network)
  monkeypatch.setattr(exams, 'train', no_training)

  def run(function, arguments):
    capsys.readouterr()
    with works_or_is_refused():
      code = command.run(function, ['jaxdl', *arguments])
    errors = [
      line for line in capsys.readouterr().err.splitlines() if not line.startswith('warning: ')
    ]
    # a command that succeeds may print a note, such as that a data set is not prepared
    assert (code, len(errors)) in ((0, 0), (0, 1), (1, 1)), (code, errors)
    assert all(line.startswith('jaxdl: ') for line in errors), errors

  return run


def fuzz(name, run_here, count):
  function, arguments = COMMANDS[name]

  @cases(count)
  @given(arguments)
  @example([])
  def run_case(given_arguments):
    run_here(function, given_arguments)

  run_case()


@pytest.mark.parametrize('name', COMMANDS)
def test_fuzz_commands(name, run_here):
  fuzz(name, run_here, 5 if name == 'train' else 8)  # train builds an experiment in each case


@pytest.mark.parametrize('count', more_counts(150, 800))
@pytest.mark.parametrize('name', COMMANDS)
def test_fuzz_many_commands(name, count, run_here, counted_as):
  fuzz(name, run_here, count)
  counted_as(
    f'random command lines for all {len(COMMANDS)} commands: success, or one line of error and a non-zero exit code'
  )


@pytest.mark.slow
def test_fuzz_commands_on_a_trained_run(small_text, run_here, tmp_path):
  """Flags of `generate` and `analyze` that are used after the network is loaded."""
  folder = tmp_path / 'run'
  loop.train(experiment.build(small_text, 'small'), folder)
  numbers = VALUES | st.integers(-3, 3).map(str)

  @cases(80)
  @given(
    st.lists(
      st.builds(
        '--{}={}'.format,
        st.sampled_from(['prime', 'length', 'temperature', 'top_k', 'seed', 'step']),
        numbers,
      ),
      max_size=3,
    )
  )
  def run_generate(arguments):
    run_here(generate.main, [f'--workdir={folder}', '--prime=R', '--length=3', *arguments])

  @cases(40)
  @given(
    st.sampled_from(['weights', 'characters', 'surprise', 'filters']),
    st.lists(
      st.builds(
        '--{}={}'.format,
        st.sampled_from(['step', 'layer', 'channel', 'images', 'data_dir', 'against', 'seed']),
        numbers,
      ),
      max_size=3,
    ),
  )
  def run_analyze(only, arguments):
    run_here(analyze.main, [f'--workdir={folder}', f'--only={only}', '--images=200', *arguments])

  @cases(40)
  @given(
    VALUES,
    st.lists(
      st.builds('--{}={}'.format, st.sampled_from(['step', 'out', 'explain', 'skip']), numbers)
      | st.sampled_from(['--all', '--page', '--skip', '--distort', '--json']),
      max_size=3,
    ),
  )
  def run_predict(place, arguments):
    run_here(predict.main, [str(folder), place, *arguments])

  run_generate()
  run_analyze()
  run_predict()


def test_fuzz_found_new_key_given_twice_with_different_types(run_here, capsys):
  run_here(
    main.main,
    [
      '--config=configs/lstm_mnist.py',
      '--config.l2=much',
      '--config.l2=0.5',
      '--config.l2={[]}',
      '--describe',
    ],
  )
  assert (
    command.run(
      main.main,
      ['jaxdl', '--config=configs/lstm_mnist.py', '--config.l2=x', '--config.l2=0.5', '--describe'],
    )
    == 0
  )
  assert '"l2": 0.5' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['pack', 'analyze', 'generate'])
def test_fuzz_found_two_hyphens_as_the_value_of_a_flag(name, run_here, capsys):
  assert command.run(COMMANDS[name][0], ['jaxdl', '--workdir=--']) == 1
  assert (
    capsys.readouterr().err
    == 'jaxdl: -- does not exist: give the folder of a run that was trained\n'
  )
  run_here(COMMANDS[name][0], ['--workdir=--', '-'])
  run_here(status.main, ['--workdir=--'])


@pytest.mark.parametrize('flag', ['--seed=-1', f'--seed={2**32}', '--seed=x'])
def test_fuzz_found_invalid_seeds(flag, capsys):
  for name in ('analyze', 'generate'):
    assert command.run(COMMANDS[name][0], ['jaxdl', '--workdir=x', flag]) == 1
    assert 'is not an integer from 0 to 4294967295' in capsys.readouterr().err


def test_fuzz_found_multi_line_errors_and_invalid_unicode(capfd):
  def fails(arguments):
    raise ValueError('one\ntwo \udcff')

  assert command.run(fails, []) == 1
  assert capfd.readouterr().err == 'jaxdl: one two \\udcff\n'


@pytest.mark.parametrize(
  ('overrides', 'message'),
  [
    (
      ['--config.data.batch_size=', '--config.data='],
      '--config.data= is not valid: set single keys',
    ),
    (['--config.data.batch_size=3', '--config.data=x'], '--config.data=x is not valid'),
    (
      ['--config.data.batch_size', '3', '--config.data', 'x'],
      'Flag --config.data is provided after',
    ),
    (['--noconfig.data.batch_size', '--noconfig.data'], 'Flag --config.data is provided after'),
    (['--config.=3'], '--config.=3 names no key'),
    (['--config.da ta=3'], 'config.da ta is not a key'),
    (['--config.optimizer.learning_rate=1' + '0' * 400], 'config.optimizer.learning_rate=1000'),
    (['--config.data={None: {}}'], 'cannot be a section'),
    (['--config.data={"a.b": 1}'], 'cannot be a section'),
    (['--flagfile=nowhere'], 'Unable to open flagfile'),
  ],
)
def test_fuzz_found_overrides_that_ml_collections_refuses(overrides, message, run_here, capsys):
  for name, others in (('train', ['--describe']), ('sweep', []), ('import', ['--from=x.npz'])):
    arguments = ['jaxdl', '--config=configs/lstm_mnist.py', *overrides, *others]
    assert command.run(COMMANDS[name][0], arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert name != 'train' or message in line, line


@pytest.mark.parametrize(
  ('content', 'overrides', 'message'),
  [
    ('dict(seed=config_dict.required_placeholder(int))', [], 'RequiredValueError'),
    ('dict(a=(1, 2))', ['--config.a[0]=3'], 'is an entry of a list'),
    ('dict(a={1, 2})', ['--config.a={3}'], 'holds more than sections'),
  ],
)
def test_fuzz_found_values_that_ml_collections_cannot_override(
  content, overrides, message, run_here, capsys, tmp_path
):
  file = tmp_path / 'own.py'
  file.write_text(
    'from ml_collections import config_dict\n\n\n'
    f'def get_config():\n  return config_dict.ConfigDict({content})\n'
  )
  assert command.run(main.main, ['jaxdl', f'--config={file}', *overrides, '--describe']) == 1
  assert message in capsys.readouterr().err


def test_fuzz_found_lists_that_are_overridden(run_here, tmp_path):
  file = tmp_path / 'own.py'
  file.write_text(
    'import ml_collections\n\n\n'
    'def get_config():\n  return ml_collections.ConfigDict(dict(sizes=[1, 2]))\n'
  )
  assert list(reading.read_config(file, 'sizes=[3]').sizes) == [3]


@pytest.mark.parametrize('value', ['{"a": 1}', 'x', '-1', '4294967295'])
def test_fuzz_found_invalid_seeds_of_an_exam(value, run_here, capsys):
  arguments = ['jaxdl', 'exam/planted_mark', f'--config.seed={value}', '--seeds=2']
  assert command.run(exam.main, arguments) == 1
  assert 'config.seed=' in capsys.readouterr().err
