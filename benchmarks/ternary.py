"""Random ternary networks for the benchmarks of exported code: no Keras, no training."""

import math

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.spaces import DiscreteSpace

IMAGE = g.InputSpec("uint8", 1 / 128, 128)
TRITS = g.InputSpec("int8", 1.0, 0)
_BATCH = 4


class Net:
    """Appends operations one after the other; two thirds of the weights are not 0.

    Thresholds are put where a wanted share of the activations is not 0, on random inputs.
    `here` is the node that the next operation reads; `at` moves it, to make branches.
    """

    def __init__(self, name, shape, spec=IMAGE, density=None, seed=0):
        """density: of an input of trits, exactly; None: codes of the whole range."""
        self.name, self.nodes = name, []
        self.rng = np.random.default_rng([seed, *name.encode()])
        if density is None:
            limits = np.iinfo(spec.dtype)
            self.x = self.rng.integers(limits.min, limits.max + 1, (_BATCH, *shape)).astype(spec.dtype)
        else:
            self.x = np.stack([trits(self.rng, shape, density) for _ in range(_BATCH)])
        self._append(g.Input(tuple(shape), spec), ())
        if density is not None:  # the bounds of what follows are those of trits
            ends = np.tile(np.int32([0, 1]), (shape[-1], 1))
            self._append(g.Threshold(ends, np.zeros(shape[-1], bool), DiscreteSpace(1)), (0,))

    def _append(self, op, sources):
        kinds = self.graph().check() if self.nodes else []
        node = g.Node(f"{type(op).__name__.lower()}_{len(self.nodes)}", op, sources)
        self.kind = g.infer(node, *(kinds[i] for i in sources))
        self.nodes.append(node)
        self.here = len(self.nodes) - 1
        return self

    def add(self, op, *others):
        """Appends an operation that reads the node `here` and the nodes `others`."""
        return self._append(op, (self.here, *others))

    def at(self, index):
        """The next operation reads node `index`."""
        self.here, self.kind = index, self.graph().check()[index]
        return self

    def graph(self, output=None) -> g.Graph:
        """The network so far."""
        return g.Graph(tuple(self.nodes), (len(self.nodes) - 1 if output is None else output,), self.name)

    def conv(self, filters, size=3, strides=1, padding="same", dilation=1, groups=1, states=1, nonzero=2 / 3):
        """A convolution. states: the largest weight."""
        shape = (*_pair(size), self.kind.shape[-1] // groups, filters)
        kernel = trits(self.rng, shape, nonzero, states)
        return self.add(g.Conv2D(kernel, _pair(strides), padding, _pair(dilation), groups))

    def depthwise(self, size=3, **options):
        """A depthwise convolution."""
        return self.conv(self.kind.shape[-1], size, groups=self.kind.shape[-1], **options)

    def dense(self, units, states=1):
        """A dense layer, of a flattened input."""
        if len(self.kind.shape) > 1:
            self.add(g.Flatten())
        return self.add(g.Dense(trits(self.rng, (self.kind.shape[0], units), 2 / 3, states)))

    def step(self, density=0.5, order=1):
        """Thresholds at quantiles of all sums; `order` as of `DiscreteSpace`."""
        space, channels = DiscreteSpace(order), self.kind.shape[-1]
        graph = self.graph(self.here)
        sums = np.sort(reference.run(graph, self.x).reshape(-1).astype(np.int64))
        count = space.num_states - 1
        shares = np.linspace(density / 2, 1 - density / 2, count) if count > 1 else np.array([0.5])
        limits = sums[(shares * (len(sums) - 1)).astype(int)] + np.arange(count)
        limits = np.tile(limits, (channels, 1)).astype(np.int32)
        return self.add(g.Threshold(limits, np.zeros(channels, bool), space))

    def relu(self, zeros=0.4, levels=255):
        """A ReLU in steps: of all codes a share is 0, and few are the largest."""
        graph, channels = self.graph(self.here), self.kind.shape[-1]
        first, last = np.quantile(reference.run(graph, self.x), [zeros, 0.99])
        scale = self.rng.uniform(0.8, 1.2, channels) * levels / max(last - first, 1) / 32
        self.add(g.Affine(scale.astype(np.float32), (-first * scale).astype(np.float32)))
        return self.add(g.Quantize(32.0, levels))

    def pool(self, size=2, strides=None, padding="valid"):
        """A max pool."""
        return self.add(g.MaxPool2D(_pair(size), _pair(strides or size), padding))

    def average(self, size=None, strides=None):
        """A sum pool, of the whole image if `size` is None."""
        pair = self.kind.shape[:2] if size is None else _pair(size)
        return self.add(g.SumPool2D(pair, pair if strides is None else _pair(strides)))

    def logits(self, outputs=None):
        """Scale and offset, after a dense layer of `outputs` if they are given."""
        if outputs:
            self.dense(outputs)
        scale, offset = self.rng.normal(size=(2, self.kind.shape[-1])).astype(np.float32)
        return self.add(g.Affine(scale, offset))


def trits(rng, shape, nonzero, most=1) -> np.ndarray:
    """int8 integers up to `most` of which a share is not 0, exactly; signs and places are random."""
    size = math.prod(shape)
    count = round(size * nonzero)
    values = np.zeros(size, np.int8)
    values[:count] = rng.integers(1, most + 1, count) * rng.choice([-1, 1], count)
    rng.shuffle(values)
    return values.reshape(shape)


def mnist(density=0.5) -> Net:
    """The paper's CNN, 32C5-MP2-64C5-MP2-512FC-10, with `density` of its activations not 0."""
    net = Net("mnist", (28, 28, 1))
    for filters in (32, 64):
        net.conv(filters, 5, padding="valid").pool().step(density)
    return net.dense(512).step(density).logits(10)


def _pair(value) -> tuple[int, int]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)
