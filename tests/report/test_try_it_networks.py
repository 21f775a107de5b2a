"""Probabilities in the report page, for the networks of all configs, against jaxdl's own."""

import json

import browser
import jax
import numpy as np
import pytest
from training_helpers import CONFIGS
from try_helpers import SHOWN, canvas_pixels, run_of, show_example, type_text, visit

from jaxdl.data import recorded
from jaxdl.report import examples, page

EXACT, CHARACTERS = 1e-4, 500
SAME = 0.97  # share of equal classes; random networks have more near ties than trained ones
LARGEST = 16_000_000  # bytes of a page; that of a network below a million parameters has 5 MB


@pytest.fixture(scope='module')
def tab(tmp_path_factory):
  with browser.opened(tmp_path_factory.mktemp('profile')) as tab:
    yield tab


def open_page(tab, run, tmp_path):
  file = tmp_path / 'report.html'
  parts = page.one(run)
  described = parts['try_it']['network']
  file.write_text(page.render(parts))
  visit(tab, file, seconds=200)
  parameters = sum(np.size(leaf) for leaf in jax.tree.leaves(run.variables['params']))
  assert file.stat().st_size < (LARGEST if parameters >= 1e6 else 5e6)
  return described


@pytest.mark.slow
@pytest.mark.parametrize('name', [path.stem for path in CONFIGS])
def test_probabilities_of_every_network(name, tab, tmp_path, monkeypatch):
  monkeypatch.setattr(examples, 'SIDE', 1024)  # exact copies also of large images
  monkeypatch.setattr(examples, 'BYTES', 4_000_000)
  run, kept = run_of(name, tmp_path)
  described = open_page(tab, run, tmp_path)
  # The difference is measured on other parts of a text.
  tolerance = EXACT + 2 * (described['difference'] or 0)
  if 'character' in kept:
    check_text(tab, run, kept['character'][:CHARACTERS], tolerance)
  elif described['task']['name'] == 'reconstruct':
    check_pixels(tab, run, kept, tolerance)
  else:
    check_classes(tab, run, kept, tolerance)
  assert tab.console == []


def outputs(run, inputs):
  return np.asarray(jax.jit(run.model.apply)(run.variables, inputs))


def check_classes(tab, run, kept, tolerance):
  inputs = recorded.image_inputs(run.config)(kept['image'])
  expected = np.asarray(jax.nn.softmax(outputs(run, inputs)))
  same = []
  for index, ours in enumerate(expected):
    theirs = show_example(tab, index)
    theirs = np.array([theirs[place] for place in range(len(ours))])
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=tolerance)
    same.append(theirs.argmax() == ours.argmax())
  assert np.mean(same) >= SAME


def check_pixels(tab, run, kept, tolerance):
  """The canvas has 8 bits: a pixel may differ by one level more."""
  inputs = recorded.image_inputs(run.config)(kept['image'])
  expected = np.clip(outputs(run, inputs), 0, 1)
  for index, ours in enumerate(expected):
    show_example(tab, index)
    theirs = canvas_pixels(tab, '.output-picture', ours.shape[-1]) / 255
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=tolerance + 0.5 / 255 + 1e-6)


def check_text(tab, run, characters, tolerance):
  text = ''.join(run.classes[place] for place in characters)
  type_text(tab, text)
  spans = "document.querySelectorAll('.read-text span')"
  tab.wait_until(f'{spans}.length === {len(characters)}', seconds=200)
  expected = np.asarray(jax.nn.softmax(outputs(run, characters[None])[0]))
  found = json.loads(
    tab.evaluate(f"""JSON.stringify([...{spans}].map(span => {{
      span.dispatchEvent(new PointerEvent('pointermove', {{bubbles: true}}));
      return {SHOWN.replace('JSON.stringify', '')};
    }}))""")
  )
  same = []
  for ours, theirs in zip(expected, found, strict=True):
    for place, probability in theirs:
      assert probability == pytest.approx(ours[place], abs=tolerance)
    same.append(theirs[0][0] == ours.argmax())
  assert np.mean(same) >= SAME
