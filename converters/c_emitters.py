"""Graph -> the straight line of runtime calls that computes it.

The graph is walked from the input to its one output; a dict from op class to emitter
is the whole registry.
"""

import math

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.converters import memory
from keras_gxnor.converters.c_calls import (
    Call,
    Layer,
    Table,
    Walk,
    append,
    input_bytes,
    op_window,
    window,
    window_note,
)
from keras_gxnor.errors import UnsupportedGraphError
from keras_gxnor.packing import words_for


def calls(graph: g.Graph) -> list[Call]:
    """The calls of a canonical graph, in order.

    Raises:
        UnsupportedGraphError: naming the node that ternary C cannot express: several
            outputs, a space of more than three states, kernel codes beyond -1..1, a
            `Sign` of the raw input, or codes as output.
    """
    types, chain = graph.check(), _chain(graph)
    flip, zero = input_bytes(graph.input.spec)
    walk = Walk([], "bytes", graph.input.shape[-1], flip, zero)
    for place, index in enumerate(chain[1:], 1):
        node = graph.nodes[index]
        following = graph.nodes[chain[place + 1]] if place + 1 < len(chain) else None
        step = following if following and isinstance(following.op, g.Threshold) else None
        if type(node.op) not in _EMITTERS or len(node.inputs) > 1:
            raise UnsupportedGraphError(
                f"Node `{node.name}`: the C back end has no kernel for it yet; target=\"tflite\" has. "
                f"Received: {type(node.op).__name__}"
            )
        layer = Layer(node, types[node.inputs[0]], types[index], step)
        _EMITTERS[type(node.op)](walk, layer)
    last = graph.nodes[chain[-1]]
    if walk.form == "sums":
        _to_float(walk, last, types[chain[-1]].shape)
    if walk.form != "float":
        raise UnsupportedGraphError(
            f"Node `{last.name}`: C writes logits, so the last layer must be a Dense or "
            "Conv2D without an activation. Received: codes as output"
        )
    return walk.calls


def _chain(graph):
    """Indices from the input to the one output; nodes that do not lead there are left out."""
    if len(graph.outputs) != 1:
        names = [graph.nodes[i].name for i in graph.outputs]
        raise UnsupportedGraphError(
            f"C has one output; export the others as graphs of their own. Received: {names}"
        )
    if len(graph.inputs) != 1:
        raise UnsupportedGraphError(f"C has one input; use target=\"tflite\". Received: {len(graph.inputs)}")
    chain = [graph.outputs[0]]
    while graph.nodes[chain[-1]].inputs:
        chain.append(graph.nodes[chain[-1]].inputs[0])
    return chain[::-1]


def _trits(kernel, node):
    """The kernel, refused if a code is beyond -1..1."""
    if np.abs(kernel).max() > 1:
        raise UnsupportedGraphError(
            f"Node `{node.name}`: the C kernels take ternary or binary weights (-1, 0, 1). "
            f"Received: codes {kernel.min()}..{kernel.max()}"
        )
    return kernel


def _kernel_call(walk, layer, kind, kernel, before, after, weights, temporary=0, extra=()):
    """A Dense or Conv2D with its sums or, if a Threshold follows, the packed trits.

    kernel: trits of shape (..., outputs). before, after: C arguments around the tables.
    """
    raw = walk.form == "bytes"
    shift = walk.zero * kernel.reshape(-1, kernel.shape[-1]).astype(np.int64).sum(0)
    tables = [*extra, Table("weights", "uint32_t", weights)]
    middle = "{name}_weights"
    if layer.step is not None:
        limits = _thresholds(layer, shift if raw else 0)
        tables.append(Table("thresholds", "int32_t", limits))
        middle += ", {name}_thresholds"
    elif raw:
        tables.append(Table("starts", "int32_t", (-shift).astype(np.int32)))
        middle += ", {name}_starts"
    shape = layer.result.shape
    pixels, outputs = math.prod(shape[:-1]), shape[-1]
    size = 2 * words_for(outputs) * pixels if layer.step is not None else pixels * outputs
    append(
        walk,
        layer,
        kind,
        f"gxnor_{kind}{'_u8' if raw else ''}_{'sums' if layer.step is None else 'step'}",
        f"{before}, {middle}, {after}",
        tables,
        f"{window_note(layer.node.op)}, |sum| <= {_bound(walk, layer, kernel)}"
        + (", ternary step" if layer.step is not None else ""),
        node=(layer.step or layer.node).name,
        writes="sums" if layer.step is None else "trits",
        size=size,
        channels=outputs,
        stage=memory.Stage(size, temporary),
    )


def _bound(walk, layer, kernel) -> int:
    """Largest |sum| on the way: of raw bytes before the zero point is taken off, or final."""
    most = int(max(layer.result.high.max(), -layer.result.low.min()))
    if walk.form == "bytes":
        flat = kernel.reshape(-1, kernel.shape[-1])
        most = max(most, 255 * int(max((flat > 0).sum(0).max(), (flat < 0).sum(0).max())))
    return most


def _thresholds(layer, shift) -> np.ndarray:
    """int32 (channels, 2): the sums from which a channel is not -1, and is +1.

    Clipped to the range of the sums, which changes no result; binary is ternary without
    a gap. `shift` is added: what the kernel's raw sums exceed the true sums by.
    """
    op = layer.step.op
    if op.space.order > 1:
        raise UnsupportedGraphError(
            f"Node `{layer.step.name}`: the C kernels make ternary or binary activations. "
            f"Received: {op.space.num_states} states; train it with DiscreteActivation('ternary')"
        )
    low, high = layer.result.low[:, None], layer.result.high[:, None]
    limits = np.clip(op.thresholds[:, [0, -1]].astype(np.int64), low, high + 1)
    return (limits + np.reshape(shift, (-1, 1))).astype(np.int32)


def _dense(walk, layer):
    kernel = _trits(layer.node.op.kernel, layer.node)
    inputs, outputs = kernel.shape
    if walk.form == "bytes" and walk.flip:
        # int8 codes must be flipped on the way: a 1x1 convolution of one pixel does that.
        place = window((1, 1), (1, 1), (1, 1), (1, 1), (1, 1))
        _byte_conv(walk, layer, kernel[None, None], 1, place)
        return
    if walk.form == "bytes":
        size, rows = inputs, memory.byte_rows(kernel)
    else:
        rows = memory.dense_rows(kernel, walk.channels)
        size = rows.shape[1] // 2
    after = f"{outputs}, {{out}}"
    _kernel_call(walk, layer, "dense", kernel, f"{{source}}, {size}", after, rows)


def _conv(walk, layer):
    op = layer.node.op
    kernel = _trits(op.kernel, layer.node)
    place = op_window(layer, kernel.shape[:2], op.strides, op.dilation, op.padding)
    if walk.form == "bytes":
        _byte_conv(walk, layer, kernel, op.groups, place)
        return
    rows = memory.conv_rows(kernel, op.groups)
    step = 2 * words_for(walk.channels)
    take = 2 * memory.group_span(walk.channels, op.groups)
    _conv_call(walk, layer, kernel, op.groups, place, (step, take, rows.shape[1] // 2), rows)


def _byte_conv(walk, layer, kernel, groups, place):
    height, width, take, _ = kernel.shape
    lengths = (take * groups, take, height * width * take)
    _conv_call(walk, layer, kernel, groups, place, lengths, memory.byte_rows(kernel))


def _conv_call(walk, layer, kernel, groups, place, lengths, rows):
    """lengths: distance of pixels, what a group takes of one, and a row of weights."""
    take, filters = kernel.shape[2:]
    raw = walk.form == "bytes"
    flip, zero = (walk.flip, walk.zero) if raw else (0, 0)
    numbers = [*lengths, take, filters // groups, filters, flip, zero]
    text = f"{{{place}, {', '.join(map(str, numbers))}}}"
    room = -(-lengths[2] // 4) if raw else 2 * lengths[2]
    extra = (Table("shape", "gxnor_conv", text),)
    before, after = "&{name}_shape, {source}", "{temp}, {out}"
    _kernel_call(walk, layer, "conv", kernel, before, after, rows, room, extra)


def _maxpool(walk, layer):
    op, shape, source = layer.node.op, layer.result.shape, layer.source.shape
    place = op_window(layer, op.pool_size, op.strides, (1, 1), op.padding)
    pads = [
        g.window_output(source[a], op.pool_size[a], op.strides[a], 1, op.padding)[1] for a in (0, 1)
    ]
    channels, size = shape[2], math.prod(shape)
    kernel, arguments = {
        "bytes": ("gxnor_maxpool_u8", f"{{source}}, {walk.flip}, {channels}, {{out}}"),
        "trits": ("gxnor_maxpool", f"{{source}}, {words_for(channels)}, {{out}}"),
        "sums": ("gxnor_maxpool_sums", f"{{source}}, {channels}, {{out}}"),
    }[walk.form]
    words = size
    if walk.form == "bytes":
        words, walk.flip = -(-size // 4), 0
    elif walk.form == "trits":
        words = size = 2 * words_for(channels) * shape[0] * shape[1]
    overwrites = "never" if any(pads) or walk.form == "bytes" else "may"
    append(
        walk,
        layer,
        "pool",
        kernel,
        f"&{{name}}_window, {arguments}",
        [Table("window", "gxnor_window", place)],
        f"{window_note(op)}, largest",
        size=size,
        stage=memory.Stage(words, overwrites=overwrites),
    )


def _sign(walk, layer):
    if walk.form != "trits":
        raise UnsupportedGraphError(
            f"Node `{layer.node.name}`: the C kernels change the sign of ternary or binary "
            "activations only. Received: the input of the network"
        )
    signs = layer.node.op.signs.reshape(-1, walk.channels)
    mask = memory.pairs(np.where(signs < 0, 1, 0))[:, ::2].reshape(-1)
    pixels = math.prod(layer.source.shape) // signs.size
    size = 2 * mask.size * pixels
    append(
        walk,
        layer,
        "sign",
        "gxnor_sign",
        f"{{out}}, {{name}}_mask, {mask.size}, {pixels}",
        [Table("mask", "uint32_t", mask)],
        ", signs of some channels changed",
        size=size,
        stage=memory.Stage(size, overwrites="must"),
    )


def _fused(walk, layer):
    """A Threshold belongs to the kernel before it, a Flatten to the weights after it."""


def _to_float(walk, node, shape):
    size = math.prod(shape)
    kind = g.TensorType(shape, "float", np.zeros(0), np.zeros(0))
    append(
        walk,
        Layer(node, kind, kind, None),
        "float",
        "gxnor_to_float",
        f"{{source}}, {size}, logits",
        note=", sums to float",
        writes="float",
        size=size,
        stage=memory.Stage(0),
    )


def _affine(walk, layer):
    op, size = layer.node.op, math.prod(layer.source.shape)
    if walk.form == "sums":
        _to_float(walk, layer.node, layer.source.shape)
    append(
        walk,
        layer,
        "affine",
        "gxnor_affine",
        f"logits, {{name}}_scale, {{name}}_offset, {op.scale.size}, {size // op.scale.size}",
        [Table("scale", "float", op.scale), Table("offset", "float", op.offset)],
        ", scale and offset",
        size=size,
        stage=memory.Stage(0),
    )


_EMITTERS = {
    g.Dense: _dense,
    g.Conv2D: _conv,
    g.MaxPool2D: _maxpool,
    g.Threshold: _fused,
    g.Sign: _sign,
    g.Flatten: _fused,
    g.Affine: _affine,
}
