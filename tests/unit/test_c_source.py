import dataclasses
import re

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor.converters import c_source, host
from keras_gxnor.converters.text import float_literal
from keras_gxnor.errors import InvalidArgumentError, UnsupportedGraphError
from keras_gxnor.spaces import DiscreteSpace
from tests.conformance.samples import SAMPLES, Chain, inputs, same

INT8 = g.InputSpec("int8", 1 / 64, -3)


def sums_without_affine(name):
    return Chain(name, (6,)).dense(9).step().dense(4).graph()


def sequence(c, strides=2, dilation=1):
    kernel = c.trits((1, 5, 3, 17))
    c.add(g.Conv2D(kernel, (1, strides), "same", (1, dilation))).step()
    return c.conv(9, (1, 3)).step().flatten().dense(3).logits()


def sign_of_input(name):
    chain = Chain(name, (4, 4, 1)).add(g.Sign(np.array([-1], np.int8))).pool().flatten().dense(2)
    return chain.logits().graph()


def two_outputs(name):
    chain = Chain(name, (4, 4, 1)).conv(3, 2).step().flatten().dense(2)
    return chain.graph(2, 4)


def unread_input(name):
    chain = Chain(name, (6,)).input((5,))
    return chain.at(0).dense(3).logits().graph()


def dead_branch(name):
    graph = Chain(name, (6,)).dense(9).step().dense(4).logits().graph()
    extra = g.Node("dead", g.Dense(np.ones((9, 2), np.int8)), (2,))
    return dataclasses.replace(graph, nodes=(*graph.nodes, extra))


def sign_after_flatten(name):
    chain = Chain(name, (4, 4, 1)).conv(40).step().flatten()
    signs = chain.rng.choice(np.array([-1, 1], np.int8), 160)
    return chain.add(g.Sign(signs)).flatten().flatten().dense(3).logits().graph()


def int8_padded(c):
    return c.conv(4, 3, padding="same").step().flatten().dense(3).logits()


def int8_pool(c):
    return c.pool(2, 1).pool(2).conv(4, 2).step().flatten().dense(3).logits()


def sums_pooled(c):
    return c.conv(5).step().conv(3, 2).pool(3, 2, "same").flatten().logits()


def depthwise(c):
    return c.conv(40).step().conv(40, groups=40, padding="same").step().flatten().dense(3).logits()


def groups_across_words(c):
    return c.conv(100, 1).step().conv(50, 2, groups=5).step().conv(6, 3, groups=2).flatten().logits()


def raw_groups_dilated(c):
    return c.conv(9, (2, 3), (2, 1), "same", (1, 2), 3).step().flatten().dense(3).logits()


def binary_pooled(c):
    return c.conv(33).pool().step(0.5, DiscreteSpace(0)).pool().flatten().dense(3).logits()


# What SAMPLES do not have.
MORE = {
    "int8_pool": lambda n: int8_pool(Chain(n, (7, 7, 3), INT8)).graph(),
    "int8_pool_flatten": lambda n: Chain(n, (7, 7, 3), INT8).pool(2).flatten().dense(3).logits().graph(),
    "int8_padded": lambda n: int8_padded(Chain(n, (7, 6, 3), INT8)).graph(),
    "int8_conv_sums": lambda n: Chain(n, (5, 5, 2), INT8).conv(3, padding="same").logits().graph(),
    "sums_pooled": lambda n: sums_pooled(Chain(n, (9, 9, 1))).graph(),
    "sums_pooled_in_place": lambda n: Chain(n, (8, 8, 1)).conv(3).pool().pool().flatten().logits().graph(),
    "depthwise": lambda n: depthwise(Chain(n, (6, 6, 1))).graph(),
    "groups_across_words": lambda n: groups_across_words(Chain(n, (4, 4, 2))).graph(),
    "raw_groups_dilated": lambda n: raw_groups_dilated(Chain(n, (9, 9, 6))).graph(),
    "binary_pooled": lambda n: binary_pooled(Chain(n, (8, 8, 1))).graph(),
    "sums_without_affine": sums_without_affine,
    "dead_branch": dead_branch,
    "sign_after_flatten": sign_after_flatten,
    "five_states": lambda n: Chain(n, (30,)).dense(9).step(space=DiscreteSpace(2)).dense(2).graph(),
    "sequence": lambda n: sequence(Chain(n, (1, 37, 3))).graph(),
    "sequence_dilated": lambda n: sequence(Chain(n, (1, 37, 3)), 1, 3).graph(),
    "large_codes": lambda n: Chain(n, (27,)).step().add(g.Dense(np.full((27, 2), 3, np.int8))).graph(),
    "codes_as_output": lambda n: Chain(n, (4, 4, 1)).conv(3, 2).step().graph(),
    "input_as_output": lambda n: Chain(n, (4, 4, 1)).graph(),
    "sign_of_input": sign_of_input,
    "two_outputs": two_outputs,
    "wide_logits": lambda n: Chain(n, (70,)).dense(40).step().dense(50).logits().graph(),
    "many_inputs": lambda n: Chain(n, (2100,)).step().dense(40).step().dense(3).logits().graph(),
    "many_pixels": lambda n: Chain(n, (20, 20, 3)).conv(5).step().flatten().dense(40).step().dense(3).graph(),
    "unread_input": unread_input,
    "three_affines": lambda n: Chain(n, (3, 3, 1)).conv(2, 2).logits().flatten().logits(2).graph(),
}


def test_more_graphs_equal_the_reference():
    graphs = {name: build(name) for name, build in MORE.items()}
    artifacts = {name: c_source.emit(graph, name) for name, graph in graphs.items()}
    library = host.Library(artifacts.values())
    for name, graph in graphs.items():
        x = inputs(graph)
        assert same(library.run(artifacts[name], x), graph, x), name
        assert library.selftest(artifacts[name]) == 0, name


def test_the_artifact():
    graph = SAMPLES["cnn_small"]()
    artifact = c_source.emit(graph, "My net!")
    assert (artifact.target, artifact.name, list(artifact.files)) == ("c", "my_net", ["my_net.h"])
    assert artifact.graph is graph
    text = artifact.main.decode("ascii")
    assert f"#define MY_NET_SCRATCH_BYTES {artifact.sizes['scratch']}\n" in text
    assert "#define MY_NET_INPUT_SIZE 144\n" in text
    assert "#define MY_NET_OUTPUT_SIZE 10\n" in text
    # 3 groups of three taps for 8 filters; 9 pixels of 8 channels and a row that adds nothing, for 32
    # filters at once; 10 outputs of 9 pixels of 32 channels at most: 8 bytes a pair of words.
    assert artifact.sizes["weights"] == 3 * 8 + 8 * (9 * 8 + 1) + 10 * 9 * 8
    assert max(len(line) for line in text.splitlines()) <= 120


def test_the_same_graph_gives_the_same_bytes():
    assert c_source.emit(SAMPLES["cnn_same"](), "a").main == c_source.emit(SAMPLES["cnn_same"](), "a").main


def test_hostile_names_stay_inside_their_comments():
    graph = Chain('*/ #error "x" /*', (3,)).dense(2).logits().graph()
    nodes = tuple(dataclasses.replace(n, name=f"*/ {i}\n#error??/") for i, n in enumerate(graph.nodes))
    graph = dataclasses.replace(graph, nodes=nodes)
    assert host.selftest(c_source.emit(graph, "*/ int")) == 0


@pytest.mark.parametrize("lanes", [0, 16, 33, "32", None, 32.0])
def test_lanes_are_checked(lanes):
    with pytest.raises(InvalidArgumentError, match="`lanes` must be one of"):
        c_source.emit(SAMPLES["dense_only"](), "net", lanes=lanes)


def test_logits_beyond_float32_are_refused():
    chain = Chain("net", (4,)).dense(1)
    for _ in range(3):
        chain.add(g.Affine(np.array([1e30], np.float32), np.array([1e30], np.float32)))
    with np.errstate(over="ignore"), pytest.raises(UnsupportedGraphError, match="overflow"):
        c_source.emit(chain.graph(), "net")


def test_every_float_reads_back_to_its_bits():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**32, 2000, dtype=np.uint32).view(np.float32)
    values = [*values[np.isfinite(values)], np.float32(0), np.float32(-0.0), np.float32(1e-45)]
    for value in values:
        text = float_literal(value)
        assert re.fullmatch(r"-?\d[\d.]*(e[+-]\d+)?f", text) and ("." in text or "e" in text)
        assert np.float32(text[:-1]).tobytes() == np.float32(value).tobytes()
