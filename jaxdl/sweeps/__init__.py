"""Sweeps: many runs of one config, grouped for compilation, and a table of their results.

`jaxdl.sweeps.search` has the functions with which a config describes a hyperparameter search.
"""

from jaxdl.sweeps.grouping import grouped
from jaxdl.sweeps.members import Member
from jaxdl.sweeps.training import Trainer

__all__ = ['Member', 'Trainer', 'grouped']
