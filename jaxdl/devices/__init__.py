"""Devices and processes: data parallelism with pmap, several hosts, flags of the compiler.

`parallel` is the only module that knows pmap; `processes` the only one that knows several hosts.
"""
