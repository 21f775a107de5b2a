"""Tests of the registry of analyses: one file in `jaxdl/views` adds an analysis."""

import shutil
import textwrap

import pytest
from helpers import ROOT, last_json, run_child

from jaxdl import views
from jaxdl.training import experiment, loop
from jaxdl.views import view

NEW_VIEW = '''
"""How large the biases are."""
import numpy as np
from jaxdl import figures
from jaxdl.views.view import Display, Result, View

def spread(subject, choice):
  """The greatest bias of the last layer."""
  bias = np.abs(subject.variables['params']['logits']['bias'])
  figure = figures.lines({'bias': (np.arange(len(bias)), bias)}, xlabel='unit', ylabel='bias', heading='Biases')
  yield Result('spread_of_logits', figure, {'bias': bias}, {'greatest': float(bias.max())})

VIEWS = {'spread': View(
  'how large the biases are', ('recurrent',), spread, section='Biases', examples=False,
  displays={'spread_of_*': Display('The biases of {0}', 'High is large', note=lambda facts: f'At most {facts["greatest"]:.4f}.')},
)}
'''


@pytest.fixture
def package(tmp_path):
  """Returns a folder with a copy of the package and one additional file in jaxdl/views."""
  folder = tmp_path / 'package'
  (folder / 'jaxdl').mkdir(parents=True)
  for path in (ROOT / 'jaxdl').iterdir():
    if path.name != 'views':
      (folder / 'jaxdl' / path.name).symlink_to(path)
  shutil.copytree(ROOT / 'jaxdl/views', folder / 'jaxdl/views')
  (folder / 'jaxdl/views/a_new_one.py').write_text(textwrap.dedent(NEW_VIEW))
  return folder


@pytest.mark.slow
def test_one_file_adds_an_analysis(small, package, tmp_path):
  workdir = tmp_path / 'run'
  loop.train(experiment.build({**small, 'train_for': '1 steps'}, 'small'), workdir)
  usage = run_child('-m', 'jaxdl.analyze', '--help', folder=package)
  assert 'generated, spread\n' in usage.stdout, 'the new section is not the last one'
  done = run_child('-m', 'jaxdl.analyze', workdir, '--only=spread', folder=package)
  assert done.returncode == 0, done.stderr
  assert 'spread: how large the biases are, ' in done.stdout
  analyses = last_json(done.stdout)['analyses']
  assert analyses == {
    'spread': [f'spread_of_logits.{kind}' for kind in ('png', 'svg', 'npz', 'json')]
  }
  html = (workdir / 'report.html').read_text()
  assert '<h2 id="biases">Biases</h2>' in html
  assert '<h3>The biases of logits</h3>' in html
  assert '<p class="remark">At most ' in html
  assert f'analyze {workdir} --only=spread<' in html
  plain = run_child('-m', 'jaxdl.report', workdir)
  assert plain.returncode == 0, plain.stderr
  html = (workdir / 'report.html').read_text()
  assert '<h3>spread of logits</h3>' in html, 'without the file, the caption is not the name'
  assert '<h2 id="other-analyses">' in html


@pytest.mark.slow
def test_duplicate_analysis_name_raises(package):
  duplicate = package / 'jaxdl/views/another.py'
  duplicate.write_text((package / 'jaxdl/views/a_new_one.py').read_text())
  done = run_child('-c', 'import jaxdl.views', folder=package)
  assert "ValueError: two modules of jaxdl.views have an analysis 'spread': rename one" in (
    done.stderr
  )


def test_analyses_have_the_order_of_the_report():
  sections = [found.section for found in views.VIEWS.values()]
  assert list(dict.fromkeys(sections)) == list(view.SECTIONS), 'a section has no analysis'
  assert sections == sorted(sections, key=view.SECTIONS.index)


@pytest.mark.parametrize('name', views.VIEWS)
def test_every_analysis_defines_how_the_report_displays_it(name):
  found = views.VIEWS[name]
  assert found.displays
  for display in found.displays.values():
    assert display.caption or display.table or display.texts or display.note
    assert not display.reading.endswith('.'), 'captions end without a full stop'
