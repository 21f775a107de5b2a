"""Readers of raw files: the formats CDB (Hoda), MATLAB (Hoda) and IDX (MNIST).

`raw.sources` checks the raw files of each data set before a TFDS data set is built from them.
"""

from jaxdl.data.raw import cdb, hoda_mat, idx

__all__ = ['cdb', 'hoda_mat', 'idx']
