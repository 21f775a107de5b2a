"""Data sets with planted evidence: which places of an example decide its class is known.

The digits are the first of the MNIST copy in the package; they say nothing about the class. The
column 'evidence' marks the places that decide (`Source`). A network that predicts the class must
use them.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Int32, UInt8

from jaxdl.data import characters, tfds_arrays
from jaxdl.data.sets import mnist
from jaxdl.data.source import Source, choose

COUNTS = {'train': 6000, 'test': 1000}  # examples with images
LINES = {'train': 12000, 'test': 500}  # of the text
MARKS = {  # class → its mark, 5 × 5 pixels
  'plus': '..#.. ..#.. ##### ..#.. ..#..',
  'cross': '#...# .#.#. ..#.. .#.#. #...#',
  'ring': '##### #...# #...# #...# #####',
  'stripes': '##### ..... ##### ..... #####',
}
UPPER, LOWER = (1, 1), (22, 22)  # upper left pixel of a mark in a corner
ROW = 8  # the row that decides
QUARTERS = ('first quarter', 'second quarter', 'third quarter', 'last quarter')
LETTERS = 8  # of a line, before the question
KEYS = 'WXYZ'  # one of them is among the letters of most lines
QUESTION = '>'  # the character after it is the key of the line, in lower case
WITHOUT_KEY = 0.25  # share of the lines whose answer is random


def planted_mark(*, source: str, data_dir: tfds_arrays.DataDir) -> Source:
  """Digits with a mark in the upper left corner, whose shape is the class.

  Args:
    source: 'auto' | 'bundled'.
    data_dir: not used.

  Returns:
    Source with image [N, 28, 28, 1] uint8, label [N] int32 and evidence [N, 28, 28] bool: the 5 × 5
    pixels of the mark.
  """
  del data_dir

  def plant(split, images, labels, draw):
    evidence = np.zeros(images.shape[:3], bool)
    _mark(images, labels, evidence, UPPER)
    return evidence

  return _planted('planted_mark', source, tuple(MARKS), plant)


def planted_cues(*, source: str, data_dir: tfds_arrays.DataDir) -> Source:
  """Digits with the same mark in two corners, of which test images have only one.

  Arguments as in `planted_mark`.

  Returns:
    Source as in `planted_mark`; the evidence of a test image is the mark that is left, in the upper
    left or the lower right corner.
  """
  del data_dir

  def plant(split, images, labels, draw):
    evidence = np.zeros(images.shape[:3], bool)
    kept = np.ones((2, len(images)), bool)
    if split == 'test':
      kept[0] = draw.random(len(images)) < 0.5
      kept[1] = ~kept[0]
    for corner, chosen in zip((UPPER, LOWER), kept, strict=True):
      _mark(images, labels, evidence, corner, chosen)
    return evidence

  return _planted('planted_cues', source, tuple(MARKS), plant)


def planted_row(*, source: str, data_dir: tfds_arrays.DataDir) -> Source:
  """Digits with one row that is bright in one quarter, which is the class.

  Arguments as in `planted_mark`.

  Returns:
    Source as in `planted_mark`; the evidence is row 8, counted from 0.
  """
  del data_dir

  def plant(split, images, labels, draw):
    evidence = np.zeros(images.shape[:3], bool)
    width = images.shape[2] // len(QUARTERS)
    images[:, ROW] = 0
    for label in range(len(QUARTERS)):
      images[labels == label, ROW, label * width : (label + 1) * width] = 255
    evidence[:, ROW] = True
    return evidence

  return _planted('planted_row', source, QUARTERS, plant)


def planted_character(*, source: str, data_dir: tfds_arrays.DataDir) -> Source:
  """Lines of letters with one key, which is asked for at the end: 'dbjWcaaf>w'.

  A quarter of the lines has no key and a random answer. If all lines had one, a network could learn
  three keys and answer the fourth by default, when it has read none of the three; the key of such a
  line would decide nothing.

  Args:
    source: 'auto' | 'bundled'.
    data_dir: not used.

  Returns:
    Source with character [N] uint8 and evidence [N] int32: of an answer whose line has a key, how
    many characters before it the key is; of all other characters 0.
  """
  del data_dir

  def generate(required: bool) -> Source:
    del required  # it is always there
    parts, evidence = {}, {}
    for number, (split, count) in enumerate(LINES.items()):
      parts[split], evidence[split] = _lines(count, np.random.default_rng((2026, number)))
    columns, vocabulary = characters.columns(parts)
    found = {split: {**part, 'evidence': evidence[split]} for split, part in columns.items()}
    return Source(origin='bundled', columns=found, classes=vocabulary)

  return choose('planted_character', source, {'bundled': generate})


SETS = (planted_mark, planted_cues, planted_row, planted_character)


def _planted(
  name: str, source: str, classes: tuple[str, ...], plant: Callable[..., Bool[np.ndarray, 'N H W']]
) -> Source:
  """Digits with random classes, into which `plant` (split, images, labels, draw) puts evidence."""

  def generate(required: bool) -> Source:
    del required  # it is always there
    digits, columns = mnist.mnist(source='bundled', data_dir=None).columns, {}
    for number, (split, count) in enumerate(COUNTS.items()):
      draw = np.random.default_rng((2026, number))
      images = np.array(digits[split]['image'][:count])
      labels = draw.permutation(np.arange(count) % len(classes)).astype(np.int32)
      evidence = plant(split, images, labels, draw)
      columns[split] = {'image': images, 'label': labels, 'evidence': evidence}
    return Source(origin='bundled', columns=columns, classes=classes)

  return choose(name, source, {'bundled': generate})


def _mark(
  images: UInt8[np.ndarray, 'N H W C'],
  labels: Int32[np.ndarray, 'N'],
  evidence: Bool[np.ndarray, 'N H W'],
  corner: tuple[int, int],
  chosen: Bool[np.ndarray, 'N'] | None = None,
) -> None:
  """Draws the marks of the chosen images, all by default, into a corner; adds the evidence."""
  shapes = np.array([[list(row) for row in text.split()] for text in MARKS.values()]) == '#'
  (top, left), (height, width) = corner, shapes.shape[1:]
  chosen = np.ones(len(images), bool) if chosen is None else chosen
  area = np.s_[chosen, top : top + height, left : left + width]
  images[area] = 255 * shapes[labels[chosen]][..., None].astype(np.uint8)
  evidence[area] = True


def _lines(count, draw):
  """The text of some lines, and the distance of each answer from its key."""
  lines, evidence = [], []
  for _ in range(count):
    letters = draw.choice(list('abcdefghij'), LETTERS)
    key, place = draw.choice(list(KEYS)), int(draw.integers(LETTERS))
    distances = np.zeros(LETTERS + 3, np.int32)
    if draw.random() >= WITHOUT_KEY:
      letters[place] = key
      distances[LETTERS + 1] = LETTERS + 1 - place
    lines.append(f'{"".join(letters)}{QUESTION}{key.lower()}\n')
    evidence.append(distances)
  return ''.join(lines), np.concatenate(evidence)
