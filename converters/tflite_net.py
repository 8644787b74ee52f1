"""A TFLite file on its way: the values of the graph's nodes, and the parts emitters share."""

import dataclasses

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.converters import flatbuffer, weight_forms

# Operator versions of the int8, int16 and float kernels, told apart by the dtype of the bias.
_VERSIONS = {
    "FULLY_CONNECTED": {"int32": 12, "int64": 11, "float32": 1},
    "CONV_2D": {"int32": 3, "int64": 4, "float32": 1},
    "DEPTHWISE_CONV_2D": {"int32": 3, "int64": 5, "float32": 2},
}
UNIT = (1.0,), (0,), 0  # quantization of whole numbers: scales, zero points, axis


@dataclasses.dataclass(frozen=True)
class Value:
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
class Net:
    """A canonical graph on its way into a file; `values` holds one `Value` a node done.

    inputs, sums: as of `tflite.emit`. units: {last kernel: unit of its int16 sums}, if they go out.
    made: {what: tensors} that several operators read, such as a constant number.
    """

    graph: g.Graph
    types: tuple[g.TensorType, ...]
    file: flatbuffer.File
    values: list
    storage: weight_forms.Storage
    inputs: str = "codes"
    units: dict = dataclasses.field(default_factory=dict)
    sums: str = "int16"
    made: dict = dataclasses.field(default_factory=dict)

    def source(self, index):
        """The value that node `index` reads first."""
        return self.values[self.graph.nodes[index].inputs[0]]

    def peak(self, index) -> int:
        """The largest magnitude of the integers of node `index`."""
        return max(-int(self.types[index].low.min()), int(self.types[index].high.max()))

    def fits_int8(self, index):
        """Whether the integers of node `index` are within -127..127."""
        return self.peak(index) <= 127

    def tensor(self, index, dtype, quantization=None, suffix=""):
        """A new tensor of the shape of node `index`."""
        name = self.graph.nodes[index].name + suffix
        return self.file.tensor(name, self.types[index].shape, dtype, quantization)

    def tensor_like(self, index, source):
        """The same, with the dtype and quantization of the value `source`."""
        if source.dtype == "int8":
            return self.tensor(index, "int8", ((source.scale,), (source.zero_point,), 0))
        return self.tensor(index, "float32")


def linear(net, node, x, result, kernel, scales, bias, uses=1, clipped=False):
    """Appends the operator of a Dense or Conv2D on tensor `x`.

    kernel: as in the graph, in the dtype to store. scales: of the kernel, one or one a
    channel, or None for float32. bias: (values, scales). uses: how many operators like this
    one share the weights. clipped: whether it clips to -1..1, a step; else it keeps its sums.
    """
    schema, op = net.file.schema, node.op
    axis, options = 0, schema.FullyConnectedOptionsT()
    depthwise = isinstance(op, g.Conv2D) and op.kernel.shape[2] == 1 and op.groups > 1
    if isinstance(op, g.Dense):
        code, stored = "FULLY_CONNECTED", kernel.T
        if bias[0].dtype == np.int64:  # int16 sums: LiteRT adds them up in 32 bits then, which is faster
            options.quantizedBiasType = schema.TensorType.INT32
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
    if clipped:
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU_N1_TO_1
    grouped = code == "CONV_2D" and op.groups > 1
    version = 6 if grouped else _VERSIONS[code][bias[0].dtype.name]
    groups = op.groups if isinstance(op, g.Conv2D) else 1
    whole = weight_forms.Linear(
        node.name, code, version, options, stored, axis, scales, *bias, groups, uses
    )
    net.storage.append(whole, x, result)


def cast(net, x, from_type, result, to_type):
    """Appends a CAST of tensor `x` to tensor `result`."""
    types = net.file.schema.TensorType
    options = net.file.schema.CastOptionsT(getattr(types, from_type), getattr(types, to_type))
    net.file.operator("CAST", 3, [x], result, options)


def arithmetic(net, code, x, other, name, relu=False) -> int:
    """The float32 tensor `name` of x (ADD, SUB, MUL, DIV, MINIMUM) other, of the shape of tensor `x`.

    other: a tensor of the same shape, a float, or a float32 array with one a channel.
    relu: whether negative results become 0.
    """
    schema, result = net.file.schema, net.file.tensor(name, net.file.shape(x), "float32")
    if isinstance(other, float):
        key = "number", other
        if key not in net.made:
            net.made[key] = net.file.constant(f"number_{other:g}", np.array([other], np.float32))
        other = net.made[key]
    elif isinstance(other, np.ndarray):
        other = net.file.constant(f"{name}/by", other)
    kind = "MaximumMinimum" if code == "MINIMUM" else code.capitalize()
    options = getattr(schema, f"{kind}OptionsT")()
    if relu:
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    net.file.operator(code, 1, [x, other], result, options)
    return result


def floor(net, x, name) -> int:
    """The float32 tensor `name` of the whole numbers next below those of tensor `x`."""
    result = net.file.tensor(name, net.file.shape(x), "float32")
    net.file.operator("FLOOR", 1, [x], result)
    return result


def dequantize(net, x, version, name) -> int:
    """The float32 tensor `name` of scale * (stored - zero point) of tensor `x`."""
    result = net.file.tensor(name, net.file.shape(x), "float32")
    net.file.operator("DEQUANTIZE", version, [x], result, net.file.schema.DequantizeOptionsT())
    return result


def as_floats(net, index, name):
    """The integers of node `index` as a float32 tensor of whole numbers (logits as they are)."""
    value, shape = net.values[index], net.types[index].shape
    if value.dtype == "float32":
        return value.tensor
    if value.zero_point and value.scale == 1:
        return dequantize(net, value.tensor, 2, name)
    result = net.file.tensor(name, shape, "float32")
    cast(net, value.tensor, "INT8", result, "FLOAT32")
    if not value.zero_point:
        return result
    return arithmetic(net, "ADD", result, float(-value.zero_point), f"{name}/shifted")
