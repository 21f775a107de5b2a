"""Finds and builds prepared copies of folders of photographs in TFDS's folder."""

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

from jaxdl import stores
from jaxdl.data import licences, tfds_arrays
from jaxdl.data.photographs import contents, folders

HOMEPAGE = 'https://www.epfl.ch/labs/mmspg/downloads/food-image-datasets/'
CITATION = """@inproceedings{singla2016food,
  title={Food/Non-food Image Classification and Food Categorization using Pre-Trained {GoogLeNet}
    Model},
  author={Singla, Ashutosh and Yuan, Lin and Ebrahimi, Touradj},
  booktitle={Proceedings of the 2nd International Workshop on Multimedia Assisted Dietary
    Management},
  pages={3--11}, year={2016}}"""


def copy_name(folder: str | PathLike[str]) -> str:
  """Returns the name of the first copy of a folder: its name, in characters valid in TFDS."""
  own = Path(folder).expanduser().resolve().name.lower()
  return re.sub(r'\W+', '_', own).strip('_') or 'photographs'


def current(folder: str | PathLike[str], root: Path) -> Path | None:
  """Returns the prepared copy with the current content of a folder; None if there is none."""
  path = Path(folder).expanduser()
  return matching(root, None, path, mixed(path))[0]


def new_name(folder: str | PathLike[str], root: Path) -> str:
  """A name for a new copy of a folder: `copy_name`, followed by a key of its contents if taken."""
  path, name = Path(folder).expanduser(), copy_name(folder)
  if not (root / 'image_folder' / name).exists():
    return name
  return f'{name}_{contents.key(entries_of(mixed(path), path))}'


def entries_of(
  found: folders.Folder, root: Path, remote: stores.Folder | None = None
) -> dict[str, list[contents.Entry]]:
  """Split name → entries of the photographs below a folder; `remote` as in `folders.find`."""
  return {
    split: contents.of_files(examples, root, remote) for split, examples in found.splits.items()
  }


def versions_of(root: Path, name: str) -> list[Path]:
  """The versions of the copies whose folders have one name.

  Args:
    root: TFDS's folder.
    name: the `copy_name` of the folders.
  """
  parent = root / 'image_folder'
  if not parent.is_dir():
    return []
  pattern = re.compile(rf'{re.escape(name)}(_[0-9a-f]{{8}})?')
  names = [path.name for path in sorted(parent.iterdir()) if pattern.fullmatch(path.name)]
  versions = [tfds_arrays.version_folder(root, f'image_folder/{one}') for one in names]
  return [version for version in versions if version is not None]


def matching(
  root: Path, name: str | None, folder: Path, found: folders.Folder
) -> tuple[Path | None, str | None]:
  """The prepared copy that holds the same photographs as a folder.

  Args:
    root: TFDS's folder.
    name: name of the copy, None for any with the folder's own name.
    folder: the folder.
    found: what `mixed` returns for it.

  Returns:
    (its version, None), or (None, how the last copy that was compared differs); (None, None) if
    there is no copy.
  """
  if name is None:
    versions = versions_of(root, copy_name(folder))
  else:
    version = tfds_arrays.version_folder(root, f'image_folder/{name}')
    versions = [] if version is None else [version]
  if not versions:
    return None, None
  now, fault = entries_of(found, folder), None
  for version in versions:
    copied = contents.read(version)
    if copied is None:
      fault = (
        f'the prepared copy {version} has no list of its photographs, so it cannot be compared '
        f'with {folder}'
      )
      continue
    differs = contents.difference(copied.splits, now, folder)
    if differs is None:
      return version, None
    fault = f'the prepared copy {version} was made from other photographs than {folder} ({differs})'
  return None, fault


def mixed(
  folder: Path, *, follow_links: bool = False, remote: stores.Folder | None = None
) -> folders.Folder:
  """`folders.find`, with the photographs in a fixed order that spreads each class over its split.

  The photographs of a class are in the order of the hash of their names.
  """
  found = folders.find(folder, follow_links=follow_links, remote=remote)

  def hashed(example: folders.Example) -> bytes:
    return hashlib.sha256(os.fsencode(example[0].relative_to(folder).as_posix())).digest()

  def spread(examples: list[folders.Example]) -> list[folders.Example]:
    places: dict[folders.Example, tuple[float, bytes]] = {}
    for label in range(len(found.classes)):
      own = sorted((example for example in examples if example[1] == label), key=hashed)
      for rank, example in enumerate(own):
        places[example] = ((rank + 0.5) / len(own), hashed(example))
    return sorted(examples, key=lambda example: places[example])

  return dataclasses.replace(
    found, splits={split: spread(examples) for split, examples in found.splits.items()}
  )


def builder(folder: str, name: str | None = None) -> Any:
  """The TFDS builder class of one folder; the bytes of the files are kept, whatever their format.

  Args:
    folder: path of the folder of files.
    name: name of TFDS's config, which differs between folders; None for `copy_name`.

  Returns:
    Builder class; give it data_dir and file_format='array_record'. It prepares
    DATA_DIR/image_folder/NAME, and writes a list of the photographs there (see `contents.write`).
  """
  import tensorflow_datasets as tfds

  root = Path(folder).expanduser()
  found = mixed(root)
  entries = {split: [] for split in found.splits}  # filled while the files are read

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
        license=licences.of('image_folder').name,
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

    def _generate_examples(
      self, split: str, examples: list[folders.Example]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
      entries[split].clear()
      for position, (path, label) in enumerate(examples):
        (entry,) = contents.of_files([(path, label)], root)
        content = path.read_bytes()
        entries[split].append(
          dataclasses.replace(entry, checksum=hashlib.sha256(content).hexdigest())
        )
        yield position, {'image': content, 'label': label, 'name': path.name}

    def download_and_prepare(self, **options):  # pyright: ignore[reportIncompatibleVariableOverride]
      super().download_and_prepare(**options)
      if any(entries.values()):  # the copy is new
        contents.write(Path(self.data_dir), entries, root, numbered=found.numbered)

  return ImageFolder
