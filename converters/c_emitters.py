"""Graph -> the straight line of runtime calls that computes it.

The canonical graph is walked in order; a dict from op class to emitter is the whole registry. A
kernel is emitted with the threshold that follows it; the float end of every output comes last.
"""

import dataclasses
import math

from keras_gxnor import graph as g
from keras_gxnor.converters import c_bytes, c_first, c_kernels, planes, relus
from keras_gxnor.converters.c_calls import (
    Place,
    Program,
    Table,
    Value,
    input_bytes,
    struct,
    window,
    window_note,
)
from keras_gxnor.errors import UnsupportedGraphError

_KERNELS = {g.Dense: c_kernels.dense, g.Conv2D: c_kernels.conv}
_FLOATS = (g.Affine, g.Divide)
_BYTES = ("bytes", "u8")


def program(graph: g.Graph, lanes: int = 32, places: int = 1) -> Program:
    """The calls of a canonical graph, in order.

    Args:
        graph: As `relus.canonical` makes it.
        lanes: Output channels that are counted side by side.
        places: Rows in a group of weights, see `groups.py`.
    """
    return _Walk(graph, lanes, places).run()


class _Walk:
    def __init__(self, graph, lanes, places):
        self.graph, self.program = graph, Program(graph, lanes, places)
        self.types = self.program.types
        self.values: dict[int, Value] = {}
        # {Quantize: (its kernel, the float operations between)}
        quantized = [i for i, node in enumerate(graph.nodes) if isinstance(node.op, g.Quantize)]
        self.relus = {index: relus.kernel_of(graph, index) for index in quantized}
        self.with_relu = {kernel for kernel, _ in self.relus.values()}
        self.sliced: dict[tuple, Value] = {}  # (buffer, channels) -> the bytes in it as codes
        self.octets: dict[int, Value] = {}  # buffer -> the codes in it as bytes

    def run(self):
        for index, node in enumerate(self.graph.nodes):
            if self.types[index].kind == "float":
                continue  # at the end, for each output anew
            made = _EMITTERS[type(node.op)](self, index, node)
            if made is not None:
                self.values[index] = made
        for number, index in enumerate(self.graph.outputs):
            self.output(number, index)
        return self.program

    def source(self, index, place=0) -> Value:
        """What node `index` reads, as codes or sums."""
        read = self.graph.nodes[index].inputs[place]
        value = self.values[read]
        return self.as_codes(read, value) if value.form in _BYTES else value

    def as_codes(self, read, value) -> Value:
        """Bytes as codes, converted once."""
        key = value.buffer, value.channels
        if key not in self.sliced:
            flip, zero = c_bytes.byte_form(self.program, value)
            made = self.program.codes(self.graph.nodes[read], value.type, value.channels)
            by_turning = flip == zero  # the value mod 256
            name = "gxnor_slice_u8" if by_turning else "gxnor_slice"
            how = [int(flip > 0)] if by_turning else [flip, zero]
            arguments = [value.place, *how, made.channels, made.pixels, made.place, made.planes]
            self.sliced[key] = self.program.call(
                "slice", name, arguments, made, value, note=", bytes to codes"
            )
        return dataclasses.replace(self.sliced[key], type=value.type, node=value.node)

    def as_bytes(self, value) -> Value:
        """Codes as bytes, converted once."""
        if value.form in _BYTES:
            return value
        if value.buffer not in self.octets:
            node = next(node for node in self.graph.nodes if node.name == value.node)
            made = self.program.octets(node, value.type)
            arguments = [value.place, value.planes, value.channels, value.pixels, made.place]
            self.octets[value.buffer] = self.program.call(
                "bytes", "gxnor_unslice_u8", arguments, made, value, note=", codes to bytes"
            )
        channels = value.type.shape[-1]
        return dataclasses.replace(
            self.octets[value.buffer],
            type=value.type,
            node=value.node,
            pixels=value.size // channels,
            channels=channels,
        )

    def image(self, index) -> Value:
        """What node `index` reads, packed as its shape says."""
        return _packed(self, self.source(index), self.graph.nodes[index].inputs[0])

    def output(self, number, index):
        """Floats: the sums or codes before them, then what is left of the way, in place."""
        chain = []
        while self.types[index].kind == "float":
            chain.append(index)
            index = self.graph.nodes[index].inputs[0]
        value = self.values[index]
        if value.form in _BYTES:
            value = self.as_codes(index, value)
        if value.form == "codes":
            value = _unsliced(self, index, value)
        _floats(self, number, chain[::-1], value)


def _floats(walk, number, chain, value):
    program, logits = walk.program, Place(-1 - number, "float *")
    nodes = walk.graph.nodes
    steps = [i for i in chain if isinstance(nodes[i].op, _FLOATS)]
    kind = g.TensorType(value.type.shape, "float", value.type.low, value.type.high)
    made = Value("float", logits.buffer, kind, value.node, 1, value.channels)
    if steps and isinstance(nodes[steps[0]].op, g.Divide):
        divided = steps.pop(0)
        made = _made(made, walk, divided)
        arguments = [value.place, value.size, nodes[divided].op.divisor, logits]
        program.call("divide", "gxnor_divide", arguments, made, value, note=", average")
    else:
        arguments = [value.place, value.size, logits]
        program.call("float", "gxnor_to_float", arguments, made, value, note=", integers to float")
    for index in steps:
        op, source, made = nodes[index].op, made, _made(made, walk, index)
        tables = [Table("scale", "float", op.scale), Table("offset", "float", op.offset)]
        size = op.scale.size
        arguments = [logits, "{name}_scale", "{name}_offset", size, source.size // size]
        program.call("affine", "gxnor_affine", arguments, made, source, tables, ", scale and offset")


def _made(source, walk, index):
    node = walk.graph.nodes[index]
    return dataclasses.replace(source, type=walk.types[index], node=node.name)


def _input(walk, index, node):
    shape = node.op.shape
    buffer = walk.program.buffer(-(-math.prod(shape) // 4))
    return Value("bytes", buffer, walk.types[index], node.name, math.prod(shape[:-1]), shape[-1])


def _kernel(walk, index, node):
    readers = walk.graph.consumers(index)
    if index in walk.with_relu:
        return None  # made with its Quantize
    if len(readers) == 1 and isinstance(walk.graph.nodes[readers[0]].op, g.Threshold):
        return None  # made with its threshold
    return _kernel_call(walk, index, None)


def _threshold(walk, index, node):
    return _kernel_call(walk, node.inputs[0], node)


def _quantize(walk, index, node):
    kernel, chain = walk.relus[index]
    low, high = walk.types[kernel].low, walk.types[kernel].high
    # Sums that there are not show where lines go, and cost nothing.
    least, most = low - (high - low), high + (high - low)
    return _kernel_call(walk, kernel, node, (relus.steps(chain, node.op, least, most), least, most))


def _kernel_call(walk, index, step, limits=None):
    node = walk.graph.nodes[index]
    raw = walk.values[node.inputs[0]]
    layer = c_kernels.Layer(node, raw, walk.types[index], step, limits)
    made = c_first.first(walk.program, layer) if raw.form == "bytes" else None
    made = made or c_bytes.kernel(walk.program, layer, walk.as_bytes)
    if made is not None:
        return made
    source = walk.image(index) if isinstance(node.op, g.Conv2D) else walk.source(index)
    layer = c_kernels.Layer(node, source, walk.types[index], step, limits)
    return _KERNELS[type(node.op)](walk.program, layer)


def _pool_window(shape, op) -> tuple[list[int], list[Table]]:
    """The members of a pool's gxnor_window, and the table of it."""
    place = window(shape, op.pool_size, op.strides, (1, 1), op.padding)
    return place, [Table("window", "gxnor_window", struct(place))]


def _maxpool(walk, index, node):
    op, value = node.op, walk.values[node.inputs[0]]
    if value.form != "u8":
        value = walk.source(index)
    if value.form == "codes":
        value = walk.image(index)
    shape = walk.types[node.inputs[0]].shape
    place, tables = _pool_window(shape, op)
    if value.form == "sums":
        made = walk.program.sums(node, walk.types[index])
        name, arguments = "gxnor_maxpool_sums", [value.place, shape[-1], made.place]
    elif value.form == "u8":
        made = walk.program.octets(node, walk.types[index])
        name, arguments = "gxnor_maxpool_u8", [value.place, shape[-1], made.place]
    else:
        made = walk.program.codes(node, walk.types[index])
        if value.planes == 2:
            name, arguments = "gxnor_maxpool", [value.place, value.words, made.place]
        else:
            name, arguments = "gxnor_maxpool_codes", [value.place, value.planes, value.words, made.place]
    if not any(place[-2:]):
        walk.program.shared.append((made.buffer, value.buffer))
    arguments = ["&{name}_window", *arguments]
    return walk.program.call("pool", name, arguments, made, value, tables, f"{window_note(op)}, largest")


def _sumpool(walk, index, node):
    op, value = node.op, walk.image(index)
    _, tables = _pool_window(walk.types[node.inputs[0]].shape, op)
    made = walk.program.codes(node, walk.types[index])
    arguments = ["&{name}_window", value.place, value.planes, value.words, made.place, made.planes]
    return walk.program.call(
        "pool", "gxnor_sumpool", arguments, made, value, tables, f"{window_note(op)}, sum"
    )


def _pad(walk, index, node):
    value, made = walk.image(index), walk.program.codes(node, walk.types[index])
    (top, _), (left, _) = node.op.padding
    height, width, _ = walk.types[node.inputs[0]].shape
    if made.planes != value.planes:  # zeros widen the bounds
        value = _widened(walk, value, made.planes)
    group = value.words * value.planes
    arguments = [value.place, height, width, top, left, group, made.place, *made.type.shape[:2]]
    return walk.program.call("pad", "gxnor_pad", arguments, made, value, note=", zeros around")


def _widened(walk, value, count):
    buffer = walk.program.buffer(value.pixels * value.words * count)
    return _channels(walk, value, dataclasses.replace(value, buffer=buffer, planes=count), 0)


def _channels(walk, value, made, start, note=", more planes", whole=True):
    arguments = [
        *(value.place, value.planes, value.channels, made.place, made.planes, made.words, start),
        value.pixels,
    ]
    return walk.program.call("copy", "gxnor_channels", arguments, made, value, note=note, whole=whole)


def _add(walk, index, node):
    kind = walk.types[index]
    parts = [_packed(walk, walk.source(index, i), read) for i, read in enumerate(node.inputs)]
    total = parts[0]
    low, high = total.type.low, total.type.high
    for count, part in enumerate(parts[1:], 2):
        low, high = low + part.type.low, high + part.type.high
        made = walk.program.codes(node, g.TensorType(kind.shape, "code", low, high))
        groups = made.pixels * made.words
        arguments = [total.place, total.planes, part.place, part.planes, made.place, made.planes, groups]
        whole = count == len(parts)
        total = walk.program.call("add", "gxnor_add", arguments, made, total, note=", sum", whole=whole)
    return total


def _concat(walk, index, node):
    made, start = walk.program.codes(node, walk.types[index]), 0
    for place, read in enumerate(node.inputs):
        value = _packed(walk, walk.source(index, place), read)
        note = f", channels {start} to {start + value.channels - 1}"
        start += value.channels
        whole = start == made.channels
        _channels(walk, value, made, start - value.channels, note, whole)
    return made


def _sign(walk, index, node):
    value, made = walk.image(index), walk.program.codes(node, walk.types[index])
    mask = planes.signs(node.op.signs)[..., 1]
    arguments = [
        *(value.place, value.planes, "{name}_mask", made.place, made.planes),
        *(value.words, value.pixels),
    ]
    tables = [Table("mask", "uint32_t", mask)]
    note = ", signs of some channels changed"
    return walk.program.call("sign", "gxnor_sign", arguments, made, value, tables, note)


def _lookup(walk, index, node):
    value, made = walk.values[node.inputs[0]], walk.program.codes(node, walk.types[index])
    if value.form != "bytes":
        raise UnsupportedGraphError(
            f"Node `{node.name}` must look up codes of an input in C. Received: what `{value.node}` makes"
        )
    flip, zero = input_bytes(walk.graph.nodes[value.buffer].op.spec)
    table = planes.pack(node.op.table, made.planes)
    group = made.words * made.planes
    arguments = [value.place, flip, zero, "{name}_weights", len(table), group, made.place, value.size]
    tables = [Table("weights", "uint32_t", table)]
    note = f", rows of {len(table)}"
    return walk.program.call("lookup", "gxnor_lookup", arguments, made, value, tables, note)


def _shape(walk, index, node):
    """The same values, which stay where they are."""
    value, kind = walk.values[node.inputs[0]], walk.types[index]
    made = dataclasses.replace(value, type=kind, node=node.name)
    if value.form in _BYTES:
        made = dataclasses.replace(made, pixels=math.prod(kind.shape[:-1]), channels=kind.shape[-1])
    return made


def _packed(walk, value, read):
    """Codes packed by the last axis of the shape of node `read`; moved if they are not."""
    channels = walk.types[read].shape[-1]
    if value.channels == channels or value.form != "codes":
        return value
    size = math.prod(value.type.shape)
    words = size // channels * planes.words_for(channels) * value.planes
    buffer = walk.program.buffer(words)
    made = dataclasses.replace(value, buffer=buffer, pixels=size // channels, channels=channels)
    arguments = [value.place, value.channels, made.place, channels, value.planes, size]
    return walk.program.call("reshape", "gxnor_reshape", arguments, made, value)


def _unsliced(walk, index, value):
    made = walk.program.sums(walk.graph.nodes[index], walk.types[index])
    arguments = [value.place, value.planes, value.channels, value.pixels, made.place]
    return walk.program.call("sums", "gxnor_unslice", arguments, made, value, note=", codes to integers")


_EMITTERS = {
    g.Input: _input,
    g.Dense: _kernel,
    g.Conv2D: _kernel,
    g.Threshold: _threshold,
    g.MaxPool2D: _maxpool,
    g.SumPool2D: _sumpool,
    g.Pad2D: _pad,
    g.Add: _add,
    g.Concat: _concat,
    g.Sign: _sign,
    g.Lookup: _lookup,
    g.Flatten: _shape,
    g.Reshape: _shape,
    g.Quantize: _quantize,
}
