"""A .tflite file from anywhere, opened only if it is sound.

Bounds first (`bounds.py`), then what the format itself promises: numbers of tensors, buffers and
operator codes that exist, and constants as long as their shape says. LiteRT refuses the same
files; TFLite Micro checks little of it and reads outside its memory instead.
"""

import functools
import re

from keras_gxnor.converters import bounds
from keras_gxnor.errors import ModelFileError, import_extra

IDENTIFIER = b"TFL3"
_VERSION = 3  # of the schema, since 2017
# Interpreters count the elements of a tensor in an int32.
_MAX_ELEMENTS = (1 << 31) - 1


def load(data: bytes):
    """Opens a .tflite file.

    Args:
        data: The whole file.

    Returns:
        (model, schema): `schema.Model` of the file, every part of which can be read, and the
        module of LiteRT's schema classes.

    Raises:
        ModelFileError: naming the part that is corrupt.
        MissingExtraError: if LiteRT, whose schema classes are used, is not installed.
    """
    schema = import_extra("ai_edge_litert.schema_py_generated", "export")
    bounds.check(data, schema.Model, schema, IDENTIFIER)
    model = schema.Model.GetRootAs(data)
    if model.Version() != _VERSION or not model.SubgraphsLength():
        _fail("the model", f"must have schema version {_VERSION} and a subgraph",
              f"version {model.Version()}, {model.SubgraphsLength()} subgraphs")
    lengths = [_length(model.Buffers(i), i, len(data)) for i in range(model.BuffersLength())]
    for i in range(model.MetadataLength()):
        _index(model.Metadata(i).Buffer(), len(lengths), f"the buffer of metadata {i}")
    for i in range(model.MetadataBufferLength()):
        _index(model.MetadataBuffer(i), len(lengths), f"metadata buffer {i}")
    for i in range(model.SubgraphsLength()):
        graph, where = model.Subgraphs(i), f"subgraph {i}"
        for j in range(graph.TensorsLength()):
            _tensor(graph.Tensors(j), f"{where}, tensor {j}", lengths, schema)
        _operators(graph, where, model.OperatorCodesLength())
    _signatures(model)
    return model, schema


def numbers(vector) -> list[int]:
    """A vector of numbers as a list; the schema classes give 0 for one that is absent."""
    return [] if isinstance(vector, int) else vector.tolist()


@functools.cache
def bits(schema, kind: int) -> int:
    """Bits of an element of a tensor type; 0 where it has no fixed size, or is not known."""
    name = kind_name(schema, kind)
    found = re.fullmatch(r"(?:b?float|u?int|complex)(\d+)\w*", name)
    return int(found[1]) if found else 8 * (name == "bool")


def kind_name(schema, kind: int) -> str:
    """The name of a tensor type in small letters, `"type 99"` for one the schema does not know."""
    return _names(schema.TensorType).get(kind, f"type {kind}")


def operator_number(code) -> int:
    """Which built-in operator an `OperatorCode` means."""
    # Those up to 126 are told in the older field; 127 there means "see the newer".
    return max(code.DeprecatedBuiltinCode(), code.BuiltinCode())


def operator_name(schema, code) -> str:
    """The name of an `OperatorCode`: of the built-in operator, or its custom code."""
    number = operator_number(code)
    if number == schema.BuiltinOperator.CUSTOM:
        return text(code.CustomCode()) or "CUSTOM"
    return _names(schema.BuiltinOperator, str).get(number, f"OPERATOR {number}")


def text(data: bytes | None) -> str:
    """A string of a file; bytes that are no UTF-8 are shown as escapes."""
    return (data or b"").decode("utf-8", "backslashreplace")


@functools.cache
def _names(enum, form=str.lower) -> dict:
    return {number: form(name) for name, number in vars(enum).items() if isinstance(number, int)}


def _fail(where, expected, received):
    raise ModelFileError(f"The file is corrupt: {where} {expected}. Received: {received}")


def _index(number, count, where, least=0):
    if not least <= number < count:
        _fail(where, f"must be {least} to {count - 1}", number)


def _length(buffer, i, size) -> int:
    """Bytes of a buffer: in the flatbuffer, or behind it in files beyond 2 GB."""
    # Buffers behind the flatbuffer have an offset above 1; the writers use 1 as "not yet known".
    if buffer.Offset() <= 1:
        return buffer.DataLength()
    if buffer.Offset() + buffer.Size() > size:
        _fail(f"buffer {i}", f"must end within {size:,} bytes", f"{buffer.Size()} at {buffer.Offset()}")
    return buffer.Size()


def _tensor(tensor, where, lengths, schema):
    _index(tensor.Buffer(), len(lengths), f"the buffer of {where}")
    shape, count = numbers(tensor.ShapeAsNumpy()), 1
    for n in shape if 0 not in shape else [0]:
        count *= n
        if n < 0 or count > _MAX_ELEMENTS:
            _fail(f"the shape of {where}", "must have 0 to 2^31 - 1 elements", f"{shape}"[:80])
    _quantization(tensor.Quantization(), shape, where)
    length, width = lengths[tensor.Buffer()], bits(schema, tensor.Type())
    # A sparse tensor stores less than its shape, a string more; 0 bytes: not a constant.
    if length and width and tensor.Sparsity() is None and length != -(-count * width // 8):
        _fail(f"the constant of {where}", f"must have {-(-count * width // 8):,} bytes", f"{length:,}")


def _quantization(params, shape, where):
    """The rule for scales and zero points: one or one a channel, of each.

    (LiteRT, which refuses other files itself, wants as many of one as of the other; TFLite Micro
    takes one zero point for all channels.)
    """
    scales, zeros = (params.ScaleLength(), params.ZeroPointLength()) if params else (0, 0)
    if not scales or not zeros:
        return
    axis = params.QuantizedDimension()
    channels = shape[axis] if 0 <= axis < len(shape) else 1
    if zeros not in (1, scales) or scales not in (1, channels):
        _fail(f"the quantization of {where}", f"must have 1 or {channels} scales and zero points",
              f"{scales} and {zeros}")


def _operators(graph, where, codes):
    count = graph.TensorsLength()
    for what, places in (("input", graph.InputsAsNumpy()), ("output", graph.OutputsAsNumpy())):
        for place in numbers(places):
            _index(place, count, f"{where}, an {what}")
    for j in range(graph.OperatorsLength()):
        operator, name = graph.Operators(j), f"{where}, operator {j}"
        _index(operator.OpcodeIndex(), codes, f"the code of {name}")
        for place in numbers(operator.InputsAsNumpy()) + numbers(operator.IntermediatesAsNumpy()):
            _index(place, count, f"an input of {name}", least=-1)  # -1: an optional input left out
        for place in numbers(operator.OutputsAsNumpy()):
            _index(place, count, f"an output of {name}")


def _signatures(model):
    for i in range(model.SignatureDefsLength()):
        signature = model.SignatureDefs(i)
        _index(signature.SubgraphIndex(), model.SubgraphsLength(), f"the subgraph of signature {i}")
        count = model.Subgraphs(signature.SubgraphIndex()).TensorsLength()
        maps = [signature.Inputs(j) for j in range(signature.InputsLength())]
        maps += [signature.Outputs(j) for j in range(signature.OutputsLength())]
        for entry in maps:
            _index(entry.TensorIndex(), count, f"a tensor of signature {i}")
