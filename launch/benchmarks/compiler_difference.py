"""Compares what XLA's CPU compiler computes with its YNN fusions on and off.

    python -m launch.benchmarks.compiler_difference [--only=programs,configs,analyses]
    [--programs=300] [--first=0] [--names=cnn_mnist,…] [--fusions=default,individual_dot]

Three kinds of cases, which are defined in `compiler_programs` and `compiler_cases`:

- random small programs, judged by NumPy in float64 with a bound on the rounding error of float32;
- the training step and the evaluations of every config, and every analysis. Each array may differ
  from the one without the fusions by what a change of the parameters by one rounding causes, and
  by the rounding of sums. The outputs for some examples are also compared with the NumPy
  reference.

Child processes compute the cases, so that a crash or an endless loop is one wrong case. Prints a
Markdown table and every wrong case; the exit code is 1 if there are any. The programs need only
jax and NumPy, and so run with any jaxlib.
"""

import argparse
import dataclasses
import json
import math
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxdl.devices import compiler
from launch.benchmarks import compiler_programs

FUSIONS = {'off': '', 'default': None, 'individual_dot': 'individual_dot'}  # values of the flag
KINDS = ('programs', 'configs', 'analyses')
SECONDS = 300  # longest time without a new result
CONTROLS = 32  # multiple of the effect of one rounding of the parameters that is allowed
TERMS = 1 << 14  # of a sum whose rounding is allowed
ROUNDING = 8 * math.sqrt(TERMS) * compiler_programs.UNIT  # relative to an array's largest value
ROOT = pathlib.Path(__file__).parents[2]
MEASURES_ROUNDING = 1e-6  # figures below it, such as a completeness error, are themselves rounding
Arrays = Mapping[str, np.ndarray]


class UnknownFusionsError(ValueError):
  """The installed jaxlib does not know the flag, or a value of it."""


def flags_of(fusions: str) -> str:
  """The value of XLA_FLAGS for one of FUSIONS; other flags are kept."""
  others = [
    flag
    for flag in shlex.split(os.environ.get('XLA_FLAGS', ''))
    if flag.partition('=')[0] != compiler.FLAG
  ]
  value = FUSIONS[fusions]
  return ' '.join([*others, *([] if value is None else [f'{compiler.FLAG}={value}'])])


def compute(cases: Sequence[str], folder: pathlib.Path, fusions: str) -> None:
  """Computes cases in this process, and writes the arrays of each as soon as they are known.

  Args:
    cases: names of cases.
    folder: for the results, and for the networks of the analyses in its parent folder.
    fusions: one of FUSIONS.
  """
  os.environ['XLA_FLAGS'] = flags_of(fusions)  # without the flag that `import jaxdl` adds
  if fusions == 'off':  # which computes the programs of jaxdl twice
    os.environ['JAX_ENABLE_COMPILATION_CACHE'] = '1'
    os.environ['JAX_COMPILATION_CACHE_DIR'] = str(folder / 'compiled')
    os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.05'
  for case in cases:
    if case.startswith('program/'):
      program = compiler_programs.named(case.partition('/')[2])
      arrays = {'excess': np.array(program.excess(program.compiled()))}
    else:
      from launch.benchmarks import compiler_cases

      arrays = compiler_cases.arrays_of(case, folder.parent / 'networks', fusions == 'off')
    file = file_of(case, folder)
    np.savez(file.with_suffix('.part.npz'), **as_numbered(arrays))
    file.with_suffix('.part.npz').rename(file)  # complete, or absent


def file_of(case: str, folder: pathlib.Path) -> pathlib.Path:
  """The file of a case's results."""
  return folder / f'{re.sub("[^a-z0-9_]+", "-", case)}.npz'


def as_numbered(arrays: Arrays) -> dict[str, np.ndarray]:
  """Arrays for an .npz, whose names cannot hold every character."""
  names = np.array(json.dumps(list(arrays)))
  return {'names': names, **{str(place): array for place, array in enumerate(arrays.values())}}


def read(file: pathlib.Path) -> dict[str, np.ndarray]:
  """The arrays that `compute` wrote."""
  with np.load(file) as found:
    return {name: found[str(place)] for place, name in enumerate(json.loads(str(found['names'])))}


def run(
  cases: Sequence[str], folder: pathlib.Path, fusions: str, seconds: float = SECONDS
) -> dict[str, str]:
  """Computes cases in child processes; a new one takes over after a crash.

  Args:
    cases: names of cases.
    folder: for the results, created.
    fusions: one of FUSIONS.
    seconds: longest time without a new result, after which a process is ended.

  Returns:
    Case → why it has no result.

  Raises:
    UnknownFusionsError: no process can start with these fusions.
  """
  folder.mkdir(parents=True, exist_ok=True)
  failures: dict[str, str] = {}
  waiting = [case for case in cases if not file_of(case, folder).exists()]
  while waiting:
    why = _until_end(waiting, folder, fusions, seconds)
    before, waiting = waiting, [case for case in waiting if not file_of(case, folder).exists()]
    if before == waiting and not failures and not _starts(fusions):
      raise UnknownFusionsError(f'jaxlib cannot start with XLA_FLAGS={flags_of(fusions)!r}')
    if waiting:
      failures[waiting.pop(0)] = why
  return failures


def _starts(fusions):
  """Whether JAX starts; an unknown flag or value ends the process."""
  code = 'import jax; jax.jit(lambda x: x + 1)(1.0).block_until_ready()'
  return (
    subprocess.run(
      [sys.executable, '-c', code], env=_environment(fusions), capture_output=True
    ).returncode
    == 0
  )


def _environment(fusions):
  return {
    **os.environ,
    'XLA_FLAGS': flags_of(fusions),
    'JAX_PLATFORMS': 'cpu',
    'JAX_ENABLE_COMPILATION_CACHE': '0',
  }


def _until_end(cases, folder, fusions, seconds):
  """Runs one child process; returns how it ended."""
  command = [sys.executable, '-m', __spec__.name, f'--compute={folder}', f'--fusions={fusions}']
  with tempfile.TemporaryFile('w+', encoding='utf-8') as errors:
    child = subprocess.Popen(
      [*command, *cases],
      cwd=ROOT,
      env=_environment(fusions),
      stdout=subprocess.DEVNULL,
      stderr=errors,
    )
    done, since = -1, time.monotonic()
    while child.poll() is None:
      time.sleep(0.2)
      found = sum(file_of(case, folder).exists() for case in cases)
      if found > done:
        done, since = found, time.monotonic()
      if time.monotonic() - since > seconds:
        child.kill()
        child.wait()
        return f'no result after {seconds:g} s'
    errors.seek(0)
    lines = errors.read().strip().splitlines() or ['']
  if child.returncode < 0:
    return f'ended by signal {-child.returncode}'
  return lines[-1]


def differences(found: Arrays, expected: Arrays) -> dict[str, float]:
  """Name of an array → its greatest difference, divided by the allowed one.

  Args:
    found: the arrays of a case.
    expected: the arrays without the fusions, and with 'control/…' those with changed parameters.

  Returns:
    A value above 1 means that they differ by more than rounding; infinite if only one has the
    array, or with another shape or text. NaN if rounding decides the shape of the array.
  """
  changed = {name[8:]: array for name, array in expected.items() if name.startswith('control/')}
  wanted = {
    name: array
    for name, array in expected.items()
    if not name.startswith(('control/', 'reference/'))
  }
  names = wanted.keys() | {name for name in found if not name.startswith('reference/')}
  return {
    name: _difference(found.get(name), wanted.get(name), changed.get(name, wanted.get(name)))
    for name in sorted(names)
  }


def _difference(found, expected, control):
  shapes = [None if array is None else array.shape for array in (found, expected, control)]
  if shapes[1] != shapes[2]:
    return math.nan
  if shapes[0] != shapes[1]:
    return math.inf
  if expected.dtype.kind not in 'biuf':
    return 0.0 if (found == expected).all() else math.inf
  found, expected, control = (array.astype(np.float64) for array in (found, expected, control))
  finite = np.isfinite(expected)
  if not (np.isfinite(found) == finite).all():
    return math.inf if (np.isfinite(control) == finite).all() else math.nan
  found, expected, control = (np.where(finite, array, 0) for array in (found, expected, control))
  largest = np.abs(expected).max(initial=0)
  is_figure = expected.size == 1
  if is_figure and 0 < largest < MEASURES_ROUNDING and np.abs(found).max() < MEASURES_ROUNDING:
    return math.nan
  allowed = CONTROLS * np.abs(control - expected).max(initial=0) + ROUNDING * largest
  difference = np.abs(found - expected).max(initial=0)
  return float(difference / max(allowed, compiler_programs.SMALLEST)) if difference else 0.0


def against_reference(found: Arrays) -> dict[str, float]:
  """Name → the greatest difference from the NumPy reference, divided by the allowed one."""
  return {
    name: _difference(found[name[10:]], array, array)
    for name, array in found.items()
    if name.startswith('reference/')
  }


@dataclasses.dataclass(frozen=True)
class Judged:
  """The outcome of a case.

  Attributes:
    wrong: lines about what is wrong.
    ratio: the greatest difference, divided by the allowed one.
    arrays: number of compared arrays.
    undecided: number of those whose shape rounding decides, which are not compared.
  """

  wrong: list[str]
  ratio: float = 0.0
  arrays: int = 0
  undecided: int = 0


def judged(case: str, folder: pathlib.Path, fusions: str) -> Judged:
  """Compares the results of a case with those without the fusions, and with NumPy.

  Args:
    case: name of the case.
    folder: its folders 'off' and `fusions` have the results.
    fusions: one of FUSIONS.
  """
  found, off = read(file_of(case, folder / fusions)), file_of(case, folder / 'off')
  if case.startswith('program/'):
    excess, wrong = float(found['excess']), []
    if excess > 1:
      program = compiler_programs.named(case.partition('/')[2])
      wrong = [f'the error is {excess:.3g} times its bound: {program}']
    return Judged(wrong, excess, 1)
  ratios = against_reference(found)
  if fusions != 'off' and off.exists():
    ratios |= differences(found, read(off))
  known = {name: ratio for name, ratio in ratios.items() if not math.isnan(ratio)}
  wrong = [
    f'{name}: the difference from {_judge(name)} is {ratio:.3g} times the allowed one'
    for name, ratio in known.items()
    if ratio > 1
  ]
  return Judged(wrong, max(known.values(), default=0.0), len(ratios), len(ratios) - len(known))


def _judge(name):
  return 'NumPy' if name.startswith('reference/') else 'off'


def cases_of(given: argparse.Namespace) -> list[str]:
  """The cases that the command line selects."""
  kinds = given.only.split(',')
  found = []
  if 'programs' in kinds:
    names = compiler_programs.names(given.programs, given.first)
    found += [f'program/{name}' for name in names]
  if {'configs', 'analyses'} & set(kinds):
    from launch.benchmarks import compiler_cases

    found += compiler_cases.config_cases() if 'configs' in kinds else []
    found += compiler_cases.analysis_cases() if 'analyses' in kinds else []
  if given.names:
    wanted = given.names.split(',')
    found = [case for case in found if case in wanted or case.split('/')[1] in wanted]
  return found


def compare(
  cases: Sequence[str],
  folder: pathlib.Path,
  fusions: Sequence[str],
  report: Callable[[str], None] = lambda line: None,
  seconds: float = SECONDS,
) -> dict[str, dict[str, list[str]]]:
  """Computes and judges cases.

  Args:
    cases: names of cases.
    folder: for all results; cases whose results it has are not computed again.
    fusions: some of FUSIONS, which are compared with 'off'.
    report: function of a row of the table.
    seconds: as in `run`.

  Returns:
    One of FUSIONS → case → lines about what is wrong in it; only wrong cases.
  """
  found = {}
  for name in ('off', *[one for one in fusions if one != 'off']):
    try:
      failures = {case: [why] for case, why in run(cases, folder / name, name, seconds).items()}
    except UnknownFusionsError:
      report(f'| {name} | unknown to this jaxlib | 0 | 0 | 0 | 0 | – |')
      continue
    outcomes = {
      case: Judged(failures[case]) if case in failures else judged(case, folder, name)
      for case in cases
    }
    found[name] = {case: one.wrong for case, one in outcomes.items() if one.wrong}
    for row in dict.fromkeys(map(_row, cases)):
      some = [one for case, one in outcomes.items() if _row(case) == row]
      numbers = [
        str(len(some)),
        str(sum(bool(one.wrong) for one in some)),
        f'{sum(one.arrays for one in some):,}',
        f'{sum(one.undecided for one in some):,}',
        f'{max(one.ratio for one in some):.2g}',
      ]
      report(f'| {" | ".join([name, row, *numbers])} |')
  return found


def _row(case):
  kind, name, _ = [*case.split('/'), ''][:3]
  if kind != 'program':
    return f'{kind} `{name}`'
  return name if name in compiler_programs.REPRODUCERS else 'random programs'


def main(arguments: Sequence[str]) -> int:
  """Runs the command; returns the exit code."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--only', default=','.join(KINDS), help='kinds of cases, comma-separated')
  parser.add_argument('--programs', type=int, default=300, help='number of random programs')
  parser.add_argument('--first', type=int, default=0, help='seed of the first random program')
  parser.add_argument('--names', help='names of configs, networks or cases, comma-separated')
  parser.add_argument('--fusions', default='default,individual_dot', help='compared with off')
  parser.add_argument('--folder', help='for the results; they are kept, and not computed again')
  parser.add_argument('--seconds', type=float, default=SECONDS, help='longest time of a case')
  parser.add_argument('--compute', help=argparse.SUPPRESS)  # a child process
  parser.add_argument('cases', nargs='*', help=argparse.SUPPRESS)
  given = parser.parse_args(arguments)
  if given.compute:
    compute(given.cases, pathlib.Path(given.compute), given.fusions)
    return 0
  unknown = set(given.only.split(',')) - set(KINDS) | set(given.fusions.split(',')) - set(FUSIONS)
  if unknown:
    parser.error(
      f'{", ".join(sorted(unknown))} is unknown: use {", ".join(KINDS)} in --only and '
      f'{", ".join(FUSIONS)} in --fusions'
    )
  cases = cases_of(given)
  if not cases:
    parser.error(f'--names={given.names} are no cases of {given.only}')
  print('| fusions | cases | tried | wrong | arrays | rounding decides | largest / allowed |')
  print('|---|---|---:|---:|---:|---:|---:|', flush=True)
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(given.folder or temporary).absolute()
    found = compare(
      cases,
      folder,
      given.fusions.split(','),
      lambda line: print(line, flush=True),
      given.seconds,
    )
  for name, wrong in found.items():
    for case, lines in wrong.items():
      for line in lines:
        print(f'{name}: {case}: {line}', file=sys.stderr)
  return 1 if any(found.values()) else 0


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
