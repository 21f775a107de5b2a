"""Photographs in class folders, as files or as a prepared TFDS copy, read one by one and still encoded."""

import functools
import hashlib
import pathlib
import re

from jaxdl.data import preprocess, slicing, tfds_arrays
from jaxdl.data.photographs import files as photograph_files
from jaxdl.data.photographs import stream
from jaxdl.data.photographs.encoded import Files, Records, select
from jaxdl.data.split import Data, batch_sizes, check_overlap, check_texts

LICENCE = 'that of the photographs in the folder; Food-11 is for research, see its homepage'
HOMEPAGE = 'https://www.epfl.ch/labs/mmspg/downloads/food-image-datasets/'
CITATION = """@inproceedings{singla2016food,
  title={Food/Non-food Image Classification and Food Categorization using Pre-Trained {GoogLeNet} Model},
  author={Singla, Ashutosh and Yuan, Lin and Ebrahimi, Touradj},
  booktitle={Proceedings of the 2nd International Workshop on Multimedia Assisted Dietary Management},
  pages={3--11}, year={2016}}"""


def load(*, seed, splits, batch_size, evaluation_batch_size=32, folder=None, source='auto', copy=None, data_dir=None,
         overlap=False, size=512, fit='crop', workers=None, corrupt='refuse', scale='unit', augment=(), distort=()):
  """Streams photographs as a config's data section describes them.

  Args:
    seed, splits, batch_size, evaluation_batch_size, overlap: as in `images.load`.
    folder, source, data_dir: as in `read`.
    copy: str, under which name a copy was prepared; None for the folder's own name.
    size, fit, workers, corrupt: as in `stream.streaming`.
    scale: 'unit' | 'symmetric', as in `preprocess.scaling`.
    augment, distort: as in `preprocess.inputs`.

  Returns:
    Data.

  Raises:
    ValueError, OSError: as `read`, `stream.streaming` and `images.load`.
  """
  sizes = batch_sizes(splits, batch_size=batch_size, evaluation_batch_size=evaluation_batch_size)
  check_texts(folder=folder, source=source, copy=copy, data_dir=data_dir)
  check_overlap(overlap)
  stream.check(size=size, fit=fit, workers=workers, corrupt=corrupt)
  mean, deviation = preprocess.scaling(scale, None)
  prepare = preprocess.inputs(mean=mean, deviation=deviation, augment=augment, distort=distort)
  origin, sources, classes = read(folder, source=source, name=copy, data_dir=data_dir)
  available = {split: len(found) for split, found in sources.items()}
  if not overlap:
    slicing.refuse_overlap(splits, available)
  ready = {name: stream.streaming(select(sources, splits[name]), batch_size=together, size=size, fit=fit, workers=workers,
                                  corrupt=corrupt, seed=seed if name == 'train' else None)
           for name, together in sizes.items()}
  return Data(name='image_folder', origin=origin, classes=classes, splits=ready, prepare=prepare,
              scaling={'mean': mean, 'deviation': deviation}, available=available)


def read(folder, *, source='auto', name=None, data_dir=None):
  """The photographs of a folder, or of its prepared copy.

  The order is fixed and spreads every class evenly, so that 'train[90%:]' has its share of each; it is the same in both.

  Args:
    folder: path of the folder of files; None where there is only the copy.
    source: 'folder' (no TensorFlow anywhere) | 'tfds' | 'auto' (the copy where there is one, else the folder).
    name: str, under which the copy was prepared; None for the folder's own name.
    data_dir: TFDS's folder, None for its default.

  Returns:
    (origin 'folder' or 'tfds', split name → random access to (bytes, label, name for messages), class names).

  Raises:
    ValueError: an unknown source, neither folder nor name, or a folder at fault; see `photographs.files.find`.
    FileNotFoundError: neither the folder nor a copy is there.
  """
  if source not in ('auto', 'folder', 'tfds'):
    raise ValueError(f'config.data.source={source!r} is not a place of image_folder: use one of auto, folder, tfds')
  if folder is None and (source == 'folder' or name is None):
    raise ValueError('config.data.folder is missing: give the folder that holds train/<class>/*.jpg')
  root, name = tfds_arrays.root_folder(data_dir), name or copy_name(folder)
  version = tfds_arrays.version_folder(root, f'image_folder/{name}') if source != 'folder' else None
  if version is not None:
    return 'tfds', *_prepared(version)
  if source == 'tfds' or folder is None:
    raise FileNotFoundError(f'image_folder/{name} is not prepared in {root}: run python -m jaxdl.data prepare '
                            f'image_folder --from={folder or "DIR"} --data_dir={root}, or set '
                            'config.data.source="folder"')
  if not pathlib.Path(folder).expanduser().is_dir():
    raise FileNotFoundError(f'config.data.folder={folder} is not there: give the folder that holds train/<class>/*.jpg, '
                            '--config.data.folder=DIR')
  splits, classes = _mixed(folder)
  return 'folder', {split: Files(files) for split, files in splits.items()}, classes


def copy_name(folder):
  """The name under which a folder's copy is prepared: its own, in letters that TFDS takes."""
  return re.sub(r'\W+', '_', pathlib.Path(folder).expanduser().resolve().name.lower()).strip('_') or 'photographs'


def _mixed(folder):
  """`photographs.files.find`, the files of each class, in the order of a hash of their names, spread over the split."""
  splits, classes = photograph_files.find(folder)
  root = pathlib.Path(folder).expanduser()

  def drawn(example):
    return hashlib.sha256(example[0].relative_to(root).as_posix().encode()).digest()

  def spread(files):
    places = {}
    for label in range(len(classes)):
      own = sorted((file for file in files if file[1] == label), key=drawn)
      places |= {file: ((rank + 0.5) / len(own), drawn(file)) for rank, file in enumerate(own)}
    return sorted(files, key=places.get)

  return {split: spread(files) for split, files in splits.items()}, classes


def _prepared(version):
  """(split name → Records, class names) of a prepared copy."""
  import tensorflow_datasets as tfds
  builder = tfds.builder_from_directory(str(version))
  skip = {'image': tfds.decode.SkipDecoding()}
  splits = {split: Records(builder.as_data_source(split, decoders=skip)) for split in builder.info.splits}
  return splits, tuple(builder.info.features['label'].names)


@functools.cache
def builder(folder, name=None):
  """The TFDS builder class of one folder; the files' bytes are kept as they are.

  Args:
    folder: path of the folder of files, as text.
    name: str, TFDS's config, so that two folders do not collide; None for the folder's own name.

  Returns:
    Builder class; give it data_dir and file_format='array_record'. It prepares DATA_DIR/image_folder/NAME.
  """
  import tensorflow_datasets as tfds
  splits, classes = _mixed(folder)

  class ImageFolder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Photographs in class folders."""

    VERSION = tfds.core.Version('1.0.0')
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name or copy_name(folder))]  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = 'python -m jaxdl.data prepare image_folder --from=DIR'

    def _info(self):
      return tfds.core.DatasetInfo(
          builder=self, description='Photographs in class folders, such as Food-11.', citation=CITATION,
          homepage=HOMEPAGE, license=LICENCE, supervised_keys=('image', 'label'), disable_shuffling=True,
          features=tfds.features.FeaturesDict({
              'image': tfds.features.Image(shape=(None, None, 3)),
              'label': tfds.features.ClassLabel(names=[name.replace('\n', ' ') for name in classes]),
              'name': tfds.features.Text()}))

    def _split_generators(self, dl_manager):
      return {split: self._generate_examples(files) for split, files in splits.items()}

    def _generate_examples(self, files):
      for position, (path, label) in enumerate(files):
        yield position, {'image': path.read_bytes(), 'label': label, 'name': path.name}

  return ImageFolder
