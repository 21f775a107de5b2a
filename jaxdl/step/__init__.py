"""The pure part of training: state, training step, tasks, optimizers and schedules.

These functions are compiled; they read and write no files.
"""

from jaxdl.step.state import State
from jaxdl.step.steps import Recipe, eval_step, train_step

__all__ = ['Recipe', 'State', 'eval_step', 'train_step']
