"""A .tflite file under construction: tensors, constants and operators to bytes.

Written with the schema classes of LiteRT and four of our own: the object API neither aligns
constants nor shares what is equal.
"""

import dataclasses

import numpy as np

from keras_gxnor.converters import runtime_versions
from keras_gxnor.errors import VerificationError, import_extra

# Vector kernels load constants straight from the file: the schema wants 16-byte alignment,
# which the Python object API leaves out.
_ALIGNMENT = 16


class File:
    """One subgraph under construction: tensors, constants and operators, in file order."""

    def __init__(self):
        self.schema = import_extra("ai_edge_litert.schema_py_generated", "export")
        self.sizes = {"weights": 0, "bias": 0}
        self._tensors, self._operators, self._codes, self._offsets = [], [], {}, {}
        self._buffers = [_Buffer(self.schema, b"")]  # buffer 0 means "no constant"
        self._places: dict[bytes, int] = {}

    def tensor(self, name, shape, dtype, quantization=None) -> int:
        """Adds a tensor of shape (batch, *shape); quantization: (scales, zero points, axis)."""
        return self._add(name, (1, *shape), dtype, quantization, 0, batched=True)

    def constant(self, name, values, quantization=None, packed=None, counted=None) -> int:
        """Adds a constant tensor; equal ones share their bytes.

        packed: (dtype, shape) of what the bytes of `values` stand for. counted: the entry of
        `sizes` that grows by the bytes.
        """
        data = np.ascontiguousarray(values).tobytes()
        if data not in self._places:
            self._places[data] = len(self._buffers)
            self._buffers.append(_Buffer(self.schema, data))
            if counted:
                self.sizes[counted] += len(data)
        dtype, shape = packed or (values.dtype.name, values.shape)
        return self._add(name, shape, dtype, quantization, self._places[data])

    def intermediate(self, name, shape, dtype, quantization=None) -> int:
        """Adds a tensor without a batch, for an operator to fill."""
        return self._add(name, shape, dtype, quantization, 0)

    def like(self, tensor, name, shape) -> int:
        """Adds a tensor of the dtype and quantization of `tensor`: of a shape, or of other channels."""
        like = self._tensors[tensor]
        shape = (*like.shape[1:-1], shape) if isinstance(shape, int) else shape
        return self._append(dataclasses.replace(like, name=name, shape=(1, *shape), batched=True))

    def shape(self, tensor) -> tuple:
        """The shape of a tensor without its batch."""
        return tuple(self._tensors[tensor].shape[1:])

    def _add(self, name, shape, dtype, quantization, buffer, batched=False):
        if quantization is not None:
            quantization = _Quantization(self, *quantization)
        kind = getattr(self.schema.TensorType, dtype.upper())
        return self._append(_Tensor(self, name, tuple(shape), kind, buffer, quantization, batched))

    def _append(self, tensor):
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def shared(self, builder, values) -> int:
        """The offset of a vector; equal ones are stored once."""
        return self.once((values.dtype.name, values.tobytes()), lambda: builder.CreateNumpyVector(values))

    def once(self, key, pack) -> int:
        """What `pack` gave for `key` the first time."""
        if key not in self._offsets:
            self._offsets[key] = pack()
        return self._offsets[key]

    def operator(self, code: str, version: int, inputs: list, output: int, options=None):
        """Appends an operator.

        Args:
            code: Name of a built-in operator, or of a custom one.
            version: Version of the operator.
            inputs, output: Tensors.
            options: An object of the schema's object API; None for a custom operator.
        """
        place = self._codes.setdefault((code, version), len(self._codes))
        kind = 0 if options is None else getattr(self.schema.BuiltinOptions, type(options).__name__[:-1])
        options = options and _Options(self, options)
        self._operators.append(self.schema.OperatorT(place, inputs, [output], kind, options))

    @property
    def stock(self) -> bool:
        """Whether all operators are built-in ones."""
        return all(self._is_builtin(code) for code, _ in self._codes)

    def _is_builtin(self, code):
        return hasattr(self.schema.BuiltinOperator, code)

    def finish(self, name: str, inputs: list, outputs: list, metadata=None) -> bytes:
        """The bytes of the file.

        Args:
            name: Of the subgraph.
            inputs, outputs: Numbers of the tensors the file is fed and read at.
            metadata: {name: bytes} of entries that ride in the file; the standard
                `min_runtime_version` joins them where it is known.

        Raises:
            VerificationError: if a constant is not aligned to 16 bytes.
        """
        schema, codes, entries, self._offsets = self.schema, [], [], {}
        # INT4 came to operators under old version numbers: no runtime can be named for them.
        packed = any(tensor.kind == schema.TensorType.INT4 for tensor in self._tensors)
        oldest = {} if packed else runtime_versions.entry(self._codes)
        for entry, data in {**oldest, **(metadata or {})}.items():
            entries.append(schema.MetadataT(entry, len(self._buffers)))
            self._buffers.append(_Buffer(schema, data))
        for code, version in self._codes:
            custom = None if self._is_builtin(code) else code
            number = getattr(schema.BuiltinOperator, "CUSTOM" if custom else code)
            codes.append(schema.OperatorCodeT(min(number, 127), custom, version, number))
        subgraph = schema.SubGraphT(self._tensors, inputs, outputs, self._operators, name)
        model = schema.ModelT(3, codes, [subgraph], "keras_gxnor", self._buffers)
        model.metadata = entries
        builder = import_extra("flatbuffers", "export").Builder(1 << 12)
        builder.Finish(model.Pack(builder), b"TFL3")
        data = bytes(builder.Output())
        _check_alignment(schema, data)
        return data


def _check_alignment(schema, data):
    start = np.frombuffer(data, np.uint8).ctypes.data
    model = schema.Model.GetRootAs(data)
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        if buffer.DataLength() and (buffer.DataAsNumpy().ctypes.data - start) % _ALIGNMENT:
            raise VerificationError(f"Buffer {i} is not aligned to {_ALIGNMENT} bytes.")


@dataclasses.dataclass(frozen=True, eq=False)
class _Buffer:
    """Stands in for the schema's BufferT, whose own `Pack` does not align."""

    schema: object
    data: bytes

    def Pack(self, builder):
        if self.data:
            builder.Prep(_ALIGNMENT, len(self.data))
            vector = builder.CreateByteVector(self.data)
        self.schema.BufferStart(builder)
        if self.data:
            self.schema.BufferAddData(builder, vector)
        return self.schema.BufferEnd(builder)


@dataclasses.dataclass(frozen=True, eq=False)
class _Tensor:
    """Stands in for TensorT: equal shapes are stored once; `batched` ones have a dynamic batch."""

    file: File
    name: str
    shape: tuple
    kind: int
    buffer: int
    quantization: object
    batched: bool

    def Pack(self, builder):
        schema, shape = self.file.schema, np.array(self.shape, np.int32)
        name, signature = builder.CreateString(self.name), None
        quantization = self.quantization and self.quantization.Pack(builder)
        if self.batched and self.file.stock:  # TFLite Micro runs one image at a time
            signature = self.file.shared(builder, np.array([-1, *self.shape[1:]], np.int32))
        shape = self.file.shared(builder, shape)
        schema.TensorStart(builder)
        schema.TensorAddShape(builder, shape)
        schema.TensorAddType(builder, self.kind)
        schema.TensorAddBuffer(builder, self.buffer)
        schema.TensorAddName(builder, name)
        if quantization is not None:
            schema.TensorAddQuantization(builder, quantization)
        if signature is not None:
            schema.TensorAddShapeSignature(builder, signature)
        return schema.TensorEnd(builder)


@dataclasses.dataclass(frozen=True, eq=False)
class _Options:
    """Stands in for the options of an operator: equal ones are stored once."""

    file: File
    options: object

    def Pack(self, builder):
        fields = {name: np.array(value).tolist() for name, value in vars(self.options).items()}
        key = (type(self.options).__name__, repr(sorted(fields.items())))
        return self.file.once(key, lambda: self.options.Pack(builder))


@dataclasses.dataclass(frozen=True, eq=False)
class _Quantization:
    """Stands in for QuantizationParametersT: equal ones, and equal vectors, are stored once."""

    file: File
    scales: tuple
    zero_points: tuple
    axis: int

    def Pack(self, builder):
        scales = np.array(self.scales, np.float32)
        zero_points = np.array(self.zero_points, np.int64)
        if not self.file.stock:
            # TFLite Micro, which alone runs custom operators, takes one zero point for all
            # channels (see its micro_allocator.cc); LiteRT wants as many as scales.
            zero_points = zero_points[:1]
        key = ("quantization", scales.tobytes(), zero_points.tobytes(), self.axis)
        return self.file.once(key, lambda: self._pack(builder, scales, zero_points))

    def _pack(self, builder, scales, zero_points):
        scale = self.file.shared(builder, scales)
        zero_point = self.file.shared(builder, zero_points)
        schema = self.file.schema
        schema.QuantizationParametersStart(builder)
        schema.QuantizationParametersAddScale(builder, scale)
        schema.QuantizationParametersAddZeroPoint(builder, zero_point)
        schema.QuantizationParametersAddQuantizedDimension(builder, self.axis)
        return schema.QuantizationParametersEnd(builder)
