import copy
import pickle

import numpy as np
import pytest
import tensorflow as tf

from keras_gxnor import DiscreteActivation, DiscreteSpace, compilation, quantizers
from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.quantizers import MultiStep


@pytest.mark.parametrize("order", range(8))
def test_forward_is_the_paper_s_table(order):
    space = DiscreteSpace(order, 2.0)
    quantizer = MultiStep(space, window=0.3)
    x = np.concatenate([np.linspace(-3, 3, 2001), quantizer.thresholds()]).astype(np.float32)
    found = quantizer(tf.constant(x)).numpy()
    thresholds = np.array(quantizer.thresholds(), np.float32)
    if order == 0:
        expected = np.where(x >= 0, 2.0, -2.0)
    else:
        counts = (np.abs(x)[:, None] > thresholds).sum(1)
        expected = np.sign(x) * counts * 2.0 / space.max_code
    assert np.array_equal(found, expected.astype(np.float32))
    assert set(found) == set(space.values())


def test_thresholds_are_evenly_spaced_from_the_window():
    assert MultiStep("z3", window=0.2).thresholds() == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert MultiStep("ternary").thresholds() == [0.5]


def test_ties_give_zero():
    x = tf.constant([0.5, -0.5, np.nextafter(np.float32(0.5), np.float32(1))])
    assert MultiStep()(x).numpy().tolist() == [0, 0, 1]
    assert MultiStep("binary")(tf.constant([0.0, -0.0])).numpy().tolist() == [1, 1]


@pytest.mark.parametrize("order", range(8))
@pytest.mark.parametrize("pulse", ["rectangular", "triangular"])
@pytest.mark.parametrize("window, width", [(0.5, 0.5), (0.5, 0.1), (0.1, 0.4), (0.0, 0.3)])
def test_the_integral_of_the_pulses_is_the_range(order, pulse, window, width):
    quantizer = MultiStep(DiscreteSpace(order), window, pulse, width)
    x = np.linspace(-3, 3, 600_001, dtype=np.float32)
    y = quantizer.derivative(tf.constant(x)).numpy().astype(np.float64)
    assert abs(y.mean() * 6 - 2) < 1e-3
    assert (y >= 0).all()


def test_default_pulse_is_slope_one_within_one():
    x = tf.constant([-1.01, -1.0, -0.5, -0.1, 0.0, 0.3, 1.0, 1.01])
    assert MultiStep().derivative(x).numpy().tolist() == [0, 1, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_gradient_is_the_pulse_times_upstream(dtype):
    quantizer = MultiStep("z2", 0.25, "triangular", 0.5)
    x = tf.cast(tf.linspace(-2.0, 2.0, 41), dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = quantizer(x) * 3
    assert y.dtype == x.dtype
    assert np.array_equal(tape.gradient(y, x).numpy(), (3 * quantizer.derivative(x)).numpy())


@pytest.mark.parametrize("jit", [False, True])
def test_graph_and_xla_agree_with_eager(jit):
    x = tf.random.normal((10_000,))
    for order in (0, 1, 4):
        quantizer = MultiStep(DiscreteSpace(order))
        assert np.array_equal(tf.function(quantizer, jit_compile=jit)(x).numpy(), quantizer(x).numpy())


def test_get_serialize_deserialize():
    assert quantizers.get("ternary") == MultiStep()
    assert quantizers.get(None) is None
    odd = MultiStep(DiscreteSpace(2, 0.5), 0.25, "triangular", 0.125)
    assert quantizers.get(odd) is odd
    assert quantizers.deserialize(quantizers.serialize(odd)) == odd
    assert quantizers.get(quantizers.serialize(odd)) == odd
    assert quantizers.get(DiscreteActivation("z2")) == MultiStep("z2")
    assert odd != MultiStep() and hash(MultiStep()) == hash(MultiStep())


@pytest.mark.parametrize(
    "kwargs, words",
    [
        ({"space": "quaternary"}, "discrete space"),
        ({"window": 1.0}, "window"),
        ({"window": -0.1}, "window"),
        ({"pulse": "gaussian"}, "rectangular"),
        ({"pulse_width": 0}, "pulse_width"),
        ({"pulse_width": float("nan")}, "pulse_width"),
    ],
)
def test_bad_arguments_are_refused(kwargs, words):
    with pytest.raises(InvalidArgumentError, match=words):
        MultiStep(**kwargs)


@pytest.mark.parametrize("bad", ["relu6", 3, ["ternary"]])
def test_get_refuses_other_things(bad):
    with pytest.raises(InvalidArgumentError):
        quantizers.get(bad)


def test_graded_activations_are_refused():
    for make in (MultiStep, DiscreteActivation):
        with pytest.raises(InvalidArgumentError, match="graded space is for kernels"):
            make("graded")


@pytest.mark.parametrize("space", ["binary", "ternary", "z2", "z5", DiscreteSpace(3, 2.0)])
@pytest.mark.parametrize("pulse", ["rectangular", "triangular"])
def test_fused_training_equals_the_plain_passes(space, pulse):
    """Equal values; equal gradients, but for the last bit of a triangular pulse."""
    layer = DiscreteActivation(space, 0.3, pulse, 0.4)
    x = tf.random.stateless_normal((4, 600), (1, 2), stddev=1.5)
    x = tf.concat([x, tf.fill((4, 1), 0.3), tf.fill((4, 1), 0.7), tf.zeros((4, 1))], 1)
    upstream = tf.random.stateless_normal(x.shape, (3, 4))
    found = []
    for training in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
        found.append((y.numpy(), tape.gradient(y, x, upstream).numpy()))
    assert np.array_equal(found[0][0], found[1][0])
    if pulse == "rectangular":
        assert np.array_equal(found[0][1], found[1][1])
    else:
        assert np.allclose(found[0][1], found[1][1], rtol=1e-6, atol=1e-6)
    assert "_fused" in vars(layer.quantizer)


def test_small_activations_and_inference_are_left_alone():
    layer = DiscreteActivation()
    layer(tf.zeros((4, 600)))
    layer(tf.zeros((4, 600)), training=False)
    layer(tf.zeros((4000, 100)), training=True)
    tf.function(lambda x: layer(x, training=True), [tf.TensorSpec([None, None, 600])])(tf.zeros((4, 3, 600)))
    tf.function(lambda x: layer(x, training=True), [tf.TensorSpec(None)])(tf.zeros((4, 600)))
    assert "_fused" not in vars(layer.quantizer)


def test_a_quantizer_can_be_copied_after_training():
    layer = DiscreteActivation()
    layer(tf.zeros((4, 600)), training=True)
    assert "_fused" in vars(layer.quantizer)
    assert copy.deepcopy(layer.quantizer) == layer.quantizer == pickle.loads(pickle.dumps(layer.quantizer))


def test_whether_xla_works_is_found_out_even_while_tracing(monkeypatch):
    """Traced, a compilation is only noted; run, it fails where there is no XLA."""

    def without_xla(function, jit_compile):
        def call(x):
            if tf.executing_eagerly():
                raise tf.errors.UnimplementedError(None, None, "no XLA")
            return x

        return call

    real, found = tf.function, []
    compilation.xla_works.cache_clear()
    monkeypatch.setattr(tf, "function", without_xla)
    real(lambda: found.append(compilation.xla_works()), autograph=False)()
    monkeypatch.undo()
    compilation.xla_works.cache_clear()
    assert found == [False]
