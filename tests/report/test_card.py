"""The model card: its content, missing facts, and escaping of names."""

import json
import re

import numpy as np
import pytest
from report_helpers import finished_run

from jaxdl.data import licences
from jaxdl.report import card, page
from jaxdl.runs import record
from jaxdl.step import intervals

CLASSES = ['cat', 'dog']


def write_run(folder, *, classes=CLASSES, data='mnist', **summary):
  """Writes the files of a run of a classifier with two classes."""
  config = {
    'format': 2,
    'seed': 3,
    'task': {'name': 'classify'},
    'train_for': '12 steps',
    'data': {
      'name': data,
      'batch_size': 4,
      'splits': {'train': 'train[:400]', 'test': 'test'},
    },
    'model': {
      'name': 'cnn',
      'layers': [{'kind': 'flatten'}, {'kind': 'dense', 'features': 2, 'name': 'logits'}],
    },
    'dataset': {
      'classes': classes,
      'input_shape': [4, 4, 1],
      'mean': [0.0],
      'deviation': [1.0],
      'examples': {'train': 400, 'test': 16},
      'examples_per_class': {'train': [390, 10], 'test': [8, 8]},
      'checksums': {'train': 'c0ffee'},
    },
  }
  finished_run(folder, config, **{'test_accuracy': 0.875, **summary})
  (folder / 'command.txt').write_text('python -m jaxdl.main --config=small\n')
  return folder


def confusion(folder, counts, **facts):
  np.savez(folder / 'analysis/confusion.npz', counts=np.array(counts))
  (folder / 'analysis/confusion.json').write_text(
    json.dumps({'classes': CLASSES, 'step': 8, 'split': 'test', **facts})
  )


def card_of(folder):
  page.write_page_and_card(folder)
  return (folder / 'card.md').read_text()


def section(text, heading):
  return text.partition(f'## {heading}\n\n')[2].partition('\n## ')[0]


def test_card_contains_the_facts_of_the_files(tmp_path):
  text = card_of(write_run(tmp_path / 'run'))
  assert text.startswith('# Model card: run (small)\n\n## Network\n\nCNN on mnist: test accuracy')
  assert 'It assigns inputs of shape 4 × 4 × 1 to one of 2 classes: cat, dog.' in text
  assert '| logits | Dense | 16 | 2 | 34 | 34 |' in section(text, 'Network')
  data = section(text, 'Data')
  assert '| train data | train\\[:400\\]: 400 examples, cat 390, dog 10 |' in data
  assert '| checksum of train | c0ffee |' in data
  assert '| licence of the data | CC BY-SA 3.0 |' in data
  trained = section(text, 'How it was trained')
  for line in ('| seed | 3 |', '| steps | 12 |', '| time | 0:01:01 (including evaluation) |'):
    assert line in trained
  assert '```bash\npython -m jaxdl.main --config=small\n```' in trained
  assert '| jax | 1.2 |' in section(text, 'Versions')


def test_card_has_intervals_only_for_fractions(tmp_path):
  """14 of 16: SciPy's binomtest(14, 16).proportion_ci(method='wilson') is 0.63977 to 0.96500."""
  figures = section(card_of(write_run(tmp_path / 'run')), 'Figures with intervals')
  assert '| test accuracy | 87.50 % | 63.98 to 96.50 % | 16 |' in figures
  assert '| test loss | 0.2500 | – | 16 |' in figures
  assert 'optimistic' not in figures, 'the note is for validation figures'


@pytest.mark.parametrize(('right', 'count'), [(14, 16), (0, 10), (10, 10), (9872, 10000)])
def test_card_interval_equals_scipy(right, count):
  from scipy import stats

  expected = stats.binomtest(right, count).proportion_ci(method='wilson')
  assert intervals.wilson(right / count, count) == pytest.approx(tuple(expected), abs=1e-5)


def test_card_has_the_recall_of_each_class_if_measured(tmp_path):
  folder = write_run(tmp_path / 'run')
  recall = section(card_of(folder), 'Recall of each class')
  assert f'python -m jaxdl.analyze {folder} --only=errors' in recall
  assert '|' not in recall
  confusion(folder, [[8, 0], [2, 6]])
  recall = section(card_of(folder), 'Recall of each class')
  assert 'on 16 test examples.' in recall
  assert '| cat | 100.00 % | 67.56 to 100.00 % | 8 |' in recall
  assert '| dog | 75.00 % | 40.93 to 92.85 % | 8 |' in recall
  confusion(folder, [[8, 0], [0, 0]])
  assert '| dog | – | – | 0 |' in section(card_of(folder), 'Recall of each class')
  confusion(folder, [[8, 0], [2, 6]], step=4)
  assert 'was not measured' in section(card_of(folder), 'Recall of each class'), (
    'the recall is from another checkpoint'
  )


def test_card_shows_the_lowest_recalls_of_many_classes(tmp_path):
  count = card.MOST_CLASSES + 20
  names = [f'class{number}' for number in range(count)]
  folder = write_run(tmp_path / 'run', classes=names)
  counts = np.diag(np.full(count, 9))
  counts[-1] = 1
  confusion(folder, counts, classes=names)
  recall = section(card_of(folder), 'Recall of each class')
  assert len(re.findall(r'^\| class', recall, re.MULTILINE)) == card.MOST_CLASSES + 1  # the head
  assert f'| class{count - 1} | 0.83 %' in recall
  assert 'The 100 classes with the lowest recall are shown.' in recall


def test_card_rejects_a_damaged_analysis(tmp_path):
  folder = write_run(tmp_path / 'run')
  confusion(folder, [[8, 0], [2, 6]])
  (folder / 'analysis/confusion.npz').write_bytes(b'not arrays')
  with pytest.raises(ValueError, match=r'confusion\.npz is not an output of jaxdl\.analyze'):
    page.write_report(folder)


def test_card_lists_what_was_not_tested(tmp_path):
  folder = write_run(tmp_path / 'run', data='cifar10')
  untested = section(card_of(folder), 'Not tested')
  assert '- Data from other sources than cifar10.' in untested
  assert '- Inputs of other sizes than 4 × 4 × 1.' in untested
  assert 'test split' not in untested
  summary = json.loads((folder / 'summary.json').read_text())
  summary['data'] = 'tfds, test split is not the original (JPEG test copy)'
  (folder / 'summary.json').write_text(json.dumps(summary))
  text = card_of(folder)
  assert '- The original data: test split is not the original (JPEG test copy).' in text
  config = json.loads((folder / 'config.json').read_text())
  del config['dataset']['examples']['test']
  (folder / 'config.json').write_text(json.dumps(config))
  assert '- Test examples: the data have no test split, so' in card_of(folder)


def test_card_leaves_out_missing_facts(tmp_path):
  folder = write_run(tmp_path / 'run')
  text = card_of(folder)
  assert 'checkpoint written on' not in text
  assert '## Checksum\n' not in text
  (folder / 'summary.json').unlink()
  (folder / 'command.txt').unlink()
  text = card_of(folder)
  assert 'The network has not been evaluated yet.' in text
  for absent in ('Versions', 'device', '```bash\npython -m jaxdl.main', 'None', '| time'):
    assert absent not in text


def test_card_of_format_1_has_the_facts_of_its_files(tmp_path):
  folder = write_run(tmp_path / 'run')
  config = json.loads((folder / 'config.json').read_text())
  for key in ('format', 'dataset', 'seed'):
    del config[key]
  (folder / 'config.json').write_text(json.dumps({**config, 'task': 'classify'}))
  text = card_of(folder)
  assert '| test accuracy | 87.50 %' in text
  assert 'shape' not in text
  assert 'run.predict' not in text, 'the scaling of the inputs, which prediction needs, is unknown'


@pytest.mark.parametrize(
  'hostile',
  [
    'a | b\n| c',
    '</script><script>alert(1)</script>',
    '[a](javascript:alert(1))',
    '![a](http://x/y.png)',
    '`code`',
    '# heading\n\n## other',
    '*a* **b**',
    '&lt;',
    'a\\',
  ],
)
def test_card_escapes_names(hostile, tmp_path):
  """Hostile names change neither the lines nor the cells nor the headings of a card."""
  texts = {}
  for name, folder in (('harmless', tmp_path / 'a'), (hostile, tmp_path / 'b')):
    write_run(folder, classes=['cat', name], data=name, device=name, versions={name: name})
    confusion(folder, [[8, 0], [2, 6]], classes=['cat', name])
    (folder / 'command.txt').write_text(name)
    texts[name] = card_of(folder)
  forms = []
  for text in texts.values():
    outside = re.sub(r'^(```+)\w+\n.*?\n\1$', 'code', text, flags=re.DOTALL | re.MULTILINE)
    plain = re.sub(r'\\[\\`*\[\]<>|#~&]', '', outside)
    assert not re.search(r'[`<>\[\]*]', plain)
    forms.append([re.sub(r'[^|#]', '', line) for line in plain.splitlines()])
  assert forms[0] == forms[1]


def test_card_code_may_contain_backticks():
  block = card.Block('a ```\nb ```` c', language='bash')
  assert card.markdown([card.Part('Code', [block])], 'x').endswith(
    '`````bash\na ```\nb ```` c\n`````\n'
  )


def test_card_follows_the_figures_in_the_report(tmp_path):
  folder = write_run(tmp_path / 'run')
  confusion(folder, [[8, 0], [2, 6]])
  card_of(folder)
  html = (folder / 'report.html').read_text()
  headings = re.findall(r'<h2 id="([^"]+)">', html)
  assert headings.index('model-card') > headings.index('figures')
  assert headings[headings.index('model-card') + 1] == 'time-and-place'
  shown = re.findall('<h3>(.*)</h3>', html)
  assert shown == [
    'Data',
    'Figures with intervals',
    'Recall of each class',
    'Not tested',
    'How to load it',
    'How it was trained',
  ], 'layers and versions are repeated, although the page has them elsewhere'
  assert '<td class="number">63.98 to 96.50 %</td>' in html


def test_card_is_not_written_for_several_runs(tmp_path):
  for name in ('a', 'b'):
    write_run(tmp_path / name)
  page.write([tmp_path / 'a', tmp_path / 'b'], tmp_path / 'compare.html')
  assert 'Model card' not in (tmp_path / 'compare.html').read_text()
  assert not list(tmp_path.rglob('card.md'))


def test_card_names_only_known_licences(tmp_path):
  """The licences of bundled data sets are documented in the package."""
  assert licences.of('cifar10') == licences.UNKNOWN
  assert licences.of('custom').name == "not known: see the data set's homepage"
  assert not licences.UNKNOWN.allows_copies
  run = record.load(write_run(tmp_path / 'run', data='cifar10'))
  assert "not known: see the data set's homepage" in str(page.one(run)['card'])
