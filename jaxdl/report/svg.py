"""Learning curves as plain SVG that a script lets a reader point at: numbers and colours, no
library.
"""

import math
import re

from jaxdl.step import metrics

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 300, 56, 34, 12, 12
POINTS = 600  # of a line, at most


def charts(lines_of, epoch=None, loss_unit='nats'):
  """A chart for each metric.

  Args:
    lines_of: label → (metric, split) → list of (step, number), as `Record.curves` gives them.
    epoch: int, the steps of an epoch, where they are known and the same for all.
    loss_unit: str, as `record.loss_unit` gives it; of several, all of them.

  Returns:
    list of dicts for the page's template: 'metric', 'unit', 'lines' (label, points of the polyline,
    colour, dashes, dot), 'legend' (what a colour means → its lines), 'order' (of those lines, in
    words, where there are several), 'x' and 'y' ticks (place, text), 'beyond' (what the axis leaves
    out, in words), 'epoch', and 'data' for the pointer: label → list of [x, y, step, text]. A
    learning rate that never changes has none, nor a squared error that is the loss itself.
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
  """The unit of a metric's axis; '' for none."""
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
  series, legend = {}, {}
  for number, (label, found) in enumerate(lines_of.items()):
    for order, split in enumerate(('train', 'validation', 'test')):
      points = [
        (step, metrics.scaled(metric, value))
        for step, value in found.get((metric, split), [])
        if math.isfinite(value)
      ]
      if points:
        name = f'{label}, {split}' if several else split
        again = number // 7 % 2 * 3  # the colours begin anew, with other dashes
        series[name] = (
          _thinned(points),
          number if several else order,
          order + again if several else order // 2,
        )
        legend.setdefault(label if several else split, {})[split] = name
  steps = [step for points, _, _ in series.values() for step, _ in points]
  values = sorted(value for points, _, _ in series.values() for _, value in points)
  low, high = (
    values[0],
    values[min(len(values) - 1, int(len(values) * 0.98))],
  )  # the first steps of a loss would flatten it
  if known and known.higher_is_better:
    low, high = values[int(len(values) * 0.02)], values[-1]
  if high - low <= 1e-12 * max(abs(low), abs(high), 1e-200):  # a constant, in the middle
    low, high = low - (abs(low) / 2 or 0.5), low + (abs(low) / 2 or 0.5)
  last, beyond = max(steps), []
  if values[-1] > high:
    beyond.append(f'values up to {values[-1]:.4g} lie above this axis')
  if values[0] < low:
    beyond.append(f'values down to {values[0]:.4g} lie below this axis')

  def place(step, value):
    x = LEFT + (WIDTH - LEFT - RIGHT) * step / max(last, 1)
    y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))
    return round(x, 1), round(y, 1)

  lines, data = {}, {}
  for name, (points, colour, dashes) in series.items():
    placed = [place(*point) for point in points]
    alone = len(placed) == 1  # a line to where it begins, which round ends make a dot
    lines[name] = {
      'label': name,
      'points': ' '.join(f'{x},{y}' for x, y in placed * (1 + alone)),
      'colour': colour % 7,
      'dashes': dashes,
      'dot': alone,
    }
    data[name] = [
      [x, y, step, f'{value:.4g}'] for (x, y), (step, value) in zip(placed, points, strict=True)
    ]
  splits = max(legend.values(), key=len) if several else ()
  return {
    'metric': metric.replace('_', ' '),
    'lines': list(lines.values()),
    'data': data,
    'legend': {what: [lines[name] for name in names.values()] for what, names in legend.items()},
    'beyond': ', '.join(beyond),
    'order': ', '.join(splits) if len(splits) > 1 else '',
    'x': [(place(step, low)[0], f'{step:,.0f}') for step in _ticks(0, last)],
    'y': [(place(0, value)[1], _short(value)) for value in _ticks(low, high)],
    'width': WIDTH,
    'height': HEIGHT,
    'left': LEFT,
    'bottom': HEIGHT - BOTTOM,
    'top': TOP,
    'right': WIDTH - RIGHT,
  }


def _short(value):
  """A number in as few letters as there are: 0.25, 7.5e-4."""
  plain = f'{value:g}'
  return (
    plain
    if len(plain) <= 5 and 'e' not in plain
    else re.sub(r'\.?0*e([+-])0*', r'e\1', f'{value:e}').replace('e+', 'e')
  )


def _thinned(points):
  """At most `POINTS` points, the last one among them."""
  every = math.ceil(len(points) / POINTS)
  return [*points[:-1:every], points[-1]]


def _ticks(low, high):
  """Four to eight round numbers from low to high."""
  span = high - low or 1
  unit = 10 ** math.floor(math.log10(span))
  step = next(
    unit * factor for factor in (0.1, 0.2, 0.25, 0.5, 1, 2) if span / (unit * factor) <= 7
  )
  first = math.ceil(low / step - 1e-9)
  return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]
