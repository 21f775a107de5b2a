"""Security tests of names: a class, config, layer, run or file with a hostile name is text wherever it
is shown or written.
"""

import contextlib
import csv
import dataclasses
import io
import os
import re
import sys

import numpy as np
import pytest
from helpers import ROOT
from network_helpers import network
from test_security import HOSTILE, PageParser

from jaxdl.analysis.projector import projector
from jaxdl.config import streams
from jaxdl.exports import write as exports
from jaxdl.prediction import page as prediction_page
from jaxdl.prediction import results
from jaxdl.report import card
from jaxdl.sweeps import members
from jaxdl.sweeps import table as sweeps
from jaxdl.terminal import command, progress, screen

TERMINAL = (  # sequences that a terminal executes
  '\x1b[2J',  # clears the screen
  '\x1b]0;title\x07',
  '\x1b]52;c;aGk=\x07',  # sets the clipboard
  '\x1b[31mred',
  '\x9b2J',  # ESC [ in one character
  'a\x08b',
  '\x7f',
  '\u202egnp.exe',  # shown in reverse
  '\u2066x\u2069',
)
FORBIDDEN = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]')


@pytest.mark.parametrize('name', TERMINAL)
def test_security_names_are_escaped_on_a_terminal(name, capsys, monkeypatch):
  def main(arguments):
    print(name)
    sys.stdout.writelines([name, '\n'])
    print(f'warning: {name}', file=sys.stderr)
    raise ValueError(f'{name} is unknown')

  for stream in (sys.stdout, sys.stderr):
    monkeypatch.setattr(stream, 'isatty', lambda: True)
  assert command.run(main, ['jaxdl']) == 1
  found = capsys.readouterr()
  start = len(found.err) - len(found.err.lstrip(' \r'))  # erases 'starting …'
  shown = ascii(name)[1:-1]
  assert found.out == f'{shown}\n{shown}\n'
  assert found.err[start:] == f'warning: {shown}\njaxdl: {shown} is unknown\n'


@pytest.mark.parametrize('name', TERMINAL)
def test_security_output_in_a_pipe_is_unchanged_but_its_errors_are_escaped(name, capsys):
  """A program may read the output; an error is for people, and is copied into logs."""

  def main(arguments):
    print(name)
    raise ValueError(f'{name} is unknown')

  assert command.run(main, ['jaxdl']) == 1
  found = capsys.readouterr()
  assert found.out == f'{name}\n'
  assert found.err == f'jaxdl: {ascii(name)[1:-1]} is unknown\n'


def test_security_text_on_a_terminal_is_otherwise_unchanged():
  text = 'Ünïcode …\tμ\r\n語 👍🏽 −1 × 2'
  assert screen.printable(text) == text


@pytest.mark.parametrize('name', [*TERMINAL, '[/red]', '[red]', '[link=http://x]y[/link]'])
def test_security_names_are_text_in_a_progress_display(name, capsys, monkeypatch):
  """rich reads brackets as markup, unless it is told not to."""
  monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
  monkeypatch.setenv('TTY_COMPATIBLE', '1')  # forces the terminal output of rich
  monkeypatch.setenv('COLUMNS', '200')

  def main(arguments):
    with progress.waiting(f'A{name}B') as now:
      now(f'A{name}B')
    with progress.counting(2, f'A{name}B') as advance:
      advance(1)
    with progress.show(4, first_step=0) as shown:
      shown.say(f'A{name}B')
      shown.doing(f'A{name}B')
      shown.advance(2, lambda: f'A{name}B', 3.0)
    return 0

  assert command.run(main, ['jaxdl']) == 0
  expected = f'A{screen.printable(name)}B'
  inside = re.findall('A(?:(?!A).)*?B', capsys.readouterr().out.replace('\n', ''))
  assert expected in inside  # how often it is drawn depends on the time
  assert not [text for text in inside if FORBIDDEN.search(text)]


def test_security_progress_moves_the_cursor_of_a_real_terminal(monkeypatch):
  """Only names are escaped, not the sequences of the progress display."""
  pty = pytest.importorskip('pty')
  terminal, ours = pty.openpty()
  with os.fdopen(ours, 'w') as stream:
    monkeypatch.setattr(sys, 'stdout', stream)
    monkeypatch.setenv('TERM', 'xterm')

    def main(arguments):
      with progress.waiting('reading') as now:
        now('reading \x1b[2J')
        print('printed \x1b[2J')
      return 0

    assert command.run(main, ['jaxdl']) == 0
  found = b''
  with contextlib.suppress(OSError):  # after the last byte
    while part := os.read(terminal, 100_000):
      found += part
  os.close(terminal)
  found = found.decode()
  assert 'reading \\x1b[2J' in found
  assert '\x1b[2J' not in found
  assert '\x1b[' in found


FORMULAS = (
  '=1+1',
  '+1',
  '-1',
  '@SUM(A1)',
  '=cmd|/c calc',
  '\t=1',
  '=HYPERLINK("http://x")',
  'a;=1',
)


@pytest.mark.parametrize('name', [*FORMULAS, 'a,b', '"', 'a\nb', '\x1b[2J', '\ud800'])
def test_security_csv_cells_are_written_unchanged(name, tmp_path):
  """As in pandas: programs read the file, and a changed name would not be found again.

  `docs/predicting.md` says what a spreadsheet does with such a name.
  """
  columns = ('file', 'class', name)
  with results.Writer(tmp_path / 'x.csv', columns) as writer:
    writer.rows([{'file': name, 'class': name, 'probabilities': {name: 0.5}}])
  with (tmp_path / 'x.csv').open(newline='', encoding='utf-8') as file:
    header, row = csv.reader(file)
  kept = name.encode(errors='backslashreplace').decode()
  assert header == ['file', 'class', kept]
  assert row == [kept, kept, '0.5']


@pytest.mark.parametrize('name', HOSTILE)
def test_security_names_add_no_elements_to_a_page_of_predictions(name, tmp_path):
  found = []
  for text in ('harmless', name):
    made = prediction_page.Page(tmp_path / 'page.html', text, [text], [])
    made.add(text, {text: text}, np.zeros((4, 4, 1)), [np.zeros((4, 4))], wrong=True)
    made.write(text, [(text, 1)], [text])
    found.append(PageParser((tmp_path / 'page.html').read_text(encoding='utf-8')))
  assert found[0].found == found[1].found
  assert found[1].scripts == []
  assert 'Content-Security-Policy' in (tmp_path / 'page.html').read_text(encoding='utf-8')


@pytest.mark.parametrize(
  ('name', 'folder'),
  [
    ('../../x', 'x/seed0'),
    ('/etc', 'etc/seed0'),
    ('..', '5ec1f7e7/seed0'),
    ('', 'e3b0c442/seed0'),
    ('L2 0.1', 'l2_0_1/seed0'),
    ('語 ü', 'a5a97c0b/seed0'),
    ('\x1b[2J', '2j/seed0'),
  ],
)
def test_security_choices_of_a_sweep_name_folders_inside_its_own(name, folder):
  """A name without letters must not lead to the root of the file system."""
  axes = [dict(name='a', choices=[dict(name=name)])]
  config = dict(base='../lstm_mnist.py', seeds=[0], axes=axes)
  (member,) = members.read(config, ROOT / 'configs/sweeps/x.py')
  assert member.folder == folder


def test_security_a_sweep_without_axes_has_one_folder_per_seed():
  config = dict(base='../lstm_mnist.py', seeds=[0, 1], axes=[])
  found = members.read(config, ROOT / 'configs/sweeps/x.py')
  assert [member.folder for member in found] == ['seed0', 'seed1']


MARKDOWN = (
  '<script>alert(1)</script>',
  '![x](http://x/y.png)',
  '[x](javascript:alert(1))',
  '<http://x>',
  '`code`',
  '```\nfence',
  'a\n\n# heading',
  'a\n- item',
  '| cell |',
  '<!--',
  '\\',
  '&lt;',
  '---\nx: y\n---',
)


@pytest.mark.parametrize('name', MARKDOWN)
def test_security_names_add_no_elements_to_a_model_card(name):
  markdown = pytest.importorskip('markdown')
  cards = []
  for title in ('harmless', name):
    blocks = [
      card.Block(title),
      card.Block(points=(title,)),
      card.Block(columns=('a', 'b'), rows=((title, '1'),)),
      card.Block(f'load {title}', language='bash'),
    ]
    text = card.markdown([card.Part('Part', blocks)], title)
    page = markdown.markdown(text, extensions=['tables', 'fenced_code'])
    cards.append(re.findall(r'<\w+|\b(?:href|src|onerror)=', page))
  assert cards[0] == cards[1]


@pytest.mark.parametrize('name', MARKDOWN)
def test_security_labels_add_no_elements_to_a_table_of_a_sweep(name):
  markdown = pytest.importorskip('markdown')
  found = []
  for label in ('harmless', name):
    row = {
      'label': label,
      'choices': {},
      'seeds': [0],
      'mean': {},
      'deviation': {},
      'chance': {},
      'parameters': 1,
      'reported': {},
      'seconds': 1.0,
    }
    page = markdown.markdown(sweeps.table([row]), extensions=['tables'])
    found.append(re.findall(r'<\w+|\b(?:href|src|onerror)=', page))
  assert found[0] == found[1]


@pytest.mark.parametrize('name', MARKDOWN)
def test_security_names_add_no_elements_to_the_readme_of_an_export(name):
  markdown = pytest.importorskip('markdown')
  found = []
  for title in ('harmless', name):
    layers = (dict(kind='flatten'), dict(kind='dense', features=3, name='logits'))
    exported = dataclasses.replace(network(dict(layers=layers), (4, 4, 1)), name=title)
    exported.config['dataset']['classes'] = [title, 'b', 'c']
    page = markdown.markdown(exports._readme(exported, 'onnx', '', 0.0, 1), extensions=['tables'])
    found.append(re.findall(r'<\w+|\b(?:href|src|onerror)=', page))
  assert found[0] == found[1]


@pytest.mark.parametrize(
  'name', ['<script>alert(1)</script>', '../../x', 'a/b', '\x1b[2J', 'a\tb', 'a\nb', '\u202e', '']
)
def test_security_classes_stay_in_their_cells_of_the_projector(name, tmp_path):
  projector(tmp_path, np.eye(2), np.array([0, 1]), ('cat', name), np.zeros((2, 4, 4, 1)))
  table = tmp_path / 'projector/metadata.tsv'
  lines = table.read_text(encoding='utf-8').splitlines()
  assert [line.count('\t') for line in lines] == [1, 1, 1]
  assert sorted(path.name for path in tmp_path.rglob('*') if path.is_file()) == [
    'metadata.tsv',
    'projector_config.pbtxt',
    'sprite.png',
    'tensors.tsv',
  ]


def test_security_escaped_stream_behaves_like_its_stream():
  stream = io.StringIO()
  shown = streams.Changed(stream, screen.printable)
  assert shown.write('a\x1bb') == len('a\\x1bb')
  assert not shown.isatty()
  shown.flush()
  assert stream.getvalue() == 'a\\x1bb'
