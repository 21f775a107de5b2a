"""A network's layers as the graph that TensorBoard draws: a node for each, an edge where one hands
its output on.
"""

import time

INPUTS = 'inputs'  # the node before the first layer


def of_layers(rows):
  """The layer table as a graph.

  Args:
    rows: of the layer table, in the data's order.

  Returns:
    GraphDef: a node `inputs`, then one for each layer with its name, its type, the node before as
    its input and the attributes `_output_shapes` (the batch as -1), `parameters` and `trainable`
    (numbers of scalars).
  """
  from tensorboard.compat.proto import attr_value_pb2, graph_pb2, node_def_pb2, tensor_shape_pb2

  def node(name, kind, before, shape, numbers):
    sizes = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in (-1, *shape)]
    shapes = attr_value_pb2.AttrValue.ListValue(
      shape=[tensor_shape_pb2.TensorShapeProto(dim=sizes)]
    )
    return node_def_pb2.NodeDef(
      name=name,
      op=kind,
      input=before,
      attr={
        '_output_shapes': attr_value_pb2.AttrValue(list=shapes),
        **{key: attr_value_pb2.AttrValue(i=number) for key, number in numbers.items()},
      },
    )

  nodes = [node(INPUTS, 'Placeholder', [], rows[0]['input'], {})]
  for row in rows:
    numbers = {key: row[key] for key in ('parameters', 'trainable')}
    nodes.append(node(row['name'], row['type'], [nodes[-1].name], row['output'], numbers))
  return graph_pb2.GraphDef(node=nodes)


def write(folder, rows):
  """Writes the graph into an event file of its own, for CLU's writers have no graphs.

  Args:
    folder: of a TensorBoard run, made where it is absent.
    rows: of the layer table.
  """
  from tensorboard.compat.proto import event_pb2
  from tensorboard.summary.writer.event_file_writer import EventFileWriter

  writer = EventFileWriter(str(folder))
  writer.add_event(
    event_pb2.Event(wall_time=time.time(), graph_def=of_layers(rows).SerializeToString())
  )
  writer.close()
