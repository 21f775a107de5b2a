"""Tests of the structure of the package: allowed imports between packages and of libraries."""

import ast
import os
import shutil
import subprocess

import pytest
from helpers import ROOT

from jaxdl.figures import fitting

FILES = sorted((ROOT / 'jaxdl').rglob('*.py'))
# Package → other packages that it may import; docs/architecture.md has the reasons.
MAY_IMPORT = {
  'ops': set(),
  'figures': set(),
  'devices': set(),
  'config': set(),
  'stores': {'config'},
  'data': {'config', 'stores'},
  'models': {'ops', 'devices', 'config'},
  'step': {'ops', 'devices', 'config'},
  'terminal': {'step', 'config'},
  'runs': {'models', 'step', 'devices', 'config'},
  'lint': {'data', 'models', 'step', 'devices', 'config'},
  'analysis': {'models', 'ops', 'runs', 'figures', 'config'},
  'views': {'analysis', 'figures', 'runs', 'models', 'data', 'config'},
  'exports': {'views', 'runs', 'models', 'ops', 'data', 'config'},
  'weights': {'exports', 'ops', 'config'},
  'report': {'exports', 'views', 'runs', 'figures', 'models', 'data', 'step', 'config'},
  'prediction': {
    'stores',
    'exports',
    'report',
    'views',
    'analysis',
    'runs',
    'figures',
    'models',
    'data',
    'step',
    'config',
  },
  'monitoring': {
    'analysis',
    'runs',
    'figures',
    'models',
    'data',
    'step',
    'devices',
    'terminal',
    'config',
  },
  'training': {
    'stores',
    'monitoring',
    'runs',
    'figures',
    'models',
    'data',
    'step',
    'devices',
    'terminal',
    'config',
  },
  'sweeps': {
    'stores',
    'training',
    'monitoring',
    'lint',
    'runs',
    'figures',
    'models',
    'step',
    'devices',
    'terminal',
    'config',
  },
  'exams': {'sweeps', 'monitoring', 'views', 'analysis', 'runs', 'figures', 'config'},
}
COMMANDS = {
  'main',
  'sweep',
  'analyze',
  'exam',
  'generate',
  'export',
  'import_weights',
  'predict',
  'status',
  'verify',
  'pack',
  '__main__',
  '__init__',
}  # may import everything
ANALYSIS_READS = {'jaxdl.runs.checkpoint'}  # the only module of `runs` that analyses may import
ALLOWED_FILES = {  # library → files that may import it
  'tensorflow': ('data/', 'monitoring/writers.py'),
  'tensorflow_datasets': ('data/',),
  'clu': ('monitoring/writers.py',),
  'tensorboard': ('monitoring/graph.py',),
  'orbax': ('runs/checkpoint.py',),
  'matplotlib': ('figures/',),
  'grain': ('data/photographs/stream.py',),
  'scipy': ('data/',),
  'pyarrow': ('data/tables/reading.py',),
  'datasets': ('data/hugging_face.py',),
  'PIL': ('data/', 'analysis/projector.py', 'figures/output.py', 'report/'),
  'jinja2': ('report/',),
  'sklearn': ('analysis/', 'step/scores.py'),
  'threadpoolctl': ('analysis/threads.py', 'analysis/embeddings.py'),
  'onnx': ('exports/onnx_graph.py',),
  'onnxruntime': ('exports/onnx_graph.py',),
  'safetensors': ('exports/safetensors_weights.py', 'weights/reading.py'),
  'keras': ('exports/keras_model.py',),
  'torch': ('exports/torch_module.py', 'weights/torch_file.py'),
  'h5py': ('weights/keras_file.py',),
  'optuna': ('sweeps/study.py',),
  'ray': ('sweeps/on_ray.py',),
  'submitit': ('sweeps/on_slurm.py',),
  'fsspec': ('stores/store.py',),
  's3fs': ('stores/',),
  'gcsfs': ('stores/',),
}
LAZY = set(ALLOWED_FILES) - {
  'orbax'
}  # imported only inside functions, because the import takes seconds

NOT_ANNOTATED = 0  # maximum number of public functions without complete annotations


def imports(file):
  """Yields (module, whether at the top of the file) of every import of a file."""
  tree = ast.parse(file.read_text())
  top = set(map(id, tree.body))
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from ((alias.name, id(node) in top) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{file}: imports must be absolute'
      yield from ((f'{node.module}.{alias.name}', id(node) in top) for alias in node.names)


def package(path):
  """Returns the package of a file, or the name of a command."""
  first, *rest = path.relative_to(ROOT / 'jaxdl').parts
  if rest and rest[-1] == '__main__.py':
    return '__main__'
  return first.removesuffix('.py')


@pytest.mark.parametrize('file', FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_between_packages_are_allowed(file):
  own = package(file)
  if own in COMMANDS:
    return
  for module, _ in imports(file):
    if module.startswith('jaxdl.'):
      other = module.split('.')[1]
      assert other == own or other in MAY_IMPORT[own], f'{file} may not import {module}'
      if (own, other) == ('analysis', 'runs'):
        assert module in ANALYSIS_READS, f'{file} may import only {ANALYSIS_READS} of runs'


@pytest.mark.parametrize('file', FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_libraries_are_imported_only_in_allowed_files(file):
  place = str(file.relative_to(ROOT / 'jaxdl'))
  for module, at_top in imports(file):
    library = module.partition('.')[0]
    if library in ALLOWED_FILES:
      assert place.startswith(ALLOWED_FILES[library]), f'{file} may not import {module}'
      assert not (at_top and library in LAZY), f'{file} may import {module} only inside a function'


def test_packages_have_no_circular_imports():
  order = list(MAY_IMPORT)
  for name, others in MAY_IMPORT.items():
    assert all(order.index(other) < order.index(name) for other in others), name


def test_modules_have_no_circular_imports():
  """Follows the imports of every module and checks that none leads back to it."""
  names = {}
  for file in FILES:
    parts = file.relative_to(ROOT).with_suffix('').parts
    names['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = file
  graph = {}
  for name, file in names.items():
    inside = {module for module, _ in imports(file) if module.startswith('jaxdl.')}
    graph[name] = {
      module if module in names else module.rpartition('.')[0] for module in inside
    } - {name}
  done, path = set(), []

  def visit(name):
    assert name not in path, f'circular imports: {" → ".join([*path[path.index(name) :], name])}'
    if name in done or name not in graph:
      return
    path.append(name)
    for other in sorted(graph[name]):
      if not name.startswith(f'{other}.') and not other.startswith(f'{name}.'):
        visit(other)
    path.pop()
    done.add(name)

  for name in graph:
    visit(name)


def test_package_root_contains_only_commands():
  modules = {file.stem for file in (ROOT / 'jaxdl').glob('*.py')}
  assert modules <= COMMANDS
  packages = {file.parent.name for file in (ROOT / 'jaxdl').glob('*/__init__.py')}
  assert packages == set(MAY_IMPORT)


def test_pmap_is_used_only_in_parallel():
  assert [file.name for file in FILES if 'pmap(' in file.read_text()] == ['parallel.py']


def public_functions(tree):
  """Yields the public functions of a module and the public methods of its public classes."""
  for node in tree.body:
    if isinstance(node, ast.ClassDef) and not node.name.startswith('_'):
      yield from public_functions(node)
    elif isinstance(node, ast.FunctionDef) and not node.name.startswith('_'):
      yield node


def lacks_annotation(function):
  """Whether a parameter (except self and cls) or the return value has no annotation."""
  spec = function.args
  parameters = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg]
  named = [one for one in parameters if one is not None and one.arg not in ('self', 'cls')]
  return function.returns is None or any(one.annotation is None for one in named)


def test_public_functions_are_annotated():
  lacking = [
    f'{file.relative_to(ROOT)}:{function.lineno} {function.name}'
    for file in FILES
    for function in public_functions(ast.parse(file.read_text()))
    if lacks_annotation(function)
  ]
  assert len(lacking) <= NOT_ANNOTATED, '\n'.join(lacking)


OPENS = {  # function → position of its mode, mode by default
  'open': (1, 'r'),
  'fdopen': (1, 'r'),
  '.open': (0, 'r'),
  'TemporaryFile': (0, 'w+b'),
  'NamedTemporaryFile': (0, 'w+b'),
  'read_text': (None, 'r'),
  'write_text': (None, 'w'),
}
NOT_TEXT = {'os', 'gzip', 'tarfile', 'Image', 'PIL.Image'}  # `open` of these opens no text file


def opens_without_encoding(tree):
  """Calls that open a text file in the encoding of the user's locale."""
  for node in ast.walk(tree):
    if not isinstance(node, ast.Call):
      continue
    name, owner = getattr(node.func, 'id', None), None
    if isinstance(node.func, ast.Attribute):
      name, owner = node.func.attr, ast.unparse(node.func.value)
    if name == 'open' and owner is not None:
      name = '.open'
    if name not in OPENS or (name == '.open' and owner in NOT_TEXT):
      continue
    position, mode = OPENS[name]
    keywords = {one.arg: ast.unparse(one.value) for one in node.keywords}
    if position is not None:
      given = [ast.unparse(one) for one in node.args[position : position + 1]]
      mode = keywords.get('mode', given[0] if given else mode)
    if 'b' not in mode and keywords.get('encoding') != "'utf-8'":
      yield node


def test_text_files_are_opened_as_utf_8():
  files = [*FILES, *sorted((ROOT / 'launch').rglob('*.py'))]
  found = [
    f"{file.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}: add encoding='utf-8'"
    for file in files
    for node in opens_without_encoding(ast.parse(file.read_text(encoding='utf-8')))
  ]
  assert not found, '\n'.join(found)


@pytest.mark.parametrize(
  ('call', 'is_found'),
  [
    ('path.read_text()', True),
    ("path.write_text('b')", True),
    ("path.read_text(encoding='latin-1')", True),
    ("path.read_text(encoding='utf-8')", False),
    ("open(path, 'w')", True),
    ("open('rb')", True),
    ("open(path, 'rb')", False),
    ("path.open(mode='wb')", False),
    ("path.open('a')", True),
    ("os.fdopen(number, 'w')", True),
    ('Image.open(path)', False),
  ],
)
def test_a_text_file_without_encoding_is_found(call, is_found):
  assert len(list(opens_without_encoding(ast.parse(call)))) == is_found


@pytest.mark.skipif(os.environ.get('JAXDL_CHECK_TYPES') == '0', reason='type checks are turned off')
def test_annotations_are_checked_during_tests():
  jaxtyping = pytest.importorskip('jaxtyping')
  pytest.importorskip('beartype')
  with pytest.raises(jaxtyping.TypeCheckError, match='name'):
    fitting.short(3)


def test_missing_annotations_are_detected():
  functions = """
def complete(a: int, *b: int, c: int = 0, **d: int) -> int: ...
def parameter(a, b: int) -> int: ...
def star(*a) -> int: ...
def returned(a: int): ...
def _private(a): ...
class Public:
  def method(self) -> int: ...
  def lacking(self, a) -> int: ...
class _Private:
  def method(self, a): ...
"""
  found = list(public_functions(ast.parse(functions)))
  assert [one.name for one in found] == [
    'complete',
    'parameter',
    'star',
    'returned',
    'method',
    'lacking',
  ]
  lacking = [one.name for one in found if lacks_annotation(one)]
  assert lacking == ['parameter', 'star', 'returned', 'lacking']


def test_forbidden_imports_are_detected(tmp_path):
  """Checks that the tests above can fail."""
  file = tmp_path / 'steps.py'
  file.write_text('from jaxdl.training import loop\nimport tensorflow as tf\n')
  found = dict(imports(file))
  assert found == {'jaxdl.training.loop': True, 'tensorflow': True}
  assert 'training' not in MAY_IMPORT['step']


def test_repository_has_no_large_files():
  """Such as the memory of a crashed process, which `git add -A` once added."""
  if shutil.which('git') is None or not (ROOT / '.git').exists():
    pytest.skip('not a checkout of git')
  listed = subprocess.run(
    ['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True, check=True
  )
  files = [ROOT / name for name in listed.stdout.split('\0') if name]
  large = [file for file in files if file.is_file() and file.stat().st_size > 10_000_000]
  assert files
  assert not large
