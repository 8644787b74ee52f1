"""Graphs built by hand: operations one after the other, with random but reproducible constants."""

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.spaces import DiscreteSpace

TERNARY, BINARY = DiscreteSpace(1), DiscreteSpace(0)
IMAGE = g.InputSpec("uint8", 1 / 128, 128)


class Chain:
    """Appends operations one after the other, with random but reproducible constants.

    `here` is the node that the next operation reads; `at` moves it, to make branches.
    """

    def __init__(self, name, shape, spec=IMAGE, seed=0):
        self.name = name
        self.rng = np.random.default_rng([seed, *name.encode()])
        self.nodes, self._types = [], []
        self.input(shape, spec)

    @property
    def type(self):
        return self._types[self.here]

    def input(self, shape, spec=IMAGE):
        """Another input; all come before the first operation."""
        name = f"input_{len(self.nodes)}" if self.nodes else "input"
        return self._append(g.Node(name, g.Input(tuple(shape), spec)))

    def add(self, op, *others):
        """Appends an operation that reads the node `here` and then the nodes `others`."""
        name = f"{type(op).__name__.lower()}_{len(self.nodes)}"
        return self._append(g.Node(name, op, (self.here, *others)))

    def _append(self, node):
        self._types.append(g.infer(node, *(self._types[i] for i in node.inputs)))
        self.nodes.append(node)
        self.here = len(self.nodes) - 1
        return self

    def at(self, index):
        self.here = index
        return self

    def plus(self, *others):
        return self.add(g.Add(), *others)

    def join(self, *others):
        return self.add(g.Concat(), *others)

    def average(self, size=2, strides=None, padding="valid"):
        """A sum pool; size None: of the whole image, and a vector."""
        if size is None:
            return self.add(g.SumPool2D(self.type.shape[:2], self.type.shape[:2])).flatten()
        pair = (size, size) if isinstance(size, int) else size
        return self.add(g.SumPool2D(pair, pair if strides is None else (strides, strides), padding))

    def depthwise(self, size=3, **kwargs):
        channels = self.type.shape[-1]
        return self.conv(channels * kwargs.pop("multiplier", 1), size, groups=channels, **kwargs)

    def trits(self, shape, zeros=1 / 3):
        probabilities = [(1 - zeros) / 2, zeros, (1 - zeros) / 2]
        return self.rng.choice(np.array([-1, 0, 1], np.int8), size=shape, p=probabilities)

    def weights(self, shape, zeros, space):
        """Trits, the codes of a `space`, or if that is a number integers up to it: 127 is int8."""
        if space is None:
            return self.trits(shape, zeros)
        if isinstance(space, int):
            return self.rng.integers(-space, space + 1, shape).astype(np.int8)
        return self.rng.choice(space.codes(), size=shape).astype(np.int8)

    def conv(
        self, filters, size=3, strides=1, padding="valid", dilation=1, groups=1, zeros=1 / 3, space=None
    ):
        pair = (size, size) if isinstance(size, int) else size
        both = lambda v: (v, v) if isinstance(v, int) else v
        kernel = self.weights((*pair, self.type.shape[-1] // groups, filters), zeros, space)
        return self.add(g.Conv2D(kernel, both(strides), padding, both(dilation), groups))

    def dense(self, units, zeros=1 / 3, space=None):
        return self.add(g.Dense(self.weights((self.type.shape[0], units), zeros, space)))

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
                thresholds[channel] = np.sort(choices[channel % len(choices)][:, channel])
        return self.add(g.Threshold(thresholds, flipped, space))

    def relu(self, levels=255, stages=1, falling=0.2, divisor=None, extreme=False):
        """A Quantize to 0..levels of float stages whose codes spread over the range.

        falling: Share of negative scales. divisor: of an average. `extreme` adds channels that are
        constant, steep, flat, and such that float32 rounds by far more than a sum.
        """
        t, gain = self.type, 32.0
        size = t.shape[-1]
        spread = np.maximum((t.high - t.low) / 8, 1)
        unit = levels / gain
        signs = np.where(self.rng.random(size) < falling, -1, 1)
        scale = self.rng.uniform(0.3, 1.5, size) * unit / spread * signs
        offset = self.rng.normal(0.3, 0.4, size) * unit - scale * (t.low + t.high) / 2
        if divisor:
            self.add(g.Divide(divisor))
            scale *= divisor
        for stage in range(stages):
            last = stage == stages - 1
            moved = np.zeros(size) if last else self.rng.normal(size=size)
            first, second = (scale, offset - moved * scale) if not stage else (np.ones(size), moved)
            if extreme:
                self._extremes(first, second, unit, stage, last)
            self.add(g.Affine(np.float32(first), np.float32(second)))
        return self.add(g.Quantize(gain, levels))

    def _extremes(self, scale, offset, unit, stage, last):
        """Changes channels 1, 2, ..., 8 of every ten."""
        pairs = [(0, unit / 2), (0, 3 * unit), (-0.0, -unit), (1e6, 0), (-1e6, 3), (1e-9, 20.5 / 32)]
        for number, pair in enumerate(pairs):
            if not stage:
                scale[number + 1 :: 10], offset[number + 1 :: 10] = pair
        far = 2e4 if not stage and not last else 0  # to there and back
        offset[7::10] += far - (2e4 if stage else 0)
        offset[8::10] += 100 * (far - (2e4 if stage else 0))

    def logits(self, stages=1):
        channels = self.type.shape[-1]
        for _ in range(stages):
            scale = self.rng.normal(size=channels).astype(np.float32)
            offset = self.rng.normal(size=channels).astype(np.float32)
            self.add(g.Affine(scale, offset))
        return self

    def graph(self, *outputs):
        return g.Graph(tuple(self.nodes), outputs or (self.here,), self.name)
