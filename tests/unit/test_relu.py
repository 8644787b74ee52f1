"""The ReLU in 255 steps: its formula, its gradients against the derivation, and its range in training."""

import copy
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gxnor import DiscreteActivation, DSTOptimizer, GXNORDense, QuantizedReLU, quantizers, relu
from keras_gxnor.errors import InvalidArgumentError

SPACES = [("uint8", 4.0), ("uint8", 2**-20), ("uint5", 512.0), ("uint4", 1.0), ("uint2", 2.0), ("uint1", 0.5)]


def _numbers(quantizer):
    """Every code, every border between two, the numbers next to them, and what is clipped."""
    codes = np.arange(-4, quantizer.levels + 5, 0.25) * quantizer.scale
    x = codes.astype(np.float32)
    return np.concatenate([x, np.nextafter(x, np.float32(9e9)), np.nextafter(x, np.float32(-9e9))])


@pytest.mark.parametrize("space, range", SPACES)
def test_forward_is_the_formula(space, range):
    quantizer = QuantizedReLU(space, range)
    x = _numbers(quantizer)
    expected = []
    for value in x:
        code = math.floor(float(np.float32(value / quantizer.scale) + np.float32(0.5)))
        expected.append(min(max(code, 0), quantizer.levels) * quantizer.scale)
    found = quantizer(tf.constant(x)).numpy()
    assert np.array_equal(found, np.float32(expected))
    assert len(np.unique(found)) == quantizer.levels + 1


def test_halves_round_up_and_the_largest_value_is_below_the_range():
    x = tf.constant([-1.0, -0.5, 0.4375, 0.5, 1.5, 2.5, 254.5, 255.4, 1e30, np.inf])
    assert QuantizedReLU("uint8", 256.0)(x).numpy().tolist() == [0, 0, 0, 1, 2, 3, 255, 255, 255, 255]


@pytest.mark.parametrize("space, range", SPACES)
def test_gradients_are_the_derivation(space, range):
    """dy/dx = 1 inside; dy/dl = s ln 2 (n - c) inside, 0 below, s ln 2 L above."""
    quantizer = QuantizedReLU(space, range)
    x, upstream = _numbers(quantizer), 0.0
    upstream = np.random.default_rng(0).normal(size=len(x)).astype(np.float32)
    level = tf.Variable(math.log2(range))
    with tf.GradientTape() as tape:
        inputs = tf.constant(x)
        tape.watch(inputs)
        loss = tf.reduce_sum(quantizer(inputs, log2_range=level) * upstream)
    to_x, to_level = tape.gradient(loss, [inputs, level])
    c = x.astype(np.float64) / quantizer.scale
    n = np.floor((np.float32(c) + np.float32(0.5)).astype(np.float64))
    inside = (n >= 0) & (n <= quantizer.levels)
    assert np.array_equal(to_x.numpy(), np.where(inside, upstream, 0))
    slope = np.where(inside, n - c, np.where(n > quantizer.levels, quantizer.levels, 0))
    expected = quantizer.scale * math.log(2) * (upstream.astype(np.float64) * slope).sum()
    assert float(to_level) == pytest.approx(expected, rel=1e-4)


def test_range_gradient_is_the_slope_between_two_ranges():
    """Where all is clipped or whole, y is linear in s: the difference quotient of 2^l, exactly."""
    x = tf.constant([300.0, 400.0])  # clipped at the ranges 1 and 2
    level = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(QuantizedReLU("uint8")(x, log2_range=level))
    step = (QuantizedReLU("uint8", 2.0)(x) - QuantizedReLU("uint8", 1.0)(x)).numpy().sum()
    assert float(tape.gradient(y, level)) == pytest.approx(step * math.log(2), rel=1e-6)


@pytest.mark.parametrize("level, k", [(0.49, 0), (0.51, 1), (-3.2, -3), (99.0, 32), (-99.0, -32)])
def test_the_range_is_the_nearest_power_of_two(level, k):
    assert int(relu.exponent(level)) == k
    x = tf.random.normal((100,)) * 2.0**k
    same = QuantizedReLU("uint8", 2.0**k)(x)
    assert np.array_equal(QuantizedReLU("uint8")(x, log2_range=level), same)


@pytest.mark.parametrize("jit", [False, True])
def test_graph_and_xla_agree_with_eager(jit):
    layer = DiscreteActivation("uint8", range=2.0)
    x = tf.random.normal((4000,), stddev=3)
    assert np.array_equal(tf.function(layer, jit_compile=jit)(x).numpy(), layer(x).numpy())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_dtypes_compute_in_float32(dtype):
    x = tf.cast(tf.linspace(-1.0, 5.0, 999), dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = QuantizedReLU("uint8")(x)
    assert y.dtype == x.dtype
    assert np.array_equal(tf.cast(y, tf.float32), QuantizedReLU("uint8")(tf.cast(x, tf.float32)))
    assert set(tape.gradient(y, x).numpy().astype(float)) == {0.0, 1.0}


@pytest.mark.parametrize("target, end", [(30.0, 32.0), (0.4, 0.5)])
def test_training_moves_the_range_to_what_is_needed(target, end):
    """Inputs up to `target`, a loss against themselves: ranges too small or too large are left."""
    x = np.random.default_rng(0).uniform(0, target, (256, 8)).astype(np.float32)
    model = keras.Sequential([keras.Input((8,)), DiscreteActivation("uint4", range=4.0)])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    model.fit(x, x, epochs=30, batch_size=32, verbose=0)
    assert model.layers[0].resolved() == QuantizedReLU("uint4", end)


def test_frozen_ranges_stay():
    model = keras.Sequential([keras.Input((8,)), GXNORDense(8), DiscreteActivation("uint8", trainable=False)])
    model.compile(DSTOptimizer(0.1), "mse")
    x = np.full((32, 8), 30, np.float32)
    model.fit(x, x, verbose=0)
    assert model.layers[1].log2_range.numpy() == 2.0 and not model.layers[1].trainable_variables


def test_get_serialize_deserialize():
    odd = QuantizedReLU("uint4", 0.25)
    for made in (
        quantizers.get(odd),
        quantizers.deserialize(quantizers.serialize(odd)),
        QuantizedReLU.from_config(odd.get_config()),
        copy.deepcopy(odd),
        quantizers.get(DiscreteActivation("uint4", range=0.25)),
    ):
        assert made == odd and hash(made) == hash(odd)
    assert quantizers.get("uint8") == QuantizedReLU() != odd
    assert repr(odd) == "QuantizedReLU('uint4', range=0.25)"
    assert GXNORDense(2, "uint8").activation == QuantizedReLU("uint8")


def test_a_layer_gives_its_learned_range_away():
    layer = DiscreteActivation("uint8", range=2.0)
    layer(np.zeros((1, 2), np.float32))
    layer.log2_range.assign(-2.7)
    assert quantizers.get(layer) == layer.resolved() == QuantizedReLU("uint8", 0.125)
    assert GXNORDense(2, layer).activation == QuantizedReLU("uint8", 0.125)
    assert DiscreteActivation("z2").resolved() == quantizers.get("z2")


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"space": "uint9"}, "space"),
        ({"space": 8}, "space"),
        ({"range": 3.0}, "power of two"),
        ({"range": 0}, "power of two"),
        ({"range": -1.0}, "power of two"),
        ({"range": 2.0**40}, "power of two"),
        ({"range": float("nan")}, "power of two"),
        ({"range": True}, "power of two"),
        ({"range": "4"}, "power of two"),
    ],
)
def test_arguments_are_checked(arguments, words):
    with pytest.raises(InvalidArgumentError, match=words):
        QuantizedReLU(**arguments)


def test_other_activations_know_no_unsigned_space():
    for make in (lambda: GXNORDense(2, kernel_space="uint8"), lambda: DiscreteActivation("int8")):
        with pytest.raises(InvalidArgumentError, match=r"uint8|for kernels"):
            make()
