"""Tests of the live parts of the page in Chromium, by mouse and by keyboard."""

import dataclasses
import time

import browser
import numpy as np
import pytest
from report_helpers import analysed_run, training_run

from jaxdl import models
from jaxdl.report import live, page
from jaxdl.runs import record

PLACE = """({
  top: Math.round(scrollY - document.getElementById('learning-curves').offsetTop),
  open: document.querySelector('#config + details').open,
  focused: document.activeElement.localName,
  state: document.querySelector('.live .state').textContent,
})"""
KEYS = {'ArrowRight': 39, 'ArrowDown': 40, 'Enter': 13}


@pytest.fixture(scope='module')
def tab(tmp_path_factory):
  """A tab of Chromium."""
  with browser.opened(tmp_path_factory.mktemp('profile')) as tab:
    yield tab


def visit(tab, file, hash=''):
  tab.visit(file.as_uri() + hash)
  wait(tab, 'document.readyState', 'complete')


def evaluate(tab, expression):
  """The value of an expression, also while the page reloads itself."""
  for _ in range(5):
    try:
      return tab.evaluate(expression)
    except AssertionError as error:
      if 'navigated' not in str(error):
        raise
      time.sleep(0.1)
  return tab.evaluate(expression)


def wait(tab, expression, expected, seconds=20):
  """Waits until an expression has a value."""
  end = time.monotonic() + seconds
  while (found := evaluate(tab, expression)) != expected:
    assert time.monotonic() < end, f'{expression}: {found}, console: {tab.console}'
    time.sleep(0.05)


def middle(tab, selector):
  """Scrolls to an element and returns its centre in the window."""
  return tab.evaluate(
    f"""(() => {{ const element = document.querySelector('{selector}');
    element.scrollIntoView({{block: 'center', behavior: 'instant'}});
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2]; }})()"""
  )


def point(tab, selector):
  x, y = middle(tab, selector)
  tab.ask('Input.dispatchMouseEvent', type='mouseMoved', x=x, y=y)


def click(tab, selector):
  x, y = middle(tab, selector)
  for kind in ('mousePressed', 'mouseReleased'):
    tab.ask('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', clickCount=1)


def press(tab, key):
  for kind in ('keyDown', 'keyUp'):
    tab.ask('Input.dispatchKeyEvent', type=kind, key=key, windowsVirtualKeyCode=KEYS[key])


def write(run, step, every=0.0):
  page.write_live(run, live.Moment(step, None, every), None)
  return run / 'report.html'


def test_page_reloads_and_keeps_its_place(tab, tmp_path):
  run = training_run(tmp_path / 'run')
  visit(tab, write(run, 8, every=1.0))
  evaluate(tab, "document.querySelector('#config + details').open = true")
  evaluate(tab, "document.querySelector('#config + details summary').focus({preventScroll: true})")
  evaluate(tab, "scrollTo({top: document.getElementById('learning-curves').offsetTop + 40})")
  before = evaluate(tab, PLACE)
  assert before == {
    'top': 40,
    'open': True,
    'focused': 'summary',
    'state': 'training, step 8 of 1,200',
  }
  write(run, 9, every=1.0)
  wait(tab, PLACE, {**before, 'state': 'training, step 9 of 1,200'})
  page.write_page_and_card(run)  # the training has ended
  wait(tab, "document.querySelector('.live')", None)
  wait(tab, "document.querySelector('#config + details').open", True)
  wait(tab, f'{PLACE}.top'.replace('state: document', 'state: null && document'), 40)
  assert tab.console == []


@pytest.mark.slow
def test_page_of_a_dead_trainer_stops_reloading(tab, tmp_path):
  run = training_run(tmp_path / 'run')
  visit(tab, write(run, 8))
  status = "document.querySelector('.updates [role=status]').textContent"
  wait(tab, f"{status}.includes('the training has stopped or waits')", True)
  assert 'It had reached step 8.' in tab.evaluate(status)
  write(run, 10)
  time.sleep(1.5)
  assert 'step 8' in tab.evaluate(status), 'the page still reloads itself'
  click(tab, '.updates button')
  wait(tab, "document.querySelector('.live .state').textContent", 'training, step 10 of 1,200')


@pytest.mark.slow
def test_pause_stops_the_reloading(tab, tmp_path):
  run = training_run(tmp_path / 'run')
  visit(tab, write(run, 8, every=1.0))
  click(tab, '.updates button')
  assert tab.evaluate("document.querySelector('.updates button').ariaPressed") == 'true'
  write(run, 9)
  time.sleep(2.5)
  assert 'step 8' in tab.evaluate("document.querySelector('.live .state').textContent")
  click(tab, '.updates button')
  wait(tab, "document.querySelector('.live .state').textContent", 'training, step 9 of 1,200')


@pytest.fixture(scope='module')
def written(tmp_path_factory):
  """The page of a run with the analysis of errors."""
  run = analysed_run(tmp_path_factory.mktemp('analysed') / 'run')
  page.write([run], run / 'report.html')
  return run / 'report.html'


@pytest.fixture
def analysed(tab, written):
  """Opens this page; returns a function (hash) that opens it again."""

  def open_page(hash=''):
    visit(tab, written, hash)
    tab.evaluate(
      'window.loaded = []; document.addEventListener("jaxdl:example", '
      'event => loaded.push(event.detail.index))'
    )

  open_page()
  return open_page


def shown(tab):
  """The examples whose tiles are shown."""
  return tab.evaluate(
    "[...document.querySelectorAll('.linked-images .tile')].map(tile => Number(tile.dataset.index))"
  )


def test_pointing_shows_images_and_a_click_keeps_them(tab, analysed):
  assert shown(tab) == [4, 1], 'all mistakes, the most confident first'
  point(tab, '.matrix tbody tr:nth-child(1) td:nth-child(3)')  # true cat, predicted dog
  assert shown(tab) == [1]
  point(tab, '.reliability .bin:nth-of-type(13) .full')  # 80 to 87 %
  assert shown(tab) == [0, 2]
  point(tab, 'h1')
  assert shown(tab) == [4, 1]
  click(tab, '.matrix tbody tr:nth-child(3) td:nth-child(2)')  # true eel, predicted cat
  point(tab, 'h1')
  assert shown(tab) == [4]
  assert tab.evaluate('location.hash') == '#true=2&predicted=0'
  assert tab.evaluate("document.querySelector('[name=true]').value") == '2'
  click(tab, '.linked-images .tile')
  assert tab.evaluate('loaded') == [4]
  assert tab.evaluate("document.querySelector('.tile .image').style.width") == '56px'
  assert tab.console == []


def test_matrix_and_bars_are_used_by_keyboard(tab, analysed):
  tab.evaluate("document.querySelector('.matrix td').focus()")
  assert shown(tab) == [0], 'right ones on the diagonal'
  press(tab, 'ArrowRight')
  assert shown(tab) == [1]
  assert tab.evaluate('document.activeElement.title') == 'true cat, predicted </script><b>dog: 1'
  press(tab, 'Enter')
  assert tab.evaluate('document.activeElement.dataset.index') == '1'
  press(tab, 'Enter')
  tab.evaluate('document.activeElement.click()')
  assert 1 in tab.evaluate('loaded')
  tab.evaluate("document.querySelector('.reliability svg').focus()")
  for _ in range(14):
    press(tab, 'ArrowRight')
  assert shown(tab) == [4], 'the bar of 87 to 93 %'


def test_filters_choose_classes_and_right_ones(tab, analysed):
  for name, value in (('true', '0'), ('show', 'all'), ('order', 'index')):
    tab.evaluate(
      f"""(() => {{ const select = document.querySelector('[name={name}]'); select.value = '{value}';
      select.dispatchEvent(new Event('change', {{bubbles: true}})); }})()"""
    )
  assert shown(tab) == [0, 1]
  click(tab, '.filters button')
  assert shown(tab) == [4, 1]


def test_address_restores_what_was_shown(tab, analysed):
  analysed('#true=0&predicted=1')
  assert shown(tab) == [1]
  assert tab.evaluate("document.querySelector('td.chosen').cellIndex") == 2
  analysed('#true=77&show=<b>')
  assert shown(tab) == [4, 1], 'invalid values are left out'
  tab.evaluate(
    'window.restored = []; document.addEventListener("jaxdl:restore", '
    'event => restored.push(event.detail))'
  )
  tab.evaluate("location.hash = '#image=123&layer=conv2'")
  wait(tab, 'restored', [{'image': 123, 'layer': 'conv2'}])
  analysed('#errors')
  assert tab.evaluate('location.hash') == '#errors', 'an anchor is kept'


def test_same_image_goes_through_each_network(tab, tmp_path):
  """The logit of the first class is ± 8 times the sum of the pixels; the others are 0."""
  runs = []
  for name, factor in (('one', 8), ('other', -8)):
    run = record.load(analysed_run(tmp_path / name, errors=False))
    kernel = np.zeros((16, 3), np.float32)
    kernel[:, 0] = factor
    variables = {'params': {'dense1': {'kernel': kernel, 'bias': np.zeros(3, np.float32)}}}
    network = models.build(run.config['model']), variables
    runs.append(dataclasses.replace(run, network=network))
  file = tmp_path / 'compare.html'
  file.write_text(page.render(page.several(runs)), encoding='utf-8')
  visit(tab, file)
  wait(tab, "document.querySelectorAll('.same-image .tile').length", 3)
  click(tab, '.same-image li:nth-child(3) button')  # all pixels are 2
  row = (
    "[...document.querySelectorAll('.probabilities tbody tr')][0].innerText.split(/\\s*\\t\\s*/)"
  )
  exponentials = np.exp(np.array([8, -8]) * 16 * 2 / 255)
  expected = [f'{100 * value / (value + 2):.1f}\u00a0%' for value in exponentials]
  wait(tab, row, ['cat', *expected])
  click(tab, '.disagree')
  wait(tab, "document.querySelector('.found').textContent", '2 of 3 images')
  assert tab.console == []
