"""The four judges: equal on a sound file, clear about everything else."""

import os
import pathlib
import subprocess
import sys
import time

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_gxnor import reference
from keras_gxnor.converters import flatbuffer, interpreters, tflite
from keras_gxnor.errors import InvalidArgumentError, MissingExtraError, ModelFileError, ToolError
from tests.conformance.samples import SAMPLES, Chain, inputs


@pytest.fixture(scope="module")
def graph():
    return SAMPLES["cnn_small"]()


@pytest.fixture(scope="module")
def model(graph):
    return tflite.emit(graph, "model").main


@pytest.mark.parametrize("kernels", interpreters.KERNELS)
@pytest.mark.parametrize("batch", [1, 64, 131])
def test_batches_of_any_size(graph, model, kernels, batch):
    x, calls = inputs(graph, 200)[:batch], []
    y = interpreters.run(model, x, kernels, progress=lambda done, total: calls.append((done, total)))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, reference.run(graph, x))
    assert calls[-1] == (batch, batch)
    assert calls == sorted(calls) and len(set(calls)) == len(calls)


@pytest.mark.parametrize("kernels", interpreters.KERNELS)
@pytest.mark.parametrize("damage", [lambda m: m[:100], lambda m: m[:8] + b"\xff" * 500, lambda m: b""])
def test_broken_files_are_refused(graph, model, kernels, damage):
    """Before any kernel sees them: TFLite Micro would read outside the file."""
    with pytest.raises(ModelFileError, match=r"corrupt or truncated|flatbuffer has"):
        interpreters.run(damage(model), inputs(graph, 2), kernels)


@pytest.mark.parametrize("kernels", interpreters.KERNELS)
def test_sound_files_that_an_interpreter_cannot_run(graph, kernels):
    """An operator of a version to come: nothing is corrupt, but no kernel knows it."""
    file = flatbuffer.File()
    fed, made = (file.tensor(name, (4,), "float32") for name in ("fed", "made"))
    file.operator("ADD", 99, [fed, fed], made, file.schema.AddOptionsT())
    with pytest.raises(ToolError, match="refused the file"):
        interpreters.run(file.finish("new", [fed], [made]), np.zeros((2, 4), np.float32), kernels)


def test_only_files_with_an_input_and_an_output(graph):
    file = flatbuffer.File()
    fed, made = (file.tensor(name, (4,), "float32") for name in ("fed", "made"))
    file.operator("ADD", 1, [fed, fed], made, file.schema.AddOptionsT())
    for ins, outs in (([], [made]), ([fed], [])):
        with pytest.raises(ModelFileError, match="an input and an output"):
            interpreters.run(file.finish("odd", ins, outs), np.zeros((2, 4), np.float32), "litert_builtin")


def _changed(model, change):
    """The file after `change(its subgraph)`, through the schema's object API."""
    root = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    change(root.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(root.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _set(things, i, name, value):
    return lambda graph: setattr(getattr(graph, things)[i], name, np.array(value, np.int32))


def _zero_point(value):
    return lambda graph: setattr(graph.tensors[0].quantization, "zeroPoint", np.array([value]))


def _scale(value):
    return lambda graph: setattr(graph.tensors[0].quantization, "scale", np.array([value], np.float32))


# Found by mutation: each of these crashed XNNPACK, the built-in kernels or TFLite Micro.
NONSENSE = {
    "zero point": (_zero_point(1 << 31), "zero points of subgraph 0, tensor 0 must be 0 to 255"),
    "negative zero point": (_zero_point(-1), "zero points of subgraph 0, tensor 0 must be 0 to 255"),
    "scale": (_scale(np.nan), "scales of subgraph 0, tensor 0 must be positive"),
    "endless scale": (_scale(np.inf), "scales of subgraph 0, tensor 0 must be positive"),
    "no scale": (_scale(0), "scales of subgraph 0, tensor 0 must be positive"),
    "missing input": (_set("operators", 1, "inputs", [1, -1, 4]), "operator 1 .CONV_2D. must have 2 inputs"),
    "no inputs": (_set("operators", 1, "inputs", [0][:0]), "operator 1 .CONV_2D. must have 2 inputs"),
    "no outputs": (_set("operators", 1, "outputs", []), "operator 1 .CONV_2D. must have .* and an output"),
    "read before made": (_set("operators", 1, "inputs", [1, 2, 4]), "must read what is made before"),
    "made twice": (_set("operators", 1, "outputs", [0]), "must write tensors that nothing else"),
    "never made": (lambda graph: graph.operators.pop(), "must make its outputs"),
}


@pytest.mark.parametrize("kernels", interpreters.KERNELS)
@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused_before_a_kernel_sees_it(graph, model, kernels, name):
    change, words = NONSENSE[name]
    x = inputs(graph, 2)
    np.testing.assert_array_equal(
        interpreters.run(_changed(model, lambda graph: None), x, kernels), reference.run(graph, x)
    )
    with pytest.raises(ModelFileError, match=words):
        interpreters.run(_changed(model, change), x, kernels)


def test_tflite_micro_gets_no_shape_that_the_operators_do_not_make(graph, model):
    for place, shape in ((2, [1, 10, 10, 9]), (2, [1, 1, 1, 8]), (1, [1, 12, 12, 18])):
        damaged = _changed(model, _set("tensors", place, "shape", shape))
        with pytest.raises((ModelFileError, ToolError), match=r"as the operators make it|refused the file"):
            interpreters.run(damaged, inputs(graph, 2), "tflite_micro")


def test_variables_and_empty_constants_need_no_operator():
    file = flatbuffer.File()
    fed, state, sums, made = (file.tensor(name, (4,), "float32") for name in ("fed", "state", "sums", "made"))
    empty = file.constant("empty", np.zeros((1, 0), np.float32))
    file.operator("ADD", 1, [fed, state], sums, file.schema.AddOptionsT())
    file.operator("CONCATENATION", 1, [sums, empty], made, file.schema.ConcatenationOptionsT())
    data = file.finish("odd", [fed], [made])
    with pytest.raises(ModelFileError, match=r"read what is made before it\. Received: tensor 1"):
        interpreters._open(data)
    interpreters._open(_changed(data, lambda graph: setattr(graph.tensors[state], "isVariable", True)))


def test_custom_operators_are_left_to_tflite_micro(graph, model):
    """LiteRT cannot derive their shapes, so that the comparison is left out."""
    root = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    code = root.operatorCodes[0]
    code.deprecatedBuiltinCode = code.builtinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "NEW_THING"
    builder = flatbuffers.Builder(1024)
    builder.Finish(root.Pack(builder), b"TFL3")
    data, x = bytes(builder.Output()), inputs(graph, 2)
    with pytest.raises(ToolError, match="tflite_micro refused the file"):
        interpreters.run(data, x, "tflite_micro")


FUZZ = """
import random
import numpy as np
from keras_gxnor.converters import interpreters, tflite
from keras_gxnor.errors import GXNORError
from tests.conformance.samples import SAMPLES, inputs
from tests.unit import mutations

interpreters._ARENA_BYTES = 1 << 22
rng, ran, refused = random.Random(1), 0, 0
graphs = [SAMPLES[name]() for name in ("cnn_small", "dense_one_by_one")]
files = [(tflite.emit(graph, "m").main, inputs(graph, 2)[:2]) for graph in graphs]
for i in range(1200):
    data, x = files[i % 2]
    damaged = mutations.ALL[i // 8 % len(mutations.ALL)](data, rng)
    try:
        interpreters.run(damaged, x, interpreters.KERNELS[i // 2 % 4])
        ran += 1
    except GXNORError:
        refused += 1
print(ran, refused)
"""


def test_damaged_files_crash_no_kernel():
    """In a process of its own, which a crash would end."""
    root = pathlib.Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FUZZ], capture_output=True, text=True, cwd=root, timeout=200,
        env={**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    ran, refused = map(int, done.stdout.split())
    assert ran > 50 and refused > 800


def test_verifying_is_fast():
    """0.6 MB of weights: milliseconds, against more than that for loading alone."""
    chain = Chain("large", (1024,)).dense(512).step().dense(128).logits()
    model = tflite.emit(chain.graph(), "model").main
    assert len(model) > 580_000
    start = time.process_time()
    for _ in range(10):
        interpreters._open(model)
    assert (time.process_time() - start) / 10 < 0.05


@pytest.mark.parametrize("kernels", interpreters.KERNELS)
def test_inputs_must_fit(graph, model, kernels):
    x = inputs(graph, 2)
    for bad, words in (
        (x[:, 1:], "shape"),
        (x.astype(np.int8), "must be uint8"),
        (x.astype(np.float32), "must be uint8"),
        (x[:0], "at least one"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            interpreters.run(model, bad, kernels)


def test_unknown_kernels(graph, model):
    with pytest.raises(InvalidArgumentError, match="Received: 'gpu'"):
        interpreters.run(model, inputs(graph, 2), "gpu")


@pytest.mark.parametrize(
    "kernels, package, extra",
    [
        ("litert_xnnpack", "ai_edge_litert.interpreter", "export"),
        ("tflite_micro", "tflite_micro.python.tflite_micro.runtime", "mcu"),
    ],
)
def test_missing_packages_name_their_extra(monkeypatch, graph, model, kernels, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"keras_gxnor\[{extra}\]"):
        interpreters.run(model, inputs(graph, 2), kernels)
