"""What every command line shares: its help, one line for an error, a quiet screen, and compiled
programs kept between runs.
"""

import argparse
import contextlib
import functools
import io
import os
import pathlib
import re
import shlex
import signal
import sys

import jaxdl
from jaxdl.config import spelling

QUIET = '--quiet'
START_OVER = '--start-over'
TRACEBACK = 'JAXDL_TRACEBACK'  # the environment variable that asks for the traceback of an error
BAD_INPUT = (ValueError, OSError, FloatingPointError)
OUT_OF_MEMORY = ('RESOURCE_EXHAUSTED', 'Out of memory')  # of XLA, on any device
LESS_TO_TRAIN = (
  'use a smaller config.data.batch_size or config.data.evaluation_batch_size, a smaller '
  "model, or config.precision='bfloat16'"
)
KINDS = {
  'int': 'whole number',
  'float': 'number',
  'seed': 'whole number from 0 to 4294967295',
}  # types of flags


class Parser(argparse.ArgumentParser):
  """argparse whose errors are ValueErrors, so that `run` says them in one line, and whose help ends
  with examples.

  Args:
    examples: str, command lines, a line each; what else is to be said stands below them.
    config: str, a config file to name as an example, where the command takes --config=FILE and
      --config.KEY=VALUE.
    quiet: whether the command has --quiet, which leaves of its output the last line, the result.
    run: str, what is said of the folder where the command takes one run, as DIR or --workdir=DIR.
    **keywords: of argparse.ArgumentParser.
  """

  def __init__(self, *, examples='', config=None, quiet=False, run=None, **keywords):
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
        QUIET,
        action='store_true',
        help='print the last line alone, the result, beside warnings and errors',
      )
    if run:
      self.add_argument('run', nargs='?', metavar='DIR', help=run)
      self.add_argument('--workdir', metavar='DIR', help='the same')

  def add_start_over(self):
    """Adds --start-over, without which a run whose checkpoints are all damaged is refused."""
    self.add_argument(
      START_OVER,
      action='store_true',
      help='begin at step 1 where all checkpoints of a run are damaged',
    )

  def parse_args(self, arguments):
    chosen = super().parse_args(arguments)
    if self.run:
      given = [folder for folder in (chosen.run, chosen.workdir) if folder is not None]
      if len(given) != 1:
        self.error(
          'give the folder of one run, DIR or --workdir=DIR'
          + (given and f', not {" and ".join(given)}' or '')
        )
      (chosen.workdir,) = given
      _check_run(chosen.workdir)
    return chosen

  def error(self, message):
    if wrong := re.fullmatch(
      r"argument (\S+): invalid choice: '?(.*?)'? \(choose from (.*)\)", message
    ):
      valid = re.findall(r"[^\s,']+", wrong[3])
      near = spelling.nearest(wrong[2], valid)
      mend = f'did you mean {near}?' if near else f'use {", ".join(valid)}'
      raise ValueError(f'{wrong[1]}={wrong[2]} is unknown: {mend}')
    if wrong := re.fullmatch(r'argument (\S+): invalid (\w+) value: (.*)', message):
      message = f'{wrong[1]}={wrong[3]} is no {KINDS.get(wrong[2], wrong[2])}'
    elif lacking := re.fullmatch(
      r'argument (\S+): expected (?:one|at least one) argument', message
    ):
      message = f'{lacking[1]} has no value'
    elif lacking := re.fullmatch(r'the following arguments are required: (.*)', message):
      message = f'missing: {lacking[1]}'
    flags = [word.partition('=')[0] for word in message.split() if word.startswith('--')]
    known = [flag[2:] for flag in self._option_string_actions]
    near = [
      flag
      for word in flags
      if 'unrecognized' in message and (flag := spelling.nearest(word[2:], known))
    ]
    one = self.run and 'unrecognized' in message and not flags
    otherwise = 'give the folder of one run' if one else f'see {self.prog} --help'
    raise ValueError(f'{message}: ' + (f'did you mean --{near[0]}?' if near else otherwise))

  def without_config(self, rest):
    """What to say where no --config was given: the flag that is it, misspelt, or the file or run
    that stands without it.
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


def check_folder(folder):
  """Raises NotADirectoryError or FileNotFoundError, which names the folder that was meant, where a
  folder is not there.
  """
  place = pathlib.Path(folder)
  if place.is_file():
    raise NotADirectoryError(f'{folder} is a file: give the folder of a run')
  if not place.exists():
    near = spelling.nearest(
      place.name, [other.name for other in place.parent.glob('*') if other.is_dir()]
    )
    mend = (
      f'did you mean {place.parent / near}?'
      if near
      else 'give the folder of a run that was trained'
    )
    raise FileNotFoundError(f'{folder} does not exist: {mend}')


def _check_run(folder):
  check_folder(place := pathlib.Path(folder))
  if not (place / 'config.json').exists() and (
    inside := [
      file for below in ('*', '*/*') for file in sorted(place.glob(f'{below}/config.json'))
    ]
  ):
    raise FileNotFoundError(f'{folder} holds runs: give one of them, such as {inside[0].parent}')


def repeatable(arguments: list[str]) -> str:
  """The arguments of a command, quoted for a shell, without --quiet and --start-over."""
  return shlex.join(argument for argument in arguments if argument not in (QUIET, START_OVER))


def step(text):
  """The type of a --step: 'best', 'last' or a number."""
  return int(text) if text.isdecimal() else text


def seed(text):
  """The type of a --seed: a whole number from 0 to 4294967295."""
  if not text.isdecimal() or int(text) >= 2**32:
    raise ValueError
  return int(text)


def run(main, arguments, *, less_memory='give it less to do at a time'):
  """Runs `main(arguments)`; an error of the input or the machine becomes one line on standard
  error.

  Those of the machine are exhausted memory and an absent device. Set JAXDL_TRACEBACK=1 to see where
  an error comes from.

  Args:
    main: function(arguments) → exit code.
    arguments: list of str, the program's name first.
    less_memory: str, what to change where the command runs out of memory.

  Returns:
    The exit code: main's own, 1 after one of these errors, 130 after a Ctrl-C that nothing else
    heeded, or 141 where who reads its output has gone.
  """
  _started()
  _quiet()
  _keep_compiled_programs()
  said = io.StringIO()
  try:
    with contextlib.redirect_stdout(said) if QUIET in arguments else contextlib.nullcontext():
      code = main(arguments)
  except BrokenPipeError:  # who reads it, such as `head`, has read enough
    os.dup2(
      os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
    )  # else Python complains at its end
    return 141
  except (*BAD_INPUT, RuntimeError, MemoryError, AssertionError) as error:
    line = _of_the_runtime(error, less_memory)
    if os.environ.get(TRACEBACK) or (line is None and not isinstance(error, BAD_INPUT)):
      raise
    line = line or ' '.join(str(error).splitlines()) or type(error).__name__
    line = line.encode(errors='backslashreplace').decode()  # a name that is no text, too
    print(f'jaxdl: {line}', file=sys.stderr)
    return 1
  except KeyboardInterrupt:
    print(
      'jaxdl: interrupted: the same command begins again, or goes on from the last checkpoint',
      file=sys.stderr,
    )
    return 130
  print(*said.getvalue().splitlines()[-1:], end='\n' if said.getvalue() else '')
  return code


def _of_the_runtime(error, less_memory):
  """One line for exhausted memory or an absent device, with a fix; None for any other error.

  Args:
    error: Exception.
    less_memory: as in `run`.
  """
  text = str(error)
  first = text.partition('\n')[0].rstrip('. ')
  request = f'{TRACEBACK}=1 shows the traceback'
  if isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
    return f'memory is exhausted ({first or type(error).__name__}): {less_memory}; {request}'
  if isinstance(error, (RuntimeError, AssertionError)) and not _has_backend():
    import jax

    platforms = jax.config.jax_platforms
    if platforms:
      return (
        f'JAX_PLATFORMS={platforms} is not available here: unset JAX_PLATFORMS, or install JAX for '
        f"the device, such as pip install 'jax[cuda13]'; {request}"
      )
    return f'JAX finds no device ({first}): set JAX_PLATFORMS=cpu; {request}'
  return None


def _has_backend():
  """Whether JAX can start on the platform that it is told to use."""
  import jax

  try:
    jax.default_backend()
  except (RuntimeError, AssertionError):
    return False
  return True


def _started():
  """Ends what `jaxdl/__init__.py` begins: from here on a Ctrl-C is an exception, and what is said
  is the command's own.
  """
  if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
    signal.signal(signal.SIGINT, signal.default_int_handler)
  if sys.stderr.isatty():
    print(' ' * len(jaxdl.STARTING), end='\r', file=sys.stderr, flush=True)


def _quiet():
  """Keeps the libraries' own chatter off the screen."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  os.environ.setdefault(
    'TF_ENABLE_ONEDNN_OPTS', '0'
  )  # else it tells of them, at any level, on CPUs that have AVX-512 VNNI
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
  """Points XLA's persistent cache at the user's cache folder, unless JAX's own setting says
  another.
  """
  import jax

  if jax.config.jax_compilation_cache_dir is None:
    cache = (
      pathlib.Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser()
      / 'jaxdl'
      / 'compiled'
    )
    jax.config.update('jax_compilation_cache_dir', str(cache))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)
