"""Prepared copies of folders of photographs in TFDS's folder: found and built."""

import dataclasses
import hashlib
import os
import pathlib
import re

from jaxdl.data import tfds_arrays
from jaxdl.data.photographs import contents, folders

LICENCE = 'that of the photographs in the folder; Food-11 is for research, see its homepage'
HOMEPAGE = 'https://www.epfl.ch/labs/mmspg/downloads/food-image-datasets/'
CITATION = """@inproceedings{singla2016food,
  title={Food/Non-food Image Classification and Food Categorization using Pre-Trained {GoogLeNet} Model},
  author={Singla, Ashutosh and Yuan, Lin and Ebrahimi, Touradj},
  booktitle={Proceedings of the 2nd International Workshop on Multimedia Assisted Dietary Management},
  pages={3--11}, year={2016}}"""


def copy_name(folder) -> str:
  """The name under which a folder's first copy is prepared: its own, in letters that TFDS takes."""
  return (
    re.sub(r'\W+', '_', pathlib.Path(folder).expanduser().resolve().name.lower()).strip('_')
    or 'photographs'
  )


def current(folder, root: pathlib.Path) -> pathlib.Path | None:
  """The prepared copy that holds what a folder holds now; None where there is none."""
  place = pathlib.Path(folder).expanduser()
  return matching(root, None, place, mixed(place))[0]


def new_name(folder, root: pathlib.Path) -> str:
  """A new name for a copy of a folder: the folder's own, or with a key of what it holds."""
  place, name = pathlib.Path(folder).expanduser(), copy_name(folder)
  if not (root / 'image_folder' / name).exists():
    return name
  return f'{name}_{contents.key(entries_of(mixed(place), place))}'


def entries_of(found: folders.Folder, root: pathlib.Path) -> dict[str, list[contents.Entry]]:
  """Split name → entries of the photographs below a folder."""
  return {split: contents.of_files(examples, root) for split, examples in found.splits.items()}


def versions_of(root: pathlib.Path, name: str) -> list[pathlib.Path]:
  """The versions of the copies that folders of one name have."""
  parent = root / 'image_folder'
  pattern = re.compile(rf'{re.escape(name)}(_[0-9a-f]{{8}})?')
  names = (
    [path.name for path in sorted(parent.iterdir()) if pattern.fullmatch(path.name)]
    if parent.is_dir()
    else []
  )
  versions = [tfds_arrays.version_folder(root, f'image_folder/{one}') for one in names]
  return [version for version in versions if version is not None]


def matching(
  root: pathlib.Path, name: str | None, folder: pathlib.Path, found: folders.Folder
) -> tuple[pathlib.Path | None, str | None]:
  """The prepared copy that holds what a folder holds.

  Args:
    root: TFDS's folder.
    name: of the copy, None for any of those of the folder's own name.
    folder: the folder.
    found: what `mixed` returns for it.

  Returns:
    (its version, None), or (None, why the last copy that was looked at is another); (None, None)
    where there is no copy.
  """
  if name is None:
    versions = versions_of(root, copy_name(folder))
  else:
    versions = [tfds_arrays.version_folder(root, f'image_folder/{name}')]
  if not versions or None in versions:
    return None, None
  now, fault = entries_of(found, folder), None
  for version in versions:
    copied = contents.read(version)
    if copied is None:
      fault = (
        f'the prepared copy {version} has no list of its photographs, so that it is not '
        f'known to be of {folder}'
      )
      continue
    differs = contents.difference(copied.splits, now, folder)
    if differs is None:
      return version, None
    fault = f'the prepared copy {version} is of other photographs than {folder} ({differs})'
  return None, fault


def mixed(folder: pathlib.Path) -> folders.Folder:
  """`folders.find`, with each class in the order of a hash of its names and spread over the split."""
  found = folders.find(folder)

  def drawn(example):
    return hashlib.sha256(os.fsencode(example[0].relative_to(folder).as_posix())).digest()

  def spread(examples):
    places = {}
    for label in range(len(found.classes)):
      own = sorted((file for file in examples if file[1] == label), key=drawn)
      places |= {file: ((rank + 0.5) / len(own), drawn(file)) for rank, file in enumerate(own)}
    return sorted(examples, key=places.get)

  return dataclasses.replace(
    found, splits={split: spread(examples) for split, examples in found.splits.items()}
  )


def builder(folder, name=None):
  """The TFDS builder class of one folder; the files' bytes are kept as they are, whatever their
  format.

  Args:
    folder: path of the folder of files, as text.
    name: str, TFDS's config, so that two folders do not collide; None for the folder's own name.

  Returns:
    Builder class; give it data_dir and file_format='array_record'. It prepares
    DATA_DIR/image_folder/NAME, and writes there which photographs it holds.
  """
  import tensorflow_datasets as tfds

  root = pathlib.Path(folder).expanduser()
  found = mixed(root)
  entries = {split: [] for split in found.splits}  # as they are read

  class ImageFolder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Photographs in class folders."""

    VERSION = tfds.core.Version('1.0.0')
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name or copy_name(folder))]  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = 'python -m jaxdl.data prepare image_folder --from=DIR'

    def _info(self):
      return tfds.core.DatasetInfo(
        builder=self,
        description='Photographs in class folders, such as Food-11.',
        citation=CITATION,
        homepage=HOMEPAGE,
        license=LICENCE,
        supervised_keys=('image', 'label'),
        disable_shuffling=True,
        features=tfds.features.FeaturesDict(
          {
            'image': tfds.features.Image(shape=(None, None, 3)),
            'label': tfds.features.ClassLabel(
              names=[name.replace('\n', ' ') for name in found.classes]
            ),
            'name': tfds.features.Text(),
          }
        ),
      )

    def _split_generators(self, dl_manager):
      return {
        split: self._generate_examples(split, examples) for split, examples in found.splits.items()
      }

    def _generate_examples(self, split, examples):
      entries[split].clear()
      for position, (path, label) in enumerate(examples):
        (entry,) = contents.of_files([(path, label)], root)
        content = path.read_bytes()
        entries[split].append(
          dataclasses.replace(entry, checksum=hashlib.sha256(content).hexdigest())
        )
        yield position, {'image': content, 'label': label, 'name': path.name}

    def download_and_prepare(self, **options):
      super().download_and_prepare(**options)
      if any(entries.values()):  # it was not there already
        contents.write(pathlib.Path(self.data_dir), entries, root, numbered=found.numbered)

  return ImageFolder
