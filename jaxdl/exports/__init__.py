"""A trained network in the formats of other tools, with its preprocessing and class names.

Each format is one module. `write.export` writes a format, loads it again with its own runtime and
compares the outputs with those of jaxdl.
"""

from jaxdl.exports.format import Format
from jaxdl.exports.network import Network, Port
from jaxdl.exports.of_run import export_run
from jaxdl.exports.write import FORMATS, Exported, export

__all__ = ['FORMATS', 'Exported', 'Format', 'Network', 'Port', 'export', 'export_run']
