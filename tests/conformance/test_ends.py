"""Float inputs, int16 sums and classes as outputs: equal on every kernel, refused where they cannot be."""

import dataclasses
import functools

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import convert, interpreters, tflite, verify
from keras_gxnor.errors import InvalidArgumentError, UnsupportedGraphError, VerificationError
from tests.conformance.samples import SAMPLES, Chain, inputs

NAMES = ["cnn_small", "cnn_int8_input", "two_inputs_joined", "two_outputs", "inception", "cnn_spatial_logits"]
LITE = list(interpreters.KERNELS)


def _plain(name, bias=0.0):
    """A graph whose logits are sums times 1/8."""
    chain = Chain(name, (9, 9, 1)).conv(7).step().flatten().dense(5)
    return chain.add(g.Affine(np.full(5, 1 / 8, np.float32), np.full(5, bias, np.float32))).graph()


@pytest.mark.parametrize("name", NAMES)
def test_float_inputs(name):
    graph = SAMPLES[name]()
    artifact = tflite.emit(graph, name, inputs="float32")
    report = verify(graph, artifact, inputs(graph, 12), LITE)
    assert report.ok and set(report.images) == set(LITE), report


def test_float_inputs_are_rounded_to_the_nearest_code():
    graph = SAMPLES["cnn_small"]()
    artifact, spec = tflite.emit(graph, "near", inputs="float32"), graph.input.spec
    q = inputs(graph, 12)
    shift = np.random.default_rng(0).uniform(-0.49, 0.49, q.shape)
    x = (spec.scale * (q.astype(float) + shift - spec.zero_point)).astype(np.float32)
    for kernels in LITE:
        assert np.array_equal(interpreters.run(artifact.main, x, kernels), reference.run(graph, q))


@pytest.mark.parametrize("name", NAMES)
def test_classes(name):
    graph = SAMPLES[name]()
    artifact = tflite.emit(graph, name, outputs="argmax")
    assert verify(graph, artifact, inputs(graph, 12), LITE).ok
    made = interpreters.run(artifact.main, inputs(graph, 12), LITE[0])
    truth = reference.run(graph, inputs(graph, 12))
    for part, logits in zip(*(y if isinstance(y, tuple) else (y,) for y in (made, truth)), strict=True):
        assert part.dtype == np.int32 and np.array_equal(part, logits.argmax(-1))


def test_equal_logits_give_the_first_class():
    nodes = SAMPLES["cnn_small"]().nodes[:-1]
    zero = g.Affine(np.zeros(10, np.float32), np.zeros(10, np.float32))
    graph = g.Graph((*nodes, g.Node("zero", zero, (len(nodes) - 1,))), (len(nodes),))
    for kernels in LITE:
        made = interpreters.run(tflite.emit(graph, "t", outputs="argmax").main, inputs(graph), kernels)
        assert not made.any()


@pytest.mark.parametrize("weights", ["int8", "int4", "decode"])
def test_int16_sums(weights):
    graph = _plain("sums")
    artifact = tflite.emit(graph, "sums", weights, outputs="int16")
    kernels = artifact.runs_on or LITE
    assert verify(graph, artifact, inputs(graph, 12), kernels).ok
    made = interpreters.run(artifact.main, inputs(graph, 12), kernels[-1])
    assert made.dtype == np.int16
    assert np.array_equal(made / np.float32(8), reference.run(graph, inputs(graph, 12)))
    assert len(artifact.main) < len(tflite.emit(graph, "sums", weights).main)


def test_refusals():
    with pytest.raises(UnsupportedGraphError, match="without bias"):
        tflite.emit(_plain("bias", 1.0), "bias", outputs="int16")
    with pytest.raises(UnsupportedGraphError, match="without bias"):
        tflite.emit(SAMPLES["cnn_small"](), "bn", outputs="int16")
    wide = Chain("wide", (600,)).dense(5, zeros=0)
    wide = wide.add(g.Affine(np.ones(5, np.float32), np.zeros(5, np.float32))).graph()
    with pytest.raises(UnsupportedGraphError, match=r"below 2\^15"):
        tflite.emit(wide, "wide", outputs="int16")
    for options in ({"inputs": "float16"}, {"outputs": "softmax"}):
        with pytest.raises(InvalidArgumentError, match="must be one of"):
            tflite.emit(_plain("x"), "x", **options)
    with pytest.raises(InvalidArgumentError, match="outputs"):
        convert(_plain("x"), "c", outputs="argmax")


@pytest.mark.parametrize("options", [{"inputs": "float32"}, {"outputs": "argmax"}, {"outputs": "int16"}])
def test_a_wrong_file_is_refused(options, monkeypatch):
    import keras_gxnor.converters as converters

    @functools.wraps(tflite.emit)
    def broken(graph, name, **given):
        return dataclasses.replace(tflite.emit(other, name, **given), graph=graph)

    graph, other = _plain("one"), _plain("two")
    assert convert(graph, "tflite", **options)
    monkeypatch.setitem(converters.TARGETS, "tflite", broken)
    with pytest.raises(VerificationError, match="NOT equal"):
        convert(graph, "tflite", **options)
