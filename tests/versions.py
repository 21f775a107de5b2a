"""Runs all tests except the slow ones in new virtual environments, one for each version of Python.

    python tests/versions.py [--lowest] [--record] [PYTHON ...]

PYTHON is the name or path of an interpreter, such as python3.13; the default is the interpreter
that runs this script. jaxdl is installed with the newest versions of its libraries, or with
`--lowest` with the lowest versions that pyproject.toml allows. The environments remain in the
checkout as `.venv-VERSION-newest` and `.venv-VERSION-lowest`. With `--record`, each run writes its
row of the table in docs/reliability.md.

The exit code is 1 if a test failed. The script needs only the standard library, on any system.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import time
from xml.etree import ElementTree

import reliability

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIBRARIES = ('jax', 'jaxlib', 'flax', 'orbax-checkpoint')
TENSORFLOW = ('tensorflow-cpu', 'tensorflow')  # the first where it has wheels


def main():
  """Runs the command; returns the exit code."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('pythons', nargs='*', metavar='PYTHON', default=[sys.executable])
  parser.add_argument('--lowest', action='store_true', help='the lowest versions of the libraries')
  parser.add_argument('--record', action='store_true', help='write to docs/reliability.md')
  options = parser.parse_args()
  failed = False
  for python in options.pythons:
    version = python_version(python)
    libraries = 'lowest' if options.lowest else 'newest'
    folder = ROOT / f'.venv-{version}-{libraries}'
    print(f'Python {version}, {libraries} libraries, in {folder}', flush=True)
    counts = measure(install(python, folder, options.lowest), libraries, options.record)
    failed = failed or not counts['passed'] or counts['failed'] > 0
  return int(failed)


def measure(python, libraries, record):
  """Runs the tests in an environment; returns the counts of the outcomes.

  Args:
    python: the interpreter of the environment.
    libraries: 'lowest' or 'newest', as they were installed.
    record: whether to write a row of the table.
  """
  counts, minutes = run_tests(python)
  if record:
    listed = output(python, '-m', 'pip', 'list', '--format=json')
    cells = (python_version(python), libraries, system(), *versions(listed), *counts.values())
    reliability.VERSIONS.record(*cells, f'{minutes:.1f}', device())
  return counts


def python_version(python):
  """The version of an interpreter, such as '3.13.0'."""
  return output(python, '-c', 'import platform; print(platform.python_version())').strip()


def output(*command):
  """Runs a command in the checkout and returns what it prints."""
  return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def install(python, folder, lowest):
  """Installs jaxdl and its test extra in a new virtual environment; returns its interpreter."""
  subprocess.run([python, '-m', 'venv', '--clear', folder], check=True)
  own = folder / ('Scripts/python.exe' if sys.platform == 'win32' else 'bin/python')
  commands = [['pip', 'install', '.[test]']]
  if lowest:
    commands = [
      ['pip', 'install', 'uv'],
      ['uv', 'pip', 'install', '--python', own, '--resolution', 'lowest-direct', '.[test]'],
    ]
  for command in commands:
    subprocess.run([own, '-m', *command], cwd=ROOT, check=True)
  return own


def run_tests(python):
  """Runs pytest in the checkout; returns the counts of the outcomes and the minutes it took."""
  environment = dict(os.environ)
  if sys.platform == 'win32':
    environment['PYTHONUTF8'] = '1'
  with tempfile.TemporaryDirectory() as folder:
    report = pathlib.Path(folder, 'report.xml')
    began = time.monotonic()
    subprocess.run(
      [python, '-m', 'pytest', f'--junitxml={report}'], cwd=ROOT, env=environment, check=False
    )
    minutes = (time.monotonic() - began) / 60
    return counts_of(report.read_bytes()), minutes


def counts_of(report):
  """Counts the tests of a JUnit report; an error of a fixture or of a file is a failure."""
  suites = [suite.attrib for suite in ElementTree.fromstring(report).iter('testsuite')]
  total = {
    name: sum(int(suite[name]) for suite in suites)
    for name in ('tests', 'failures', 'errors', 'skipped')
  }
  failed = total['failures'] + total['errors']
  return {
    'passed': total['tests'] - failed - total['skipped'],
    'failed': failed,
    'skipped': total['skipped'],
  }


def versions(listed):
  """Versions of the libraries of the table, from `pip list --format=json`.

  Returns:
    Versions of jax, jaxlib, flax, orbax and TensorFlow; 'none' for a library that is not installed.
  """
  installed = {
    re.sub('[-_.]+', '-', one['name']).lower(): one['version'] for one in json.loads(listed)
  }
  tensorflow = next((installed[name] for name in TENSORFLOW if name in installed), 'none')
  return *(installed.get(name, 'none') for name in LIBRARIES), tensorflow


def system():
  """Name of the operating system and the processor's architecture."""
  name = f'{platform.system()} {platform.release()}'
  if sys.platform == 'darwin':
    name = f'macOS {platform.mac_ver()[0]}'
  elif sys.platform == 'linux':
    with contextlib.suppress(OSError):
      name = platform.freedesktop_os_release()['PRETTY_NAME']
  return f'{name}, {platform.machine()}'


def device():
  """Number of cores and name of the processor."""
  name = platform.processor()
  if sys.platform == 'linux':
    text = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8')
    name = next(iter(re.findall(r'^model name\s*:\s*(.*)', text, re.MULTILINE)), name)
  return f'{os.cpu_count()} cores, {name}'


if __name__ == '__main__':
  sys.exit(main())
