"""Codes whose errors cancel in the sums: the sweep, what kernels read, and what `discretize` gains."""

import keras
import numpy as np
import pytest

import keras_gxnor
from keras_gxnor.conversion.compensation import compensate
from keras_gxnor.conversion.initial import codes_of
from keras_gxnor.conversion.registry import SWAPS
from keras_gxnor.conversion.windows import windows

L = keras.layers


def _ternary(x):
    return np.clip(np.rint(x), -1, 1)


def _reads(n, groups=1, count=400, seed=0):
    """(examples (groups, count, n) of correlated numbers, their covariance)."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(groups, count, n)) @ rng.normal(size=(groups, n, n))
    mixed -= mixed.mean(1, keepdims=True)
    return mixed, np.swapaxes(mixed, 1, 2) @ mixed / count


def _loss(kernel, covariance, codes, unit):
    deviation = codes * unit - kernel
    return np.einsum("gic,gij,gjc->gc", deviation, covariance, deviation)


@pytest.mark.parametrize("groups, n, out", [(1, 1, 3), (1, 20, 7), (3, 5, 2), (2, 150, 4)])
def test_codes_are_near_in_what_they_compute_and_never_worse(groups, n, out):
    kernel = np.random.default_rng(1).normal(size=(groups, n, out))
    read, covariance = _reads(n, groups)
    unit = np.full((groups, 1, out), 1.2)
    start = _ternary(kernel / unit)
    codes, new, targets = compensate(kernel, covariance, start, unit, _ternary)
    assert set(np.unique(codes)) <= {-1, 0, 1} and (new > 0).all()
    before, after = (_loss(kernel, covariance, *pair) for pair in ((start, unit), (codes, new)))
    assert (after <= before).all()
    assert n == 1 or after.sum() < 0.6 * before.sum()
    sums = read @ (codes * new - kernel)  # the loss is the variance of the sums' deviation
    assert np.allclose((sums**2).mean(1), after)
    if n > 1:
        assert (_ternary(kernel / new) != codes).any() and not np.array_equal(targets, kernel)


def test_a_kernel_that_codes_hold_exactly_stays():
    codes = np.random.default_rng(2).integers(-1, 2, (2, 30, 6)).astype(float)
    unit = np.full((2, 1, 6), 0.3)
    found, new, targets = compensate(codes * unit, _reads(30, 2)[1], codes, unit, _ternary)
    assert np.array_equal(found, codes) and np.array_equal(new, unit)
    assert np.array_equal(targets, codes * unit)


def test_inputs_that_never_change_leave_every_code():
    kernel = np.random.default_rng(3).normal(size=(1, 8, 3))
    start = _ternary(kernel)
    codes, unit, _ = compensate(kernel, np.zeros((1, 8, 8)), start, np.ones((1, 1, 3)), _ternary)
    assert np.array_equal(codes, start) and (unit == 1).all()


@pytest.mark.parametrize("space", ["ternary", "binary", "z2", "z3", "graded", "int8"])
@pytest.mark.parametrize("groups", [1, 2])
def test_codes_of_every_space_with_what_the_kernel_reads(space, groups):
    kernel = np.random.default_rng(4).normal(size=(3, 4, 6)).astype(np.float32)
    covariance = _reads(12, groups)[1]
    space = keras_gxnor.spaces.get(space)
    (plain, one), (codes, scale) = codes_of(kernel, space), codes_of(kernel, space, covariance)
    assert codes.dtype == np.int8 and codes.shape == kernel.shape and space.contains(codes)
    assert scale.dtype == np.float32 and scale.shape == (6,) and (scale > 0).all()

    def loss(codes, scale):
        near = (space.read(codes) * space.readout.scale * scale).reshape(12, groups, -1)
        deviation = np.moveaxis(near - kernel.reshape(12, groups, -1), 1, 0)
        return np.einsum("gic,gij,gjc->", deviation, covariance, deviation)

    if space.readout.max_code >= 127:
        assert np.array_equal(codes, plain) and np.array_equal(scale, one)
    else:
        assert loss(codes, scale) < 0.9 * loss(plain, one)


LAYERS = {
    "dense": (L.Dense(3), (7,)),
    "dense of rows": (L.Dense(3), (5, 4)),
    "causal": (L.Conv1D(4, 3, padding="causal", dilation_rate=2, groups=2), (9, 4)),
    "conv": (L.Conv2D(3, (3, 2), strides=(2, 1), padding="same"), (7, 6, 2)),
    "valid": (L.Conv2D(2, 2, dilation_rate=2), (7, 6, 2)),
    "depthwise": (L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), (7, 6, 2)),
    "depthwise1d": (L.DepthwiseConv1D(2, strides=2), (9, 3)),
    "separable": (L.SeparableConv1D(5, 3, padding="same", depth_multiplier=2), (9, 3)),
    "separable2d": (L.SeparableConv2D(5, 3, strides=2), (7, 6, 3)),
    "transposed": (L.Conv2DTranspose(3, 3, strides=2, output_padding=1), (4, 5, 2)),
}


def _difference(layer, shape, change=1.0):
    """Largest difference of the moments of a layer's sums: by `windows`, and by the layer itself."""
    x = np.random.default_rng(6).normal(1, size=(8, *shape)).astype(np.float32)
    sums = np.asarray(layer(x), np.float64)
    sums = sums.reshape(-1, sums.shape[-1])
    name, read = list(windows(layer, [x]).items())[-1]
    kernel = next(w.numpy() for w in layer.weights if w.name == name)
    usual = SWAPS[type(layer)].usual(name, kernel * change).astype(np.float64)
    groups, n = read.mean.shape
    apart = np.moveaxis(usual.reshape(n, groups, -1), 1, 0)
    variance = np.einsum("gic,gij,gjc->gc", apart, read.covariance, apart).ravel()
    assert read.count == len(sums)
    return max(np.abs(read.sums(usual) - sums.mean(0)).max(), np.abs(variance - sums.var(0)).max())


@pytest.mark.parametrize("name", LAYERS)
def test_windows_are_what_the_weights_read(name):
    assert _difference(*LAYERS[name]) < 1e-5
    assert _difference(*LAYERS[name], change=1.01) > 1e-4  # the check can fail


def test_windows_leave_the_layer_and_what_is_too_large():
    layer = L.Dense(2)
    layer.build((None, 5000))
    before = layer.get_weights()
    assert windows(layer, [np.ones((3, 5000), np.float32)]) == {}
    assert windows(L.Embedding(4, 2), [np.zeros((2, 3), np.float32)]) == {}
    assert all(map(np.array_equal, before, layer.get_weights()))


def _parent():
    """A float net that tells which of eight smooth curves it sees, its inputs, its labels."""
    rng = np.random.default_rng(7)
    labels, t = rng.integers(0, 8, 1500), np.linspace(0, 1, 32)
    phase = rng.uniform(0, 6, (1500, 1))
    x = np.sin(2 * np.pi * (1 + labels[:, None] / 3) * t + phase) + rng.normal(0, 0.3, (1500, 32))
    x = np.clip(np.rint(x * 40), -128, 127).astype(np.float32)[..., None] / 128
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [keras.Input((32, 1)), L.Conv1D(24, 7, activation="relu"), L.Conv1D(24, 5, activation="relu")]
        + [L.Flatten(), L.Dense(32, "relu"), L.Dense(8)]
    )
    net.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    net.fit(x[:1000], labels[:1000], epochs=8, verbose=0)
    return net, x, labels


def test_discretize_loses_less_with_data_and_codes_stay_plain_without():
    net, x, labels = _parent()

    def made(**kwargs):
        kwargs = {"calibration_data": x[:1000], "keep": (), "verbose": False, **kwargs}
        return keras_gxnor.discretize(net, activation_space="uint8", **kwargs)

    def right(model):
        return (model.predict(x[1000:], verbose=0).argmax(1) == labels[1000:]).mean()

    plain, better = made(compensate=False), made()
    kernel = net.layers[0].kernel.numpy()
    assert np.array_equal(plain.layers[0].codes(), codes_of(kernel, "ternary")[0])
    assert (better.layers[0].codes() != plain.layers[0].codes()).any()
    noise = made(calibration_data=None)  # noise is not what the kernels will read
    assert np.array_equal(noise.layers[0].codes(), plain.layers[0].codes())
    assert right(net) > 0.9 and right(better) > right(plain), (right(net), right(better), right(plain))
