"""What a .tflite takes and gives beside the codes and the logits: floats, int16 sums, classes."""

import dataclasses

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import rewrites
from keras_gxnor.converters.tflite_net import as_floats
from keras_gxnor.errors import InvalidArgumentError, UnsupportedGraphError

INPUTS, OUTPUTS, SUMS = ("codes", "float32"), ("float32", "int16", "argmax"), ("int16", "float32")


def check(inputs, outputs, sums):
    """Raises InvalidArgumentError if an option has the wrong value."""
    options = ("inputs", inputs, INPUTS), ("outputs", outputs, OUTPUTS), ("sums", sums, SUMS)
    for what, value, known in options:
        if value not in known:
            raise InvalidArgumentError(f"`{what}` must be one of {known}. Received: {what}={value!r}")


def sums_and_units(graph: g.Graph) -> tuple[g.Graph, dict[str, float]]:
    """The graph less the units of its logits, and {kernel at its end: Keras value of one sum}.

    Raises:
        UnsupportedGraphError: if more than a unit makes the logits of the sums.
    """
    units = {}
    for last in graph.outputs:
        node = graph.nodes[last]
        below = graph.nodes[node.inputs[0]] if node.inputs else node
        unit_only = isinstance(node.op, g.Affine) and not node.op.offset.any() and np.ptp(node.op.scale) == 0
        if not unit_only or not isinstance(below.op, (g.Dense, g.Conv2D)) or node.op.scale[0] <= 0:
            raise UnsupportedGraphError(
                f"Node `{node.name}`: int16 holds the sums of a last layer without bias and batch "
                'normalization, whose logits are sums times one unit. Use outputs="float32". '
                f"Received: {type(node.op).__name__} after {type(below.op).__name__}"
            )
        units[below.name] = float(node.op.scale[0])
    ends = tuple(graph.nodes[i].inputs[0] for i in graph.outputs)
    return rewrites.pruned(dataclasses.replace(graph, outputs=ends)), units


def fed(graph: g.Graph, codes, inputs) -> tuple:
    """What a file with the option `inputs` is fed for `codes`, one array an input."""
    if inputs == "codes":
        return tuple(codes)
    pairs = zip((op.spec for op in graph.inputs), codes, strict=True)
    return tuple((s.scale * (q.astype(np.float32) - s.zero_point)).astype(np.float32) for s, q in pairs)


def made(logits, outputs, units) -> tuple:
    """What a file with the option `outputs` must give for the reference's `logits`, one array an output.

    units: Keras value of one sum, one an output; of meaning for int16 alone.
    """
    if outputs == "argmax":
        return tuple(y.argmax(-1).astype(np.int32) for y in logits)
    if outputs == "int16":  # exact: a float32 next to a sum times the unit is off by less than half a unit
        return tuple(np.rint(y / np.float64(u)).astype(np.int16) for y, u in zip(logits, units, strict=True))
    return tuple(y.astype(np.float32) for y in logits)


def end(net, index, outputs) -> int:
    """The tensor that is the output of node `index`."""
    name = net.graph.nodes[index].name
    if outputs == "int16":
        if net.values[index].dtype != "int16":
            raise UnsupportedGraphError(
                f'Node `{name}`: outputs="int16" needs inputs and sums below 2^15. Use outputs="float32". '
                f"Received: sums up to {net.peak(index)}"
            )
        return net.values[index].tensor
    if outputs == "argmax" and net.types[index].shape[-1] == 1:
        raise UnsupportedGraphError(
            f'Node `{name}`: outputs="argmax" needs two logits or more, for it is 0 of one. Use '
            'outputs="float32": of two classes, the second is logit > 0. Received: '
            f"output of shape {net.types[index].shape}"
        )
    floats = as_floats(net, index, f"{name}/float")
    if outputs == "float32":
        return floats
    schema, shape = net.file.schema, net.types[index].shape[:-1]
    axis = net.file.constant(f"{name}/axis", np.array([len(shape) + 1], np.int32))
    result = net.file.tensor(f"{name}/class", shape, "int32")
    options = schema.ArgMaxOptionsT(outputType=schema.TensorType.INT32)
    net.file.operator("ARG_MAX", 1, [floats, axis], result, options)
    return result
