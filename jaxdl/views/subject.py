"""The subject of an analysis: a network, and examples as network inputs and as pictures."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxdl.config import paths
from jaxdl.config.arguments import about
from jaxdl.data import image_folder, loading, stand_ins
from jaxdl.data.dataset import Data
from jaxdl.data.photographs import copies
from jaxdl.runs import checkpoint, format

PLACES = ('tfds', 'bundled', 'folder')  # values of `source` in a config's data section
OWN = {  # data sets of a user's own files → what is in the file
  'arrays': 'arrays',
  'table': 'table',
  'text': 'text',
}
COLUMNS = ('inputs', 'target', 'label', 'value', 'image', 'index')  # of a batch, for a Subject
BYTES = 1 << 30  # most bytes of network inputs in memory
KIND_OF_TASK = {
  'reconstruct': 'autoencoder',
  'next_char': 'language_model',
  'regress': 'regressor',
  'multi_label': 'multi_label',
}


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
  """A trained network and examples.

  Attributes:
    workdir: folder of the run.
    name: name of the data set.
    split: split of the data set from which the examples are taken.
    step: step of the checkpoint.
    kind: 'cnn' | 'recurrent' | 'classifier' (any other) | 'language_model' | 'autoencoder' |
      'regressor' | 'multi_label'.
    model, variables, config: as returned by `checkpoint.load_model`.
    classes: class names, or the vocabulary of a text.
    inputs: [N, …], the inputs of the network; [B, N] int for a text, one contiguous stream.
    labels: [N] int; the next characters [B, N]; the labels [N, K] of 0 and 1; or the values [N, D]
      of a regression.
    images: [N, H, W, C] in 0..1, the inputs as pictures; None for inputs that are no pictures.
    targets: [N, H, W, C] in 0..1, the target pictures of an autoencoder; otherwise None.
    available: number of examples in the split; `inputs` may have fewer.
    data_dir, folder: place of the data, as given to `read`; None for that of the training.
    evidence: bool [N, H, W], the places that decide; of a text [N] int, how many characters before
      each of the `labels` the one is that decides it, or 0. None if the data do not have it.
  """

  workdir: pathlib.Path
  name: str
  split: str
  step: int
  kind: str
  model: Any
  variables: Any
  config: dict
  classes: tuple
  inputs: np.ndarray
  labels: np.ndarray
  images: Any
  targets: Any
  available: int
  data_dir: str | pathlib.Path | None = None
  folder: str | pathlib.Path | None = None
  evidence: Any = None

  def seen(self, values: Any) -> np.ndarray:
    """Converts network inputs or outputs […, C] to pictures in 0..1: unscales and clips them."""
    return pictures(self.config, values)

  def caption(self, place: int) -> str:
    """The truth of an example in words: its class, its labels or its values.

    Args:
      place: index of the example.
    """
    truth = self.labels[place]
    if self.kind == 'regressor':
      names = self.config['dataset']['targets']['names']
      return '\n'.join(f'{name} {value:.4g}' for name, value in zip(names, truth, strict=True))
    if self.kind == 'multi_label':
      return ', '.join(self.classes[label] for label in np.flatnonzero(truth)) or 'none'
    return self.classes[truth]

  def scaled(self, pictures: np.ndarray) -> np.ndarray:
    """Converts pictures in 0..1 […, C] to inputs of the network."""
    return scaled(self.config, pictures)


def pictures(config: Mapping[str, Any], values: Any) -> np.ndarray:
  """Converts inputs or outputs […, C] of a run's network to pictures in 0..1, as `Subject.seen`."""
  return np.clip(unscaled(config, values), 0, 1)


def scaled(config: Mapping[str, Any], pictures: np.ndarray) -> np.ndarray:
  """Converts pictures in 0..1 […, C] to inputs of a run's network."""
  mean, deviation = _scaling(config)
  return (pictures - mean) / deviation


def limits(config: Mapping[str, Any], inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The lowest and highest number of each channel, of pictures in 0..1 and of given inputs.

  Args:
    config: the config of a run.
    inputs: inputs of its network [N, H, W, C].

  Returns:
    (lowest [C], highest [C]).
  """
  channels, axes = np.ones(inputs.shape[-1]), tuple(range(inputs.ndim - 1))
  low = np.minimum(scaled(config, 0 * channels), inputs.min(axes))
  return low, np.maximum(scaled(config, channels), inputs.max(axes))


def unscaled(config: Mapping[str, Any], values: Any) -> np.ndarray:
  """Converts inputs or outputs […, C] of a run's network to the unit of the data."""
  mean, deviation = _scaling(config)
  return values * deviation + mean


def _scaling(config):
  return (np.asarray(config['dataset'][key], np.float32) for key in ('mean', 'deviation'))


def read(
  workdir: str | pathlib.Path,
  *,
  step: str | int = 'best',
  count: int | None = None,
  data_dir: str | pathlib.Path | None = None,
  folder: str | pathlib.Path | None = None,
  examples: bool = True,
  trust_code: bool = False,
) -> Subject:
  """Reads the network of a run and examples of its test split.

  Without a test split, the examples are from the validation or training split. The data are those
  on which the run was trained: they are read from the location that the run recorded, and their
  checksums are compared with the recorded ones.

  Args:
    workdir: the run's folder.
    step: 'best' | 'last' | int.
    count: maximum number of examples; None for all that fit into 1 GiB.
    data_dir: folder of the prepared data sets; None for the folder used in training.
    folder: folder of the photographs; None for the folder used in training.
    examples: whether to read data; if False, inputs and labels are empty, and images is None.
    trust_code: as in `runs.code.linked`.

  Returns:
    Subject.

  Raises:
    ValueError: the count is below 1, or the data differ from those on which the network was
      trained.
    OSError: there is no checkpoint, or the data cannot be read.
  """
  if count is not None and count < 1:
    raise about(ValueError(f'images={count} is too few: use at least 1'), 'images')
  found_step, model, variables, config = checkpoint.load_step(workdir, step, trust_code=trust_code)
  kept, kind = format.dataset(config, workdir), kind_of(config)
  dtype = np.int32 if kind == 'language_model' else np.float32
  subject = Subject(
    workdir=pathlib.Path(workdir),
    name=config['data']['name'],
    split='',
    step=found_step,
    kind=kind,
    model=model,
    variables=variables,
    config=config,
    classes=tuple(kept['classes']),
    inputs=np.zeros((0, *kept['input_shape']), dtype),
    labels=np.zeros(0, np.int32),
    images=None,
    targets=None,
    available=0,
  )
  if not examples:
    return subject
  return with_examples(subject, count=count, data_dir=data_dir, folder=folder)


def with_examples(
  subject: Subject,
  *,
  count: int | None = None,
  data_dir: str | pathlib.Path | None = None,
  folder: str | pathlib.Path | None = None,
) -> Subject:
  """Adds examples to a Subject that has none.

  Args:
    subject: as returned by `read` with examples=False.
    count, data_dir, folder: as in `read`.

  Returns:
    Subject.

  Raises:
    ValueError: the data differ from those on which the network was trained.
    OSError: the data cannot be read.
  """
  data = data_of_run(subject.workdir, subject.config, data_dir=data_dir, folder=folder)
  name = next(name for name in ('test', 'validation', 'train') if name in data.splits)
  split = data.splits[name]
  is_text = subject.kind == 'language_model'
  available = split.count
  if is_text:  # one stream of all characters; the last one has no target
    available = len(split.arrays['character']) - 1
  size = math.prod(data.input_shape()) * 4
  wanted = min(count or available, available, max(1, BYTES // size))
  found = _text(split, wanted) if is_text else _examples(data, split, wanted)
  found.pop('index', None)
  for kept in ('images', 'targets'):
    if found[kept] is not None:
      found[kept] = subject.seen(found[kept])
  evidence = data.evidence.get(name)
  if evidence is not None:
    evidence = evidence[1 : wanted + 1] if is_text else evidence[:wanted]
  return dataclasses.replace(
    subject,
    name=data.name,
    split=name,
    classes=data.classes,
    available=available,
    data_dir=data_dir,
    folder=folder,
    evidence=evidence,
    **found,
  )


def training_examples(subject: Subject, count: int) -> dict[str, Any]:
  """Reads training examples of a run as the network sees them without augmentation.

  Args:
    subject: a network with inputs that are not texts.
    count: maximum number of examples; fewer are read if they need more than 1 GiB.

  Returns:
    'inputs', 'labels' and 'images' as in Subject, and 'index' [N], the place of each example in the
    training split. They are the first examples of the first epoch, so a random choice.

  Raises:
    ValueError: the data differ from those on which the network was trained.
    OSError: the data cannot be read.
  """
  data = data_of_run(
    subject.workdir, subject.config, data_dir=subject.data_dir, folder=subject.folder
  )
  split = data.splits['train']
  size = math.prod(data.input_shape()) * 4
  found = _examples(data, split, min(count, split.count, max(1, BYTES // size)))
  if found['images'] is not None:
    found['images'] = subject.seen(found['images'])
  return {key: found[key] for key in ('inputs', 'labels', 'images', 'index')}


def data_of_run(
  workdir: str | pathlib.Path,
  config: Mapping[str, Any],
  *,
  data_dir: str | pathlib.Path | None = None,
  folder: str | pathlib.Path | None = None,
) -> Data:
  """Reads the data on which a run was trained.

  Args:
    workdir: the run's folder.
    config: the run's config, including the facts about its data ('dataset').
    data_dir, folder: as in `read`.

  Returns:
    Data.

  Raises:
    ValueError: the data differ from those on which the network was trained.
    OSError: the data cannot be read.
  """
  _check_flags(workdir, config, data_dir, folder)
  if config['data']['name'] in OWN:
    return _own_file(workdir, config, folder)
  section, kept = _where(config, data_dir, folder), config['dataset']
  photographs = section['name'] == 'image_folder'
  fix = 'give the folder that has it prepared, data_dir=DIR'
  if photographs:
    fix = (
      'give the folder of the photographs, folder=DIR, or that of the prepared copy, data_dir=DIR'
    )
  reads_folder = section.get('source') == 'folder'
  if reads_folder and not _is_there(section['folder']):
    error = FileNotFoundError(
      f'the photographs of {workdir} are not in {section["folder"]}: {fix}; or use only analyses '
      'that need none, such as only=weights'
    )
    raise about(error, 'folder', 'data_dir', 'only')
  try:
    data = _load(config, section)
  except OSError as error:
    if section.get('source') not in ('folder', 'tfds'):
      raise
    message = f'{str(error).partition(": ")[0]}, but {workdir} was trained on it: {fix}'
    raise about(OSError(message), 'folder', 'data_dir') from error
  if data.origin == stand_ins.ABSENT:
    error = FileNotFoundError(
      f'{data.name} is not prepared here, but {workdir} was trained on it: {fix}'
    )
    raise about(error, 'folder', 'data_dir')
  return _same_examples(workdir, kept, data, fix)


def data_section(
  workdir: str | pathlib.Path,
  config: Mapping[str, Any],
  *,
  data_dir: str | pathlib.Path | None = None,
  folder: str | pathlib.Path | None = None,
) -> dict[str, Any]:
  """The data section of a run's config, with the location from which the run read its data.

  Args:
    workdir, config, data_dir, folder: as in `data_of_run`.

  Raises:
    ValueError: a location that does not apply to the data of the run.
    FileNotFoundError: the data were given in Python and are not stored.
  """
  _check_flags(workdir, config, data_dir, folder)
  if config['data']['name'] in OWN:
    return _own_section(workdir, config, folder)
  return _where(config, data_dir, folder)


def _is_there(folder):
  """Whether a folder exists; an address is looked up when it is read."""
  return paths.is_address(folder) or pathlib.Path(folder).expanduser().is_dir()


def _load(config, section):
  """The Data of a data section, for the task and seed of a run."""
  return loading.bind(section, seed=config.get('seed', 0), task=config['task']['name'])()


def _same_examples(workdir, kept, data, fix):
  """The data; ValueError if they differ from those that a run recorded."""
  wrong = data.differs(kept.get('checksums'))
  if wrong is not None:
    error = ValueError(
      f'{data.described()} has other examples than {workdir} was trained on (in the {wrong} '
      f'split): {fix}'
    )
    raise about(error, 'folder', 'data_dir')
  if list(data.classes) != list(kept['classes']):
    error = ValueError(
      f'the data of {workdir} have other classes than those it was trained on: {fix}'
    )
    raise about(error, 'folder', 'data_dir')
  return data


def _own_file(workdir, config, folder):
  """The Data of a run on own arrays, a table or a text, from their file."""
  section = _own_section(workdir, config, folder)
  what, file = OWN[section['name']], section['file']
  fix = f'give the file of the {what}, folder=FILE'
  try:
    data = _load(config, section)
  except FileNotFoundError as error:
    message = f'the data of {workdir} ({what}) are not in {file}: {fix}; or only=weights'
    raise about(FileNotFoundError(message), 'folder', 'only') from error
  return _same_examples(workdir, config['dataset'], data, fix)


def _own_section(workdir, config, folder):
  """The data section of a run on own arrays, a table or a text, with their file."""
  section, kept = dict(config['data']), config['dataset']
  what = OWN[section['name']]
  file = section['file'] = folder or kept.get('file') or section.get('file')
  if kept.get('division'):
    section['splits'] = kept['division']
  if file is None:
    method = 'evaluate((x, y))' if what == 'arrays' else 'evaluate(table)'
    error = FileNotFoundError(
      f'the data of {workdir} ({what}) were given in Python and are not stored: give folder=FILE '
      f'with the same examples, use only analyses that need none, such as only=weights, or '
      f'jaxdl.load(run).{method}'
    )
    raise about(error, 'folder', 'only')
  return section


def _where(config, data_dir, folder):
  """The data section of a run's config, with the location from which the run read its data."""
  section, kept = dict(config['data']), config['dataset']
  place = kept.get('origin', '').partition(',')[0]
  photographs = section['name'] == 'image_folder'
  if photographs and folder is not None:
    place = 'folder'
  elif photographs and data_dir is not None:
    place = 'tfds'
  if place in PLACES:
    section['source'] = place
  recorded = kept.get('data_dir')
  if data_dir is not None:
    section['data_dir'] = data_dir
  elif recorded is not None and _is_there(recorded):
    section['data_dir'] = recorded
  if kept.get('division'):
    section['splits'] = kept['division']
  if photographs and place == 'folder':
    section['folder'] = folder or kept.get('folder') or section['folder']
  elif photographs and place == 'tfds':
    name = kept.get('copy') or section.get('copy')
    section['copy'] = name or copies.copy_name(kept.get('folder') or section['folder'])
    section['folder'] = None
  if section['name'] == 'huggingface' and (folder or kept.get('folder')):
    section.update(folder=str(folder or kept['folder']), dataset=None)
  return _with_class_names(section, config)


def _with_class_names(section, config):
  """A data section with the class names that versions before format 2 chose by default."""
  named = 'class_names' in section or format.number(config) > 1
  are_food = list(config['dataset']['classes']) == list(image_folder.FOOD11)
  if section['name'] == 'image_folder' and not named and are_food:
    section['class_names'] = 'food11'
  return section


def _check_flags(workdir, config, data_dir, folder):
  """Raises ValueError for a folder that does not apply to the data of a run."""
  name = config['data']['name']
  place = config['dataset'].get('origin', '').partition(',')[0]
  if folder is not None and name not in ('image_folder', 'huggingface', *OWN):
    error = ValueError(
      f'folder={folder} is for photographs and own files, but {workdir} was trained on {name}: '
      'leave it out'
    )
    raise about(error, 'folder')
  if data_dir is not None and name in OWN:
    error = ValueError(
      f'data_dir={data_dir} is for prepared data sets, but {workdir} was trained on own data '
      f'({OWN[name]}): give their file, folder=FILE'
    )
    raise about(error, 'data_dir', 'folder')
  if data_dir is not None and place == 'bundled':
    error = ValueError(
      f'data_dir={data_dir} changes nothing: {workdir} was trained on the copy in the package: '
      'leave it out'
    )
    raise about(error, 'data_dir')


def kind_of(config: Mapping[str, Any]) -> str:
  """The kind of a run's network; see `Subject`."""
  task = config['task']['name']
  if task in KIND_OF_TASK:
    return KIND_OF_TASK[task]
  return (
    config['model']['name'] if config['model']['name'] in ('cnn', 'recurrent') else 'classifier'
  )


def folder_classes(config: Mapping[str, Any]) -> tuple[str, ...]:
  """The classes by which folders of images may be named; () if a folder is no class of the run."""
  if kind_of(config) in ('regressor', 'multi_label'):
    return ()
  return tuple(config['dataset']['classes'])


def _examples(data, split, wanted):
  """Reads the first examples of a split, batch by batch.

  Training examples are in the order of the first epoch.
  """
  prepare = jax.jit(lambda arrays, feed: data.prepare(split.fetch(arrays, feed)))
  parts, have = [], 0
  for number in range(split.batches):
    feed = {key: values[0] for key, values in split.feed(number, 1).items() if key != 'faults'}
    batch = jax.device_get(prepare(split.arrays, feed))
    real = batch['mask'] > 0
    parts.append({key: batch[key][real] for key in COLUMNS if key in batch})
    have += int(real.sum())
    if have >= wanted:
      break
  joined = {key: np.concatenate([part[key] for part in parts])[:wanted] for key in parts[0]}
  inputs, images, targets = joined['inputs'], None, None
  if 'image' in joined:
    shape = joined['image'].shape
    images = inputs.reshape(shape)
    if 'value' not in joined:
      targets = joined['target'].reshape(shape)
  return {
    'inputs': inputs,
    'labels': joined['value' if 'value' in joined else 'label'],
    'images': images,
    'targets': targets,
    'index': joined['index'],
  }


def _text(split, wanted):
  """Reads one contiguous stream from the start of a text."""
  characters = np.asarray(split.arrays['character'][: wanted + 1]).astype(np.int32)
  return {
    'inputs': characters[None, :-1],
    'labels': characters[None, 1:],
    'images': None,
    'targets': None,
  }
