"""Devices and processes: data parallelism with pmap, several processes, flags of the compiler.

`parallel` is the only module that uses pmap, and `processes` the only one for several processes.
Importing this package does not import JAX.
"""
