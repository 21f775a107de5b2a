"""A run on disk: its folder and lock, checkpoints, record, summary, identity, and packed runs.

Training writes a run; every other command reads it from its files alone.
"""

from jaxdl.runs.record import Run, load

__all__ = ['Run', 'load']
