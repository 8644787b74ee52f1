"""The parts of a generated program: calls of the runtime, their tables, the values between them.

A value is in one of five forms: `bytes` (the input as the device feeds it), `u8` (codes of 8 bits, a
byte each), `codes` (bit planes, see `planes.py`), `sums` (int32) or `float`. A program is a straight line of
calls; its buffers get their places in the scratch from `memory.plan`.
"""

import dataclasses
import math

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.converters import memory, planes
from keras_gxnor.converters.names import comment

# The C type that a form is read and written as; places in the scratch are uint32_t *.
POINTERS = {
    "bytes": "const uint8_t *",
    "u8": "uint8_t *",
    "codes": "uint32_t *",
    "sums": "int32_t *",
    "float": "float *",
}
LISTS, LANES = "gxnor_entry *", "gxnor_lanes *"


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A constant of a call: an array, or the initializer text of a struct.

    rom: whether functions take it as a GXNOR_ROM pointer, which is all they can do with it then.
    """

    suffix: str
    ctype: str
    values: np.ndarray | str
    rom: bool = True

    @property
    def nbytes(self) -> int:
        """Bytes in flash; a struct counts 4 for a member."""
        if isinstance(self.values, str):
            return 4 * (self.values.count(",") + 1)
        return self.values.nbytes


@dataclasses.dataclass(frozen=True)
class Place:
    """An argument: a buffer of the program, as a C pointer type."""

    buffer: int
    pointer: str


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """What a node left: its form and layout, and the buffer it lies in.

    planes: of codes. pixels, channels: how codes are packed (a vector is one pixel); the shape
    of `type` may differ, as flattening moves nothing. node: whose values they are.
    """

    form: str
    buffer: int
    type: g.TensorType
    node: str
    pixels: int
    channels: int
    planes: int = 0

    @property
    def words(self) -> int:
        """Groups of 32 channels in a pixel."""
        return planes.words_for(self.channels)

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.type.shape)

    @property
    def place(self) -> Place:
        return Place(self.buffer, POINTERS[self.form])

    @property
    def fits_bytes(self) -> bool:
        """Whether all of its integers have a byte of their own, see `flip_zero`."""
        low, high = int(self.type.low.min()), int(self.type.high.max())
        return self.form == "bytes" or 0 <= low <= high < 256 or -128 <= low <= high < 128

    @property
    def flip_zero(self) -> tuple[int, int]:
        """(flip, zero) of the form `u8`: value = (byte ^ flip) - zero, as of `input_bytes`."""
        return (0x80, 0x80) if self.type.low.min() < 0 else (0, 0)


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One layer of the generated program.

    symbol: such as `"conv2"`. note: its line in the header. kernel: the runtime function.
    arguments: numbers, places, and texts in which {name} stands for the prefix of its tables.
    made: what it leaves. whole: whether that is all of the node's values, not a part of them.
    """

    symbol: str
    note: str
    kernel: str
    arguments: tuple
    tables: tuple[Table, ...]
    made: Value
    whole: bool = True

    @property
    def places(self) -> list[Place]:
        """The buffers it uses; those of a negative number are the caller's logits."""
        return [part for part in self.arguments if isinstance(part, Place)]


class Program:
    """Grows by one call a layer.

    Args:
        graph: A canonical `Graph`.
        lanes: Output channels in a tile.
        places: Rows in a group of weights, see `groups.py`.
    """

    def __init__(self, graph: g.Graph, lanes: int, places: int = 1):
        self.graph, self.types, self.lanes, self.places = graph, graph.check(), lanes, places
        self.calls: list[Call] = []
        self.sizes: list[int] = []  # words of each buffer
        self.shared: list[tuple[int, int]] = []  # (buffer, one that it may overwrite)

    def buffer(self, words: int) -> int:
        """A new buffer of the scratch."""
        self.sizes.append(words)
        return len(self.sizes) - 1

    def temporary(self, pointer: str, words: int) -> Place:
        """Room for one call."""
        return Place(self.buffer(words), pointer)

    def codes(self, node, kind: g.TensorType, channels=None) -> Value:
        """A new value of codes, of as many planes as its bounds need."""
        channels = channels or kind.shape[-1]
        pixels = math.prod(kind.shape) // channels
        count = planes.planes_for(kind.low.min(), kind.high.max())
        buffer = self.buffer(pixels * planes.words_for(channels) * count)
        return Value("codes", buffer, kind, node.name, pixels, channels, count)

    def octets(self, node, kind: g.TensorType) -> Value:
        """A new value of codes of 8 bits, one byte each."""
        size, channels = math.prod(kind.shape), kind.shape[-1]
        return Value("u8", self.buffer(-(-size // 4)), kind, node.name, size // channels, channels)

    def sums(self, node, kind: g.TensorType) -> Value:
        """A new value of int32 sums."""
        return Value("sums", self.buffer(math.prod(kind.shape)), kind, node.name, 1, kind.shape[-1])

    def call(self, kind, kernel, arguments, made: Value, source: Value, tables=(), note="", whole=True):
        """Appends a call; returns what it made. source: what it reads, or the first of it."""
        symbol = f"{kind}{len(self.calls) + 1}"
        shapes = f"{shape_text(source.type.shape)} -> {shape_text(made.type.shape)}"
        note = f'{symbol:<9} {shapes}{note} ("{comment(made.node)}")'
        self.calls.append(Call(symbol, note, kernel, tuple(arguments), tuple(tables), made, whole))
        return made

    def plan(self) -> memory.Plan:
        """Places all buffers; a layer that may overwrite its input does where that saves words."""
        owners = list(range(len(self.sizes)))
        best, merged = self._plan(owners), owners
        for made, source in self.shared:
            if self._last_use(source) != self._first_use(made):
                continue
            trial = [merged[source] if owner == merged[made] else owner for owner in merged]
            found = self._plan(trial)
            if found.words <= best.words:
                best, merged = found, trial
        return best

    def _uses(self, buffer):
        return [i for i, call in enumerate(self.calls) if any(p.buffer == buffer for p in call.places)]

    def _first_use(self, buffer):
        """Inputs, the first buffers, are there before the first call."""
        return -1 if buffer < len(self.graph.inputs) else self._uses(buffer)[0]

    def _last_use(self, buffer):
        return max(self._uses(buffer), default=-1)

    def _plan(self, owners):
        """The plan if each buffer lies where its owner does."""
        groups = {owner: [i for i, o in enumerate(owners) if o == owner] for owner in dict.fromkeys(owners)}
        buffers = [
            memory.Buffer(
                max(self.sizes[i] for i in members),
                min(map(self._first_use, members)),
                max(map(self._last_use, members)),
            )
            for members in groups.values()
        ]
        found = memory.plan(buffers)
        offsets = dict(zip(groups, found.offsets))
        return memory.Plan(found.words, tuple(offsets[owner] for owner in owners))


def shape_text(shape) -> str:
    """A shape as text.

    >>> shape_text((3, 4))
    '3x4'
    """
    return "x".join(map(str, shape))


def struct(members) -> str:
    """The initializer of a struct of integers and of structs of them.

    >>> struct([[1, 2], 3])
    '{{1, 2}, 3}'
    """
    parts = (struct(part) if isinstance(part, list) else str(int(part)) for part in members)
    return f"{{{', '.join(parts)}}}"


def window(shape, size, strides, dilation, padding) -> list[int]:
    """The members of the gxnor_window that slides over an image of `shape`."""
    spans = [g.window_output(shape[a], size[a], strides[a], dilation[a], padding) for a in (0, 1)]
    outs, pads = zip(*spans)
    return [*shape[:2], *outs, *size, *strides, *dilation, *pads]


def window_note(op) -> str:
    """What to say of a window in the header: its size, and whatever is unusual."""
    if isinstance(op, g.Dense):
        return ""
    conv = isinstance(op, g.Conv2D)
    size = op.kernel.shape[:2] if conv else op.pool_size
    words = [f"{shape_text(size)} {op.padding}"]
    if op.strides != ((1, 1) if conv else tuple(size)):
        words.append(f"strides {shape_text(op.strides)}")
    if conv and op.dilation != (1, 1):
        words.append(f"dilation {shape_text(op.dilation)}")
    if conv and op.groups > 1:
        words.append(f"{op.groups} groups")
    return "".join(f", {word}" for word in words)


def input_bytes(spec: g.InputSpec) -> tuple[int, int]:
    """(flip, zero): codes are read as bytes `q ^ flip`, 0..255, and `zero` is the one that means 0.

    Example:

    >>> input_bytes(g.InputSpec("int8", 1.0, -3))
    (128, 125)
    """
    return (0x80, spec.zero_point + 128) if spec.dtype == "int8" else (0, spec.zero_point)
