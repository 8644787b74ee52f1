"""DST: exact against an independent NumPy version, equal in eager, graph and XLA."""

import numpy as np
import pytest
import tensorflow as tf

from keras_gxnor import transitions
from keras_gxnor.spaces import DiscreteSpace, GradedSpace

SPACES = [*map(DiscreteSpace, range(8)), DiscreteSpace(1, 0.7), DiscreteSpace(3, 3.0), GradedSpace()]


def _cases(space, count=200_000, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.choice(space.codes(), count)
    increments = (rng.normal(size=count) * rng.choice([1e-9, 1e-3, 0.1, 1, 30], count)).astype(np.float32)
    increments[:6] = [0.0, -0.0, space.step, -space.step, np.inf, -np.inf]
    bits = rng.integers(0, 2**32, count, np.uint32)
    bits[:1000] = rng.choice(np.array([0, 255, 256, 2**32 - 1], np.uint32), 1000)
    return codes, increments, bits


def _by_the_book(codes, increments, bits, space, m):
    """Section 2.3 of the paper in double precision; also how close each draw was to its border."""
    top = space.max_code * space.scale
    w = codes * space.scale
    d = np.where(increments >= 0, np.minimum(top - w, increments), np.maximum(-top - w, increments))
    kappa = np.trunc(d / space.step + np.sign(d) * 1e-9)
    nu = d - kappa * space.step
    size = np.abs(nu) / space.step
    tau = size if m is None else np.tanh(m * size)
    u = (bits >> 8) / 2.0**24
    moved = kappa + np.where(u < tau, np.sign(nu), 0)
    return (codes + space.code_step * moved).astype(np.int8), np.abs(u - tau)


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("m", [3.0, 0.5, 20.0, None])
def test_equals_the_paper(space, m):
    codes, increments, bits = _cases(space)
    found = transitions.transition(codes, increments, bits, space, m).numpy()
    expected, margin = _by_the_book(codes, increments, bits, space, m)
    # Draws within 8e-6 of their border may differ: float32 against double, tanh to 4e-6.
    # The increments +-dz at places 2 and 3 sit on the border of a whole step by design.
    clear = margin > 8e-6
    clear[2:4] = False
    assert clear.mean() > 0.99
    assert np.array_equal(found[clear], expected[clear])
    assert space.contains(found)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_bytes_are_equal_in_eager_graph_and_xla(space):
    codes, increments, bits = _cases(space, 1_000_000)
    for m in (3.0, None):
        move = lambda c, i, b, m=m: transitions.transition(c, i, b, space, m)
        eager = move(tf.constant(codes), tf.constant(increments), tf.constant(bits)).numpy()
        graph = tf.function(move)(codes, increments, bits).numpy()
        xla = tf.function(move, jit_compile=True)(codes, increments, bits).numpy()
        assert eager.tobytes() == graph.tobytes() == xla.tobytes()
        assert not np.array_equal(eager, codes)


def test_a_compiler_s_liberties_would_be_seen():
    """The comparison above has teeth: tf.tanh and a product with constants do differ."""
    x = tf.constant(np.random.default_rng(0).random(1_000_000) * 3, tf.float32)
    scaled = lambda x: transitions.tanh(x * 3.0) * 2.0**24
    for jit in (False, True):
        assert scaled(x).numpy().tobytes() == tf.function(scaled, jit_compile=jit)(x).numpy().tobytes()
    theirs = (tf.tanh(x), tf.function(tf.tanh, jit_compile=True)(x))
    assert theirs[0].numpy().tobytes() != theirs[1].numpy().tobytes()
    product = lambda x: x * 3.0 * x * 3.0
    assert product(x).numpy().tobytes() != tf.function(product)(x).numpy().tobytes()


def test_tanh_is_tanh():
    x = np.concatenate([[0], np.logspace(-8, 3, 200_001)]).astype(np.float32)
    found = transitions.tanh(tf.constant(x)).numpy().astype(np.float64)
    exact = np.tanh(x.astype(np.float64))
    assert np.abs(found - exact).max() < 4e-6
    small = (x > 0) & (x < 1)
    assert (np.abs(found - exact)[small] / exact[small]).max() < 2e-6
    assert found[0] == 0 and found.max() <= 1


def test_certain_and_impossible_moves():
    ternary = DiscreteSpace(1)
    most = tf.constant([2**32 - 1] * 3, tf.uint32)
    least = tf.zeros(3, tf.uint32)
    codes = tf.constant([-1, 0, 1], tf.int8)
    move = lambda d, bits: transitions.transition(codes, tf.fill([3], d), bits, ternary).numpy().tolist()
    assert move(1.0, most) == [0, 1, 1]
    assert move(-1.0, most) == [-1, -1, 0]
    assert move(0.0, least) == [-1, 0, 1]
    assert move(1e9, most) == [1, 1, 1]
    assert move(float("nan"), least) == [-1, 0, 1]
    assert move(1e-6, least) == [0, 1, 1]


def test_expected_moves():
    ternary, n = DiscreteSpace(1), 400_000
    bits = transitions.random_bits((n,), 1, 0, 0)
    codes, d = tf.zeros(n, tf.int8), tf.fill([n], 0.1)
    unbiased = transitions.transition(codes, d, bits, ternary, None).numpy().mean()
    biased = transitions.transition(codes, d, bits, ternary, 3.0).numpy().mean()
    assert abs(unbiased - 0.1) < 5 * np.sqrt(0.09 / n)
    assert abs(biased - np.tanh(0.3)) < 5 * np.sqrt(0.21 / n)


def test_random_bits_are_a_pure_function_of_their_key():
    draw = lambda *key: transitions.random_bits((1000,), *key).numpy()
    keys = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1), (1, 0, 2**40), (2**31 - 1, 65535, 5)]
    drawn = [draw(*key) for key in keys]
    assert len({d.tobytes() for d in drawn}) == len(keys)
    for key, d in zip(keys, drawn):
        for jit in (False, True):
            step = tf.constant(key[2], tf.int64)
            again = tf.function(
                lambda s, key=key: transitions.random_bits((1000,), key[0], key[1], s), jit_compile=jit
            )(step)
            assert again.numpy().tobytes() == d.tobytes()
    assert abs(np.unpackbits(np.concatenate(drawn).view(np.uint8)).mean() - 0.5) < 0.01


def test_random_bits_look_random():
    """Every bit even, neighbours and steps and streams unrelated; each bound is 5 sigma."""
    n = 1 << 20
    draw = lambda *key: transitions.random_bits((n,), *key).numpy()
    one = draw(3, 0, 7)
    bound = 5 * 0.5 / np.sqrt(n)
    for other in (draw(3, 0, 8), draw(3, 1, 7), draw(4, 0, 7), np.roll(one, 1), np.roll(one, 1024)):
        for shift in range(32):
            a, b = one >> shift & 1, other >> shift & 1
            assert abs(a.mean() - 0.5) < bound
            assert abs((a ^ b).mean() - 0.5) < bound, shift
    counts = np.bincount(one >> 20, minlength=4096)  # chi-square, 4,095 degrees of freedom
    assert abs(((counts - n / 4096) ** 2).sum() / (n / 4096) - 4095) < 5 * np.sqrt(2 * 4095)


def test_few_bits_in_the_key_change_half_of_the_bits():
    base = transitions.random_bits((4096,), 0, 0, 0).numpy()
    for key in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (2**40, 0, 0), (0, 0, 2**30)]:
        flipped = np.unpackbits((base ^ transitions.random_bits((4096,), *key).numpy()).view(np.uint8))
        assert abs(flipped.mean() - 0.5) < 5 * 0.5 / np.sqrt(flipped.size)
