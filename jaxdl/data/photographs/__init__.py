"""Photographs that do not fit on the device: found in folders or prepared copies, then streamed.

`read` finds the photographs and `streaming` turns them into a split, which decodes the next batches
while the device computes.
"""

from jaxdl.data.photographs.reading import Photographs, read
from jaxdl.data.photographs.stream import streaming

__all__ = ['Photographs', 'read', 'streaming']
