import dataclasses

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor import reference, rewrites
from keras_gxnor.errors import UnsupportedGraphError
from tests.conformance.samples import SAMPLES, Chain, inputs


@pytest.mark.parametrize("name", SAMPLES)
def test_canonical_graphs_are_equal_and_canonical(name):
    graph = SAMPLES[name]()
    plain = rewrites.canonical(graph)
    x = inputs(graph, 32)
    assert np.array_equal(reference.run(plain, x), reference.run(graph, x))
    for node in plain.nodes:
        if isinstance(node.op, g.Threshold):
            assert not node.op.flipped.any()
            assert isinstance(plain.nodes[node.inputs[0]].op, (g.Dense, g.Conv2D))


def test_a_wrong_rewrite_would_be_seen():
    graph = SAMPLES["cnn_pool_before_flipped"]()
    nodes = list(graph.nodes)
    index = next(i for i, n in enumerate(nodes) if isinstance(n.op, g.Threshold))
    unflipped = dataclasses.replace(nodes[index].op, flipped=np.zeros_like(nodes[index].op.flipped))
    nodes[index] = dataclasses.replace(nodes[index], op=unflipped)
    wrong = dataclasses.replace(graph, nodes=tuple(nodes))
    x = inputs(graph, 32)
    assert not np.array_equal(reference.run(wrong, x), reference.run(graph, x))


def test_signs_fold_into_the_next_kernel():
    kinds = lambda name: [type(n.op) for n in rewrites.canonical(SAMPLES[name]()).nodes]
    assert g.Sign not in kinds("cnn_pool_before_flipped")
    assert g.Sign not in kinds("cnn_pool_flatten_flipped")
    assert g.Sign in kinds("cnn_pool_before_then_after")  # a second pool keeps it


def test_a_threshold_after_flatten_is_refused():
    chain = Chain("late", (6, 6, 1)).conv(3).flatten().step()
    with pytest.raises(UnsupportedGraphError, match="must follow"):
        rewrites.canonical(chain.graph())


def test_sums_read_twice_are_refused():
    chain = Chain("twice", (5,)).dense(3).step()
    graph = chain.graph()
    graph = dataclasses.replace(graph, outputs=(1, 2))
    with pytest.raises(UnsupportedGraphError, match="one node only"):
        rewrites.canonical(graph)
