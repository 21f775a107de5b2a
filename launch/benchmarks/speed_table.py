"""The table of docs/speed.md, made from the figures that the benchmark wrote."""

import math
import pathlib

BEGIN, END = '<!-- speed -->', '<!-- /speed -->'
NAMES = {
  'keras_tensorflow': 'Keras, TensorFlow',
  'keras_jax': 'Keras, JAX',
  'torch': 'PyTorch',
  'torch_compile': '`torch.compile`',
  'flax': 'plain Flax',
}


def rewrite(page: pathlib.Path, figures: dict[str, dict]) -> None:
  """Writes the tables of all devices between the markers of a page.

  Args:
    page: path.
    figures: device → workload → figures, as in docs/speed.json.
  """
  text = page.read_text(encoding='utf-8')
  before, _, rest = text.partition(BEGIN)
  _, found, after = rest.partition(END)
  if not found:
    raise SystemExit(f'{page} has no {BEGIN} … {END}: put them where the table belongs')
  tables = '\n\n'.join(table(device, of_device) for device, of_device in figures.items())
  page.write_text(f'{before}{BEGIN}\n{tables}\n{END}{after}', encoding='utf-8')


def table(device: str, figures: dict[str, dict]) -> str:
  """A Markdown table of one device and the sentences below it."""
  limits = figures.get('limits', {})
  rows = {name: row for name, row in figures.items() if name != 'limits'}
  lines = [
    f'| config, on {device} | ms a step | examples/s | {" | ".join(NAMES.values())} | '
    'the fastest peer (range) | share of the limits: products, copies | '
    'memory, MB (fastest peer) | start, s: cold, cached (PyTorch) |',
    f'|---|{"---:|" * (len(NAMES) + 6)}',
  ]
  for name, row in rows.items():
    ours, peer = row['contenders']['jaxdl'], row['contenders'][row['fastest_peer']]
    ratios = [
      f'{row["contenders"][kind]["times_as_fast"]:.2f}' if kind in row['contenders'] else '–'
      for kind in NAMES
    ]
    lowest, highest = row['range']
    decimals = 1 if ours['ms'] < 100 else 0
    starts = row.get('starts', {})
    cold, cached, torch = (
      '–' if starts.get(name) is None else starts[name] for name in ('cold', 'cached', 'torch')
    )
    lines.append(
      f'| `{name}` | {ours["ms"]:,.{decimals}f} | {row["examples_per_second"]:,} | '
      f'{" | ".join(ratios)} | '
      f'**{row["times_as_fast"]:.2f}** ({lowest:.2f}–{highest:.2f}) | '
      f'{row["share_of_products"]:.0%}, {row["share_of_copies"]:.0%} | '
      f'{ours["peak_mbytes"]:,} ({peer["peak_mbytes"]:,}) | {cold}, {cached} ({torch}) |'
    )
  if len(rows) > 1:
    mean = math.exp(sum(math.log(row['times_as_fast']) for row in rows.values()) / len(rows))
    lines.append(f'| geometric mean | | | {" | ".join([""] * len(NAMES))} | **{mean:.2f}** | | | |')
  newest = max(row['date'] for row in figures.values())
  left_out = sorted(
    f'{NAMES[kind]} in `{name}`: {why}'
    for name, row in rows.items()
    for kind, why in row['left_out'].items()
  )
  notes = [
    f'Measured {newest} with `python -m launch.benchmarks.benchmark`. The columns of other '
    'frameworks say how many times as fast jaxdl is.'
  ]
  if limits:
    notes.append(
      f'Matrix products reach {limits["gflops"]:,} GFLOP/s on this machine and copies '
      f'{limits["gbytes"]} GB/s. The shares of the limits are fractions of a step: the time at '
      'this rate for the matrix products of the direct operations, and the time at this rate for '
      'the numbers that Adam reads and writes. `python -m jaxdl.main` finishes its first step of '
      f'`lstm_mnist` after {limits["main_cold_s"]} s, or after {limits["main_warm_s"]} s with '
      'compiled programs in the cache.'
    )
  if left_out:
    notes.append(f'Left out: {"; ".join(left_out)}.')
  return '\n'.join(lines) + '\n\n' + ' '.join(notes)
