"""The outputs of a network for the examples of a Subject."""

from collections.abc import Callable

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
  return compiled(subject)(inputs)


def compiled(subject: Subject) -> Callable[[np.ndarray], np.ndarray]:
  """A function (inputs [N, …]) → outputs [N, …] in batches, which is compiled once."""
  run = jax.jit(lambda inputs: subject.model.apply(subject.variables, inputs))

  def apply(inputs: np.ndarray) -> np.ndarray:
    return np.concatenate([part for _, part in batches.in_batches(run, inputs)])

  return apply
