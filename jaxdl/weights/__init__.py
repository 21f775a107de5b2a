"""Weights from other tools: reading their files, and matching them with the layers of a network."""

from jaxdl.weights.filling import Filled, fill
from jaxdl.weights.reading import READERS, read
from jaxdl.weights.source import Group, Source

__all__ = ['READERS', 'Filled', 'Group', 'Source', 'fill', 'read']
