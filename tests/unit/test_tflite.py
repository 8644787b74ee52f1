"""Files that compute the graph bit for bit on every kernel, or a clear refusal."""

import ast
import pathlib

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import interpreters, tflite
from keras_gxnor.errors import GraphError, VerificationError
from keras_gxnor.spaces import DiscreteSpace
from tests.conformance.mixed import INT8, MIXED
from tests.conformance.samples import BINARY, SAMPLES, Chain, inputs

U0 = g.InputSpec("uint8", 1 / 255, 0)
U200 = g.InputSpec("uint8", 1 / 255, 200)
I128 = g.InputSpec("int8", 0.3, -128)


def codes(chain, shape, largest):
    return chain.rng.integers(-largest, largest + 1, shape).astype(np.int8)


def _large_weights(name):
    chain = Chain(name, (20,))
    chain.add(g.Dense(codes(chain, (20, 30), 31))).step(extreme=True)
    return chain.add(g.Dense(codes(chain, (30, 5), 127))).logits()


# What the samples leave out: sums beyond int16, zero points in the last layer, depthwise
# kernels, outputs that are not logits, and scales far from 1.
EXTRA = {
    "dense_sums_beyond_int16": lambda n: Chain(n, (400,), U0).dense(7).logits(),
    "dense_logits_zero_point": lambda n: Chain(n, (20,), I128).dense(7).logits(),
    "conv_float_same": lambda n: Chain(n, (8, 7, 3), U0).conv(5, padding="same").pool().logits(),
    "conv_float_dilated": lambda n: Chain(n, (9, 7, 40), U200).conv(5, padding="same", dilation=2).logits(),
    "conv_float_grouped": lambda n: Chain(n, (9, 7, 4), U200).conv(6, 3, 2, "same", groups=2).logits(),
    "conv_float_depthwise": lambda n: Chain(n, (9, 7, 4), U200).conv(8, 3, 2, "same", groups=4).logits(),
    "conv_int16_grouped": lambda n: Chain(n, (9, 7, 4)).conv(6, 3, 2, "same", groups=2).logits(),
    "conv_int16_depthwise": lambda n: Chain(n, (9, 7, 4)).conv(8, 3, 2, "same", groups=4).flatten().logits(),
    "conv_int16_pooled": lambda n: Chain(n, (9, 9, 2)).conv(6).step().conv(5).pool(2, 1, "same").flatten().logits(),
    "depthwise": lambda n: (
        Chain(n, (9, 8, 4), U200).conv(12, 3, (2, 1), "same", groups=4).step()
        .conv(12, 3, padding="same", groups=12, dilation=(2, 1)).step().flatten().dense(3).logits()
    ),
    "binary_conv": lambda n: Chain(n, (9, 9, 2)).conv(6, zeros=0).pool().step(0.5, BINARY).flatten().dense(3).logits(),
    "extreme_same": lambda n: Chain(n, (7, 7, 3), I128).conv(30, padding="same").step(extreme=True).pool().flatten().dense(3).logits(),
    "codes_with_signs": lambda n: Chain(n, (9, 9, 2)).conv(6).pool().step(0.5),
    "signs_into_pool": lambda n: Chain(n, (9, 9, 2)).conv(6).pool().step(0.5).pool().conv(3, 1).step().flatten().dense(2),
    "input_pooled": lambda n: Chain(n, (5, 5, 1), U200).pool(),
    "sums": lambda n: Chain(n, (5,), U200).dense(2),
    "gain_4": lambda n: Chain(n, (5000,), U0).dense(20).step(extreme=True).dense(3).logits(),
    "tiny_scale": lambda n: Chain(n, (50,), g.InputSpec("uint8", 1e-15, 7)).dense(20).step().dense(3).logits(),
    "huge_scale": lambda n: Chain(n, (50,), g.InputSpec("int8", 1e15, 7)).dense(20).step().dense(3).logits(),
    "large_weights": _large_weights,
    # Steps that no int8 operator makes: weights, inputs or sums are too large.
    "z6_hidden": lambda n: Chain(n, (9,)).dense(5, space=DiscreteSpace(6)).step(0).dense(3).logits(),
    "z7_conv_binary": lambda n: Chain(n, (9, 8, 2)).conv(6, space=DiscreteSpace(7)).step(0.5, BINARY).conv(3, 2).step().flatten().dense(3).logits(),
    "weights_of_32": lambda n: Chain(n, (9,)).add(g.Dense(np.full((9, 2), 32, np.int8))).step(),
    "int8_z3": lambda n: Chain(n, (30,)).dense(9, space=INT8).step(0.3, DiscreteSpace(3)).dense(3).logits(),
    "int8_extreme": lambda n: Chain(n, (300,)).dense(40, space=INT8).step(extreme=True).dense(3).logits(),
    "step_of_wide_average": lambda n: Chain(n, (14, 14, 1), U0).average(None).dense(5).step(extreme=True),
    "sums_near_2_24": lambda n: Chain(n, (20000,), U0).add(g.Dense(np.ones((20000, 2), np.int8))).step(),
    "step_of_bytes": lambda n: Chain(n, (9, 8, 2)).conv(6).relu().step(0.5).conv(4, 2).relu().pool().step(0.5, BINARY).flatten().dense(3).logits(),
}  # fmt: skip
GRAPHS = {**SAMPLES, **MIXED, **{n: lambda n=n, b=b: b(n).graph() for n, b in EXTRA.items()}}


def test_the_largest_int16_sums_of_a_last_layer_are_exact():
    """They are added up in 32 bits by LiteRT, which takes that as an option, and without a bias."""
    spec, weights = g.InputSpec("int8", 1.0, 0), np.int8([[127, -127], [127, -127], [1, -1]])
    graph = Chain("net", (3,), spec).add(g.Dense(weights)).graph()
    x = np.int8([[-128] * 3, [127] * 3, [-128, 127, 1], [0, 0, 1]])
    model = tflite.emit(graph, "net").main
    net = schema.Model.GetRootAs(model).Subgraphs(0)
    steps = [schema.OperatorT.InitFromObj(net.Operators(i)) for i in range(net.OperatorsLength())]
    (dense,) = [s for s in steps if isinstance(s.builtinOptions, schema.FullyConnectedOptionsT)]
    assert len(dense.inputs) == 2 and dense.builtinOptions.quantizedBiasType == schema.TensorType.INT32
    expected = reference.run(graph, x)
    assert np.abs(expected).max() == 128 * 255
    for kernels in interpreters.KERNELS:
        np.testing.assert_array_equal(interpreters.run(model, x, kernels), expected, err_msg=kernels)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_graph_is_exact_on_every_kernel(name):
    graph = GRAPHS[name]()
    x = inputs(graph)
    expected = reference.run(graph, x)
    model = tflite.emit(graph, "model").main
    for kernels in interpreters.KERNELS:
        y = interpreters.run(model, x, kernels)
        pairs = zip(y, expected, strict=True) if isinstance(y, tuple) else [(y, expected)]
        for part, truth in pairs:
            assert part.dtype == np.float32
            np.testing.assert_array_equal(part, truth, err_msg=kernels)


# --- One layer, every accumulator. ---

EVERY_SUM = np.arange(-64 * 128, 64 * 127 + 1)


def every_sum_graph(move=0):
    """64 inputs, weights of one, 42 steps of all widths; `move` shifts one threshold."""
    chain = Chain("every_sum", (64,), g.InputSpec("int8", 1 / 128, 0))
    chain.add(g.Dense(np.ones((64, 42), np.int8)))
    rng = np.random.default_rng(1)
    rows = np.sort(rng.integers(-300, 300, (42, 2)), axis=1)
    rows[7:14] = np.sort(rng.integers(-8192, 8129, (7, 2)), axis=1)
    rows[14:21] = rng.integers(-8192, 8129, (7, 1)) + [0, 1]
    rows[21:28, 1] = rows[21:28, 0]
    rows[28:31] = [[-8192, -8192], [8129, 8129], [-8192, 8129]]
    rows[5, 1] += move
    flipped = np.arange(42) % 3 == 2
    return chain.add(g.Threshold(rows.astype(np.int32), flipped, DiscreteSpace(1))).graph()


def images_of_every_sum():
    """Row k sums to EVERY_SUM[k]."""
    shares = EVERY_SUM[:, None] // 64 + (np.arange(64) < EVERY_SUM[:, None] % 64)
    assert (shares.sum(1) == EVERY_SUM).all()
    return shares.astype(np.int8)


@pytest.mark.parametrize("kernels", interpreters.KERNELS)
def test_every_reachable_accumulator(kernels):
    graph, x = every_sum_graph(), images_of_every_sum()
    y = interpreters.run(tflite.emit(graph, "model").main, x, kernels)
    expected = reference.run(graph, x)
    assert np.count_nonzero(y != expected) == 0
    moved = reference.run(every_sum_graph(move=1), x)
    assert np.argwhere(y != moved)[:, 1].tolist() == [5], "a threshold off by one must show"


# --- The file. ---


def test_equal_graphs_give_equal_bytes():
    first, second = (tflite.emit(SAMPLES["cnn_small"](), "model").main for _ in range(2))
    assert first == second


def test_artifact():
    graph = SAMPLES["cnn_small"]()
    artifact = tflite.emit(graph, "net")
    assert (artifact.target, artifact.name, list(artifact.files)) == ("tflite", "net", ["net.tflite"])
    assert artifact.graph is graph
    kernels = sum(n.op.kernel.size for n in graph.nodes if isinstance(n.op, (g.Dense, g.Conv2D)))
    assert artifact.sizes["weights"] == kernels


def test_input_and_output_tensors():
    spec = g.InputSpec("uint8", 1 / 255, 3)
    graph = Chain("spec", (6, 5, 1), spec).conv(4).step().flatten().dense(3).logits().graph()
    model = litert.Interpreter(model_content=tflite.emit(graph, "model").main)
    fed, made = model.get_input_details()[0], model.get_output_details()[0]
    assert fed["dtype"] == np.uint8 and fed["quantization"] == (np.float32(1 / 255), 3)
    assert fed["shape_signature"].tolist() == [-1, 6, 5, 1]
    assert made["dtype"] == np.float32 and made["shape_signature"].tolist() == [-1, 3]


def test_constants_are_aligned_and_misalignment_is_refused(monkeypatch):
    data = tflite.emit(SAMPLES["cnn_odd_5x7x3"](), "model").main
    model = schema.Model.GetRootAs(data)
    buffers = [model.Buffers(i).DataAsNumpy() for i in range(1, model.BuffersLength())]
    start = np.frombuffer(data, np.uint8).ctypes.data
    assert all((buffer.ctypes.data - start) % 16 == 0 for buffer in buffers)

    plain = flatbuffers.Builder.CreateByteVector

    def shifted(builder, values):
        builder.Pad(4)
        return plain(builder, values)

    monkeypatch.setattr(flatbuffers.Builder, "CreateByteVector", shifted)
    with pytest.raises(VerificationError, match="not aligned"):
        tflite.emit(SAMPLES["cnn_odd_5x7x3"](), "model")


def test_equal_quantization_is_stored_once():
    """300 channels cost 12 B of scale and bias scale more, not 28 B of four separate vectors."""
    sizes = []
    for channels in (100, 400):
        graph = Chain("q", (8,), g.InputSpec("int8", 1.0, 0)).dense(channels).step(flip=0).graph()
        artifact = tflite.emit(graph, "model")
        sizes.append(len(artifact.main) - sum(artifact.sizes.values()))
    assert (sizes[1] - sizes[0]) / 300 == pytest.approx(12, abs=0.3)


def test_writer_imports_neither_tensorflow_nor_keras_nor_litert():
    files = pathlib.Path(tflite.__file__).parent.glob("tflite*.py")
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    imported = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert {name.split(".")[0] for name in imported} == {"dataclasses", "math", "numpy", "keras_gxnor"}


# --- Refusals. ---


def test_refuses_unsound_graphs():
    graph = SAMPLES["dense_only"]()
    with pytest.raises(GraphError):
        tflite.emit(g.Graph(graph.nodes, (99,)), "model")
