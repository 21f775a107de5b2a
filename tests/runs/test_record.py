"""A run as one object: its files, its figures and its network."""

import numpy as np
import pytest

from jaxdl import runs
from jaxdl.runs import checkpoint
from jaxdl.training import experiment, loop


def test_a_run_holds_its_files_and_its_best_network(small_cnn, tmp_path):
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
  assert run.variables is run.variables  # read once


def test_loading_a_run_reads_no_checkpoint(small, tmp_path, monkeypatch):
  loop.train(experiment.build({**small, 'train_for': '2 steps'}, 'small'), tmp_path)
  read = []
  original = checkpoint.load_step
  monkeypatch.setattr(
    checkpoint, 'load_step', lambda *arguments: read.append(arguments) or original(*arguments)
  )
  run = runs.load(tmp_path)
  assert run.finished
  assert not read
  assert run.variables['params']
  assert len(read) == 1


def test_a_folder_without_a_run_is_an_error(tmp_path):
  with pytest.raises(FileNotFoundError, match='holds no run: give the folder of a run'):
    runs.load(tmp_path)
