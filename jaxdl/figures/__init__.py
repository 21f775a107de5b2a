"""Every picture jaxdl draws; the only package that knows matplotlib, and imports it only when it draws."""

from jaxdl.figures.curves import CURVES, learning_curves
from jaxdl.figures.files import pixels, save
from jaxdl.figures.grids import image_grid

__all__ = ['CURVES', 'image_grid', 'learning_curves', 'pixels', 'save']
