"""The house: which module may import which, and where third-party libraries may stand."""

import ast

import pytest
from conftest import ROOT

FILES = sorted((ROOT / 'jaxdl').rglob('*.py'))
EVERYWHERE = {'config'}  # configs become keyword arguments in every layer but ops and data
MAY_IMPORT = {  # part of jaxdl → parts that it may import
    'ops': set(), 'data': set(), 'tasks': set(), 'optimizers': set(), 'parallel': set(), 'state': set(),
    'side_outputs': set(), 'config': {'overrides', 'spelling'}, 'overrides': set(), 'spelling': set(), 'files': set(), 'integrity': set(), 'run_files': set(),
    'records': {'run_files'}, 'run_folder': {'files', 'integrity', 'run_files'},
    'figures': set(), 'statistics_table': set(), 'writers': {'files', 'graph', 'side_outputs'}, 'graph': set(), 'tracing': {'side_outputs'}, 'hosts': set(), 'progress': set(),
    'summary': {'files', 'models', 'tasks'}, 'command': {'spelling'}, 'compiler': set(),
    'schedules': set(), 'stopping': set(), 'patience': set(), 'penalty': set(), 'precision': set(), 'finite': set(),
    'models': {'ops', 'overrides'}, 'steps': {'state', 'parallel', 'precision'}, 'checkpoint': {'files', 'integrity', 'models', 'state'},
    'analysis': {'models', 'ops', 'checkpoint', 'figures'},
    'experiment': {'data', 'models', 'optimizers', 'parallel', 'patience', 'penalty', 'precision', 'schedules', 'state',
                   'steps', 'tasks'},
    'samples': {'figures', 'files'}, 'watching': {'analysis', 'data', 'figures', 'generate', 'parallel', 'side_outputs', 'steps', 'tasks'},
    'evaluation': {'parallel', 'steps'},
    'generate': {'checkpoint', 'command', 'data', 'progress'},
    '__main__': {'command', 'data', 'progress', 'report', 'run_folder'},  # python -m jaxdl.data, python -m jaxdl.report
    'report': {'command', 'data', 'files', 'models', 'records', 'run_files', 'run_folder', 'statistics_table'},
    'calls': {'hosts', 'parallel', 'steps'},
    'train': {'calls', 'checkpoint', 'evaluation', 'finite', 'hosts', 'models', 'parallel', 'patience', 'progress', 'records', 'run_folder',
              'side_outputs', 'stopping', 'summary', 'tasks', 'tracing', 'writers'},
    'members': {'experiment'}, 'comparison': {'config', 'figures', 'models', 'records', 'run_files', 'side_outputs'},
    'ensemble': {'evaluation', 'experiment', 'members', 'parallel', 'steps'},
    'together': {'calls', 'checkpoint', 'ensemble', 'experiment', 'finite', 'progress', 'records', 'run_folder', 'side_outputs', 'stopping',
                 'summary', 'tasks', 'writers'},
    'sweep': {'checkpoint', 'command', 'comparison', 'data', 'files', 'lint', 'members', 'parallel', 'records', 'samples', 'side_outputs',
              'stopping', 'together',
              'train', 'watching'},
    'subject': {'checkpoint', 'data'}, 'views': {'analysis', 'checkpoint', 'data', 'figures', 'generate', 'models', 'run_files', 'statistics_table'},
    'analyze': {'command', 'figures', 'progress', 'report', 'side_outputs', 'spelling', 'subject', 'views'},
    'lint': {'data', 'models', 'parallel', 'tasks'},
    'status': {'command', 'progress', 'records', 'run_folder'},
    'main': {'command', 'data', 'experiment', 'files', 'hosts', 'lint', 'models', 'parallel', 'report', 'run_folder', 'samples',
             'side_outputs', 'train', 'watching'},
}
FENCES = {  # library → files that may import it; tensorflow and TFDS only inside functions
    'tensorflow': ('data/', 'writers.py'), 'tensorflow_datasets': ('data/',), 'clu': ('writers.py',),
    'tensorboard': ('graph.py',),
    'orbax': ('checkpoint.py',), 'matplotlib': ('figures/',), 'grain': ('data/photographs/stream.py',),
    'scipy': ('data/',),
    'PIL': ('data/', 'analysis/projector.py', 'report/'),  # thumbnails, no figures
    'jinja2': ('report/',),
    'sklearn': ('analysis/',), 'threadpoolctl': ('analysis/embeddings.py',)}
LAZY = {'grain', 'jinja2', 'PIL', 'sklearn', 'tensorflow', 'tensorflow_datasets', 'tensorboard', 'threadpoolctl', 'clu', 'matplotlib',
        'scipy'}


def imports(file):
  """(module, at the top of the file) of every import."""
  tree = ast.parse(file.read_text())
  top = set(map(id, tree.body))
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from ((alias.name, id(node) in top) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{file}: imports are absolute'
      yield from ((f'{node.module}.{alias.name}', id(node) in top) for alias in node.names)


def part(path):
  return '__main__' if path.name == '__main__.py' else path.relative_to(ROOT / 'jaxdl').parts[0].removesuffix('.py')


@pytest.mark.parametrize('file', FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_keep_to_the_layers(file):
  own = part(file)
  if own == '__init__':
    assert dict(imports(file)).keys() == {'signal', 'sys', 'jaxdl.compiler'}  # nothing that takes time
    return
  allowed = MAY_IMPORT[own] | {own} | (EVERYWHERE if own not in ('ops', 'data') else set())
  for module, _ in imports(file):
    if module.startswith('jaxdl.'):
      assert module.split('.')[1] in allowed, f'{file} may not import {module}'


@pytest.mark.parametrize('file', FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_libraries_stay_behind_their_fences(file):
  place = str(file.relative_to(ROOT / 'jaxdl'))
  for module, at_top in imports(file):
    library = module.partition('.')[0]
    if library in FENCES:
      assert place.startswith(FENCES[library]), f'{file} may not import {module}'
      assert not (at_top and library in LAZY), f'{file} may import {module} only inside a function'


def test_only_parallel_knows_pmap():
  assert [file.name for file in FILES if 'pmap(' in file.read_text()] == ['parallel.py']


def test_the_fences_catch_a_breach(tmp_path):
  """The two tests above must be able to fail."""
  breach = tmp_path / 'steps.py'
  breach.write_text('from jaxdl import train\nimport tensorflow as tf\n')
  found = dict(imports(breach))
  assert found == {'jaxdl.train': True, 'tensorflow': True}
  assert 'train' not in MAY_IMPORT['steps']
