"""Kernels to codes times a scale, and scales into a normalization."""

import keras
import numpy as np
import pytest

from keras_gxnor.conversion.numbers import Normalization, fold_scale, split, twn
from keras_gxnor.errors import InvalidArgumentError


def _norm(rng, channels, epsilon=1e-3):
    gamma, beta, mean = rng.normal(size=(3, channels)).astype(np.float32)
    return Normalization(gamma, beta, mean, rng.uniform(0.1, 2, channels).astype(np.float32), epsilon)


def _apply(norm, x):
    gamma, beta, mean, variance = (
        np.asarray(v, np.float64) for v in (norm.gamma, norm.beta, norm.mean, norm.variance)
    )
    return gamma * (x - mean) / np.sqrt(variance + norm.epsilon) + beta


def _kernel(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(7, 3), (3, 3, 2, 5), (4,)])
def test_twn_is_the_published_rule_channel_by_channel(shape):
    kernel = _kernel(shape)
    codes, alpha = twn(kernel)
    flat, found = kernel.reshape(-1, shape[-1]).astype(np.float64), codes.reshape(-1, shape[-1])
    for c in range(shape[-1]):
        column, limit = flat[:, c], 0.7 * np.abs(flat[:, c]).mean()
        expected = [int(np.sign(w)) if abs(w) > limit else 0 for w in column]
        assert found[:, c].tolist() == expected
        kept = [abs(w) for w in column if abs(w) > limit]
        assert alpha[c] == np.float32(np.mean(kept))
    assert codes.dtype == np.int8 and codes.shape == shape


def test_the_scale_of_twn_is_the_best_one_for_its_codes():
    kernel = _kernel((50, 4))
    codes, alpha = twn(kernel)

    def error(scale):
        return ((kernel - codes * scale) ** 2).sum()

    assert error(alpha) < error(alpha * 1.01) and error(alpha) < error(alpha * 0.99)


def test_a_channel_of_zeros_has_scale_one():
    codes, alpha = twn(np.zeros((3, 2)))
    assert not codes.any() and alpha.tolist() == [1, 1]
    assert split(np.zeros((3, 2)))[1].tolist() == [1, 1]


def test_a_ternary_kernel_is_split_exactly_and_another_not_at_all():
    rng = np.random.default_rng(1)
    codes = rng.integers(-1, 2, (3, 3, 4, 6)).astype(np.int8)
    kernel = codes * rng.uniform(0.01, 3, 6).astype(np.float32)
    found, alpha = split(kernel)
    assert np.array_equal(found, codes) and np.array_equal(found * alpha, kernel)
    kernel[0, 0, 0, 0] = np.nextafter(alpha[0], np.float32(4))
    assert split(kernel) is None


@pytest.mark.parametrize("bias", [None, "drawn"])
def test_folding_a_scale_changes_nothing_in_real_numbers(bias):
    rng = np.random.default_rng(2)
    norm, alpha = _norm(rng, 5), rng.uniform(0.01, 3, 5)
    bias = rng.normal(size=5) if bias else None
    sums = rng.integers(-50, 50, (20, 5))
    folded = fold_scale(norm, alpha, bias)
    expected = _apply(norm, alpha * sums + (0 if bias is None else bias))
    np.testing.assert_allclose(_apply(folded, sums), expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(folded.gamma, norm.gamma)  # training on starts where the parent was
    assert not np.allclose(_apply(norm, sums), expected)


def test_a_variance_never_becomes_negative():
    one = np.ones(2, np.float32)
    folded = fold_scale(Normalization(one, one, one, one * 1e-6, 1e-3), [8.0, 0.5])
    assert folded.variance[0] == 0 and folded.gamma[0] != 1 and folded.gamma[1] == 1
    expected = _apply(Normalization(one, one, one, one * 1e-6, 1e-3), [[8.0, 0.5]])
    np.testing.assert_allclose(_apply(folded, [[1, 1]]), expected, rtol=1e-5)


def test_a_scale_alone_is_exact_in_keras():
    alpha, bias = np.float32([0.3, 7e-3, 41.7]), np.float32([0.1, -5.0, 0.0])
    norm = Normalization.of_scale(alpha, bias)
    layer = keras.layers.BatchNormalization(epsilon=norm.epsilon)
    layer.build((None, 3))
    layer.set_weights([norm.gamma, norm.beta, norm.mean, norm.variance])
    sums = np.random.default_rng(3).integers(-999, 999, (64, 3)).astype(np.float32)
    assert np.array_equal(layer(sums, training=False).numpy(), sums * alpha + bias)


@pytest.mark.parametrize("kernel", [[[np.nan]], [[np.inf, 1]], 3.0, np.zeros((0, 4))])
@pytest.mark.parametrize("function", [twn, split])
def test_what_is_no_kernel_is_refused(function, kernel):
    with pytest.raises(InvalidArgumentError, match="finite numbers"):
        function(kernel)


@pytest.mark.parametrize(
    "alpha, bias", [(0.0, None), (-1.0, None), (np.nan, None), ([1, 1], None), (1.0, [1, 1])]
)
def test_what_cannot_be_folded_is_refused(alpha, bias):
    norm = _norm(np.random.default_rng(4), 3)
    with pytest.raises(InvalidArgumentError, match="Received"):
        fold_scale(norm, alpha, bias)
