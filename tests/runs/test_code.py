"""The own code of a run: its copy, when later commands execute it, and attacks by foreign runs."""

import copy
import hashlib
import json
import shutil
import sys

import flax.linen as nn
import numpy as np
import pytest
from helpers import SMALL, state_of

import jaxdl
from jaxdl import analyze, pack, predict
from jaxdl.config import named, python_files
from jaxdl.report import page
from jaxdl.runs import checkpoint, code, packed, record
from jaxdl.terminal import command
from jaxdl.training import experiment, loop

NETS = """\
import flax.linen as nn
from blocks import Gain


class MeanRow(nn.Module):
  features: int
  classes: int

  @nn.compact
  def __call__(self, inputs):
    rows = nn.tanh(nn.Dense(self.features, name='rows')(inputs))
    return nn.Dense(self.classes, name='logits')(Gain(name='gain')(rows.mean(1)))
"""
BLOCKS = """\
import flax.linen as nn


class Gain(nn.Module):
  @nn.compact
  def __call__(self, inputs):
    return inputs * self.param('gain', nn.initializers.ones, (inputs.shape[-1],))
"""
MODEL = {'features': 6, 'classes': 'classes'}


def write_nets(folder):
  folder.mkdir(exist_ok=True)
  (folder / 'nets.py').write_text(NETS)
  (folder / 'blocks.py').write_text(BLOCKS)


def own_config(folder, **changes):
  model = {'name': f'{folder / "nets.py"}:MeanRow', **MODEL}
  return {**copy.deepcopy(SMALL), 'model': model, **changes}


def forget():
  """Forgets what this process has imported, as another process."""
  named._known.clear()
  for name in python_files._modules:
    del sys.modules[name]
  python_files._modules.clear()


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A folder with nets.py, a run trained with it, and the cache of the user who trained it."""
  folder = tmp_path_factory.mktemp('own')
  write_nets(folder / 'conf')
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('XDG_CACHE_HOME', str(folder / 'cache'))
    loop.train(experiment.build(own_config(folder / 'conf'), 'own'), folder / 'run')
  return folder


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
  """A copy of `trained` in a process that has imported nothing of it."""
  place = tmp_path / 'here'
  shutil.copytree(trained, place)
  for file in ('config.json', 'checkpoints/8/config/metadata', 'checkpoints/4/config/metadata'):
    edit(place / 'run' / file, lambda config: move(config, place / 'conf'))
  monkeypatch.setenv('XDG_CACHE_HOME', str(place / 'cache'))
  monkeypatch.chdir(tmp_path)
  forget()
  yield place
  forget()


def move(config, folder):
  config['code']['path'] = {name: str(folder / name) for name in config['code']['path']}


def edit(file, change):
  """Changes a config.json or the config of a checkpoint, with the checksum of the latter."""
  config = json.loads(file.read_text())
  change(config)
  file.write_text(json.dumps(config))
  sums = file.parents[1] / 'checksums/metadata'
  if file.name == 'metadata':
    found = json.loads(sums.read_text())
    found['config'] = checkpoint.integrity.of_json(config)
    sums.write_text(json.dumps(found))


def edit_all(run, change):
  for file in (run / 'config.json', *run.glob('checkpoints/*/config/metadata')):
    edit(file, change)


def refusal(run, **keywords):
  with pytest.raises(code.RefusedCodeError) as raised:
    checkpoint.load_model(run, **keywords)
  assert '\n' not in str(raised.value)
  return str(raised.value)


def test_a_run_keeps_a_copy_and_the_checksums(here):
  config = json.loads((here / 'run/config.json').read_text())
  assert config['model']['name'] == 'nets.py:MeanRow'
  assert config['model']['classes'] == 10
  for name, text in (('nets.py', NETS), ('blocks.py', BLOCKS)):
    assert (here / 'run/code' / name).read_text() == text
    assert config['code']['sha256'][name] == hashlib.sha256(text.encode()).hexdigest()


def test_the_original_is_imported_while_it_agrees(here):
  model, variables, config = checkpoint.load_model(here / 'run')
  file = sys.modules[type(model).__module__].__file__
  assert file == str(here / 'conf/nets.py')
  outputs = model.apply(variables, np.ones((2, 28, 28), np.float32))
  assert outputs.shape == (2, 10)
  assert config['model']['name'] == 'nets.py:MeanRow'


@pytest.mark.parametrize('file', ['nets.py', 'blocks.py'])
def test_a_changed_file_is_refused_by_name_and_the_copy_is_taken_on_request(here, file):
  before = checkpoint.load_model(here / 'run')[0]
  forget()
  (here / 'conf' / file).write_text('raise SystemExit\n')
  message = refusal(here / 'run')
  assert f'{here / "conf" / file} has changed since' in message
  assert '--trust_code' in message
  model = checkpoint.load_model(here / 'run', trust_code=True)[0]
  assert sys.modules[type(model).__module__].__file__ == str(here / 'run/code/nets.py')
  assert str(model) == str(before)


def test_a_missing_file_is_refused_and_a_moved_one_is_found_after_resuming(here):
  (here / 'conf').rename(here / 'moved')
  assert f'is not at {here / "conf/nets.py"}' in refusal(here / 'run')
  built = experiment.build(own_config(here / 'moved'), 'own')
  loop.train(built, here / 'run')  # it is finished: only its config is written again
  forget()
  model = checkpoint.load_model(here / 'run')[0]
  assert sys.modules[type(model).__module__].__file__ == str(here / 'moved/nets.py')


def test_a_damaged_copy_is_not_executed(here):
  (here / 'conf/nets.py').unlink()
  (here / 'run/code/nets.py').write_text('raise SystemExit\n')
  assert 'is damaged' in refusal(here / 'run', trust_code=True)
  (here / 'run/code/nets.py').unlink()
  assert 'has no copy of nets.py' in refusal(here / 'run', trust_code=True)


def test_other_bytes_do_not_resume(here):
  with (here / 'conf/blocks.py').open('a') as file:
    file.write('# a remark\n')
  built = experiment.build(own_config(here / 'conf', train_for='12 steps'), 'own')
  with pytest.raises(ValueError, match=r'other code \(blocks\.py has changed\): restore it'):
    loop.train(built, here / 'run')


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(here, tmp_path):
  long = own_config(here / 'conf', train_for='12 steps')
  loop.train(experiment.build(long, 'own'), tmp_path / 'whole')
  (tmp_path / 'elsewhere').mkdir()
  write_nets(tmp_path / 'elsewhere')
  forget()
  built = experiment.build(own_config(tmp_path / 'elsewhere', train_for='12 steps'), 'own')
  loop.train(built, here / 'run')
  resumed, whole = (state_of(built, place, 12) for place in (here / 'run', tmp_path / 'whole'))
  for name, values in whole.params.items():
    for key, value in values.items():
      np.testing.assert_array_equal(resumed.params[name][key], value)


@pytest.mark.slow
def test_the_commands_execute_own_code_of_a_run(here, capsys):
  assert command.run(analyze.main, ['analyze', str(here / 'run'), '--only=errors']) == 0
  assert 'MeanRow on mnist' in (here / 'run/report.html').read_text()
  run = jaxdl.load(here / 'run')
  assert run.evaluate('test')['accuracy'] == pytest.approx(run.summary['test_accuracy'], abs=1e-6)
  assert run.predict(np.zeros((2, 28, 28), np.uint8)).logits.shape == (2, 10)


# A run folder of somebody else, which says what it likes


@pytest.fixture
def foreign(here, tmp_path, monkeypatch):
  """The run on the machine of a user who did not train it, and a file that must not be executed."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache of the victim'))
  shutil.rmtree(here / 'cache')
  (here / 'conf/nets.py').write_text(f'{NETS}\nopen({str(tmp_path / "executed")!r}, "w")\n')
  yield here / 'run'
  assert not (tmp_path / 'executed').exists()


def recorded(config, file):
  """Makes a config name a file with the file's own checksum."""
  config['code']['path']['nets.py'] = str(file)
  config['code']['sha256']['nets.py'] = hashlib.sha256(file.read_bytes()).hexdigest()


def test_code_that_agrees_but_was_not_trained_with_here_is_not_executed(foreign):
  edit_all(foreign, lambda config: recorded(config, foreign.parent / 'conf/nets.py'))
  assert 'was not trained here with nets.py:MeanRow, so its code is not executed' in refusal(
    foreign
  )


@pytest.mark.parametrize('place', ['code', '.', 'checkpoints'])
def test_a_file_in_the_run_is_not_executed(foreign, place):
  file = foreign / place / 'nets.py'
  shutil.copy(foreign.parent / 'conf/nets.py', file)
  edit_all(foreign, lambda config: recorded(config, file))
  refusal(foreign)


@pytest.mark.parametrize(
  'name', ['os:system', 'subprocess:Popen', 'evil:Net', 'runpy:run_path', '__main__:main', 'nets:X']
)
def test_a_module_that_was_not_trained_with_here_is_not_imported(foreign, name, monkeypatch):
  (foreign.parent / 'evil.py').write_text((foreign.parent / 'conf/nets.py').read_text())
  monkeypatch.syspath_prepend(foreign.parent)
  monkeypatch.chdir(foreign.parent / 'conf')
  edit_all(foreign, lambda config: config['model'].update(name=name))
  message = refusal(foreign)
  assert name.split(':')[0] in message


def test_code_of_the_task_and_the_data_is_not_executed(foreign):
  file = foreign.parent / 'conf/nets.py'

  def change(config):
    recorded(config, file)
    config['model'] = {'name': 'recurrent', 'cell': 'rnn', 'features': 4, 'classes': 10}
    config['task'] = {'name': 'nets.py:MeanRow'}

  edit_all(foreign, change)
  refusal(foreign)


def test_another_name_of_trusted_code_is_not_executed(here):
  edit_all(here / 'run', lambda config: config['model'].update(name='nets.py:Gain'))
  assert 'was not trained here' in refusal(here / 'run')


@pytest.mark.parametrize(
  'name', ['../conf/nets.py', '/tmp/nets.py', 'a/../../conf/nets.py', 'nets.pyc']
)
def test_a_copy_is_below_the_folder_of_copies(foreign, name):
  def change(config):
    config['code']['sha256'] = {name: '0' * 64}
    config['model']['name'] = f'{name}:MeanRow'

  edit_all(foreign, change)
  refusal(foreign, trust_code=True)
  assert code.copies(foreign, json.loads((foreign / 'config.json').read_text())) == {}


@pytest.mark.parametrize('facts', [None, [], {'sha256': 3}, {'sha256': {'nets.py': None}}, 'x'])
def test_damaged_facts_are_refused(foreign, facts):
  edit_all(foreign, lambda config: config.update(code=facts))
  refusal(foreign)
  refusal(foreign, trust_code=True)


def test_commands_refuse_in_one_line_and_the_report_leaves_the_layers_out(foreign, capsys):
  edit_all(foreign, lambda config: recorded(config, foreign.parent / 'conf/nets.py'))
  for main, more in ((analyze.main, ['--only=weights']), (predict.main, [str(foreign / 'x.png')])):
    assert command.run(main, ['command', str(foreign), *more]) == 1
    error = capsys.readouterr().err
    assert error.startswith('jaxdl: ')
    assert error.count('\n') == 1
    assert '--trust_code' in error
  page.write_report(foreign)
  assert 'the table of layers is left out' in capsys.readouterr().err
  run = jaxdl.load(foreign)
  assert run.summary['step'] == 8
  with pytest.raises(code.RefusedCodeError):
    run.predict(np.zeros((1, 28, 28), np.uint8))
  with pytest.raises(code.RefusedCodeError):
    run.export('stablehlo')


def test_a_packed_run_has_the_copies_and_executes_nothing_by_itself(here, tmp_path, monkeypatch):
  file = tmp_path / 'own.zip'
  found = pack.pack(here / 'run', file)
  assert {'code/nets.py', 'code/blocks.py'} <= set(found['files'])
  opened = packed.opened(file)
  assert str(here) not in (opened / 'config.json').read_text()
  forget()
  monkeypatch.chdir(opened / 'code')
  assert 'is not at' in refusal(file)
  assert record.load(file).config['model']['name'] == 'nets.py:MeanRow'
  run = jaxdl.load(file, trust_code=True)
  assert run.predict(np.zeros((2, 28, 28), np.uint8)).logits.shape == (2, 10)
  assert sys.modules[type(run.model).__module__].__file__ == str(opened / 'code/nets.py')


def test_a_class_of_a_session_trains_and_loads_in_the_same_session(here, tmp_path):
  class Session(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, inputs):
      return nn.Dense(self.classes, name='logits')(inputs.reshape(inputs.shape[0], -1))

  config = {**copy.deepcopy(SMALL), 'train_for': '1 steps'}
  config['model'] = {'name': Session, 'classes': 'classes'}
  loop.train(experiment.build(config), tmp_path / 'session')
  page.write_report(tmp_path / 'session')
  assert isinstance(jaxdl.load(tmp_path / 'session').model, Session)
  (copied,) = (tmp_path / 'session/code').iterdir()
  assert copied.read_text().startswith('class Session(nn.Module):')
  forget()
  assert 'was defined in a session' in refusal(tmp_path / 'session')
  assert 'put it into a file' in refusal(tmp_path / 'session', trust_code=True)


def test_a_class_of_main_is_found_again_if_its_source_is_the_same(here, tmp_path, monkeypatch):
  class Main(nn.Module):
    @nn.compact
    def __call__(self, inputs):
      return nn.Dense(10, name='logits')(inputs.reshape(inputs.shape[0], -1))

  Main.__module__, Main.__qualname__ = '__main__', 'Main'
  config = {**copy.deepcopy(SMALL), 'train_for': '1 steps', 'model': {'name': Main}}
  monkeypatch.setattr(named, '_source_of', lambda target: b'class Main')
  loop.train(experiment.build(config), tmp_path / 'main')
  forget()
  refusal(tmp_path / 'main')
  monkeypatch.setattr(sys.modules['__main__'], 'Main', Main, raising=False)
  assert isinstance(checkpoint.load_model(tmp_path / 'main')[0], Main)
  forget()
  monkeypatch.setattr(named, '_source_of', lambda target: b'another class Main')
  refusal(tmp_path / 'main')
