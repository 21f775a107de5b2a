"""Photographs as files in folders: which splits and classes they make."""

import collections
import os
import pathlib
import re

SUFFIXES = ('.jpg', '.jpeg', '.png')
SPLITS = {'train': 'train', 'training': 'train', 'validation': 'validation', 'val': 'validation', 'test': 'test',
          'evaluation': 'test'}
FOOD11 = ('Bread', 'Dairy product', 'Dessert', 'Egg', 'Fried food', 'Meat', 'Noodles/Pasta', 'Rice', 'Seafood', 'Soup',
          'Vegetable/Fruit')


def find(folder):
  """The photographs below a folder, in one of three layouts.

  `<split>/<class>/*.jpg`; `<class>/*.jpg`, all of them 'train'; or Food-11's own `<split>/<class number>_<id>.jpg`.
  Hidden files and files of other kinds are passed over.

  Args:
    folder: path of the folder.

  Returns:
    (split name ('train', 'validation', 'test') → list of (pathlib.Path, label), sorted by class and file name;
    class names in the order of the labels).

  Raises:
    FileNotFoundError: the folder is missing, or holds no photographs.
    ValueError: a class is empty or not in the training split, a name does not fit, or a link leads out of the folder.
  """
  folder = pathlib.Path(folder).expanduser()
  if not folder.is_dir():
    raise FileNotFoundError(f'{folder} is not there: give the folder that holds train/<class>/*.jpg')
  below = {name: path for name, path, is_folder in _entries(folder, folder) if is_folder}
  if any(name.lower() in SPLITS for name in below):
    named = {}
    for path in below.values():
      split = _split_name(path)
      if split in named:
        raise ValueError(f'{path} and {named[split]} are both the {split} split: keep one of them')
      named[split] = path
    found = {split: _classes(path, folder) for split, path in named.items()}
  else:
    found = {'train': _classes(folder, folder)}
  if not any(any(classes.values()) for classes in found.values()):
    raise FileNotFoundError(f'{folder} holds no photographs: put {", ".join(SUFFIXES)} files into train/<class>/')
  return _labelled(found, folder)


def _split_name(path):
  if path.name.lower() not in SPLITS:
    raise ValueError(f'{path} stands beside the splits but is none: move it away, or name it {", ".join(SPLITS)}')
  return SPLITS[path.name.lower()]


def _labelled(found, folder):
  """(split → [(path, label)], class names) from split → class → paths."""
  order = [split for split in ('train', 'validation', 'test') if split in found]
  known = list(found[order[0]])
  for split in order:
    for name, paths in found[split].items():
      if not paths:
        raise ValueError(f'class {name!r} has no photographs in the {split} split of {folder}: put some there, or give the '
                         'folder that holds train/<class>/ and nothing else')
      if name not in known:
        raise ValueError(f'class {name!r} of the {split} split ({paths[0]}) is not in {order[0]}, which has '
                         f'{len(known)} classes: move it away, or add it there')
  numbered = all(name.isdecimal() for name in known)
  known.sort(key=(lambda name: (int(name), name)) if numbered else None)
  labels = {name: label for label, name in enumerate(known)}
  splits = {split: [(path, labels[name]) for name in known for path in found[split].get(name, ())] for split in order}
  return splits, FOOD11 if known == [str(number) for number in range(len(FOOD11))] else tuple(known)


def _classes(folder, root):
  """Class name → sorted paths, of class folders or of files named after their class."""
  entries = _entries(folder, root)
  if any(is_folder for _, _, is_folder in entries):
    return {name: [file for kind, file, inner in _entries(path, root) if not inner and _is_photograph(kind)]
            for name, path, is_folder in entries if is_folder}
  classes = collections.defaultdict(list)
  for name, path, _ in entries:
    if _is_photograph(name):
      number = re.match(r'(\d+)_', name)
      if not number:
        raise ValueError(f'{path} stands in no class folder and is not named <class number>_<id>.jpg: move it into one')
      classes[number[1]].append(path)
  return dict(classes)


def _is_photograph(name):
  return name.lower().endswith(SUFFIXES)


def _entries(folder, root):
  """Sorted (name, path, whether it is a folder) of all that is not hidden."""
  with os.scandir(folder) as found:
    entries = sorted((entry for entry in found if not entry.name.startswith('.')), key=lambda entry: entry.name)
  for entry in entries:
    if entry.is_symlink() and not pathlib.Path(entry.path).resolve().is_relative_to(root.resolve()):
      raise ValueError(f'{entry.path} is a link that leads out of {root}: put a copy there')
  return [(entry.name, folder / entry.name, entry.is_dir()) for entry in entries]
