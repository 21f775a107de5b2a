"""Tests of analyses of many classes, layers and units: bounded cost and readable figures.

Also of failing analyses, which do not affect the others.
"""

import dataclasses
import json
import os
import time
import types

import flax.linen as nn
import jax
import numpy as np
import pytest
from helpers import last_json, run_child

from jaxdl import analyze, figures
from jaxdl.analysis import embedding_quality, errors, filters
from jaxdl.report import features_map
from jaxdl.terminal import command
from jaxdl.training import experiment, loop
from jaxdl.views import predictions, subject, view
from jaxdl.views.view import Choice

CLASSES = (2, 10, 100, 1000)
MAX_INCHES = 15.0  # per side


def class_names(count):
  return tuple(f'the class of number {number}' for number in range(count))  # long names


def random_counts(classes):
  counts = np.random.default_rng(0).integers(0, 3, (classes, classes))
  counts[np.arange(classes), np.arange(classes)] += 50
  return counts


def texts_of(figure):
  found = [
    artist.get_text() for artist in figure.findobj(lambda artist: hasattr(artist, 'get_text'))
  ]
  return [text for text in found if isinstance(text, str) and text]


def largest_side(figure):
  return max(figure.get_size_inches())


@pytest.mark.parametrize('classes', CLASSES)
def test_confusion_matrix_of_many_classes_fits_one_page(classes):
  counts = random_counts(classes)
  counts[1, 0] = 49
  confused = errors.most_confused(counts)
  figure = figures.confusion_matrix(counts, class_names(classes), heading='h', confused=confused)
  assert largest_side(figure) <= MAX_INCHES
  cells = figure.axes[0].texts
  assert len(cells) == (classes**2 if classes <= 20 else 0)
  figures.pixels(figure)  # tick labels are set only when the figure is drawn
  assert len([label for label in figure.axes[0].get_yticklabels() if label.get_text()]) <= 50
  text = '\n'.join(texts_of(figure))
  assert ('49  1 the class of number 1 → 0 the class of number 0' in text) == (classes > 50)
  assert 'the class of number 1' in text, 'named neither at the axis nor in the list'


def test_confusion_matrix_of_1000_classes_is_fast_and_small(tmp_path):
  """Runs in a separate process to measure its peak memory; drawing takes 2 s on an idle machine."""
  if not os.path.exists('/proc/self/status'):
    pytest.skip('the peak memory is read from /proc')
  script = """
import sys, time
import numpy as np
from jaxdl import figures
began = time.process_time()
counts = np.random.default_rng(0).integers(0, 3, (1000, 1000))
figures.save(figures.confusion_matrix(counts, [str(i) for i in range(1000)], heading="h"), sys.argv[1])
with open("/proc/self/status") as file:  # ru_maxrss would include the parent
  peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
print([time.process_time() - began, peak // 1024])
"""
  done = run_child('-c', script, tmp_path / 'confusion.png')
  assert done.returncode == 0, done.stderr
  seconds, megabytes = last_json(done.stdout)
  assert seconds < 10
  assert megabytes < 1000


def test_most_confused_equals_hand_counts():
  counts = np.array([[9, 2, 0], [4, 9, 2], [0, 1, 9]])
  assert errors.most_confused(counts) == [(1, 0, 4), (0, 1, 2), (1, 2, 2), (2, 1, 1)]
  assert errors.most_confused(counts, 1) == [(1, 0, 4)]
  assert errors.most_confused(np.eye(3, dtype=int)) == []
  assert counts.diagonal().tolist() == [9, 9, 9]


def test_busiest_classes_equal_hand_counts():
  """The most frequent confusions are 3 → 1 (9 times) and 1 → 0 (4 times); 2 is 'all others'."""
  counts = np.array([[9, 0, 1, 0], [4, 8, 0, 2], [0, 0, 7, 3], [0, 9, 0, 6]])
  classes, grouped = errors.busiest(counts, 3)
  assert classes.tolist() == [3, 1, 0]
  assert grouped.tolist() == [[6, 9, 0, 0], [2, 8, 4, 0], [0, 0, 9, 1], [3, 0, 0, 7]]
  assert grouped.sum() == counts.sum()
  classes, grouped = errors.busiest(np.diag([3, 4]), 19)
  assert (classes.tolist(), grouped.tolist()) == ([], [[7]])


def test_classes_of_the_most_frequent_confusions_are_readable(tmp_path):
  analysed = random_subject(150, examples=600, workdir=tmp_path)
  found = {result.name: result for result in predictions.confusion(analysed, Choice())}
  assert list(found) == ['confusion', 'per_class', 'confusion_most']
  axis = found['confusion_most'].figure.axes[0]
  assert len(axis.texts) == 20**2
  shown = [label.get_text() for label in axis.get_yticklabels()]
  assert shown[-1] == 'all others'
  counts = found['confusion'].arrays['counts']
  assert sum(int(text.get_text()) for text in axis.texts) == counts.sum() == 600
  worst = found['confusion'].facts['confused'][0]['true']
  assert worst in found['confusion_most'].facts['classes']
  rows = predictions.VIEWS['errors'].displays['per_class'].table(found['per_class'].facts)['rows']
  assert len(rows) == 100, 'of more than 100 classes, those of the lowest F1'


@pytest.mark.parametrize('classes', CLASSES)
def test_scatter_of_many_classes_names_the_most_frequent(classes):
  labels = np.random.default_rng(0).integers(0, classes, 1500)
  labels[:50] = classes - 1
  figure = figures.scatter(
    np.random.default_rng(1).normal(size=(1500, 2)),
    labels,
    class_names(classes),
    heading='h',
    note='n',
  )
  named = [text.get_text() for text in figure.axes[0].texts]
  assert len(named) == min(classes, 20)
  assert class_names(classes)[-1] in named, 'the most frequent class is not named'
  assert (
    f'names: the 20 most frequent of {len(np.unique(labels)):,} classes'
    in '\n'.join(texts_of(figure))
  ) == (classes > 20)
  assert len(figure.axes[0].collections) == 1, 'the classes are not one artist'
  assert largest_side(figure) <= MAX_INCHES


def test_linear_classifier_of_many_classes_uses_ridge_regression():
  labels = np.random.default_rng(0).integers(0, 300, 4000)
  features = np.random.default_rng(1).normal(size=(300, 128))[labels] + np.random.default_rng(
    2
  ).normal(size=(4000, 128))
  start = time.process_time()
  found = embedding_quality.linear_accuracy(features, labels)
  assert time.process_time() - start < 30
  assert found.method == 'ridge regression'
  assert found.held_out > 0.9
  assert embedding_quality.linear_accuracy(features, labels % 2).method == 'logistic regression'


@pytest.mark.usefixtures('unchecked_types')
@pytest.mark.parametrize('classes', [10, 1000])
def test_bars_of_many_classes_show_the_most_probable(classes, monkeypatch):
  logits = np.linspace(-1, 1, classes)[None]
  monkeypatch.setattr(predictions, 'outputs', lambda *args: logits)
  monkeypatch.setattr(predictions.reference, 'forward', lambda *args: (logits, {}))
  model_subject = types.SimpleNamespace(
    inputs=np.zeros((1, 2)), kind='cnn', classes=class_names(classes), config={}, variables={}
  )
  (result,) = predictions.numpy(model_subject, Choice())
  assert largest_side(result.figure) <= MAX_INCHES
  shown = [label.get_text() for label in result.figure.axes[0].get_xticklabels()]
  assert shown == list(class_names(classes)[-min(classes, 30) :])
  assert len(result.facts['jax']) == classes
  assert ('the 30 most probable of 1,000 classes' in '\n'.join(texts_of(result.figure))) == (
    classes == 1000
  )


def test_figure_size_is_bounded_for_any_names_and_shapes():
  long_name = 'a very long class name ' * 40
  pictures = [
    np.zeros((1, 4000, 2)),
    np.zeros((4000, 1, 1)),
    np.zeros((1, 1, 5)),
    np.zeros((300, 2)),
  ]
  drawn = [
    figures.image_grid(np.zeros((32, 1, 500, 2), np.uint8), [f'{long_name}\n→ {long_name}'] * 32),
    figures.image_grid(np.zeros((32, 500, 1, 1), np.uint8), ['a'] * 32),
    figures.picture_rows([pictures] * 2, [long_name, '', '', ''], labels=[long_name] * 2),
    figures.confusion_matrix(np.eye(3, dtype=int), [long_name] * 3, heading='h'),
    figures.scatter(
      np.random.default_rng(0).normal(size=(9, 2)), np.arange(9) % 3, [long_name] * 3, heading='h'
    ),
    figures.bars({'a': np.ones(3)}, [long_name] * 3, xlabel='', ylabel='', heading='h'),
    figures.table([[long_name, '1']], ['layer', 'mean'], heading='h'),
  ]
  for number, figure in enumerate(drawn):
    assert largest_side(figure) <= 20, number
    assert max(figures.pixels(figure).shape) <= 2000, number


@pytest.mark.parametrize('tensors', [1, 60, 400])
def test_panels_and_tables_show_first_and_last_layers(tensors):
  counts, edges = np.histogram([0.1, 0.9], 4)
  titles = [f'conv{number} kernel' for number in range(tensors)]
  figure = figures.distributions(
    {title: {'run': (counts, edges)} for title in titles}, heading='weights', xlabel='value'
  )
  shown = [axis.get_title() for axis in figure.axes if axis.get_title()]
  assert shown == (titles if tensors <= 60 else [*titles[:30], *titles[-30:]])
  assert ('weights: the first and the last 30 of 400' in texts_of(figure)) == (tensors == 400)
  bands = figures.bands(
    {title: (np.arange(2), np.zeros((2, 3))) for title in titles},
    heading='h',
    xlabel='',
    ylabel='',
    parts=['all'],
  )
  table = figures.table([[title, '1'] for title in titles], ['layer', 'mean'], heading='h')
  assert largest_side(figure) < 40
  assert largest_side(bands) < 40
  assert largest_side(table) < 40
  assert ('the first and the last 40 of 400 rows' in '\n'.join(texts_of(table))) == (tensors == 400)


@pytest.mark.parametrize(('count', 'shape'), [(1, (6, 6)), (64, (49, 49)), (4096, (385, 385))])
def test_filters_of_many_units_form_a_square(count, shape):
  kernels = np.random.default_rng(0).normal(size=(5, 5, 1, count))
  assert filters.grid(kernels).shape[:2] == (shape[0] + (count == 1), shape[1] + (count == 1))


@pytest.mark.usefixtures('unchecked_types')
def test_report_map_names_the_most_frequent_classes_without_legend(tmp_path, monkeypatch):
  from PIL import Image

  (tmp_path / 'analysis').mkdir()
  (tmp_path / 'tensorboard/projector').mkdir(parents=True)
  labels = np.random.default_rng(0).integers(0, 1000, 1500)
  np.savez(
    tmp_path / 'analysis/embedding_tsne.npz',
    points=np.random.default_rng(1).normal(size=(1500, 2)),
    labels=labels,
  )
  (tmp_path / 'analysis/embedding_tsne.json').write_text(
    json.dumps({'what': 'features', 'trustworthiness': 1, 'accuracy': 1})
  )
  Image.new('L', (39 * 8, 39 * 4)).save(tmp_path / 'tensorboard/projector/sprite.png')
  record = types.SimpleNamespace(results=tmp_path, classes=class_names(1000))
  found = features_map.of_run(record, 'embedding_tsne', lambda facts, count: f'{count:,} dots')
  assert len(found['names']) == 20
  assert found['legend'] == []
  assert found['size'] == [8, 4]
  assert 'the names are those of the 20 most frequent of ' in found['caption']


def random_subject(classes, examples=3000, kind='classifier', workdir=None):
  """Returns a Subject with a small dense network, random classes and random examples."""

  class Dense(nn.Module):
    @nn.compact
    def __call__(self, inputs):
      return nn.Dense(classes, name='logits')(
        nn.relu(nn.Dense(64, name='hidden')(inputs.reshape(len(inputs), -1)))
      )

  inputs = np.random.default_rng(0).normal(size=(examples, 8, 8, 1)).astype(np.float32)
  labels = np.random.default_rng(1).integers(0, classes, examples)
  model = Dense()
  return subject.Subject(
    workdir=workdir,
    name='random',
    split='test',
    step=1,
    kind=kind,
    model=model,
    variables=jax.jit(model.init)(jax.random.key(0), inputs[:1]),
    config={},
    classes=class_names(classes),
    inputs=inputs,
    labels=labels,
    images=np.clip(inputs, 0, 1),
    targets=None,
    available=examples,
  )


@pytest.mark.slow
@pytest.mark.parametrize('classes', CLASSES)
def test_errors_and_embedding_of_many_classes_are_fast(classes, tmp_path):
  analysed = random_subject(classes, workdir=tmp_path)
  start = time.process_time()
  for name in ('errors', 'embedding'):
    for result in analyze.VIEWS[name].make(analysed, Choice()):
      assert not isinstance(result, view.Failure), result
      view.write(result, tmp_path, step=1, analysis=name, flags='')
      assert result.figure is None or largest_side(result.figure) <= MAX_INCHES
  assert time.process_time() - start < 120
  assert sum(file.stat().st_size for file in tmp_path.glob('*.png')) < 4e6


@pytest.mark.usefixtures('unchecked_types')
def test_embedding_of_one_class_has_no_linear_classifier(tmp_path):
  analysed = dataclasses.replace(
    random_subject(2, examples=40, workdir=tmp_path), labels=np.zeros(40, int)
  )
  found = {result.name: result for result in analyze.VIEWS['embedding'].make(analysed, Choice())}
  assert list(found) == ['embedding_pca', 'embedding_tsne']
  assert found['embedding_pca'].facts['linear_classifier'] is None
  assert 'linear classifier' not in '\n'.join(texts_of(found['embedding_pca'].figure))


@pytest.fixture
def run(small, tmp_path):
  loop.train(experiment.build({**small, 'train_for': '2 steps'}, 'small'), tmp_path / 'run')
  return tmp_path / 'run'


EXHAUSTED = RuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.\nmany lines more')


@pytest.mark.parametrize(
  ('error', 'message'),
  [
    pytest.param(
      MemoryError(),
      'out of memory: give fewer examples, such as --images=20',
      marks=pytest.mark.slow,
    ),
    pytest.param(
      EXHAUSTED,
      'out of memory: RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.: give fewer examples, such as --images=20',
      marks=pytest.mark.slow,
    ),
    (ZeroDivisionError('by zero'), 'ZeroDivisionError: by zero (JAXDL_TRACEBACK=1 shows where)'),
  ],
  ids=['memory', 'device', 'other'],
)
@pytest.mark.slow
def test_failing_part_of_an_analysis_does_not_affect_others(
  error, message, run, monkeypatch, capsys
):
  def failing(*args, **kwargs):
    raise error

  monkeypatch.setattr(figures, 'confusion_matrix', failing)
  monkeypatch.setitem(
    analyze.VIEWS, 'statistics', dataclasses.replace(analyze.VIEWS['statistics'], make=failing)
  )
  code = command.run(
    analyze.main, ['analyze', str(run), '--only=errors,statistics,weights', '--images=40']
  )
  captured = capsys.readouterr()
  assert code == 1
  assert captured.err.splitlines() == [
    f'jaxdl: confusion failed: {message}',
    f'jaxdl: statistics failed: {message}',
  ]
  assert 'errors: confusion matrix or residuals, worst mistakes and calibration' in captured.out
  printed = last_json(captured.out)
  assert printed['failed'] == {'confusion': message, 'statistics': message}
  assert list(printed['analyses']) == ['errors', 'weights']
  for name in ('mistakes', 'calibration', 'weights'):
    assert (run / f'analysis/{name}.png').is_file()
  assert (run / 'report.html').is_file()


@pytest.mark.slow
def test_unwritable_figure_does_not_affect_others(run, monkeypatch, capsys):
  save = figures.save

  def save_all_but_confusion(figure, path):
    if path.stem == 'confusion':
      raise MemoryError('Unable to allocate 9.60 GiB')
    save(figure, path)

  monkeypatch.setattr(figures, 'save', save_all_but_confusion)
  assert analyze.main(['analyze', str(run), '--only=errors', '--images=40']) == 1
  assert last_json(capsys.readouterr().out)['failed'] == {
    'confusion': 'out of memory: Unable to allocate 9.60 GiB: give fewer examples, such as --images=20'
  }
  assert (run / 'analysis/calibration.png').is_file()
