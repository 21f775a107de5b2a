"""The command that repeats a run, and the check of --out."""

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
