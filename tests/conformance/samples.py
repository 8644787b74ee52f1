"""Sample graphs: small nets with every awkward size, each with its input codes.

Built straight from graph operations, with no Keras and no training, so that a
back end can be tested alone. `SAMPLES` maps a name to a zero-argument builder.
"""

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.spaces import DiscreteSpace

TERNARY, BINARY = DiscreteSpace(1), DiscreteSpace(0)
IMAGE = g.InputSpec("uint8", 1 / 128, 128)


class Chain:
    """Appends operations one after the other, with random but reproducible constants."""

    def __init__(self, name, shape, spec=IMAGE, seed=0):
        self.name = name
        self.rng = np.random.default_rng([seed, *name.encode()])
        self.nodes = [g.Node("input", g.Input(tuple(shape), spec))]

    @property
    def type(self):
        return g.Graph(tuple(self.nodes), (len(self.nodes) - 1,)).check()[-1]

    def add(self, op):
        name = f"{type(op).__name__.lower()}_{len(self.nodes)}"
        self.nodes.append(g.Node(name, op, (len(self.nodes) - 1,)))
        return self

    def trits(self, shape, zeros=1 / 3):
        probabilities = [(1 - zeros) / 2, zeros, (1 - zeros) / 2]
        return self.rng.choice(np.array([-1, 0, 1], np.int8), size=shape, p=probabilities)

    def conv(self, filters, size=3, strides=1, padding="valid", dilation=1, groups=1, zeros=1 / 3):
        pair = (size, size) if isinstance(size, int) else size
        both = lambda v: (v, v) if isinstance(v, int) else v
        kernel = self.trits((*pair, self.type.shape[-1] // groups, filters), zeros)
        return self.add(g.Conv2D(kernel, both(strides), padding, both(dilation), groups))

    def dense(self, units, zeros=1 / 3):
        return self.add(g.Dense(self.trits((self.type.shape[0], units), zeros)))

    def pool(self, size=2, strides=None, padding="valid"):
        pair = (size, size) if isinstance(size, int) else size
        strides = pair if strides is None else (strides, strides)
        return self.add(g.MaxPool2D(pair, strides, padding))

    def flatten(self):
        return self.add(g.Flatten())

    def step(self, flip=0.3, space=TERNARY, extreme=False):
        """Random thresholds within the spread of the sums; `extreme` adds constant channels."""
        t = self.type
        channels = t.shape[-1]
        center = (t.low + t.high) / 2
        spread = np.maximum((t.high - t.low) / 12, 1)
        count = space.num_states - 1
        raw = center[:, None] + self.rng.normal(size=(channels, count)) * spread[:, None]
        thresholds = np.sort(np.round(raw), axis=1).astype(np.int32)
        flipped = self.rng.random(channels) < flip
        if extreme:
            bound = np.maximum(-t.low, t.high).astype(np.int32)
            choices = [
                np.stack([-bound, -bound]),  # always +1
                np.stack([bound + 1, bound + 1]),  # always -1
                np.stack([-bound, bound + 1]),  # always 0
                np.stack([bound, bound]),  # only the largest sum
                np.stack([-bound + 1, bound]),  # zero except at the ends
                np.stack([np.zeros_like(bound), np.zeros_like(bound)]),  # never 0
                np.stack([np.zeros_like(bound), np.ones_like(bound)]),  # 0 at 0 only
            ]
            for channel in range(channels):
                thresholds[channel] = choices[channel % len(choices)][:, channel]
        return self.add(g.Threshold(thresholds, flipped, space))

    def logits(self, stages=1):
        channels = self.type.shape[-1]
        for _ in range(stages):
            scale = self.rng.normal(size=channels).astype(np.float32)
            offset = self.rng.normal(size=channels).astype(np.float32)
            self.add(g.Affine(scale, offset))
        return self

    def graph(self):
        return g.Graph(tuple(self.nodes), (len(self.nodes) - 1,), self.name)


def inputs(graph, batch=8, seed=0):
    """Random codes of the whole input range, with the all-lowest and all-highest image."""
    rng = np.random.default_rng(seed)
    limits = np.iinfo(graph.input.spec.dtype)
    x = rng.integers(limits.min, limits.max + 1, (batch, *graph.input.shape))
    x[0], x[1] = limits.min, limits.max
    return x.astype(graph.input.spec.dtype)


def _small_cnn(name, seed=0):
    c = Chain(name, (12, 12, 1), seed=seed)
    return c.conv(8).step().pool().conv(16).step().flatten().dense(10).logits()


def _mnist_like(name):
    c = Chain(name, (20, 20, 1)).conv(16, 5).pool().step().conv(32, 5).pool().step()
    return c.flatten().dense(64).step().dense(10).logits()


_BUILDERS = {
    "dense_only": lambda n: Chain(n, (7,)).dense(3).logits(),
    "dense_no_affine_bias": lambda n: Chain(n, (40,)).dense(33).step().dense(2).logits(),
    "dense_one_by_one": lambda n: Chain(n, (1,)).dense(1).step().dense(1).logits(),
    "dense_word_border_31": lambda n: Chain(n, (31,)).dense(31).step().dense(31).step().dense(5).logits(),
    "dense_word_border_32": lambda n: Chain(n, (32,)).dense(32).step().dense(32).step().dense(5).logits(),
    "dense_word_border_33": lambda n: Chain(n, (33,)).dense(33).step().dense(33).step().dense(5).logits(),
    "dense_100": lambda n: Chain(n, (64,)).dense(100).step().dense(100).step().dense(10).logits(),
    "dense_all_flipped": lambda n: Chain(n, (20,)).dense(40).step(flip=1).dense(4).logits(),
    "dense_extreme": lambda n: Chain(n, (24,)).dense(50).step(extreme=True).dense(50).step(extreme=True).dense(3).logits(),
    "dense_two_stage_logits": lambda n: Chain(n, (16,)).dense(16).step().dense(4).logits(stages=2),
    "dense_int8_input": lambda n: Chain(n, (30,), g.InputSpec("int8", 1 / 64, -3)).dense(20).step().dense(4).logits(),
    "dense_uint8_zero_point_0": lambda n: Chain(n, (30,), g.InputSpec("uint8", 1 / 255, 0)).dense(20).step().dense(4).logits(),
    "dense_binary": lambda n: Chain(n, (48,)).dense(48, zeros=0).step(space=BINARY).dense(48, zeros=0).step(space=BINARY).dense(6).logits(),
    "dense_sparse": lambda n: Chain(n, (48,)).dense(48, zeros=0.95).step().dense(48, zeros=1).step().dense(6).logits(),
    "cnn_small": _small_cnn,
    "cnn_mnist_like": _mnist_like,
    "cnn_odd_5x7x3": lambda n: Chain(n, (5, 7, 3)).conv(5, (3, 2)).step().conv(7, (2, 3)).step().flatten().dense(3).logits(),
    "cnn_same": lambda n: Chain(n, (9, 6, 2)).conv(33, 3, padding="same").step().conv(31, 4, padding="same").step().pool().flatten().dense(4).logits(),
    "cnn_stride_2_same": lambda n: Chain(n, (11, 10, 3)).conv(12, 3, 2, "same").step().conv(34, 3, 2, "same").step().flatten().dense(5).logits(),
    "cnn_stride_3_valid": lambda n: Chain(n, (13, 13, 1)).conv(10, 4, 3).step().conv(8, 2, (2, 1)).step().flatten().dense(5).logits(),
    "cnn_dilated": lambda n: Chain(n, (12, 13, 2)).conv(9, 3, dilation=2).step().conv(8, 3, padding="same", dilation=(2, 3)).step().flatten().dense(5).logits(),
    "cnn_grouped": lambda n: Chain(n, (8, 8, 4)).conv(8, 3, groups=2).step().conv(64, 3, groups=2).step().conv(12, 1, groups=4).step().flatten().dense(5).logits(),
    "cnn_100_channels": lambda n: Chain(n, (6, 6, 3)).conv(100).step().conv(65, 2).step().flatten().dense(10).logits(),
    "cnn_1_channel": lambda n: Chain(n, (6, 6, 1)).conv(1).step().conv(1).step().flatten().dense(2).logits(),
    "cnn_1x1": lambda n: Chain(n, (4, 5, 6)).conv(40, 1).step().conv(9, 1).step().flatten().dense(3).logits(),
    "cnn_pool_before_flipped": lambda n: Chain(n, (10, 10, 2)).conv(12).pool().step(flip=0.6).conv(12, 2).pool().step(flip=0.6).flatten().dense(4).logits(),
    "cnn_pool_before_then_after": lambda n: Chain(n, (14, 14, 1)).conv(36).pool().step(flip=0.5).pool().conv(8, 2).step().flatten().dense(4).logits(),
    "cnn_pool_twice_before": lambda n: Chain(n, (14, 14, 1)).conv(10).pool(2).pool(2).step(flip=0.5).flatten().dense(4).logits(),
    "cnn_pool_overlapping_same": lambda n: Chain(n, (9, 9, 2)).conv(20, padding="same").step().pool(3, 2, "same").conv(6).step().flatten().dense(4).logits(),
    "cnn_pool_overlapping_before": lambda n: Chain(n, (9, 9, 2)).conv(20, padding="same").pool(3, 2, "same").step(flip=0.5).conv(6).step().flatten().dense(4).logits(),
    "cnn_pool_flatten_flipped": lambda n: Chain(n, (8, 8, 1)).conv(40).pool().step(flip=0.5).flatten().dense(20).step().dense(3).logits(),
    "cnn_extreme": lambda n: Chain(n, (8, 8, 2)).conv(35).pool().step(extreme=True).conv(14, 2).step(extreme=True).flatten().dense(3).logits(),
    "cnn_conv_logits": lambda n: Chain(n, (8, 8, 1)).conv(6).step().conv(3, 6).flatten().logits(),
    "cnn_spatial_logits": lambda n: Chain(n, (8, 8, 1)).conv(6).step().conv(3, 3, padding="same").logits(),
    "cnn_input_pool": lambda n: Chain(n, (9, 8, 2)).pool(2, 2, "same").conv(9).step().flatten().dense(4).logits(),
    "image_flatten_dense": lambda n: Chain(n, (6, 5, 3)).flatten().dense(37).step().dense(4).logits(),
    "conv_only": lambda n: Chain(n, (7, 6, 2)).conv(5, padding="same").logits(),
    "conv_pool_logits": lambda n: Chain(n, (9, 9, 1)).conv(6).step().conv(3).pool(3).flatten().logits(),
    "cnn_int8_input": lambda n: Chain(n, (8, 8, 2), g.InputSpec("int8", 1 / 128, 0)).conv(16, padding="same").step().pool().flatten().dense(4).logits(),
}
SAMPLES = {name: (lambda n=name, b=build: b(n).graph()) for name, build in _BUILDERS.items()}
