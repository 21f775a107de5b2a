"""A figure as pixels and as a file."""

import numpy as np


def pixels(figure):
  """A figure as [H, W, 3] uint8."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(figure, path):
  """Writes a figure as PNG."""
  figure.savefig(path, dpi=150)
