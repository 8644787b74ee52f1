"""A .tflite file under construction: tensors, constants and operators to bytes.

Written with the schema classes of LiteRT and two of our own: the object API neither aligns
constants nor shares equal quantization vectors.
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
        self._tensors, self._operators, self._codes, self._vectors = [], [], {}, {}
        self._buffers = [_Buffer(self.schema, b"")]  # buffer 0 means "no constant"

    def tensor(self, name, shape, dtype, quantization=None) -> int:
        """Adds a tensor of shape (batch, *shape); quantization: (scales, zero points, axis)."""
        return self._add(name, (1, *shape), dtype, quantization, 0, shapeSignature=[-1, *shape])

    def constant(self, name, values, quantization=None) -> int:
        """Adds a constant tensor."""
        self._buffers.append(_Buffer(self.schema, np.ascontiguousarray(values).tobytes()))
        dtype, place = values.dtype.name, len(self._buffers) - 1
        return self._add(name, values.shape, dtype, quantization, place)

    def _add(self, name, shape, dtype, quantization, buffer, **more):
        if quantization is not None:
            quantization = _Quantization(self.schema, self._vectors, *quantization)
        kind = getattr(self.schema.TensorType, dtype.upper())
        tensor = self.schema.TensorT(list(shape), kind, buffer, name, quantization, **more)
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def operator(self, code: str, version: int, inputs: list, output: int, options):
        """Appends a built-in operator; `options` is an object of the schema's object API."""
        place = self._codes.setdefault((code, version), len(self._codes))
        kind = getattr(self.schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self._operators.append(self.schema.OperatorT(place, inputs, [output], kind, options))

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
        schema, codes, entries = self.schema, [], []
        for entry, data in {**runtime_versions.entry(self._codes), **(metadata or {})}.items():
            entries.append(schema.MetadataT(entry, len(self._buffers)))
            self._buffers.append(_Buffer(schema, data))
        for code, version in self._codes:
            number = getattr(schema.BuiltinOperator, code)
            codes.append(schema.OperatorCodeT(min(number, 127), None, version, number))
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
class _Quantization:
    """Stands in for QuantizationParametersT: equal vectors are stored once in the file."""

    schema: object
    vectors: dict
    scales: tuple
    zero_points: tuple
    axis: int

    def Pack(self, builder):
        scale = self._shared(builder, np.array(self.scales, np.float32))
        zero_point = self._shared(builder, np.array(self.zero_points, np.int64))
        self.schema.QuantizationParametersStart(builder)
        self.schema.QuantizationParametersAddScale(builder, scale)
        self.schema.QuantizationParametersAddZeroPoint(builder, zero_point)
        self.schema.QuantizationParametersAddQuantizedDimension(builder, self.axis)
        return self.schema.QuantizationParametersEnd(builder)

    def _shared(self, builder, values):
        key = (values.dtype.name, values.tobytes())
        if key not in self.vectors:
            self.vectors[key] = builder.CreateNumpyVector(values)
        return self.vectors[key]
