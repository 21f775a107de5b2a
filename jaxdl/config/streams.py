"""Text streams that change what is written to them."""

from collections.abc import Callable
from typing import Any


class Changed:
  """A text stream that applies a function to every text and writes the result to another stream.

  Args:
    stream: the stream to which it writes; also an attribute.
    function: text → text.
  """

  def __init__(self, stream: Any, function: Callable[[str], str]):
    self.stream, self._function = stream, function

  def write(self, text: str) -> int:
    return self.stream.write(self._function(text))

  def writelines(self, lines: Any) -> None:
    for line in lines:
      self.write(line)

  def __getattr__(self, name: str) -> Any:
    return getattr(self.stream, name)
