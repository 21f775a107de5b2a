"""The section "Try it" of the report: its data, and the section itself in Chromium."""

import base64
import io
import json
import re
import shutil

import browser
import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
from helpers import ROOT, SMALL
from try_helpers import (
  canvas_pixels,
  focus,
  probabilities,
  run_of,
  show_example,
  type_text,
  visit,
)

import jaxdl
from jaxdl import pack
from jaxdl.analysis import characters as analysis_characters
from jaxdl.data import augment, characters, dataset
from jaxdl.data.sets import mnist
from jaxdl.models import sampling
from jaxdl.monitoring import examples as written
from jaxdl.report import examples, page, try_it
from jaxdl.runs import packed, record
from jaxdl.training import experiment

GALLERY = ROOT / 'docs/gallery/runs'
DIGITS = json.loads((ROOT / 'tests/report/digits.json').read_text())
COUNT = 130  # examples in the page
LARGEST = 5_000_000  # bytes of the page of a small network


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A packed run of the gallery with its examples, and its page."""
  file = tmp_path_factory.mktemp('runs') / 'lstm_mnist.zip'
  shutil.copy(GALLERY / 'lstm_mnist.zip', file)
  run = record.load(file)
  run.results.mkdir()
  digits = mnist.mnist(source='bundled', data_dir=None).columns['test']
  kept = {name: digits[name][:COUNT] for name in ('image', 'label')}
  np.savez(run.results / 'examples.npz', split='test', index=np.arange(COUNT), **kept)
  page.write_page_and_card(file)
  return file


@pytest.fixture(scope='module')
def tab(tmp_path_factory):
  with browser.opened(tmp_path_factory.mktemp('profile')) as tab:
    yield tab


@pytest.fixture
def opened(folder, tab):
  """The page of the run in the browser."""
  return visit(tab, folder.with_suffix('.results') / 'report.html')


def test_the_first_test_examples_are_kept(tmp_path):
  built = experiment.build(SMALL, 'small')
  written.write(built.data, tmp_path)
  with np.load(tmp_path / 'examples.npz') as found:
    assert str(found['split']) == 'test'
    np.testing.assert_array_equal(found['index'], np.arange(50))
    digits = mnist.mnist(source='bundled', data_dir=None).columns['test']
    np.testing.assert_array_equal(found['image'], digits['image'][:50])
    np.testing.assert_array_equal(found['label'], digits['label'][:50])
  before = (tmp_path / 'examples.npz').stat().st_mtime_ns
  written.write(built.data, tmp_path)
  assert (tmp_path / 'examples.npz').stat().st_mtime_ns == before


def test_images_of_a_stream_vectors_and_texts_are_kept(tmp_path):
  draw = np.random.default_rng(0)
  images = draw.integers(0, 256, (5, 4, 4, 3), np.uint8)

  def feed(first, steps):
    index = np.array([[2 * first, 2 * first + 1]])
    return {'index': np.minimum(index, 4), 'mask': np.float32(index < 5)}

  def fetch(arrays, feed):
    return {**feed, 'image': images[feed['index']], 'label': feed['index']}

  stream = dataset.Split({}, count=5, batches=3, feed=feed, fetch=fetch)
  found = kept(stream, tmp_path / 'stream')
  np.testing.assert_array_equal(found['image'], images)
  np.testing.assert_array_equal(found['label'], np.arange(5))
  vectors = {'input': np.ones((300, 2), np.float32), 'value': np.zeros((300, 1), np.float32)}
  found = kept(dataset.resident(vectors, batch_size=4), tmp_path / 'vectors')
  np.testing.assert_array_equal(found['inputs'], np.full((200, 2), 3.0))
  assert found['value'].shape == (200, 1)
  text = dataset.Split({'character': np.arange(30_000)}, 1, 1, feed, fetch)
  assert len(kept(text, tmp_path / 'text')['character']) == 20_000


def kept(split, folder):
  """Writes the examples of a split, whose inputs are three times the stored ones, and reads them."""
  folder.mkdir()
  data = dataset.Data(
    name='own',
    origin='arrays',
    classes=(),
    splits={'validation': split},
    prepare=lambda batch: {'inputs': 3 * batch['input']},
    scaling={},
    available={},
  )
  written.write(data, folder)
  with np.load(folder / 'examples.npz') as found:
    assert str(found['split']) == 'validation'
    return {name: found[name] for name in found.files}


@pytest.mark.parametrize(('height', 'width', 'channels'), [(28, 28, 1), (5, 7, 3)])
def test_a_sprite_has_the_pixels_of_the_images(height, width, channels):
  images = np.random.default_rng(0).integers(0, 256, (11, height, width, channels), np.uint8)
  labels = np.arange(11, dtype=np.int32)
  found = examples.shown(
    {'split': np.array('test'), 'index': labels, 'image': images, 'label': labels}
  )
  assert found['exact']
  assert (found['columns'], found['size']) == (4, [height, width])
  picture = decoded(found['sprite'])
  for place in range(11):
    row, column = divmod(place, 4)
    tile = picture[row * height : (row + 1) * height, column * width : (column + 1) * width]
    np.testing.assert_array_equal(tile.reshape(images.shape[1:]), images[place])


def decoded(uri):
  content = base64.b64decode(uri.partition('base64,')[2])
  return np.asarray(PIL.Image.open(io.BytesIO(content)))


def test_a_sprite_has_at_most_600_kilobytes():
  images = np.random.default_rng(0).integers(0, 256, (500, 32, 32, 3), np.uint8)
  labels = np.zeros((500, 3), np.float32)
  labels[:, 1] = 1
  found = examples.shown(
    {'split': np.array('test'), 'index': np.arange(500), 'image': images, 'label': labels}
  )
  assert 170 < len(found['index']) < 200  # 3,072 incompressible bytes each
  assert len(found['label']) == len(found['index'])
  assert found['label'][0] == [1]


def test_a_damaged_file_of_examples_is_named(folder, tmp_path):
  run = record.load(shutil.copy(folder, tmp_path / 'run.zip'))
  run.results.mkdir()
  (run.results / 'examples.npz').write_bytes(b'PK')
  with pytest.raises(ValueError, match=r'examples\.npz is damaged \(.*delete it and rerun'):
    examples.of_run(run)


def test_examples_are_packed_if_the_data_may_be_copied(folder, tmp_path, monkeypatch):
  run = shutil.copytree(packed.opened(folder), tmp_path / 'run')
  shutil.copy(folder.with_suffix('.results') / 'examples.npz', run)
  assert 'examples.npz' in pack.pack(run, tmp_path / 'with.zip')['files']
  assert examples.of_run(record.load(tmp_path / 'with.zip'))['split'] == 'test'
  monkeypatch.setattr(pack.licences, 'LICENCES', {})
  assert 'examples.npz' not in pack.pack(run, tmp_path / 'without.zip')['files']
  html = (packed.opened(tmp_path / 'without.zip') / 'report.html').read_text()
  assert html.index('id="try-it"') < html.index('id="network"')
  assert 'class="try-strip"' not in html
  assert '<script type="application/json" id="examples">null' in html


def test_a_network_that_cannot_run_has_one_line_with_the_reason(folder, monkeypatch):
  monkeypatch.setattr(try_it.network, 'of_run', lambda *_, **__: {'reason': 'It is too large.'})
  html = page.render(page.one(record.load(folder)))
  section = re.search(r'<section class="try".*?</section>', html, re.DOTALL)[0]
  assert '<p class="remark">It is too large.</p>' in section
  assert 'canvas' not in section


@pytest.fixture(scope='module')
def predicted(folder):
  """The probabilities of `run.predict`."""
  digits = mnist.mnist(source='bundled', data_dir=None).columns['test']['image']
  return jaxdl.load(folder).predict(digits[:COUNT]).probabilities


def test_page_has_the_probabilities_of_predict(folder, opened, predicted):
  expected = predicted
  for index in range(50):
    found = show_example(opened, index)
    np.testing.assert_allclose([found[i] for i in range(10)], expected[index], rtol=0, atol=1e-4)
  assert opened.console == []
  size = (folder.with_suffix('.results') / 'report.html').stat().st_size
  assert size < LARGEST


def draw(tab, strokes):
  """Draws strokes with the mouse, with points between those given."""
  frame = json.loads(
    tab.evaluate("JSON.stringify(document.querySelector('.pad').getBoundingClientRect())")
  )
  for stroke in strokes:
    points = np.concatenate(
      [np.linspace(a, b, 2, endpoint=False) for a, b in zip(stroke, stroke[1:], strict=False)]
      + [[stroke[-1]]]
    )
    places = [
      (frame['x'] + x * frame['width'], frame['y'] + y * frame['height']) for x, y in points
    ]
    tab.mouse('mousePressed', *places[0])
    for place in places[1:]:
      tab.mouse('mouseMoved', *place)
    tab.mouse('mouseReleased', *places[-1])
  tab.evaluate('new Promise(requestAnimationFrame).then(() => new Promise(setTimeout))')


def test_ten_drawn_digits_are_recognised(opened):
  opened.evaluate("document.querySelector('.pad').scrollIntoView({block: 'center'})")
  for digit, strokes in DIGITS.items():
    opened.evaluate("document.querySelector('[data-do=clear]').click()")
    draw(opened, strokes)
    found = probabilities(opened)
    assert max(found, key=found.get) == int(digit), found
    assert found[int(digit)] > 0.9
    live = opened.evaluate("document.querySelector('.headline').textContent")
    assert live.startswith(f'{digit}, ')
  assert opened.console == []


def test_every_control_works_by_keyboard(opened):
  opened.evaluate(
    'window.states = []; '
    "document.addEventListener('jaxdl:state', event => states.push(event.detail))"
  )
  text = lambda selector: opened.evaluate(  # noqa: E731
    f'document.querySelector({json.dumps(selector)}).textContent'
  )
  focus(opened, '.pad')  # a vertical line: 1
  for key in ('ArrowUp',) * 3 + (' ',) + ('ArrowDown',) * 6 + (' ',):
    opened.press(key, modifiers=8 if key.startswith('Arrow') else 0)
  opened.evaluate('new Promise(requestAnimationFrame).then(() => new Promise(setTimeout))')
  assert text('.headline').startswith('1, ')
  focus(opened, '[data-do=clear]')
  opened.press('Enter')
  opened.evaluate('new Promise(requestAnimationFrame).then(() => new Promise(setTimeout))')
  assert not text('.headline').startswith('1, 9')
  focus(opened, '[data-set=pen]')
  opened.press('ArrowRight')
  assert opened.evaluate("document.querySelector('[data-set=pen]').value") == '2.75'
  focus(opened, '.strip-images .example')
  opened.press('ArrowRight')
  opened.press('Enter')
  assert opened.evaluate('states.at(-1).image') == 1
  focus(opened, '.bar')
  opened.press('Enter')
  assert opened.evaluate('states.at(-1).class') == 0
  focus(opened, '.seen-picture')
  opened.press('ArrowRight')
  assert re.match(r'Covered: logit of 0 .* → .* \([+−]', text('.explain-note'))
  opened.press('Escape')
  assert text('.explain-note').startswith('Point at')
  focus(opened, '[data-set=method]')
  opened.press('ArrowDown')
  opened.wait_until("document.querySelector('.explain-note').textContent.includes('blue is')")
  assert opened.evaluate('states.at(-1).method') == 'saliency'
  focus(opened, '.layer-slider')
  opened.press('ArrowRight')
  opened.press('ArrowLeft')
  assert opened.evaluate('states.at(-1).layer') == 'lstm'
  focus(opened, '.layer-maps')
  opened.press('ArrowRight')
  opened.press('End')
  assert opened.evaluate('states.at(-1).channel') == 127
  assert text('[data-part=title]') == 'Unit 127 of lstm'
  assert text('[data-part=part]').startswith('Gradient × activation for 0: ')
  assert text('[data-part=without]').startswith('Set to zero: logit ')
  for selector in ('input[type=file]', '.strip-head select', '.strip-head input', '[data-set=fit]'):
    focus(opened, selector)
  assert opened.console == []


def test_filters_show_mistakes_and_uncertain_images(opened, predicted):
  status = "document.querySelector('.strip-status').textContent"
  opened.wait_until(f"{status} === '{COUNT} of {COUNT} test images'")
  labels = mnist.mnist(source='bundled', data_dir=None).columns['test']['label'][:COUNT]
  guesses = predicted.argmax(1)
  wrong = np.flatnonzero(guesses != labels)
  assert listed(opened, 'wrong') == [f'{labels[i]}, taken for {guesses[i]}' for i in wrong]
  assert len(listed(opened, 'right')) == COUNT - len(wrong)
  order = predicted.max(1).argsort()[:10]
  found = listed(opened, 'uncertain')[:10]
  assert [label[0] for label in found] == [str(labels[i]) for i in order]


def listed(tab, value):
  """The labels of the examples that a filter shows."""
  tab.evaluate(f"document.querySelector('.try-strip [value={value}]').click()")
  return json.loads(
    tab.evaluate(
      "JSON.stringify([...document.querySelectorAll('.try-strip .strip-images .example')].map("
      "one => one.getAttribute('aria-label')))"
    )
  )


def test_an_opened_image_is_fitted_and_a_bad_one_is_named(opened, tmp_path):
  digit = mnist.mnist(source='bundled', data_dir=None).columns['test']['image'][0]
  large = np.pad(np.kron(digit[..., 0], np.ones((4, 4), np.uint8)), ((0, 0), (8, 8)))
  PIL.Image.fromarray(large).save(tmp_path / 'large.png')
  (tmp_path / 'bad.png').write_text('text')
  expected = show_example(opened, 0)
  choose_file(opened, tmp_path / 'large.png')
  opened.wait_until("document.querySelector('.example[aria-pressed=true]') === null")
  assert probabilities(opened) == pytest.approx(expected, abs=1e-6)
  choose_file(opened, tmp_path / 'bad.png')
  opened.wait_for('bad.png is not an image that this browser can open: try PNG or JPEG.')
  PIL.Image.new('1', (9000, 9000)).save(tmp_path / 'huge.png')
  choose_file(opened, tmp_path / 'huge.png')
  opened.wait_for('huge.png has 9000 × 9000 pixels: open an image of at most 64 million pixels.')
  assert opened.console == []


def choose_file(tab, file):
  document = tab.ask('DOM.getDocument')['root']['nodeId']
  found = tab.ask('DOM.querySelector', nodeId=document, selector='.try input[type=file]')
  tab.ask('DOM.setFileInputFiles', nodeId=found['nodeId'], files=[str(file)])


@pytest.mark.parametrize('width', [400, 1280])
def test_nothing_is_wider_than_the_window_or_moves(folder, tab, width):
  opened = visit(tab, folder.with_suffix('.results') / 'report.html', width=width)
  assert opened.evaluate('document.documentElement.scrollWidth') <= width
  height = "document.querySelector('section.try').getBoundingClientRect().height"
  before = opened.evaluate(height)
  opened.evaluate("document.querySelector('.layer-slider').value = 2")
  opened.evaluate("document.querySelector('.layer-slider').dispatchEvent(new Event('input'))")
  show_example(opened, 5)
  assert opened.evaluate(height) == before


def test_bars_follow_a_stroke_within_50_ms(opened):
  took = opened.evaluate("""(async () => {
    const pad = document.querySelector('.pad');
    const at = pad.getBoundingClientRect(), times = [];
    const send = (kind, x) => pad.dispatchEvent(new PointerEvent(kind, {pointerId: 1, button: 0,
      clientX: at.x + x, clientY: at.y + 140, bubbles: true}));
    send('pointerdown', 40);
    for (let i = 0; i < 12; i++) {
      await new Promise(requestAnimationFrame);
      const began = performance.now();
      send('pointermove', 50 + 10 * i);
      await new Promise(requestAnimationFrame);
      await new Promise(setTimeout);
      times.push(performance.now() - began);
    }
    send('pointerup', 200);
    return times.sort((a, b) => a - b)[6];
  })()""")
  assert took < 150, 'about 30 ms on an idle machine'


TEXT = dict(
  seed=0,
  task='next_char',
  train_for='1 steps',
  log_every='1 steps',
  evaluate_every='1 steps',
  checkpoint_every='1 steps',
  data=dict(
    name='shakespeare',
    source='bundled',
    batch_size=4,
    time_step=8,
    splits=dict(train='train[:4000]', validation='validation[:2000]'),
  ),
  model=dict(name='language_model', cell='gru', features=8, classes='classes', layers=2),
  optimizer=dict(name='adam', learning_rate=1e-3),
)


@pytest.fixture(scope='module')
def language_model(tmp_path_factory):
  run, _ = run_of(TEXT, tmp_path_factory.mktemp('text'))
  (run.folder / 'report.html').write_text(page.render(page.one(run)))
  return run


def test_texts_are_read_and_written(language_model, tab):
  run = language_model
  opened = visit(tab, run.folder / 'report.html')
  type_text(opened, 'Tö be, ≠')
  opened.wait_for('The network does not know “ö”, “≠”: left out.')
  prime = characters.encode('T be, ', run.classes)
  expected = jax.nn.softmax(np.asarray(run.model.apply(run.variables, np.array([prime])))[0, -1])
  opened.wait_for('over 6 characters.')
  for place, probability in probabilities(opened).items():
    assert probability == pytest.approx(float(expected[place]), abs=1e-5)
  opened.evaluate("""(() => {
    document.querySelector('[data-set=temperature]').value = 0;
    document.querySelector('[data-set=length]').value = 20;
    document.querySelector('[data-do=write]').click();
  })()""")
  opened.wait_for('over 26 characters.')
  (added,) = sampling.generate(run.model, run.variables, [prime], length=20, temperature=0)
  text = opened.evaluate("document.querySelector('#try-text').value")
  assert text == 'T be, ' + characters.decode(added, run.classes)
  read = analysis_characters.characters(
    run.model, run.variables, characters.encode(text, run.classes), 'gru2'
  )
  opened.evaluate("""(() => {
    const set = (name, value) => {
      const control = document.querySelector(`[data-set=${name}]`);
      control.value = value;
      control.dispatchEvent(new Event('input'));
    };
    set('colour', 'unit');
    set('unit', 3);
  })()""")
  opened.evaluate("document.querySelector('.read-text').focus()")
  opened.press('ArrowRight')
  note = opened.evaluate("document.querySelector('.character-note').textContent")
  found = re.fullmatch(r'“T”: unit 3 of gru2 (−?)([\d.]+)\.', note)
  assert float(found[2]) * (-1 if found[1] else 1) == pytest.approx(read.hidden[0, 3], abs=1e-3)
  type_text(opened, '')
  opened.wait_for('The text is empty: type a character.')
  opened.evaluate("document.querySelector('[data-do=write]').click()")
  opened.wait_for('The text is empty: type a character first.')
  assert opened.console == []


AUTOENCODER = {
  **SMALL,
  'task': 'reconstruct',
  'data': {**SMALL['data'], 'layout': 'image', 'distort': (dict(kind='rotate', degrees=40),)},
  'model': dict(
    name='cnn',
    layers=(
      dict(kind='conv', features=4, kernel=3, strides=4),
      dict(kind='flatten'),
      dict(kind='dense', features=6, activate=False, name='code'),
      dict(kind='dense', features=784, activate=False),
      dict(kind='reshape', shape=(28, 28, 1)),
    ),
  ),
}


@pytest.fixture(scope='module')
def autoencoder(tmp_path_factory):
  """A run and the arrays of its examples."""
  run, arrays = run_of(AUTOENCODER, tmp_path_factory.mktemp('autoencoder'), count=12)
  (run.folder / 'report.html').write_text(page.render(page.one(run)))
  return run, arrays


def test_codes_are_decoded_and_inputs_rotated(autoencoder, tab):
  run, arrays = autoencoder
  opened = visit(tab, run.folder / 'report.html')
  show_example(opened, 3)
  image = np.float32(arrays['image'][3])
  np.testing.assert_array_equal(canvas_pixels(opened, '.seen-picture', 1), image)
  opened.evaluate("""(() => {
    const control = document.querySelector('[data-set=rotation]');
    control.value = 25;
    control.dispatchEvent(new Event('input'));
  })()""")
  turned = np.asarray(augment.rotated(jnp.asarray(image), 25))
  found = canvas_pixels(opened, '.seen-picture', 1)
  np.testing.assert_allclose(found, turned, rtol=0, atol=0.51)
  expected = np.clip(run.model.apply(run.variables, turned[None] / 255)[0], 0, 1)
  before = canvas_pixels(opened, '.output-picture', 1)
  np.testing.assert_allclose(before, 255 * expected, rtol=0, atol=0.51)
  opened.evaluate("""(() => {
    const slider = document.querySelector('.code-sliders input');
    slider.value = slider.max;
    slider.dispatchEvent(new Event('input'));
  })()""")
  assert (canvas_pixels(opened, '.output-picture', 1) != before).mean() > 0.1
  assert len(json.loads(opened.evaluate(SLIDERS))) == 6
  opened.evaluate("document.querySelector('[data-do=code]').click()")
  np.testing.assert_array_equal(canvas_pixels(opened, '.output-picture', 1), before)
  assert opened.console == []


SLIDERS = "JSON.stringify([...document.querySelectorAll('.code-sliders input')].map(s => s.value))"


VECTORS = dict(
  seed=0,
  task='classify',
  train_for='1 steps',
  log_every='1 steps',
  evaluate_every='1 steps',
  checkpoint_every='1 steps',
  data=dict(name='arrays', batch_size=4),
  model=dict(
    name='cnn',
    layers=(
      dict(kind='dense', features=5),
      dict(kind='dense', features='classes', activate=False, name='logits'),
    ),
  ),
  optimizer=dict(name='adam', learning_rate=1e-3),
)


@pytest.fixture(scope='module')
def vectors(tmp_path_factory):
  """A run that classifies vectors of three numbers."""
  draw = np.random.default_rng(0)
  split = (np.float32(draw.normal(size=(8, 3))), np.arange(8) % 3)
  data = {'train': split, 'validation': split, 'test': split}
  run, _ = run_of(VECTORS, tmp_path_factory.mktemp('vectors'), count=5, data=data)
  (run.folder / 'report.html').write_text(page.render(page.one(run)))
  return run


def test_controls_of_texts_work_by_keyboard(language_model, tab):
  opened = visit(tab, language_model.folder / 'report.html')
  focus(opened, '#try-text')
  before = opened.evaluate("document.querySelector('#try-text').value")
  opened.press('End', modifiers=2)
  opened.press('a', text='a')
  assert opened.evaluate("document.querySelector('#try-text').value") == f'{before}a'
  focus(opened, '.bar')
  opened.press('Enter')
  assert len(opened.evaluate("document.querySelector('#try-text').value")) == len(before) + 2
  focus(opened, '[data-set=temperature]')
  opened.press('ArrowRight')
  assert opened.evaluate("document.querySelector('output.temperature').textContent") == '0.85'
  focus(opened, '[data-set=colour]')
  opened.press('ArrowDown')
  focus(opened, '[data-set=unit]')
  opened.press('ArrowRight')
  assert opened.evaluate("document.querySelector('output.unit').textContent") == '1'
  for selector in ('[data-set=length]', '[data-set=layer]', '.read-text', '[data-do=write]'):
    focus(opened, selector)
  opened.press('Enter')
  opened.wait_for('over 362 characters.')  # 160, two typed and 200 written
  assert opened.console == []


def test_controls_of_codes_work_by_keyboard(autoencoder, tab):
  opened = visit(tab, autoencoder[0].folder / 'report.html')
  opened.wait_until("document.querySelectorAll('.code-sliders input').length === 6")
  before = canvas_pixels(opened, '.output-picture', 1)
  focus(opened, '.code-sliders input')
  opened.press('End')
  assert (canvas_pixels(opened, '.output-picture', 1) != before).any()
  focus(opened, '[data-do=code]')
  opened.press('Enter')
  np.testing.assert_array_equal(canvas_pixels(opened, '.output-picture', 1), before)
  focus(opened, '[data-set=rotation]')
  opened.press('ArrowRight')
  assert opened.evaluate("document.querySelector('output.rotation').textContent") == '1°'
  assert (canvas_pixels(opened, '.output-picture', 1) != before).any()
  assert opened.console == []


def test_vectors_are_typed_by_keyboard(vectors, tab):
  opened = visit(tab, vectors.folder / 'report.html')
  focus(opened, '[data-set=example]')
  opened.press('ArrowUp')
  assert opened.evaluate("document.querySelector('.fields-note').textContent").startswith('of the')
  focus(opened, '.fields input')
  opened.press('ArrowUp')
  values = json.loads(
    opened.evaluate(
      "JSON.stringify([...document.querySelectorAll('.fields input')].map(one => one.value))"
    )
  )
  inputs = np.float32([[float(value) for value in values]])
  kept = vectors.config['dataset']
  inputs = (inputs - np.float32(kept['mean'])) / np.float32(kept['deviation'])
  expected = jax.nn.softmax(np.asarray(vectors.model.apply(vectors.variables, inputs))[0])
  assert probabilities(opened) == pytest.approx(dict(enumerate(map(float, expected))), abs=1e-5)
  assert opened.console == []


@pytest.mark.parametrize('kind', ['folder', 'language_model', 'autoencoder', 'vectors'])
def test_axe_finds_nothing_in_the_section(kind, tab, request):
  run = request.getfixturevalue(kind)
  run = run[0] if kind == 'autoencoder' else run
  place = run.with_suffix('.results') if kind == 'folder' else run.folder
  for width, scheme in ((1280, 'light'), (400, 'dark')):
    opened = visit(tab, place / 'report.html', width=width, scheme=scheme)
    assert opened.violations('section.try') == []
