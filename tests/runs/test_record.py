"""Loading a run as one object: its files, its figures and its model."""

import numpy as np
import pytest

from jaxdl import runs
from jaxdl.runs import checkpoint, record
from jaxdl.training import experiment, loop


def test_loaded_run_has_its_files_and_best_model(small_cnn, tmp_path):
  built = experiment.build(small_cnn, 'small')
  summary = loop.train(built, tmp_path)
  run = runs.load(tmp_path)
  assert (run.summary, run.name) == (summary, 'small')
  assert run.classes == tuple(map(str, range(10)))
  assert [line['step'] for line in run.history] == [4, 4, 4, 8, 8, 8]
  split = built.data.splits['test']
  images = split.arrays['image'] / np.float32(255)
  labels = split.arrays['label']
  correct = (run.model.apply(run.variables, images).argmax(-1) == labels).mean()
  assert float(correct) == pytest.approx(summary['test_accuracy'])
  assert run.variables is run.variables  # read only once


@pytest.mark.parametrize(
  ('command', 'changed'),
  [
    ("python -m jaxdl.main --config=mine.py --config.l2=1e-4 '--config.train_for=2 steps'", ['l2', 'train_for']),
    ("python -m jaxdl.main --config=mine.py --workdir='of --config.l2=1'", []),
    ("python -m jaxdl.main --config=mine.py --config.l2='1", []),  # damaged
    ('python -m jaxdl.main --config=mine.py --config.seed=3 --config.log_every=5', []),
    ('', []),
  ],
)  # fmt: skip
def test_changed_keys_are_parsed_like_shell_arguments(tmp_path, command, changed):
  run = record.Run(tmp_path, 'mine', {}, {}, [], command)
  assert run.changed == changed


@pytest.mark.parametrize(
  ('key', 'expected'),
  [
    ('test_accuracy', 0.6),
    ('validation_accuracy', None),  # unknown counts
    ('train_accuracy', None),  # no examples
    ('test_loss', None),
    ('test_top_5_accuracy', None),
  ],
)
def test_chance_is_the_share_of_the_most_frequent_class(key, expected, tmp_path):
  counts = {'test': [1, 6, 3], 'train': [0, 0, 0]}
  run = record.Run(tmp_path, 'x', {'dataset': {'examples_per_class': counts}}, {}, [], '')
  assert run.chance(key) == expected
  assert run.chances([key, 'test_loss']) == ({} if expected is None else {key: expected})
  assert record.Run(tmp_path, 'x', {}, {}, [], '').chance(key) is None


def test_loading_a_run_reads_checkpoints_lazily(small, tmp_path, monkeypatch):
  loop.train(experiment.build({**small, 'train_for': '2 steps'}, 'small'), tmp_path)
  read = []
  original = checkpoint.load_step

  def recording_load(*arguments, **keywords):
    read.append(arguments)
    return original(*arguments, **keywords)

  monkeypatch.setattr(checkpoint, 'load_step', recording_load)
  run = runs.load(tmp_path)
  assert run.finished
  assert not read
  assert run.variables['params']
  assert len(read) == 1


def test_folder_without_a_run_is_an_error(tmp_path):
  with pytest.raises(FileNotFoundError, match='contains no run: give the folder of a run'):
    runs.load(tmp_path)
