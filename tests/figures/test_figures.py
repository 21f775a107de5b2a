"""Tests of figures: they show the given data, for any text and numbers."""

import base64
import io
import re

import matplotlib.figure
import numpy as np
import PIL.Image
import pytest

from jaxdl import figures

MAP = np.arange(-4.0, 5.0).reshape(3, 3)
LOSS = {'loss': ('loss (nats)', 1)}


def texts(figure):
  return [
    text.get_text()
    for text in figure.findobj(lambda artist: hasattr(artist, 'get_text'))
    if text.get_text()
  ]


def test_figures_of_rows_draw_pictures_and_centre_signed_maps():
  photograph = np.full((3, 3, 1), 0.5)
  figure = figures.picture_rows(
    [[photograph, MAP, MAP], [photograph, None, np.zeros((3, 3))]],
    ['input', 'signed', 'plain'],
    labels=['a', 'b'],
    heading='heading',
    signed=(1,),
  )
  images_by_axis = [axis.get_images() for axis in figure.axes]
  assert [len(images) for images in images_by_axis] == [1, 1, 1, 1, 0, 1]
  assert images_by_axis[1][0].get_clim() == (-4, 4)
  assert images_by_axis[2][0].get_clim() == (-4, 4)
  assert images_by_axis[0][0].get_clim() == (0, 1)
  low, high = images_by_axis[5][0].get_clim()
  assert low < high, 'a map of zeros has an empty scale'
  assert {'heading', 'input', 'signed', 'plain', 'a', 'b'} <= set(texts(figure))


def test_figures_of_text_draw_characters_without_parsing_formulas():
  text = 'a $x^2$\n' + 'b' * 100
  figure = figures.coloured_text(
    text, np.linspace(-1, 1, len(text)), heading='heading', label='activation'
  )
  characters = [artist for artist in figure.axes[0].texts]
  assert ''.join(artist.get_text() for artist in characters) == text.replace('\n', '↵')
  assert not any(artist.get_parse_math() for artist in characters)
  assert figures.pixels(figure).shape[-1] == 3


def test_figures_of_text_rows_colour_each_row_on_its_own_scale():
  rows = {'signed': np.array([1.0, -2.0]), 'plain': np.array([3.0, 4.0])}
  blocks = [('first', 'a\n', rows), ('second', '$b', rows)]
  figure = figures.text_rows(
    blocks, signed=['signed'], notes={'plain': 'no sum'}, heading='heading'
  )
  shown = [artist.get_text() for artist in figure.axes[0].texts]
  assert shown.count('no sum') == 1, 'the note is in the first block only'
  assert {'first', 'second', 'signed', 'plain', 'a', '↵', '$', 'b'} <= set(shown)
  colours = [tuple(patch.get_facecolor()[:3]) for patch in figure.axes[0].patches]
  assert len(colours) == 8
  assert colours[:4] == colours[4:], 'equal rows have equal colours'
  (red, _, blue), (other_red, _, other_blue) = colours[:2]
  assert red > blue, '1 of −2 is red'
  assert other_blue > other_red, '−2 is blue'
  assert colours[2] != colours[3], 'the scale of plain values begins at their minimum'


def test_figures_of_maps_leave_missing_values_transparent():
  gap = np.array([[1.0, np.nan, 2.0]])
  figure = figures.picture_rows([[gap, gap]], ['signed', 'plain'], signed=(0,))
  limits = [axis.get_images()[0].get_clim() for axis in figure.axes]
  assert limits == [(-2, 2), (1, 2)]


def test_figures_of_distributions_show_every_count():
  counts, edges = np.histogram([0.1, 0.2, 0.9], 4)
  figure = figures.distributions(
    {'conv1 kernel': {'L2': (counts, edges), 'no L2': (counts * 2, edges)}}, heading='h', xlabel='x'
  )
  values = [patch.get_data().values.tolist() for patch in figure.axes[0].patches]
  assert values == [counts.tolist(), (counts * 2).tolist()]
  assert {'L2', 'no L2'} <= set(texts(figure))


def test_figures_of_panels_label_the_lowest_axis_per_column():
  counts, edges = np.histogram([0.1, 0.2, 0.9], 4)
  figure = figures.distributions(
    {name: {'run': (counts, edges)} for name in 'abcdefg'}, heading='h', xlabel='value'
  )
  assert [axis.get_xlabel() for axis in figure.axes[:7]] == [''] * 3 + ['value'] * 4, (
    'the rows have four and three panels'
  )


def test_figures_of_tiles_have_transparent_gaps():
  picture = np.full((3, 3, 1), np.nan)
  picture[1, 1] = 1
  pixels = figures.tiles(picture, heading='h').axes[0].get_images()[0].get_array()
  assert pixels[1, 1].tolist() == [1, 1, 1, 1]
  gaps = np.delete(pixels.reshape(9, 4), 4, axis=0)
  assert set(gaps[:, 3].tolist()) == {0}


def test_figures_of_rows_wrap_long_headings():
  heading = (
    'a heading that says much about pictures of which there are two, each of them small\nand more'
  )
  narrow, wide = (
    figures.picture_rows([[MAP] * count], [''] * count, heading=heading) for count in (2, 8)
  )
  assert narrow.get_figwidth() < 3.5
  assert wide.get_figwidth() == pytest.approx(0.06 + 8 * 1.21)
  wrapped = narrow.get_suptitle()
  assert max(map(len, wrapped.split('\n'))) <= 38
  assert wrapped.split() == heading.split()
  assert wide.get_suptitle() == heading


def test_figures_of_a_confusion_matrix_show_every_count():
  counts = np.array([[5, 1], [0, 0]])
  figure = figures.confusion_matrix(counts, ['cat', 'dog'], heading='h')
  assert [text.get_text() for text in figure.axes[0].texts] == ['5', '1', '0', '0']
  np.testing.assert_allclose(figure.axes[0].get_images()[0].get_array(), [[5 / 6, 1 / 6], [0, 0]])


def test_figures_accept_empty_bins_and_classes():
  figures.pixels(
    figures.reliability(
      np.array([np.nan, 0.7]), np.array([np.nan, 0.5]), np.array([0, 3]), heading='h'
    )
  )
  figure = figures.scatter(np.zeros((2, 2)), np.array([0, 0]), ['one', 'never'], heading='h')
  assert 'one' in texts(figure)
  assert 'never' not in texts(figure)


@pytest.mark.parametrize(
  ('draw', 'message'),
  [
    (lambda: figures.picture_rows([], ['a']), r'0 rows of \[\] pictures under 1 titles'),
    (lambda: figures.picture_rows([[MAP]], ['a', 'b']), r'1 rows of \[1\] pictures under 2 titles'),
    (lambda: figures.coloured_text('ab', [1.0], heading='', label=''), '2 characters and 1 values'),
    (
      lambda: figures.text_rows([('', 'ab', {'x': MAP[0]})], signed=(), notes={}, heading=''),
      'give at least one text, and one value for each of its characters',
    ),
    (lambda: figures.distributions({}, heading='', xlabel=''), 'there is no distribution to draw'),
    (
      lambda: figures.learning_curves({'a': {}}, {'a': ('a',)}, axes={}, heading=''),
      'there is no curve to draw',
    ),
    (lambda: figures.image_grid(np.zeros((2, 3, 3, 1)), ['a']), '2 images and 1 titles'),
  ],
)
def test_figures_errors_name_the_missing_data(draw, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    draw()


def test_figures_of_long_curves_note_cut_off_initial_values():
  steps = np.arange(100)
  long, short = (
    figures.learning_curves(
      {'a': {('train', 'loss'): (steps[:count], 9 * 0.5 ** steps[:count], np.zeros(count))}},
      {'a': ('a',)},
      axes=LOSS,
      heading='',
    ).axes[0]
    for count in (100, 5)
  )
  assert [text.get_text() for text in long.texts] == ['↑ to 9']
  assert long.get_ylim()[1] < 2
  assert not short.texts
  assert short.get_ylim()[0] < 9 * 0.5**4 < 9 < short.get_ylim()[1]


def test_figures_of_curves_note_cut_off_values_per_panel():
  flat, peak = np.ones(40), np.where(np.arange(40) == 30, 7.0, 1.0)
  axes = figures.learning_curves(
    {
      'a': {
        ('train', 'loss'): (np.arange(40), flat, np.zeros(40)),
        ('validation', 'loss'): (np.arange(40), peak, np.zeros(40)),
      }
    },
    {'a': ('a',)},
    axes=LOSS,
    heading='',
  ).axes
  assert [[text.get_text() for text in axis.texts] for axis in axes] == [[], ['↑ to 7']]


def test_long_note_below_a_scatter_stays_inside_the_figure():
  points = np.random.default_rng(0).normal(size=(20, 2))
  note = (
    'trustworthiness 0.995; class of the nearest neighbour right for 98.9 % (10.4 % with shuffled labels); '
    'a linear classifier of the features for 98.8 %'
  )
  figure = figures.scatter(points, np.arange(20) % 2, ('a', 'b'), heading='t-SNE', note=note)
  figure.draw_without_rendering()
  for text in figure.texts:
    box = text.get_window_extent()
    assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, text.get_text()
    assert figure.bbox.y0 <= box.y0 <= box.y1 <= figure.bbox.y1, text.get_text()


def test_reliability_diagram_has_plain_tick_labels():
  figure = figures.reliability(
    np.array([np.nan, 0.7]), np.array([np.nan, 0.6]), np.array([0, 9000]), heading='h'
  )
  figures.pixels(figure)  # tick labels are set only when the figure is drawn
  labels = [label.get_text() for axis in figure.axes for label in axis.get_yticklabels()]
  assert '1,000' in labels
  assert not any('$' in text for text in labels)


def test_heading_and_names_of_a_table_stay_inside_the_figure():
  heading = '32 of 1,000 test examples, the largest error first: true → predicted'
  figure = figures.table([['0', '1 → 2']], ['example', 'a name ' * 30], heading=heading)
  figure.draw_without_rendering()
  (title,) = figure.texts
  drawn = [title, *(cell.get_text() for cell in figure.axes[0].tables[0].get_celld().values())]
  for text in drawn:
    box = text.get_window_extent()
    assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, text.get_text()


@pytest.mark.parametrize('pixels', ['few colours', 'photograph', 'transparent'])
def test_images_of_svg_files_keep_their_pixels(pixels, tmp_path):
  generator = np.random.default_rng(0)
  image = generator.integers(0, 256, (20, 30, 4), np.uint8)
  if pixels != 'transparent':
    image[..., 3] = 255
  if pixels == 'few colours':
    image = image[:2, :3].repeat(10, 0).repeat(10, 1)
  figure = matplotlib.figure.Figure((2, 2))
  figure.subplots().imshow(image)
  figures.save_svg(figure, tmp_path / 'picture.svg')
  text = (tmp_path / 'picture.svg').read_text(encoding='utf-8')
  (encoded,) = re.findall(r'data:image/png;base64,([A-Za-z0-9+/=]+)', text)
  found = PIL.Image.open(io.BytesIO(base64.b64decode(encoded)))
  assert (found.mode == 'P') == (pixels == 'few colours')
  np.testing.assert_array_equal(np.asarray(found.convert('RGBA')), image)
