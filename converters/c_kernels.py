"""Dense and Conv2D as calls of the runtime: which kernel serves a layer, and its tables.

Hidden layers are counted in tiles. A few outputs that stay sums (logits) take one product a row;
depthwise convolutions count 32 channels at once; the first layer of an image looks sums up in tables.
What none of these can do is left to one slow kernel that can do all.
"""

import dataclasses

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import rewrites
from keras_gxnor.converters import groups, planes, ramps, tiles
from keras_gxnor.converters.c_calls import (
    LANES,
    LISTS,
    Program,
    Table,
    Value,
    struct,
    window,
    window_note,
)
from keras_gxnor.errors import UnsupportedGraphError

_MOST_PLACES, _TRIT_BITS = 30, 6  # of gxnor_depthwise_trits
SQUARE = 32  # words in which sums become counters
RAMP = ["&{name}_ramp", "{name}_lines"]
_FEW = 16  # outputs below which sums are made row by row


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """A kernel, what it reads, and the threshold that follows it, if any.

    kernel: integers (height, width, channels / groups, filters), or (inputs, outputs).
    step: a Threshold, or a Quantize whose `limits` are (int64 thresholds (channels, levels), and the
    least and the greatest sum they were looked for).
    """

    node: g.Node
    source: Value
    result: g.TensorType
    step: g.Node | None
    limits: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    @property
    def kernel(self) -> np.ndarray:
        return self.node.op.kernel

    @property
    def digits(self) -> int:
        return len(planes.digits(self.kernel))

    @property
    def levels(self) -> int:
        return tiles.levels(self.source.type.low.min(), self.source.type.high.max())

    @property
    def steps(self) -> np.ndarray:
        """int64 (channels, steps): thresholds within the range of the sums; binary has its one twice."""
        limits = self.limits[0] if self.limits else self.step.op.thresholds.astype(np.int64)
        low, high = self.result.low[:, None], self.result.high[:, None]
        return np.clip(np.repeat(limits, 1 + self.is_binary, axis=1), low, high + 1)

    @property
    def is_binary(self) -> bool:
        return not self.limits and self.step.op.space.num_states == 2

    @property
    def is_ternary(self) -> bool:
        return self.step is not None and not self.limits and self.step.op.space.num_states <= 3

    @property
    def keeps_sums(self) -> bool:
        """Whether the codes are the sums."""
        return not self.limits and rewrites.keeps(self.step.op, self.result.low, self.result.high)

    @property
    def low(self) -> int:
        """The code of a sum that reaches no threshold."""
        return 0 if self.limits else -int(self.step.op.space.max_code)

    @property
    def bits(self) -> int:
        return tiles.counter_bits(
            self.result.low.min(), self.result.high.max(), self.levels + self.digits - 1
        )

    @property
    def note(self) -> str:
        most = int(max(self.result.high.max(), -self.result.low.min()))
        note = f"{window_note(self.node.op)}, |sum| <= {most}"
        if self.step is None:
            return note
        if self.limits:
            return f"{note}, ReLU in {self.step.op.levels} steps"
        if self.keeps_sums:
            return f"{note}, kept as codes"
        states = self.step.op.space.num_states
        return f"{note}, {_STATES.get(states, f'{states}-state')} step"

    def made(self, program: Program) -> Value:
        """The value that the kernel leaves."""
        if self.step is None:
            return program.sums(self.node, self.result)
        return program.codes(self.step, self.made_type(program))

    def made_type(self, program: Program) -> g.TensorType:
        """The type of what the step leaves."""
        return next(t for n, t in zip(program.graph.nodes, program.types) if n is self.step)

    def ramp(self, bits: int, short: bool = False) -> ramps.Ramp | None:
        """The lines of a Quantize for counters of `bits` planes, or for sums (`short`), if they do."""
        if not self.limits:
            return None
        return ramps.fit(self.limits[0], self.result.low, self.result.high, self.limits[1:], bits, short)


_STATES = {2: "binary", 3: "ternary"}


def dense(program: Program, layer: Layer) -> Value:
    """Appends a Dense."""
    outputs, source = layer.kernel.shape[1], layer.source
    if layer.step is None and outputs < _FEW:
        return _dense_rows(program, layer)
    pixel_words, pixel_rows = source.words, source.channels
    if source.pixels == 1 or source.channels % planes.LANES == 0:
        pixel_words, pixel_rows = 1, planes.LANES  # no gaps: it may be listed in any parts
    words = source.pixels * source.words
    chunk = min(words, tiles.chunk_words(pixel_words, pixel_rows))
    chunks = _chunks(len(layer.kernel), chunk // pixel_words * pixel_rows, words % chunk, program.places)
    runs = [groups.run(rows, program.places) for rows in chunks]
    if runs[0] > tiles.most_groups(program.lanes, program.places):
        most = tiles.most_groups(program.lanes, program.places) * program.places
        raise UnsupportedGraphError(
            f"Node `{layer.node.name}`: a pixel that a Dense reads may have {most} channels in C, or any "
            f"multiple of 32. Received: {source.channels} channels"
        )
    table = tiles.weight_tiles(layer.kernel, program.lanes, program.places, [[rows] for rows in chunks])
    count = tiles.tile_count(outputs, program.lanes)
    shape = [
        *(words, pixel_words, pixel_rows, source.planes, layer.levels),
        *(chunk, runs[0], runs[-1], runs[0] + 1, sum(runs) + len(runs)),
        *(layer.digits, count, outputs, layer.bits),
    ]
    tables = [Table("shape", "gxnor_dense", struct(shape)), _weights(table)]
    return _counted(program, layer, "dense", tables, -(-runs[0] * program.places // 2), count)


def _chunks(rows, chunk_rows, last_words, places) -> list[int]:
    """The rows of each chunk. Only one of fewer words may have fewer groups: that is how C tells."""
    chunks = [min(chunk_rows, rows - row) for row in range(0, rows, chunk_rows)]
    if places > 1 and len(chunks) > 1 and not last_words:
        chunks[-1] = chunk_rows
    return chunks


def _dense_rows(program, layer):
    source, kernel = layer.source, layer.kernel
    rows = kernel.T.reshape(kernel.shape[1], source.pixels, source.channels)
    words, outputs = source.pixels * source.words, kernel.shape[1]
    made = layer.made(program)
    if source.planes == 2 and layer.digits == 1:
        name, table = "gxnor_dense_sums", planes.pack(rows, 2)
        arguments = [source.place, words, "{name}_weights", outputs, made.place]
    else:
        name, table = "gxnor_dense_codes_sums", planes.weight_rows(rows)
        arguments = [source.place, source.planes, words, "{name}_weights", layer.digits, outputs, made.place]
    tables = [Table("weights", "uint32_t", table)]
    return program.call("dense", name, arguments, made, source, tables, layer.note)


def conv(program: Program, layer: Layer) -> Value:
    """Appends a Conv2D."""
    op, source = layer.node.op, layer.source
    height, width, _, filters = op.kernel.shape
    if op.groups == source.channels == filters and layer.step is not None:
        return _depthwise(program, layer)
    column = height * source.channels
    span = (width - 1) * op.dilation[1] + 1
    strip = tiles.strip(
        layer.result.shape[1], op.strides[1], span, column, program.lanes, program.places
    )
    if not strip or _many_groups(program, op):
        return _conv_rows(program, layer)
    columns = (strip - 1) * op.strides[1] + span
    run, count = groups.run(column, program.places), tiles.tile_count(filters, program.lanes)
    rows, room = spread(op).transpose(1, 0, 2, 3).reshape(-1, filters), columns * run
    table = tiles.weight_tiles(rows, program.lanes, program.places, [[column] * width])
    shape = [
        layer_window(layer),
        *(source.words, source.channels, source.planes, layer.levels),
        *(strip, room, columns, run, width * run + 1),
        *(layer.digits, count, filters, layer.bits),
    ]
    tables = [Table("shape", "gxnor_conv_tiles", struct(shape)), _weights(table)]
    lists = program.places * (room + 2 * columns + 2)
    pixels = strip if layer.levels > 1 else 1  # that are counted at once
    return _counted(program, layer, "conv", tables, -(-lists // 2), count, pixels)


def spread(op) -> np.ndarray:
    """The kernel without groups: 0 for the channels of other groups."""
    parts = np.split(op.kernel, op.groups, axis=3)
    size = op.kernel.shape[2]
    wide = [
        np.pad(part, [(0, 0), (0, 0), (n * size, (op.groups - 1 - n) * size), (0, 0)])
        for n, part in enumerate(parts)
    ]
    return np.concatenate(wide, axis=3)


def _many_groups(program, op) -> bool:
    """Whether a kernel without groups would take more than twice the flash of one with them."""
    height, width, inputs, filters = op.kernel.shape
    rows = height * width * inputs * op.groups
    tile_bytes = rows * tiles.tile_count(filters, program.lanes) * program.lanes // 4
    words = height * width * filters * planes.words_for(inputs)  # of a pixel, at least
    return op.groups > 1 and tile_bytes > 2 * 8 * words


def _counted(program, layer, kind, tables, list_words, count, pixels=1):
    """A layer in tiles with its sums, its ternary step or its step of many states."""
    bits = layer.bits
    lists = program.temporary(LISTS, list_words)
    counters = program.temporary(LANES, -(-pixels * count * bits * program.lanes // 32))
    ramp = layer.ramp(bits)
    if ramp is not None:
        rest = [program.temporary("uint32_t *", ramp.rest_bits + bits)]
        tables = [*tables, *lines(ramp, bits)]
    made = layer.made(program)
    before = ["&{name}_shape", layer.source.place, _table("weights", program)]
    steps, after = _table("thresholds", program), [lists, counters, made.place]
    if layer.step is None:
        name, arguments = f"gxnor_{kind}_tiles_sums", [*before, *after]
    elif ramp is not None:
        name, arguments = f"gxnor_{kind}_ramp", [*before, *RAMP, lists, counters, *rest, made.place]
    elif layer.is_ternary:
        limits = tiles.ternary_tiles(layer.steps, bits, program.lanes)
        name, arguments = f"gxnor_{kind}_step", [*before, steps, *after]
    else:
        limits = tiles.threshold_tiles(layer.steps, layer.low, bits, program.lanes)
        name = f"gxnor_{kind}_steps"
        arguments = [*before, steps, layer.steps.shape[1], layer.low, *after, made.planes]
    if layer.step is not None and ramp is None:
        tables = [*tables, Table("thresholds", _lane_type(limits), limits)]
    return program.call(kind, name, arguments, made, layer.source, tables, layer.note)


def lines(ramp, bits) -> list[Table]:
    """The tables of a ReLU in steps, for counters of `bits` planes."""
    table = Table("lines", "uint32_t", ramp.table(bits), rom=False)  # added as counters in RAM are
    return [Table("ramp", "gxnor_ramp", struct(ramp.members(bits))), table]


def _weights(table):
    return Table("weights", _lane_type(table), table)


def _lane_type(table):
    return "uint8_t" if table.dtype == np.uint8 else "uint32_t"


def _table(suffix, program):
    """A table of lanes as an argument: wider lanes than a word are read through a cast."""
    cast = "(const gxnor_lanes *)" if program.lanes > 32 else ""
    return f"{cast}{{name}}_{suffix}"


def layer_window(layer: Layer) -> list[int]:
    """The members of its gxnor_window."""
    op = layer.node.op
    shape = layer.source.type.shape
    return window(shape, op.kernel.shape[:2], op.strides, op.dilation, op.padding)


def _depthwise(program, layer):
    op, source = layer.node.op, layer.source
    kernel = op.kernel.reshape(-1, source.channels)
    table = planes.depthwise_weights(kernel)
    short = source.planes == 2 and layer.digits == 1 and op.dilation == (1, 1) and len(kernel) <= _MOST_PLACES
    if short and layer.is_ternary:
        return _depthwise_trits(program, layer, table)
    bits = planes.bits_for(layer.result.low.min(), layer.result.high.max())
    bits = max(bits, source.planes + layer.digits)
    shape = [layer_window(layer), source.planes, source.words, layer.digits, bits]
    tables = [Table("shape", "gxnor_depthwise_layer", struct(shape)), Table("weights", "uint32_t", table)]
    ramp = layer.ramp(bits)
    counters = program.temporary("uint32_t *", bits + (ramp.rest_bits if ramp else 0))
    made = layer.made(program)
    if ramp is not None:
        arguments = ["&{name}_shape", source.place, "{name}_weights", *RAMP, counters, made.place]
        tables += lines(ramp, bits)
        return program.call("depthwise", "gxnor_depthwise_ramp", arguments, made, source, tables, layer.note)
    before = ["&{name}_shape", source.place, "{name}_weights"]
    if layer.keeps_sums:
        arguments = [*before, counters, made.place, made.planes]
        return program.call("depthwise", "gxnor_depthwise_codes", arguments, made, source, tables, layer.note)
    before.append("{name}_thresholds")
    if layer.is_ternary:
        limits = planes.step_table(layer.steps, bits)
        name, arguments = "gxnor_depthwise_step", [*before, counters, made.place]
    else:
        limits = planes.steps_table(layer.steps, layer.low, bits)
        name = "gxnor_depthwise_steps"
        arguments = [*before, layer.steps.shape[1], layer.low, counters, made.place, made.planes]
    tables.append(Table("thresholds", "uint32_t", limits))
    return program.call("depthwise", name, arguments, made, source, tables, layer.note)


def _depthwise_trits(program, layer, table):
    source, made = layer.source, layer.made(program)
    tables = [
        Table("window", "gxnor_window", struct(layer_window(layer))),
        Table("weights", "uint32_t", table),
        Table("thresholds", "uint32_t", planes.step_table(layer.steps, _TRIT_BITS)),
    ]
    name = "gxnor_depthwise_trits_step"
    arguments = ["&{name}_window", source.place, source.words]
    arguments += ["{name}_weights", "{name}_thresholds", made.place]
    return program.call("depthwise", name, arguments, made, source, tables, layer.note)


def _conv_rows(program, layer):
    """One product a filter and pixel: any groups, planes and digits."""
    op, source = layer.node.op, layer.source
    table, take, row = _grouped_rows(op.kernel, op.groups)
    filters = op.kernel.shape[3]
    shape = [
        layer_window(layer),
        *(source.words * source.planes, take * source.planes, row),
        *(op.kernel.shape[2], filters // op.groups, filters),
    ]
    patch = program.temporary("uint32_t *", row * source.planes)
    made = layer.made(program)
    tables = [Table("shape", "gxnor_conv", struct(shape)), Table("weights", "uint32_t", table)]
    before = ["&{name}_shape", source.place, source.planes, "{name}_weights", layer.digits]
    if layer.step is None:
        name, arguments = "gxnor_conv_codes_sums", [*before, patch, made.place]
    elif (ramp := layer.ramp(layer.bits)) is not None:
        sums = program.temporary("int32_t *", filters)
        rest = program.temporary("uint32_t *", ramp.rest_bits + SQUARE)
        tables += lines(ramp, layer.bits)
        name, arguments = "gxnor_conv_codes_ramp", [*before, *RAMP, patch, sums, rest, made.place]
    else:
        limits = layer.steps.astype(np.int32)
        tables.append(Table("thresholds", "int32_t", limits))
        sums = program.temporary("int32_t *", filters)
        name = "gxnor_conv_codes_step"
        steps = ["{name}_thresholds", limits.shape[1], layer.low]
        arguments = [*before, *steps, patch, sums, made.place, made.planes]
    return program.call("conv", name, arguments, made, source, tables, layer.note)


def _grouped_rows(kernel, groups):
    """(rows of weights for `gxnor_conv_codes_sums`, words a group takes of a pixel, words of a row).

    A group reads whole words from the one its first channel lies in, or the last ones of the
    pixel; weights of other groups' channels in them are 0.
    """
    height, width, inputs, filters = kernel.shape
    total = planes.words_for(inputs * groups)
    firsts = [n * inputs // planes.LANES for n in range(groups)]
    take = max(planes.words_for((n + 1) * inputs) - first for n, first in enumerate(firsts))
    wide = np.zeros((filters, height * width, take * planes.LANES), np.int64)
    for group, first in enumerate(firsts):
        at = group * inputs - min(first, total - take) * planes.LANES
        members = slice(group * filters // groups, (group + 1) * filters // groups)
        part = kernel[..., members].reshape(height * width, inputs, -1)
        wide[members, :, at : at + inputs] = part.transpose(2, 0, 1)
    return planes.weight_rows(wide.reshape(filters, -1)), take, height * width * take
