"""Small layers in C with every input, weight, threshold and length of a list that matters."""

import itertools

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor.converters import c_source, host, tiles
from keras_gxnor.spaces import DiscreteSpace
from tests.conformance.samples import Chain

CODES = g.InputSpec("int8", 1.0, 0)


def trits(name, shape):
    """A network whose first layer makes trits of its input's bytes: 1 of 1 and more, -1 below 0."""
    chain = Chain(name, shape, CODES)
    limits = np.tile(np.int32([0, 1]), (shape[-1], 1))
    return chain.add(g.Threshold(limits, np.zeros(shape[-1], bool), DiscreteSpace(1)))


def every(values, length):
    """All vectors: (len(values) ** length, length)."""
    return np.array(list(itertools.product(values, repeat=length)), np.int8)


FORMS = [(8, "2bit"), (32, "2bit"), (128, "2bit"), (32, "1.67bit")]


def run(pairs, lanes=32, weights="2bit"):
    """Runs (chain, inputs) of several networks from one file; the float32 logits of each."""
    artifacts = [c_source.emit(chain.graph(), chain.name, lanes, weights) for chain, _ in pairs]
    library = host.Library(artifacts, flags=("-O1",))
    return [library.run(artifact, x) for artifact, (_, x) in zip(artifacts, pairs)]


@pytest.mark.parametrize(("lanes", "weights"), [*((n, "2bit") for n in tiles.LANES), (32, "1.67bit")])
def test_all_pairs_of_vectors_of_six_trits(lanes, weights):
    """531,441 products, counted in tiles by a dense layer and by a convolution."""
    x = every((-1, 0, 1), 6)
    dense = trits("dense", (6,)).add(g.Dense(x.T.copy()))
    conv = trits("conv", (2, 3, 1)).add(g.Conv2D(x.T.reshape(2, 3, 1, 729)))
    made = run([(dense, x), (conv, x.reshape(-1, 2, 3, 1))], lanes, weights)
    exact = x.astype(np.float32) @ x.T.astype(np.float32)
    for sums in made:
        np.testing.assert_array_equal(sums.reshape(729, 729), exact)


def counted(rng, length, pairs):
    """Vectors of `length` trits with so many ones and minus ones, at random places."""
    x = np.zeros((len(pairs), length), np.int8)
    for row, (plus, minus) in zip(x, pairs):
        places = rng.permutation(length)
        row[places[:plus]], row[places[plus : plus + minus]] = 1, -1
    return x


@pytest.mark.parametrize("weights", ["2bit", pytest.param("1.67bit", marks=pytest.mark.slow)])
def test_dense_of_every_fan_in(weights):
    """1 to 100 inputs, of which from none to all are set."""
    rng, pairs, exact = np.random.default_rng(0), [], []
    for length in range(1, 101):
        kernel = rng.integers(-1, 2, (length, 33)).astype(np.int8)
        kernel[:, 0], kernel[:, 32] = 1, -1
        counts = [(k, 0) for k in range(length + 1)] + [(0, k) for k in range(length + 1)]
        counts += [(k, length - k) for k in range(length + 1)]
        x = counted(rng, length, counts)
        pairs.append((trits(f"dense{length}", (length,)).add(g.Dense(kernel)), x))
        exact.append(x.astype(np.int32) @ kernel)
    for sums, right in zip(run(pairs, 32, weights), exact):
        np.testing.assert_array_equal(sums, right)


COUNTS = list(itertools.product(range(41), repeat=2))
# Around the eights that a batch holds, and the 128 after which carries overflow their 16 words.
LONG = list(itertools.product((0, 1, 7, 8, 120, 127, 128, 129, 135, 136, 137, 255, 256, 257, 300), repeat=2))


@pytest.mark.parametrize(("lanes", "weights"), FORMS)
def test_lists_of_every_length(lanes, weights):
    """Lists to add and to subtract, of a vector in chunks, and under a window over its border."""
    rng = np.random.default_rng(lanes)
    x = counted(rng, 700, COUNTS + LONG)
    kernel = rng.integers(-1, 2, (700, 35)).astype(np.int8)
    kernel[:, 0], kernel[:, 34] = 1, -1
    chunks = rng.choice(np.int8([-1, 0, 1]), (60, 2090))
    chunks[:4, :1024], chunks[2:6, 1024:2048], chunks[6:8] = 0, 0, 1
    wide = rng.integers(-1, 2, (2090, 17)).astype(np.int8)
    image = x.reshape(-1, 5, 5, 28)
    window = rng.integers(-1, 2, (5, 5, 28, 35)).astype(np.int8)
    layers = [
        (trits("vector", (700,)).add(g.Dense(kernel)), x),
        (trits("chunks", (2090,)).add(g.Dense(wide)), chunks),
        (trits("window", (5, 5, 28)).add(g.Conv2D(window)), image),
        (trits("same", (5, 5, 28)).add(g.Conv2D(window, padding="same")), image[-60:]),
    ]
    made = run(layers, lanes, weights)
    np.testing.assert_array_equal(made[0], x.astype(np.int32) @ kernel)
    np.testing.assert_array_equal(made[1], chunks.astype(np.int32) @ wide)
    flat = window.reshape(700, 35).astype(np.int32)
    np.testing.assert_array_equal(made[2].reshape(-1, 35), x.astype(np.int32) @ flat)
    padded = np.pad(image[-60:], ((0, 0), (2, 2), (2, 2), (0, 0))).astype(np.int32)
    for y, column in itertools.product(range(5), repeat=2):
        patch = padded[:, y : y + 5, column : column + 5].reshape(60, 700)
        np.testing.assert_array_equal(made[3][:, y, column], patch @ flat)


@pytest.mark.parametrize(("lanes", "weights"), FORMS)
def test_every_threshold(lanes, weights):
    """Each t0 <= t1 that five trits can reach or not, and each four of a layer of four."""
    for order, length in ((1, 5), (2, 4)):
        steps = 2**order
        values = range(-length, length + 2)
        limits = np.array(list(itertools.combinations_with_replacement(values, steps)), np.int32)
        x, space = every((-1, 0, 1), length), DiscreteSpace(order)
        flipped = np.zeros(len(limits), bool)
        right = -(steps // 2) + (x.sum(1, dtype=np.int32)[:, None, None] >= limits).sum(-1)
        kernel = np.ones((length, len(limits)), np.int8)
        layers = []
        for name, shape, op in (
            ("vector", (length,), g.Dense(kernel)),
            ("image", (1, length, 1), g.Conv2D(kernel.reshape(1, length, 1, -1))),
        ):
            chain = trits(name, shape).add(op).add(g.Threshold(limits, flipped, space))
            layers.append((chain, x.reshape(-1, *shape)))
        for codes in run(layers, lanes, weights):
            np.testing.assert_array_equal(codes.reshape(len(x), -1), right)


@pytest.mark.parametrize(("lanes", "weights"), FORMS)
def test_every_digit_of_weights_and_level_of_inputs(lanes, weights):
    """Each pair of weights of -7..7 with each pair of bytes that differs in a level."""
    kernel = every(range(-7, 8), 2).T.copy()
    some = [-128, -127, -126, -65, -64, -63, -33, -5, -2, -1, 0, 1, 2, 3, 4, 31, 32, 63, 64, 100, 126, 127]
    x = np.array(list(itertools.product(range(-128, 128), some)), np.int8)
    dense = Chain("dense", (2,), CODES).add(g.Dense(kernel))
    conv = Chain("conv", (1, 2, 1), CODES).add(g.Conv2D(kernel.reshape(1, 2, 1, -1)))
    deep = Chain("deep", (1, 1, 2), CODES).add(g.Conv2D(kernel.reshape(1, 1, 2, -1)))
    made = run([(dense, x), (conv, x.reshape(-1, 1, 2, 1)), (deep, x.reshape(-1, 1, 1, 2))], lanes, weights)
    exact = x.astype(np.int32) @ kernel
    for sums in made:
        np.testing.assert_array_equal(sums.reshape(len(x), -1), exact)
