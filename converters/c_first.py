"""First layers, which read the input's bytes: sums looked up in tables, or products.

Tables take ternary kernels and steps (`first_layer.py`). What has more digits or a ReLU in steps is
multiplied: counted, it would take a pass for each bit of the bytes times each of the weights.
"""

import math

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.converters import c_kernels, first_layer, planes
from keras_gxnor.converters.c_calls import Program, Table, Value, input_bytes, struct

_FEW_GROUPS = 4  # whose tables are those of a kernel without groups
_MANY_DIGITS = 3  # from which on products take less time than passes
_VECTOR = [1] * 10 + [0] * 2  # the window of a Dense


def first(program: Program, layer: c_kernels.Layer) -> Value | None:
    """Appends a Dense or Conv2D of the input's bytes and its step; None if it is better made of codes."""
    is_conv = isinstance(layer.node.op, g.Conv2D)
    if layer.step is None:
        return None
    made = _tabulated(program, layer) if is_conv else None
    if made is not None or (is_conv and layer.node.op.groups > 1):
        return made
    if layer.digits < _MANY_DIGITS and not (is_conv and layer.limits):
        return None
    return _multiplied(program, layer)


def _multiplied(program, layer) -> Value:
    op, source = layer.node.op, layer.source
    flip, zero = input_bytes(program.graph.nodes[source.buffer].op.spec)
    kernel = op.kernel.reshape(-1, op.kernel.shape[-1]).T  # filter, tap
    filters, taps = kernel.shape
    taps = -(-taps // 4) * 4
    table = np.zeros((filters, taps), np.int8)
    table[:, : kernel.shape[1]] = kernel
    is_conv = isinstance(op, g.Conv2D)
    window = c_kernels.layer_window(layer) if is_conv else _VECTOR
    channels = op.kernel.shape[2] if is_conv else math.prod(source.type.shape)
    bits = planes.bits_for(layer.result.low.min(), layer.result.high.max())
    shape = [window, channels, filters, taps, flip, zero, bits]
    tables = [Table("shape", "gxnor_bytes", struct(shape)), Table("weights", "uint8_t", table.view(np.uint8))]
    patch, sums = program.temporary("int16_t *", taps // 2), program.temporary("int32_t *", filters)
    ramp = layer.ramp(bits)
    rest = program.temporary("uint32_t *", c_kernels.SQUARE + (ramp.rest_bits if ramp else 0))
    made = layer.made(program)
    before = ["&{name}_shape", source.place, "(const int8_t GXNOR_ROM *){name}_weights"]
    if ramp is not None:
        tables += c_kernels.lines(ramp, bits)
        name, arguments = "gxnor_bytes_ramp", [*before, *c_kernels.RAMP, patch, sums, rest, made.place]
    else:
        limits = planes.steps_table(layer.steps, layer.low, bits)
        tables.append(Table("thresholds", "uint32_t", limits))
        steps = ["{name}_thresholds", layer.steps.shape[1], layer.low]
        name, arguments = "gxnor_bytes_steps", [*before, *steps, patch, sums, rest, made.place, made.planes]
    return program.call("conv" if is_conv else "dense", name, arguments, made, source, tables, layer.note)


def _tabulated(program: Program, layer: c_kernels.Layer) -> Value | None:
    """Appends a convolution of the input's bytes with a ternary step; None if tables cannot do it."""
    op, spec = layer.node.op, program.graph.nodes[layer.source.buffer].op.spec
    flip, zero = input_bytes(spec)
    if op.groups > _FEW_GROUPS or not layer.is_ternary:
        return None
    kernel, place = c_kernels.spread(op), c_kernels.layer_window(layer)
    if not first_layer.fits(kernel, layer.steps, zero):
        return None
    if layer.source.type.shape[0] == kernel.shape[0] == 1:
        # Rows are computed in pairs: a sequence runs down an image of width 1, the same bytes.
        kernel = kernel.transpose(1, 0, 2, 3)
        place = [n for y, x in zip(place[::2], place[1::2]) for n in (x, y)]
    shape = [place, kernel.shape[2], kernel.shape[3], first_layer.groups(kernel), flip, zero]
    tables = [
        Table("shape", "gxnor_conv_u8", struct(shape)),
        Table("weights", "uint8_t", first_layer.weights(kernel)),
        Table("thresholds", "uint32_t", first_layer.steps(kernel, layer.steps, zero)),
    ]
    room = program.temporary("uint32_t *", first_layer.scratch_words(kernel))
    made = layer.made(program)
    arguments = ["&{name}_shape", layer.source.place, "{name}_weights", "{name}_thresholds", room, made.place]
    return program.call("conv", "gxnor_conv_u8_step", arguments, made, layer.source, tables, layer.note)
