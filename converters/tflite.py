"""Graph -> .tflite: stock int8 operators that compute every integer of the graph exactly.

A hidden layer, its Threshold included, is one int8 CONV_2D, DEPTHWISE_CONV_2D or
FULLY_CONNECTED whose bias, scales and RELU_N1_TO_1 are the step (`rounding.py`). The
last layer keeps its sums, as int16 where they fit and else in float32 (exact below
2^24), and the logits are one float MUL and one ADD a stage.

The file is written straight with the schema classes of LiteRT; no converter, no
calibration, no custom operator. Weights stay int8: this file is no smaller than any
other int8 model, but its logits are those of `reference.run`, bit for bit.
"""

import dataclasses

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import rewrites
from keras_gxnor.converters import flatbuffer, metadata, rounding
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.errors import UnsupportedGraphError

_INT16_LIMIT = (1 << 15) - 1
# Operator versions of the int8, int16 and float kernels, told apart by the dtype of the bias.
_VERSIONS = {
    "FULLY_CONNECTED": {"int32": 12, "int64": 7, "float32": 1},
    "CONV_2D": {"int32": 3, "int64": 4, "float32": 1},
    "DEPTHWISE_CONV_2D": {"int32": 3, "int64": 5, "float32": 2},
}
_UNIT = (1.0,), (0,), 0  # quantization of whole numbers: scales, zero points, axis


def emit(graph: g.Graph, name: str, labels=None, version=None) -> Artifact:
    """Writes `graph` as a TFLite flatbuffer.

    The input tensor has the device's dtype and the declared scale and zero point, shape
    (batch, *input shape) with a dynamic batch; the output is float32 (batch, *output
    shape): the logits, or codes and sums as floats if the graph ends in them.

    Args:
        graph: Any sound `Graph` with one output.
        name: Stem of the file.
        labels: None, or a sequence of unique strings, one a class: the places of the last
            axis of the output. They ride in the file's metadata (see `metadata.py`).
        version: None, or a string that says which version of your model this is.

    Returns:
        An `Artifact` with the file `<name>.tflite`; equal arguments give equal bytes.

    Raises:
        InvalidArgumentError: if `labels` or `version` does not fit.
        GraphError: if the graph is not sound.
        UnsupportedGraphError: naming the node that has no exact TFLite form.
        VerificationError: if a step would round wrongly on some kernel.
        MissingExtraError: if LiteRT is not installed.
    """
    plain = rewrites.canonical(graph)
    if len(plain.outputs) != 1:
        raise UnsupportedGraphError(
            f"A .tflite is made from a graph with one output. Received: {len(plain.outputs)}"
        )
    net = _Net(plain, plain.check(), flatbuffer.File(), [])
    for index, node in enumerate(plain.nodes):
        net.values.append(_EMITTERS[type(node.op)](net, index))
    last = plain.outputs[0]
    output = net.values[last].tensor
    if net.types[last].kind == "code":
        output = _as_floats(net, last, f"{plain.nodes[last].name}/float")
    about = metadata.entry(name, graph.input, net.types[last].shape, labels, version)
    data = net.file.finish(graph.name, [0], [output], about)
    return Artifact("tflite", name, graph, {f"{name}.tflite": data}, dict(net.file.sizes))


@dataclasses.dataclass(frozen=True)
class _Value:
    """A tensor of the file: number = scale * (stored - zero_point), float32 without either."""

    tensor: int
    scale: float = 1.0
    zero_point: int = 0


@dataclasses.dataclass(frozen=True)
class _Net:
    """A canonical graph on its way into a file; `values` holds one `_Value` a node done."""

    graph: g.Graph
    types: tuple[g.TensorType, ...]
    file: flatbuffer.File
    values: list

    def source(self, index):
        """The value that node `index` reads."""
        return self.values[self.graph.nodes[index].inputs[0]]

    def tensor(self, index, dtype, quantization=None, suffix=""):
        """A new tensor of the shape of node `index`."""
        name = self.graph.nodes[index].name + suffix
        return self.file.tensor(name, self.types[index].shape, dtype, quantization)

    def tensor_like(self, index, source):
        """The same, with the dtype and quantization of the value `source`."""
        if self.types[index].kind == "code":
            return self.tensor(index, "int8", ((source.scale,), (source.zero_point,), 0))
        return self.tensor(index, "float32")


# --- One emitter an operation: appends operators, returns the `_Value` of the node. ---


def _input(net, index):
    spec = net.graph.input.spec
    scale = float(np.float32(spec.scale))
    fed = net.tensor(index, spec.dtype, ((scale,), (spec.zero_point,), 0))
    if spec.dtype == "int8":
        return _Value(fed, scale, spec.zero_point)
    # Kernels of today read int8: the same scale and a zero point 128 less only flip a bit.
    zero_point = spec.zero_point - 128
    signed = net.tensor(index, "int8", ((scale,), (zero_point,), 0), "/int8")
    net.file.operator("QUANTIZE", 1, [fed], signed, net.file.schema.QuantizeOptionsT())
    return _Value(signed, scale, zero_point)


def _kernel(net, index):
    """Dense or Conv2D: left to its Threshold if it has one, else float32 accumulators."""
    node, readers = net.graph.nodes[index], net.graph.consumers(index)
    if readers and isinstance(net.graph.nodes[readers[0]].op, g.Threshold):
        return None
    source, bounds = net.source(index), net.types[index]
    peak = max(-int(bounds.low.min()), int(bounds.high.max()))
    if source.zero_point or peak > _INT16_LIMIT:
        x = _as_floats(net, node.inputs[0], f"{node.name}/input")
        result = net.tensor(index, "float32")
        zeros = np.zeros(bounds.shape[-1], np.float32)
        _linear(net, node, x, result, node.op.kernel.astype(np.float32), None, (zeros, None))
        return _Value(result)
    shape = net.types[node.inputs[0]].shape
    wide = net.file.tensor(f"{node.name}/input", shape, "int16", _UNIT)
    _cast(net, source.tensor, "INT8", wide, "INT16")
    sums = net.tensor(index, "int16", _UNIT, "/int16")
    zeros = np.zeros(bounds.shape[-1], np.int64)
    _linear(net, node, wide, sums, node.op.kernel, (1.0,), (zeros, (1.0,)))
    result = net.tensor(index, "float32")
    net.file.operator("DEQUANTIZE", 3, [sums], result, net.file.schema.DequantizeOptionsT())
    return _Value(result)


def _threshold(net, index):
    """The kernel before it and the step, as one int8 operator."""
    node = net.graph.nodes[index]
    below = node.inputs[0]
    kernel, source, bounds = net.graph.nodes[below], net.source(below), net.types[below]
    if node.op.space.order > 1:
        raise UnsupportedGraphError(
            f"Threshold `{node.name}`: one requantization makes ternary and binary steps only; "
            f"use a ternary activation. Received: {node.op.space.num_states} states"
        )
    largest = int(np.abs(kernel.op.kernel.astype(np.int64)).max())
    step = rounding.plan(node.op.thresholds, bounds.low, bounds.high, largest)
    if step is None:
        peak = max(-int(bounds.low.min()), int(bounds.high.max()))
        raise UnsupportedGraphError(
            f"Node `{kernel.name}`: an exact int8 step needs 4 |acc| + |bias| below 2^24, "
            f"4 |weight| below 128 and thresholds less than 2^21 apart; use fewer inputs or "
            f"ternary weights. Received: |acc| up to {peak}, |weight| up to {largest}"
        )
    rounding.check(node.name, step, node.op, bounds.low, bounds.high, np.float32(source.scale))
    scales = rounding.filter_scales(step, np.float32(source.scale))
    result = net.tensor(index, "int8", _UNIT)
    bias_scales = scales * np.float32(source.scale)
    weights = kernel.op.kernel * np.int8(step.gain)
    _linear(net, kernel, source.tensor, result, weights, scales, (step.bias, bias_scales), True)
    return _Value(result)


def _maxpool(net, index):
    source, op, schema = net.source(index), net.graph.nodes[index].op, net.file.schema
    version = 2 if net.types[index].kind == "code" else 1
    result = net.tensor_like(index, source)
    options = schema.Pool2DOptionsT(
        padding=getattr(schema.Padding, op.padding.upper()),
        strideH=op.strides[0],
        strideW=op.strides[1],
        filterHeight=op.pool_size[0],
        filterWidth=op.pool_size[1],
    )
    net.file.operator("MAX_POOL_2D", version, [source.tensor], result, options)
    return dataclasses.replace(source, tensor=result)


def _sign(net, index):
    node, source, bounds = net.graph.nodes[index], net.source(index), net.types[index]
    if bounds.low.min() < -128 or bounds.high.max() > 127:
        raise UnsupportedGraphError(
            f"Sign `{node.name}` must leave codes in -128..127. "
            f"Received: {bounds.low.min()}..{bounds.high.max()}"
        )
    signs = net.file.constant(f"{node.name}/signs", node.op.signs, _UNIT)
    result = net.tensor(index, "int8", ((source.scale,), (0,), 0))
    options = net.file.schema.MulOptionsT()
    net.file.operator("MUL", 3, [source.tensor, signs], result, options)
    return _Value(result, source.scale)


def _flatten(net, index):
    name, source = net.graph.nodes[index].name, net.source(index)
    shape = np.array([-1, *net.types[index].shape], np.int32)
    result = net.tensor_like(index, source)
    target = net.file.constant(f"{name}/shape", shape)
    options = net.file.schema.ReshapeOptionsT(newShape=shape)
    net.file.operator("RESHAPE", 1, [source.tensor, target], result, options)
    return dataclasses.replace(source, tensor=result)


def _affine(net, index):
    node, schema = net.graph.nodes[index], net.file.schema
    scale = net.file.constant(f"{node.name}/scale", node.op.scale)
    offset = net.file.constant(f"{node.name}/offset", node.op.offset)
    product, result = net.tensor(index, "float32", None, "/product"), net.tensor(index, "float32")
    net.file.operator("MUL", 1, [net.source(index).tensor, scale], product, schema.MulOptionsT())
    net.file.operator("ADD", 1, [product, offset], result, schema.AddOptionsT())
    return _Value(result)


_EMITTERS = {
    g.Input: _input,
    g.Dense: _kernel,
    g.Conv2D: _kernel,
    g.MaxPool2D: _maxpool,
    g.Threshold: _threshold,
    g.Sign: _sign,
    g.Flatten: _flatten,
    g.Affine: _affine,
}


# --- Parts the emitters share. ---


def _linear(net, node, x, result, kernel, scales, bias, step=False):
    """Appends the operator of a Dense or Conv2D on tensor `x`.

    kernel: as in the graph, in the dtype to store. scales: of the kernel, one or one a
    channel, or None for float32. bias: (values, scales). step: whether to clip to -1..1.
    """
    schema, op = net.file.schema, node.op
    axis, options = 0, schema.FullyConnectedOptionsT()
    depthwise = isinstance(op, g.Conv2D) and op.kernel.shape[2] == 1 and op.groups > 1
    if isinstance(op, g.Dense):
        code, stored = "FULLY_CONNECTED", kernel.T
    elif depthwise:
        code, stored, axis = "DEPTHWISE_CONV_2D", kernel.transpose(2, 0, 1, 3), 3
        options = schema.DepthwiseConv2DOptionsT(depthMultiplier=kernel.shape[3] // op.groups)
    else:
        code, stored = "CONV_2D", kernel.transpose(3, 0, 1, 2)
        options = schema.Conv2DOptionsT()
    if isinstance(op, g.Conv2D):
        options.padding = getattr(schema.Padding, op.padding.upper())
        options.strideH, options.strideW = op.strides
        options.dilationHFactor, options.dilationWFactor = op.dilation
    if step:
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU_N1_TO_1
    constants = []
    for what, values, scale, dim in (("weights", stored, scales, axis), ("bias", *bias, 0)):
        quantization = None if scale is None else (scale, (0,) * len(scale), dim)
        constants.append(net.file.constant(f"{node.name}/{what}", values, quantization))
        net.file.sizes[what] += values.nbytes
    grouped = code == "CONV_2D" and op.groups > 1
    version = 6 if grouped else _VERSIONS[code][bias[0].dtype.name]
    net.file.operator(code, version, [x, *constants], result, options)


def _cast(net, x, from_type, result, to_type):
    types = net.file.schema.TensorType
    options = net.file.schema.CastOptionsT(getattr(types, from_type), getattr(types, to_type))
    net.file.operator("CAST", 3, [x], result, options)


def _as_floats(net, index, name):
    """The int8 codes of node `index` as a float32 tensor of whole numbers."""
    value, shape = net.values[index], net.types[index].shape
    result = net.file.tensor(name, shape, "float32")
    _cast(net, value.tensor, "INT8", result, "FLOAT32")
    if not value.zero_point:
        return result
    shift = net.file.constant(f"{name}/shift", np.array([-value.zero_point], np.float32))
    shifted = net.file.tensor(f"{name}/shifted", shape, "float32")
    net.file.operator("ADD", 1, [result, shift], shifted, net.file.schema.AddOptionsT())
    return shifted
