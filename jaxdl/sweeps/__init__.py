"""Sweeps: many runs of one config, grouped for compilation, and a table of their results."""
