"""Fuzz tests of the files of a run: they are read, or rejected with the name of the folder."""

import contextlib
import copy
import io
import json

import filelock
import hypothesis
import numpy as np
import PIL.Image
import pytest
from fuzzing import cases, more_counts, works_or_is_refused
from hypothesis import given
from hypothesis import strategies as st

import jaxdl
from jaxdl import status
from jaxdl.exams import grades
from jaxdl.exams import table as exam_table
from jaxdl.monitoring import writers
from jaxdl.report import page, svg
from jaxdl.runs import checkpoint, files, integrity, keys, packed, summary
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
CONFIG_2 = {  # of format 2, with all that a network needs
  **CONFIG,
  'format': 2,
  'task': {'name': 'classify'},
  'train_for': '8 steps',
  'evaluate_every': '4 steps',
  'optimizer': {'name': 'adam', 'learning_rate': 0.01},
  'data': {
    'name': 'mnist',
    'batch_size': 4,
    'layout': 'image',
    'splits': {'train': 'train[:16]', 'test': 'test[:16]'},
    'distort': [{'kind': 'rotate', 'degrees': 90}],
  },
  'origin': {'imported': 'model.pt', 'sha256': 'c0ffee'},
  'dataset': {
    'name': 'mnist',
    'origin': 'bundled',
    'classes': ['cat', 'dog'],
    'input_shape': [4, 4, 1],
    'steps_per_epoch': 4,
    'mean': [0.0],
    'deviation': [1.0],
    'examples': {'train': 16, 'test': 16},
    'examples_per_class': {'train': [8, 8], 'test': [10, 6]},
    'checksums': {'train': 'c0ffee'},
    'appearance': {'brightness': [0.1, 0.2], 'contrast': [0.1, 0.2]},
    'division': '',
    'data_dir': '/nowhere',
  },
}
CONFIG_OF_TEXT = {
  **CONFIG_2,
  'task': {'name': 'next_char'},
  'data': {'name': 'shakespeare', 'batch_size': 4, 'time_step': 3},
  'model': {'name': 'language_model', 'cell': 'lstm', 'features': 2, 'layers': 1, 'classes': 2},
  'dataset': {
    'name': 'shakespeare',
    'origin': 'bundled',
    'classes': ['a', 'b'],
    'input_shape': [3],
    'steps_per_epoch': 4,
    'examples': {'train': 16, 'test': 16},
    'checksums': {'train': 'c0ffee'},
  },
}
CONFIG_OF_TABLE = {
  **CONFIG_2,
  'task': {'name': 'regress', 'loss': 'absolute'},
  'data': {'name': 'table', 'batch_size': 4, 'file': 'wine.csv', 'target': 'y'},
  'dataset': {
    'name': 'table',
    'origin': 'file',
    'classes': ['cat', 'dog'],  # of the analyses below
    'input_shape': [2],
    'steps_per_epoch': 4,
    'mean': [0.0, 0.0],
    'deviation': [1.0, 1.0],
    'examples': {'train': 16, 'test': 16},
    'checksums': {'train': 'c0ffee'},
    'form': 'vectors',
    'targets': {'names': ['y'], 'mean': [1.0], 'deviation': [2.0]},
    'features': ['a', 'b'],
    'table': {'columns': [{'column': 'a', 'kind': 'number', 'fill': 0.5}], 'targets': ['y']},
    'file': '/nowhere/wine.csv',
  },
}
CONFIGS = (CONFIG, CONFIG_2, CONFIG_OF_TEXT, CONFIG_OF_TABLE)
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
WEIGHTS = [{'step': step, 'a/kernel': [float(step)] * 9} for step in (4, 8)]
GRADES = {
  'settings': {'format': 2},
  'step': 8,
  'examples': 9,
  'accuracy': 0.9,
  'follows_evidence': None,
  'scores': {'saliency': {'pointing_game': 0.5, 'sparseness': None}},
  'reasons': {'saliency': {'sparseness': 'it has no maps'}},
  'seconds': {'saliency': 0.1},
}
DISPLAYED = {
  'step': 8,
  'heading': 'a title',
  'analysis': 'own',
  'display': {
    'section': 'Own',
    'caption': 'What {it} shows',
    'reading': 'Read it so.',
    'note': 'Note this.',
    'table': {'columns': ['a'], 'rows': [['1']], 'numbers': [0]},
    'texts': [{'caption': 'a', 'text': 'b'}],
  },
}
FILES = {
  'config.json': CONFIG,
  'summary.json': SUMMARY,
  'metrics.jsonl': JOURNAL,
  'lock': LOCK,
  'analysis/statistics.json': STATISTICS,
  'analysis/generated.json': GENERATED,
  'analysis/embedding_tsne.json': TSNE,
  'weights.jsonl': WEIGHTS,
  'exam.json': GRADES,
  'analysis/own.json': DISPLAYED,
  'analysis/predictions.json': {'split': 'test', 'step': 8},
  'analysis/calibration.json': {'expected_calibration_error': 0.1, 'step': 8},
  'analysis/confusion.json': {'classes': ['cat', 'dog'], 'split': 'test', 'step': 8},
  'analysis/attributions.json': {'step': 8, 'heading': 'a title'},
  'analysis/sanity.json': {'step': 8, 'saliency': {'flagged': True}},
  'checkpoints/8/config/metadata': CONFIG_2,
  'checkpoints/8/checksums/metadata': {'config': 1, 'model': {"['params']": 1}},
  'checkpoints/8/metrics/metrics': {'loss': 0.5},
  'checkpoints/8/_CHECKPOINT_METADATA': {
    'item_handlers': {'model': 'x'},
    'commit_timestamp_nsecs': 10**18,
  },
}
ARRAYS = {
  'examples.npz': {
    'split': np.array('test'),
    'index': np.arange(4),
    'image': np.zeros((4, 4, 4, 1), np.uint8),
    'label': np.array([0, 1, 0, 1]),
  },
  'analysis/embedding_tsne.npz': {'points': np.eye(4)[:, :2], 'labels': np.array([0, 1, 0, 1])},
  'analysis/predictions.npz': {
    'label': np.array([0, 1]),
    'predicted': np.array([0, 0]),
    'confidence': np.array([0.9, 0.6], np.float32),
  },
  'analysis/calibration.npz': {
    'edges': np.array([0.0, 0.5, 1.0]),
    'count': np.array([0, 2]),
    'accuracy': np.array([0.0, 0.5]),
  },
  'analysis/confusion.npz': {'counts': np.array([[7, 1], [1, 7]])},
}
SVG = '<svg width="3pt" height="4pt"><g id="column-saliency"><text>a</text></g></svg>'
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


def as_bytes(name, content):
  """The bytes of a file: lines of a journal, one object, arrays, or the bytes themselves."""
  if isinstance(content, bytes):
    return content
  if name.endswith('.npz'):
    packed = io.BytesIO()
    np.savez(packed, **content)
    return packed.getvalue()
  lines = content if name.endswith('l') and isinstance(content, list) else None
  text = (
    json.dumps(content) if lines is None else ''.join(f'{json.dumps(line)}\n' for line in lines)
  )
  return text.encode(errors='surrogatepass')


def write(folder, name, content):
  (folder / name).parent.mkdir(parents=True, exist_ok=True)
  (folder / name).write_bytes(as_bytes(name, content))


VALID = {name: as_bytes(name, content) for name, content in {**FILES, **ARRAYS}.items()}


@pytest.fixture
def run(tmp_path):
  """A folder with the files that training and the analyses write."""
  folder = tmp_path / 'run'
  for name, content in VALID.items():
    write(folder, name, content)
  (folder / 'analysis/attributions.svg').write_text(SVG)
  (folder / 'tensorboard/projector').mkdir(parents=True)
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


def damaged_bytes(draw, content):
  """Bytes of a file that are truncated, changed in one place, or replaced."""
  text = bytearray(content)
  at = draw(st.integers(0, 10**6)) % len(text)
  fault = draw(st.sampled_from(['cut', 'change', 'binary', 'deep']))
  if fault == 'cut':
    return bytes(text[:at])
  if fault == 'change':
    text[at] = draw(st.integers(0, 255))
    return bytes(text)
  return b'\xff\xfe\0' if fault == 'binary' else b'[' * 100_000


@st.composite
def damaged(draw):
  """(a config, name of a file, its damaged content); the file may be config.json itself.

  Values are replaced or removed, the text is truncated, a byte is changed, or all of it is replaced
  by bytes that are not JSON.
  """
  config = draw(st.sampled_from(CONFIGS))
  name = draw(st.sampled_from(['config.json'] * 12 + [*FILES] * 2 + [*ARRAYS]))
  content = copy.deepcopy(config if name == 'config.json' else FILES.get(name))
  if name in ARRAYS or draw(st.integers(0, 5)) == 0:
    return config, name, damaged_bytes(draw, VALID[name])
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
  return config, name, content


def readers(folder, config):
  """Returns name → function that reads the files of a run; each may reject the files separately.

  The last two also write the files.
  """

  def record():
    return summary.record(folder, {'step': 8}, seconds=1.0, resumed=True)

  def resume():
    with contextlib.ExitStack() as stack:
      stack.enter_context(run_folder.locked(folder, config, 8))
      writers._keep_until(folder / 'metrics.jsonl', 4)

  def show_status():
    print(status.text(status.read(folder)))

  def while_training(read):
    with filelock.FileLock(folder / run_folder.LOCK, thread_local=False):
      read()

  def grade():
    found = grades._kept(folder / 'exam.json', GRADES['settings'])
    if found is not None:
      exam_table.table(exam_table.summarised('x', {3: found}))

  return {
    'status': show_status,
    'status while training': lambda: while_training(show_status),
    'report': lambda: page.write_page_and_card(folder),
    'report while training': lambda: while_training(lambda: page.write_page_and_card(folder)),
    'comparison': lambda: page.several([records.load(folder)] * 2),
    'finished run': lambda: records.finished(folder, config),
    'curves of a sweep': lambda: table.curves([files.journal(folder)]),
    'grades of an exam': grade,
    'packing': lambda: packed.contents(folder),
    'figures at the end': record,
    'resuming': resume,
  }


READERS = 11
WRITTEN = ('summary.json', 'metrics.jsonl', 'lock')  # by readers


def fuzz(run, count):
  """Damages about `count` files; returns the number of damaged files."""
  tried, restored = 0, set(VALID)
  for config in CONFIGS:  # with valid files
    for file in VALID:
      write(run, file, VALID[file])
    write(run, 'config.json', config)
    actions = readers(run, config)
    assert len(actions) == READERS
    for action in actions.values():
      with contextlib.redirect_stdout(io.StringIO()):
        action()

  @cases(count)
  @given(damaged())
  def read_case(damage):
    nonlocal tried, restored
    tried += 1
    config, name, content = damage
    for file in restored:
      write(run, file, VALID[file])
    write(run, 'config.json', config)
    write(run, name, content)
    restored = {name, *WRITTEN}
    for reader, action in readers(run, config).items():
      hypothesis.note(reader)
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
    f"files of a run's folder damaged at random, each read by {READERS} readers: read, or refused in one line that names the folder",
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
  write(run, name, content)
  with works_or_is_refused(), pytest.raises(ValueError, match=message):
    page.write([run], run / 'report.html')


@pytest.mark.parametrize('config', CONFIGS[1:])
def test_fuzz_found_missing_keys_of_a_config(config, run):
  """Every key that a network needs is missing or has another type, for every reader of the run."""
  needed = [
    path
    for path in places(config)
    if '.'.join(map(str, path)) in keys.CONFIG and path[0] in ('task', 'model', 'data', 'dataset')
  ]
  assert len(needed) > 10
  for path in needed:
    for value in (None, 10**400, [], {}):
      changed = copy.deepcopy(config)
      node = changed
      for key in path[:-1]:
        node = node[key]
      node[path[-1]] = value
      if value is None:
        del node[path[-1]]
      write(run, 'config.json', changed)
      with works_or_is_refused(naming=str(run)), contextlib.redirect_stdout(io.StringIO()):
        page.write_page_and_card(run)
      with works_or_is_refused(naming=str(run)):
        status.text(status.read(run))


@pytest.mark.parametrize(
  'key', ['task.name', 'dataset', 'dataset.classes', 'dataset.input_shape', 'dataset.mean']
)
def test_fuzz_found_missing_facts(key, run):
  config = copy.deepcopy(CONFIG_2)
  *sections, last = key.split('.')
  node = config
  for section in sections:
    node = node[section]
  del node[last]
  write(run, 'config.json', config)
  missing = 'dataset.classes' if key == 'dataset' else key
  with pytest.raises(ValueError, match=rf'{run}/config\.json has no {missing}: delete it'):
    records.load(run)
  write(run, 'config.json', {**config, 'format': 1})  # an older version need not have written it
  assert status.read(run)['step'] == 8
  network = jaxdl.load(run)
  with pytest.raises(ValueError, match=f'{run} was trained by an older version'):
    network.predict(np.zeros((1, 4, 4, 1), np.uint8))


@pytest.mark.parametrize(
  ('key', 'value'),
  [
    ('input_shape', [4, 4]),
    ('input_shape', [4, 4, 3]),
    ('input_shape', [2**31, 4, 1]),
    ('deviation', [1.0, 1.0]),
    ('mean', [10**400]),
    ('mean', [float('nan')]),
    ('targets', {'names': ['a'], 'mean': [], 'deviation': []}),
  ],
)
def test_fuzz_found_facts_that_contradict_each_other(key, value, run):
  write(run, 'config.json', {**CONFIG_2, 'dataset': {**CONFIG_2['dataset'], key: value}})
  with pytest.raises(ValueError, match=rf'{run}/config\.json has an invalid dataset\.{key}'):
    records.load(run)


@pytest.mark.parametrize('value', [10**400, -1, 2**53, 1.5, True, None, [], 'many', float('nan')])
@pytest.mark.parametrize('key', ['process', 'steps'])
def test_fuzz_found_huge_numbers_in_a_lock(key, value, run):
  write(run, 'lock', {**LOCK, key: value})
  with filelock.FileLock(run / run_folder.LOCK, thread_local=False):
    found = status.read(run)
    assert (found['process'], found['steps'], found['state']) == (None, None, 'training')
    status.text(found)
    page.write_page_and_card(run)


@pytest.mark.parametrize('speed', [5e-324, -1.0, 0, 1e300, float('inf'), float('nan')])
def test_fuzz_found_speeds_without_a_meaning(speed, run):
  lines = [{**line, 'examples_per_second': speed} for line in JOURNAL]
  for name, content in {'metrics.jsonl': lines, 'config.json': CONFIG_2}.items():
    write(run, name, content)
  with filelock.FileLock(run / run_folder.LOCK, thread_local=False):
    found = status.read(run)
    assert found['seconds_left'] is None
    status.text(found)
    page.write_page_and_card(run)


@pytest.mark.parametrize('seconds', [float('nan'), float('inf'), -1, 10**400, 'x', None, True])
def test_fuzz_found_invalid_seconds_of_earlier_sessions(seconds, run):
  write(run, 'summary.json', {**SUMMARY, 'seconds': seconds})
  assert summary.record(run, SUMMARY, seconds=2.0, resumed=True)['seconds'] == 2.0
  records.load(run)


@pytest.mark.parametrize('loss', [10**400, True, '1', None])
def test_fuzz_found_invalid_scores_of_a_checkpoint(loss, run):
  write(run, 'checkpoints/8/metrics/metrics', {'loss': loss})
  with pytest.raises(integrity.DamagedError, match='its validation loss is'):
    integrity.check_loss(run / 'checkpoints/8')


@pytest.mark.parametrize('when', [10**400, 10**40, -(10**40), 1.5, True, None, 'x', [], {}])
def test_fuzz_found_invalid_times_of_a_checkpoint(when, run):
  write(run, 'checkpoints/8/_CHECKPOINT_METADATA', {'commit_timestamp_nsecs': when})
  write(run, 'config.json', CONFIG_2)
  with works_or_is_refused(naming=str(run)):
    checkpoint.manager(run).close()
  page.write_page_and_card(run)


@pytest.mark.parametrize('name', ['config.json', 'summary.json', 'metrics.jsonl'])
def test_fuzz_found_half_a_character(name, run):
  content = copy.deepcopy(FILES[name])
  if name == 'metrics.jsonl':
    write(run, name, [*content, {**content[-1], 'split': '\ud800'}])
    assert files.journal(run) == JOURNAL
    return
  write(run, name, {**content, 'config': '\ud800'})
  with pytest.raises(ValueError, match=rf'{name} is not JSON .*is half a character'):
    records.load(run)


@pytest.mark.parametrize('step', ['', [], {}, -1, 10**400, 1.5])
def test_fuzz_found_invalid_steps_of_an_analysis(step, run):
  write(run, 'analysis/attributions.json', {'step': step})
  with pytest.raises(ValueError, match=r'attributions\.json has an invalid step: rerun'):
    page.write_page_and_card(run)


@pytest.mark.parametrize('key', [key for key in GRADES if key != 'settings'])
@pytest.mark.parametrize('value', [None, 'x', [], {'saliency': 3}, -1])
def test_fuzz_found_invalid_grades_of_an_exam(key, value, run):
  """Damaged grades are computed again."""
  assert grades._kept(run / 'exam.json', GRADES['settings']) == GRADES
  write(run, 'exam.json', {**GRADES, key: value})
  found = grades._kept(run / 'exam.json', GRADES['settings'])
  if found is not None:
    exam_table.table(exam_table.summarised('x', {3: found}))


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
