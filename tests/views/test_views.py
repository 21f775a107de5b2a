"""Analyses describe themselves: what a file of `jaxdl/views` brings is all that it takes."""

import shutil
import textwrap

import pytest
from helpers import ROOT, last_json, run_child

from jaxdl import views
from jaxdl.training import experiment, loop
from jaxdl.views import view

SPREAD = '''
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
  """A folder with the package in which one file is added to jaxdl/views."""
  folder = tmp_path / 'package'
  (folder / 'jaxdl').mkdir(parents=True)
  for path in (ROOT / 'jaxdl').iterdir():
    if path.name != 'views':
      (folder / 'jaxdl' / path.name).symlink_to(path)
  shutil.copytree(ROOT / 'jaxdl/views', folder / 'jaxdl/views')
  (folder / 'jaxdl/views/a_new_one.py').write_text(textwrap.dedent(SPREAD))
  return folder


def test_an_analysis_is_added_by_one_file(small, package, tmp_path):
  workdir = tmp_path / 'run'
  loop.train(experiment.build({**small, 'train_for': '1 steps'}, 'small'), workdir)
  told = run_child('-m', 'jaxdl.analyze', '--help', folder=package)
  assert 'generated, spread\n' in told.stdout, 'its section comes after those that were there'
  done = run_child('-m', 'jaxdl.analyze', workdir, '--only=spread', folder=package)
  assert done.returncode == 0, done.stderr
  assert 'spread: how large the biases are, ' in done.stdout
  made = last_json(done.stdout)['analyses']
  assert made == {'spread': [f'spread_of_logits.{kind}' for kind in ('png', 'npz', 'json')]}
  html = (workdir / 'report.html').read_text()
  assert '<h2 id="biases">Biases</h2>' in html
  assert '<figcaption>The biases of logits. High is large</figcaption>' in html
  assert '<p class="remark">At most ' in html
  assert f'analyze {workdir} --only=spread<' in html
  plain = run_child('-m', 'jaxdl.report', workdir)
  assert plain.returncode == 0, plain.stderr
  html = (workdir / 'report.html').read_text()
  assert '<figcaption>spread of logits</figcaption>' in html, 'without the file its name says it'
  assert '<h2 id="other-analyses">' in html


def test_two_files_with_an_analysis_of_one_name_are_refused(package):
  twin = package / 'jaxdl/views/another.py'
  twin.write_text((package / 'jaxdl/views/a_new_one.py').read_text())
  done = run_child('-c', 'import jaxdl.views', folder=package)
  assert "ValueError: two modules of jaxdl.views have an analysis 'spread': rename one" in (
    done.stderr
  )


def test_analyses_stand_in_the_order_of_the_page():
  sections = [found.section for found in views.VIEWS.values()]
  assert list(dict.fromkeys(sections)) == list(view.SECTIONS), 'no section without an analysis'
  assert sections == sorted(sections, key=view.SECTIONS.index)


@pytest.mark.parametrize('name', views.VIEWS)
def test_every_analysis_says_how_the_report_displays_it(name):
  found = views.VIEWS[name]
  assert found.displays
  for display in found.displays.values():
    assert display.caption or display.table or display.texts
    assert not display.reading.endswith('.'), 'the page has none after a caption'
