"""The command that repeats a run."""

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
def test_a_shell_reads_a_repeated_command_as_it_was(argument, written):
  line = command.repeatable(['--quiet', argument, '--config=x.py', '--json'])
  assert shlex.split(line) == [argument, '--config=x.py']
  shell = subprocess.run(
    ['sh', '-c', f'printf "%s\\0" {line}'], capture_output=True, text=True, check=True
  )
  assert shell.stdout.split('\0')[:-1] == [argument, '--config=x.py']
  if written is not None:
    assert line == f'{written} --config=x.py'
