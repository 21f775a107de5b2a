"""Analyses of single units: the images, patches and pixels that excite them."""

from collections.abc import Iterator

import numpy as np

from jaxdl import analysis, figures
from jaxdl.analysis import attribution, neurons, visualization
from jaxdl.analysis.units import Neuron
from jaxdl.runs import checkpoint
from jaxdl.views.subject import Subject
from jaxdl.views.view import (
  Choice,
  Display,
  Result,
  View,
  chosen_layer,
  layers_of,
  occlusion_of,
  once,
  separately,
  shown,
)

COUNT, PATCHES, MAXIMISED = 10, 9, 4
CHECKPOINTS, SPREAD = 4, 2  # fewest checkpoints of an evolution; least last step / first step
FIRING = 10  # a selective channel is excited by at least this many images


def patches(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows the patches that most excite ten selective channels of the deepest convolution."""
  layer, found, channels, top, labels = _shown(subject, choice)
  field = neurons.receptive_field(subject.model, subject.inputs.shape[1:], layer)
  rows = [
    [
      _patch(subject, patch, inside) if value > 0 else None
      for patch, inside, value in zip(*row, strict=True)
    ]
    for row in zip(top.patches, top.inside, top.values, strict=True)
  ]
  figure = figures.picture_rows(
    rows,
    [''] * len(rows[0]),
    labels=labels,
    heading=(
      f'{layer}: what excites {len(channels)} selective channels most, strongest first\n'
      f'(patches of {" × ".join(map(str, field.size))} pixels in {len(subject.inputs):,} '
      f'{subject.split} images; red is outside)\n'
      "next to a row: channel and class; that class's share of the channel's output for the images "
      '(at most 50) that excite it most; its strongest output'
    ),
  )
  yield Result(
    'neurons',
    figure,
    {**found._asdict(), 'shown': channels, **top._asdict()},
    {
      'layer': layer,
      'channels': channels,
      'classes': [subject.classes[label] for label in found.classes],
      'scores': found.scores,
      'receptive_field': field._asdict(),
      'images': len(subject.inputs),
    },
  )


def _shown(subject, choice):
  """The channels to show.

  Returns:
    (layer, its selective channels, shown channels, their strongest images, their labels).
  """
  names = layers_of(subject, 'Conv')
  layer = chosen_layer(choice, names, names[-1])
  found = _selective(subject, layer)
  channels = found.channels if choice.channel is None else np.array([choice.channel])
  top = _strongest(subject, layer, channels)
  labels = [
    _label(subject, found, channel, strongest)
    for channel, strongest in zip(channels, top.values[:, 0], strict=True)
  ]
  return layer, found, channels, top, labels


def pixels(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows the strongest image of each channel with three attributions to its pixels."""
  layer, _, channels, top, labels = _shown(subject, choice)
  images = top.images[:, 0]
  inputs = subject.inputs[images]
  target = Neuron(layer, channels, top.places[:, 0])  # one unit for each image
  arguments = (subject.model, subject.variables, inputs, target)
  maps = {
    'guided back-propagation': attribution.guided_backprop(*arguments),
    'deconvnet': attribution.deconvnet(*arguments),
    'occlusion': attribution.occlusion(*arguments, **occlusion_of(subject.inputs)),
  }
  rows = [
    [
      subject.images[image],
      _patch(subject, top.patches[number, 0], top.inside[number, 0]),
      shown(maps['guided back-propagation'][number]),
      shown(maps['deconvnet'][number]),
      maps['occlusion'][number],
    ]
    for number, image in enumerate(images)
  ]
  titles = ['image', 'patch', *(name.replace(' ', '\n', 1) for name in maps)]
  figure = figures.picture_rows(
    rows,
    titles,
    labels=labels,
    signed=(4,),
    heading=(
      f'{layer}: the pixels that excite {len(channels)} channels, each map on its own scale;\n'
      'occlusion covers with the mean colour'
    ),
  )
  yield Result(
    'neurons_pixels',
    figure,
    maps,
    {'layer': layer, 'channels': channels, 'images': images, 'places': top.places[:, 0]},
  )


def maximised(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows patches that are optimised to excite channels of the deepest convolution.

  They start from several noises and from the real patch that excites the channel most, which is
  shown above them.
  """
  names = layers_of(subject, 'Conv')
  layer = chosen_layer(choice, names, names[-1])
  channels = (
    _selective(subject, layer).channels[:MAXIMISED]
    if choice.channel is None
    else np.array([choice.channel])
  )
  low, high = subject.inputs.min((0, 1, 2)), subject.inputs.max((0, 1, 2))
  best = _strongest(subject, layer, channels)
  places = best.places[:, 0]
  found = visualization.visualize(
    subject.model,
    subject.variables,
    layer,
    channels,
    places,
    subject.inputs[best.images[:, 0]],
    low=low,
    high=high,
    seed=choice.seed,
  )
  facts = [
    {
      'channel': channel,
      'reached': float(reached),
      'best_image': float(real),
      'smooth': smooth,
    }
    for channel, reached, real, smooth in zip(
      channels.tolist(), found.strongest_value, found.real, found.smooth_values, strict=True
    )
  ]
  field = neurons.receptive_field(subject.model, subject.inputs.shape[1:], layer)
  span = np.where(high > low, high - low, 1)

  def patches_of(images):
    """The patches of images [n, H, W, C], one for each channel."""
    cuts = [
      neurons.cut(image, field, place)
      for image, place in zip((images - low) / span, places, strict=True)
    ]
    return [_framed(*each) for each in cuts]

  real_patches = zip(best.patches[:, 0], best.inside[:, 0], strict=True)
  rows = [
    [_patch(subject, *seen) for seen in real_patches],
    patches_of(found.strongest),
    *(patches_of(images) for images in found.smooth.swapaxes(0, 1)),
  ]
  columns = [
    f'{fact["channel"]}\nreal {fact["best_image"]:,.4g}\nmade {fact["reached"]:,.4g}'
    for fact in facts
  ]
  above = int((found.strongest_value > found.real).sum())
  starts = [f'smooth, from\nnoise {number + 1}' for number in range(visualization.STARTS)]
  figure = figures.picture_rows(
    rows,
    columns,
    labels=['real', 'made,\nstrongest', *starts, 'smooth, from\nthe real one'],
    heading=(
      f'{layer}: patches that excite a channel most\n(its output; red is outside the image);\n'
      f'made exceeds {len(subject.inputs):,} {subject.split} images in {above} of {len(channels)} '
      'channels'
    ),
  )
  yield Result(
    'maximised',
    figure,
    {
      'images': found.strongest,
      'smooth': found.smooth,
      'smooth_values': found.smooth_values,
      'channels': channels,
      'places': places,
    },
    {'layer': layer, 'channels': facts, 'above_data': above, 'images': len(subject.inputs)},
  )


def evolution(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Maps the strongest output of a channel back to pixels at each checkpoint of the run."""
  names = layers_of(subject, 'Conv')
  layer = chosen_layer(choice, names, names[-1])
  channel = (
    int(_selective(subject, layer).channels[0]) if choice.channel is None else choice.channel
  )
  found = analysis.evolution.features(subject.workdir, layer, channel, subject.inputs[:1000])
  rows = [[subject.images[image] for image in found.images], [shown(each) for each in found.maps]]
  figure = figures.picture_rows(
    rows,
    [f'step {step:,}' for step in found.steps],
    labels=['image', 'mapped back'],
    heading=f'{layer}, channel {channel}: its strongest output during training',
  )
  yield Result(
    'evolution', figure, found._asdict(), {'layer': layer, 'channel': channel, 'steps': found.steps}
  )


def _strongest(subject, layer, channels):
  """The images that most excite some channels, as returned by `neurons.top_patches`."""
  every = _every_strongest(subject, layer)
  if not 0 <= channels.min() <= channels.max() < len(every.dead):
    raise ValueError(
      f'channel {channels[0]} of layer {layer!r} is out of range: use 0 to {len(every.dead) - 1}'
    )
  return neurons.TopPatches(*(part[channels] for part in every))


@once
def _every_strongest(subject, layer):
  """Like `_strongest`, for all channels: several views share one pass over the images."""
  return neurons.top_patches(subject.model, subject.variables, subject.inputs, layer, k=PATCHES)


@once
def _selective(subject, layer):
  """The layer's most selective channels, shared by several views."""
  given = (subject.model, subject.variables, subject.inputs, subject.labels, layer)
  for at_least in (FIRING, 1):
    found = neurons.interesting(*given, n=COUNT, at_least=at_least)
    if len(found.channels):
      return found
  raise ValueError(f'no image excites a channel of {layer}: choose another with --layer')


def _few_checkpoints(subject):
  kept = checkpoint.kept_steps(subject.workdir)
  if len(kept) >= CHECKPOINTS and max(kept) >= SPREAD * min(kept):
    return ''
  return (
    f'the run keeps {len(kept)} checkpoints, and a development needs {CHECKPOINTS} that are spread '
    "over the training: train it with --config.keep_every='1 epoch'"
  )


def _label(subject, found, channel, strongest):
  """A channel and its strongest output; for a selective channel, also its class and score."""
  where = np.flatnonzero(found.channels == channel)
  selective = ''.join(
    f': {subject.classes[found.classes[place]]}\n{100 * found.scores[place]:.0f} %'
    for place in where
  )
  return f'{channel}{selective}\nup to {strongest:.3g}'


def _patch(subject, patch, inside):
  """A patch as a picture, red outside the image."""
  return _framed(subject.seen(patch), inside)


def _framed(picture, inside):
  """Colours a picture [H, W, C] red outside the image."""
  return np.where(
    inside[..., None],
    np.broadcast_to(figures.visible(picture), (*inside.shape, 3)),
    (0.55, 0.1, 0.1),
  )


VIEWS = {
  'neurons': View(
    'ten selective channels, their patches and pixels',
    ('cnn',),
    separately(patches, pixels),
    pictures=True,
    section='Neurons',
    displays={
      'neurons': Display(
        'Patches that excite selective channels',
        'Patches of a row that look alike show what the channel detects',
        entry='selective',
      ),
      'neurons_pixels': Display(
        'Pixels that excite each channel',
        'Grey is 0; a regular checkerboard comes from strides and pooling, not from the image; in '
        'occlusion, red is where covering lowers the output',
        entry='deconvnet',
      ),
    },
    uses=('layer', 'channel'),
  ),
  'maximised': View(
    'patches optimised to excite a channel, next to real ones',
    ('cnn',),
    maximised,
    pictures=True,
    section='Neurons',
    displays={
      'maximised': Display(
        'Real and optimised patches',
        'Above: the real patch that excites the channel most; below: the strongest patch, and '
        'smooth variants, all measured within the range of the data. They are no natural images',
        entry='maximised',
      )
    },
    uses=('layer', 'channel'),
  ),
  'evolution': View(
    'a channel mapped back to pixels during training',
    ('cnn',),
    evolution,
    pictures=True,
    section='Neurons',
    displays={
      'evolution': Display(
        'A channel during training',
        'Maps that still change at the last step: training was short',
        entry='evolution',
      )
    },
    uses=('layer', 'channel'),
    lacking=_few_checkpoints,
  ),
}
