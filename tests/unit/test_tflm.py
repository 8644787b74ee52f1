"""What stands around the .tflite says what the file says, compiles, and notices a wrong bit."""

import functools
import re
import sys

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import TARGETS, arena, convert, interpreters, readback, tflite, tflm, verify
from keras_gxnor.converters.verification import _CHECKED_BY, BACKENDS
from keras_gxnor.errors import MissingExtraError, UnsupportedGraphError, VerificationError
from tests.conformance.samples import SAMPLES, Chain, inputs
from tests.unit.test_names import HOSTILE

NETS = {
    "cnn_small": SAMPLES["cnn_small"],
    "dense_int8_input": SAMPLES["dense_int8_input"],
    "pools_and_signs": SAMPLES["cnn_pool_flatten_flipped"],
    "depthwise_last": lambda: (
        Chain("x", (9, 8, 4), g.InputSpec("uint8", 1 / 255, 200))
        .conv(12, 3, padding="same", groups=4).logits().graph()
    ),
    "spatial_logits": SAMPLES["cnn_spatial_logits"],
}  # fmt: skip


def units(name, outputs=1):
    """A graph whose logits are sums times 1/8, and of a second output times 1/4."""
    chain = Chain(name, (9, 9, 1)).conv(7).step()
    body, ends = chain.here, []
    for end in range(outputs):
        chain.at(body).conv(5, 4) if end else chain.flatten().dense(5)
        chain.add(g.Affine(np.full(5, (end + 1) / 8, np.float32), np.zeros(5, np.float32)))
        ends.append(chain.here)
    return chain.graph(*ends)


# {name: (graph, options)}: several inputs and outputs, and every option.
ENDS = {
    "two_inputs": (SAMPLES["two_inputs_joined"], {}),
    "two_outputs": (SAMPLES["two_outputs"], {}),
    "floats": (SAMPLES["cnn_int8_input"], {"inputs": "float32", "weights": "int4"}),
    "two_floats": (SAMPLES["two_inputs_added"], {"inputs": "float32"}),
    "sums": (lambda: units("sums"), {"outputs": "int16", "weights": "decode"}),
    "two_sums": (lambda: units("two_sums", 2), {"outputs": "int16"}),
    "label": (SAMPLES["cnn_small"], {"outputs": "argmax"}),
    "two_labels": (SAMPLES["two_outputs"], {"outputs": "argmax"}),
    "decode": (SAMPLES["dense_100"], {"weights": "decode"}),
    "decode_in_parts": (SAMPLES["dense_100"], {"weights": "decode", "split": 2000}),
}


@functools.cache
def made(name):
    """The artifact of one of NETS or ENDS."""
    build, options = ENDS[name] if name in ENDS else (NETS[name], {})
    return tflm.emit(build(), name, **options)


@pytest.fixture
def artifacts():
    return {name: made(name) for name in NETS}


def source(artifact, ending):
    return next(data for path, data in artifact.files.items() if path.endswith(ending)).decode("ascii")


def number(artifact, name):
    return float(re.search(rf"{name} = (.+?)f?;", source(artifact, "_settings.h"))[1])


# --- What the files say. ---


@pytest.mark.parametrize("name", NETS)
def test_the_files(artifacts, name):
    artifact = artifacts[name]
    assert artifact.target == "tflm" and artifact.name == name
    assert list(artifact.files) == [
        f"{name}.tflite", f"{name}_model.h", f"{name}_model.cc", f"{name}_settings.h",
        f"{name}_vectors.h", f"{name}_main.cc", f"{name}_README.md",
    ]
    base = tflite.emit(NETS[name](), name)
    assert artifact.main == base.main
    assert artifact.sizes == {**base.sizes, **{k: artifact.sizes[k] for k in ("arena_measured", "arena")}}
    for path in list(artifact.files)[1:-1]:
        assert "SPDX-License-Identifier: 0BSD" in artifact.files[path].decode("ascii")
        assert max(map(len, artifact.files[path].decode().splitlines())) <= 120
    readme = source(artifact, "README.md")
    for path, data in artifact.files.items():
        assert f"| `{path}` | {'' if path.endswith('README.md') else len(data)}".rstrip() in readme
    assert "0BSD" in readme and f"| `kArenaSize`, rounded up to 16 | {artifact.sizes['arena']} |" in readme


@pytest.mark.parametrize("name", NETS)
def test_the_array_is_the_file(artifacts, name):
    text = source(artifacts[name], "_model.cc")
    body = re.search(r"alignas\(16\) const unsigned char kModel\[kModelSize\] = \{(.*?)\};", text, re.S)[1]
    data = bytes(int(byte, 16) for byte in re.findall("0x[0-9a-f]{2}", body))
    assert data == artifacts[name].main
    assert f"kModelSize = {len(data)};" in source(artifacts[name], "_model.h")


METHODS = {
    "cnn_small": "Quantize Conv2D MaxPool2D Reshape Cast FullyConnected Dequantize Mul Add",
    "dense_int8_input": "FullyConnected Cast Dequantize Mul Add",
    "pools_and_signs": "Quantize Conv2D MaxPool2D Mul Reshape FullyConnected Cast Dequantize Add",
    "depthwise_last": "Quantize Cast Add DepthwiseConv2D Dequantize Mul",
    "spatial_logits": "Quantize Conv2D Cast Dequantize Mul Add",
}


@pytest.mark.parametrize("name", NETS)
def test_the_resolver_lists_the_operators_of_the_file_once(artifacts, name):
    text = source(artifacts[name], "_settings.h")
    listed = re.findall(r"resolver\.Add(\w+)\(\)", text)
    assert sorted(listed) == sorted(set(listed)) and f"kOperators = {len(listed)};" in text
    assert {f"Add{method}" for method in listed} == {tflm._METHODS[n] for n in used(artifacts[name].main)}
    assert set(listed) == set(METHODS[name].split())


def used(data):
    """The operators of a file, read by the schema's object API and not by our own reader."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    codes = [model.operatorCodes[op.opcodeIndex] for op in model.subgraphs[0].operators]
    return {code.customCode.decode() if code.customCode else names[code.builtinCode] for code in codes}


def test_operators_of_two_versions_are_registered_once(artifacts):
    """The last FULLY_CONNECTED is an int16 one, with another operator code."""
    model = schema.Model.GetRootAs(artifacts["pools_and_signs"].main)
    codes = [model.OperatorCodes(i).BuiltinCode() for i in range(model.OperatorCodesLength())]
    assert codes.count(schema.BuiltinOperator.FULLY_CONNECTED) == 2
    assert source(artifacts["pools_and_signs"], "_settings.h").count("AddFullyConnected()") == 1


def test_custom_operators_are_read_by_their_name():
    code = schema.OperatorCodeT(32, b"TFLM_DECODE", 1, schema.BuiltinOperator.CUSTOM)
    tensor = schema.TensorT([1, 2], schema.TensorType.INT8, 0, "t")
    step = schema.OperatorT(0, [0, -1], [0])
    graph = schema.SubGraphT([tensor], [0], [0], [step], "g")
    model = schema.ModelT(3, [code], [graph], "m", [schema.BufferT()])
    import flatbuffers

    builder = flatbuffers.Builder(64)
    builder.Finish(model.Pack(builder), b"TFL3")
    read = readback.read(bytes(builder.Output()))
    assert read.operators == ("TFLM_DECODE",) and len(read.steps[0].inputs) == 1
    assert tflm._method("TFLM_DECODE") == "AddDecode"


def test_an_unknown_operator_is_named(monkeypatch):
    monkeypatch.delitem(tflm._METHODS, "RESHAPE")
    with pytest.raises(UnsupportedGraphError, match=r"Operator `RESHAPE`.*Received: 'RESHAPE'"):
        tflm.emit(SAMPLES["cnn_small"](), "net")


def test_every_method_belongs_to_an_operator_of_the_schema():
    for name in tflm._METHODS:
        assert hasattr(schema.BuiltinOperator, name) or name == "TFLM_DECODE"
    wanted = """QUANTIZE DEQUANTIZE CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED MAX_POOL_2D RESHAPE MUL ADD
        SUB CAST CONCATENATION PAD PADV2 MEAN SUM ARG_MAX AVERAGE_POOL_2D TFLM_DECODE SPLIT STRIDED_SLICE
        MINIMUM MAXIMUM DIV"""
    assert set(wanted.split()) <= set(tflm._METHODS)


def test_shapes_types_and_scales(artifacts):
    artifact = artifacts["dense_int8_input"]
    text = source(artifact, "_settings.h")
    assert "using InputType = int8_t;" in text and "kInputType = kTfLiteInt8;" in text
    assert "kInputShape[kInputRank] = { 1, 30 };" in text and "kOutputShape[kOutputRank] = { 1, 4 };" in text
    assert "using OutputType = float;" in text
    assert (number(artifact, "kInputScale"), number(artifact, "kInputZeroPoint")) == (1 / 64, -3)
    shape = NETS["spatial_logits"]().check()[-1].shape
    assert number(artifacts["spatial_logits"], "kOutputSize") == np.prod(shape) > 64
    assert np.float32(number(artifacts["depthwise_last"], "kInputScale")) == np.float32(1 / 255)


def test_equal_graphs_give_equal_files(artifacts):
    again = tflm.emit(SAMPLES["cnn_small"](), "cnn_small")
    assert again.files == artifacts["cnn_small"].files and again.sizes == artifacts["cnn_small"].sizes


def test_options_go_to_the_tflite_emitter(monkeypatch):
    seen, emit = {}, tflite.emit

    def spy(graph, name, **options):
        seen.update(options)
        return emit(graph, name)

    monkeypatch.setattr(tflite, "emit", spy)
    given = {"weights": "int4", "split": 9, "inputs": "codes", "outputs": "float32"}
    tflm.emit(SAMPLES["dense_only"](), "net", **given)
    assert seen == {**given, "labels": None, "version": None, "sums": "int16"}
    monkeypatch.undo()
    with pytest.raises(TypeError, match="colour"):
        tflm.emit(SAMPLES["dense_only"](), "net", colour="red")


@pytest.mark.parametrize("text", [*HOSTILE[:35], "std", "tflite", "main", "readme", "x_model"])
def test_hostile_names(text, monkeypatch, tmp_path):
    monkeypatch.setattr(arena, "measure", lambda *args: 1600)
    graph = SAMPLES["dense_only"]()
    graph = g.Graph(graph.nodes, graph.outputs, text)
    artifact = tflm.emit(graph, text)
    assert len({path.lower() for path in artifact.files}) == 7
    paths = artifact.write(tmp_path / "out")
    assert {path.parent for path in paths} == {tmp_path / "out"}
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    space = f"namespace {artifact.name}_tflm {{"
    for ending in ("_model.h", "_model.cc", "_settings.h", "_vectors.h"):
        lines = source(artifact, ending).splitlines()
        assert lines.count(space) == 1 and all(line.startswith("//") for line in lines[:3])
        # Nothing of the name got out of the comment.
        assert lines[1].startswith("// Made by") and lines[3].startswith("#")


# --- Several inputs and outputs, floats, sums and classes. ---


def vectors(artifact, kind, dtype):
    """The numbers of _vectors.h: one array (3, size) for each input or output, as `dtype`."""
    text, found = source(artifact, "_vectors.h"), []
    for _, _, body in re.findall(rf"(\w+) kTest{kind}s(\d*)\[kTests\].*? = \{{(.*?)\n\}};", text, re.S):
        numbers = re.findall(r"[-\w.+]+", body)
        if dtype == np.float32 and kind == "Output":
            found.append(np.array([int(n.removesuffix("u"), 16) for n in numbers], np.uint32).view(dtype))
        else:
            found.append(np.array([n.rstrip("f") for n in numbers], np.float64).astype(dtype))
    return [part.reshape(3, -1) for part in found]


@pytest.mark.parametrize("name", [*NETS, *ENDS])
def test_the_vectors_are_the_reference_s(name):
    """Read from the text; floats go back to their codes, sums and classes come from the logits."""
    artifact = made(name)
    graph, codes = artifact.graph, []
    floats = artifact.inputs == "float32"
    dtypes = {"float32": np.float32, "int16": np.int16, "argmax": np.int32}
    fed = vectors(artifact, "Input", np.float32 if floats else np.int64)
    for op, part in zip(graph.inputs, fed, strict=True):
        q = np.rint(part / op.spec.scale + op.spec.zero_point) if floats else part
        assert len(np.unique(q)) > 5 and (q == q.astype(op.spec.dtype)).all()
        codes.append(q.astype(op.spec.dtype).reshape(3, *op.shape))
    truth = reference.run(graph, tuple(codes) if len(codes) > 1 else codes[0])
    truth = truth if isinstance(truth, tuple) else (truth,)
    outputs = vectors(artifact, "Output", dtypes[artifact.outputs])
    for i, (part, logits) in enumerate(zip(outputs, truth, strict=True)):
        if artifact.outputs == "int16":
            part = part * np.float32((i + 1) / 8)
        if artifact.outputs == "argmax":
            logits = logits.argmax(-1)
        assert np.array_equal(part, logits.reshape(3, -1))


def test_the_settings_of_each_end():
    text = source(made("two_inputs"), "_settings.h")
    assert "using Input0Type = uint8_t;" in text and "using Input1Type = int8_t;" in text
    assert "kInput0Shape[kInput0Rank] = { 1, 8, 8, 1 };" in text and "kInput1Size = 11;" in text
    assert "kInput0ZeroPoint = 128;" in text and "kInput1ZeroPoint = 3;" in text
    assert "kOutputShape[kOutputRank] = { 1, 3 };" in text and "Output0" not in text
    text = source(made("two_outputs"), "_settings.h")
    assert "kOutput0Size = 4;" in text and "kOutput1Shape[kOutput1Rank] = { 1, 5, 5, 3 };" in text
    assert "kInputSize = 128;" in text and "Scale * s" not in text
    text = source(made("two_floats"), "_settings.h")
    assert "kInput1Type = kTfLiteFloat32;" in text and "using Input0Type = float;" in text
    assert "numbers x" in text and "whole q of -128..127" in text and "kInput1ZeroPoint = 3;" in text
    assert number(made("two_floats"), "kInput1Scale") == 1 / 64
    text = source(made("two_sums"), "_settings.h")
    assert "using Output0Type = int16_t;" in text and "kOutput1Type = kTfLiteInt16;" in text
    assert [number(made("two_sums"), f"kOutput{i}Scale") for i in (0, 1)] == [1 / 8, 1 / 4]
    assert number(made("sums"), "kOutputScale") == 1 / 8
    text = source(made("two_labels"), "_settings.h")
    assert "kOutput0Type = kTfLiteInt32;" in text and "kOutput1Shape[kOutput1Rank] = { 1, 5, 5 };" in text
    assert "resolver.AddArgMax()" in text and "classes, one a position" in text
    assert "resolver.AddDecode()" in source(made("decode"), "_settings.h")
    assert "`AddDecode` came" in source(made("decode"), "README.md")
    assert "`AddDecode` came" not in source(made("label"), "README.md")


@pytest.mark.parametrize("name", ENDS)
def test_the_artifact_says_what_its_file_takes(name):
    build, options = ENDS[name]
    artifact, base = made(name), tflite.emit(build(), name, **options)
    assert artifact.main == base.main and artifact.runs_on == base.runs_on
    assert (artifact.inputs, artifact.outputs) == (base.inputs, base.outputs)
    kernels = [kernel for kernel in interpreters.KERNELS if kernel in (base.runs_on or interpreters.KERNELS)]
    report = verify(artifact.graph, artifact, inputs(artifact.graph), kernels)
    assert report.ok and set(report.images) == set(kernels)
    readme = source(artifact, "README.md")
    for word in re.findall(r"`(\w+::\w+Type)`", readme):
        assert f"using {word.split('::')[1]} = " in source(artifact, "_settings.h")
    assert readme.count("Input 1 of 2") == (len(artifact.graph.inputs) == 2)
    assert readme.count("Output 1 of 2") == (len(artifact.graph.outputs) == 2)


def test_hostile_names_of_inputs_and_outputs(monkeypatch):
    monkeypatch.setattr(arena, "measure", lambda *args: 1600)
    graph = SAMPLES["two_inputs_joined"]()
    nodes = [g.Node(f"*/ `#{i}\n??/", node.op, node.inputs) for i, node in enumerate(graph.nodes)]
    artifact = tflm.emit(g.Graph(tuple(nodes), (*graph.outputs, 5), graph.name), "net")
    text = source(artifact, "_settings.h")
    assert text.count("// Input 1 of 2, `_/ '#1___/`.\n") == 1 and "Output 1 of 2" in text


def test_missing_wheel(monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro.runtime", None)
    with pytest.raises(MissingExtraError, match=r"keras_gxnor\[mcu\]"):
        convert(SAMPLES["dense_only"](), "tflm")


def test_overflowing_logits_are_refused():
    chain = Chain("net", (4,)).dense(1)
    for _ in range(3):
        chain.add(g.Affine(np.array([1e30], np.float32), np.array([1e30], np.float32)))
    with np.errstate(over="ignore"), pytest.raises(UnsupportedGraphError, match=r"`affine_4`.*overflow"):
        tflm.emit(chain.graph(), "net")


# --- As a target of convert and verify. ---


def test_every_back_end_judges_the_artifact_s_own_file(monkeypatch):
    graph = SAMPLES["cnn_small"]()
    artifact = convert(graph, "tflm", name="net")
    monkeypatch.setattr(tflite, "emit", None)  # nothing may be written anew
    monkeypatch.setitem(TARGETS, "tflite", None)
    report = verify(graph, artifact, inputs(graph))
    assert report.ok and list(report.images) == list(BACKENDS)
    nodes = list(graph.nodes)
    last = max(i for i, node in enumerate(nodes) if isinstance(node.op, g.Dense))
    nodes[last] = g.Node(nodes[last].name, g.Dense(-nodes[last].op.kernel), nodes[last].inputs)
    other = g.Graph(tuple(nodes), graph.outputs, graph.name)
    report = verify(other, artifact, inputs(graph))
    assert min(report.mismatches.values()) > 0


def test_the_self_check_runs_tflite_micro(monkeypatch):
    assert "tflite_micro" in _CHECKED_BY["tflm"]
    seen, real = [], interpreters.run
    monkeypatch.setattr(
        interpreters, "run", lambda model, x, kernels, *a: seen.append(kernels) or real(model, x, kernels, *a)
    )
    convert(SAMPLES["dense_only"](), "tflm")
    assert seen == ["litert_xnnpack", "litert_builtin", "tflite_micro"]


def test_a_broken_emitter_is_refused(monkeypatch):
    graph, other = SAMPLES["dense_100"](), SAMPLES["dense_100"]()
    nodes = list(other.nodes)
    nodes[1] = g.Node(nodes[1].name, g.Dense(-nodes[1].op.kernel), nodes[1].inputs)
    other = g.Graph(tuple(nodes), other.outputs, other.name)
    emit = tflite.emit
    monkeypatch.setattr(tflite, "emit", lambda graph, name, **options: emit(other, name))
    with pytest.raises(VerificationError, match="tflite_micro differs from the reference"):
        convert(graph, "tflm")
