"""The definition itself, against slow and independent arithmetic."""

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor import reference


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("dilation, groups", [((1, 1), 1), ((2, 1), 1), ((1, 1), 2)])
def test_convolution_equals_six_nested_loops(padding, strides, dilation, groups):
    rng = np.random.default_rng(0)
    kernel = rng.integers(-1, 2, (3, 2, 4 // groups, 6)).astype(np.int8)
    x = rng.integers(0, 256, (2, 7, 8, 4))
    nodes = (
        g.Node("in", g.Input((7, 8, 4), g.InputSpec("uint8", 1.0, 3))),
        g.Node("conv", g.Conv2D(kernel, strides, padding, dilation, groups), (0,)),
    )
    found = reference.run(g.Graph(nodes, (1,)), x)
    expected = np.zeros_like(found)
    starts = [
        g.window_output(x.shape[1 + a], kernel.shape[a], strides[a], dilation[a], padding)[1]
        for a in (0, 1)
    ]
    for n, i, j, o in np.ndindex(found.shape):
        group = o // (6 // groups)
        for a, b, c in np.ndindex(kernel.shape[:3]):
            row = i * strides[0] + a * dilation[0] - starts[0]
            col = j * strides[1] + b * dilation[1] - starts[1]
            if 0 <= row < 7 and 0 <= col < 8:
                channel = group * kernel.shape[2] + c
                expected[n, i, j, o] += (x[n, row, col, channel] - 3) * kernel[a, b, c, o]
    assert np.array_equal(found, expected)


def test_max_pooling_ignores_padding():
    x = np.full((1, 3, 3, 1), 0)  # codes -128 after the zero point: padding with 0 would win
    nodes = (
        g.Node("in", g.Input((3, 3, 1), g.InputSpec("uint8", 1.0, 128))),
        g.Node("pool", g.MaxPool2D((2, 2), (2, 2), "same"), (0,)),
    )
    assert (reference.run(g.Graph(nodes, (1,)), x) == -128).all()


def test_affine_rounds_twice():
    scale, offset = np.float32(0.1), np.float32(0.3)
    nodes = (
        g.Node("in", g.Input((1,), g.InputSpec("int8", 1.0, 0))),
        g.Node("dense", g.Dense(np.ones((1, 1), np.int8)), (0,)),
        g.Node("logits", g.Affine(scale[None], offset[None]), (1,)),
    )
    q = np.arange(-128, 128)[:, None]
    found = reference.run(g.Graph(nodes, (2,)), q)
    twice = (q.astype(np.float32) * scale).astype(np.float32) + offset
    once = (q * np.float64(scale) + np.float64(offset)).astype(np.float32)
    assert found.dtype == np.float32 and np.array_equal(found, twice)
    assert not np.array_equal(found, once)  # a fused multiply-add would be seen


def test_trace_holds_every_node():
    from tests.conformance.samples import SAMPLES, inputs

    graph = SAMPLES["cnn_small"]()
    trace = reference.run(graph, inputs(graph), trace=True)
    assert list(trace) == [node.name for node in graph.nodes]
    assert np.array_equal(trace[graph.nodes[-1].name], reference.run(graph, inputs(graph)))
