"""Coordinates of learning curves for SVG charts, which a script makes interactive."""

import math

from jaxdl.step import metrics

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 320, 60, 46, 24, 14
LOW = 190  # height of a chart that is no metric, such as the learning rate
SUPERSCRIPTS = str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹')
# Marks of runs with one evaluation: circle, square, diamond, two triangles, cross.
MARKS = (
  'M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z',
  'M-3.6-3.6h7.2v7.2h-7.2z',
  'M0-5.2L5.2 0L0 5.2L-5.2 0z',
  'M0-5L5 4H-5z',
  'M0 5L5-4H-5z',
  'M-1.5-5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5z',
)
POINTS = 600  # approximate maximum number of points in a line


def charts(
  lines_of: dict[str, dict], epoch: int | None = None, loss_unit: str = 'nats'
) -> list[dict]:
  """Returns one chart per metric.

  Omits a constant learning rate and a squared error that equals the loss.

  Args:
    lines_of: label → (metric, split) → list of (step, number); see `Run.curves`.
    epoch: steps per epoch, or None if unknown or different between runs.
    loss_unit: unit returned by `record.loss_unit`; for several runs, all units.

  Returns:
    A list of dicts for the page template:

      'metric', 'unit': str.
      'lines': list of dicts with label, group (its text in the legend), points of the polyline,
        colour, dashes, and for a single point 'mark' (a path) and 'at' (its place), else ''.
      'legend': meaning of a colour → its lines.
      'order': order of these lines as text, if there are several.
      'x', 'y': ticks as (position, text).
      'power': text of the factor of the vertical axis, such as '× 10⁻³', or ''.
      'cut': 'high' or 'low': the end of the axis beyond which the first steps may lie, or ''.
      'log': whether a logarithmic axis makes sense.
      'ends': where each line ends, as text.
      'beyond': text about values outside the axis.
      'epoch': steps per epoch.
      'data': data for the pointer: label → list of [x, y, step, text].
      'width', 'height', 'left', 'bottom', 'top', 'right': geometry of the chart.
  """
  names = dict.fromkeys(
    metric
    for found in lines_of.values()
    for (metric, _), points in found.items()
    if any(math.isfinite(value) for _, value in points)
    and not (metric == 'learning_rate' and len({value for _, value in points}) == 1)
  )
  return [
    {**_chart(metric, lines_of), 'unit': _unit(metric, loss_unit), 'epoch': epoch}
    for metric in names
    if metric != 'mse' or _curves('mse', lines_of) != _curves('loss', lines_of)
  ]


def _unit(metric, loss_unit):
  """Returns the unit of a metric's axis; '' if there is none."""
  if metric == 'loss':
    return loss_unit
  known = metrics.find(metric)
  return known.unit if known else ''


def _curves(metric, lines_of):
  return {
    (label, split): points
    for label, found in lines_of.items()
    for (name, split), points in found.items()
    if name == metric
  }


def _chart(metric, lines_of):
  several = len(lines_of) > 1
  known = metrics.find(metric)
  series, legend, groups, marks = {}, {}, {}, {}
  for number, (label, found) in enumerate(lines_of.items()):
    for order, split in enumerate(('train', 'validation', 'test')):
      points = [
        (step, metrics.scaled(metric, value))
        for step, value in found.get((metric, split), [])
        if math.isfinite(value)
      ]
      if points:
        name = f'{label}, {split}' if several else split
        again = number // 7 % 2 * 3  # the colours repeat, with different dashes
        series[name] = (
          _thinned(points),
          number if several else order,
          order + again if several else order // 2,
        )
        groups[name] = label if several else split
        marks[name] = number if several else order
        legend.setdefault(groups[name], {})[split] = name
  steps = [step for points, _, _ in series.values() for step, _ in points]
  values = sorted(value for points, _, _ in series.values() for _, value in points)
  cut = '' if known is None else 'low' if known.higher_is_better else 'high'
  low, high = _limits(values, cut)
  height = LOW if known is None else HEIGHT
  last, beyond = max(steps), []
  if values[-1] > high:
    beyond.append(f'values up to {values[-1]:.4g} lie above this axis')
  if values[0] < low:
    beyond.append(f'values down to {values[0]:.4g} lie below this axis')

  def place(step, value):
    x = LEFT + (WIDTH - LEFT - RIGHT) * step / max(last, 1)
    y = TOP + (height - TOP - BOTTOM) * (1 - (value - low) / (high - low))
    return round(x, 1), round(y, 1)

  lines, data = {}, {}
  for name, (points, colour, dashes) in series.items():
    placed = [place(*point) for point in points]
    is_single = len(placed) == 1
    lines[name] = {
      'label': name,
      'group': groups[name],
      'points': ' '.join(f'{x},{y}' for x, y in placed),
      'colour': colour % 7,
      'dashes': dashes,
      'mark': MARKS[marks[name] % len(MARKS)] if is_single else '',
      'at': f'{placed[0][0]},{placed[0][1]}',
    }
    data[name] = [
      [x, y, step, f'{value:.4g}'] for (x, y), (step, value) in zip(placed, points, strict=True)
    ]
  splits = max(legend.values(), key=len) if several else ()
  heights = _ticks(low, high)
  texts, power = _texts(heights)
  return {
    'metric': metrics.words(metric),
    'lines': list(lines.values()),
    'data': data,
    'legend': {what: [lines[name] for name in names.values()] for what, names in legend.items()},
    'beyond': ', '.join(beyond),
    'order': ', '.join(splits) if len(splits) > 1 else '',
    'x': [(place(step, low)[0], f'{step:,.0f}') for step in _ticks(0, last)],
    'y': [(place(0, value)[1], text) for value, text in zip(heights, texts, strict=True)],
    'power': power,
    'cut': cut,
    'log': known is None or not known.is_share,
    'ends': '; '.join(f'{name} ends at {points[-1][3]}' for name, points in data.items()),
    'width': WIDTH,
    'height': height,
    'left': LEFT,
    'bottom': height - BOTTOM,
    'top': TOP,
    'right': WIDTH - RIGHT,
  }


def _limits(values, cut):
  """Returns the limits of the vertical axis.

  The first steps of training may be outside the limits, because they would flatten the curves.

  Args:
    values: sorted numbers.
    cut: 'high' or 'low', the end at which they may be outside; '' shows the full range.
  """
  low, high = values[0], values[-1]
  if cut == 'low':
    low = values[int(len(values) * 0.02)]
  elif cut == 'high':
    high = values[min(len(values) - 1, int(len(values) * 0.98))]
  if high - low <= 1e-12 * max(abs(low), abs(high), 1e-200):  # a constant is shown in the middle
    low, high = low - (abs(low) / 2 or 0.5), low + (abs(low) / 2 or 0.5)
  return low, high


def _texts(values):
  """Returns (texts of the ticks of an axis, all in one form; text of their common factor)."""
  greatest = max(map(abs, values))
  power = 0
  if greatest > 0 and not 0.01 <= greatest < 1e5:
    power = math.floor(math.log10(greatest))
  scaled = [f'{value / 10**power:.8g}' for value in values]
  decimals = max(len(text.partition('.')[2]) for text in scaled)
  factor = f'× 10{str(power).translate(SUPERSCRIPTS)}' if power else ''
  return [f'{float(text):.{decimals}f}' for text in scaled], factor


def _thinned(points):
  """Reduces a line to about `POINTS` points and keeps the last point."""
  every = math.ceil(len(points) / POINTS)
  return [*points[:-1:every], points[-1]]


def _ticks(low, high):
  """Returns four to eight round numbers from low to high."""
  span = high - low or 1
  unit = 10 ** math.floor(math.log10(span))
  step = next(
    unit * factor for factor in (0.1, 0.2, 0.25, 0.5, 1, 2) if span / (unit * factor) <= 7
  )
  first = math.ceil(low / step - 1e-9)
  return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]
