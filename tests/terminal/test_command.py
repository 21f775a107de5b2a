"""The command that repeats a run, and the check of --out."""

import io
import re
import shlex
import subprocess

import pytest

from jaxdl.terminal import command


@pytest.mark.parametrize(
  ('argument', 'written'),
  [
    ('--config.seed=1', '--config.seed=1'),
    ('--config.train_for=2 steps', "'--config.train_for=2 steps'"),
    ("--config.data.splits=dict(train='train[:85%]')", '--config.data.splits="dict(train=\'train[:85%]\')"'),
    ("it's", '"it\'s"'),
    ("--a='$HOME' `x`!", None),
    ("--a='\"'", None),
    ("--a='\\'", None),
    ("--it's=1", None),
    ("--a='x\ny'", None),
  ],
)  # fmt: skip
def test_repeated_command_has_the_same_arguments_in_a_shell(argument, written):
  line = command.repeatable(['--quiet', argument, '--config=x.py', '--json'])
  assert shlex.split(line) == [argument, '--config=x.py']
  shell = subprocess.run(
    ['sh', '-c', f'printf "%s\\0" {line}'], capture_output=True, text=True, check=True
  )
  assert shell.stdout.split('\0')[:-1] == [argument, '--config=x.py']
  if written is not None:
    assert line == f'{written} --config=x.py'


@pytest.mark.parametrize(
  ('encoding', 'text', 'shown'),
  [
    ('utf-8', '\udcff 漢', '\\udcff 漢'),
    ('ascii', 'é 漢 …', r'\xe9 \u6f22 \u2026'),
    ('cp1252', 'é 漢 …', 'é \\u6f22 …'),
  ],
)
def test_any_text_is_printed(encoding, text, shown, monkeypatch):
  """Invalid names of files, and characters that a terminal does not have."""
  output = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
  monkeypatch.setattr('sys.stdout', output)
  assert command.run(lambda _: print(text) or 0, ['x']) == 0
  assert output.buffer.getvalue().decode(encoding) == f'{shown}\n'


def test_text_that_cannot_be_written_is_a_one_line_error(capsys):
  assert command.run(lambda _: len('a/b\n\udcff'.encode()), ['x']) == 1
  expected = r"jaxdl: 'a/b\n\udcff' cannot be written as utf-8: rename the file or folder"
  assert capsys.readouterr().err == f'{expected}\n'


def test_inputs_after_two_dashes_may_look_like_flags(tmp_path):
  (tmp_path / 'config.json').touch()
  parser = command.Parser(name='predict', run='a run', inputs='images')
  parser.add_argument('--page', action='store_true')
  run = str(tmp_path)
  for given in (
    [f'--workdir={run}', '--page', '--', '-x', '--page'],
    [run, '--page', '--', '-x', '--page'],
    ['--page', '--', run, '-x', '--page'],
  ):
    chosen = parser.parse_args(given)
    assert (chosen.workdir, chosen.inputs, chosen.page) == (run, ['-x', '--page'], True)


def test_flag_may_have_the_value_of_two_dashes():
  parser = command.Parser(name='predict')
  parser.add_argument('--workdir')
  assert parser.parse_args(['--workdir=--']).workdir == '--'


@pytest.mark.parametrize(
  ('out', 'error', 'message'),
  [
    ('folder', IsADirectoryError, r' is a folder: name a file in it, such as .*folder/a\.csv$'),
    ('a.txt', ValueError, r' is not a \.csv or \.jsonl file: name one, such as a\.csv$'),
    ('b/a.csv', FileNotFoundError, r': the folder .*b does not exist: create it, or name another$'),
  ],
)
def test_output_file_errors_name_the_fix(out, error, message, tmp_path):
  (tmp_path / 'folder').mkdir()
  out = tmp_path / out
  with pytest.raises(error, match=f'^--out={re.escape(str(out))}{message}'):
    command.output_file(out, example='a.csv', suffixes=('.csv', '.jsonl'))


def test_output_file_is_a_path_in_an_existing_folder(tmp_path):
  out = tmp_path / 'A.CSV'
  assert command.output_file(str(out), example='a.csv', suffixes=['.csv']) == out
  assert command.output_file(tmp_path / 'a', example='a.csv') == tmp_path / 'a'
