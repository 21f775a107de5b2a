"""Code shared by all commands: help, one-line errors, exit codes, silenced libraries, and the
persistent cache of compiled programs.
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
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from jaxdl.config import arguments as of_arguments
from jaxdl.config import paths, spelling
from jaxdl.terminal import screen, start
from jaxdl.terminal.errors import is_out_of_memory

QUIET = '--quiet'
JSON = '--json'
START_OVER = '--start-over'
TRACEBACK = 'JAXDL_TRACEBACK'  # environment variable that enables the traceback of an error
STOPPED = 75  # exit code of a command stopped by a signal, which can be resumed (EX_TEMPFAIL)
SHOWN = 60  # characters of a text that cannot be written
BAD_INPUT = (ValueError, OSError, FloatingPointError)
LESS_TO_TRAIN = (
  'use a smaller config.data.batch_size or config.data.evaluation_batch_size, a smaller '
  "model, or config.precision='bfloat16'"
)
KINDS = {  # name of a flag's type → its description in errors
  'int': 'an integer',
  'float': 'a number',
  'seed': 'an integer from 0 to 4294967295',
}


class Parser(argparse.ArgumentParser):
  """Argument parser that raises ValueError for errors and shows examples in its help.

  `run` prints these errors in one line.

  Args:
    name: name of the command, such as 'main' for `python -m jaxdl.main`, or None.
    called: `arguments[0]`, the name by which the command was called. The help shows this name if it
      starts with 'jaxdl ' or 'python -m jaxdl '.
    examples: example command lines, one per line, which start with `python -m jaxdl.<name>`. More
      text may follow.
    config: example of a config file. The command then accepts --config=FILE and
      --config.KEY=VALUE.
    json: whether the result is the last line of the output, so that the command has --json. Every
      command with a name has --quiet.
    run: help text for the run folder. The command then accepts it as DIR or --workdir=DIR.
    inputs: help text for the arguments after the run folder. The command then accepts any number
      of them, before, between and after its flags.
    **keywords: keyword arguments of argparse.ArgumentParser.
  """

  def __init__(
    self,
    *,
    name: str | None = None,
    called: str = '',
    examples: str = '',
    config: str | None = None,
    json: bool = False,
    run: str | None = None,
    inputs: str | None = None,
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
    self.config, self.run, self.inputs = config, run, inputs
    if config:
      what = 'sweep' if 'sweeps/' in config else 'experiment'
      self.add_argument('--config', metavar='FILE', help=f'the {what}, such as {config}')
    if name is not None:
      self.add_quiet()
    if json:
      self.add_argument(
        JSON,
        action='store_true',
        help='print the result as JSON in the last line, as without a terminal',
      )
    if run:
      self.add_argument('run', nargs='?', metavar='DIR', help=run)
      self.add_argument('--workdir', metavar='DIR', help='the same as DIR')
    if inputs:
      self.add_argument('inputs', nargs='*', metavar='INPUT', help=inputs)

  def add_quiet(self, **keywords: Any) -> None:
    """Adds --quiet, for which `run` prints only the last line of the output.

    Args:
      **keywords: keyword arguments of add_argument, such as the default.
    """
    self.add_argument(
      QUIET,
      action='store_true',
      help='print only the result, as JSON, and warnings and errors',
      **keywords,
    )

  def add_start_over(self) -> None:
    """Adds --start-over, which restarts a run whose checkpoints are all damaged."""
    self.add_argument(
      START_OVER,
      action='store_true',
      help='start again at step 1 where all checkpoints of a run are damaged',
    )

  def add_step(self) -> None:
    """Adds --step, which selects a checkpoint."""
    self.add_argument(
      '--step',
      default='best',
      type=step,
      metavar='N',
      help='checkpoint: best, last or a number (default best)',
    )

  def add_trust_code(self) -> None:
    """Adds --trust_code, which executes the copy of own code in a run's folder."""
    self.add_argument(
      '--trust_code',
      action='store_true',
      help="execute the run's copy of its code, if the original is missing; read it first",
    )

  def add_data_places(self) -> None:
    """Adds --data_dir and --folder, the places of the data of a run after they have moved."""
    self.add_argument(
      '--data_dir',
      metavar='DIR',
      help='folder of the prepared data sets, if moved',
    )
    self.add_argument(
      '--folder',
      metavar='DIR',
      help='folder of the photographs, or file of the data, if moved',
    )

  @property
  def flags(self) -> list[str]:
    """The flags without their dashes, such as 'start-over'."""
    return [name[2:] for name in self._option_string_actions if name.startswith('--')]

  def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
    self, args: Iterable[str] | None = None, namespace: Any = None
  ) -> tuple[argparse.Namespace, list[str]]:
    given = sys.argv[1:] if args is None else args
    return super().parse_known_args([self._spelled(word) for word in given], namespace)

  def _spelled(self, word):
    """A word in which a flag such as --start_over is spelled as this parser does, --start-over."""
    name, equals, value = word.partition('=')
    spelled = {flag.replace('_', '-'): flag for flag in self.flags}
    flag = spelled.get(name[2:].replace('_', '-')) if name.startswith('--') else None
    return f'--{flag}{equals}{value}' if flag else word

  def parse_args(  # pyright: ignore[reportIncompatibleMethodOverride]
    self, arguments: Sequence[str]
  ) -> argparse.Namespace:
    parse = self.parse_known_intermixed_args if self.inputs else self.parse_known_args
    arguments, after = list(arguments), []
    if self.inputs and '--' in arguments:  # parse_known_intermixed_args would refuse -x after it
      place = arguments.index('--')
      arguments, after = arguments[:place], arguments[place + 1 :]
    chosen, rest = parse(arguments)
    if after:
      if chosen.run is None and chosen.workdir is None:
        chosen.run = after.pop(0)
      chosen.inputs = [*chosen.inputs, *after]
    if rest:
      self._refuse(rest)
    if self.inputs and chosen.workdir is not None and chosen.run is not None:
      chosen.inputs, chosen.run = [chosen.run, *chosen.inputs], None
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
    """Raises ValueError for unknown arguments."""
    message = f'unrecognized arguments: {" ".join(unknown)}'
    flags = [word.partition('=')[0][2:] for word in unknown if word.startswith('--')]
    near = [flag for flag in (spelling.nearest(word, self.flags) for word in flags) if flag]
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

  def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
    if action.option_strings and arg_strings == ['--']:  # argparse would take --flag=-- as no value
      value = self._get_value(action, '--')
      self._check_value(action, value)
      return [value] if action.nargs in ('*', '+') else value
    return super()._get_values(action, arg_strings)

  def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
    try:
      return super()._get_value(action, arg_string)
    except argparse.ArgumentError as error:
      if isinstance(error.__context__, argparse.ArgumentTypeError):
        self.error(str(error))  # the error message of the type function
      kind = getattr(action.type, '__name__', str(action.type))
    self.error(f'{_name(action)}={arg_string!r} is not {KINDS.get(kind, kind)}')

  def _match_argument(self, action: argparse.Action, arg_strings_pattern: str) -> int:
    try:
      return super()._match_argument(action, arg_strings_pattern)
    except argparse.ArgumentError:
      self.error(f'{_name(action)} has no value')

  def without_config(self, rest: list[str]) -> str:
    """Returns the error message for a missing --config.

    Args:
      rest: arguments that are not flags of the command. They may include a misspelt --config, or a
        config file or run folder given without the flag.
    """
    flags = [
      argument.partition('=')[0] for argument in rest if not argument.startswith('--config.')
    ]
    if near := spelling.nearest('--config', flags):
      return f'{near} is unknown: did you mean --config?'
    for command in [pathlib.Path(argument) / 'command.txt' for argument in rest]:
      if command.is_file():
        line = command.read_text(encoding='utf-8').strip()
        return f'--config is missing: {command.parent} is the run of {line}'
    given = next(
      (argument for argument in rest if argument.endswith('.py') and argument[0] != '-'),
      self.config,
    )
    return f'--config is missing: give one, such as --config={given}'


def _name(action: argparse.Action) -> str:
  """Returns '--kind' for a flag and 'NAME' for a positional argument."""
  return '/'.join(action.option_strings) or str(action.metavar or action.dest)


def print_result(found: Any, *, as_json: bool) -> None:
  """Prints the result of a command as one line of JSON, the last line of its output.

  On a terminal the line is omitted unless --json or --quiet is given, because the readable result
  is printed above it.

  Args:
    found: the result as plain JSON data.
    as_json: whether --json was given.
  """
  if as_json or not sys.stdout.isatty():
    print(json.dumps(found))


def print_quietly(found: Any, *, quiet: bool) -> None:
  """Prints the result of a command without --json, whose output may be piped, only with --quiet.

  Args:
    found: the result as plain JSON data.
    quiet: whether --quiet was given.
  """
  if quiet:
    print_result(found, as_json=True)


def open_page(file: pathlib.Path) -> None:
  """Opens a page in the browser; without one, prints the file to open.

  Args:
    file: the page.
  """
  import webbrowser

  address = file.resolve().as_uri()
  try:
    opened = webbrowser.open_new_tab(address)
  except (webbrowser.Error, OSError):
    opened = False
  if not opened:
    print(f'jaxdl: there is no browser here: open {address} in one', file=sys.stderr)


def check_folder(folder: str | os.PathLike) -> None:
  """Checks that a path is a folder or a packed run; an address is not looked up.

  Raises:
    NotADirectoryError: the path is another file.
    FileNotFoundError: the folder does not exist. The message suggests the closest name.
  """
  place = pathlib.Path(folder)
  if paths.is_address(folder) or paths.is_packed(place):
    return
  if place.is_file():
    raise NotADirectoryError(f'{folder} is a file: give the folder of a run, or a .zip of one')
  if not place.exists():
    raise FileNotFoundError(
      spelling.missing(
        place,
        'give the folder of a run that was trained',
        lambda other: other.is_dir() or paths.is_packed(other),
      )
    )


def output_file(
  out: str | os.PathLike, *, example: str, suffixes: Sequence[str] = ()
) -> pathlib.Path:
  """Checks the path of --out.

  Args:
    out: value of --out.
    example: file name for messages, such as 'compare.html'.
    suffixes: valid file name suffixes in lower case, such as ('.csv', '.jsonl'); () for any.

  Returns:
    The path.

  Raises:
    IsADirectoryError: the path is a folder.
    ValueError: the file name has another suffix.
    FileNotFoundError: the folder of the file does not exist.
  """
  file = pathlib.Path(out)
  if file.is_dir():
    raise IsADirectoryError(f'--out={out} is a folder: name a file in it, such as {file / example}')
  if suffixes and file.suffix.lower() not in suffixes:
    raise ValueError(
      f'--out={out} is not a {" or ".join(suffixes)} file: name one, such as {example}'
    )
  if not file.parent.is_dir():
    raise FileNotFoundError(
      f'--out={out}: the folder {file.parent} does not exist: create it, or name another'
    )
  return file


def _check_run(folder):
  place = pathlib.Path(folder)
  check_folder(folder)
  if paths.is_address(folder) or paths.is_packed(place) or (place / 'config.json').exists():
    return
  inside = [file for below in ('*', '*/*') for file in sorted(place.glob(f'{below}/config.json'))]
  if inside:
    raise FileNotFoundError(f'{folder} holds runs: give one of them, such as {inside[0].parent}')


def repeatable(arguments: list[str]) -> str:
  """Quotes arguments for a shell and omits --quiet, --json and --start-over."""
  return ' '.join(
    _quoted(argument) for argument in arguments if argument not in (QUIET, JSON, START_OVER)
  )


def _quoted(argument: str) -> str:
  """Quotes an argument for a shell; a value with single quotes gets double ones if it may.

  `shlex.quote` writes every single quote as '"'"'.
  """
  if "'" not in argument or set('"$`\\!') & set(argument):
    return shlex.quote(argument)
  name, sign, value = argument.partition('=')
  return f'{shlex.quote(name)}="{value}"' if sign else f'"{argument}"'


def step(text: str) -> int | str:
  """Argument type of --step: 'best', 'last' or a number."""
  return int(text) if text.isdecimal() else text


def seed(text: str) -> int:
  """Argument type of --seed: an integer from 0 to 4294967295."""
  if not text.isdecimal() or int(text) >= 2**32:
    raise ValueError
  return int(text)


def run(
  main: Callable[[list[str]], int],
  arguments: list[str],
  *,
  less_memory: str = 'give it less to do at a time',
) -> int:
  """Runs `main(arguments)` and reports expected errors in one line on standard error.

  Expected errors are invalid input, exhausted memory and a missing device. Set JAXDL_TRACEBACK=1 to
  show the traceback. Control characters in the output are escaped on a terminal.

  Args:
    main: function (arguments) → exit code.
    arguments: the program name, followed by the command-line arguments.
    less_memory: advice that is printed if the command runs out of memory.

  Returns:
    The exit code: that of main (0, or STOPPED after a handled signal), 1 after an expected error,
    130 after a Ctrl-C that main did not handle, or 141 if the output pipe is closed.
  """
  start.end()
  prepare_libraries()
  _print_any_text()
  with screen.escaped():
    return _run(main, arguments, less_memory)


def _run(main, arguments, less_memory):
  printed = io.StringIO()
  try:
    with contextlib.redirect_stdout(printed) if QUIET in arguments else contextlib.nullcontext():
      code = main(arguments)
  except BrokenPipeError:  # the reader, such as `head`, closed the pipe
    # Prevent an error message when Python exits.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
  except (*BAD_INPUT, RuntimeError, MemoryError, AssertionError) as error:
    line = _of_the_runtime(error, less_memory)
    if os.environ.get(TRACEBACK) or (line is None and not isinstance(error, BAD_INPUT)):
      raise
    if isinstance(error, UnicodeEncodeError):
      text = error.object[max(0, error.start - SHOWN) : error.start + 1]
      line = f'{text!a} cannot be written as {error.encoding}: rename the file or folder'
    line = line or ' '.join(of_arguments.as_flags(error).splitlines()) or type(error).__name__
    # file names may be invalid text, or control the terminal
    line = screen.printable(paths.with_addresses(line).encode(errors='backslashreplace').decode())
    print(f'jaxdl: {line}', file=sys.stderr)
    return 1
  except SystemExit:  # after --help
    print(printed.getvalue(), end='')
    raise
  except KeyboardInterrupt:
    print(
      'jaxdl: interrupted: rerun the command to start again, or to resume from the last checkpoint',
      file=sys.stderr,
    )
    return 130
  print(*printed.getvalue().splitlines()[-1:], end='\n' if printed.getvalue() else '')
  return code


def _of_the_runtime(error, less_memory):
  """Returns one line with a fix for exhausted memory or a missing device; None for other errors."""
  text = str(error)
  first = text.partition('\n')[0].rstrip('. ')
  request = f'{TRACEBACK}=1 shows the traceback'
  if is_out_of_memory(error):
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
  """Returns whether JAX can start on the configured platform."""
  import jax

  try:
    jax.default_backend()
  except (RuntimeError, AssertionError):
    return False
  return True


def prepare_libraries() -> None:
  """Silences the log messages of libraries; keeps compiled programs in the user's cache folder."""
  _quiet()
  _keep_compiled_programs()


def _quiet():
  """Silences the log messages of libraries."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  # Without this, TensorFlow logs oneDNN messages at any level on CPUs with AVX-512 VNNI.
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  import logging

  from absl import logging as of_libraries

  of_libraries.set_verbosity(of_libraries.FATAL)  # their errors are also raised as exceptions
  for name in ('asyncio', 'urllib3'):
    logging.getLogger(name).setLevel(logging.CRITICAL)
  if sys.unraisablehook is sys.__unraisablehook__:
    sys.unraisablehook = _unraisable


def _print_any_text():
  """Prints characters that the output cannot encode as escapes, such as '\\udcff'.

  Names of files may be invalid text, and a terminal may have few characters.
  """
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors='backslashreplace')


def _unraisable(found):
  """Prints an unraisable error.

  Omits the error of a tensorstore read that ends after another read has failed.
  """
  error = found.exc_value
  if not (isinstance(error, RuntimeError) and str(error) == 'Event loop is closed'):
    sys.__unraisablehook__(found)


def _keep_compiled_programs():
  """Sets XLA's persistent cache to the user's cache folder, unless JAX already has a cache."""
  import jax

  if getattr(jax.config, 'jax_compilation_cache_dir') is None:  # noqa: B009 - unknown to pyright
    jax.config.update('jax_compilation_cache_dir', str(paths.cache('compiled')))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)
