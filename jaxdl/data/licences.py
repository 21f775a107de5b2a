"""Table of the licences of data sets."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Licence:
  """The licence of a data set.

  Attributes:
    name: name of the licence, as in the documentation.
    allows_copies: whether examples may be redistributed, for example as pictures in a report.
  """

  name: str
  allows_copies: bool = False


UNKNOWN = Licence("not known: see the data set's homepage")
LICENCES = {  # name of a data set → its licence
  'mnist': Licence('CC BY-SA 3.0', allows_copies=True),
  'fashion_mnist': Licence('MIT', allows_copies=True),
  'hoda': Licence('free for research; see the homepage'),
  'image_folder': Licence(
    'licence of the photographs in the folder; Food-11 is for research, see its homepage'
  ),
  'shakespeare': Licence('public domain', allows_copies=True),
  'planted_mark': Licence('CC BY-SA 3.0', allows_copies=True),
  'planted_cues': Licence('CC BY-SA 3.0', allows_copies=True),
  'planted_row': Licence('CC BY-SA 3.0', allows_copies=True),
  'planted_character': Licence('public domain', allows_copies=True),
  'arrays': Licence('that of the arrays'),
  'table': Licence('that of the table'),
  'text': Licence('that of the text'),
}


def of(name: str) -> Licence:
  """Returns the licence of a data set; UNKNOWN if it is not in the table.

  Args:
    name: name of the data set, such as 'mnist'.
  """
  return LICENCES.get(name, UNKNOWN)
