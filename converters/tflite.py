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
import math

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import rewrites
from keras_gxnor.converters import flatbuffer, rounding
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.errors import UnsupportedGraphError
from keras_gxnor.spaces import DiscreteSpace

_INT16_LIMIT = (1 << 15) - 1
# Operator versions of the int8, int16 and float kernels, told apart by the dtype of the bias.
_VERSIONS = {
    "FULLY_CONNECTED": {"int32": 12, "int64": 7, "float32": 1},
    "CONV_2D": {"int32": 3, "int64": 4, "float32": 1},
    "DEPTHWISE_CONV_2D": {"int32": 3, "int64": 5, "float32": 2},
}
_UNIT = (1.0,), (0,), 0  # quantization of whole numbers: scales, zero points, axis


def emit(graph: g.Graph, name: str) -> Artifact:
    """Writes `graph` as a TFLite flatbuffer.

    The input tensor has the device's dtype and the declared scale and zero point, shape
    (batch, *input shape) with a dynamic batch; an output is float32 (batch, *output
    shape): the logits, or codes and sums as floats if the graph ends in them. Several inputs
    and outputs come in the order of the graph.

    Args:
        graph: Any sound `Graph`.
        name: Stem of the file.

    Returns:
        An `Artifact` with the file `<name>.tflite`; equal graphs give equal bytes.

    Raises:
        GraphError: if the graph is not sound.
        UnsupportedGraphError: naming the node that has no exact TFLite form.
        VerificationError: if a step would round wrongly on some kernel.
        MissingExtraError: if LiteRT is not installed.
    """
    plain = rewrites.canonical(graph)
    net = _Net(plain, plain.check(), flatbuffer.File(), [])
    for index, node in enumerate(plain.nodes):
        net.values.append(_EMITTERS[type(node.op)](net, index))
    fed = [value.fed for value in net.values if value and value.fed is not None]
    outputs = [_as_floats(net, last, f"{plain.nodes[last].name}/float") for last in plain.outputs]
    data = net.file.finish(graph.name, fed, outputs)
    return Artifact("tflite", name, graph, {f"{name}.tflite": data}, dict(net.file.sizes))


@dataclasses.dataclass(frozen=True)
class _Value:
    """A tensor of the file: integer = stored - zero_point.

    Attributes:
        tensor: Its number in the file.
        dtype: `"int8"`, or `"float32"`, which holds whole numbers or logits.
        scale: The quantization scale; the graph's integers do not depend on it.
        zero_point: The stored number that means 0.
        fed: Number of the tensor the device feeds, of an input.
    """

    tensor: int
    dtype: str = "int8"
    scale: float = 1.0
    zero_point: int = 0
    fed: int | None = None


@dataclasses.dataclass(frozen=True)
class _Net:
    """A canonical graph on its way into a file; `values` holds one `_Value` a node done."""

    graph: g.Graph
    types: tuple[g.TensorType, ...]
    file: flatbuffer.File
    values: list

    def source(self, index):
        """The value that node `index` reads first."""
        return self.values[self.graph.nodes[index].inputs[0]]

    def fits_int8(self, index):
        """Whether the integers of node `index` are within -127..127."""
        return max(-int(self.types[index].low.min()), int(self.types[index].high.max())) <= 127

    def tensor(self, index, dtype, quantization=None, suffix=""):
        """A new tensor of the shape of node `index`."""
        name = self.graph.nodes[index].name + suffix
        return self.file.tensor(name, self.types[index].shape, dtype, quantization)

    def tensor_like(self, index, source):
        """The same, with the dtype and quantization of the value `source`."""
        if source.dtype == "int8":
            return self.tensor(index, "int8", ((source.scale,), (source.zero_point,), 0))
        return self.tensor(index, "float32")


# --- One emitter an operation: appends operators, returns the `_Value` of the node. ---


def _input(net, index):
    spec = net.graph.nodes[index].op.spec
    scale = float(np.float32(spec.scale))
    fed = net.tensor(index, spec.dtype, ((scale,), (spec.zero_point,), 0))
    if spec.dtype == "int8":
        return _Value(fed, "int8", scale, spec.zero_point, fed)
    # Kernels of today read int8: the same scale and a zero point 128 less only flip a bit.
    zero_point = spec.zero_point - 128
    signed = net.tensor(index, "int8", ((scale,), (zero_point,), 0), "/int8")
    net.file.operator("QUANTIZE", 1, [fed], signed, net.file.schema.QuantizeOptionsT())
    return _Value(signed, "int8", scale, zero_point, fed)


def _kernel(net, index):
    """Dense or Conv2D: left to its Threshold if it has one, else float32 accumulators."""
    node, readers = net.graph.nodes[index], net.graph.consumers(index)
    if readers and isinstance(net.graph.nodes[readers[0]].op, g.Threshold):
        return None
    source, bounds = net.source(index), net.types[index]
    peak = max(-int(bounds.low.min()), int(bounds.high.max()))
    if source.dtype == "float32" or source.zero_point or peak > _INT16_LIMIT:
        x = _as_floats(net, node.inputs[0], f"{node.name}/input")
        result = net.tensor(index, "float32")
        zeros = np.zeros(bounds.shape[-1], np.float32)
        _linear(net, node, x, result, node.op.kernel.astype(np.float32), None, (zeros, None))
        return _Value(result, "float32")
    shape = net.types[node.inputs[0]].shape
    wide = net.file.tensor(f"{node.name}/input", shape, "int16", _UNIT)
    _cast(net, source.tensor, "INT8", wide, "INT16")
    sums = net.tensor(index, "int16", _UNIT, "/int16")
    zeros = np.zeros(bounds.shape[-1], np.int64)
    _linear(net, node, wide, sums, node.op.kernel, (1.0,), (zeros, (1.0,)))
    result = net.tensor(index, "float32")
    net.file.operator("DEQUANTIZE", 3, [sums], result, net.file.schema.DequantizeOptionsT())
    return _Value(result, "float32")


def _threshold(net, index):
    """The kernel before it and the step, as one int8 operator; of a many-state space as several.

    A space of 2 K + 1 states is the sum of K ternary steps: step j is +1 from the j-th
    threshold above the middle on, and -1 below the j-th one under it.
    """
    node, below = net.graph.nodes[index], net.graph.nodes[index].inputs[0]
    if net.source(below).dtype != "int8":
        raise UnsupportedGraphError(
            f"Node `{net.graph.nodes[below].name}` reads integers beyond -127..127, which no int8 "
            "operator takes; merge or sum fewer activations before it. Received: "
            f"{net.types[net.graph.nodes[below].inputs[0]].high.max()}"
        )
    if node.op.space.order < 2:
        return _Value(_step(net, index, node.op, ""))
    middle, total = node.op.space.max_code, None
    for j in range(1, middle + 1):
        steps = np.ascontiguousarray(node.op.thresholds[:, [middle - j, middle - 1 + j]])
        part = g.Threshold(steps, node.op.flipped, DiscreteSpace(1))
        made = _step(net, index, part, f"/{j}")
        total = made if total is None else _sum(net, index, [total, made], f"/sum{j}" * (j < middle))
    return _Value(total)


def _step(net, index, threshold, suffix):
    """The tensor of a ternary or binary step of the kernel below node `index`."""
    node = net.graph.nodes[index]
    below = node.inputs[0]
    kernel, source, bounds = net.graph.nodes[below], net.source(below), net.types[below]
    largest = int(np.abs(kernel.op.kernel.astype(np.int64)).max())
    step = rounding.plan(threshold.thresholds, bounds.low, bounds.high, largest)
    if step is None:
        peak = max(-int(bounds.low.min()), int(bounds.high.max()))
        raise UnsupportedGraphError(
            f"Node `{kernel.name}`: an exact int8 step needs 4 |acc| + |bias| below 2^24, "
            f"4 |weight| below 128 and thresholds less than 2^21 apart; use fewer inputs or "
            f"ternary weights. Received: |acc| up to {peak}, |weight| up to {largest}"
        )
    rounding.check(node.name, step, threshold, bounds.low, bounds.high, np.float32(source.scale))
    scales = rounding.filter_scales(step, np.float32(source.scale))
    result = net.tensor(index, "int8", _UNIT, suffix)
    bias_scales = scales * np.float32(source.scale)
    weights = kernel.op.kernel * np.int8(step.gain)
    _linear(net, kernel, source.tensor, result, weights, scales, (step.bias, bias_scales), True)
    return result


def _maxpool(net, index):
    source, op, schema = net.source(index), net.graph.nodes[index].op, net.file.schema
    version = 2 if source.dtype == "int8" else 1
    result = net.tensor_like(index, source)
    options = schema.Pool2DOptionsT(
        padding=getattr(schema.Padding, op.padding.upper()),
        strideH=op.strides[0],
        strideW=op.strides[1],
        filterHeight=op.pool_size[0],
        filterWidth=op.pool_size[1],
    )
    net.file.operator("MAX_POOL_2D", version, [source.tensor], result, options)
    return dataclasses.replace(source, tensor=result, fed=None)


def _sign(net, index):
    node, source, bounds = net.graph.nodes[index], net.source(index), net.types[index]
    if bounds.low.min() < -128 or bounds.high.max() > 127:
        raise UnsupportedGraphError(
            f"Sign `{node.name}` must leave codes in -128..127. "
            f"Received: {bounds.low.min()}..{bounds.high.max()}"
        )
    if source.dtype != "int8":
        signs = net.file.constant(f"{node.name}/signs", node.op.signs.astype(np.float32))
        result, version = net.tensor(index, "float32"), 1
    else:
        signs = net.file.constant(f"{node.name}/signs", node.op.signs, _UNIT)
        result, version = net.tensor(index, "int8", ((source.scale,), (0,), 0)), 3
    options = net.file.schema.MulOptionsT()
    net.file.operator("MUL", version, [source.tensor, signs], result, options)
    return dataclasses.replace(source, tensor=result, zero_point=0, fed=None)


def _reshape(net, index):
    name, source = net.graph.nodes[index].name, net.source(index)
    shape = np.array([-1, *net.types[index].shape], np.int32)
    result = net.tensor_like(index, source)
    target = net.file.constant(f"{name}/shape", shape)
    options = net.file.schema.ReshapeOptionsT(newShape=shape)
    net.file.operator("RESHAPE", 1, [source.tensor, target], result, options)
    return dataclasses.replace(source, tensor=result, fed=None)


def _sumpool(net, index):
    """The sum of a whole image as MEAN with the scale of one part, of a window by a kernel of ones."""
    node, source = net.graph.nodes[index], net.source(index)
    shape, op = net.types[node.inputs[0]].shape, node.op
    whole, count = op.pool_size == shape[:2] and op.padding == "valid", math.prod(op.pool_size)
    if source.dtype == "int8" and net.fits_int8(index):
        if whole and not source.zero_point:
            result = net.tensor(index, "int8", ((source.scale / count,), (0,), 0))
            _reduce(net, node, "MEAN", 2, source.tensor, result)
            return _Value(result)
        result = net.tensor(index, "int8", ((source.scale,), (0,), 0))
        ones = g.Node(node.name, _ones(op, shape[2]))
        zeros, scale = np.zeros(shape[2], np.int32), (1.0,) * shape[2]
        _linear(net, ones, source.tensor, result, ones.op.kernel, scale, (zeros, (source.scale,) * shape[2]))
        return _Value(result, scale=source.scale)
    x, result = _as_floats(net, node.inputs[0], f"{node.name}/input"), net.tensor(index, "float32")
    if whole:
        _reduce(net, node, "SUM", 1, x, result)
    else:
        ones = g.Node(node.name, _ones(op, shape[2]))
        bias = np.zeros(shape[2], np.float32), None
        _linear(net, ones, x, result, ones.op.kernel.astype(np.float32), None, bias)
    return _Value(result, "float32")


def _ones(op, channels):
    kernel = np.ones((*op.pool_size, 1, channels), np.int8)
    return g.Conv2D(kernel, op.strides, op.padding, groups=channels)


def _reduce(net, node, code, version, x, result):
    axes = net.file.constant(f"{node.name}/axes", np.array([1, 2], np.int32))
    net.file.operator(code, version, [x, axes], result, net.file.schema.ReducerOptionsT(keepDims=True))


def _pad(net, index):
    node, source = net.graph.nodes[index], net.source(index)
    sides = np.array([(0, 0), *node.op.padding, (0, 0)], np.int32)
    result = net.tensor_like(index, source)
    constant = net.file.constant(f"{node.name}/padding", sides)
    version = 2 if source.dtype == "int8" else 1
    net.file.operator("PAD", version, [source.tensor, constant], result, net.file.schema.PadOptionsT())
    return dataclasses.replace(source, tensor=result, fed=None)


def _add(net, index):
    node = net.graph.nodes[index]
    values = [net.values[i] for i in node.inputs]
    plain = all(v.dtype == "int8" and v.scale == values[0].scale for v in values)
    if plain and net.fits_int8(index):
        quantization = ((values[0].scale,), (0,), 0)
        return _Value(_sum(net, index, [v.tensor for v in values], "", quantization), scale=values[0].scale)
    floats = [_as_floats(net, i, f"{node.name}/input{k}") for k, i in enumerate(node.inputs)]
    return _Value(_sum(net, index, floats, "", None), "float32")


def _sum(net, index, tensors, suffix, quantization=_UNIT):
    """The tensor of the sum of tensors of one kind, of the shape of node `index`."""
    total, dtype = tensors[0], "float32" if quantization is None else "int8"
    version = 1 if quantization is None else 2
    for k, tensor in enumerate(tensors[1:], 2):
        part = "" if k == len(tensors) else f"/sum{k}"
        result = net.tensor(index, dtype, quantization, suffix + part)
        net.file.operator("ADD", version, [total, tensor], result, net.file.schema.AddOptionsT())
        total = result
    return total


def _concat(net, index):
    node, schema = net.graph.nodes[index], net.file.schema
    values = [net.values[i] for i in node.inputs]
    kinds = {(v.dtype, v.scale, v.zero_point) for v in values}
    options = schema.ConcatenationOptionsT(axis=len(net.types[index].shape))
    if len(kinds) == 1:
        result, tensors = net.tensor_like(index, values[0]), [v.tensor for v in values]
        version = 2 if values[0].dtype == "int8" else 1
    else:
        result, version = net.tensor(index, "float32"), 1
        tensors = [_as_floats(net, i, f"{node.name}/input{k}") for k, i in enumerate(node.inputs)]
    net.file.operator("CONCATENATION", version, tensors, result, options)
    if len(kinds) == 1:
        return dataclasses.replace(values[0], tensor=result, fed=None)
    return _Value(result, "float32")


def _divide(net, index):
    node = net.graph.nodes[index]
    x = _as_floats(net, node.inputs[0], f"{node.name}/input")
    divisor = net.file.constant(f"{node.name}/divisor", np.array([node.op.divisor], np.float32))
    result = net.tensor(index, "float32")
    net.file.operator("DIV", 1, [x, divisor], result, net.file.schema.DivOptionsT())
    return _Value(result, "float32")


def _affine(net, index):
    node, schema = net.graph.nodes[index], net.file.schema
    x = _as_floats(net, node.inputs[0], f"{node.name}/input")
    scale = net.file.constant(f"{node.name}/scale", node.op.scale)
    offset = net.file.constant(f"{node.name}/offset", node.op.offset)
    product, result = net.tensor(index, "float32", None, "/product"), net.tensor(index, "float32")
    net.file.operator("MUL", 1, [x, scale], product, schema.MulOptionsT())
    net.file.operator("ADD", 1, [product, offset], result, schema.AddOptionsT())
    return _Value(result, "float32")


_EMITTERS = {
    g.Input: _input,
    g.Dense: _kernel,
    g.Conv2D: _kernel,
    g.MaxPool2D: _maxpool,
    g.SumPool2D: _sumpool,
    g.Pad2D: _pad,
    g.Add: _add,
    g.Concat: _concat,
    g.Threshold: _threshold,
    g.Sign: _sign,
    g.Flatten: _reshape,
    g.Reshape: _reshape,
    g.Divide: _divide,
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
    """The integers of node `index` as a float32 tensor of whole numbers (logits as they are)."""
    value, shape = net.values[index], net.types[index].shape
    if value.dtype == "float32":
        return value.tensor
    result = net.file.tensor(name, shape, "float32")
    _cast(net, value.tensor, "INT8", result, "FLOAT32")
    if not value.zero_point:
        return result
    shift = net.file.constant(f"{name}/shift", np.array([-value.zero_point], np.float32))
    shifted = net.file.tensor(f"{name}/shifted", shape, "float32")
    net.file.operator("ADD", 1, [result, shift], shifted, net.file.schema.AddOptionsT())
    return shifted
