"""What a checkpoint records about its origin, so that `jaxdl verify` can compare it with a replay.

The item `certificate` of a checkpoint has the checksum of the journal up to its step, the versions
and checksums of the software that computed it, and the device. Checksums of the config and the
arrays are in the item `checksums`; those of the data and of own code are in the config.
"""

import functools
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import re
import sys
from collections.abc import Mapping
from typing import Any

import jax

import jaxdl
from jaxdl.devices import parallel
from jaxdl.runs import files, integrity, keys, packed, summary

# Files of the installer, and those outside the library's folder.
INSTALLATION = re.compile(r'^\.\.|\.dist-info/|\.pyc$')


class JournalSum:
  """The running checksum of the lines of a journal.

  Args:
    text: the lines that the journal already has.
  """

  def __init__(self, text: str = ''):
    self._digest = hashlib.sha256()
    self._lines = 0
    self.add(text)

  def add(self, text: str) -> None:
    """Adds complete lines."""
    self._digest.update(text.encode())
    self._lines += text.count('\n')

  def facts(self) -> dict[str, Any]:
    """{'lines': number of lines, 'sha256': their checksum}."""
    return {'lines': self._lines, 'sha256': self._digest.hexdigest()}


def of_journal(workdir: str | os.PathLike, step: int) -> dict[str, Any]:
  """The checksum of the lines of `metrics.jsonl` up to a step, as `JournalSum.facts`."""
  file = pathlib.Path(workdir) / 'metrics.jsonl'
  text = file.read_text(encoding='utf-8', errors='replace') if file.is_file() else ''
  return JournalSum(''.join(files.lines_until(text, step))).facts()


def of_session(journal: dict[str, Any] | None, together: int) -> dict[str, Any]:
  """The certificate of a checkpoint that this process saves.

  Args:
    journal: `JournalSum.facts` of the lines up to the step of the checkpoint; None if there is no
      journal.
    together: number of runs that the program trains.

  Returns:
    Plain JSON data.
  """
  return {'journal': journal, 'together': together, 'software': software(), 'device': device()}


@functools.cache
def software() -> dict[str, str]:
  """Name → version and, where it can be computed, checksum of what computes in this process."""
  found = {name: f'{version}{_sum_of(name)}' for name, version in summary.VERSIONS.items()}
  flags = packed.command_without_paths(os.environ.get('XLA_FLAGS', ''))
  threads = {name: os.environ[name] for name in parallel.THREADS if name in os.environ}
  return {**found, 'XLA_FLAGS': flags, **threads}


def _sum_of(name):
  """' (sha256 …)' of a library's files; '' if they are not known."""
  if name == 'jaxdl':
    root = pathlib.Path(jaxdl.__file__).parent
    sources = {file.relative_to(root).as_posix(): file for file in root.rglob('*.py')}
    lines = [f'{name} {integrity.of_file(file)}' for name, file in sources.items()]
  elif name == 'Python':
    return ''
  else:  # of every file, except for what differs between installations
    lines = [
      f'{file.as_posix()} {file.hash.value}'
      for file in importlib.metadata.files(name) or ()
      if file.hash and not INSTALLATION.search(file.as_posix())
    ]
  digest = hashlib.sha256(''.join(sorted(lines)).encode()).hexdigest()
  return f' (sha256 {digest[:16]})' if lines else ''


@functools.cache
def device() -> str:
  """The devices and the processor, such as '2 x cpu, 2 cores of AMD EPYC'."""
  devices = f'{jax.device_count()} x {jax.devices()[0].device_kind}'
  return f'{devices}, {os.cpu_count()} cores of {_processor()}'


def _processor():
  """The name of the processor; on some systems only that of its architecture or family."""
  if sys.platform == 'linux':
    text = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8')
    names = re.findall(r'^model name\s*:\s*(.*)', text, re.MULTILINE)
    return names[0] if names else platform.machine()
  return platform.processor() or platform.machine()


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
  """What computes now and differs from what a certificate records.

  Args:
    before: a certificate.
    now: another one, such as `of_session(None, 1)`.

  Returns:
    One text for each difference, such as 'jaxlib 0.10.2, now 0.12.0'.
  """
  pairs = {'device': (before.get('device'), now.get('device'))}
  old, new = before.get('software', {}), now.get('software', {})
  pairs |= {name: (old.get(name), new.get(name)) for name in {**old, **new}}
  return [f'{name} {old}, now {new}' for name, (old, new) in pairs.items() if old != new]


def fault(found: Any) -> str | None:
  """What is wrong with a certificate that was read from a file; None if nothing is."""
  if not isinstance(found, dict):
    return 'is not an object'
  journal = found.get('journal')
  if journal is not None and not (
    isinstance(journal, dict)
    and keys.is_count(journal.get('lines'))
    and keys.is_text(journal.get('sha256'))
  ):
    return 'has a wrong journal'
  if not keys.is_count(found.get('together')) or not keys.is_text(found.get('device')):
    return 'lacks together or device'
  software = found.get('software')
  if not isinstance(software, dict) or not all(map(keys.is_text, software.values())):
    return 'has a wrong software'
  return None
