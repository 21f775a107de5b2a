"""A self-contained HTML page of predictions, with thumbnails and maps."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdl.prediction import explained
from jaxdl.report import page as report_page
from jaxdl.report.sections import pixels_uri
from jaxdl.runs import disk

TEMPLATE = pathlib.Path(__file__).parent / 'page.html'
MOST = 1000  # maximum number of inputs on a page


@dataclasses.dataclass(frozen=True)
class Shown:
  """One input on the page.

  Attributes:
    name: file name.
    cells: title → text, such as 'class' → '7'.
    pictures: (title, data URI) of the input and its maps.
    wrong: whether the predicted class differs from the true class.
  """

  name: str
  cells: dict[str, str]
  pictures: list[tuple[str, str]]
  wrong: bool


class Page:
  """Collects inputs and writes the page, which shows the first 1,000.

  Args:
    file: path of the page.
    title: heading of the page.
    columns: titles of the maps.
    signed: indices of the columns whose maps have both signs.
  """

  def __init__(self, file: pathlib.Path, title: str, columns: Sequence[str], signed: Sequence[int]):
    self.file = file
    self._title, self._columns, self._signed = title, columns, signed
    self._shown: list[Shown] = []

  @property
  def is_full(self) -> bool:
    """Whether the page has the maximum number of inputs."""
    return len(self._shown) >= MOST

  def add(
    self,
    name: str,
    cells: dict[str, str],
    image: np.ndarray,
    maps: Sequence[np.ndarray],
    *,
    wrong: bool = False,
  ) -> None:
    """Adds an input.

    Args:
      name: file name.
      cells: title → text.
      image: picture of the input [H, W, C] in 0..1.
      maps: a map [H, W] or a picture [H, W, C] in 0..1 for each column.
      wrong: whether the predicted class differs from the true class.
    """
    if self.is_full:
      return
    pictures = [('input', pixels_uri(explained.pixels_of(image)))]
    for number, (title, value) in enumerate(zip(self._columns, maps, strict=True)):
      pixels = explained.pixels_of(value, signed=number in self._signed)
      pictures.append((title, pixels_uri(pixels)))
    self._shown.append(Shown(name, cells, pictures, wrong))

  def write(self, lead: str, counts: Sequence[tuple[str, Any]], remarks: Sequence[str]) -> None:
    """Writes the page.

    Args:
      lead: line below the heading.
      counts: rows (class, number of inputs).
      remarks: lines above the inputs.
    """
    self.file.parent.mkdir(parents=True, exist_ok=True)
    html = report_page.template(TEMPLATE).render(
      title=self._title,
      lead=lead,
      counts=counts,
      remarks=[
        *remarks,
        *([f'Only the first {MOST:,} inputs are shown.'] if self.is_full else []),
        *(_legend(self._columns, self._signed)),
      ],
      shown=self._shown,
      style=report_page.style(),
      policy=report_page.policy(''),
    )
    disk.write_atomic(self.file, html)


def _legend(columns: Sequence[str], signed: Sequence[int]) -> list[str]:
  """Returns lines that explain the maps."""
  found = []
  with_sign = [columns[number] for number in signed]
  others = [name for name in columns if name not in with_sign]
  if with_sign and explained.DIFFERENCE in with_sign:
    return ['Difference: red where the reconstruction is brighter than expected, blue darker.']
  if others and explained.RECONSTRUCTION not in others:
    found.append(f'{", ".join(others)}: bright pixels matter most for the prediction.')
  if with_sign:
    found.append(f'{", ".join(with_sign)}: red pixels support the prediction, blue oppose it.')
  if found:
    found.append('A map of one colour is zero everywhere.')
  return found
