import dataclasses
import math

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.errors import GraphError, InvalidArgumentError
from keras_gxnor.spaces import DiscreteSpace
from tests.conformance.samples import SAMPLES, Chain, inputs


@pytest.mark.parametrize("name", SAMPLES)
def test_bounds_hold_and_are_tight_enough(name):
    graph = SAMPLES[name]()
    types = graph.check()
    trace = reference.run(graph, inputs(graph, 32), trace=True)
    for node, proven in zip(graph.nodes, types):
        value = trace[node.name]
        assert value.shape[1:] == proven.shape
        if proven.kind != "float":
            flat = value.reshape(-1, proven.shape[-1])
            assert (flat >= proven.low).all() and (flat <= proven.high).all()
            assert (proven.high < g.ACCUMULATOR_LIMIT).all()


def test_dense_bounds_are_reached():
    chain = Chain("tight", (9,), g.InputSpec("int8", 1.0, 0)).dense(4)
    kernel, proven = chain.nodes[1].op.kernel, chain.type
    for channel in range(4):
        worst = np.where(kernel[:, channel] > 0, 127, -128)[None]
        assert reference.run(chain.graph(), worst)[0, channel] == proven.high[channel]


def test_accumulators_beyond_24_bits_are_refused():
    node = g.Node("in", g.Input((70_000,), g.InputSpec()))
    dense = g.Node("wide", g.Dense(np.ones((70_000, 1), np.int8)), (0,))
    with pytest.raises(GraphError, match=r"`wide`.*2\^24"):
        g.Graph((node, dense), (1,)).check()


def _broken(change):
    graph = SAMPLES["cnn_small"]()
    nodes = list(graph.nodes)
    return dataclasses.replace(graph, **change(nodes))


def _replace(index, **fields):
    def change(nodes):
        nodes[index] = dataclasses.replace(
            nodes[index], op=dataclasses.replace(nodes[index].op, **fields)
        )
        return {"nodes": tuple(nodes)}

    return change


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda nodes: {"nodes": ()}, "first node"),
        (lambda nodes: {"outputs": ()}, "Outputs"),
        (lambda nodes: {"outputs": (99,)}, "Outputs"),
        (lambda nodes: {"nodes": (*nodes, dataclasses.replace(nodes[1], inputs=(0,)))}, "unique"),
        (lambda nodes: {"nodes": (nodes[0], dataclasses.replace(nodes[1], inputs=(5,)))}, "earlier"),
        (_replace(1, kernel=np.zeros((3, 3, 1, 8), np.float32)), "int8"),
        (_replace(1, kernel=np.zeros((3, 3, 2, 8), np.int8)), "channels"),
        (_replace(1, kernel=np.full((3, 3, 1, 8), -128, np.int8)), "-127"),
        (_replace(1, padding="full"), "padding"),
        (_replace(1, strides=(0, 1)), ">= 1"),
        (_replace(2, thresholds=np.zeros((8, 1), np.int32)), "thresholds"),
        (_replace(2, thresholds=np.tile(np.int32([5, 4]), (8, 1))), "ascend"),
        (_replace(2, flipped=np.zeros(7, bool)), "channels"),
        (_replace(3, pool_size=(99, 99)), "fit"),
        (_replace(8, scale=np.full(10, np.nan, np.float32)), "finite"),
    ],
)
def test_malformed_graphs_are_refused(change, words):
    with pytest.raises(GraphError, match=words):
        _broken(change).check()


@pytest.mark.parametrize(
    "kwargs, words",
    [
        ({"dtype": "float32"}, "dtype"),
        ({"dtype": ["uint8"]}, "dtype"),
        ({"scale": None}, "scale"),
        ({"scale": "1/255"}, "scale"),
        ({"scale": [1.0, 2.0]}, "scale"),
        ({"scale": 0}, "scale"),
        ({"scale": float("nan")}, "scale"),
        ({"scale": 1e-45}, "float32"),
        ({"scale": 1e38}, "float32"),
        ({"zero_point": 127.5}, "1/128"),
        ({"zero_point": 256}, "zero_point"),
        ({"dtype": "int8", "zero_point": 128}, "zero_point"),
    ],
)
def test_bad_input_specs_are_refused(kwargs, words):
    with pytest.raises(InvalidArgumentError, match=words):
        g.InputSpec(**kwargs)


def test_input_spec_exactness():
    assert g.InputSpec(scale=1 / 128).is_exact and g.InputSpec(scale=4.0).is_exact
    assert not g.InputSpec(scale=1 / 255).is_exact


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_windows_are_tensorflow_s(size, kernel, stride, padding):
    import tensorflow as tf

    if padding == "valid" and kernel > size:
        return
    x = np.arange(1, size + 1, dtype=np.float32)
    weights = 10.0 ** np.arange(kernel)
    found = tf.nn.conv1d(
        x[None, :, None], weights[:, None, None].astype(np.float32), stride, padding.upper()
    ).numpy()[0, :, 0]
    count, before = g.window_output(size, kernel, stride, 1, padding)
    padded = np.concatenate([np.zeros(before), x, np.zeros(kernel + stride)])
    ours = [padded[i * stride : i * stride + kernel] @ weights for i in range(count)]
    assert found.tolist() == ours


def test_threshold_definition_on_every_accumulator():
    low = np.arange(-5, 6)
    for space in (DiscreteSpace(0), DiscreteSpace(1), DiscreteSpace(2)):
        thresholds = np.sort(np.random.default_rng(1).integers(-4, 5, (1, space.num_states - 1)))
        for flipped in (False, True):
            nodes = (
                g.Node("in", g.Input((1,), g.InputSpec("int8", 1.0, 0))),
                g.Node("dense", g.Dense(np.ones((1, 1), np.int8)), (0,)),
                g.Node(
                    "step",
                    g.Threshold(thresholds.astype(np.int32), np.array([flipped]), space),
                    (1,),
                ),
            )
            found = reference.run(g.Graph(nodes, (2,)), low[:, None])[:, 0]
            s = -low if flipped else low
            expected = [space.codes()[sum(v >= t for t in thresholds[0])] for v in s]
            assert found.tolist() == expected


@pytest.mark.parametrize(
    "x, words",
    [
        (np.zeros((2, 12, 12, 1), np.float32), "integer codes"),
        (np.zeros((2, 12, 12), np.uint8), "shape"),
        (np.full((2, 12, 12, 1), 256), r"0\.\.255"),
        (np.full((2, 12, 12, 1), -1), r"0\.\.255"),
    ],
)
def test_reference_refuses_wrong_codes(x, words):
    with pytest.raises(InvalidArgumentError, match=words):
        reference.run(SAMPLES["cnn_small"](), x)


def quantized(gain, levels=255, between=True):
    nodes = [
        g.Node("in", g.Input((1,), g.InputSpec("int8", 1.0, 0))),
        g.Node("dense", g.Dense(np.ones((1, 1), np.int8)), (0,)),
    ]
    if between:
        scale, offset = np.array([0.3], np.float32), np.array([0.1], np.float32)
        nodes.append(g.Node("bn", g.Affine(scale, offset), (1,)))
    nodes.append(g.Node("relu", g.Quantize(gain, levels), (len(nodes) - 1,)))
    return g.Graph(tuple(nodes), (len(nodes) - 1,))


@pytest.mark.parametrize("gain, levels", [(4.0, 255), (0.5, 15), (16.0, 255)])
def test_quantize_definition_on_every_accumulator(gain, levels):
    graph = quantized(gain, levels)
    q = np.arange(-128, 128)[:, None]
    x = q.astype(np.float32) * np.float32(0.3) + np.float32(0.1)
    floors = [math.floor(float(np.float32(v * gain) + np.float32(0.5))) for v in x[:, 0]]
    expected = [min(max(code, 0), levels) for code in floors]
    assert reference.run(graph, q)[:, 0].tolist() == expected
    assert graph.check()[-1].high.tolist() == [levels] and graph.check()[-1].kind == "code"


@pytest.mark.parametrize(
    "graph, words",
    [
        (quantized(3.0), "power of two"),
        (quantized(1.0, 256), "1..255"),
        (quantized(1.0, 2.5), "1..255"),
        (quantized(1.0, between=False), "floats"),
    ],
)
def test_malformed_quantize_is_refused(graph, words):
    with pytest.raises(GraphError, match=words):
        graph.check()
