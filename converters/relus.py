"""Graphs in which every Quantize is the rising step of a kernel of its own, as C computes it.

What lies between is floats, on the chip nothing of them is left: see `ramps.py`.
"""

import dataclasses
import math

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import reference, rewrites, thresholds
from keras_gxnor.errors import UnsupportedGraphError

_KERNELS = (g.Dense, g.Conv2D)


def canonical(graph: g.Graph) -> g.Graph:
    """Returns an equal graph: `rewrites.canonical`, and before each Quantize nothing but a kernel and floats.

    1. A channel in which codes fall as sums rise: its kernel column and its first scale are negated.
    2. kernel -> max pool -> floats -> Quantize: the codes are pooled; falling ones as their negatives,
       as in `rewrites.canonical`.
    3. A Quantize of codes gets a kernel of ones.
    4. A kernel whose sums something else reads too is computed once more.

    Raises:
        GraphError: if the graph is not sound.
        UnsupportedGraphError: naming a node that does not fit in.
    """
    graph.check()
    if not any(isinstance(node.op, g.Quantize) for node in graph.nodes):
        return rewrites.canonical(graph)
    made = rewrites.with_unique_names(rewrites.pruned(_Rewriter(rewrites.reshapes_last(graph)).run()))
    return rewrites.canonical(made)


def kernel_of(graph: g.Graph, index: int) -> tuple[int, list[g.Op]]:
    """What a Quantize steps: (index of the kernel before it, the float operations between, in order)."""
    chain, index = [], graph.nodes[index].inputs[0]
    while isinstance(graph.nodes[index].op, (g.Affine, g.Divide)):
        chain.append(graph.nodes[index].op)
        index = graph.nodes[index].inputs[0]
    return index, chain[::-1]


def steps(chain, op: g.Quantize, low, high) -> np.ndarray:
    """The smallest sums at which a Quantize reaches 1, 2, ...: int64 (channels, levels), ascending.

    Args:
        chain: Float operations before it, rising in every channel.
        op: The Quantize.
        low, high: Integers of shape (channels,), the least and greatest sum that matters; codes that
            are not reached in between have `high` + 1.

    Raises:
        UnsupportedGraphError: if floats become NaN.
    """

    def codes_at(sums):
        values = sums
        for stage in chain:
            values = reference.apply(stage, values)
        if np.isnan(values).any():
            raise UnsupportedGraphError("The floats before a Quantize become NaN: scales are out of bounds.")
        return reference.apply(op, values)

    with np.errstate(over="ignore", invalid="ignore"):
        found, falling = thresholds.search(codes_at, low, high, np.arange(op.levels + 1))
    assert not falling.any()  # `canonical` has turned them
    return found.astype(np.int64)


class _Rewriter(rewrites.Builder):
    """Gives every Quantize a rising kernel of its own."""

    def __init__(self, graph):
        super().__init__(graph)
        self.types = graph.check()

    def rewritten(self, node, *inputs) -> int:
        if isinstance(node.op, g.Quantize):
            return self.relu(self.graph.nodes.index(node))
        return self.append(node.name, node.op, *inputs)

    def relu(self, index) -> int:
        node = self.graph.nodes[index]
        base, chain = kernel_of(self.graph, index)
        pools, below = [], []
        if self.types[base].kind == "accumulator":
            pools, base = self.above(base, g.MaxPool2D)
            below, base = self.above(base, g.SumPool2D)
        if self.types[base].kind == "float" or not (
            self.types[base].kind == "code" or isinstance(self.graph.nodes[base].op, _KERNELS)
        ):
            raise UnsupportedGraphError(
                f"Quantize `{node.name}` must follow a Dense or Conv2D, with nothing but pooling, Divide "
                f"and Affine between. Received: {type(self.graph.nodes[base].op).__name__} "
                f"`{self.graph.nodes[base].name}`"
            )
        falling = np.full(self.types[base].shape[-1], 1.0)
        for op in chain:
            falling = falling * np.sign(op.scale) if isinstance(op, g.Affine) else falling
        turned = np.where(falling < 0, -1, 1).astype(np.int8)
        done = self.kernel(base, node.name, turned)
        for pool in reversed(below):
            done = self.append(pool.name, pool.op, done)
        for op in _turned(chain, turned):
            done = self.append(f"{node.name}.float", op, done)
        done = self.append(node.name, node.op, done)
        return self.pooled(node.name, done, pools, turned, self.types[index].shape)

    def above(self, index, kind) -> tuple[list[g.Node], int]:
        """The nodes of a kind that end in node `index`, the last first, and what they read."""
        found = []
        while isinstance(self.graph.nodes[index].op, kind):
            found.append(self.graph.nodes[index])
            index = self.graph.nodes[index].inputs[0]
        return found, index

    def kernel(self, base, name, turned) -> int:
        """A kernel of its own: that of node `base` with some columns negated, or of ones on its codes."""
        node, shape = self.graph.nodes[base], self.types[base].shape
        if self.types[base].kind == "accumulator":
            op = dataclasses.replace(node.op, kernel=node.op.kernel * turned)
            return self.append(node.name, op, *(self.place[i] for i in node.inputs))
        source = self.place[base]
        if len(shape) != 3:
            image = g.Reshape((1, math.prod(shape[:-1]), shape[-1]))
            source = self.append(f"{name}.image", image, source)
        return self.append(f"{name}.ones", g.Conv2D(turned.reshape(1, 1, 1, -1), groups=shape[-1]), source)

    def pooled(self, name, done, pools, turned, shape) -> int:
        """The largest codes in pools, of falling channels the smallest; then the shape of the original."""
        signs = [g.Sign(turned)] if pools and (turned < 0).any() else []
        for op in signs:
            done = self.append(f"{name}.turned", op, done)
        for pool in reversed(pools):
            done = self.append(pool.name, pool.op, done)
        for op in signs:
            done = self.append(f"{name}.sign", op, done)
        if self.made[done].shape != shape:  # a vector was made an image for its kernel of ones
            done = self.append(f"{name}.shape", g.Reshape(shape), done)
        return done


def _turned(chain, turned) -> list[g.Op]:
    """The float operations that do to turned * x what `chain` does to x: the same roundings."""
    made, left = [], True
    for op in chain:
        if left and isinstance(op, g.Affine):
            op, left = dataclasses.replace(op, scale=op.scale * turned.astype(np.float32)), False
        made.append(op)
    return made
