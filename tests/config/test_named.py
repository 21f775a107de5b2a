"""Own code by name: references of a config, their import, and the errors."""

import copy
import functools
import json
import sys
import threading

import flax.linen as nn
import ml_collections
import pytest

from jaxdl.config import binding, differences, named, python_files, reading

NETS = """\
import flax.linen as nn
from blocks import WIDTH


class Small(nn.Module):
  features: int = WIDTH


def made(*, features):
  return Small(features)


number = 3
"""


class Local(nn.Module):
  """A class of an importable module."""

  features: int = 1


@pytest.fixture
def folder(tmp_path):
  (tmp_path / 'conf').mkdir()
  (tmp_path / 'conf/nets.py').write_text(NETS)
  (tmp_path / 'conf/blocks.py').write_text('WIDTH = 4\n')
  return tmp_path / 'conf'


def config_in(folder, **sections):
  """Reads a config file of `folder` with a model section."""
  file = folder / 'small.py'
  file.write_text(
    f'import ml_collections\n\ndef get_config():\n  return ml_collections.ConfigDict({sections!r})\n'
  )
  return reading.read_config(file)


def linked(folder, **sections):
  return named.link(reading.to_dict(config_in(folder, **sections)))


def bound(section, **table):
  return binding.bind(table, section, 'config.model')


@pytest.mark.parametrize('name', ['a:b', 'a\nb', '[x]*', '%41', '.a', '漢', 'a.py', "'"])
def test_files_of_any_name_are_linked(folder, name):
  moved = folder.rename(folder.with_name(name))
  file = (moved / 'nets.py').rename(moved / f'{name}.py')
  for text in (f'{file.name}:Small', f'{file}:Small'):
    assert bound(linked(moved, model=dict(name=text, features=5))['model'])().features == 5


def test_a_file_beside_the_config_is_imported(folder, monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  model = linked(folder, model={'name': 'nets.py:Small'})['model']
  assert model['name'] == 'nets.py:Small'
  assert bound({**model, 'features': 7})().features == 7
  assert bound(model)().features == 4, 'the default is that of the file beside it'


def test_a_file_is_found_in_the_working_directory(folder, monkeypatch, tmp_path):
  (tmp_path / 'other').mkdir()
  monkeypatch.chdir(folder)
  model = linked(tmp_path / 'other', model={'name': 'nets.py:made', 'features': 3})['model']
  assert bound(model)().features == 3


def test_the_file_beside_the_config_comes_first(folder, monkeypatch, tmp_path):
  (tmp_path / 'nets.py').write_text('class Small:\n  where = "working directory"\n')
  monkeypatch.chdir(tmp_path)
  assert linked(folder, model={'name': 'nets.py:Small'})['model']['name'].target.features == 4


def test_the_same_file_gives_the_same_module_and_another_content_another(folder):
  text = f'{folder / "nets.py"}:Small'
  first, again = (named.resolve(text, 'config.model.name') for _ in range(2))
  assert first.target is again.target
  assert first == again == text
  module = sys.modules[first.target.__module__]
  assert module.Small is first.target
  (folder / 'blocks.py').write_text('WIDTH = 5\n')
  changed = named.resolve(text, 'config.model.name')
  assert (first.target().features, changed.target().features) == (4, 5)
  assert first != changed
  assert 'blocks' not in sys.modules, 'the name of a file beside it must not stay'


def test_threads_share_one_import(folder):
  found = []

  def resolve():
    found.append(named.resolve(f'{folder / "nets.py"}:Small', 'config.model.name').target)

  threads = [threading.Thread(target=resolve) for _ in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert len(found) == 4
  assert len(set(found)) == 1


def test_files_beside_never_replace_libraries_or_loaded_modules(folder, monkeypatch):
  (folder / 'json.py').write_text('raise SystemExit\n')
  (folder / 'jaxdl').mkdir()
  (folder / 'jaxdl/__init__.py').write_text('raise SystemExit\n')
  monkeypatch.setitem(sys.modules, 'blocks', mine := object())
  (folder / 'nets.py').write_text(f'import json\nimport jaxdl.config\n{NETS}')
  found = named.resolve(f'{folder / "nets.py"}:Small', 'config.model.name')
  assert list(found.code.files) == ['nets.py', 'blocks.py']
  assert sys.modules['blocks'] is mine


def test_packages_beside_a_file_are_followed(folder):
  (folder / 'parts/deep').mkdir(parents=True)
  (folder / 'parts/__init__.py').write_text('from .one import ONE\n')
  (folder / 'parts/one.py').write_text('from parts.deep import two\nONE = two.TWO - 1\n')
  (folder / 'parts/deep/__init__.py').write_text('')
  (folder / 'parts/deep/two.py').write_text('TWO = 2\n')
  (folder / 'nets.py').write_text('import parts\n\n\ndef one():\n  return parts.ONE\n')
  found = named.resolve(f'{folder / "nets.py"}:one', 'config.model.name')
  assert found.target() == 1
  assert set(found.code.files) == {
    'nets.py',
    'parts/__init__.py',
    'parts/one.py',
    'parts/deep/__init__.py',
    'parts/deep/two.py',
  }
  assert not list(folder.rglob('__pycache__')), 'bytecode could differ from the checksum'


@pytest.mark.parametrize(
  ('name', 'text', 'message'),
  [
    ('nest.py:Small', None, r'nest\.py does not exist: .*folder of the config.*mean nets\.py\?'),
    ('nets.py:Smal', None, r'nets\.py has no Smal; it has Small, made; did you mean Small\?'),
    ('nets.py:number', None, "name='.*' is a int: name a class or a function"),
    ('nets.py:Small', 'import nowhere_', r'ModuleNotFoundError in nets\.py, line 1: .*nowhere_'),
    ('nets.py:Small', 'x = 1\ny = (', r'SyntaxError in nets\.py, line 2'),
    (
      'nets.py:Small',
      'def f():\n  return 1 / 0\n\n\nf()',
      r'ZeroDivisionError in nets\.py, line 2',
    ),
    ('no_package.nets:Small', None, r"no module no_package: .*'nets\.py:Small'"),
    ('json:Small', None, 'json has no Small'),
    ('nets.py', None, "name a class or function of the file, 'nets.py:Name'"),
  ],
)
def test_errors_are_one_line_with_a_fix(folder, name, text, message):
  if text is not None:
    (folder / 'nets.py').write_text(text)
  with pytest.raises(ValueError, match=message) as raised:
    bound(linked(folder, model={'name': name})['model'], cnn=Local)
  assert '\n' not in str(raised.value)
  assert 'config.model.name' in str(raised.value)


def test_an_unknown_key_is_refused_as_for_a_built_in_model(folder):
  model = linked(folder, model={'name': 'nets.py:Small', 'feature': 7})['model']
  with pytest.raises(
    ValueError, match=r'config\.model\.feature .* its keys are features, name; did'
  ):
    bound(model)
  model = linked(folder, model={'name': 'nets.py:made'})['model']
  with pytest.raises(ValueError, match=r'config\.model\.features is missing'):
    bound(model)


def test_a_text_that_was_not_linked_is_never_imported(folder, monkeypatch):
  monkeypatch.chdir(folder)
  for name in ('nets.py:Small', 'os:system', 'json:dumps'):
    with pytest.raises(ValueError, match='was not imported'):
      bound({'name': name}, cnn=Local)


def test_an_error_of_own_code_names_its_line(folder):
  (folder / 'nets.py').write_text('def made(*, features):\n  return {}[features]\n')
  model = linked(folder, model={'name': 'nets.py:made', 'features': 'x'})['model']
  with pytest.raises(ValueError, match=r"nets\.py:made failed \(KeyError in nets\.py, line 2: 'x'"):
    bound(model)()


def test_names_and_facts_do_not_depend_on_the_folder(folder, tmp_path):
  sections = {'model': {'name': 'nets.py:Small'}, 'task': 'own/tasks.py:mine'}
  (folder / 'own').mkdir()
  (folder / 'own/tasks.py').write_text('def mine(outputs, batch):\n  return {}\n')
  here = linked(folder, **sections)
  assert (here['model']['name'], here['task']) == ('nets.py:Small', 'own/tasks.py:mine')
  folder.rename(tmp_path / 'moved')
  moved = linked(tmp_path / 'moved', **sections)
  changed = differences.changed_keys(*({'code': named.record(one)} for one in (here, moved)))
  assert changed == [f'code.path.{name}' for name in ('blocks.py', 'nets.py', 'own/tasks.py')]
  assert set(named.record(here)['sha256']) == {'blocks.py', 'nets.py', 'own/tasks.py'}


def test_a_reference_is_a_string_in_json_and_copies(folder):
  reference = linked(folder, model={'name': 'nets.py:Small'})['model']['name']
  assert json.dumps(reference) == '"nets.py:Small"'
  assert copy.deepcopy({'name': reference})['name'] is reference
  again = reading.to_dict({'model': {'name': reference}})['model']['name']
  assert again is reference


def test_objects_become_references():
  config = ml_collections.ConfigDict({'model': {'name': Local, 'features': 3}})
  plain = named.link(reading.to_dict(config))
  assert plain['model']['name'] == 'tests.config.test_named:Local'
  assert bound(plain['model'])() == Local(3)
  assert list(named.record(plain)['sha256'])[0].endswith('test_named.py')
  flax = named.link(reading.to_dict({'model': {'name': nn.Dense, 'features': 3}}))
  assert (flax['model']['name'], named.record(flax)) == ('flax.linen.linear:Dense', {})


def test_objects_of_a_session_keep_their_source():
  class Inner(nn.Module):
    features: int = 2

  plain = named.link(reading.to_dict({'model': {'name': Inner}}))
  assert bound(plain['model'])() == Inner()
  ((content, path),) = named.files(plain).values()
  assert path is None
  assert content.startswith(b'class Inner(nn.Module):\n  features: int = 2')


def test_objects_without_a_name_are_refused():
  with pytest.raises(ValueError, match='holds more than sections'):
    reading.to_dict({'model': {'name': functools.partial(Local)}})


def test_other_texts_are_no_references(folder):
  config = config_in(
    folder, data={'folder': 'nets.py:Small', 'name': 'mnist'}, reported={'name': 'os:system'}
  )
  assert named.link(reading.to_dict(config)) == reading.to_dict(config)
  assert named.record(reading.to_dict(config)) == {}


def test_a_module_is_found_without_executing_it(folder, monkeypatch):
  (folder / 'pack').mkdir()
  (folder / 'pack/__init__.py').write_text('raise SystemExit\n')
  (folder / 'pack/nets.py').write_text('raise SystemExit\n')
  monkeypatch.syspath_prepend(folder)
  assert python_files.find_module('pack.nets') == folder / 'pack/nets.py'
  assert python_files.find_module('pack.other') is None
  assert python_files.find_module('no_such_module.x') is None
  assert 'pack' not in sys.modules
