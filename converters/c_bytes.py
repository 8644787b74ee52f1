"""Kernels on bytes: inputs, and hidden codes of 8 bits. Sums looked up in tables, or products.

Counting in planes takes a pass for each bit of the codes times each of the weights. Where those are many,
it takes fewer instructions to add: trits by tables of the 27 sums of three taps, for two pixels in one word
(`runtime/gxnor_tables_sums.h`), weights of more states by multiplication (`runtime/gxnor_bytes_sums.h`).
"""

import math
from collections.abc import Callable

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.converters import c_kernels, first_layer, planes
from keras_gxnor.converters.c_calls import Program, Table, Value, input_bytes, struct

# Instructions a product on a Cortex-M4, about (docs/c.md): of a pass of counting and of tables, in large
# layers; what a pixel adds; what a tap adds to tables. Products take as long as `_PRODUCTS` passes, those of
# depthwise kernels as long as `_DEPTHWISE`.
_PASS, _PIXEL_OF_PASS = 0.15, 29
_TABLES, _PIXEL_OF_TABLES, _TAP_OF_TABLES = 0.62, 60, 8
_PRODUCTS, _DEPTHWISE = 10, 4
_GROUPS = 24  # threes of taps whose tables are there at once; at most 42, and each takes 108 bytes
_FEW_FILTERS = first_layer.BLOCK  # below which tables are not used often enough
_VECTOR = [1] * 10 + [0] * 2  # the window of a Dense


def kernel(program: Program, layer: c_kernels.Layer, as_bytes: Callable) -> Value | None:
    """Appends a Dense or Conv2D with its step; None if it is better counted.

    Args:
        program: Grows.
        layer: Its source in any form.
        as_bytes: Callable: the source -> the source as bytes, in the order of its shape.
    """
    if not layer.source.fits_bytes:
        return None
    make = _way(program, layer)
    if layer.step is None:
        is_product = make is _multiplied and isinstance(layer.node.op, g.Dense)
        return _sums(program, layer, as_bytes(layer.source)) if is_product else None
    ramp = layer.ramp(layer.bits, short=True) if make else None
    lines = ramp.lines(layer.result.low, layer.result.high) if ramp else None
    if make is None or (layer.limits and lines is None and layer.source.form == "codes"):
        return None
    end = "quantize" if lines is not None else "steps"
    return make(program, layer, as_bytes(layer.source), end, ramp, lines)


def _way(program, layer) -> Callable | None:
    """Tables, products, or None: counted."""
    op, is_input = layer.node.op, layer.source.form == "bytes"
    passes, filters = layer.levels * layer.digits, op.kernel.shape[-1]
    if getattr(op, "groups", 1) > 1:
        is_depthwise = op.groups == layer.source.type.shape[-1] == filters and layer.step is not None
        return _depthwise if is_depthwise and (is_input or passes >= _DEPTHWISE) else None
    if layer.digits > 1:
        return _multiplied if is_input or passes >= _PRODUCTS else None
    if not isinstance(op, g.Conv2D) or (program.lanes > planes.LANES and not is_input):
        return None
    taps, tiles = op.kernel[..., 0].size, -(-filters // program.lanes)
    counted = passes * (_PASS + _PIXEL_OF_PASS / taps) * tiles * program.lanes / filters
    if counted < _TABLES + _PIXEL_OF_TABLES / taps + _TAP_OF_TABLES / filters and not is_input:
        return None
    return _tabulated if filters >= _FEW_FILTERS else _multiplied


def byte_form(program, source) -> tuple[int, int]:
    """(flip, zero) of a value of form `bytes` or `u8`."""
    is_input = source.form == "bytes"
    return input_bytes(program.graph.nodes[source.buffer].op.spec) if is_input else source.flip_zero


def _tabulated(program, layer, source, end, ramp, lines) -> Value:
    kernel = layer.kernel.reshape(-1, layer.kernel.shape[3])
    taps, filters = kernel.shape
    total = -(-taps // first_layer.TAPS)
    segments = -(-total // _GROUPS)
    groups = -(-total // segments)
    room = -(-filters // first_layer.BLOCK) * first_layer.BLOCK
    bits = planes.bits_for(layer.result.low.min(), layer.result.high.max())
    window = c_kernels.layer_window(layer)
    sizes = [source.type.shape[2], filters, room, groups, segments]
    tables = [
        Table("shape", "gxnor_tables", struct([window, *sizes, *byte_form(program, source), bits])),
        Table("weights", "uint8_t", first_layer.segments(kernel, groups, segments)),
    ]
    before = ["&{name}_shape", source.place, "{name}_weights"]
    scratch = program.temporary("uint32_t *", groups * (first_layer.TAPS * segments + first_layer.ENTRIES))
    sums = program.temporary("int32_t *", 2 * room)
    return _ended(program, layer, "tables", source, tables, before, [scratch, sums], end, ramp, lines, bits)


def _sums(program, layer, source) -> Value:
    """The sums of a Dense."""
    table, made = np.ascontiguousarray(layer.kernel.T).view(np.uint8), layer.made(program)
    weights = "(const int8_t GXNOR_ROM *){name}_weights"
    size = [len(layer.kernel), weights, layer.kernel.shape[1]]
    arguments = [source.place, *byte_form(program, source), *size, made.place]
    tables = [Table("weights", "uint8_t", table)]
    return program.call("dense", "gxnor_dense_u8_sums", arguments, made, source, tables, layer.note)


def _multiplied(program, layer, source, end, ramp, lines) -> Value:
    is_conv = isinstance(layer.node.op, g.Conv2D)
    kernel = layer.kernel.reshape(-1, layer.kernel.shape[-1])
    taps, filters = kernel.shape
    table = np.pad(kernel, [(0, -taps % 2), (0, -filters % 4)]).astype(np.int8)
    taps, room = table.shape
    table = np.ascontiguousarray(table.reshape(taps, room // 4, 4).transpose(1, 0, 2))
    window = c_kernels.layer_window(layer) if is_conv else _VECTOR
    channels = layer.kernel.shape[2] if is_conv else math.prod(source.type.shape)
    bits = planes.bits_for(layer.result.low.min(), layer.result.high.max())
    shape = [window, channels, filters, taps, *byte_form(program, source), bits]
    tables = [Table("shape", "gxnor_bytes", struct(shape)), Table("weights", "uint8_t", table.view(np.uint8))]
    before = ["&{name}_shape", source.place, "(const int8_t GXNOR_ROM *){name}_weights"]
    room = [program.temporary("int16_t *", -(-taps // 2)), program.temporary("int32_t *", room)]
    return _ended(program, layer, "bytes", source, tables, before, room, end, ramp, lines, bits)


def _depthwise(program, layer, source, end, ramp, lines) -> Value:
    channels = layer.kernel.shape[-1]
    bits = planes.bits_for(layer.result.low.min(), layer.result.high.max())
    taps = layer.kernel.size // channels
    shape = [c_kernels.layer_window(layer), channels, channels, taps, *byte_form(program, source), bits]
    table = np.ascontiguousarray(layer.kernel.astype(np.int8)).view(np.uint8)
    tables = [Table("shape", "gxnor_bytes", struct(shape)), Table("weights", "uint8_t", table)]
    before = ["&{name}_shape", source.place, "(const int8_t GXNOR_ROM *){name}_weights"]
    room = [program.temporary("int32_t *", channels)]
    return _ended(program, layer, "depthwise_u8", source, tables, before, room, end, ramp, lines, bits)


def _ended(program, layer, way, source, tables, before, room, end, ramp, lines, bits) -> Value:
    """The call, with a ReLU in steps or thresholds. room: its scratch."""
    kind, name = "conv" if isinstance(layer.node.op, g.Conv2D) else "dense", f"gxnor_{way}_{end}"
    kind = "depthwise" if way == "depthwise_u8" else kind
    if end == "quantize":
        made = program.octets(layer.step, layer.made_type(program))
        members = struct([ramp.levels, len(ramp.exceptions)])
        tables += [Table("levels", "gxnor_levels", members), Table("lines", "uint32_t", lines)]
        arguments = [*before, "&{name}_levels", "{name}_lines", *room, made.place]
        return program.call(kind, name, arguments, made, source, tables, layer.note)
    made = layer.made(program)
    tables.append(Table("thresholds", "uint32_t", planes.steps_table(layer.steps, layer.low, bits)))
    counters = program.temporary("uint32_t *", c_kernels.SQUARE)
    steps = ["{name}_thresholds", layer.steps.shape[1], layer.low]
    arguments = [*before, *steps, *room, counters, made.place, made.planes]
    return program.call(kind, name, arguments, made, source, tables, layer.note)
