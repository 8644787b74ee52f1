"""What is in a .tflite file: tensors, operators, where the bytes go, and what it says of itself.

Reads files of any converter, with the schema classes that ship with LiteRT.
"""

import collections
import dataclasses
import os
import pathlib

import numpy as np

from keras_gxnor.converters import bounds, metadata, model_file, runtime_versions
from keras_gxnor.converters.model_file import numbers, text
from keras_gxnor.errors import InvalidArgumentError, ModelFileError

# Kinds of bytes, in the order in which they claim bytes that several share.
KINDS = ("weights", "biases", "other constants", "metadata", "overhead")
# Which inputs of an operator are its weights and its biases.
_PARTS = {
    "CONV_2D": (1, 2),
    "CONV_3D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "FULLY_CONNECTED": (1, 2),
    "TRANSPOSE_CONV": (1, 3),
    "GATHER": (0,),
}
_SHOWN = 40  # lines or characters of one item: foreign files hold thousands


@dataclasses.dataclass(frozen=True)
class TensorSummary:
    """An input or output of a file.

    Attributes:
        name: As written in the file.
        shape: With the batch; None for an axis that may be resized.
        dtype: `"int8"`, `"float32"` and so on; `"type 99"` if the schema does not know it.
        scale, zero_point: number = scale * (stored - zero_point); None without quantization,
            or if each channel has its own.
    """

    name: str
    shape: tuple
    dtype: str
    scale: float | None
    zero_point: int | None

    def __str__(self):
        line = f"{_plain(self.name)} {self.dtype} {_shape(self.shape)}"
        return line if self.scale is None else f"{line}, scale {self.scale:.9g}, zero point {self.zero_point}"


@dataclasses.dataclass(frozen=True)
class OperatorSummary:
    """An operator, and how often the file uses it.

    Attributes:
        name: Of the built-in operator, or the custom code.
        version: Of the operator.
        count: How many are in the file.
        custom: Whether a runtime needs code of its own for it.
    """

    name: str
    version: int
    count: int
    custom: bool


@dataclasses.dataclass(frozen=True)
class FileSummary:
    """What `read` found.

    Attributes:
        size: Bytes of the file.
        name: Of the model: from our metadata, else of the first subgraph.
        version: Of the model, if our metadata say it.
        producer: Who made the file: from our metadata, else the file's description.
        inputs, outputs: Of the first subgraph.
        operators: In the order in which they first run.
        tensors: How many tensors the file has.
        sizes: {kind: bytes} for each of `KINDS`; their sum is `size`. Weights and biases are
            constants that convolutions and fully connected operators read, straight or through
            operators on constants only (such as DEQUANTIZE); metadata are the entries' contents;
            overhead is everything else: structure, names, quantization, padding.
        labels: Of the classes, if our metadata hold them.
        min_runtime_version: The oldest TFLite runtime, if the file says it.
        metadata: {name: bytes} of all entries.
    """

    size: int
    name: str
    version: str | None
    producer: str
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]
    operators: tuple[OperatorSummary, ...]
    tensors: int
    sizes: dict[str, int]
    labels: tuple[str, ...] = ()
    min_runtime_version: str | None = None
    metadata: dict[str, bytes] = dataclasses.field(default_factory=dict, repr=False)

    def __str__(self):
        rows = [("model", " ".join(filter(None, (self.name, self.version)))), ("made by", self.producer)]
        if self.min_runtime_version:
            rows.append(("runtime", f"TFLite {self.min_runtime_version} or later"))
        rows += [("input", tensor) for tensor in self.inputs]
        rows += [("output", tensor) for tensor in self.outputs]
        if self.labels:
            rows.append(("labels", ", ".join(self.labels[:_SHOWN])))
        lines = [f"{what:<16} {_plain(str(value), 100)}" for what, value in rows[:_SHOWN]]
        lines.append(f"{'tensors':<16} {self.tensors}")
        for operator in self.operators[:_SHOWN]:
            kind = " (custom)" if operator.custom else ""
            lines.append(f"{operator.count:>7} x        {_plain(operator.name)} v{operator.version}{kind}")
        width = len(f"{self.size:,}")
        for what, size in [*self.sizes.items(), ("file", self.size)]:
            lines.append(f"{what:<16} {size:>{width},} bytes {100 * size / self.size:5.1f} %")
        return "\n".join(lines)


def read(file) -> FileSummary:
    """Reads a .tflite file of any converter.

    The file need not be trusted: nothing in it is followed before every offset, length and
    number has been checked (`bounds.py`, `model_file.py`).

    Args:
        file: Path of the file, or its bytes.

    Returns:
        A `FileSummary`; print it.

    Raises:
        ModelFileError: if the file cannot be read, is corrupt, truncated, or no .tflite file.
        InvalidArgumentError: if `file` is neither a path nor bytes.
        MissingExtraError: if LiteRT, whose schema classes are used, is not installed.
    """
    data = _bytes(file)
    model, schema = model_file.load(data)
    entries, ranges = {}, {"metadata": []}
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        place = _range(model.Buffers(entry.Buffer()), data)
        ranges["metadata"].append(place)
        entries[text(entry.Name())] = data[slice(*place)]
    for i in range(model.SubgraphsLength()):
        for kind, buffers in _roles(model, model.Subgraphs(i), schema).items():
            ranges.setdefault(kind, []).extend(_range(model.Buffers(j), data) for j in buffers)
    main = model.Subgraphs(0)
    about = metadata.parse(entries[metadata.ENTRY]) if metadata.ENTRY in entries else {}
    oldest = entries.get(runtime_versions.ENTRY, b"").rstrip(b"\0")
    return FileSummary(
        size=len(data),
        name=about.get("name", text(main.Name())),
        version=about.get("version"),
        producer=about.get("producer", text(model.Description())),
        inputs=_tensors(main, main.InputsAsNumpy(), schema),
        outputs=_tensors(main, main.OutputsAsNumpy(), schema),
        operators=_operators(model, schema),
        tensors=sum(model.Subgraphs(i).TensorsLength() for i in range(model.SubgraphsLength())),
        sizes=_sizes(len(data), ranges),
        labels=about.get("labels", ()),
        min_runtime_version=text(oldest) or None,
        metadata=entries,
    )


def _bytes(file) -> bytes:
    if isinstance(file, (bytes, bytearray, memoryview)):
        return bytes(file)
    if not isinstance(file, (str, os.PathLike)):
        raise InvalidArgumentError(
            f"`file` must be a path or the bytes of a .tflite file. Received: {type(file).__name__}"
        )
    path = pathlib.Path(file)
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= bounds.MAX_BYTES else None  # which would fill the memory
    except (OSError, ValueError) as error:  # ValueError: of a path that no system has
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(
            f"`file` must be a .tflite file that can be read ({reason}). Received: {file!r}"
        ) from error
    if data is None:
        raise ModelFileError(f"Files up to {bounds.MAX_BYTES:,} bytes are read. Received: {size:,} bytes")
    return data


def _range(buffer, data) -> tuple[int, int]:
    """(start, end) of the contents of a buffer in the file."""
    if buffer.Offset() > 1:  # behind the flatbuffer, as `model_file` has checked
        return buffer.Offset(), buffer.Offset() + buffer.Size()
    if not buffer.DataLength():
        return 0, 0
    start = _address(buffer.DataAsNumpy()) - _address(np.frombuffer(data, np.uint8))
    return start, start + buffer.DataLength()


def _address(array) -> int:
    return array.__array_interface__["data"][0]


def _roles(model, graph, schema) -> dict[str, set]:
    """{kind: numbers of the buffers} of one subgraph's constants."""
    buffers = [graph.Tensors(i).Buffer() for i in range(graph.TensorsLength())]
    filled = {i for i in set(buffers) if _filled(model.Buffers(i))}
    constant = {i for i, buffer in enumerate(buffers) if buffer in filled}
    parts, sources = {"weights": set(), "biases": set()}, {}
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        name = model_file.operator_name(schema, model.OperatorCodes(operator.OpcodeIndex()))
        fed = numbers(operator.InputsAsNumpy())
        for kind, place in zip(parts, _PARTS.get(name, ())):
            parts[kind].update(fed[place : place + 1])
        if constant.issuperset(fed):
            for made in numbers(operator.OutputsAsNumpy()):
                constant.add(made)
                sources[made] = fed
    roles = {}
    for kind, tensors in parts.items():
        roles[kind] = {buffers[i] for i in _origins(tensors & constant, sources)} & filled
    roles["other constants"] = filled
    return roles


def _filled(buffer) -> bool:
    return buffer.DataLength() > 0 or buffer.Offset() > 1


def _origins(tensors, sources) -> set:
    """`tensors`, and all that operators on constants alone made them of."""
    found, left = set(), list(tensors)
    while left:
        tensor = left.pop()
        if tensor not in found:
            found.add(tensor)
            left += sources.get(tensor, ())
    return found


def _tensors(graph, places, schema) -> tuple[TensorSummary, ...]:
    known = {}  # a hostile file may name one tensor a million times
    for i in numbers(places):
        if i not in known:
            known[i] = _tensor(graph.Tensors(i), schema)
    return tuple(known[i] for i in numbers(places))


def _tensor(tensor, schema) -> TensorSummary:
    shape, params = numbers(tensor.ShapeAsNumpy()), tensor.Quantization()
    signature = numbers(tensor.ShapeSignatureAsNumpy())
    if len(signature) == len(shape):
        shape = [None if n < 0 else n for n in signature]
    scale, zero_point = None, None
    if params and params.ScaleLength() == 1 and params.ZeroPointLength() == 1:
        scale, zero_point = float(params.Scale(0)), int(params.ZeroPoint(0))
    name = text(tensor.Name())
    return TensorSummary(name, tuple(shape), model_file.kind_name(schema, tensor.Type()), scale, zero_point)


def _operators(model, schema) -> tuple[OperatorSummary, ...]:
    counts = collections.Counter()
    for i in range(model.SubgraphsLength()):
        graph = model.Subgraphs(i)
        counts.update(graph.Operators(j).OpcodeIndex() for j in range(graph.OperatorsLength()))
    found = []
    for index, count in counts.items():
        code = model.OperatorCodes(index)
        custom = code.DeprecatedBuiltinCode() == schema.BuiltinOperator.CUSTOM
        found.append(OperatorSummary(model_file.operator_name(schema, code), code.Version(), count, custom))
    return tuple(found)


def _sizes(size, ranges) -> dict[str, int]:
    """Bytes by kind; a byte of several kinds counts for the first, so that the sum is `size`."""
    owner = np.full(size, KINDS.index("overhead"), np.uint8)
    for kind in reversed(KINDS[:-1]):
        for start, end in ranges.get(kind, ()):
            owner[start:end] = KINDS.index(kind)
    counts = np.bincount(owner, minlength=len(KINDS))
    return {kind: int(count) for kind, count in zip(KINDS, counts)}


def _shape(shape) -> str:
    """(batch, 28, 28, 1): an axis that may be resized is shown as ?."""
    return "(" + ", ".join("?" if n is None else str(n) for n in shape[:_SHOWN]) + ")"


def _plain(value: str, length: int = _SHOWN) -> str:
    """`value` on one line: names of foreign files must not move a terminal's cursor."""
    short = value if len(value) <= length else value[: length - 3] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)
