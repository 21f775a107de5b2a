"""Mistakes planted in the analyses and in convolution one at a time: what their tests must not let
pass.
"""

import re
import shutil
from typing import NamedTuple

import pytest
from helpers import ROOT, run_child


class Mutant(NamedTuple):
  """A mistake: the text `old`, which the file has once, becomes `new`; `tests` are a file and the
  names that catch it.
  """

  name: str
  file: str
  old: str
  new: str
  tests: str


PLANTED = {  # source and tests → name, text, what it becomes, names of the tests that catch it
  ('analysis/units.py', 'analysis/test_units.py'): (
    (
      'a probability as the target',
      'take_along_axis(logits,',
      'take_along_axis(jax.nn.softmax(logits),',
      'scores_are',
    ),
    (
      'a unit at (column, row)',
      'jnp.arange(len(output)), row, column',
      'jnp.arange(len(output)), column, row',
      'scores_are',
    ),
    (
      'a channel at its mean place',
      'channel.reshape(len(channel), -1).max(-1)',
      'channel.reshape(len(channel), -1).mean(-1)',
      'scores_are',
    ),
    (
      'layers in training mode',
      'model.apply(variables, inputs)\n  return',
      "model.apply(variables, inputs, train=True, mutable=['batch_stats'], rngs={'dropout': jax.random.PRNGKey(0)}, "
      'index=jnp.arange(len(inputs)))[0]\n  return',
      'activations_equal',
    ),
  ),
  ('analysis/batches.py', 'analysis/test_guided_backprop.py'): (
    (
      'the last batch is dropped',
      'range(0, count, max(size, 1))',
      'range(0, count - size + 1, max(size, 1))',
      'batches',
    ),
  ),
  ('analysis/units.py', 'analysis/test_occlusion.py'): (
    (
      'copies take turns with the wrong targets',
      'jnp.tile(jnp.asarray(target), count)',
      'jnp.repeat(jnp.asarray(target), count)',
      'plain_loop',
    ),
  ),
  ('analysis/guided_backprop.py', 'analysis/test_guided_backprop.py'): (
    (
      "guided without the input's gate",
      'jnp.where(positive, nn.relu(signal), 0)',
      'nn.relu(signal)',
      'hand',
    ),
    (
      "guided without the signal's gate",
      'jnp.where(positive, nn.relu(signal), 0)',
      'jnp.where(positive, signal, 0)',
      'hand',
    ),
    (
      'a deconvnet gated by its input',
      '(nn.relu(inputs), None), lambda _, signal: (nn.relu(signal),)',
      '(nn.relu(inputs), inputs > 0), lambda on, signal: (on * nn.relu(signal),)',
      'hand',
    ),
    (
      'a signal as strong as the unit',
      'pullback(signal.astype(values.dtype))',
      'pullback(signal * values)',
      'loops',
    ),
  ),
  ('ops/pooling.py', 'analysis/test_guided_backprop.py'): (
    (
      'the last of equal values is the switch',
      'jnp.where(place > greatest,',
      'jnp.where(place >= greatest,',
      'switch',
    ),
  ),
  ('ops/winograd.py', 'ops/test_convolution.py'): (
    (
      'a kernel that is not turned',
      'kernel[::-1, ::-1].swapaxes(2, 3)',
      'kernel.swapaxes(2, 3)',
      'winograd_equals',
    ),
    (
      "a kernel's rows taken for its columns",
      'np.kron(columns.of_kernel, rows.of_kernel)',
      'np.kron(rows.of_kernel, columns.of_kernel)',
      'winograd_equals',
    ),
    (
      "bands without the image's upper pad",
      'stride=rows.step, pads=reach[0])',
      'stride=rows.step, pads=(0, 0))',
      'winograd_in_bands',
    ),
    ('points that are not in the middle of their errors', '0.5, -2)', '8, -16)', 'winograd_rounds'),
  ),
  ('analysis/attribution.py', 'analysis/test_attribution.py'): (
    (
      'noise as wide as all images',
      'images.max(axes, keepdims=True)',
      'images.max(keepdims=True)',
      'known',
    ),
    ('noise as wide as the image is bright', ' - images.min(axes, keepdims=True)', '', 'known'),
    ('the same noise for all samples', '(keys, sample)', '(keys, 0)', 'known'),
  ),
  ('analysis/gradients.py', 'analysis/test_guided_backprop.py'): (
    ('a place forgotten', 'labels[:, 1:] if placed else None', 'None', 'receptive_field'),
  ),
  ('analysis/integrated_gradients.py', 'analysis/test_attribution.py'): (
    (
      'a Riemann sum from the left',
      'np.polynomial.legendre.leggauss(steps)',
      'np.linspace(-1, 1, steps, endpoint=False), np.full(steps, 2 / steps)',
      'quadrature',
    ),
    (
      'integrated without the baseline',
      'return (images - baselines) * mean',
      'return images * mean',
      'linear_model',
    ),
    (
      'a line that begins at black',
      'baselines + (images - baselines) * place',
      'images * place',
      'change_of_the_logit',
    ),
  ),
  ('analysis/grad_cam.py', 'analysis/test_attribution.py'): (
    ('Grad-CAM without its ReLU', 'nn.relu(maps) if relu else maps', 'maps', 'grad_cam'),
    ('Grad-CAM of summed slopes', 'slope.mean((1, 2)', 'slope.sum((1, 2)', 'formula'),
  ),
  ('analysis/sanity.py', 'analysis/test_attribution.py'): (
    (
      'each layer randomised alone',
      'in current.items()}',
      'in variables.items()}',
      'randomisation',
    ),
    (
      'equal numbers ranked in their order',
      '(np.cumsum(counts) - (counts + 1) / 2)[which]',
      'np.argsort(np.argsort(numbers))',
      'rank',
    ),
  ),
  ('analysis/occlusion.py', 'analysis/test_occlusion.py'): (
    ('the last window moved, not cut off', '>= corner[axis]', '>= start[axis]', 'plain_loop'),
    (
      'a window one pixel too wide',
      'place < begins + window',
      'place <= begins + window',
      'linear_model',
    ),
    (
      "drops divided by the window's size",
      'np.outer(rows.sum(1), columns.sum(1))',
      'np.prod(window)',
      'plain_loop',
    ),
    (
      'one fill for all channels',
      'images.mean((0, 1, 2), dtype',
      'images.mean(dtype',
      'plain_loop',
    ),
  ),
  ('analysis/local_forward.py', 'analysis/test_occlusion.py'): (
    (
      'a kernel that is not turned round',
      "whole.keywords['kernel'], padding",
      "whole.keywords['kernel'][::-1], padding",
      'changed_maps',
    ),
    (
      'local maps on batch statistics',
      'layer.apply(variables, inputs, layers.Context())',
      "layer.apply(variables, inputs, layers.Context(train=True), mutable=['batch_stats'])[0]",
      'plain_loop',
    ),
    (
      'room at the wrong ends of a spread change',
      'for pad in reversed(pads[axis])]',
      'for pad in pads[axis]]',
      'changed_maps',
    ),
    (
      'no room for what no output sees',
      'for axis in (0, 1)]\n  ends',
      'and 0 for axis in (0, 1)]\n  ends',
      'changed_maps',
    ),
  ),
  ('analysis/fields.py', 'analysis/test_receptive_field.py'): (
    ('padding that ignores strides', 'pads[0] * stride', 'pads[0]', 'reports'),
    (
      'a field that has strided too early',
      '(window - 1) * stride',
      '(window - 1) * stride * step',
      'reports',
    ),
  ),
  ('models/geometry.py', 'models/test_geometry.py'): (
    ('the padding of the other end', 'stride - pads[0]', 'stride - pads[1]', 'in_pixels'),
  ),
  ('analysis/neurons.py', 'analysis/test_neurons.py'): (
    (
      'places by the height of the map',
      'outputs.shape[-2] if',
      'outputs.shape[-3] if',
      'brute_force',
    ),
    ('patches without the first pixels', '(pixels >= 0) &', '(pixels > 0) &', 'mark_the_outside'),
    (
      'of equal images the last',
      "np.argsort(-joined['values'], axis=1, kind='stable')[:, :k]",
      "np.argsort(joined['values'], axis=1, kind='stable')[:, ::-1][:, :k]",
      'brute_force',
    ),
    (
      'classes counted, not weighed',
      'np.maximum(values, 0, dtype=np.float64)',
      '(values > 0) * 1.0',
      'weights',
    ),
  ),
  ('analysis/evolution.py', 'analysis/test_evolution.py'): (
    (
      'always the last checkpoint',
      'load_model(workdir, step)',
      'load_model(workdir)',
      'every_checkpoint',
    ),
  ),
  ('analysis/activations.py', 'analysis/test_statistics.py'): (
    ('zeros of the padding counted', '(real & (example == 0))', '(example == 0)', 'any_batch_size'),
    (
      "a sample's deviation",
      "total['squares'] / total['count']",
      "total['squares'] / (total['count'] - 1)",
      'by_hand',
    ),
    (
      'units dead by their mean',
      "dead_units=~(total['max'] > 0)",
      "dead_units=~(total['mean'] > 0)",
      'any_batch_size',
    ),
    (
      'batches merged by their halves',
      "share = other['count'] / count",
      'share = 1 / 2',
      'any_batch_size',
    ),
  ),
  ('analysis/batches.py', 'analysis/test_statistics.py'): (
    ('a stream without its tail', '  if count:\n', '  if count == size:\n', 'batches'),
  ),
  ('analysis/errors.py', 'analysis/test_errors.py'): (
    (
      'a transposed confusion matrix',
      'cell = labels.astype(np.int64) * size + predicted.astype(np.int64)',
      'cell = predicted.astype(np.int64) * size + labels.astype(np.int64)',
      'confusion',
    ),
    (
      'an edge in the bin above',
      "np.searchsorted(edges, probability, side='left') - 1",
      "np.minimum(np.searchsorted(edges, probability, side='right'), bins) - 1",
      'edge',
    ),
    (
      'bins not weighed',
      'np.abs(accuracy - confidence).sum() / len(labels)',
      'np.nanmean(np.abs(accuracy - confidence) / np.where(count > 0, count, np.nan))',
      'calibration',
    ),
    (
      'mistakes by confidence',
      'np.argsort(-loss[wrong], ',
      'np.argsort(-log_probabilities.max(-1)[wrong], ',
      'mistakes',
    ),
  ),
  ('analysis/embeddings.py', 'analysis/test_embeddings.py'): (
    ('components about zero', 'centred = features - mean', 'centred = features', 'pca'),
    ('features of the first dense layer', 'read[-1] if', 'read[0] if', 'penultimate'),
    ('t-SNE of one seed', 'random_state=seed', 'random_state=0', 'tsne_of_many'),
  ),
  ('analysis/embedding_quality.py', 'analysis/test_embeddings.py'): (
    (
      'each its own neighbour',
      'distance[np.arange(len(queries)), queries] = np.inf',
      'distance[np.arange(len(queries)), queries] = 0',
      'neighbours',
    ),
    ('the wrong worst case of trust', '3 * count - 1)', '3 * count + 1)', 'quality'),
    (
      'the neighbours of the features',
      'neighbours(embedding, count)',
      'neighbours(features, count)',
      'quality',
    ),
    (
      'a classifier tested on what it has seen',
      'fitted.score(features[test], labels[test])',
      'fitted.score(features[train], labels[train])',
      'linear_accuracy',
    ),
    (
      'the majority with hindsight',
      'np.unique(labels[train], ',
      'np.unique(labels[test], ',
      'linear_accuracy',
    ),
    (
      'a scale of the examples held out too',
      'codes[train].std(0)',
      'codes.std(0)',
      'training_part',
    ),
  ),
  ('analysis/projector.py', 'analysis/test_projector.py'): (
    ('a sprite by columns', 'row, column = divmod', 'column, row = divmod', 'place'),
  ),
  ('analysis/filters.py', 'analysis/test_filters.py'): (
    (
      'filters scaled by the whole grid',
      'np.min(kernels, (0, 1, 2)), np.max(kernels, (0, 1, 2))',
      'np.full(kernels.shape[-1], kernels.min()), np.full(kernels.shape[-1], kernels.max())',
      'normalised',
    ),
    (
      'grey that is not zero',
      'return -greatest, greatest',
      'return np.full_like(greatest, kernels.min()), np.full_like(greatest, kernels.max())',
      'scale',
    ),
  ),
  ('analysis/weights.py', 'analysis/test_weights.py'): (
    (
      'running averages among the weights',
      "flatten_with_path(variables['params'])",
      "flatten_with_path(variables['params'] | {'running': variables.get('batch_stats', {})})",
      'once',
    ),
    (
      'edges of the first run',
      'min(map(np.min, here.values()))',
      'next(iter(here.values())).min()',
      'several',
    ),
  ),
  ('analysis/autoencoder.py', 'analysis/test_autoencoder.py'): (
    (
      'errors against the inputs',
      'mse=_mse(images, targets)',
      'mse=_mse(images, inputs)',
      'reconstructions',
    ),
    ('the mean of the inputs', 'mean = targets.mean(', 'mean = inputs.mean(', 'reconstructions'),
    (
      'a walk that stops early',
      'jnp.linspace(0, 1, steps, dtype',
      'jnp.linspace(0, 1, steps, False, dtype',
      'traverse',
    ),
  ),
  ('analysis/maximization.py', 'analysis/test_maximization.py'): (
    (
      'images beyond their range',
      'jax.nn.sigmoid(jax.vmap(decode)(parameters))',
      '(0.5 + jax.vmap(decode)(parameters))',
      'known_optimum',
    ),
    ('rolled to the end', 'step < steps // 2, seen', 'step < steps, seen', 'rolled'),
    ('rolled one way', '-reach, reach + 1', '0, reach + 1', 'rolled'),
    (
      'weights of each other',
      'jnp.asarray([total_variation, blur]',
      'jnp.asarray([blur, total_variation]',
      'own_weight',
    ),
    (
      'redirected for the whole batch',
      'axes = tuple(range(1, inputs.ndim))',
      'axes = tuple(range(inputs.ndim))',
      'redirected',
    ),
  ),
  ('analysis/parametrisation.py', 'analysis/test_maximization.py'): (
    (
      'all waves alike',
      'np.maximum(frequency, 1 / max(height, width))',
      'np.ones_like(frequency)',
      'waves',
    ),
  ),
  ('analysis/characters.py', 'analysis/test_recurrent.py'): (
    ('nats for bits', '-of_next / np.log(2)', '-of_next', 'characters'),
    (
      'each character predicted by itself',
      'log_probabilities[:-1]',
      'log_probabilities[1:]',
      'characters_are',
    ),
    (
      'units by their positive correlation',
      'np.argsort(-np.abs(correlation)',
      'np.argsort(-correlation',
      'ranking',
    ),
  ),
  ('analysis/recurrent.py', 'analysis/test_recurrent.py'): (
    (
      'paths from their mean',
      'start=-found.mean @ found.axes.T',
      'start=0 * found.mean @ found.axes.T',
      'paths',
    ),
    ('gates of the other threshold', '(values > HIGH)', '(values > 1 - HIGH)', 'gates'),
    ('losses divided by the steps', 'loss=loss / len(labels)', 'loss=loss / steps', 'by_step'),
  ),
  ('analysis/reference.py', 'analysis/test_reference.py'): (
    ('an activation after every layer', 'if kind in ACTIVATED and', 'if', 'can_fail'),
  ),
  ('analysis/reference_recurrence.py', 'analysis/test_reference.py'): (
    (
      'gates in another order',
      'entered, forget, candidate, output = np',
      'entered, candidate, forget, output = np',
      'by_hand',
    ),
    ('a reset that is not applied', '+ reset * of_hidden[2]', '+ of_hidden[2]', 'stacked'),
  ),
  ('analysis/reference_layers.py', 'analysis/test_reference.py'): (
    (
      "SAME's odd pixel before",
      'return missing // 2, missing - missing // 2',
      'return missing - missing // 2, missing // 2',
      'conv_by_hand',
    ),
    ('another epsilon', 'epsilon: Number = 1e-3', 'epsilon: Number = 1e-5', 'can_fail'),
    (
      'a mean over padding',
      'return sums / sum(pixels for _, pixels in _places(np.ones_like(inputs), *geometry, fill=0))',
      'return sums / np.prod(geometry[0])',
      'no_config',
    ),
    ('zeros in the padding of max-pooling', 'fill=-np.inf', 'fill=0', 'no_config'),
  ),
}


def squeezed(text):
  """A text without what a formatter changes, and the position of each character that is left.

  White space and commas before closing brackets are left out; quotation marks are alike.
  """
  kept = [
    (place, letter.replace('"', "'")) for place, letter in enumerate(text) if not letter.isspace()
  ]
  kept = [
    (place, letter)
    for number, (place, letter) in enumerate(kept)
    if not (letter == ',' and number + 1 < len(kept) and kept[number + 1][1] in ')]}')
  ]
  return ''.join(letter for _, letter in kept), [place for place, _ in kept]


def places(source, old):
  """The spans (first, end) of a source that are `old` but for its form."""
  text, positions = squeezed(source)
  wanted, _ = squeezed(old)
  found = re.finditer(re.escape(wanted), text)
  return [(positions[match.start()], positions[match.end() - 1] + 1) for match in found]


def planted(source, mutant):
  """The source with the mistake."""
  ((first, end),) = places(source, mutant.old)
  return source[:first] + mutant.new.strip() + source[end:]


MUTANTS = [
  Mutant(name, file, old, new, f'{tests} -k {names}')
  for (file, tests), rows in PLANTED.items()
  for name, old, new, names in rows
]


def run_in_a_copy(folder, tests, mutant=None):
  """Copies what tests need, plants the mistake and runs them there; returns the CompletedProcess
  and how it ended.
  """
  for name in ('jaxdl', 'tests', 'launch', 'configs'):
    shutil.copytree(
      ROOT / name, folder / name, ignore=shutil.ignore_patterns('bundled', '__pycache__')
    )
  shutil.copy(ROOT / 'pyproject.toml', folder)
  (folder / 'jaxdl/data/bundled').symlink_to(ROOT / 'jaxdl/data/bundled')
  if mutant:
    source = folder / 'jaxdl' / mutant.file
    source.write_text(planted(source.read_text(), mutant))
  file, names = tests.split(' -k ')
  child = run_child(
    '-m',
    'pytest',
    '-x',
    '-q',
    '-n0',
    '-p',
    'no:cacheprovider',
    f'tests/{file}',
    '-k',
    names,
    folder=folder,
  )
  return child, child.stdout[-2000:] + child.stderr[-1000:]


def test_mistakes_can_be_planted():
  assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
  for mutant in MUTANTS:
    source = (ROOT / 'jaxdl' / mutant.file).read_text()
    assert len(places(source, mutant.old)) == 1, mutant.name
    compile(planted(source, mutant), mutant.file, 'exec')


@pytest.mark.slow
@pytest.mark.parametrize('file', dict.fromkeys(tests for _, tests in PLANTED))
def test_without_a_mistake_the_same_tests_pass(file, tmp_path):
  names = dict.fromkeys(
    mutant.tests.split(' -k ')[1] for mutant in MUTANTS if mutant.tests.startswith(file)
  )
  child, end = run_in_a_copy(tmp_path, f'{file} -k {" or ".join(names)}')
  assert child.returncode == 0, end


@pytest.mark.slow
@pytest.mark.parametrize('mutant', MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_mistake_is_caught(mutant, tmp_path):
  child, end = run_in_a_copy(tmp_path, mutant.tests, mutant)
  assert child.returncode == 1, end  # 0: the tests passed; 2 to 5: they did not run
  assert re.search(r'^E +(AssertionError|assert|Failed)', child.stdout, re.MULTILINE), (
    end
  )  # by a check, not by a crash
