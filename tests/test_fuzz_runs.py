"""Fuzz tests of the files of a run: they are read, or rejected with the name of the folder."""

import contextlib
import copy
import io
import json

import numpy as np
import PIL.Image
import pytest
from fuzzing import cases, more_counts, works_or_is_refused
from hypothesis import given
from hypothesis import strategies as st

from jaxdl import status
from jaxdl.monitoring import writers
from jaxdl.report import page, svg
from jaxdl.runs import files, summary
from jaxdl.runs import folder as run_folder
from jaxdl.runs import record as records
from jaxdl.sweeps import table

pytestmark = pytest.mark.usefixtures('unchecked_types')
CONFIG = {
  'seed': 3,
  'task': 'classify',
  'data': {'name': 'mnist', 'batch_size': 4},
  'reported': {'test_accuracy': 0.9},
  'model': {
    'name': 'cnn',
    'layers': [{'kind': 'flatten'}, {'kind': 'dense', 'features': 2, 'name': 'logits'}],
  },
  'dataset': {'classes': ['cat', 'dog'], 'input_shape': [4, 4, 1]},
}
SUMMARY = {
  'config': 'small',
  'step': 8,
  'steps': 8,
  'test_loss': 0.25,
  'test_accuracy': 0.875,
  'test_examples': 16,
  'parameters': 34,
  'reported': {'source': '002', 'test_accuracy': 0.9, 'train_accuracy': 0.95, 'parameters': 34},
  'seed': 3,
  'seconds': 61.0,
  'device': '1 x cpu',
  'data': 'bundled, a remark',
  'versions': {'jax': '1.2'},
  'stopped': None,
}
JOURNAL = [
  {
    'step': step,
    'split': split,
    'loss': 2 / step,
    'accuracy': step / 10,
    'examples_per_second': 100.0,
  }
  for step in (4, 8)
  for split in ('train', 'test')
]
STATISTICS = {
  'layers': [
    {
      'layer': 'a',
      'units': 3,
      'mean': 0.1,
      'std': 1.0,
      'min': 0,
      'max': 2,
      'zeros': 0.5,
      'dead_units': 0,
      'dead_channels': 0,
      'channels': 1,
    }
  ]
}
GENERATED = {'texts': [{'prime': 'R', 'temperature': 0.5, 'text': 'ROMEO'}]}
TSNE = {'what': 'features', 'trustworthiness': 0.9, 'accuracy': 0.5}
LOCK = {'process': 1, 'host': 'x', 'steps': 8}
FILES = {
  'config.json': CONFIG,
  'summary.json': SUMMARY,
  'metrics.jsonl': JOURNAL,
  'lock': LOCK,
  'analysis/statistics.json': STATISTICS,
  'analysis/generated.json': GENERATED,
  'analysis/embedding_tsne.json': TSNE,
}
JUNK = st.one_of(
  st.none(),
  st.booleans(),
  st.integers(-2, 2),
  st.floats(),
  st.text(max_size=5),
  st.sampled_from(
    [10**12, 2**53, 10**40, 10**400, -(10**400), 1e300, -1e308, 5e-324, float('nan'), float('inf')]
  ),
  st.sampled_from(
    [[], {}, [[]], [None], {'name': []}, {'a': {'b': 1}}, [1, 'x'], '<script>', '\ud800', '\x00']
  ),
)


def write(folder, name, content, raw=False):
  """Writes a journal as lines and every other file as one object."""
  if raw:
    text = content
  elif name.endswith('l') and isinstance(content, list):
    text = ''.join(f'{json.dumps(line)}\n' for line in content)
  else:
    text = json.dumps(content)
  (folder / name).write_bytes(
    text if isinstance(text, bytes) else text.encode(errors='surrogatepass')
  )


@pytest.fixture
def run(tmp_path):
  """A folder with the files that training and the analyses write."""
  folder = tmp_path / 'run'
  (folder / 'analysis').mkdir(parents=True)
  (folder / 'checkpoints/8').mkdir(parents=True)
  (folder / 'tensorboard/projector').mkdir(parents=True)
  for name, content in FILES.items():
    write(folder, name, content)
  np.savez(
    folder / 'analysis/embedding_tsne.npz', points=np.eye(4)[:, :2], labels=np.array([0, 1, 0, 1])
  )
  for name in (
    'analysis/samples.png',
    'analysis/embedding_pca.png',
    'tensorboard/projector/sprite.png',
  ):
    PIL.Image.new('RGB', (8, 8)).save(folder / name)
  return folder


def places(node, path=()):
  """Yields the path of every value, object and list of JSON data."""
  yield path
  below = ()
  if isinstance(node, dict):
    below = node.items()
  elif isinstance(node, list):
    below = enumerate(node)
  for key, value in below:
    yield from places(value, (*path, key))


@st.composite
def damaged(draw):
  """(name of a file, its damaged content).

  Values are replaced or removed, the text is truncated, a byte is changed, or all of it is replaced
  by bytes that are not JSON.
  """
  name = draw(st.sampled_from([*list(FILES)[:3] * 2, *list(FILES)[3:]]))
  content = copy.deepcopy(FILES[name])
  if draw(st.integers(0, 4)) == 0:
    text = bytearray(json.dumps(content).encode())
    at = draw(st.integers(0, len(text) - 1))
    fault = draw(st.sampled_from(['cut', 'change', 'binary', 'deep']))
    if fault == 'cut':
      return name, bytes(text[:at])
    if fault == 'change':
      text[at] = draw(st.integers(0, 255))
      return name, bytes(text)
    return name, b'\xff\xfe\0' if fault == 'binary' else b'[' * 100_000
  for _ in range(draw(st.integers(1, 3))):
    path = draw(st.sampled_from(list(places(content))))
    if not path:
      content = copy.deepcopy(draw(JUNK)) if draw(st.booleans()) else content
      continue
    node = content
    for key in path[:-1]:
      node = node[key]
    if draw(st.integers(0, 3)):
      node[path[-1]] = copy.deepcopy(draw(JUNK))
    else:
      del node[path[-1]]
  return name, content


def readers(folder):
  """Returns the functions that read the files of a run; each may reject the files separately."""

  def record():
    return summary.record(folder, {'step': 8}, seconds=1.0, resumed=True)

  def resume():
    with contextlib.ExitStack() as stack:
      stack.enter_context(run_folder.locked(folder, CONFIG, 8))
      writers._keep_until(folder / 'metrics.jsonl', 4)

  return (
    lambda: print(status.text(status.read(folder))),
    lambda: page.write([folder], folder / 'report.html'),
    lambda: page.several([records.load(folder)] * 2),
    lambda: records.finished(folder, CONFIG),
    lambda: table.curves([files.journal(folder)]),
    record,
    resume,
  )


def fuzz(run, count):
  """Damages about `count` files; returns the number of damaged files."""
  tried = 0
  for action in readers(run):  # with valid files
    with contextlib.redirect_stdout(io.StringIO()):
      action()

  @cases(count)
  @given(damaged())
  def read_case(damage):
    nonlocal tried
    tried += 1
    name, content = damage
    for restored, valid in FILES.items():
      write(run, restored, valid)
    write(run, name, content, raw=isinstance(content, bytes))
    for action in readers(run):
      with contextlib.redirect_stdout(io.StringIO()), works_or_is_refused(naming=str(run)):
        action()

  read_case()
  return tried


def test_fuzz_runs(run):
  fuzz(run, 25)


@pytest.mark.parametrize('count', more_counts(800, 10_000))
def test_fuzz_many_runs(count, run, reliability):
  tried = fuzz(run, count)
  reliability(
    "files of a run's folder damaged at random, each read by 7 readers: read, or refused in one line that names the folder",
    tried,
    tried,
  )


@pytest.mark.parametrize(
  ('name', 'content', 'message'),
  [
    ('config.json', [], r'config\.json is not the JSON object of a run'),
    ('config.json', b'\xff', r'config\.json is not JSON'),
    ('config.json', b'[' * 100_000, r'config\.json is not JSON'),
    ('config.json', {**CONFIG, 'model': 3}, r'config\.json has an invalid model: delete it'),
    (
      'config.json',
      {**CONFIG, 'model': {'name': 'cnn', 'layers': 3}},
      r'config\.json: config\.model\.layers',
    ),
    ('config.json', {'model': CONFIG['model']}, r'config\.json has no data: delete it'),
    (
      'summary.json',
      {**SUMMARY, 'seconds': float('nan')},
      r'summary\.json has an invalid seconds',
    ),
    (
      'summary.json',
      {**SUMMARY, 'test_loss': 10**400},
      r'summary\.json has an invalid test_loss',
    ),
    (
      'analysis/generated.json',
      {'texts': [3]},
      r'generated\.json is not an output of jaxdl\.analyze',
    ),
    (
      'analysis/statistics.json',
      {'layers': [{}]},
      r'statistics\.json is not an output of jaxdl\.analyze',
    ),
    (
      'analysis/embedding_tsne.npz',
      b'PK',
      r'embedding_tsne\.npz is not an output of jaxdl\.analyze',
    ),
  ],
)
def test_fuzz_found_invalid_files_of_a_run(name, content, message, run):
  write(run, name, content, raw=isinstance(content, bytes))
  with works_or_is_refused(), pytest.raises(ValueError, match=message):
    page.write([run], run / 'report.html')


def test_fuzz_found_invalid_lines_of_a_journal(run):
  valid = (run / 'metrics.jsonl').read_bytes()
  lines = [
    b'3',
    b'[]',
    b'{"step": "x", "split": "train"}',
    b'{"step": 5, "split": 3}',
    b'{"step": 5, "split": "train", "loss": "x"}',
    b'\xff\xfe',
    b'[' * 100_000,
    b'{"step": 9, "split": "tra',
  ]
  (run / 'metrics.jsonl').write_bytes(b'\n'.join([valid, *lines]))
  assert files.journal(run) == JOURNAL


def test_fuzz_found_invalid_lines_of_weights(run):
  lines = [{'step': step, 'a/kernel': [float(step)] * 9} for step in (4, 8)]
  others = [
    3,
    {'step': 5, 'a/kernel': 3},
    {'step': 5, 'a/kernel': [0.0] * 8},
    {'step': 5, 'a/kernel': [float('nan')] * 9},
    {'step': 5, 'a/kernel': ['x'] * 9},
    {'step': 'x', 'a/kernel': [0.0] * 9},
  ]
  write(run, 'weights.jsonl', [lines[0], *others, lines[1]])
  assert files.weights(run) == lines


@pytest.mark.parametrize(
  'lock', [b'3', b'\xff', b'{"process": []}', b'{"process": 1, "host": "x", "steps": "many"}', b'{']
)
def test_fuzz_found_invalid_lock_files(lock, run):
  (run / 'lock').write_bytes(lock)
  found = status.read(run)
  assert (found['process'], found['steps'], found['state']) == (None, None, 'finished')


def test_fuzz_found_truncated_summary_at_the_end_of_a_run(run):
  (run / 'summary.json').write_text('{"secon')
  assert summary.record(run, {'step': 9}, seconds=2.0, resumed=True) == {'step': 9, 'seconds': 2.0}


@pytest.mark.parametrize(
  'values', [[float('nan')] * 2, [0, 5e-324], [1e38, 1e38 * (1 + 1e-15)], [-3e38, 3e38]]
)
def test_fuzz_found_curves_with_extreme_values(values):
  lines = {'run': {('loss', 'train'): list(enumerate(values)), ('accuracy', 'test'): [(0, 0.5)]}}
  drawn = svg.charts(lines)
  assert [chart['metric'] for chart in drawn] == (
    ['accuracy'] if values[0] != values[0] else ['loss', 'accuracy']
  )
  assert all(len(chart['y']) <= 9 for chart in drawn)
