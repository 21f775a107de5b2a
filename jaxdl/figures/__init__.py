"""All pictures that jaxdl draws.

This is the only package that uses matplotlib, and it imports it when it draws the first picture.
"""

from jaxdl.figures.charts import bars, confusion_matrix, lines, reliability, scatter
from jaxdl.figures.curves import learning_curves, rate_search
from jaxdl.figures.fitting import short, visible
from jaxdl.figures.grids import image_grid
from jaxdl.figures.output import described, load_library, pixels, save, save_svg
from jaxdl.figures.panels import bands, distributions
from jaxdl.figures.relations import relation, signed_table
from jaxdl.figures.residuals import residual_plots
from jaxdl.figures.rows import coloured, picture_rows, tiles
from jaxdl.figures.scores import score_table
from jaxdl.figures.searches import Column, importances, parallel_coordinates
from jaxdl.figures.surfaces import contours, heatmap
from jaxdl.figures.text import coloured_text, table, text_rows

__all__ = [
  'Column',
  'bands',
  'bars',
  'coloured_text',
  'coloured',
  'confusion_matrix',
  'contours',
  'described',
  'distributions',
  'heatmap',
  'image_grid',
  'importances',
  'learning_curves',
  'lines',
  'load_library',
  'parallel_coordinates',
  'picture_rows',
  'pixels',
  'rate_search',
  'relation',
  'reliability',
  'residual_plots',
  'save',
  'save_svg',
  'scatter',
  'score_table',
  'short',
  'signed_table',
  'table',
  'text_rows',
  'tiles',
  'visible',
]
