"""Sums of kernels in a .tflite: how many digits, at one byte a weight, and exact at every end."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import interpreters, tflite, tflm, verify
from keras_gxnor.errors import InvalidArgumentError
from tests.conformance.chain import Chain
from tests.conformance.mixed import MIXED
from tests.conformance.samples import inputs

SPECS = {"uint8": g.InputSpec("uint8", 1.0, 0), "int8": g.InputSpec("int8", 1.0, 0)}


def _operators(model, name):
    file = schema.Model.GetRootAs(model)
    net, number = file.Subgraphs(0), getattr(schema.BuiltinOperator, name)
    codes = [file.OperatorCodes(net.Operators(i).OpcodeIndex()) for i in range(net.OperatorsLength())]
    return sum(code.BuiltinCode() == number for code in codes)


def _dense(dtype, count, weight):
    """Two units of `count` equal weights, one negative: every sum of the largest size is reached."""
    kernel = np.full((count, 40), weight, np.int8)
    kernel[:, ::2] *= -1
    return Chain("net", (count,), SPECS[dtype]).add(g.Dense(kernel)).graph()


# Digits: the fewest with which weight * inputs * (2^bits - 1) is at most 32767 (128 of the sign of int8).
@pytest.mark.parametrize(
    "dtype, count, weight, digits",
    [
        ("uint8", 128, 1, 1),
        ("uint8", 129, 1, 2),
        ("uint8", 2184, 1, 2),
        ("uint8", 2185, 1, 3),
        ("uint8", 4681, 1, 3),
        ("uint8", 4682, 1, 4),
        ("uint8", 86, 127, 4),
        ("uint8", 87, 127, 8),
        ("uint8", 258, 127, 8),
        ("uint8", 259, 127, 0),
        ("int8", 255, 1, 1),
        ("int8", 256, 1, 2),
        ("int8", 2184, 1, 2),
        ("int8", 257, 127, 8),
    ],
)
def test_the_fewest_digits_at_one_byte_a_weight(dtype, count, weight, digits):
    graph = _dense(dtype, count, weight)
    artifact = tflite.emit(graph, "net")
    assert artifact.sizes["weights"] == count * 40 * (1 if digits else 4)
    assert _operators(artifact.main, "FULLY_CONNECTED") == max(digits, 1)
    limits = np.iinfo(dtype)
    x = np.random.default_rng(0).integers(limits.min, limits.max + 1, (4, count)).astype(dtype)
    x[0], x[1] = limits.min, limits.max
    expected = reference.run(graph, x)
    assert np.abs(expected).max() == count * weight * max(-limits.min, limits.max)
    for kernels in interpreters.KERNELS:
        assert np.array_equal(interpreters.run(artifact.main, x, kernels), expected), kernels


def test_digits_of_more_than_a_byte():
    """Sums of codes beyond a byte, of both signs, read by a kernel; two kernels share the digits."""
    c = Chain("net", (12, 12, 3)).conv(12, 3, padding="same").relu()
    start = c.here
    c.conv(12, 3, padding="same").relu().plus(start, start).average(3)
    c.add(g.Sign(np.int8([1, -1] * 6)))
    codes = c.here
    one = c.conv(20, 3).logits().here
    graph = c.at(codes).conv(20, 3).logits().graph(one, c.here)
    x = inputs(graph)
    artifact = tflite.emit(graph, "net")
    assert _operators(artifact.main, "FLOOR") < 2 + 2 * 4  # digits of `codes` are cut once
    for kernels in interpreters.KERNELS:
        made = interpreters.run(artifact.main, x, kernels)
        assert all(map(np.array_equal, made, reference.run(graph, x))), kernels


def test_small_kernels_are_cheaper_in_float32():
    """Digits are operators, which cost file: the rule is the smaller file, within a few hundred bytes."""
    from keras_gxnor.converters import tflite_sums

    for units in (4, 8, 12, 16, 24):
        chain = Chain("a_layer", (60,), SPECS["uint8"])
        graph = chain.add(g.Dense(chain.rng.integers(-99, 100, (60, units)).astype(np.int8))).graph()
        chosen = len(tflite.emit(graph, "net").main)
        sizes = []
        for cost in (0, 1 << 30):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(tflite_sums, "_DIGIT_COST", cost)
                sizes.append(len(tflite.emit(graph, "net").main))
        assert chosen in sizes and chosen <= min(sizes) + 800, (units, sizes)


@pytest.mark.parametrize("name", "mixed_mobile mixed_cnn_int8 mixed_residual_relu mixed_dense_wide".split())
def test_float32_sums_are_exact_at_one_byte_a_weight(name):
    graph = MIXED[name]()
    artifact = tflite.emit(graph, name, sums="float32")
    assert verify(graph, artifact, inputs(graph), interpreters.KERNELS).ok
    kernels = [n.op.kernel for n in graph.nodes if isinstance(n.op, (g.Dense, g.Conv2D))]
    assert artifact.sizes["weights"] <= sum(kernel.size for kernel in kernels) + 200  # and kernels of ones
    assert b"int16" not in artifact.main


def test_sums_is_an_option_of_tflm_too():
    graph = MIXED["mixed_cnn_int8"]()
    artifact = tflm.emit(graph, "net", sums="float32")
    assert artifact.main == tflite.emit(graph, "net", sums="float32").main != tflite.emit(graph, "net").main
    with pytest.raises(InvalidArgumentError, match=r"`sums` must be one of .*float32"):
        tflite.emit(graph, "net", sums="int32")
