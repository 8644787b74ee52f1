"""One emitter an operation: appends operators to the file, and returns the `Value` of the node.

Kernels are in `tflite_sums.py`, with their Threshold in `tflite_steps.py`; what computes with
floats is in `tflite_floats.py`.
"""

import dataclasses
import math

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.converters import tflite_floats, tflite_steps, tflite_sums
from keras_gxnor.converters.tflite_net import UNIT, Value, as_floats, linear
from keras_gxnor.converters.tflite_steps import summed


def _input(net, index):
    spec = net.graph.nodes[index].op.spec
    scale = float(np.float32(spec.scale))
    if net.inputs == "float32":
        fed = net.tensor(index, "float32")
    else:
        fed = net.tensor(index, spec.dtype, ((scale,), (spec.zero_point,), 0))
        if spec.dtype == "int8":
            return Value(fed, "int8", scale, spec.zero_point, fed)
    # Kernels of today read int8: of uint8, the same scale and a zero point 128 less only flip a bit.
    zero_point = spec.zero_point - (128 if spec.dtype == "uint8" else 0)
    signed = net.tensor(index, "int8", ((scale,), (zero_point,), 0), "/int8")
    net.file.operator("QUANTIZE", 1, [fed], signed, net.file.schema.QuantizeOptionsT())
    return Value(signed, "int8", scale, zero_point, fed)


def _kernel(net, index):
    """Dense or Conv2D: left to its Threshold if it has one."""
    readers = net.graph.consumers(index)
    if readers and isinstance(net.graph.nodes[readers[0]].op, g.Threshold):
        return None
    return tflite_sums.sums(net, index)


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
    if source.dtype == "int8" and bounds.low.min() >= -128 and bounds.high.max() <= 127:
        signs = net.file.constant(f"{node.name}/signs", node.op.signs, UNIT)
        result = net.tensor(index, "int8", ((source.scale,), (0,), 0))
        net.file.operator("MUL", 3, [source.tensor, signs], result, net.file.schema.MulOptionsT())
        return Value(result, scale=source.scale)
    x = as_floats(net, node.inputs[0], f"{node.name}/input")
    signs = net.file.constant(f"{node.name}/signs", node.op.signs.astype(np.float32))
    result = net.tensor(index, "float32")
    net.file.operator("MUL", 1, [x, signs], result, net.file.schema.MulOptionsT())
    return Value(result, "float32")


def _reshape(net, index):
    source = net.source(index)
    result = net.tensor_like(index, source)
    _reshaped(net, net.graph.nodes[index].name, net.types[index].shape, source.tensor, result)
    return dataclasses.replace(source, tensor=result, fed=None)


def _reshaped(net, name, shape, x, result):
    """Appends a RESHAPE of tensor `x` to tensor `result`."""
    shape = np.array([-1, *shape], np.int32)
    target = net.file.constant(f"{name}/shape", shape)
    options = net.file.schema.ReshapeOptionsT(newShape=shape)
    net.file.operator("RESHAPE", 1, [x, target], result, options)


def _sumpool(net, index):
    """The sum of a whole image as MEAN with the scale of one part, of a window by a kernel of ones."""
    node, source = net.graph.nodes[index], net.source(index)
    shape, op = net.types[node.inputs[0]].shape, node.op
    whole, count = op.pool_size == shape[:2] and op.padding == "valid", math.prod(op.pool_size)
    ones = g.Node(node.name, _ones(op, shape[2]))
    if source.dtype == "int8" and net.fits_int8(index):
        if whole and not source.zero_point:
            mean = net.tensor(index, "int8", ((source.scale / count,), (0,), 0), "/mean")
            _reduce(net, node, "MEAN", 2, source.tensor, mean)
            # The same integers, and now in the unit of the parts: a RESHAPE moves bytes alone.
            result = net.tensor(index, "int8", ((source.scale,), (0,), 0))
            _reshaped(net, node.name, net.types[index].shape, mean, result)
            return Value(result, scale=source.scale)
        result = net.tensor(index, "int8", ((source.scale,), (0,), 0))
        zeros, scale = np.zeros(shape[2], np.int32), (1.0,) * shape[2]
        linear(net, ones, source.tensor, result, ones.op.kernel, scale, (zeros, (source.scale,) * shape[2]))
        return Value(result, scale=source.scale)
    x, result = as_floats(net, node.inputs[0], f"{node.name}/input"), net.tensor(index, "float32")
    if whole:
        _reduce(net, node, "SUM", 1, x, result)
    else:
        bias = np.zeros(shape[2], np.float32), None
        linear(net, ones, x, result, ones.op.kernel.astype(np.float32), None, bias)
    return Value(result, "float32")


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
        return Value(summed(net, index, [v.tensor for v in values], "", quantization), scale=values[0].scale)
    floats = [as_floats(net, i, f"{node.name}/input{k}") for k, i in enumerate(node.inputs)]
    return Value(summed(net, index, floats, "", None), "float32")


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
        tensors = [as_floats(net, i, f"{node.name}/input{k}") for k, i in enumerate(node.inputs)]
    net.file.operator("CONCATENATION", version, tensors, result, options)
    if len(kinds) == 1:
        return dataclasses.replace(values[0], tensor=result, fed=None)
    return Value(result, "float32")


EMITTERS = {
    g.Input: _input,
    g.Dense: _kernel,
    g.Conv2D: _kernel,
    g.MaxPool2D: _maxpool,
    g.SumPool2D: _sumpool,
    g.Pad2D: _pad,
    g.Add: _add,
    g.Concat: _concat,
    g.Threshold: tflite_steps.threshold,
    g.Sign: _sign,
    g.Flatten: _reshape,
    g.Reshape: _reshape,
    g.Divide: tflite_floats.divide,
    g.Affine: tflite_floats.affine,
    g.Quantize: tflite_floats.quantize,
}
