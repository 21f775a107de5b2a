"""Tests of the report in Chromium: accessibility by axe-core, console, keyboard and layout."""

import json
import shutil

import browser
import numpy as np
import pytest
from report_helpers import finished_run

from jaxdl import figures
from jaxdl.report import page
from jaxdl.views import view

DENSE = {
  'name': 'cnn',
  'layers': [{'kind': 'flatten'}, {'kind': 'dense', 'features': 2, 'name': 'logits'}],
}
TEXT = {'name': 'language_model', 'cell': 'rnn', 'features': 4, 'classes': 2, 'layers': 1}
KINDS = {  # kind → (task, model, shape of an input, classes, metric)
  'classifier': ('classify', DENSE, [4, 4, 1], ['cat', 'dog'], 'accuracy'),
  'language_model': ('next_char', TEXT, [4], ['a', 'b'], 'bits_per_character'),
  'autoencoder': ('reconstruct', DENSE, [4, 4, 1], ['0', '1'], 'mse'),
}


def write_run(folder, kind):
  """Writes a run of a kind, with pictures of every form that the page shows."""
  task, model, shape, classes, metric = KINDS[kind]
  config = {
    'seed': 3,
    'task': task,
    'data': {'name': 'mnist', 'batch_size': 4},
    'model': model,
    'dataset': {'classes': classes, 'input_shape': shape, 'steps_per_epoch': 64},
  }
  finished_run(folder, config, **{'config': kind, f'test_{metric}': 0.875})
  lines = [
    {
      'step': step,
      'split': split,
      'loss': 2 / step,
      metric: step / 20,
      'learning_rate': 1e-3 / step,
    }
    for step in range(1, 13)
    for split in ('train', 'test')
  ]
  (folder / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  random = np.random.default_rng(0)
  maps = [random.random((4, 4, 1)), *random.normal(size=(9, 4, 4))]
  titles = ['image', *(f'map {number}' for number in range(9))]
  counts = random.integers(0, 9, (2, 2))
  drawn = {
    'attributions': figures.picture_rows([maps], titles, heading='Nine', signed=(1, 2)),
    'confusion': figures.confusion_matrix(counts, classes, heading='16 examples'),
    'surprise': figures.coloured_text('ab\nb', [0, 1, 2, 3], heading='2 bits', label='bits'),
    'embedding_pca': figures.scatter(
      random.normal(size=(9, 2)), random.integers(0, 2, 9), classes, heading='Components'
    ),
    'feature_maps_conv2': figures.picture_rows([maps], titles, heading='conv2'),
  }
  facts = {
    'confusion': {'classes': classes, 'split': 'test'},
    'feature_maps_conv2': {'layer': 'conv2', 'shape': [2, 2, 9]},
  }
  arrays = {'confusion': {'counts': counts}}
  for name, figure in drawn.items():
    result = view.Result(name, figure, arrays.get(name, {}), facts.get(name, {}))
    view.write(result, folder / 'analysis', step=8, analysis=name, flags='')
  text = {'texts': [{'prime': 'R', 'temperature': 0.5, 'text': 'abab'}], 'step': 8}
  (folder / 'analysis/generated.json').write_text(json.dumps(text))


@pytest.fixture(scope='module')
def pages(tmp_path_factory):
  """Kind → path of a page; 'comparison' and 'autoencoders' are those of two runs."""
  folder = tmp_path_factory.mktemp('pages')
  found = {}
  for kind in KINDS:
    write_run(folder / kind, kind)
    found[kind] = folder / kind / 'report.html'
    page.write([folder / kind], found[kind])
  for kind, metric, name in (
    ('classifier', 'accuracy', 'comparison'),
    ('autoencoder', 'mse', 'autoencoders'),
  ):
    other = shutil.copytree(folder / kind, folder / f'other_{kind}')
    summary = json.loads((other / 'summary.json').read_text())
    (other / 'summary.json').write_text(json.dumps({**summary, f'test_{metric}': 0.5}))
    found[name] = folder / f'{name}.html'
    page.write([folder / kind, other], found[name])
  return found


@pytest.fixture(scope='module')
def chromium(tmp_path_factory):
  with browser.opened(tmp_path_factory.mktemp('profile')) as opened:
    yield opened


def visit(chromium, file, *, width=1280, mode='light'):
  chromium.ask(
    'Emulation.setDeviceMetricsOverride',
    width=width,
    height=900,
    deviceScaleFactor=1,
    mobile=width < 500,
  )
  scheme = {'name': 'prefers-color-scheme', 'value': mode}
  chromium.ask('Emulation.setEmulatedMedia', features=[scheme])
  chromium.console.clear()
  chromium.visit(f'file://{file}')
  chromium.wait_for('Written by jaxdl')


def press(chromium, key):
  for kind in ('keyDown', 'keyUp'):
    text = {'text': '\r'} if key == 'Enter' and kind == 'keyDown' else {}
    code = {'Enter': 13, 'Escape': 27, 'ArrowRight': 39}[key]
    chromium.ask('Input.dispatchKeyEvent', type=kind, key=key, windowsVirtualKeyCode=code, **text)


@pytest.mark.parametrize('kind', [*KINDS, 'comparison', 'autoencoders'])
def test_axe_finds_nothing(pages, chromium, kind):
  for width, mode in ((1280, 'dark'), (400, 'light')):
    visit(chromium, pages[kind], width=width, mode=mode)
    assert chromium.violations() == [], f'{width} pixels, {mode}'
    assert chromium.console == []
    assert chromium.evaluate('document.documentElement.scrollWidth') <= width, (
      'the page is wider than the screen'
    )


def test_nothing_delays_the_first_paint_and_the_page_does_not_move(pages, chromium):
  visit(chromium, pages['classifier'])
  before_content = """[...document.querySelectorAll('script:not([type="application/json"]), link[rel=stylesheet]')]
    .filter(one => one.compareDocumentPosition(document.querySelector('main'))
      & Node.DOCUMENT_POSITION_FOLLOWING).map(one => one.outerHTML.slice(0, 200))"""
  assert chromium.evaluate(before_content) == []
  shift = """new Promise(done => { let sum = 0;
    new PerformanceObserver(list => { for (const one of list.getEntries()) sum += one.value; })
      .observe({ type: 'layout-shift', buffered: true });
    setTimeout(() => done(sum), 300); })"""
  found = chromium.ask('Runtime.evaluate', expression=shift, awaitPromise=True, returnByValue=True)
  assert found['result']['value'] < 0.01


def test_pictures_are_enlarged_and_closed_by_keyboard(pages, chromium):
  visit(chromium, pages['classifier'])
  chromium.evaluate("document.querySelector('.pictures-of-section button.enlarge').focus()")
  press(chromium, 'Enter')
  assert chromium.evaluate("document.querySelector('dialog').open") is True
  assert chromium.evaluate("document.querySelector('dialog img').naturalWidth") > 1
  first = chromium.evaluate("document.querySelector('dialog img').alt")
  press(chromium, 'ArrowRight')
  assert chromium.evaluate("document.querySelector('dialog img').alt") != first
  press(chromium, 'Escape')
  assert chromium.evaluate("document.querySelector('dialog').open") is False
  assert chromium.evaluate('document.activeElement.className') == 'enlarge', 'the focus is lost'


def test_controls_of_the_curves(pages, chromium):
  visit(chromium, pages['classifier'])
  lines = "[...document.querySelector('figure.chart > svg').querySelectorAll('.line')]"
  axis = "[...document.querySelectorAll('figure.chart')[0].querySelectorAll('.{} text')].map(one => one.textContent)"
  before = chromium.evaluate(f"{lines}[0].getAttribute('points')")
  for name, value in (('log', 'checked = true'), ('smoothing', "value = '0.9'")):
    chromium.evaluate(
      f"{{ const one = document.querySelector('.chart-tools').elements.{name}; one.{value};"
      " one.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    after = chromium.evaluate(f"{lines}[0].getAttribute('points')")
    assert after != before, name
    assert 'NaN' not in after
    before = after
  chromium.evaluate(
    "{ const one = document.querySelector('.chart-tools').elements.unit; one.value = 'share';"
    " one.dispatchEvent(new Event('input', { bubbles: true })); }"
  )
  assert chromium.evaluate(axis.format('x-axis'))[-2:] == ['100', '% of the run']
  chromium.evaluate("document.querySelector('.chart .legend button').click()")
  assert chromium.evaluate(f"{lines}.map(one => one.classList.contains('off'))") == [True, False]
  assert (
    chromium.evaluate(
      "document.querySelectorAll('figure.chart')[1].querySelector('.legend button').ariaPressed"
    )
    == 'false'
  ), 'the curve is visible in the other chart'


def test_runs_are_sorted_by_a_column(pages, chromium):
  visit(chromium, pages['comparison'])
  column = (
    "[...document.querySelectorAll('table.sortable tbody tr')].map(row => row.cells[2].textContent)"
  )
  button = "document.querySelectorAll('table.sortable th button')[2]"
  chromium.evaluate(f'{button}.focus()')
  press(chromium, 'Enter')
  assert chromium.evaluate(column) == ['50.00 %', '87.50 % best']
  press(chromium, 'Enter')
  assert chromium.evaluate(column) == ['87.50 % best', '50.00 %']


def test_pictures_have_no_background_in_the_dark_mode(pages, chromium):
  visit(chromium, pages['classifier'], mode='dark')
  chromium.evaluate("document.querySelector('img[alt^=\"Principal\"]').loading = 'eager'")
  corner = """(async () => { const image = document.querySelector('img[alt^="Principal"]');
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), { width: 60, height: 60 });
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0, 60, 60);
    return [...context.getImageData(1, 1, 1, 1).data]; })()"""
  found = chromium.ask('Runtime.evaluate', expression=corner, awaitPromise=True, returnByValue=True)
  assert found['result']['value'] == [0, 0, 0, 0]
