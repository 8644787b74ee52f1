"""Steps as requantization: the algebra, and the rounding models against the real kernels."""

import dataclasses
import platform

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor import rewrites
from keras_gxnor.converters import interpreters, rounding, tflite
from keras_gxnor.errors import VerificationError
from keras_gxnor.spaces import DiscreteSpace

CHANNELS = 200
SUMS = np.arange(-128, 128)
ONE = np.float32(1)


def step_of(rows):
    rows = np.array(rows, np.int32)
    space = DiscreteSpace(1 if rows.shape[1] == 2 else 0)
    return g.Threshold(rows, np.zeros(len(rows), bool), space)


def random_layer(rng, peak, channels=100):
    """(low, high, thresholds): ranges up to `peak`, steps of every width, some out of range."""
    low, high = -rng.integers(0, peak + 1, channels), rng.integers(0, peak + 1, channels)
    width = 2 ** rng.uniform(0, np.log2(2 * peak + 4), channels)
    middle = rng.uniform(low - 2, high + 2)
    return low, high, np.round(np.stack([middle - width / 2, middle + width / 2], 1))


def test_plan_follows_the_formula():
    step = rounding.plan(np.array([[-3, 6], [0, 0], [2, 4]]), np.full(3, -9), np.full(3, 9), largest_weight=1)
    assert step.gain == 64
    assert step.bias.tolist() == [-32 * (6 - 4), -32 * (0 - 1), -32 * (4 + 1)]
    np.testing.assert_array_equal(step.multiplier, np.float32([1 / (64 * 9), 2 / 64, 1 / (64 * 2)]))


@pytest.mark.parametrize(
    "peak, largest_weight, gain",
    [(1000, 1, 64), (1000, 2, 4), (1000, 31, 4), (1000, 32, None), (1 << 17, 1, 4), (1 << 22, 1, None)],
)
def test_plan_keeps_weights_in_int8_and_sums_exact(peak, largest_weight, gain):
    step = rounding.plan(np.array([[0, 1]]), np.array([-peak]), np.array([peak]), largest_weight)
    assert (step and step.gain) == gain


@pytest.mark.parametrize("largest_weight, limit, gain", [(1, 7, 4), (2, 7, None), (1, 3, None), (1, 63, 4)])
def test_plan_keeps_weights_within_the_limit(largest_weight, limit, gain):
    step = rounding.plan(np.array([[0, 1]]), np.array([-9]), np.array([9]), largest_weight, limit)
    assert (step and step.gain) == gain


def test_plan_refuses_steps_too_wide_for_float32():
    bound = np.array([1_200_000])
    never = np.array([[-1_200_000, 1_200_001]])
    assert rounding.plan(never, -bound, bound, 1) is None


@pytest.mark.parametrize("seed", range(40))
def test_whatever_plan_returns_passes_the_check(seed):
    rng = np.random.default_rng(seed)
    low, high, thresholds = random_layer(rng, int(2 ** rng.uniform(0, 22)))
    columns = slice(0, 1) if seed % 4 == 0 else slice(None)
    threshold = step_of(thresholds[:, columns])
    step = rounding.plan(threshold.thresholds, low, high, 1)
    if step is not None:
        rounding.check("t", step, threshold, low, high, np.float32(10 ** rng.uniform(-9, 9)))


@pytest.mark.parametrize("label", rounding.MODELS)
def test_every_accumulator_not_only_the_borders(label):
    rng = np.random.default_rng(3)
    low, high, thresholds = random_layer(rng, 300)
    step = rounding.plan(thresholds, low, high, 1)
    acc = np.arange(-300, 301)[:, None]
    expected = (acc[:, :, None] >= thresholds).sum(-1) - 1
    scales = rounding.filter_scales(step, np.float32(1 / 255))
    codes = rounding.MODELS[label](step.gain * acc + step.bias, np.float32(1 / 255), scales).clip(-1, 1)
    reachable = (low <= acc) & (acc <= high)
    np.testing.assert_array_equal(codes[reachable], expected[reachable])


@pytest.mark.parametrize(
    "field, value",
    [
        ("bias", lambda v: v + np.int32([0, 64])),
        ("bias", lambda v: v - np.int32([0, 64])),
        ("multiplier", lambda v: v * np.float32([1, 1.2])),
        ("multiplier", lambda v: v * np.float32([1, 0.8])),
    ],
)
def test_wrong_constants_are_caught(field, value):
    threshold, bound = step_of([[-3, 5], [-3, 5]]), np.array([20, 20])
    step = rounding.plan(threshold.thresholds, -bound, bound, 1)
    rounding.check("fc1", step, threshold, -bound, bound, ONE)
    wrong = dataclasses.replace(step, **{field: value(getattr(step, field))})
    with pytest.raises(VerificationError, match="`fc1`, channel 1: accumulator"):
        rounding.check("fc1", wrong, threshold, -bound, bound, ONE)


def test_true_weights_of_one_are_caught():
    """With L = 1 an odd sum of the borders has no bias, and kernels disagree."""
    threshold, bound = step_of([[-3, 5]]), np.array([20])
    naive = rounding.Step(1, np.int32([0]), np.float32([1 / 8]))
    with pytest.raises(VerificationError, match="channel 0"):
        rounding.check("fc1", naive, threshold, -bound, bound, ONE)


# --- The models against the kernels. ---


def one_layer(kind):
    """(a graph of one layer with weights of one, its inputs whose sums are SUMS)."""
    if kind == "depthwise":
        op = g.Conv2D(np.ones((1, 1, 1, CHANNELS), np.int8), groups=CHANNELS)
        x = np.tile(SUMS[:, None, None, None], (1, 1, 1, CHANNELS))
    elif kind == "conv":
        op = g.Conv2D(np.ones((1, 1, 3, CHANNELS), np.int8))
        x = SUMS[:, None, None, None] * np.array([1, 0, 0])
    else:
        op = g.Dense(np.ones((3, CHANNELS), np.int8))
        x = SUMS[:, None] * np.array([1, 0, 0])
    spec = g.InputSpec("int8", 1.0, 0)
    nodes = (
        g.Node("input", g.Input(x.shape[1:], spec)),
        g.Node("kernel", op, (0,)),
        g.Node("step", step_of([[-2, 3]] * CHANNELS), (1,)),
    )
    return g.Graph(nodes, (2,)), x.astype(np.int8)


def with_constants(model, multiplier, bias):
    """The file with weights of one and the given scales and bias, written into its bytes."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    data = bytearray(model)
    file = schema.Model.GetRootAs(data)
    graph = file.Subgraphs(0)
    layer = next(
        graph.Operators(i) for i in range(graph.OperatorsLength()) if graph.Operators(i).InputsLength() == 3
    )
    weights, offset = (graph.Tensors(layer.Inputs(i)) for i in (1, 2))
    weights.Quantization().ScaleAsNumpy()[:] = multiplier
    offset.Quantization().ScaleAsNumpy()[:] = multiplier
    file.Buffers(weights.Buffer()).DataAsNumpy()[:] = 1
    file.Buffers(offset.Buffer()).DataAsNumpy().view(np.int32)[:] = bias
    return bytes(data)


ROUNDING = {
    "litert_xnnpack": "float32, half to even",
    "litert_builtin": "Q31 twice, half up",
    "litert_reference": "Q31 twice, half away",
    "tflite_micro": "Q31 twice, half away",
}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the table is of x86-64 kernels")
@pytest.mark.parametrize("kernels", interpreters.KERNELS)
@pytest.mark.parametrize("kind", ["dense", "conv", "depthwise"])
def test_models_are_what_the_kernels_do(kind, kernels):
    graph, x = one_layer(kind)
    label = ROUNDING[kernels]
    if (kind, kernels) == ("dense", "litert_reference"):
        label = "Q31 once, half away"
    rng = np.random.default_rng(0)
    # Ties at every power of two, reciprocals (where the rounding of M decides), and others.
    multiplier = np.concatenate(
        [2.0 ** rng.integers(-7, 1, 60), 1 / np.arange(2, 82), rng.uniform(0.003, 1.9, 60)]
    ).astype(np.float32)
    bias = rng.integers(-50, 50, CHANNELS).astype(np.int32)
    model = with_constants(tflite.emit(graph, "m").main, multiplier, bias)
    codes = interpreters.run(model, x, kernels).reshape(-1, CHANNELS)
    sums = SUMS[:, None].astype(np.int64) + bias
    for name, rounded in rounding.MODELS.items():
        wrong = np.count_nonzero(codes != rounded(sums, ONE, multiplier).clip(-1, 1))
        assert (wrong == 0) == (name == label), f"{name}: {wrong} differ"


def test_sums_that_are_codes_are_kept_by_every_kernel(monkeypatch):
    bound = np.array([9, 64])
    space = DiscreteSpace(7)
    steps = np.tile(np.arange(-63, 65, dtype=np.int32), (2, 1))
    threshold = g.Threshold(steps, np.zeros(2, bool), space)
    assert rewrites.keeps(threshold, -bound, bound)
    assert not rewrites.keeps(threshold, -bound, bound + 1)
    moved = dataclasses.replace(threshold, thresholds=steps + np.int32([[0], [1]]))
    assert not rewrites.keeps(moved, -bound, bound)
    rounding.check_kept("t", -bound, bound)
    monkeypatch.setitem(rounding.MODELS, "odd", lambda sums, *scales: sums + (sums == 64))
    with pytest.raises(VerificationError, match=r"`t`: accumulator 64 .*`odd`"):
        rounding.check_kept("t", -bound, bound)
