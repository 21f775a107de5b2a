"""Converts a figure to pixels and writes it to a file."""

import pathlib
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
  import matplotlib.figure

RESOLUTION = 150  # dots per inch of a PNG file


def load_library() -> None:
  """Imports the parts of matplotlib that figures need, before threads draw figures."""
  import matplotlib.backends.backend_agg
  import matplotlib.cm
  import matplotlib.colors
  import matplotlib.figure
  import matplotlib.patches  # noqa: F401


def pixels(figure: 'matplotlib.figure.Figure') -> UInt8[np.ndarray, 'H W 3']:
  """Draws a figure.

  Args:
    figure: the figure.

  Returns:
    Its pixels, from 0 to 255.
  """
  from matplotlib.backends.backend_agg import FigureCanvasAgg

  _as_written(figure)
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(figure: 'matplotlib.figure.Figure', path: str | pathlib.Path) -> None:
  """Writes a figure to a PNG file; if that fails, no partial file is left.

  Args:
    figure: the figure.
    path: the file.
  """
  _as_written(figure)
  try:
    figure.savefig(path, dpi=RESOLUTION)
  except BaseException:
    pathlib.Path(path).unlink(missing_ok=True)
    raise


def _as_written(figure):
  """Draws a dollar sign in a text as it is, not as the start of a formula.

  matplotlib's own formulas, such as 10², stay.
  """
  from matplotlib.text import Text

  for text in figure.findobj(Text):
    if '\\mathdefault' not in text.get_text():
      text.set_parse_math(False)
