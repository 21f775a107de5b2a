"""What `launch/benchmark.py` runs: the same workload in jaxdl, plain Flax, Keras and PyTorch, each in a process of its own."""
