"""Pictures of analyses as a page shows them: data URIs with sizes, captions and explanations."""

import base64
import math
import pathlib
import re
import struct
import urllib.parse
from typing import Any

from jaxdl.report import results
from jaxdl.runs.record import Run
from jaxdl.views import glossary
from jaxdl.views.attributions import THRESHOLD
from jaxdl.views.view import Display

PIXELS = 96 / 72, 96 / 150  # of a page for a point of an SVG file, and a pixel of a PNG file
BESIDE = 650  # most pixels of the width of a picture that stands next to another one
KEPT = " !$'()*,-./:;=?@[]^_`{|}~&+"  # characters that a data URI may contain as they are
FLAG = '⚑ '

TESTED_BY = {'attributions': 'sanity', 'relevance': 'sanity_relevance'}  # picture → its check


def of_result(record: Run, name: str, display: Display, facts: dict, part: str) -> dict | None:
  """Returns the picture of a result for the page template.

  Args:
    record: Run.
    name: name of the result, whose picture is `analysis/NAME.svg`, or `.png` without it.
    display: how the report displays the result.
    facts: content of the result's .json file.
    part: text matched by the '*' of the result's pattern.

  Returns:
    None if there is no picture, else a dict:

      'name', 'caption': the name and the title.
      'details': what the picture shows, a list of str.
      'reading': how to read it, in one sentence.
      'entry': the glossary entry, or None.
      'folded': text on which a reader clicks to see the picture; '' if it is visible.
      'data': data URI.
      'width', 'height': size in pixels of the page.
      'narrow': whether another picture fits next to it.
  """
  folder = record.results / 'analysis'
  found = next(
    (folder / f'{name}{end}' for end in ('.svg', '.png') if _is(folder, name, end)), None
  )
  if found is None:
    return None
  shown = {'reading': display.reading}
  if found.suffix == '.svg':
    with results.errors_naming(record, found.name):
      text = found.read_text(encoding='utf-8')
      size = tuple(round(PIXELS[0] * side) for side in _points(text))
    if name in TESTED_BY:
      text, shown['reading'] = _flagged(record, name, text, display.reading)
    shown['data'] = svg_uri(text)
  else:
    with results.errors_naming(record, found.name):
      size = tuple(math.ceil(PIXELS[1] * side) for side in _size_of_png(found))
    shown['data'] = data_uri(found)
  heading = facts.get('heading') if found.suffix == '.svg' else ''
  return shown | {
    'name': name,
    'caption': display.caption.format(part),
    'details': heading.split('\n') if isinstance(heading, str) and heading else [],
    'entry': glossary.found(display.entry),
    'folded': display.folded(facts) if display.folded and facts else '',
    'width': size[0],
    'height': size[1],
    'narrow': size[0] <= BESIDE,
  }


def of_svg(
  file: pathlib.Path, *, caption: str, heading: str, reading: str, entry: dict[str, str] | None
) -> dict[str, Any]:
  """Returns an SVG file that no analysis has written as a picture for the page template.

  Args:
    file: the file.
    caption: title of the picture.
    heading: what it shows.
    reading: how to read it, without a full stop.
    entry: its entry of the glossary (`glossary.found`).

  Returns:
    A dict as returned by `of_result`.

  Raises:
    OSError, ValueError: the file cannot be read.
  """
  text = file.read_text(encoding='utf-8')
  width, height = (round(PIXELS[0] * side) for side in _points(text))
  return {
    'name': file.stem,
    'caption': caption,
    'details': heading.split('\n'),
    'reading': reading,
    'entry': entry,
    'folded': '',
    'data': svg_uri(text),
    'width': width,
    'height': height,
    'narrow': width <= BESIDE,
  }


def _is(folder, name, end):
  return (folder / f'{name}{end}').is_file()


def _points(svg):
  """Width and height of an SVG text in points."""
  found = re.search(r'<svg\b[^>]*?\bwidth="([\d.]+)pt" height="([\d.]+)pt"', svg[:2000])
  if found is None:
    raise ValueError('the size is missing')
  return float(found[1]), float(found[2])


def _size_of_png(file):
  with file.open('rb') as read:
    start = read.read(24)
  return struct.unpack('>II', start[16:24])


def _flagged(record, analysis, svg, reading):
  """Marks the columns of the methods that the sanity check of the same step flags."""
  facts, own = (results.of_analysis(record, name) for name in (TESTED_BY[analysis], analysis))
  if facts.get('step') != own.get('step'):
    return svg, reading
  flagged = [name for name, found in facts.items() if _is_flagged(found)]
  for name in flagged:
    svg = re.sub(
      rf'(<g id="column-{re.escape(name)}">.*?<text\b[^>]*>)',
      rf'\1{FLAG}',
      svg,
      count=1,
      flags=re.S,
    )
  if flagged:
    reading = (
      f'{reading}. {FLAG}{", ".join(flagged)}: rank correlation above {THRESHOLD} with maps '
      'without the learned weights'
    )
  return svg, reading


def _is_flagged(found: Any) -> bool:
  return isinstance(found, dict) and found.get('flagged') is True


def svg_uri(text: str) -> str:
  """Encodes an SVG text as a data URI, which cannot run scripts in an `<img>`."""
  plain = re.sub(r'\s+', ' ', text)
  return f'data:image/svg+xml,{urllib.parse.quote(plain, safe=KEPT)}'


def data_uri(file: pathlib.Path) -> str:
  """Encodes a picture file as a data URI."""
  return f'data:image/{file.suffix[1:]};base64,{base64.b64encode(file.read_bytes()).decode()}'
