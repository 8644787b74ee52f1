import dataclasses

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor import reference, rewrites
from keras_gxnor.converters.verification import count_mismatches
from keras_gxnor.errors import UnsupportedGraphError
from tests.conformance.samples import SAMPLES, Chain, inputs


@pytest.mark.parametrize("name", SAMPLES)
def test_canonical_graphs_are_equal_and_canonical(name):
    graph = SAMPLES[name]()
    plain = rewrites.canonical(graph)
    x = inputs(graph, 32)
    assert count_mismatches(reference.run(plain, x), reference.run(graph, x)) == (0, 0)
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


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda c: c.conv(4, padding="same").average(2), "without padding"),
        (lambda c: c.conv(4, dilation=2).average(2), "dilation"),
        (lambda c: c.conv(4).average(3, padding="same"), "without padding"),
        (lambda c: c.add(g.Conv2D(np.full((3, 3, 1, 2), 30, np.int8))).average(3), "int8"),
    ],
)
def test_sums_that_no_kernel_can_pool_are_refused(make, words):
    with pytest.raises(UnsupportedGraphError, match=words):
        rewrites.canonical(make(Chain("pool", (20, 20, 1))).step().graph())


def test_nothing_unread_is_left():
    graph = SAMPLES["cnn_small"]()
    early = dataclasses.replace(graph, outputs=(2,))
    assert len(rewrites.canonical(early).nodes) == 3


def test_sums_read_twice_are_computed_twice():
    chain = Chain("twice", (5,)).dense(3).step()
    graph = chain.graph()
    graph = dataclasses.replace(graph, outputs=(1, 2))
    plain = rewrites.canonical(graph)
    x = inputs(graph, 32)
    assert count_mismatches(reference.run(plain, x), reference.run(graph, x)) == (0, 0)
    assert [type(node.op) for node in plain.nodes].count(g.Dense) == 2


def test_reshapes_go_below_what_works_channel_by_channel():
    graph = rewrites.reshapes_last(SAMPLES["sequence_paper"]())
    kinds = [type(node.op) for node in graph.nodes]
    assert kinds.count(g.Reshape) < [type(n.op) for n in SAMPLES["sequence_paper"]().nodes].count(g.Reshape)
    made = rewrites.canonical(SAMPLES["sequence_paper"]())
    assert [type(n.op) for n in made.nodes].count(g.Reshape) == 1  # of the input alone
    chain = Chain("floats", (6, 4)).add(g.Reshape((1, 6, 4))).conv(5, 1).add(g.Reshape((6, 5))).logits()
    ends = [type(node.op) for node in rewrites.reshapes_last(chain.graph()).nodes[-2:]]
    assert ends == [g.Affine, g.Reshape]
    x = inputs(chain.graph())
    same = reference.run(rewrites.reshapes_last(chain.graph()), x), reference.run(chain.graph(), x)
    assert count_mismatches(*same) == (0, 0)


def test_only_steps_that_keep_every_sum_are_taken_for_it():
    op, most = rewrites.keeping_step(9, 2), np.array([9, 16])
    assert op.space.max_code == 16 and rewrites.keeps(op, -most, most)
    assert not rewrites.keeps(op, -most, most + 1)
    for odd in (op.thresholds + 1, np.maximum(op.thresholds, -7)):
        assert not rewrites.keeps(dataclasses.replace(op, thresholds=odd), -most, most)
