"""One thread for the linear algebra of NumPy, SciPy and scikit-learn."""

import contextlib


def one_thread() -> contextlib.AbstractContextManager:
  """A context in which NumPy, SciPy and scikit-learn compute with one thread.

  Several threads add up in any order, so that the last digits depend on the number of cores. They
  also wait for each other in busy loops: small products take far longer where another program or
  another analysis uses the cores. The limit holds for the whole process.
  """
  import threadpoolctl

  return threadpoolctl.threadpool_limits(1)
