"""The reader says what is in a file, whoever made it, and refuses what is damaged."""

import collections
import dataclasses
import random
import struct
import time

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema

from keras_gxnor import graph as g
from keras_gxnor.converters import bounds, c_source, flatbuffer, model_file, read_tflite, tflite
from keras_gxnor.converters.reader import KINDS, FileSummary
from keras_gxnor.errors import GXNORError, InvalidArgumentError, ModelFileError
from tests.conformance.samples import SAMPLES
from tests.unit import mutations

CNN = tflite.emit(SAMPLES["cnn_small"](), "net", version="3").main


def _float_model():
    """A small convolutional Keras model as TensorFlow's own converter writes it."""
    import tensorflow as tf

    layers = [tf.keras.Input((8, 8, 1)), tf.keras.layers.Conv2D(3, 3, activation="relu")]
    layers += [tf.keras.layers.Flatten(), tf.keras.layers.Dense(2)]
    return tf.lite.TFLiteConverter.from_keras_model(tf.keras.Sequential(layers))


@pytest.fixture(scope="module")
def foreign():
    return _float_model().convert()


# --- What it says. ---


def test_a_file_of_ours():
    found, graph = read_tflite(CNN), SAMPLES["cnn_small"]()
    details = litert.Interpreter(model_content=CNN)
    fed, made = details.get_input_details()[0], details.get_output_details()[0]
    (source,), (result,) = found.inputs, found.outputs
    assert source.name == fed["name"] and source.shape == (None, *graph.input.shape)
    assert (source.dtype, source.scale, source.zero_point) == ("uint8", *fed["quantization"])
    assert result.name == made["name"] and result.shape == (None, 10)
    assert (result.dtype, result.scale, result.zero_point) == ("float32", None, None)
    assert found.tensors == len(details.get_tensor_details())
    convolutions = sum(isinstance(node.op, g.Conv2D) for node in graph.nodes)
    assert {o.name: o.count for o in found.operators}["CONV_2D"] == convolutions == 2
    assert not any(operator.custom for operator in found.operators)


@pytest.mark.parametrize("name", SAMPLES)
def test_bytes_by_kind_are_those_of_the_graph(name):
    artifact = tflite.emit(SAMPLES[name](), "net")
    sizes = read_tflite(artifact.main).sizes
    assert tuple(sizes) == KINDS and sum(sizes.values()) == len(artifact.main)
    assert (sizes["weights"], sizes["biases"]) == (artifact.sizes["weights"], artifact.sizes["bias"])
    assert sizes["metadata"] == sum(len(v) for v in read_tflite(artifact.main).metadata.values()) > 0


def test_it_prints_a_table():
    text = str(read_tflite(CNN))
    lines = text.split("\n")
    assert lines[0] == f"{'model':<16} net 3"
    assert "input            input uint8 (?, 12, 12, 1), scale 0.0078125, zero point 128" in lines
    assert "      2 x        CONV_2D v3" in lines
    assert lines[-1].split() == ["file", f"{len(CNN):,}", "bytes", "100.0", "%"]
    assert all(line.isprintable() for line in lines)


def test_paths_and_bytes_are_the_same(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(CNN)
    for file in (path, str(path), CNN, bytearray(CNN), memoryview(CNN)):
        assert read_tflite(file) == read_tflite(CNN)
    for odd in (None, 5, [CNN]):
        with pytest.raises(InvalidArgumentError, match="path or the bytes"):
            read_tflite(odd)
    for wrong in (tmp_path / "missing.tflite", tmp_path, "no\0path"):
        with pytest.raises(ModelFileError, match=r"can be read .*Received: "):
            read_tflite(wrong)


def test_files_too_large_are_refused_unread(tmp_path):
    path = tmp_path / "huge.tflite"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # sparse: no bytes on the disk
    with pytest.raises(ModelFileError, match="Received: 1,099,511,627,776 bytes"):
        read_tflite(path)


def test_a_summary_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        read_tflite(CNN).size = 0


@pytest.mark.parametrize("emit", [tflite.emit, c_source.emit])
@pytest.mark.parametrize("name", ["cnn_small", "dense_100"])
def test_the_summary_of_an_artifact_is_the_size_on_disk(tmp_path, emit, name):
    artifact = emit(SAMPLES[name](), "net")
    paths = artifact.write(tmp_path)
    on_disk = {str(path.relative_to(tmp_path)): path.stat().st_size for path in paths}
    assert {k: v for k, v in artifact.summary().items() if k not in artifact.sizes} == on_disk
    if artifact.target == "tflite":
        assert on_disk == {"net.tflite": read_tflite(paths[0]).size}


# --- Files of other converters. ---


def test_a_foreign_float_file(foreign):
    found = read_tflite(foreign)
    assert (found.size, found.producer) == (len(foreign), "MLIR Converted.")
    assert found.inputs[0].shape == (None, 8, 8, 1) and found.inputs[0].dtype == "float32"
    assert found.sizes["weights"] == 4 * (9 * 3 + 108 * 2) and found.sizes["biases"] == 4 * 3
    assert sum(found.sizes.values()) == len(foreign)
    assert found.version is None and found.labels == () and found.min_runtime_version
    assert {"CONV_2D", "FULLY_CONNECTED"} <= {operator.name for operator in found.operators}


@pytest.mark.parametrize("kind, width", [("float16", 2), ("int8", 1)])
def test_foreign_quantized_files(kind, width):
    """float16 weights reach the convolution through DEQUANTIZE."""
    import tensorflow as tf

    converter = _float_model()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    else:
        converter.representative_dataset = lambda: ([np.ones((1, 8, 8, 1), np.float32)] for _ in range(3))
    found = read_tflite(converter.convert())
    assert found.sizes["weights"] == width * (9 * 3 + 108 * 2)


def _unpacked(data=CNN):
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))


def _packed(model) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_custom_operators_unknown_types_and_odd_names():
    model = _unpacked()
    code = model.operatorCodes[0]
    code.deprecatedBuiltinCode = code.builtinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "EVIL\x1b[2J\nOP"
    model.operatorCodes[1].builtinCode = 9999
    model.subgraphs[0].tensors[0].name = b"\xff\xfe"
    model.subgraphs[0].tensors[0].type = 99
    found = read_tflite(_packed(model))
    assert found.operators[0].custom and found.operators[0].name == "EVIL\x1b[2J\nOP"
    assert found.operators[1].name == "OPERATOR 9999"
    assert found.inputs[0].dtype == "type 99" and found.inputs[0].name == "\\xff\\xfe"
    assert "EVIL\\x1b[2J\\nOP" in str(found) and "\x1b" not in str(found)


def test_shared_and_overlapping_buffers_are_counted_once():
    """Two buffers on the same bytes: the sum stays the size of the file."""
    model = _unpacked()
    weights = [t.buffer for t in model.subgraphs[0].tensors if b"weights" in t.name]
    plain = read_tflite(_packed(model)).sizes
    for metadata in model.metadata:
        metadata.buffer = weights[0]
    model.metadata = [m for m in model.metadata if m.name == b"min_runtime_version"]
    shared = read_tflite(_packed(model))
    assert shared.sizes["weights"] == plain["weights"] and shared.sizes["metadata"] == 0
    assert sum(shared.sizes.values()) == shared.size


def test_constants_behind_the_flatbuffer():
    """Where files beyond 2 GB keep them."""
    model = _unpacked()
    place = next(t.buffer for t in model.subgraphs[0].tensors if b"weights" in t.name)
    buffer, data = model.buffers[place], bytes(model.buffers[place].data)
    buffer.data, buffer.offset, buffer.size = None, 1 << 20, len(data)
    buffer.offset = len(_packed(model))
    found = read_tflite(_packed(model) + data)
    assert found.sizes["weights"] == read_tflite(CNN).sizes["weights"]
    with pytest.raises(ModelFileError, match="must end within"):
        read_tflite((_packed(model) + data)[:-1])


def test_constants_that_meet_an_input_are_no_weights():
    file = flatbuffer.File()
    fed, made, sums = (file.tensor(name, (4,), "float32") for name in ("fed", "made", "sums"))
    shift = file.constant("shift", np.ones(4, np.float32))
    file.operator("ADD", 1, [fed, shift], sums, file.schema.AddOptionsT())
    file.operator("FULLY_CONNECTED", 1, [fed, sums, -1], made, file.schema.FullyConnectedOptionsT())
    sizes = read_tflite(file.finish("odd", [fed], [made])).sizes
    assert (sizes["weights"], sizes["biases"], sizes["other constants"]) == (0, 0, 16)


def test_an_input_with_a_scale_a_channel():
    for scales, zero_points in ((12, 12), (0, 1), (1, 0)):
        model = _unpacked()
        _quantize(model.subgraphs[0], scales, zero_points)
        model.subgraphs[0].tensors[0].quantization.quantizedDimension = 1
        (source,) = read_tflite(_packed(model)).inputs
        assert (source.scale, source.zero_point) == (None, None)


# --- Damage, each kind by name. ---


def _place(table) -> int:
    return table._tab.Pos


def _root():
    return schema.Model.GetRootAs(CNN)


def _at(place, form, value):
    data = bytearray(CNN)
    struct.pack_into(form, data, place, value)
    return bytes(data)


def _vtable(table) -> int:
    return _place(table) - struct.unpack_from("<i", CNN, _place(table))[0]


def _slot(table, number) -> int:
    """Where field `number` of a table lies in the file."""
    return _place(table) + table._tab.Offset(4 + 2 * number)


def _vector(table, number) -> int:
    """Where the length of the vector or string in field `number` lies."""
    return _slot(table, number) + struct.unpack_from("<I", CNN, _slot(table, number))[0]


def _tensor():
    return _root().Subgraphs(0).Tensors(0)


DAMAGE = {
    "empty": (lambda: b"", "9 to"),
    "eight bytes": (lambda: CNN[:8], "9 to"),
    "no model": (lambda: b"\x89PNG\r\n\x1a\n" * 9, "must be b'TFL3'"),
    "half": (lambda: CNN[: len(CNN) // 2], "corrupt or truncated"),
    "one byte short": (lambda: CNN[:-1], "corrupt or truncated"),
    "root beyond the end": (lambda: _at(0, "<I", len(CNN)), "root must lead forward"),
    "root at itself": (lambda: _at(0, "<I", 0), "root must lead forward"),
    "root at an odd place": (lambda: _at(0, "<I", 13), "must be aligned to 4"),
    "vtable before the file": (lambda: _at(_place(_root()), "<i", 1 << 30), "vtable of Model must lie"),
    "vtable behind the file": (lambda: _at(_place(_root()), "<i", -(1 << 30)), "vtable of Model must lie"),
    "vtable at an odd place": (
        lambda: _at(_place(_root()), "<i", _place(_root()) - _vtable(_root()) + 1),
        "vtable of Model must be aligned",
    ),
    "vtable of odd size": (lambda: _at(_vtable(_root()), "<H", 7), "4, 6, 8"),
    "vtable too small": (lambda: _at(_vtable(_root()), "<H", 2), "4, 6, 8"),
    "vtable beyond the end": (lambda: _at(_vtable(_root()), "<H", 0xFFFE), "vtable of Model must lie"),
    "table beyond the end": (lambda: _at(_vtable(_root()) + 2, "<H", 0xFFFF), "Model must lie"),
    "field outside its table": (lambda: _at(_vtable(_root()) + 4, "<H", 0x7FFC), "Model.Version must lie"),
    "field behind its table": (
        lambda: _at(_vtable(_root()) + 4, "<H", struct.unpack_from("<H", CNN, _vtable(_root()) + 2)[0]),
        "Model.Version must lie in bytes 4",
    ),
    "field over the vtable offset": (lambda: _at(_vtable(_root()) + 4, "<H", 2), "Model.Version must lie"),
    "field at an odd place": (
        lambda: _at(_vtable(_root()) + 4, "<H", 5), "Model.Version must be aligned|Model.Version must lie"
    ),
    "endless vector": (lambda: _at(_vector(_root(), 4), "<I", 0xFFFFFFFF), "Model.Buffers must lie"),
    "vector one too long": (
        lambda: _at(_vector(_tensor(), 0), "<I", len(CNN)), r"Tensors\[0\].Shape must lie"
    ),
    "offset to a vector beyond the end": (
        lambda: _at(_slot(_root(), 2), "<I", 0x7FFFFFFF), "Model.Subgraphs must lead forward"
    ),
    "offset that is negative": (
        lambda: _at(_slot(_root(), 2), "<I", 0xFFFFFFF0), "Model.Subgraphs must lead forward"
    ),
    "table in a vector at itself": (
        lambda: _at(_vector(_root(), 2) + 4, "<I", 0), r"Model.Subgraphs\[0\] must lead forward"
    ),
    "string beyond the end": (
        lambda: _at(_vector(_tensor(), 3), "<I", 1 << 31), r"Tensors\[0\].Name must lie"
    ),
    "string without end": (lambda: _at(_vector(_tensor(), 3), "<I", 2), "must end in a zero byte"),
    "nested table beyond the end": (
        lambda: _at(_slot(_tensor(), 4), "<I", len(CNN)), r"Tensors\[0\].Quantization must lead"
    ),
    "vtable of a union's table": (
        lambda: _at(_vector(_root().Subgraphs(0).Operators(0), 4), "<i", 1 << 30),
        r"vtable of .*QuantizeOptions\) must lie",
    ),
    "union beyond the end": (
        lambda: _at(_slot(_root().Subgraphs(0).Operators(0), 4), "<I", len(CNN)),
        r"Operators\[0\].BuiltinOptions must lead",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(name):
    make, words = DAMAGE[name]
    data = make()
    assert data != CNN
    with pytest.raises(ModelFileError, match=words):
        read_tflite(data)


def _change(change):
    model = _unpacked()
    change(model, model.subgraphs[0])
    return _packed(model)


def _set(path, value):
    """A change of one attribute, `path` from the model."""
    def change(model, graph):
        *steps, last = path
        for step in steps:
            model = model[step] if isinstance(step, int) else getattr(model, step)
        dtype = np.float32 if value == [1.0] * 3 else np.int32
        setattr(model, last, np.array(value, dtype) if isinstance(value, list) else value)

    return change


FED = ("subgraphs", 0, "tensors", 0)
FIRST = ("subgraphs", 0, "operators", 0)
SENSE = {
    "schema version": (_set(["version"], 2), "schema version 3"),
    "no subgraph": (_set(["subgraphs"], None), "a subgraph"),
    "buffer of a tensor": (_set([*FED, "buffer"], 999), "subgraph 0, tensor 0 must"),
    "buffer of metadata": (_set(["metadata", 0, "buffer"], 999), "the buffer of metadata 0"),
    "negative shape": (_set([*FED, "shape"], [1, -5]), "shape of subgraph 0, tensor 0"),
    "endless shape": (_set([*FED, "shape"], [1 << 30] * 9), "2\\^31 - 1 elements"),
    "code of an operator": (_set([*FIRST, "opcodeIndex"], 99), "code of subgraph 0, operator 0"),
    "input of an operator": (_set([*FIRST, "inputs"], [99]), "an input of subgraph 0, operator 0"),
    "input below -1": (_set([*FIRST, "inputs"], [-2]), r"must be -1 to \d+\. Received: -2"),
    "output of an operator": (_set([*FIRST, "outputs"], [-1]), "an output of subgraph 0"),
    "input of the model": (_set(["subgraphs", 0, "inputs"], [99]), "subgraph 0, an input"),
    "output of the model": (_set(["subgraphs", 0, "outputs"], [-1]), "subgraph 0, an output"),
    "an old metadata buffer": (_set(["metadataBuffer"], [99]), "metadata buffer 0 must be 0 to"),
    "intermediate tensor": (_set([*FIRST, "intermediates"], [99]), "an input of subgraph 0, operator 0"),
    "three channels of one": (lambda model, graph: _quantize(graph, 3, 3), "must have 1 or 1 scales"),
    "three zero points": (lambda model, graph: _quantize(graph, 1, 3), "Received: 1 and 3"),
    "subgraph of a signature": (lambda model, graph: _sign(model, 9, 0), "the subgraph of signature 0"),
    "tensor of a signature": (lambda model, graph: _sign(model, 0, 99), "a tensor of signature 0"),
    "constant too short": (lambda model, graph: _shorten(model, graph), "must have .* bytes"),
    "three scales": (_set([*FED, "quantization", "scale"], [1.0] * 3), "scales and zero points"),
    "buffer behind the end": (_set(["buffers", 0, "offset"], 1 << 40), "buffer 0 must end within"),
}  # fmt: skip


def _quantize(graph, scales, zero_points):
    quantization = graph.tensors[0].quantization
    quantization.scale, quantization.zeroPoint = np.ones(scales, np.float32), np.zeros(zero_points, np.int64)


def _sign(model, subgraph, tensor):
    entry = schema.TensorMapT("x", tensor)
    model.signatureDefs = [schema.SignatureDefT([entry], [entry], "serve", subgraph)]


def _shorten(model, graph):
    tensor = next(t for t in graph.tensors if b"weights" in t.name)
    model.buffers[tensor.buffer].data = model.buffers[tensor.buffer].data[:-1]


@pytest.mark.parametrize("name", SENSE)
def test_nonsense_is_named(name):
    change, words = SENSE[name]
    assert read_tflite(_change(lambda model, graph: None)).size > 0  # unchanged, it is sound
    with pytest.raises(ModelFileError, match=words):
        read_tflite(_change(change))


def test_sense_in_unusual_places():
    """A sparse constant is shorter than its shape; files before 2020 tell operators in one byte."""

    def change(model, graph):
        _shorten(model, graph)
        next(t for t in graph.tensors if b"weights" in t.name).sparsity = schema.SparsityParametersT()
        _sign(model, 0, 0)
        model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
        model.operatorCodes[0].builtinCode = 0

    assert read_tflite(_change(change)).operators[0].name == "CONV_2D"


def test_a_string_that_ends_with_the_file():
    builder = flatbuffers.Builder(64)
    text = builder.CreateString("abc")  # builders work backward: the first thing made is the last
    schema.ModelStart(builder)
    schema.ModelAddDescription(builder, text)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    data = bytes(builder.Output())
    assert data.endswith(b"abc\0")
    with pytest.raises(ModelFileError, match=r"the end of Model.Description must lie"):
        read_tflite(data[:-1])


def _unfolding(count) -> bytes:
    """A few kB that unfold: `count` subgraphs are one, and its `count` tensors are one."""
    builder = flatbuffers.Builder(1024)
    schema.TensorStart(builder)
    tensor = schema.TensorEnd(builder)
    tensors = _offsets(builder, [tensor] * count)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    subgraphs = _offsets(builder, [schema.SubGraphEnd(builder)] * count)
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, subgraphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def _offsets(builder, tables):
    builder.StartVector(4, len(tables), 4)
    for table in tables:
        builder.PrependUOffsetTRelative(table)
    return builder.EndVector()


def _shared_names(count, length) -> bytes:
    """`count` tensors with one name of `length` bytes, all of them inputs."""
    builder = flatbuffers.Builder(1024)
    name = builder.CreateString("x" * length)
    tensors = []
    for _ in range(count):
        schema.TensorStart(builder)
        schema.TensorAddName(builder, name)
        tensors.append(schema.TensorEnd(builder))
    tensors, inputs = _offsets(builder, tensors), builder.CreateNumpyVector(np.arange(count, dtype=np.int32))
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    schema.SubGraphAddInputs(builder, inputs)
    subgraphs = _offsets(builder, [schema.SubGraphEnd(builder)])
    schema.BufferStart(builder)
    buffers = _offsets(builder, [schema.BufferEnd(builder)])
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, subgraphs)
    schema.ModelAddBuffers(builder, buffers)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def test_files_that_unfold_are_refused_at_once():
    start = time.process_time()
    assert len(_unfolding(20_000)) < 200_000  # and 400,000,000 tensors
    with pytest.raises(ModelFileError, match="one table too many"):
        read_tflite(_unfolding(20_000))
    with pytest.raises(ModelFileError, match="shares vectors too often"):
        read_tflite(_shared_names(10_000, 1_000_000))
    assert time.process_time() - start < 10
    assert len(read_tflite(_shared_names(20, 100)).inputs) == 20  # some sharing is usual


def test_one_tensor_named_a_hundred_thousand_times():
    model = _unpacked()
    model.subgraphs[0].inputs = np.zeros(100_000, np.int32)
    found = read_tflite(_packed(model))
    assert len(found.inputs) == 100_000 and len(str(found)) < 10_000


# --- Damage by the thousand. ---

MUTATIONS = 10_000


def test_ten_thousand_mutations(foreign):
    """Each is read or refused with the typed error: no crash, no other exception, no hang."""
    ours = [tflite.emit(SAMPLES[name](), "m").main for name in ("dense_one_by_one", "cnn_odd_5x7x3")]
    files, rng, counts = [*ours, CNN, foreign], random.Random(2026), collections.Counter()
    start = time.process_time()
    for i in range(MUTATIONS):
        damage = mutations.ALL[i % len(mutations.ALL)]
        data = damage(files[i // len(mutations.ALL) % len(files)], rng)
        began = time.process_time()
        try:
            found = read_tflite(data)
        except ModelFileError:
            counts[damage.__name__, "refused"] += 1
        else:
            assert isinstance(found, FileSummary) and str(found)
            assert found.size == len(data) == sum(found.sizes.values()) and min(found.sizes.values()) >= 0
            counts[damage.__name__, "read"] += 1
        assert time.process_time() - began < 2, (damage.__name__, i)
    assert time.process_time() - start < 30
    assert sum(counts.values()) == MUTATIONS
    assert all(counts[damage.__name__, "refused"] > 100 for damage in mutations.ALL), counts
    assert sum(n for (_, what), n in counts.items() if what == "read") > 1000, counts


def test_a_reader_without_the_verifier_does_fail(monkeypatch, foreign):
    """The test above has teeth: the schema classes alone raise all sorts of things."""
    monkeypatch.setattr(bounds, "check", lambda *arguments: None)
    rng, odd = random.Random(2026), 0
    for _ in range(300):
        try:
            read_tflite(mutations.truncate(CNN, rng))
        except GXNORError:
            pass
        except Exception:
            odd += 1
    assert odd > 100


# --- The verifier knows the schema. ---


def test_the_layout_is_that_of_the_schema():
    fields = {f.name: (f.vector, f.width, f.kind) for f in bounds._layout(schema.Tensor)}
    assert fields == {
        "Shape": (True, 4, "scalar"), "Type": (False, 1, "scalar"), "Buffer": (False, 4, "scalar"),
        "Name": (False, 4, "string"), "Quantization": (False, 4, schema.QuantizationParameters),
        "IsVariable": (False, 1, "scalar"), "Sparsity": (False, 4, schema.SparsityParameters),
        "ShapeSignature": (True, 4, "scalar"), "HasRank": (False, 1, "scalar"),
        "VariantTensors": (True, 4, schema.VariantSubType), "ExternalBuffer": (False, 4, "scalar"),
    }  # fmt: skip
    assert bounds._layout(schema.QuantizationParameters)[3] == bounds._Field("ZeroPoint", True, 8, "scalar")
    assert bounds._layout(schema.Operator)[4].kind == "union"


def test_every_table_of_the_schema_is_understood():
    tables = [kind for kind in vars(schema).values() if hasattr(kind, "Init")]
    assert len(tables) > 150
    for table in tables:
        for field in bounds._layout(table):
            if field and field.kind == "union":
                assert all(hasattr(member, "Init") for member in bounds._members(schema, field.name).values())
            elif field:
                assert field.kind in ("scalar", "string") or hasattr(field.kind, "Init"), (table, field)


@pytest.mark.parametrize(
    "dtype, bits", [("FLOAT32", 32), ("INT4", 4), ("BOOL", 8), ("STRING", 0), ("BFLOAT16", 16)]
)
def test_bits(dtype, bits):
    if hasattr(schema.TensorType, dtype):
        assert model_file.bits(schema, getattr(schema.TensorType, dtype)) == bits
    assert model_file.bits(schema, 99) == 0


def test_empty_files_still_have_a_size():
    file = flatbuffer.File()
    found = read_tflite(file.finish("nothing", [], []))
    assert (found.name, found.inputs, found.operators, found.tensors) == ("nothing", (), (), 0)
    assert found.sizes["overhead"] == found.size and found.min_runtime_version is None
