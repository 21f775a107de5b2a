"""The gallery: its packed runs match the page and contain no data with unknown licences."""

import json
import pathlib
import re
import shutil
import zipfile
from html import unescape

import jax
import numpy as np
import pytest
from helpers import ROOT

from jaxdl.config import reading
from jaxdl.data import licences
from jaxdl.runs import identity, integrity, load
from jaxdl.step.intervals import Z, wilson
from jaxdl.views import subject
from launch.reproduction import gallery

GALLERY = ROOT / 'docs/gallery'
FILES = sorted((GALLERY / 'runs').glob('*.zip'))
MNIST = [file for file in FILES if file.stem.endswith('_mnist')]
LIVING = sorted(GALLERY.glob('*.html'))
FEW = 1000


@pytest.fixture
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def stem(file):
  return file.stem


def test_gallery_contains_the_listed_runs():
  assert {'lstm_mnist', 'gru_mnist', 'rnn_mnist'} <= {file.stem for file in FILES}
  assert {file.stem for file in FILES} <= set(gallery.NAMES)


def test_gallery_page_matches_the_runs(cache):
  page = (GALLERY / 'index.md').read_text()
  table = page.partition(f'{gallery.BEGIN}\n')[2].partition(f'\n{gallery.END}')[0]
  assert table == gallery.table(GALLERY / 'runs')
  assert len(table.splitlines()) == 2 + len(FILES)


@pytest.mark.parametrize('file', FILES, ids=stem)
def test_gallery_run_is_finished_and_matches_its_config(file, cache):
  run = load(file)
  assert run.finished
  config = reading.to_dict(reading.read_file(ROOT / f'configs/{file.stem}.py'))
  assert identity.keys_of_another_run(run.config, config) in ([], ['data.source'])
  assert run.step == run.steps


@pytest.mark.parametrize('file', FILES, ids=stem)
def test_gallery_run_agrees_with_the_results_in_readme(file, cache):
  """The interval of the run and the interval over seeds in README overlap."""
  readme = (ROOT / 'README.md').read_text()
  head, row = (
    re.search(rf'^\| {first} \|.*$', readme, re.MULTILINE)[0].split(' | ')
    for first in ('config', f'`{file.stem}`')
  )
  cells = dict(zip(head, row, strict=True))
  mean, deviation = re.match(r'([\d.]+)(?: ± ([\d.]+))? %', cells['ours']).groups()
  summary = load(file).summary
  low, high = wilson(summary['test_accuracy'], summary['test_examples'])
  reach = Z * float(deviation or 0)
  assert 100 * low <= float(mean) + reach
  assert float(mean) - reach <= 100 * high
  assert f'{summary["parameters"]:,}' == cells['parameters']


@pytest.mark.parametrize('file', FILES, ids=stem)
def test_gallery_run_is_small_and_contains_no_private_or_licensed_data(file):
  assert file.stat().st_size < gallery.LARGEST
  with zipfile.ZipFile(file) as archive:
    name = json.loads(archive.read('config.json'))['data']['name']
    arrays = ['examples.npz'] if licences.of(name).allows_copies else []
    assert [inside for inside in archive.namelist() if inside.endswith('.npz')] == arrays
    for inside in archive.namelist():
      assert not inside.endswith(('.png', '.jpg'))
      content = archive.read(inside)
      for private in (b'/tmp/', b'/home/', b'/root/', b'/work/'):
        assert private not in content, inside
    html, card = (archive.read(page).decode() for page in ('report.html', 'card.md'))
  assert ('data:image/' in html) == licences.of(name).allows_copies
  assert f'| licence of the data | {licences.of(name).name} |' in card
  assert 'on 10,000 test examples.' in card, 'the recall of each class was not measured'


@pytest.mark.parametrize('file', LIVING, ids=stem)
def test_living_report_is_small_listed_and_has_nothing_private(file):
  html = file.read_text()
  assert file.stat().st_size < 5_000_000
  assert 'id="network">{' in html
  for private in ('/tmp/', '/home/', '/root/', '/work/'):
    assert private not in html
  name = re.search(r'"data":\s*\{[^}]*?"name":\s*"(\w+)"', unescape(html))[1]
  assert licences.of(name).allows_copies
  for page in (GALLERY / 'index.md', ROOT / 'docs/index.md'):
    assert f'{file.name})' in page.read_text()


def accuracy(file, count=None):
  seen = subject.read(file, count=count)
  outputs = jax.jit(seen.model.apply)(seen.variables, seen.inputs)
  return float((np.asarray(outputs).argmax(-1) == seen.labels).mean())


@pytest.mark.parametrize('file', MNIST, ids=stem)
def test_gallery_run_has_its_accuracy_on_some_images(file, cache):
  low, high = wilson(accuracy(file, FEW), FEW)
  assert low <= load(file).summary['test_accuracy'] <= high


@pytest.mark.slow
@pytest.mark.parametrize('file', MNIST, ids=stem)
def test_gallery_run_has_its_accuracy(file, cache):
  """One image may differ, because versions of XLA round logits differently."""
  summary = load(file).summary
  assert accuracy(file) == pytest.approx(summary['test_accuracy'], abs=1e-4)


@pytest.fixture
def copy(tmp_path):
  """The folder of an empty gallery."""
  (tmp_path / 'index.md').write_text(f'# Gallery\n{gallery.BEGIN}\n{gallery.END}\nEnd\n')
  return tmp_path


def unpacked(file, folder):
  with zipfile.ZipFile(file) as archive:
    for name in archive.namelist():
      place = pathlib.Path(folder, name)
      place.parent.mkdir(parents=True, exist_ok=True)
      place.write_bytes(archive.read(name))
  return folder


def test_gallery_packs_runs_and_writes_the_table(copy, cache, capsys):
  run = unpacked(GALLERY / 'runs/rnn_mnist.zip', copy / 'trained/rnn_mnist/seed0')
  (run / 'analysis').mkdir()
  counts = np.diag(np.full(10, 1000))
  np.savez(run / 'analysis/confusion.npz', counts=counts)
  step = load(run).summary['step']
  facts = {'step': step, 'classes': list('0123456789'), 'split': 'test'}
  (run / 'analysis/confusion.json').write_text(json.dumps(facts))
  arguments = ['gallery', f'--runs={copy / "trained"}', f'--out={copy}']
  assert gallery.main([*arguments, '--only=rnn_mnist,gru_mnist']) == 1
  out, err = capsys.readouterr()
  assert err == f'gru_mnist left out: {copy / "trained/gru_mnist"} contains no run\n'
  made = copy / 'runs/rnn_mnist.zip'
  assert f'{made}: ' in out
  page = (copy / 'index.md').read_text()
  assert page.startswith('# Gallery\n<!-- gallery -->\n| run |')
  assert page.endswith('|\n<!-- /gallery -->\nEnd\n')
  assert '| [`rnn_mnist`](runs/rnn_mnist.zip) | mnist | 21,386 |' in page
  first = integrity.of_file(made)
  assert gallery.main([*arguments, '--only=rnn_mnist']) == 0
  assert integrity.of_file(made) == first


def test_gallery_rejects_unfinished_and_changed_runs(copy, cache):
  run = unpacked(GALLERY / 'runs/rnn_mnist.zip', copy / 'rnn_mnist')
  assert gallery.lacking(run, 'rnn_mnist') == ''
  config = json.loads((run / 'config.json').read_text())
  changed = {**config, 'model': {**config['model'], 'features': 64}}
  (run / 'config.json').write_text(json.dumps(changed))
  assert gallery.lacking(run, 'rnn_mnist') == f'{run} is of another config (model.features)'
  (run / 'summary.json').unlink()
  assert re.search('is at step 5,500 of 5,500$', gallery.lacking(run, 'rnn_mnist'))
  shutil.rmtree(run)
  assert gallery.lacking(run, 'rnn_mnist') == f'{run} contains no run'
