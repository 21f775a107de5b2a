"""Tests of the linked views: predictions of each example, matrix, calibration and images."""

import shutil

import numpy as np
import pytest
from report_helpers import analysed_run

from jaxdl.report import examples, linked, page, sections
from jaxdl.runs import record


@pytest.fixture(scope='module')
def analysed(tmp_path_factory):
  """A run with the analysis of errors and with examples."""
  return analysed_run(tmp_path_factory.mktemp('analysed') / 'run')


@pytest.fixture
def run(analysed, tmp_path):
  """A copy of this run."""
  return shutil.copytree(analysed, tmp_path / 'run')


def test_analysis_records_the_prediction_of_each_example(run):
  with np.load(run / 'analysis/predictions.npz') as found:
    assert found['index'].tolist() == [0, 1, 2, 3, 4]
    assert found['label'].tolist() == [0, 0, 1, 2, 2]
    assert found['predicted'].tolist() == [0, 1, 1, 2, 0]
    np.testing.assert_allclose(found['confidence'], [0.82, 0.7, 0.82, 0.62, 0.9], rtol=1e-6)
    assert found['image_index'].tolist() == [4, 1], 'mistakes, the highest loss first'
    assert found['image'][:, 0, 0, 0].tolist() == [4, 1]


def test_matrix_and_calibration_are_those_of_the_predictions(run):
  found = linked.of_run(record.load(run))
  assert [[cell['count'] for cell in row] for row in found['rows']] == [
    [1, 1, 0],
    [0, 1, 0],
    [1, 0, 1],
  ]
  assert [cell['right'] for cell in found['rows'][1]] == [False, True, False]
  assert found['rows'][0][1]['share'] == 1, 'the most frequent mistake has the full colour'
  assert found['rows'][2][2]['share'] == 0.5
  assert found['caption'].startswith('5 test examples, 60.00 % right')
  data = found['predictions']
  assert (data['label'], data['confidence']) == ([0, 0, 1, 2, 2], [820, 700, 820, 620, 900])
  assert data['bin'] == [12, 10, 12, 9, 13]
  filled = [bar['text'] for bar in found['calibration']['bars'] if 'right' in bar['text']]
  assert filled[-1] == 'confidence 87 to 93 %: 1 examples, 0.0 % right'
  assert (
    sum(int(bar['text'].split(': ')[1].split()[0]) for bar in found['calibration']['bars']) == 5
  )


def test_linked_views_replace_the_pictures(run):
  (section,) = [one for one in sections.of_run(record.load(run)) if one['heading'] == 'Errors']
  assert section['pictures'] == []
  assert section['table'], 'the table of the classes is still there'
  html = page.render(page.one(record.load(run)))
  assert 'id="predictions"' in html
  assert '</script><b>' not in html
  (run / 'analysis/calibration.npz').unlink()
  (section,) = [one for one in sections.of_run(record.load(run)) if one['heading'] == 'Errors']
  assert [picture['name'] for picture in section['pictures']] == ['calibration']
  (run / 'analysis/predictions.npz').unlink()
  (section,) = [one for one in sections.of_run(record.load(run)) if one['heading'] == 'Errors']
  assert section['linked'] is None
  assert [picture['name'] for picture in section['pictures']] == [
    'confusion',
    'mistakes',
    'calibration',
  ]


def test_many_classes_keep_the_picture(run, monkeypatch):
  monkeypatch.setattr(linked, 'CLASSES', 3)
  assert linked.of_run(record.load(run)) is None


def test_images_of_mistakes_join_the_examples(run):
  found = examples.of_run(record.load(run))
  assert found['index'] == [0, 1, 2, 4]
  assert found['label'] == [0, 0, 1, 2]
  assert found['columns'] == 2


def test_images_of_another_form_do_not_join(run):
  with np.load(run / 'examples.npz') as found:
    arrays = {**found, 'image': found['image'][:, :2]}
  np.savez(run / 'examples.npz', **arrays)
  assert examples.of_run(record.load(run))['index'] == [0, 1, 2]


def test_pages_without_pictures_have_no_images(run):
  parts = page.one(record.load(run), pictures=False)
  (section,) = [one for one in parts['sections'] if one['heading'] == 'Errors']
  assert section['linked']['predictions']['label'] == [0, 0, 1, 2, 2]
  assert 'src="data:image' not in page.render(parts)


def test_damaged_predictions_are_named(run):
  (run / 'analysis/predictions.npz').write_bytes(b'PK')
  with pytest.raises(ValueError, match='predictions.npz is not an output of jaxdl.analyze'):
    linked.of_run(record.load(run))
