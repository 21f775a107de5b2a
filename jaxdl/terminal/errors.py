"""Kinds of errors that several commands and outputs treat alike."""

OUT_OF_MEMORY = ('RESOURCE_EXHAUSTED', 'Out of memory')  # messages of XLA, on any device


def is_out_of_memory(error: BaseException) -> bool:
  """Whether an exception means that Python, NumPy or XLA could not allocate memory.

  Args:
    error: the exception.
  """
  return isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY)
