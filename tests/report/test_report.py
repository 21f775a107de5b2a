"""Tests of the report page: complete, self-contained, and safe for any names in the data."""

import base64
import hashlib
import html.parser
import itertools
import json
import re
import shutil
import subprocess
import urllib.parse

import numpy as np
import PIL.Image
import pytest
from helpers import ROOT

from jaxdl import figures
from jaxdl.analysis.projector import projector
from jaxdl.figures.fitting import apart
from jaxdl.report import __main__ as report
from jaxdl.report import page, sections, svg
from jaxdl.runs import record
from jaxdl.step import metrics
from jaxdl.step.tasks import TASKS
from jaxdl.terminal import command
from jaxdl.views import VIEWS, glossary, view

SCRIPT_NAME = '</script><img src=x onerror=alert(1)>'


@pytest.fixture
def run(tmp_path):
  """Writes a run folder as left by training and analyses; one class name contains a script."""
  folder = tmp_path / 'run'
  (folder / 'analysis').mkdir(parents=True)
  config = {
    'seed': 3,
    'task': 'classify',
    'data': {'name': 'mnist', 'batch_size': 4},
    'reported': {'test_accuracy': 0.9},
    'model': {
      'name': 'cnn',
      'layers': [{'kind': 'flatten'}, {'kind': 'dense', 'features': 2, 'name': 'logits'}],
    },
    'dataset': {
      'classes': ['cat', SCRIPT_NAME],
      'input_shape': [4, 4, 1],
      'steps_per_epoch': 1024,
      'examples': {'train': 4100, 'test': 16},
      'examples_per_class': {'train': [4000, 100], 'test': [8, 8]},
    },
  }
  (folder / 'config.json').write_text(json.dumps(config))
  (folder / 'summary.json').write_text(
    json.dumps(
      {
        'config': 'small',
        'step': 8,
        'steps': 12,
        'test_loss': 0.25,
        'test_accuracy': 0.875,
        'test_examples': 16,
        'parameters': 34,
        'reported': {'source': '002', 'test_accuracy': 0.9, 'train_accuracy': 0.95},
        'seed': 3,
        'seconds': 61.0,
        'device': '1 x cpu',
        'data': 'bundled, test split is not the original',
        'versions': {'jax': '1.2'},
      }
    )
  )
  lines = [
    {'step': step, 'split': split, 'loss': 2 / step, 'accuracy': step / 10}
    for step in (4, 8, 12)
    for split in ('train', 'test')
  ]
  (folder / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)) + '\n{"step": 16, "sp')
  (folder / 'command.txt').write_text("python -m jaxdl.main --config='configs/a b.py'\n")
  for name in ('samples', 'feature_maps_conv2', 'unit_7', 'unknown'):
    PIL.Image.new('RGB', (6, 5), (200, 30, 40)).save(folder / f'analysis/{name}.png')
  points, labels = np.random.default_rng(0).normal(size=(5, 2)), np.array([0, 1, 0, 1, 1])
  np.savez(folder / 'analysis/embedding_tsne.npz', points=points, labels=labels)
  (folder / 'analysis/embedding_tsne.json').write_text(
    json.dumps({'what': 'features', 'trustworthiness': 0.9, 'accuracy': 0.5})
  )
  PIL.Image.new('RGB', (6, 5)).save(folder / 'analysis/embedding_pca.png')
  projector(
    folder / 'tensorboard',
    points,
    labels,
    ('cat', 'dog'),
    np.random.default_rng(0).random((5, 4, 4, 1)),
  )
  (folder / 'analysis/generated.json').write_text(
    json.dumps({'texts': [{'prime': 'R', 'temperature': 0.5, 'text': SCRIPT_NAME}]})
  )
  return folder


class PageReader(html.parser.HTMLParser):
  """Collects the tags and the text of a page."""

  def __init__(self, text):
    super().__init__()
    self.tags, self.text, self.open_tags = [], '', []
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))
    self.open_tags.append(tag)

  def handle_endtag(self, tag):
    while self.open_tags and self.open_tags.pop() != tag:
      pass

  def handle_data(self, data):
    if 'script' not in self.open_tags and 'style' not in self.open_tags:
      self.text += f' {data}'


def test_report_shows_the_contents_of_the_files(run):
  assert page.write([run], run / 'report.html') == (run / 'report.html').stat().st_size
  parsed = PageReader((run / 'report.html').read_text())
  text = ' '.join(parsed.text.split())
  assert 'CNN on mnist: test accuracy 87.50 % (reported: 90.00 %), 34 parameters, seed 3' in text
  # From the last training entry up to the checkpoint.
  assert 'train accuracy 80.00 % 95.00 % –' in text
  assert 'Data: test split is not the original.' in text
  assert "python -m jaxdl.main --config='configs/a b.py'" in text
  assert 'logits Dense 16 2 34 34' in text
  assert 'Feature maps of conv2' in text
  assert '0:01:01 (all sessions' in text
  assert 'test accuracy 87.50 % 95 % interval 63.98 to 96.50 %' in text, 'the card'
  assert (
    'reported 90.00 % difference −2.50 points chance level 50.00 % test examples 16 parameters 34'
    in text
  )
  headings = re.findall(r'<h2 id="([^"]+)">', (run / 'report.html').read_text())
  assert headings[-1] == 'how-to-run-it-again', 'the section with local paths is not last'
  links = [dict(attributes)['href'][1:] for tag, attributes in parsed.tags if tag == 'a']
  assert links == ['main', *headings]
  for heading in ('neurons', 'errors', 'reconstructions'):
    assert heading not in headings
  *pictures, enlarged = [attributes for tag, attributes in parsed.tags if tag == 'img']
  assert len(pictures) == 5
  assert 'src' not in enlarged, 'the picture of the dialog'
  for picture in pictures:
    assert picture['alt']
    assert picture['src'].startswith('data:image/png;base64,')
    assert (picture['width'], picture['height']) == ('4', '4'), 'the page would move when it loads'


def test_report_loads_nothing_external_and_escapes_names(run):
  html = page.render(page.one(record.load(run)))
  parsed = PageReader(html)
  links = [
    str(attributes[key])
    for _, attributes in parsed.tags
    for key in ('src', 'href')
    if key in attributes
  ]
  assert not [link for link in links if not link.startswith(('data:', '#'))]
  # Two charts, the map and the script of the page.
  assert [tag for tag, _ in parsed.tags].count('script') == html.count('<script') == 4
  assert 'by step (an epoch has 1,024 steps)</p>' in html
  assert SCRIPT_NAME not in html
  assert '&lt;/script&gt;&lt;img' in html


def test_report_of_several_runs_overlays_their_curves(run, tmp_path, capsys):
  one, other = tmp_path / 'seed3', tmp_path / 'seed4'
  shutil.copytree(run, one)
  shutil.copytree(run, other)
  config = json.loads((other / 'config.json').read_text())
  (other / 'config.json').write_text(json.dumps({**config, 'seed': 4}))
  summary = json.loads((other / 'summary.json').read_text())
  (other / 'summary.json').write_text(json.dumps({**summary, 'reported': {'test_accuracy': 0.91}}))
  out = tmp_path / 'both.html'
  assert report.main(['report', str(one), str(other), f'--out={out}']) == 0
  assert str(out) in capsys.readouterr().out
  text = ' '.join(PageReader(out.read_text()).text.split())
  assert '2 runs compared' in text
  assert (
    f'run test loss test accuracy reported test accuracy chance level parameters step state folder small, seed 3 0.2500 87.50 % 90.00 % 50.00 % 34 8 finished {one}'
    in text
  )
  assert f'small, seed 4 0.2500 87.50 % 91.00 % 50.00 % 34 8 finished {other}' in text
  assert 'small, seed 4, test ends at' in out.read_text()
  other.rename(tmp_path / 'longer')
  assert report.main(['report', str(one), str(tmp_path / 'longer'), f'--out={out}']) == 0
  assert 'kB, replaces the previous file' in capsys.readouterr().out
  assert 'longer (small), test ends at' in out.read_text(), 'not named as on its own page'
  assert command.run(report.main, ['report', str(tmp_path / 'longr')]) == 1
  assert (
    capsys.readouterr().err
    == f'jaxdl: {tmp_path}/longr does not exist: did you mean {tmp_path}/longer?\n'
  )


@pytest.mark.parametrize(
  ('model', 'name'),
  [
    (dict(name='cnn'), 'CNN'),
    (dict(name='recurrent', cell='gru'), 'GRU'),
    (dict(name='language_model', cell='lstm'), 'LSTM'),
    (dict(name='transformer'), 'Transformer'),
    (dict(name='own/nets.py:Small'), 'Small'),
  ],
)
def test_network_name(model, name):
  assert page.network_name(model) == name


def test_report_of_a_changed_run_marks_reported_figures(run):
  assert 'of another run' not in page.render(page.one(record.load(run)))
  (run / 'command.txt').write_text(
    'python -m jaxdl.main --config=a.py --config.seed=4 --config.model.layers[0].features=8\n'
  )
  shown = page.one(record.load(run))
  assert shown['lead'] == 'CNN on mnist: test accuracy 87.50 %, 34 parameters, seed 3'
  assert any(
    'of another config: this run changes model.layers[0].features.' in remark
    for remark in shown['figures']['remarks']
  )


def test_report_compares_all_runs_of_a_folder(run, tmp_path, capsys):
  for name in ('a', 'deep/a'):
    shutil.copytree(run, tmp_path / 'runs' / name)
  assert report.main(['report', str(tmp_path / 'runs'), f'--out={tmp_path / "all.html"}']) == 0
  text = (tmp_path / 'all.html').read_text()
  assert '2 runs compared' in text
  assert f'in {tmp_path / "runs"}<' in text
  assert re.findall(r'<th scope="row">(.*?)</th>', text) == ['a', 'deep/a'], (
    'runs are not named by the parts of their paths that differ'
  )
  assert '<th scope="col">folder</th>' not in text, 'the folder column repeats the names'
  assert text.count('deep/a</button></li>') == text.count('<figure class="chart"'), (
    'a run is not listed once per legend'
  )
  assert text.count('python -m jaxdl.main --config=') == 1, 'a shared command is not shown once'
  assert command.run(report.main, ['report', str(run), f'--out={tmp_path}']) == 1
  assert (
    capsys.readouterr().err
    == f'jaxdl: --out={tmp_path} is a folder: name a file in it, such as {tmp_path}/compare.html\n'
  )
  assert command.run(report.main, ['report', str(run), f'--out={tmp_path}/none/x.html']) == 1
  assert capsys.readouterr().err == (
    f'jaxdl: --out={tmp_path}/none/x.html: the folder {tmp_path}/none does not exist: create it, or name another\n'
  )


def test_report_names_a_folder_without_a_run(tmp_path, capsys):
  assert command.run(report.main, ['report', str(tmp_path)]) == 1
  assert capsys.readouterr().err == f'jaxdl: {tmp_path} contains no run: give the folder of a run\n'


def test_loss_axes_have_the_unit_of_the_task():
  assert set(record.SQUARES) < set(TASKS)
  tasks = {'classify': 'nats', 'next_char': 'nats', 'reconstruct': 'mean squared error'}
  assert {task: record.loss_unit({'task': task}) for task in tasks} == tasks
  assert record.loss_unit({'task': {'name': 'classify_by_squared_error'}}) == 'squared error'
  lines = {('loss', 'train'): [(1, 2.0)], ('accuracy', 'train'): [(1, 0.5)]}
  assert [chart['unit'] for chart in svg.charts({'run': lines}, loss_unit='squared error')] == [
    'squared error',
    '%',
  ]
  curves = {'a': {('train', 'loss'): (np.arange(2), np.ones(2), np.zeros(2))}}
  axes = {'loss': (metrics.METRICS['loss'].label('nats, squared error'), 1)}
  (axis,) = figures.learning_curves(curves, {'a': ('a',)}, axes=axes, heading='').axes
  assert axis.get_ylabel() == 'loss (nats, squared error)'


def test_curves_have_the_correct_scale():
  """The largest loss is at the top, the smallest at the bottom, the last step at the right."""
  lines = {
    'run': {
      ('loss', 'train'): [(0, 1.0), (50, 3.0), (100, 2.0)],
      ('loss', 'test'): [(100, float('nan'))],
    }
  }
  (chart,) = svg.charts(lines)
  left, middle, right = chart['data']['train']
  assert list(chart['data']) == ['train']
  assert (left[0], left[1]) == (chart['left'], chart['bottom'])
  assert middle[1] == chart['top']
  assert middle[0] == (chart['left'] + chart['right']) / 2
  assert right[:2] == [chart['right'], (chart['top'] + chart['bottom']) / 2]
  assert [text for _, text in chart['x']] == ['0', '20', '40', '60', '80', '100']
  assert [text for _, text in chart['y']] == ['1.0', '1.5', '2.0', '2.5', '3.0']
  (constant,) = svg.charts({'run': {('loss', 'train'): [(1, 1e-3), (9, 1e-3)]}})
  assert '1.0' in [text for _, text in constant['y']]
  assert constant['power'] == '× 10⁻³'
  assert not svg.charts({'run': {('learning_rate', 'train'): [(1, 1e-3), (9, 1e-3)]}}), (
    'a constant learning rate is drawn'
  )
  assert svg.charts({'run': {('learning_rate', 'train'): [(1, 1e-3), (9, 1e-4)]}})
  assert {point[1] for point in constant['data']['train']} == {
    (constant['top'] + constant['bottom']) / 2
  }
  squared = {('loss', 'train'): [(1, 2.0)], ('mse', 'train'): [(1, 2.0)]}
  assert [chart['metric'] for chart in svg.charts({'run': squared})] == ['loss'], (
    'mse is drawn although it equals the loss'
  )
  both = svg.charts({'run': {**squared, ('mse', 'train'): [(1, 1.9)]}})
  assert [chart['metric'] for chart in both] == ['loss', 'MSE'], 'mse differs'
  # A single evaluation is drawn as a mark.
  (single,) = svg.charts({'run': {('loss', 'train'): [(4, 1.5)]}})
  assert single['lines'][0]['mark'] == svg.MARKS[0]
  assert single['lines'][0]['at'] == single['lines'][0]['points']
  assert chart['lines'][0]['mark'] == ''
  assert (chart['beyond'], single['beyond']) == ('', '')
  (falling,) = svg.charts(
    {'run': {('loss', 'train'): [(0, 9.25), *((step, 1 / step) for step in range(1, 200))]}}
  )
  assert falling['beyond'] == 'values up to 9.25 lie above this axis'
  warm_up = [(step, min(step, 3) / 1000) for step in range(200)] + [(200, 0.02)]
  (rate,) = svg.charts({'run': {('learning_rate', 'train'): warm_up}})
  assert rate['beyond'] == '', 'the peak of the learning rate is cut off'
  (rising,) = svg.charts(
    {
      'run': {
        ('accuracy', 'train'): [(0, 0.1), *((step, 0.5 + step / 1000) for step in range(1, 200))]
      }
    }
  )
  assert rising['beyond'] == 'values down to 10 lie below this axis'
  many = [(step, step % 7) for step in range(5000)]
  assert len(svg.charts({'run': {('loss', 'train'): many}})[0]['data']['train']) <= svg.POINTS + 1


def test_charts_of_several_runs_name_each_run_once():
  found = {
    ('accuracy', 'validation'): [(1, 0.5)],
    ('loss', 'train'): [(1, 2.0)],
    ('loss', 'test'): [(1, 2.0)],
  }
  accuracy, loss = svg.charts({f'run {number}': found for number in range(9)})
  assert list(loss['legend']) == [f'run {number}' for number in range(9)]
  assert (accuracy['order'], loss['order']) == ('', 'train, test')
  shown = [
    tuple((line['colour'], line['dashes']) for line in lines) for lines in loss['legend'].values()
  ]
  assert len(set(shown)) == 9, 'two runs have the same style'
  assert [line for lines in loss['legend'].values() for line in lines] == loss['lines']
  (single,) = svg.charts({'run': {('loss', 'train'): [(1, 2.0)], ('loss', 'test'): [(1, 2.0)]}})
  assert (list(single['legend']), single['order']) == (['train', 'test'], '')


def test_map_colours_match_figures_and_run_colours_are_distinct():
  style = (page.FOLDER / 'page.css').read_text()
  light = style.partition('@media (prefers-color-scheme: dark) { .p0')[0]
  map_colours = dict(re.findall(r'\.p(\d+) { fill: (#\w+);', light))
  assert [map_colours[str(number)].upper() for number in range(len(map_colours))] == list(
    figures.charts.CLASSES
  )
  assert set(re.findall(r'% (\d+) }}', (page.FOLDER / 'page.html').read_text())) == {
    str(len(map_colours))
  }
  for palette in [
    list(figures.charts.CLASSES),
    *(re.findall(r'--c\d: #(\w+)', part) for part in style.split('@media')[:2]),
  ]:
    colours = [rgb_of_hex(colour) for colour in palette]
    distances = [np.abs(a - b).sum() for a, b in itertools.combinations(colours, 2)]
    assert min(distances) > 0.3, palette


def rgb_of_hex(colour):
  digits = colour.lstrip('#')
  if len(digits) == 3:
    digits = ''.join(digit * 2 for digit in digits)
  return np.array([int(digits[start : start + 2], 16) for start in (0, 2, 4)]) / 255


def test_sections_contain_the_existing_pictures(run):
  found = {
    section['heading']: [picture['name'] for picture in section['pictures']]
    for section in sections.of_run(record.load(run))
  }
  assert found == {
    'Data': ['samples'],
    'Feature maps': ['feature_maps_conv2'],
    'Characters': ['unit_7'],
    'Features in the plane': ['embedding_pca'],
    'Generated text': [],
    'Other analyses': ['unknown'],
  }


def test_sections_name_the_commands_that_draw_them(run):
  for name, analysis, flags in (
    ('feature_maps_conv2', 'activations', '--images=9'),
    ('unit_7', 'characters', ''),
    ('generated', 'generated', '--seed=3'),
  ):
    file = run / f'analysis/{name}.json'
    facts = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**facts, 'analysis': analysis, 'flags': flags}))
  drawn_by = {
    section['heading']: section['drawn_by'] for section in page.one(record.load(run))['sections']
  }
  assert drawn_by == {
    'Data': [],
    'Feature maps': ['--only=activations --images=9'],
    'Characters': ['--only=characters'],
    'Features in the plane': [],
    'Other analyses': [],
    'Generated text': ['--only=generated --seed=3'],
  }
  assert f'<code>python -m jaxdl.analyze {run} --only=activations --images=9</code>' in page.render(
    page.one(record.load(run))
  )


def test_report_states_the_origin_of_its_figures(run):
  found = page.one(record.load(run))
  assert found['title'] == 'run (small)'
  assert found['figures']['remarks'][:1] == [
    'The figures are from step 8, the checkpoint with the lowest validation loss.'
  ]
  config = json.loads((run / 'config.json').read_text())
  (run / 'config.json').write_text(
    json.dumps({**config, 'reported': {'source': '002', 'test_accuracy': 0.9}})
  )
  other = run.rename(run.parent / 'seed3')
  found = page.one(record.load(other))
  assert found['title'] == 'small'
  assert (
    found['figures']['remarks'][1] == 'Reported: the figures of report 002, as given in the config.'
  )


def test_curves_beyond_the_axis_are_cut_off():
  """They are not clamped to the edge of the axis."""
  values = [50.0] * 3 + [1 / step for step in range(1, 197)]
  (chart,) = svg.charts(
    {'run': {('loss', 'train'): [(step, value) for step, value in enumerate(values)]}}, None
  )
  heights = [float(point.partition(',')[2]) for point in chart['lines'][0]['points'].split()]
  assert heights[0] < chart['top'] - 1000
  assert max(heights) <= chart['bottom']
  assert 'values up to 50 lie above this axis' in chart['beyond']


def test_report_marks_pictures_of_another_step(run):
  (run / 'analysis/feature_maps_conv2.json').write_text(json.dumps({'step': 4}))
  (run / 'analysis/unit_7.json').write_text(json.dumps({'step': 8}))
  notes = {
    section['heading']: section['note'] for section in page.one(record.load(run))['sections']
  }
  assert (
    notes.pop('Feature maps')
    == 'From the network at step 4; the figures above are of step 8: run jaxdl.analyze again.'
  )
  assert set(notes.values()) == {''}


def test_report_runs_without_errors_in_a_browser(run, tmp_path):
  """In Chromium, the console stays empty and the script adds the images of the map."""
  chromium = shutil.which('chromium')
  if chromium is None:
    pytest.skip('chromium is not installed: apt install chromium')
  page.write([run], run / 'report.html')
  shown = subprocess.run(
    [
      chromium,
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      f'--user-data-dir={tmp_path / "profile"}',
      '--enable-logging=stderr',
      '--virtual-time-budget=2000',
      '--dump-dom',
      f'file://{run}/report.html',
    ],
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert 'CONSOLE' not in shown.stderr, shown.stderr
  assert re.search(
    r'class="thumbnail"[^>]*style="background-image: url\(&quot;data:image/jpeg', shown.stdout
  ), shown.stdout[-2000:]


@pytest.mark.parametrize(
  ('values', 'texts', 'power'),
  [
    ([0, 1, 2], ['0', '1', '2'], ''),
    ([0.9, 0.95, 1], ['0.90', '0.95', '1.00'], ''),
    ([5e-4, 1e-3, 1.5e-3, 2.5e-3], ['0.5', '1.0', '1.5', '2.5'], '× 10⁻³'),
    ([-2e5, 0, 4e5], ['-2', '0', '4'], '× 10⁵'),
  ],
)
def test_ticks_of_an_axis_have_one_form(values, texts, power):
  assert svg._texts(values) == (texts, power)


def test_content_security_policy_allows_the_script_of_the_page_alone(run):
  html = page.render(page.one(record.load(run)))
  policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1].replace('&#39;', "'")
  scripts = re.findall(r'<script>(.*?)</script>', html, re.DOTALL)
  digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
  assert len(scripts) == 1
  assert f"script-src 'sha256-{digest}';" in policy
  assert policy.startswith("default-src 'none';")
  names = [name for _, attributes in PageReader(html).tags for name in attributes]
  assert not [name for name in names if name.startswith('on')], 'an inline event handler'


def test_documentation_has_the_glossary_of_the_page():
  assert (ROOT / 'docs/glossary.md').read_text() == glossary.markdown(), (
    'run `python -m jaxdl.views.glossary > docs/glossary.md`'
  )
  displays = [display for view in VIEWS.values() for display in view.displays.values()]
  assert {display.entry for display in displays} <= glossary.ENTRIES.keys()


def test_pictures_follow_the_mode_of_the_page(run):
  figure = figures.lines(
    {'a': ([0, 1], [1, 2])}, xlabel='0.12345', ylabel='y', heading='zebra\nyak'
  )
  result = view.Result('sanity', figure, {}, {'saliency': {'flagged': True}})
  written = view.write(result, run / 'analysis', step=8, analysis='sanity', flags='')
  assert written == ['sanity.png', 'sanity.svg', 'sanity.json']
  svg_text = (run / 'analysis/sanity.svg').read_text()
  assert 'stroke: var(--k0072b2)' in svg_text
  assert '#000000' not in svg_text.partition('</style>')[2]
  assert 'zebra' not in svg_text, 'the heading is in the picture too'
  assert '>0.12345</text>' in svg_text, 'a label was cut like a coordinate'
  picture = next(
    picture
    for section in sections.of_run(record.load(run))
    for picture in section['pictures']
    if picture['name'] == 'sanity'
  )
  assert picture['details'] == ['zebra', 'yak']
  assert (picture['width'], picture['height']) == (518, 346)
  assert picture['data'].startswith('data:image/svg+xml,%3Csvg')
  (run / 'analysis/sanity.svg').write_text('<svg>')
  with pytest.raises(ValueError, match=r'sanity.svg is not an output of jaxdl.analyze .* rerun'):
    sections.of_run(record.load(run))


@pytest.mark.parametrize(
  ('drawn_by', 'checked_by'), [('attributions', 'sanity'), ('relevance', 'sanity_relevance')]
)
def test_attributions_mark_what_the_sanity_check_flags(run, drawn_by, checked_by):
  maps = [np.ones((4, 4, 1)), np.ones((4, 4)), np.zeros((4, 4))]
  columns = ['image', 'guided\nback-propagation', 'saliency']
  figure = figures.picture_rows([maps], columns, empty='nothing\npositive')
  for name, drawn, facts in (
    (drawn_by, figure, {}),
    (
      checked_by,
      None,
      {'guided back-propagation': {'flagged': True}, 'saliency': {'flagged': False}},
    ),
  ):
    view.write(
      view.Result(name, drawn, {}, facts), run / 'analysis', step=8, analysis=name, flags=''
    )
  (picture,) = (
    picture
    for section in sections.of_run(record.load(run))
    for picture in section['pictures']
    if picture['name'] == drawn_by
  )
  shown = urllib.parse.unquote(picture['data'])
  assert {'nothing', 'positive'} <= set(re.findall(r'<text[^>]*>([^<]+)</text>', shown))
  assert '⚑ guided</text>' in shown
  assert '⚑ saliency' not in shown
  assert picture['reading'].endswith(
    '⚑ guided back-propagation: rank correlation above 0.5 with maps without the learned weights'
  )


def test_labels_of_a_plane_do_not_overlap():
  places = apart(np.zeros((4, 2)), np.full((4, 2), 2.0))
  assert np.diff(np.sort(places[:, 1])).min() > 1.99
  far = np.array([[0.0, 0], [5, 0]])
  np.testing.assert_array_equal(apart(far, np.ones((2, 2))), far)


def test_comparison_marks_the_best_run_and_can_be_sorted(run, tmp_path):
  other = tmp_path / 'other'
  shutil.copytree(run, other)
  summary = json.loads((other / 'summary.json').read_text())
  (other / 'summary.json').write_text(json.dumps({**summary, 'test_accuracy': 0.9}))
  compared = page.several([record.load(run), record.load(other)])
  html = page.render(compared)
  assert re.findall(r'<mark>([^<]+)</mark>', html) == ['90.00 %']
  assert '<table class="sortable">' in html
  place = compared['figures']['columns'].index('chance level')
  assert [row[place] for row in compared['figures']['rows']] == ['50.00 %', '50.00 %']
  assert metrics.CHANCE in compared['figures']['remarks']


def test_report_states_the_number_of_examples_per_split(run):
  """Also for runs without a summary. Lists that are missing or do not match are left out."""
  expected = [
    ['train data', f'4,100 examples, cat 4,000, {SCRIPT_NAME[:23]}… 100'],
    ['test data', '16 examples, 8 of each of 2 classes'],
  ]
  assert page.one(record.load(run))['environment'][3:5] == expected
  (run / 'summary.json').unlink()
  assert page.one(record.load(run))['environment'] == expected
  config = json.loads((run / 'config.json').read_text())
  config['dataset']['examples_per_class'] = {'train': [1, 2, 3]}
  (run / 'config.json').write_text(json.dumps(config))
  assert page.one(record.load(run))['environment'] == [
    ['train data', '4,100 examples'],
    ['test data', '16 examples'],
  ]
  for key, value in (('examples', {'train': 'x'}), ('examples_per_class', {'train': 3})):
    (run / 'config.json').write_text(
      json.dumps({**config, 'dataset': {**config['dataset'], key: value}})
    )
    with pytest.raises(ValueError, match=rf'has an invalid dataset.{key}: '):
      record.load(run)
  del config['dataset']['examples']
  (run / 'config.json').write_text(json.dumps(config))
  assert page.one(record.load(run))['environment'] == []


def test_report_has_no_reported_column_without_reported_values(run):
  def columns():
    page.write([run], run / 'report.html')
    return [
      name
      for name in ('ours', 'reported', 'examples')
      if f'>{name}</th>' in (run / 'report.html').read_text()
    ]

  assert columns() == ['ours', 'reported', 'examples']
  for name in ('config', 'summary'):
    file = run / f'{name}.json'
    file.write_text(json.dumps({**json.loads(file.read_text()), 'reported': {}}))
  assert columns() == ['ours', 'examples']
