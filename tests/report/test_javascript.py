"""Tests of the script of the report page: its bundle and its own tests, which node runs."""

import json
import shutil
import subprocess

import pytest
from helpers import ROOT

FOLDER = ROOT / 'jaxdl/report/javascript'


def node(*arguments):
  """Runs node in the folder of the sources; skips the test if its packages are not installed."""
  if shutil.which('node') is None:
    pytest.skip('node is not installed: apt install nodejs npm')
  if not (FOLDER / 'node_modules').is_dir():
    pytest.skip(f'node_modules is missing: npm ci --prefix {FOLDER}')
  return subprocess.run(['node', *arguments], cwd=FOLDER, capture_output=True, text=True)


def test_committed_bundle_is_current():
  check = node('build.mjs', '--check')
  assert check.returncode == 0, check.stderr


def test_tests_in_javascript_pass():
  run = node('--test')
  assert run.returncode == 0, run.stdout


def test_lock_file_has_no_addresses_of_downloads():
  packages = json.loads((FOLDER / 'package-lock.json').read_text())['packages']
  assert {'node_modules/esbuild', 'node_modules/@biomejs/biome'} <= packages.keys()
  assert not any('resolved' in package for package in packages.values())
