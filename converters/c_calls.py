"""The parts of a generated program: a call of the runtime a layer, and its tables.

While a graph is turned into calls, the value on its way is in one of four forms:
`bytes` (codes of the input), `trits` (packed pairs {pos, neg}), `sums` (int32) or `float`.
"""

import dataclasses

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.converters import memory
from keras_gxnor.converters.names import comment


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A constant of a call: an array, or the initializer text of a struct."""

    suffix: str
    ctype: str
    values: np.ndarray | str

    @property
    def nbytes(self) -> int:
        """Bytes in flash; a struct counts 4 for a member (its two bytes fill up to 4)."""
        if isinstance(self.values, str):
            members = self.values.count(",") + 1
            return 4 * (members - (self.ctype == "gxnor_conv"))
        return self.values.nbytes


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One layer of the generated program.

    kernel: The runtime function. arguments: C text in which {source}, {out}, {temp} stand
    for places in the scratch and {name} for the prefix of the tables.
    node: The graph node whose values it leaves. size: how many words (or bytes, or floats)
    that is. channels: of a packed pixel it leaves. reads, writes: forms. stage: what it
    needs of the scratch.
    """

    symbol: str
    note: str
    kernel: str
    arguments: str
    tables: tuple[Table, ...]
    node: str
    reads: str
    writes: str
    size: int
    channels: int
    stage: memory.Stage


@dataclasses.dataclass
class Walk:
    """The value on its way: its form, and how it lies in memory."""

    calls: list[Call]
    form: str
    channels: int  # of a packed pixel
    flip: int  # what bytes are XOR-ed with when read: 0x80 makes int8 uint8
    zero: int  # the byte that means 0, after flipping


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """A node, the types of what it reads and makes, and the Threshold fused to it, if any."""

    node: g.Node
    source: g.TensorType
    result: g.TensorType
    step: g.Node | None


def input_bytes(spec: g.InputSpec) -> tuple[int, int]:
    """(flip, zero): codes are read as bytes `q ^ flip`, 0..255, and `zero` is the one that means 0.

    Example:

    >>> input_bytes(g.InputSpec("int8", 1.0, -3))
    (128, 125)
    """
    return (0x80, spec.zero_point + 128) if spec.dtype == "int8" else (0, spec.zero_point)


def append(walk, layer, kind, kernel, arguments, tables=(), note="", **fields):
    """Appends a call and makes its form the form of the value."""
    node = layer.node
    symbol = f"{kind}{len(walk.calls) + 1}"
    shapes = f"{_shape(layer.source.shape)} -> {_shape(layer.result.shape)}"
    call = Call(
        symbol=symbol,
        note=f'{symbol:<9} {shapes}{note} ("{comment(node.name)}")',
        kernel=kernel,
        arguments=arguments,
        tables=tuple(tables),
        reads=walk.form,
        **{"node": node.name, "writes": walk.form, "channels": walk.channels, **fields},
    )
    walk.calls.append(call)
    walk.form, walk.channels = call.writes, call.channels


def _shape(shape) -> str:
    return "x".join(map(str, shape))


def window_note(op) -> str:
    """What to say of a window in the header: its size, and whatever is unusual."""
    if isinstance(op, g.Dense):
        return ""
    conv = isinstance(op, g.Conv2D)
    size = op.kernel.shape[:2] if conv else op.pool_size
    words = [f"{_shape(size)} {op.padding}"]
    if op.strides != ((1, 1) if conv else tuple(size)):
        words.append(f"strides {_shape(op.strides)}")
    if conv and op.dilation != (1, 1):
        words.append(f"dilation {_shape(op.dilation)}")
    if conv and op.groups > 1:
        words.append(f"{op.groups} groups")
    return "".join(f", {word}" for word in words)


def op_window(layer, size, strides, dilation, padding) -> str:
    """The initializer of the gxnor_window that slides over a layer's input."""
    shape = layer.source.shape[:2]
    spans = [
        g.window_output(shape[a], size[a], strides[a], dilation[a], padding) for a in (0, 1)
    ]
    return window(shape, size, strides, dilation, *zip(*spans))


def window(in_shape, size, strides, dilation, out_shape, pads=(0, 0)) -> str:
    """The initializer of a gxnor_window."""
    numbers = [*in_shape, *out_shape, *size, *strides, *dilation, *pads]
    return f"{{{', '.join(map(str, numbers))}}}"
