"""Graph -> Graph: the same function in the form that back ends like.

`canonical` thresholds first and pools the small codes afterwards, and leaves
no flipped channel: then a hidden layer of any back end is one kernel and one
ascending step. Every rewrite keeps every logit, integer for integer (tested
against `reference.run`).
"""

import dataclasses
import math

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.errors import UnsupportedGraphError
from keras_gxnor.spaces import DiscreteSpace

_KERNELS = (g.Dense, g.Conv2D)
_SHAPES = (g.Flatten, g.Reshape)
_CHANNELWISE = (g.Sign, g.Divide, g.Affine, g.Quantize)
# A sum over a whole image of so many codes -1..1 stays within int8, where every back end has
# it without weights; beyond, the step is taken by a kernel of ones.
_SMALL_SUM = 127


def canonical(graph: g.Graph) -> g.Graph:
    """Returns an equal graph in which every Threshold directly follows a kernel, unflipped.

    1. A flipped channel without pooling: negate its kernel column.
    2. kernel -> max pool -> threshold: threshold, then pool the codes. In a flipped
       channel y = g(max acc) with g falling, and -y = max(-g(acc)): the channel
       carries -y through the pool and a `Sign` turns it back.
    3. A `Sign` before a kernel is folded into the kernel's input rows.
    4. kernel -> sum pool: one kernel, by linearity (the sums of shifted kernels).
    5. A Threshold of codes gets a kernel of ones: of the window of a sum pool before it,
       else of one pixel.
    6. A kernel whose sums several nodes read is computed once for each.
    7. Changes of shape that leave the channels alone go below all that works channel by channel;
       of several after each other one is left, and none that changes nothing.

    Raises:
        GraphError: if the graph is not sound.
        UnsupportedGraphError: if a Threshold follows its kernel through something else, or
            sums cannot be pooled in the kernel.
    """
    graph.check()
    return _fold_signs(with_unique_names(pruned(_Rewriter(graph).run())))


def reshapes_last(graph: g.Graph) -> g.Graph:
    """The graph with changes of shape that leave the channels alone below what works channel by channel.

    Of several after each other one is left, and none that changes nothing.

    Raises:
        GraphError: if the graph is not sound.
    """
    graph.check()
    return with_unique_names(pruned(Builder(graph).run()))


class Builder:
    """Builds the new nodes; `place` maps old indices to new ones.

    What a rewrite leaves unread is pruned afterwards.
    """

    def __init__(self, graph):
        self.graph = graph
        self.nodes: list[g.Node] = []
        self.made: list[g.TensorType] = []
        self.place: dict[int, int] = {}

    def run(self) -> g.Graph:
        """The new graph."""
        for index, node in enumerate(self.graph.nodes):
            self.place[index] = self.rewritten(node, *(self.place[i] for i in node.inputs))
        return g.Graph(tuple(self.nodes), tuple(self.place[i] for i in self.graph.outputs), self.graph.name)

    def rewritten(self, node, *inputs) -> int:
        """Appends what a node becomes; its new index."""
        if isinstance(node.op, _SHAPES):
            return self.shaped(node.name, node.op, *inputs)
        if isinstance(node.op, _CHANNELWISE) and self.keeps_channels(*inputs):
            moved = self.nodes[inputs[0]]
            done = self.append(node.name, node.op, *moved.inputs)
            return self.shaped(moved.name, moved.op, done)
        return self.append(node.name, node.op, *inputs)

    def append(self, name, op, *inputs) -> int:
        """Appends a node as it is; its index."""
        node = g.Node(name, op, inputs)
        self.made.append(g.infer(node, *(self.made[i] for i in inputs)))
        self.nodes.append(node)
        return len(self.nodes) - 1

    def shaped(self, name, op, source) -> int:
        """Appends a change of shape, unless it changes nothing; one for several after each other."""
        if isinstance(self.nodes[source].op, _SHAPES):
            source = self.nodes[source].inputs[0]
        made = g.infer(g.Node(name, op, (source,)), self.made[source])
        return source if made.shape == self.made[source].shape else self.append(name, op, source)

    def keeps_channels(self, index) -> bool:
        """Whether a node changes the shape, and not the last axis."""
        node, last = self.nodes[index], self.made[index].shape[-1]
        return isinstance(node.op, _SHAPES) and self.made[node.inputs[0]].shape[-1] == last


class _Rewriter(Builder):
    """Gives every Threshold a kernel of its own, unflipped."""

    def rewritten(self, node, *inputs):
        if isinstance(node.op, g.Threshold):
            return self.step(node, *inputs)
        if isinstance(node.op, g.SumPool2D) and self.made[inputs[0]].kind == "accumulator":
            return self.pooled_kernel(node, *inputs)
        return super().rewritten(node, *inputs)

    def step(self, node, source) -> int:
        """Appends threshold `node`, with a kernel of its own, above the pools and reshapes between them."""
        between, shape = [], self.made[source].shape
        while isinstance(self.nodes[source].op, g.MaxPool2D) or self.keeps_channels(source):
            between.append(self.nodes[source])
            source = self.nodes[source].inputs[0]
        pools = any(isinstance(other.op, g.MaxPool2D) for other in between)
        if not isinstance(self.nodes[source].op, _KERNELS):
            if self.made[source].kind != "code":
                raise UnsupportedGraphError(
                    f"Threshold `{node.name}` must follow a Dense or Conv2D, with nothing but max "
                    "pooling and reshapes that keep the channels between. Received: "
                    f"{type(self.nodes[source].op).__name__} `{self.nodes[source].name}`"
                )
            source = self.ones(node.name, source)
        kernel, op = self.nodes[source], node.op
        if pools:
            # s = -x reaches t  <=>  x <= -t  <=>  not x >= 1 - t: the rising step of -y.
            turned = 1 - op.thresholds[:, ::-1].astype(np.int64)
            limits = np.iinfo(np.int32)  # far beyond all sums: what is clipped is never reached, or always
            steps = np.clip(np.where(op.flipped[:, None], turned, op.thresholds), limits.min, limits.max)
            source = self.append(kernel.name, kernel.op, *kernel.inputs)
        else:
            steps, turned = op.thresholds, np.where(op.flipped, -1, 1).astype(np.int8)
            weights = dataclasses.replace(kernel.op, kernel=kernel.op.kernel * turned)
            source = self.append(kernel.name, weights, *kernel.inputs)
        plain = g.Threshold(steps.astype(np.int32), np.zeros_like(op.flipped), op.space)
        done = self.append(node.name, plain, source)
        for other in reversed(between):
            add = self.append if isinstance(other.op, g.MaxPool2D) else self.shaped
            done = add(other.name, other.op, done)
        if pools and op.flipped.any():
            signs = np.where(op.flipped, -1, 1).astype(np.int8)
            done = self.rewritten(g.Node(f"{node.name}.sign", g.Sign(signs)), done)
        if self.made[done].shape != shape:  # a vector was made an image for its kernel of ones
            done = self.shaped(f"{node.name}.shape", g.Reshape(shape), done)
        return done

    def ones(self, name, source) -> int:
        """A depthwise kernel of ones on codes, the window of a sum pool or one pixel."""
        below, shape = self.nodes[source], self.made[source].shape
        size, strides, padding = (1, 1), (1, 1), "valid"
        if isinstance(below.op, g.SumPool2D) and not self._small(source):
            size, strides, padding = below.op.pool_size, below.op.strides, below.op.padding
            source = below.inputs[0]
        elif len(shape) != 3:
            image = (1, math.prod(shape[:-1]), shape[-1])
            source = self.append(f"{name}.image", g.Reshape(image), source)
        ones = np.ones((*size, 1, shape[-1]), np.int8)
        return self.append(f"{name}.ones", g.Conv2D(ones, strides, padding, groups=shape[-1]), source)

    def _small(self, index):
        made = self.made[index]
        return made.shape[:2] == (1, 1) and max(-made.low.min(), made.high.max()) <= _SMALL_SUM

    def pooled_kernel(self, node, source) -> int:
        """The sum pool of a convolution as one convolution with a larger kernel."""
        kernel, pool = self.nodes[source], node.op
        conv = kernel.op
        if not isinstance(conv, g.Conv2D) or conv.dilation != (1, 1) or (conv.padding, pool.padding) != (
            "valid",
            "valid",
        ):
            raise UnsupportedGraphError(
                f"Node `{node.name}`: sums are pooled in their kernel, which must be a Conv2D without "
                "padding and dilation; pool the activation, or put ZeroPadding2D before a valid "
                f"convolution. Received: {type(conv).__name__} `{kernel.name}`"
            )
        strides = tuple(s * q for s, q in zip(conv.strides, pool.strides))
        summed = _shifted_sum(conv.kernel, conv.strides, pool.pool_size)
        if np.abs(summed).max() > 127:
            raise UnsupportedGraphError(
                f"Node `{node.name}`: the pooled kernel of `{kernel.name}` must stay within int8; pool "
                f"the activation, or a smaller window. Received: {summed.min()}..{summed.max()}"
            )
        op = g.Conv2D(summed.astype(np.int8), strides, "valid", groups=conv.groups)
        return self.append(kernel.name, op, *kernel.inputs)


def _shifted_sum(kernel, strides, window) -> np.ndarray:
    """Sum of a kernel (height, width, ...) at all places of a pooling window, int64."""
    size = [k + (p - 1) * s for k, p, s in zip(kernel.shape, window, strides)]
    total = np.zeros((*size, *kernel.shape[2:]), np.int64)
    for i in range(window[0]):
        for j in range(window[1]):
            top, left = i * strides[0], j * strides[1]
            total[top : top + kernel.shape[0], left : left + kernel.shape[1]] += kernel
    return total


def pruned(graph: g.Graph) -> g.Graph:
    """The graph without nodes that no output needs; inputs stay."""
    needed = set(graph.outputs)
    for index in reversed(range(len(graph.nodes))):
        if index in needed:
            needed |= set(graph.nodes[index].inputs)
    removed = [
        i for i, n in enumerate(graph.nodes) if i not in needed and not isinstance(n.op, g.Input)
    ]
    return _without(graph, graph.nodes, set(removed))


def with_unique_names(graph: g.Graph) -> g.Graph:
    """The graph with numbers behind repeated names."""
    taken, nodes = set(), []
    for node in graph.nodes:
        name, count = node.name, 1
        while name in taken:
            name, count = f"{node.name}_{count}", count + 1
        taken.add(name)
        nodes.append(dataclasses.replace(node, name=name))
    return dataclasses.replace(graph, nodes=tuple(nodes))


def keeping_step(most: int, channels: int, unit: float = 1.0) -> g.Threshold:
    """The step that leaves sums as they are, in the smallest space that holds them.

    Args:
        most: The largest magnitude of a sum, at most 64.
        channels: How many there are.
        unit: The value of one, the scale of the space.

    Example:

    >>> keeping_step(9, 3).space.max_code
    16
    """
    order = (max(most, 1) - 1).bit_length() + 1
    space = DiscreteSpace(order, unit * DiscreteSpace(order).max_code)
    codes = np.arange(1 - space.max_code, space.max_code + 1, dtype=np.int32)
    return g.Threshold(np.tile(codes, (channels, 1)), np.zeros(channels, bool), space)


def keeps(threshold: g.Threshold, low, high) -> bool:
    """Whether a step gives every accumulator in low..high as it is, so that the sums are the codes.

    Args:
        threshold: Unflipped.
        low, high: Integers of shape (channels,), the reachable accumulators.
    """
    codes = threshold.space.codes().astype(np.int64)
    if low.min() < codes[0] or high.max() > codes[-1]:
        return False
    acc = np.arange(low.min(), high.max() + 1)[:, None]
    made = codes[(acc[:, :, None] >= threshold.thresholds).sum(-1)]
    return bool(((made == acc) | (acc < low) | (acc > high)).all())


def _fold_signs(graph: g.Graph) -> g.Graph:
    """Moves every Sign through a change of shape and into the kernel that reads it, where one does."""
    types = graph.check()
    nodes = list(graph.nodes)
    removed = set()
    for index, node in enumerate(graph.nodes):
        if not isinstance(node.op, g.Sign) or index in graph.outputs:
            continue
        signs, target = node.op.signs, graph.consumers(index)
        if len(target) == 1 and isinstance(nodes[target[0]].op, _SHAPES):
            moved = target[0]
            times, rest = divmod(types[moved].shape[-1], len(signs))
            signs = np.tile(signs, times)
            target = [] if rest or moved in graph.outputs else graph.consumers(moved)
        if len(target) != 1 or not isinstance(nodes[target[0]].op, _KERNELS):
            continue
        kernel = nodes[target[0]]
        op = dataclasses.replace(kernel.op, kernel=_scale_inputs(kernel.op, signs))
        nodes[target[0]] = dataclasses.replace(kernel, op=op)
        removed.add(index)
    folded = _without(graph, nodes, removed)
    folded.check()
    return folded


def _scale_inputs(op, signs) -> np.ndarray:
    """The kernel that on x computes what `op.kernel` computes on signs * x."""
    if isinstance(op, g.Dense):
        return op.kernel * signs[:, None]
    per_group = op.kernel.shape[3] // op.groups
    columns = np.repeat(signs.reshape(op.groups, -1), per_group, axis=0)  # (filters, channels)
    return op.kernel * columns.T


def _without(graph, nodes, removed) -> g.Graph:
    """The graph less the removed nodes; their readers read what they read."""
    place, result = {}, []
    for index, node in enumerate(nodes):
        inputs = tuple(place[i] for i in node.inputs)
        if index in removed:
            place[index] = inputs[0] if inputs else None
            continue
        place[index] = len(result)
        result.append(dataclasses.replace(node, inputs=inputs))
    return g.Graph(tuple(result), tuple(place[i] for i in graph.outputs), graph.name)
