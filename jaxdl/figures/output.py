"""Converts a figure to pixels and writes it to a file."""

import base64
import io
import pathlib
import re
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
  import matplotlib.figure

RESOLUTION = 150  # dots per inch of a PNG file
# Colours of a figure → (in the light mode of a page, in its dark mode).
THEME = {
  '#000000': ('#1b1f24', '#e8ecf0'),
  '#ffffff': ('#ffffff', '#14171b'),
  '#b0b0b0': ('#d1d9e0', '#3b434c'),
  '#808080': ('#6e7781', '#8d96a0'),
  '#0072b2': ('#0072b2', '#3f9ae0'),
  '#d55e00': ('#d55e00', '#ff8a47'),
  '#009e73': ('#009e73', '#2fd0a5'),
  '#cc79a7': ('#cc79a7', '#f09ccb'),
  '#e69f00': ('#e69f00', '#f2b233'),
  '#56b4e9': ('#56b4e9', '#a3dcff'),
  '#7f7f7f': ('#7f7f7f', '#a8a8a8'),
  '#999933': ('#999933', '#c9c95a'),
  '#8c564b': ('#8c564b', '#c9958a'),
  '#6a3d9a': ('#6a3d9a', '#b79cf7'),
  '#c2185b': ('#c2185b', '#ff6d9f'),
  '#44aa99': ('#44aa99', '#6fd6c5'),
}
ON_BRIGHT, ON_DARK = '#010101', '#fefefe'  # text on a coloured cell: the same in both modes


def load_library() -> None:
  """Imports the parts of matplotlib that figures need, before threads draw figures."""
  import matplotlib.backends.backend_agg
  import matplotlib.backends.backend_svg
  import matplotlib.cm
  import matplotlib.colors
  import matplotlib.figure
  import matplotlib.patches  # noqa: F401
  import PIL.Image

  PIL.Image.preinit()  # imports the formats


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


def described(figure: 'matplotlib.figure.Figure') -> str:
  """The heading of a figure and the note below it, a line each; '' if there are none.

  Args:
    figure: the figure, before `save_svg`.
  """
  note = ' '.join(figure.get_supxlabel().split('\n'))
  return '\n'.join(filter(None, (figure.get_suptitle(), note)))


def save_svg(figure: 'matplotlib.figure.Figure', path: str | pathlib.Path) -> None:
  """Writes a figure as an SVG file for a page; if that fails, no partial file is left.

  The file has no heading, no note and no background. A style sheet has the colours of the light
  and of the dark mode (`THEME`). Pixels of images keep their colours. The figure changes: save it
  in other formats before.

  Args:
    figure: the figure.
    path: the file.
  """
  from matplotlib import rc_context
  from matplotlib.axes import Axes
  from matplotlib.image import AxesImage

  _as_written(figure)
  figure.suptitle('')
  figure.supxlabel('')
  for part in (figure, *figure.findobj(Axes)):
    part.patch.set_visible(False)
  for image in figure.findobj(AxesImage):
    image.set_interpolation('none')  # the file has its own pixels, which the browser enlarges
  box = 'tight' if figure.get_layout_engine() is None else None  # without room for the heading
  written = io.StringIO()
  with rc_context({'svg.fonttype': 'none', 'svg.hashsalt': 'jaxdl'}):
    figure.savefig(written, format='svg', bbox_inches=box, pad_inches=0.03, metadata={'Date': None})
  file = pathlib.Path(path)
  try:
    file.write_text(_themed(_with_small_images(written.getvalue())), encoding='utf-8')
  except BaseException:
    file.unlink(missing_ok=True)
    raise


def _with_small_images(svg):
  """Encodes the images of an SVG text with fewer bytes; their pixels stay as they are."""
  return re.sub(r'data:image/png;base64,([A-Za-z0-9+/=\s]+)', _small_image, svg)


def _small_image(found):
  from PIL import Image

  pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert('RGBA'))
  if (pixels[..., 3] == 255).all():  # without transparency
    pixels = np.ascontiguousarray(pixels[..., :3])
  colours, indices = np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0, return_inverse=True)
  if len(colours) <= 256 and pixels.shape[-1] == 3:
    image = Image.fromarray(indices.reshape(pixels.shape[:2]).astype(np.uint8), 'P')
    image.putpalette(colours.tobytes())
  else:
    image = Image.fromarray(pixels)
  encoded = io.BytesIO()
  image.save(encoded, 'PNG', optimize=True)
  return f'data:image/png;base64,{base64.b64encode(encoded.getvalue()).decode()}'


def _themed(svg):
  """Replaces the colours of `THEME` in an SVG text by variables of a style sheet."""
  svg = svg[svg.index('<svg') :]
  svg = re.sub(r'<metadata>.*?</metadata>\s*', '', svg, flags=re.DOTALL)
  svg = re.sub(r'<[^>]+>', lambda tag: _themed_tag(tag[0]), svg)  # texts stay as they are
  light, dark = (
    ' '.join(f'{_name(colour)}: {pair[mode]};' for colour, pair in THEME.items()) for mode in (0, 1)
  )
  style = (
    f':root {{ --font: "DejaVu Sans", Verdana, sans-serif; {light} fill: var(--k000000); }} '
    f'@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }} text {{ white-space: pre; }} '
  )
  return svg.replace('<style type="text/css">', f'<style type="text/css">{style}', 1)


def _themed_tag(tag):
  tag = re.sub(r'font-family: [^;"]*', 'font-family: var(--font)', tag)
  tag = re.sub(r' transform="rotate\(-?0 [^"]*\)"', '', tag)
  tag = re.sub(r'(fill|stroke): (#[0-9a-f]{6})\b', _variable, tag)
  return re.sub(r' (?:d|x|y)="[^"]*"', _hundredths, tag)


def _hundredths(found):
  """Cuts the coordinates of an attribute to hundredths of a point."""
  return re.sub(r'(\.\d{2})\d+', r'\1', found[0])


def _variable(found):
  kind, colour = found.groups()
  return f'{kind}: var({_name(colour)})' if colour in THEME else found.group()


def _name(colour):
  return f'--k{colour[1:]}'


def _as_written(figure):
  """Draws a dollar sign in a text as it is, not as the start of a formula.

  matplotlib's own formulas, such as 10², stay.
  """
  from matplotlib.text import Text

  for text in figure.findobj(Text):
    if '\\mathdefault' not in text.get_text():
      text.set_parse_math(False)
