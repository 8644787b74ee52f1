import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gxnor import DiscreteSpace, GradedSpace, GXNORDense, IntegerSpace, kernels
from keras_gxnor.errors import InvalidArgumentError


def _layer(**kwargs):
    layer = GXNORDense(6, use_bias=False, **kwargs)
    layer.build((None, 50))
    return layer


@pytest.mark.parametrize("space", ["ternary", "binary", "z4", "graded", "int8", DiscreteSpace(2, 0.5)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_read_gives_values_and_passes_the_gradient(space, dtype):
    variable = _layer(kernel_space=space).kernel
    upstream = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    with tf.GradientTape() as tape:
        values = kernels.read(variable, dtype)
        loss = tf.reduce_sum(values * tf.cast(upstream, dtype))
    space = variable.space
    expected = space.read(variable.numpy()).astype(np.float32) * space.readout.scale
    assert np.array_equal(tf.cast(values, tf.float32).numpy(), expected)
    gradient = tape.gradient(loss, variable.value)
    assert gradient.dtype == tf.float32
    assert np.array_equal(gradient.numpy(), tf.cast(tf.cast(upstream, dtype), tf.float32).numpy())


@pytest.mark.parametrize("name", ["glorot_uniform", "random_uniform"])
def test_uniform_draws_give_equally_likely_states(name):
    for space, states in (("ternary", 3), ("z2", 5), ("z3", 9)):
        layer = GXNORDense(200, kernel_initializer=name, kernel_space=space)
        layer.build((None, 500))
        shares = np.unique(layer.kernel.numpy(), return_counts=True)[1] / 100_000
        assert len(shares) == states
        assert np.abs(shares - 1 / states).max() < 0.01
    layer = GXNORDense(200, kernel_initializer=name, kernel_space="graded")
    layer.build((None, 500))
    shares = np.unique(layer.kernel_codes(), return_counts=True)[1] / 100_000
    assert np.abs(shares - 1 / 3).max() < 0.01


def test_values_of_the_space_are_taken_as_they_are():
    ternary, quarter = DiscreteSpace(1), DiscreteSpace(2, 0.5)
    assert kernels.nearest_codes([1, 0, -1], ternary).tolist() == [1, 0, -1]
    assert kernels.nearest_codes([0.5, 0.25, 0], quarter).tolist() == [2, 1, 0]
    assert kernels.nearest_codes([1, 0, -1], GradedSpace()).tolist() == [127, 0, -127]
    for name, code in (("zeros", 0), ("ones", 1)):
        assert (_layer(kernel_initializer=name).kernel.numpy() == code).all()
    assert (_layer(kernel_initializer=keras.initializers.Constant(-1)).kernel.numpy() == -1).all()


def test_scale_of_an_initializer_does_not_matter():
    w = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    one, other = (kernels.nearest_codes(w * f, DiscreteSpace(1)) for f in (1, 1e-3))
    assert np.array_equal(one, other) and set(one) == {-1, 0, 1}


@pytest.mark.parametrize("factor", [1.0, 1e-3, 50.0])
def test_the_largest_draw_of_an_integer_kernel_is_the_largest_code(factor):
    w = np.random.default_rng(0).normal(size=1000).astype(np.float32) * np.float32(factor)
    for bits, most in ((8, 127), (4, 7)):
        codes = kernels.nearest_codes(w, IntegerSpace(bits))
        assert codes[np.abs(w).argmax()] == most * np.sign(w[np.abs(w).argmax()])
        assert np.abs(codes - w / np.abs(w).max() * most).max() <= 0.5 + 1e-4
    whole = np.arange(-127, 128) / 128
    assert np.array_equal(kernels.nearest_codes(whole, IntegerSpace()), np.arange(-127, 128))


def test_nan_initializers_are_refused():
    with pytest.raises(InvalidArgumentError, match="finite"):
        _layer(kernel_initializer=keras.initializers.Constant(float("nan")))


@pytest.mark.parametrize("bad", [0.7, 2, -2, float("nan"), 300])
def test_assign_refuses_what_is_no_code(bad):
    variable = _layer().kernel
    before = variable.numpy()
    for value in (np.full((50, 6), bad), tf.fill((50, 6), float(bad))):
        with pytest.raises(InvalidArgumentError, match="only codes"):
            variable.assign(value)
    assert np.array_equal(variable.numpy(), before)


def test_assign_takes_codes_of_any_dtype():
    variable = _layer().kernel
    codes = np.random.default_rng(0).integers(-1, 2, (50, 6))
    for value in (codes, codes.astype(float), codes.tolist(), tf.constant(codes)):
        variable.assign(np.zeros((50, 6)))
        variable.assign(value)
        assert np.array_equal(variable.numpy(), codes) and variable.dtype == "int8"


def test_symbolic_floats_are_refused():
    variable = _layer().kernel

    @tf.function
    def assign(value):
        variable.assign(value)

    with pytest.raises(InvalidArgumentError, match="int8 codes"):
        assign(tf.ones((50, 6)))
    assign(tf.ones((50, 6), tf.int8))
    assert (variable.numpy() == 1).all()


def test_assign_add_and_sub_cannot_leave_the_space():
    """Keras' own would wrap around: 1 + 127 is -128 in int8."""
    variable = _layer(kernel_initializer="ones").kernel
    for change in (variable.assign_add, variable.assign_sub):
        with pytest.raises(InvalidArgumentError, match="codes"):
            change(np.full((50, 6), 127, np.int8))
        assert (variable.numpy() == 1).all()
    variable.assign_sub(np.ones((50, 6), np.int8))
    assert (variable.numpy() == 0).all()
