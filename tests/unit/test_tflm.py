"""What stands around the .tflite says what the file says, compiles, and notices a wrong bit."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_gxnor import graph as g
from keras_gxnor.converters import TARGETS, arena, convert, interpreters, readback, tflite, tflm, verify
from keras_gxnor.converters.verification import _CHECKED_BY, BACKENDS
from keras_gxnor.errors import MissingExtraError, ToolError, UnsupportedGraphError, VerificationError
from tests.conformance.samples import SAMPLES, Chain, inputs
from tests.unit.test_names import HOSTILE

STUB = pathlib.Path(__file__).resolve().parent / "tflm_stub"
ZIG = [sys.executable, "-m", "ziglang"]
WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Werror"
CXX = [*ZIG, "c++", "-std=c++17", *WARNINGS.split()]
NETS = {
    "cnn_small": SAMPLES["cnn_small"],
    "dense_int8_input": SAMPLES["dense_int8_input"],
    "pools_and_signs": SAMPLES["cnn_pool_flatten_flipped"],
    "depthwise_float_last": lambda: (
        Chain("x", (9, 8, 4), g.InputSpec("uint8", 1 / 255, 200))
        .conv(12, 3, padding="same", groups=4).logits().graph()
    ),
    "spatial_logits": SAMPLES["cnn_spatial_logits"],
}  # fmt: skip


@pytest.fixture(scope="module")
def artifacts():
    return {name: tflm.emit(build(), name) for name, build in NETS.items()}


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
        f"{name}_vectors.h", "main.cc", "README.md",
    ]
    base = tflite.emit(NETS[name](), name)
    assert artifact.main == base.main
    assert artifact.sizes == {**base.sizes, **{k: artifact.sizes[k] for k in ("arena_measured", "arena")}}
    for path in list(artifact.files)[1:-1]:
        assert "SPDX-License-Identifier: 0BSD" in artifact.files[path].decode("ascii")
        assert max(map(len, artifact.files[path].decode().splitlines())) <= 120
    readme = source(artifact, "README.md")
    for path, data in artifact.files.items():
        assert f"| `{path}` | {len(data) if path != 'README.md' else ''}".rstrip() in readme
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
    "depthwise_float_last": "Quantize Cast Add DepthwiseConv2D Mul",
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
    return {names[model.operatorCodes[op.opcodeIndex].builtinCode] for op in model.subgraphs[0].operators}


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
    assert np.float32(number(artifacts["depthwise_float_last"], "kInputScale")) == np.float32(1 / 255)


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
    assert seen == given
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


def test_hostile_names_compile(tmp_path, monkeypatch):
    monkeypatch.setattr(arena, "measure", lambda *args: 1600)
    for text in ("tflite", "std", "*/ int x; /*", '"', "a\\", "??/"):
        graph = SAMPLES["dense_only"]()
        artifact = tflm.emit(g.Graph(graph.nodes, graph.outputs, text), text)
        build(tmp_path / artifact.name, artifact, link=False)


# --- The arena. ---


def allocates(data, size):
    from tflite_micro.python.tflite_micro import runtime

    return runtime.Interpreter.from_bytes(data, arena_size=size)


@pytest.mark.parametrize("name", NETS)
def test_the_measured_arena_works_and_less_fails(artifacts, name, capfd):
    data, measured = artifacts[name].main, artifacts[name].sizes["arena_measured"]
    x = inputs(NETS[name]())[:1]
    interpreter = allocates(data, measured)
    interpreter.set_input(x, 0)
    interpreter.invoke()
    assert (interpreter.get_output(0) == interpreters.run(data, x, "tflite_micro")).all()
    with pytest.raises(RuntimeError, match="failed to allocate"):
        allocates(data, measured - 16)
    assert measured % 16 == 0


def test_the_margin(artifacts):
    artifact = artifacts["cnn_small"]
    scratch = 4 * -(-3 * 3 * 8 // 16) * 16  # four windows of 3 x 3 x 8 bytes, filled up
    assert artifact.sizes["arena"] == -(-(artifact.sizes["arena_measured"] + scratch + 512) // 16) * 16
    assert number(artifact, "kArenaSize") == artifact.sizes["arena"]
    assert number(artifact, "kArenaSizeMeasured") == artifact.sizes["arena_measured"]


def test_scratch_of_each_kernel():
    def step(name, x, kernel, y, dtype="int8"):
        return readback.Step(
            name, tuple(readback.Tensor(s, dtype, (), ()) for s in (x, kernel)),
            (readback.Tensor(y, dtype, (), ()),),
        )  # fmt: skip

    conv = step("CONV_2D", (1, 9, 9, 4), (8, 3, 3, 2), (1, 7, 7, 8))  # grouped: all channels count
    narrow = step("DEPTHWISE_CONV_2D", (1, 9, 9, 4), (1, 3, 3, 8), (1, 7, 7, 8))
    wide = step("DEPTHWISE_CONV_2D", (1, 9, 9, 400), (1, 3, 3, 400), (1, 7, 7, 400))
    sums = step("DEPTHWISE_CONV_2D", (1, 9, 9, 4), (1, 3, 3, 8), (1, 7, 7, 8), "int16")
    dense = step("FULLY_CONNECTED", (1, 70), (33, 70), (1, 33))
    pool = step("AVERAGE_POOL_2D", (1, 8, 8, 5), (1,), (1, 4, 4, 5))
    sizes = [arena.kernel_scratch([s]) for s in (conv, narrow, wide, sums, dense, pool)]
    assert sizes == [4 * 48, 9 * 496, 9 * 800, 8 * 36 + 8, 132, 20]
    floats = step("CONV_2D", (1, 9, 9, 4), (8, 3, 3, 4), (1, 7, 7, 8), "float32")
    assert arena.kernel_scratch([floats]) == 0  # only integer kernels are optimized
    assert arena.kernel_scratch([conv, dense]) == 192 and arena.kernel_scratch([]) == 0
    assert arena.kernel_scratch([step("RESHAPE", (1, 2), (2,), (1, 2))]) == 0


def test_a_crash_counts_as_too_small():
    log = [("try", 64), ("fails", 64), ("try", 96), ("works", 96), ("try", 80)]
    assert arena._bounds(log, 0, 1 << 28) == (80, 96)
    assert arena._bounds([], 16, 96) == (16, 96)
    assert arena._bounds([("try", 96)], 16, 96) == (96, 96)


@pytest.fixture
def small():
    graph = SAMPLES["dense_only"]()
    return tflite.emit(graph, "net").main, *tflm._vectors(graph)


def test_a_kernel_that_crashes_in_a_small_arena_harms_nobody(small, monkeypatch):
    line = "    try:\n"
    crash = f"    if size < 4000: __import__('os').abort()\n{line}"
    monkeypatch.setattr(arena, "_PROBE", arena._PROBE.replace(line, crash))
    assert arena.measure(*small) == 4000


def test_a_crash_while_running_is_an_error(small, monkeypatch):
    monkeypatch.setattr(arena, "_PROBE", arena._PROBE.replace("made.invoke()", "__import__('os').abort()"))
    with pytest.raises(ToolError, match="refused the file"):
        arena.measure(*small)


def test_the_readme_s_numbers():
    """They do not depend on the weights: another net of the same shapes has the same arena."""
    chain = Chain("digits", (64,), g.InputSpec("uint8", 1 / 8, 8)).dense(256).step().dense(10).logits()
    sizes = tflm.emit(chain.graph(), "digits").sizes
    text = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text()
    assert f"({sizes['arena_measured']:,} bytes for the net above)" in text
    assert f"kernels ({sizes['arena']:,} bytes)" in text


def test_files_that_never_run_are_refused():
    graph = SAMPLES["dense_only"]()
    data = tflite.emit(graph, "net").main
    with pytest.raises(ToolError, match="refused the file"):
        arena.measure(data[:8] + b"\xff" * 500, *tflm._vectors(graph))


def test_a_wrong_bit_in_the_measurement_is_refused(small):
    data, x, expected = small
    assert arena.measure(*small) == tflm.emit(SAMPLES["dense_only"](), "net").sizes["arena_measured"]
    nudged = expected.copy()
    nudged[1, 2] = np.nextafter(nudged[1, 2], np.float32(np.inf))
    with pytest.raises(VerificationError, match="differs from the reference in 1 of 9"):
        arena.measure(data, x, nudged)
    with pytest.raises(VerificationError, match="Expected: float32 of shape"):
        arena.measure(data, x, expected[:2])
    with pytest.raises(VerificationError, match="differs"):  # equal numbers, other bits
        arena._check_bits(np.float32([0.0]), np.float32([-0.0]))


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


# --- The sources compile and run, against a stand-in for TFLM's headers (tflm_stub). ---


def build(folder, artifact, link=True):
    """Compiles an artifact; the stand-in gives the outputs of the wheel's interpreter."""
    artifact.write(folder, force=True)
    (folder / "case.h").write_text(case(artifact))
    sources = ["main.cc", f"{artifact.name}_model.cc"]
    flags = ["-fno-exceptions", "-fno-rtti", "-isystem", STUB, "-I."]
    flags += ["-O1", "-fsanitize=undefined", "-fsanitize-trap=undefined"]
    for path in sources:
        command([*CXX, *flags, "-c", path], folder)
    if link:  # as C: nothing of a C++ library is needed
        objects = [path.replace(".cc", ".o") for path in sources]
        command([*ZIG, "cc", *objects, "-o", "program"], folder)


def command(words, folder):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def case(artifact):
    """What the stand-in plays: the arena, the operators, and the real interpreter's outputs."""
    x, _ = tflm._vectors(artifact.graph)
    y = np.zeros((3, 3), np.float32)
    if artifact.sizes["arena_measured"] != 1600:  # else the file is only compiled
        y = interpreters.run(artifact.main, x, "tflite_micro")
    row = lambda values, show: "{" + ",".join(map(show, values)) + "}"
    rows = lambda values, show: ",".join(row(v, show) for v in values.reshape(3, -1).tolist())
    methods = ",".join(f'"{tflm._METHODS[name]}"' for name in used(artifact.main))
    size, kind = x[0].size, {"uint8": "kTfLiteUInt8", "int8": "kTfLiteInt8"}[x.dtype.name]
    return f"""
#pragma once
#include "tensorflow/lite/c/common.h"
namespace stub {{
constexpr size_t kArena = {artifact.sizes["arena_measured"]};
constexpr TfLiteType kInputType = {kind};
constexpr {x.dtype}_t kInputs[3][{size}] = {{{rows(x, str)}}};
constexpr uint32_t kOutputs[3][{y[0].size}] = {{{rows(y.view(np.uint32), hex)}}};
constexpr const char* kMethods[] = {{{methods}}};
}}
"""


def run(folder):
    done = subprocess.run([folder / "program"], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


@pytest.mark.parametrize("name", NETS)
def test_the_example_runs_and_finds_all_equal(artifacts, name, tmp_path):
    build(tmp_path, artifacts[name])
    code, printed = run(tmp_path)
    assert code == 0 and f"{name}: 3 of 3 tests equal in every bit" in printed


def edited(artifact, ending, change):
    path = next(path for path in artifact.files if path.endswith(ending))
    text = artifact.files[path].decode("ascii")
    assert change(text) != text
    return type(artifact)(
        artifact.target, artifact.name, artifact.graph,
        {**artifact.files, path: change(text).encode()}, artifact.sizes,
    )  # fmt: skip


def one_bit(text):
    start = text.index("kTestOutputs")
    first = re.compile(r"0x([0-9a-f]{8})u").search(text, start)
    return f"{text[: first.start()]}0x{int(first[1], 16) ^ 1:08x}u{text[first.end() :]}"


@pytest.mark.parametrize(
    "ending, change, words",
    [
        ("_vectors.h", one_bit, "2 of 3 tests equal"),
        ("_settings.h", lambda t: re.sub(r"kArenaSize = \d+", "kArenaSize = 160", t), "arena: 160 bytes"),
        ("_settings.h", lambda t: re.sub(r"kOperators = \d+", "kOperators = 3", t), "resolver is too small"),
        ("_settings.h", lambda t: re.sub(r".*AddMul.*\n", "", t), "AllocateTensors failed"),
        ("_settings.h", lambda t: t.replace("= kTfLiteUInt8", "= kTfLiteInt8"), "not what cnn_small_set"),
        ("_vectors.h", lambda t: re.sub(r"\{\n +(\d+),", "{\n 7,", t, count=1), "test 0: Invoke failed"),
    ],
)
def test_the_example_notices(artifacts, tmp_path, ending, change, words):
    """One wrong bit, too little memory, a missing operator, another type: a non-zero exit code."""
    build(tmp_path, edited(artifacts["cnn_small"], ending, change))
    code, printed = run(tmp_path)
    assert code == 1 and words in printed, printed


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
