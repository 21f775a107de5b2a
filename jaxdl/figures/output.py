"""A figure as pixels and as a file."""

import pathlib

import numpy as np


def load_library():
  """Imports matplotlib as far as figures need it, before they are drawn in threads."""
  import matplotlib.backends.backend_agg
  import matplotlib.cm
  import matplotlib.colors
  import matplotlib.figure
  import matplotlib.patches  # noqa: F401


def pixels(figure):
  """A figure as [H, W, 3] uint8."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg

  _as_written(figure)
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(figure, path):
  """Writes a figure as PNG; where that fails, no part of the file is left."""
  _as_written(figure)
  try:
    figure.savefig(path, dpi=150)
  except BaseException:
    pathlib.Path(path).unlink(missing_ok=True)
    raise


def _as_written(figure):
  """Draws names as they are: a dollar in one begins no formula. Formulas of matplotlib's own, such
  as 10², stay.
  """
  from matplotlib.text import Text

  for text in figure.findobj(Text):
    if '\\mathdefault' not in text.get_text():
      text.set_parse_math(False)
