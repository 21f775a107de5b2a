"""What every command line shares: its help, errors of one line, exit codes, a quiet screen, and
compiled programs that are kept between runs.
"""

import argparse
import contextlib
import functools
import io
import json
import os
import pathlib
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from jaxdl.config import arguments as of_arguments
from jaxdl.config import spelling
from jaxdl.terminal import start

QUIET = '--quiet'
JSON = '--json'
START_OVER = '--start-over'
TRACEBACK = 'JAXDL_TRACEBACK'  # the environment variable that asks for the traceback of an error
STOPPED = 75  # exit code of a command that a signal stopped and that resumes (EX_TEMPFAIL)
BAD_INPUT = (ValueError, OSError, FloatingPointError)
OUT_OF_MEMORY = ('RESOURCE_EXHAUSTED', 'Out of memory')  # of XLA, on any device
LESS_TO_TRAIN = (
  'use a smaller config.data.batch_size or config.data.evaluation_batch_size, a smaller '
  "model, or config.precision='bfloat16'"
)
KINDS = {  # name of a flag's type → the values that it accepts
  'int': 'whole number',
  'float': 'number',
  'seed': 'whole number from 0 to 4294967295',
}


class Parser(argparse.ArgumentParser):
  """argparse whose errors are ValueErrors, which `run` prints in one line, and whose help ends with
  examples.

  Args:
    name: the command, such as 'main' for `python -m jaxdl.main`; None for no command.
    called: how the command was called, `arguments[0]`: help names 'jaxdl train' where this is it.
    examples: command lines, a line each, which begin with `python -m jaxdl.<name>`; further text
      may follow them.
    config: a config file to name as an example, where the command takes --config=FILE and
      --config.KEY=VALUE.
    quiet: whether the command has --quiet and --json, which concern its last line, the result.
    run: what the help says of the run's folder, where the command takes one as DIR or
      --workdir=DIR.
    **keywords: of argparse.ArgumentParser.
  """

  def __init__(
    self,
    *,
    name: str | None = None,
    called: str = '',
    examples: str = '',
    config: str | None = None,
    quiet: bool = False,
    run: str | None = None,
    **keywords: Any,
  ):
    if name is not None:
      module = f'python -m jaxdl.{name}'
      keywords['prog'] = called if called.startswith(('jaxdl ', 'python -m jaxdl ')) else module
      examples = examples.replace(module, keywords['prog'])
    usage = config and '%(prog)s --config=FILE [--config.KEY=VALUE ...] [options]'
    super().__init__(
      usage=usage,
      epilog=examples and f'examples:\n{examples}',
      allow_abbrev=False,
      formatter_class=functools.partial(argparse.RawDescriptionHelpFormatter, max_help_position=28),
      **keywords,
    )
    self.config, self.run = config, run
    if config:
      what = 'sweep' if 'sweeps/' in config else 'experiment'
      self.add_argument('--config', metavar='FILE', help=f'the {what}, such as {config}')
    if quiet:
      self.add_argument(
        QUIET, action='store_true', help='print only the result, as JSON, and warnings and errors'
      )
      self.add_argument(
        JSON,
        action='store_true',
        help='print the result as JSON in the last line, as without a terminal',
      )
    if run:
      self.add_argument('run', nargs='?', metavar='DIR', help=run)
      self.add_argument('--workdir', metavar='DIR', help='another way to give DIR')

  def add_start_over(self) -> None:
    """Adds --start-over, without which a run whose checkpoints are all damaged is refused."""
    self.add_argument(
      START_OVER,
      action='store_true',
      help='start again at step 1 where all checkpoints of a run are damaged',
    )

  def parse_args(  # pyright: ignore[reportIncompatibleMethodOverride]
    self, arguments: Sequence[str]
  ) -> argparse.Namespace:
    chosen, rest = self.parse_known_args(arguments)
    if rest:
      self._refuse(rest)
    if self.run:
      given = [folder for folder in (chosen.run, chosen.workdir) if folder is not None]
      if len(given) != 1:
        found = f', not {" and ".join(given)}' if given else ''
        self.error(f'give the folder of one run, DIR or --workdir=DIR{found}')
      (chosen.workdir,) = given
      _check_run(chosen.workdir)
    return chosen

  def error(self, message: str) -> NoReturn:
    _, required, names = message.partition('the following arguments are required: ')
    raise ValueError(f'{f"missing: {names}" if required else message}: see {self.prog} --help')

  def _refuse(self, unknown: list[str]) -> NoReturn:
    """Raises ValueError for arguments that the command does not have."""
    message = f'unrecognized arguments: {" ".join(unknown)}'
    flags = [word.partition('=')[0][2:] for word in unknown if word.startswith('--')]
    known = [flag[2:] for flag in self._option_string_actions]
    near = [flag for flag in (spelling.nearest(word, known) for word in flags) if flag]
    if near:
      raise ValueError(f'{message}: did you mean --{near[0]}?')
    if self.run and not flags:
      raise ValueError(f'{message}: give the folder of one run')
    self.error(message)

  def _check_value(self, action: argparse.Action, value: Any) -> None:
    if action.choices is None or value in action.choices:
      return
    valid = [str(choice) for choice in action.choices]
    near = spelling.nearest(value, valid)
    fix = f'did you mean {near}?' if near else f'use {", ".join(valid)}'
    raise ValueError(f'{_name(action)}={value} is unknown: {fix}')

  def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
    try:
      return super()._get_value(action, arg_string)
    except argparse.ArgumentError as error:
      if isinstance(error.__context__, argparse.ArgumentTypeError):
        self.error(str(error))  # the message of the type itself
      kind = getattr(action.type, '__name__', str(action.type))
    self.error(f'{_name(action)}={arg_string!r} is no {KINDS.get(kind, kind)}')

  def _match_argument(self, action: argparse.Action, arg_strings_pattern: str) -> int:
    try:
      return super()._match_argument(action, arg_strings_pattern)
    except argparse.ArgumentError:
      self.error(f'{_name(action)} has no value')

  def without_config(self, rest: list[str]) -> str:
    """The message where --config is missing.

    Args:
      rest: the arguments that are no flags of the command. Among them may be --config misspelt, or
        a config file or a run without the flag.
    """
    flags = [
      argument.partition('=')[0] for argument in rest if not argument.startswith('--config.')
    ]
    if near := spelling.nearest('--config', flags):
      return f'{near} is unknown: did you mean --config?'
    for command in [pathlib.Path(argument) / 'command.txt' for argument in rest]:
      if command.is_file():
        return f'--config is missing: {command.parent} is the run of {command.read_text().strip()}'
    given = next(
      (argument for argument in rest if argument.endswith('.py') and argument[0] != '-'),
      self.config,
    )
    return f'--config is missing: give one, such as --config={given}'


def _name(action: argparse.Action) -> str:
  """'--kind' of a flag, 'NAME' of an argument without one."""
  return '/'.join(action.option_strings) or str(action.metavar or action.dest)


def print_result(found: Any, *, as_json: bool) -> None:
  """Prints the result of a command as one line of JSON, the last line of its output.

  On a terminal the line is left out unless --json or --quiet asks for it: what a person reads of
  the result is above it.

  Args:
    found: plain JSON data.
    as_json: whether --json was given.
  """
  if as_json or not sys.stdout.isatty():
    print(json.dumps(found))


def check_folder(folder: str | os.PathLike) -> None:
  """Raises NotADirectoryError or FileNotFoundError, which names the closest folder, where a folder
  does not exist.
  """
  place = pathlib.Path(folder)
  if place.is_file():
    raise NotADirectoryError(f'{folder} is a file: give the folder of a run')
  if not place.exists():
    beside = [other.name for other in place.parent.glob('*') if other.is_dir()]
    near = spelling.nearest(place.name, beside)
    fix = 'give the folder of a run that was trained'
    if near:
      fix = f'did you mean {place.parent / near}?'
    raise FileNotFoundError(f'{folder} does not exist: {fix}')


def _check_run(folder):
  place = pathlib.Path(folder)
  check_folder(place)
  if (place / 'config.json').exists():
    return
  inside = [file for below in ('*', '*/*') for file in sorted(place.glob(f'{below}/config.json'))]
  if inside:
    raise FileNotFoundError(f'{folder} holds runs: give one of them, such as {inside[0].parent}')


def repeatable(arguments: list[str]) -> str:
  """The arguments of a command, quoted for a shell, without --quiet, --json and --start-over."""
  return shlex.join(argument for argument in arguments if argument not in (QUIET, JSON, START_OVER))


def step(text: str) -> int | str:
  """The type of a --step: 'best', 'last' or a number."""
  return int(text) if text.isdecimal() else text


def seed(text: str) -> int:
  """The type of a --seed: a whole number from 0 to 4294967295."""
  if not text.isdecimal() or int(text) >= 2**32:
    raise ValueError
  return int(text)


def run(
  main: Callable[[list[str]], int],
  arguments: list[str],
  *,
  less_memory: str = 'give it less to do at a time',
) -> int:
  """Runs `main(arguments)`; an error of the input or the machine becomes one line on standard
  error.

  Those of the machine are exhausted memory and an absent device. Set JAXDL_TRACEBACK=1 to see where
  an error comes from.

  Args:
    main: function (arguments) → exit code.
    arguments: the program's name, then the arguments of the command line.
    less_memory: what to change where the command runs out of memory.

  Returns:
    The exit code: main's own (0, or STOPPED after a signal that it handled), 1 after one of these
    errors, 130 after a Ctrl-C that main did not handle, or 141 where the reader of its output has
    gone.
  """
  start.end()
  _quiet()
  _keep_compiled_programs()
  printed = io.StringIO()
  try:
    with contextlib.redirect_stdout(printed) if QUIET in arguments else contextlib.nullcontext():
      code = main(arguments)
  except BrokenPipeError:  # its reader, such as `head`, has read enough
    os.dup2(
      os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
    )  # else Python complains when it ends
    return 141
  except (*BAD_INPUT, RuntimeError, MemoryError, AssertionError) as error:
    line = _of_the_runtime(error, less_memory)
    if os.environ.get(TRACEBACK) or (line is None and not isinstance(error, BAD_INPUT)):
      raise
    line = line or ' '.join(of_arguments.as_flags(error).splitlines()) or type(error).__name__
    line = line.encode(errors='backslashreplace').decode()  # also a file name that is no text
    print(f'jaxdl: {line}', file=sys.stderr)
    return 1
  except KeyboardInterrupt:
    print(
      'jaxdl: interrupted: rerun the command to start again, or to resume from the last checkpoint',
      file=sys.stderr,
    )
    return 130
  print(*printed.getvalue().splitlines()[-1:], end='\n' if printed.getvalue() else '')
  return code


def _of_the_runtime(error, less_memory):
  """One line for exhausted memory or an absent device, with a fix; None for any other error."""
  text = str(error)
  first = text.partition('\n')[0].rstrip('. ')
  request = f'{TRACEBACK}=1 shows the traceback'
  if isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
    return f'memory is exhausted ({first or type(error).__name__}): {less_memory}; {request}'
  if isinstance(error, (RuntimeError, AssertionError)) and not _has_backend():
    import jax

    platforms = getattr(jax.config, 'jax_platforms')  # noqa: B009 - unknown to pyright
    if platforms:
      return (
        f'JAX_PLATFORMS={platforms} is not available here: unset JAX_PLATFORMS, or install JAX for '
        f"the device, such as pip install 'jax[cuda13]'; {request}"
      )
    return f'JAX finds no device ({first}): set JAX_PLATFORMS=cpu; {request}'
  return None


def _has_backend():
  """Whether JAX can start on the configured platform."""
  import jax

  try:
    jax.default_backend()
  except (RuntimeError, AssertionError):
    return False
  return True


def _quiet():
  """Keeps the messages of libraries off the screen."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  # Else TensorFlow reports them at any level on CPUs that have AVX-512 VNNI.
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  import logging

  from absl import logging as of_libraries

  of_libraries.set_verbosity(of_libraries.FATAL)  # what they report as an error is raised, too
  for name in ('asyncio', 'urllib3'):
    logging.getLogger(name).setLevel(logging.CRITICAL)
  if sys.unraisablehook is sys.__unraisablehook__:
    sys.unraisablehook = _unraisable


def _unraisable(found):
  """Shows an unraisable error, unless a read of tensorstore ends after another read has failed."""
  error = found.exc_value
  if not (isinstance(error, RuntimeError) and str(error) == 'Event loop is closed'):
    sys.__unraisablehook__(found)


def _keep_compiled_programs():
  """Sets XLA's persistent cache to the user's cache folder, unless JAX is configured otherwise."""
  import jax

  if getattr(jax.config, 'jax_compilation_cache_dir') is None:  # noqa: B009 - unknown to pyright
    cache = (
      pathlib.Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser()
      / 'jaxdl'
      / 'compiled'
    )
    jax.config.update('jax_compilation_cache_dir', str(cache))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)
