"""The structure of the package: which package may import which, and where libraries may be
imported.
"""

import ast
import os

import pytest
from helpers import ROOT

from jaxdl.figures import fitting

FILES = sorted((ROOT / 'jaxdl').rglob('*.py'))
EVERYTHING = object()
# package → packages that it may import besides itself; docs/architecture.md has the reasons
MAY_IMPORT = {
  'ops': set(),
  'figures': set(),
  'devices': set(),
  'config': set(),
  'data': {'config'},
  'models': {'ops', 'config'},
  'step': {'devices', 'config'},
  'terminal': {'step', 'config'},
  'runs': {'models', 'step', 'devices', 'config'},
  'lint': {'data', 'models', 'step', 'devices', 'config'},
  'analysis': {'models', 'ops', 'runs', 'figures', 'config'},
  'views': {'analysis', 'figures', 'runs', 'models', 'data', 'config'},
  'exports': {'models', 'ops', 'data', 'config'},
  'report': {'views', 'runs', 'figures', 'models', 'data', 'step', 'config'},
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
  'training': {'monitoring', 'runs', 'models', 'data', 'step', 'devices', 'terminal', 'config'},
  'sweeps': {
    'training',
    'monitoring',
    'lint',
    'runs',
    'figures',
    'models',
    'step',
    'devices',
    'config',
  },
}
COMMANDS = {
  'main',
  'sweep',
  'analyze',
  'generate',
  'export',
  'status',
  '__main__',
  '__init__',
}  # may import everything
ANALYSIS_READS = {'jaxdl.runs.checkpoint'}  # the one module of runs that an analysis may import
FENCES = {  # library → files that may import it
  'tensorflow': ('data/', 'monitoring/writers.py'),
  'tensorflow_datasets': ('data/',),
  'clu': ('monitoring/writers.py',),
  'tensorboard': ('monitoring/graph.py',),
  'orbax': ('runs/checkpoint.py',),
  'matplotlib': ('figures/',),
  'grain': ('data/photographs/stream.py',),
  'scipy': ('data/',),
  'PIL': ('data/', 'analysis/projector.py', 'report/'),
  'jinja2': ('report/',),
  'sklearn': ('analysis/',),
  'threadpoolctl': ('analysis/embeddings.py',),
  'onnx': ('exports/onnx_graph.py',),
  'onnxruntime': ('exports/onnx_graph.py',),
  'safetensors': ('exports/safetensors_weights.py',),
  'keras': ('exports/keras_model.py',),
  'torch': ('exports/torch_module.py',),
}
LAZY = set(FENCES) - {'orbax'}  # imported inside functions only: importing them takes seconds

NOT_ANNOTATED = 0  # public functions that lack an annotation, at most


def imports(file):
  """(module, whether at the top of the file) of every import of a file."""
  tree = ast.parse(file.read_text())
  top = set(map(id, tree.body))
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from ((alias.name, id(node) in top) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{file}: imports are absolute'
      yield from ((f'{node.module}.{alias.name}', id(node) in top) for alias in node.names)


def package(path):
  """The package of a file, or its own name where it is a command."""
  first, *rest = path.relative_to(ROOT / 'jaxdl').parts
  if rest and rest[-1] == '__main__.py':
    return '__main__'
  return first.removesuffix('.py')


@pytest.mark.parametrize('file', FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_keep_to_the_layers(file):
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
def test_libraries_stay_behind_their_fences(file):
  place = str(file.relative_to(ROOT / 'jaxdl'))
  for module, at_top in imports(file):
    library = module.partition('.')[0]
    if library in FENCES:
      assert place.startswith(FENCES[library]), f'{file} may not import {module}'
      assert not (at_top and library in LAZY), f'{file} may import {module} only inside a function'


def test_packages_form_no_circle():
  order = list(MAY_IMPORT)
  for name, others in MAY_IMPORT.items():
    assert all(order.index(other) < order.index(name) for other in others), name


def test_modules_form_no_circle():
  """Imports at the top of files, followed from every module, never return to it."""
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
    assert name not in path, f'a circle of imports: {" → ".join([*path[path.index(name) :], name])}'
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


def test_the_root_of_the_package_holds_commands_only():
  modules = {file.stem for file in (ROOT / 'jaxdl').glob('*.py')}
  assert modules <= COMMANDS
  packages = {file.parent.name for file in (ROOT / 'jaxdl').glob('*/__init__.py')}
  assert packages == set(MAY_IMPORT)


def test_only_parallel_knows_pmap():
  assert [file.name for file in FILES if 'pmap(' in file.read_text()] == ['parallel.py']


def public_functions(tree):
  """Functions of a module and methods of its public classes; names without underscore, not nested."""
  for node in tree.body:
    if isinstance(node, ast.ClassDef) and not node.name.startswith('_'):
      yield from public_functions(node)
    elif isinstance(node, ast.FunctionDef) and not node.name.startswith('_'):
      yield node


def lacks_annotation(function):
  """Whether a parameter other than self and cls, or the returned value, has no annotation."""
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


@pytest.mark.skipif(
  os.environ.get('JAXDL_CHECK_TYPES') == '0', reason='checks of types are turned off'
)
def test_annotations_are_checked_in_the_tests():
  jaxtyping = pytest.importorskip('jaxtyping')
  pytest.importorskip('beartype')
  with pytest.raises(jaxtyping.TypeCheckError, match='name'):
    fitting.short(3)


def test_a_missing_annotation_is_found():
  functions = """
def whole(a: int, *b: int, c: int = 0, **d: int) -> int: ...
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
    'whole',
    'parameter',
    'star',
    'returned',
    'method',
    'lacking',
  ]
  lacking = [one.name for one in found if lacks_annotation(one)]
  assert lacking == ['parameter', 'star', 'returned', 'lacking']


def test_the_fences_catch_a_breach(tmp_path):
  """The tests above must be able to fail."""
  breach = tmp_path / 'steps.py'
  breach.write_text('from jaxdl.training import loop\nimport tensorflow as tf\n')
  found = dict(imports(breach))
  assert found == {'jaxdl.training.loop': True, 'tensorflow': True}
  assert 'training' not in MAY_IMPORT['step']
