"""The outputs of a network for the examples of a Subject."""

import jax
import numpy as np

from jaxdl.analysis import batches
from jaxdl.views.subject import Subject
from jaxdl.views.view import once


@once
def all_outputs(subject: Subject) -> np.ndarray:
  """The outputs [N, …] of every example, shared by several pictures."""
  return outputs(subject, subject.inputs)


def outputs(subject: Subject, inputs: np.ndarray) -> np.ndarray:
  """The outputs of the network for some inputs, computed in batches."""
  compiled = jax.jit(lambda inputs: subject.model.apply(subject.variables, inputs))
  return np.concatenate([part for _, part in batches.in_batches(compiled, inputs)])
