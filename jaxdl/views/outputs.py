"""The outputs of a network for the examples of a Subject."""

from collections.abc import Callable

import flax.linen as nn
import jax
import numpy as np

from jaxdl.analysis import batches
from jaxdl.analysis.units import Variables
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
  return program(subject.model, subject.variables)


def program(model: nn.Module, variables: Variables) -> Callable[[np.ndarray], np.ndarray]:
  """As `compiled`, of any model."""
  run = jax.jit(lambda inputs: model.apply(variables, inputs))

  def apply(inputs: np.ndarray) -> np.ndarray:
    return np.concatenate([part for _, part in batches.in_batches(run, inputs)])

  return apply
