"""Sweeps: many runs of one config, grouped for compilation, and a table of their results."""

from jaxdl.sweeps.grouping import grouped
from jaxdl.sweeps.members import Member
from jaxdl.sweeps.training import Trainer

__all__ = ['Member', 'Trainer', 'grouped']
