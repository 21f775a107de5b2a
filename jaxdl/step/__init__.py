"""The pure part of training: state, training step, tasks, optimizers and schedules.

These functions are compiled; they read and write nothing.
"""
