"""The sums of a kernel as whole numbers: int16 operators on int8 weights, or float32 ones.

CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED from int16 to int16 with all scales 1 give sums up
to 2^15 exactly. Where sums may be larger, the inputs are cut into digits, x = 16 h + l: two (to
eight) operators that share the weights make sums of digits, and float32 puts them together, exact
below 2^24. Only where that does not fit either, or would take more bytes, are weights float32.
"""

import dataclasses

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.converters.tflite_net import (
    UNIT,
    Value,
    arithmetic,
    as_floats,
    cast,
    dequantize,
    floor,
    linear,
)
from keras_gxnor.errors import GraphError

_INT16_LIMIT = (1 << 15) - 1
_MOST_DIGITS = 8
# Bytes of file a digit costs, beside the weights they share.
_DIGIT_COST = 800


def sums(net, index) -> Value:
    """The sums of the Dense or Conv2D `index`: float32, or int16 with a unit where `net.units` has one."""
    node = net.graph.nodes[index]
    count, bits = _digits(net, index)
    if not count:
        return Value(_float_sums(net, index), "float32")
    if count == 1:
        made = _int16_sums(net, index, _wide(net, index), net.units.get(node.name, 1.0), "/int16", 1)
        if node.name in net.units:
            return Value(made, "int16", net.units[node.name])
        return Value(dequantize(net, made, 3, node.name), "float32")
    total = None
    for k, digit in enumerate(_cut(net, node.inputs[0], count, bits)):
        part = _int16_sums(net, index, digit, 1.0, f"/digit{k}", count)
        part = dequantize(net, part, 3, f"{node.name}/floats{k}")
        if total is not None:
            total = arithmetic(net, "MUL", total, float(1 << bits), f"{node.name}/shifted{k}")
            part = arithmetic(net, "ADD", total, part, f"{node.name}/sum{k}")
        total = part
    return Value(total, "float32")


def _digits(net, index) -> tuple[int, int]:
    """(digits to cut the inputs into, bits of each but the first); (0, 0) for float32 weights."""
    node = net.graph.nodes[index]
    if net.sums == "float32" and node.name not in net.units:
        return 0, 0
    read, weights = net.types[node.inputs[0]], node.op.kernel.size
    size = max(-int(read.low.min()) - 1, int(read.high.max())).bit_length()
    for count in range(1, _MOST_DIGITS + 1):
        bits = -(-size // count)
        if count > 1 and 3 * weights < count * _DIGIT_COST:
            break
        if max(_peak(node, read, *ends) for ends in _digit_bounds(read, count, bits)) <= _INT16_LIMIT:
            return count, bits
    return 0, 0


def _digit_bounds(read, count, bits):
    """(low, high) of each digit, per channel; the first one has the sign."""
    shift = bits * (count - 1)
    yield read.low >> shift, read.high >> shift
    for _ in range(count - 1):
        most = np.full_like(read.high, (1 << bits) - 1)
        yield np.zeros_like(read.low), np.where(read.low < 0, most, np.minimum(read.high, most))


def _peak(node, read, low, high):
    """The largest magnitude of the inputs in low..high and of their sums."""
    try:
        made = g.infer(node, dataclasses.replace(read, low=low, high=high))
    except GraphError:  # beyond 2^24: a digit may be larger than the small numbers it comes from
        return np.inf
    return max(np.abs(bound).max() for bound in (low, high, made.low, made.high))


def _wide(net, index):
    """The integers that node `index` reads, as an int16 tensor."""
    node, source = net.graph.nodes[index], net.source(index)
    name = f"{node.name}/input"
    wide = net.file.tensor(name, net.types[node.inputs[0]].shape, "int16", UNIT)
    if source.dtype == "int8" and not source.zero_point:
        cast(net, source.tensor, "INT8", wide, "INT16")
    elif source.dtype == "int8" and source.scale == 1:
        net.file.operator("QUANTIZE", 3, [source.tensor], wide, net.file.schema.QuantizeOptionsT())
    else:
        cast(net, as_floats(net, node.inputs[0], f"{name}/floats"), "FLOAT32", wide, "INT16")
    return wide


def _cut(net, read, count, bits) -> list[int]:
    """int16 tensors of the digits of node `read`, the highest first; made once for all readers."""
    key = "digits", read, count, bits
    if key not in net.made:
        name, digits = f"{net.graph.nodes[read].name}/{bits}bit", []
        rest = as_floats(net, read, f"{name}/floats")
        for k in range(count - 1, 0, -1):
            scaled = arithmetic(net, "MUL", rest, 2.0**-bits, f"{name}/scaled{k}")
            higher = floor(net, scaled, f"{name}/higher{k}")
            taken = arithmetic(net, "MUL", higher, float(1 << bits), f"{name}/taken{k}")
            digits.append(arithmetic(net, "SUB", rest, taken, f"{name}/digit{k}"))
            rest = higher
        net.made[key] = []
        for k, digit in enumerate([rest, *reversed(digits)]):
            wide = net.file.tensor(f"{name}/int16_{k}", net.types[read].shape, "int16", UNIT)
            cast(net, digit, "FLOAT32", wide, "INT16")
            net.made[key].append(wide)
    return net.made[key]


def _int16_sums(net, index, wide, unit, suffix, uses):
    node, channels = net.graph.nodes[index], net.types[index].shape[-1]
    result = net.tensor(index, "int16", ((unit,), (0,), 0), suffix)
    bias = np.zeros(channels, np.int64), (unit,)
    linear(net, node, wide, result, node.op.kernel, (unit,), bias, uses)
    return result


def _float_sums(net, index):
    node = net.graph.nodes[index]
    x, result = as_floats(net, node.inputs[0], f"{node.name}/input"), net.tensor(index, "float32")
    bias = np.zeros(net.types[index].shape[-1], np.float32), None
    linear(net, node, x, result, node.op.kernel.astype(np.float32), None, bias)
    return result
