"""Forward pass in NumPy: an independent reference for the outputs of the compiled model.

Written as the layers are defined, with loops over windows and steps, not to be fast.
"""

from jaxdl.analysis.reference.network import KINDS, MODELS, Outputs, arrays, forward

__all__ = ['KINDS', 'MODELS', 'Outputs', 'arrays', 'forward']
