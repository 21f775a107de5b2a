"""Weights from other tools: reading their files, and matching them with the layers of a network."""

from jaxdl.weights.matching import Matched, match
from jaxdl.weights.reading import read
from jaxdl.weights.source import Group, Source

__all__ = ['Group', 'Matched', 'Source', 'match', 'read']
