"""The tables of docs/reliability.md, and the script that runs the tests on several versions."""

import json
import pathlib
import sys

import pytest
import versions
from reliability import COUNTS, PAGE, VERSIONS

REPORT = b"""<testsuites><testsuite tests="11" failures="2" errors="1" skipped="3" time="5"/>
<testsuite tests="4" failures="0" errors="0" skipped="0" time="5"/></testsuites>"""


def test_reliability_replaces_one_row_of_the_table():
  text = 'before\n<!-- reliability -->\n<!-- /reliability -->\nafter\n'
  text = COUNTS.with_row(text, 'kills', 3, 2, 'a day')
  text = COUNTS.with_row(text, 'bits flipped', 2000, 2000, 'a day')
  assert COUNTS.with_row(text, 'kills', 30, 30, 'another day') == (
    'before\n<!-- reliability -->\n'
    '| what | tried | as promised | measured |\n'
    '|---|---:|---:|---|\n'
    '| bits flipped | 2,000 | 2,000 | a day |\n'
    '| kills | 30 | 30 | another day |\n'
    '<!-- /reliability -->\nafter\n'
  )


def test_reliability_page_has_no_failures():
  rows = COUNTS.rows(PAGE.read_text(encoding='utf-8'))
  assert rows
  for what, tried, kept, _ in rows:
    assert tried == kept, what


def test_versions_have_one_row_per_python_libraries_and_system():
  text = '<!-- versions -->\n<!-- /versions -->\n'
  others = ['x'] * (len(VERSIONS.columns) - 3)
  for name in ('3.12.1', '3.13.0', '3.12.1'):
    for libraries in ('newest', 'lowest'):
      text = VERSIONS.with_row(text, name, libraries, 'Linux', *others)
  found = [row[:3] for row in VERSIONS.rows(text)]
  assert found == [
    [name, libraries, 'Linux']
    for name in ('3.12.1', '3.13.0')
    for libraries in ('lowest', 'newest')
  ]


def test_versions_counts_errors_as_failures():
  assert versions.counts_of(REPORT) == {'passed': 9, 'failed': 3, 'skipped': 3}


@pytest.mark.parametrize('tensorflow', ['tensorflow', 'tensorflow_cpu'])
def test_versions_reads_the_list_of_installed_libraries(tensorflow):
  installed = {'jax': '0.12', 'jaxlib': '0.13', 'orbax_checkpoint': '1.0', tensorflow: '2.0'}
  listed = json.dumps([{'name': name, 'version': number} for name, number in installed.items()])
  assert versions.versions(listed) == ('0.12', '0.13', 'none', '1.0', '2.0')


@pytest.mark.parametrize(('platform', 'place'), [('linux', 'bin'), ('win32', 'Scripts')])
@pytest.mark.parametrize('lowest', [False, True])
def test_versions_installs_in_a_new_environment(lowest, platform, place, monkeypatch):
  ran = []
  monkeypatch.setattr(sys, 'platform', platform)
  monkeypatch.setattr(versions.subprocess, 'run', lambda command, **_: ran.append(command))
  own = versions.install('python3.13', pathlib.Path('new'), lowest)
  assert own.parent == pathlib.Path('new', place)
  assert ran[0] == ['python3.13', '-m', 'venv', '--clear', pathlib.Path('new')]
  assert [command[0] for command in ran[1:]] == [own] * (1 + lowest)
  assert ran[-1][-1] == '.[test]'
  assert ('lowest-direct' in ran[-1]) is lowest
