"""What `launch.benchmarks.benchmark` runs: the same workload in jaxdl, plain Flax, Keras and
PyTorch, each in a separate process.
"""
