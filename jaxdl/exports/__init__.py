"""Exports trained networks, with preprocessing and class names, to the formats of other tools.

There is one module per format. `write.export` writes the files, loads them with the runtime of the
format, and compares the outputs with those of jaxdl.
"""

from jaxdl.exports.format import Format
from jaxdl.exports.network import Network, Port
from jaxdl.exports.of_run import export_run
from jaxdl.exports.write import FORMATS, Exported, export

__all__ = ['FORMATS', 'Exported', 'Format', 'Network', 'Port', 'export', 'export_run']
