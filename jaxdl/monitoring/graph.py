"""The layer graph of a network for TensorBoard: nodes are layers, edges are their outputs."""

import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

INPUTS = 'inputs'  # the node before the first layer


def of_layers(rows: Sequence[Mapping[str, Any]]) -> Any:
  """Converts the layer table to a graph.

  Args:
    rows: the layer table, in the order of the layers.

  Returns:
    GraphDef with a node `inputs` and one node for each layer. A node has the layer's name and type,
    the previous node as its input, and the attributes `_output_shapes` (with -1 for the batch),
    `parameters` and `trainable` (numbers of scalars).
  """
  # The generated modules define their messages at run time, which pyright cannot see.
  from tensorboard.compat.proto.attr_value_pb2 import AttrValue  # pyright: ignore
  from tensorboard.compat.proto.graph_pb2 import GraphDef  # pyright: ignore
  from tensorboard.compat.proto.node_def_pb2 import NodeDef  # pyright: ignore
  from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto  # pyright: ignore

  def node(name, kind, before, shape, numbers):
    sizes = [TensorShapeProto.Dim(size=size) for size in (-1, *shape)]
    shapes = AttrValue.ListValue(shape=[TensorShapeProto(dim=sizes)])
    attributes = {'_output_shapes': AttrValue(list=shapes)}
    for key, number in numbers.items():
      attributes[key] = AttrValue(i=number)
    return NodeDef(name=name, op=kind, input=before, attr=attributes)

  nodes = [node(INPUTS, 'Placeholder', [], rows[0]['input'], {})]
  for row in rows:
    numbers = {key: row[key] for key in ('parameters', 'trainable')}
    nodes.append(node(row['name'], row['type'], [nodes[-1].name], row['output'], numbers))
  return GraphDef(node=nodes)


def write(folder: str | pathlib.Path, rows: Sequence[Mapping[str, Any]]) -> None:
  """Writes the graph to a separate event file, because CLU's writers do not write graphs.

  Args:
    folder: folder of a TensorBoard run, created if it is absent.
    rows: the layer table.
  """
  from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore
  from tensorboard.summary.writer.event_file_writer import EventFileWriter

  writer = EventFileWriter(str(folder))
  writer.add_event(Event(wall_time=time.time(), graph_def=of_layers(rows).SerializeToString()))
  writer.close()
