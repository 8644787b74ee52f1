"""The four judges: equal on a sound file, clear about everything else."""

import sys

import numpy as np
import pytest

from keras_gxnor import reference
from keras_gxnor.converters import flatbuffer, interpreters, tflite
from keras_gxnor.errors import InvalidArgumentError, MissingExtraError, ModelFileError, ToolError
from tests.conformance.samples import SAMPLES, inputs


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


def test_only_files_with_one_input_and_one_output(graph):
    file = flatbuffer.File()
    fed, made = (file.tensor(name, (4,), "float32") for name in ("fed", "made"))
    file.operator("ADD", 1, [fed, fed], made, file.schema.AddOptionsT())
    for ins, outs in (([], [made]), ([fed], []), ([fed, fed], [made])):
        with pytest.raises(ModelFileError, match="one input and one output"):
            interpreters.run(file.finish("odd", ins, outs), np.zeros((2, 4), np.float32), "litert_builtin")


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
