"""The living definition: what every graph operation computes, in integer NumPy.

Keras, TFLite, TFLite Micro and C are implementations under test; when one of
them differs from this page, it is wrong.
"""

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.errors import InvalidArgumentError


def run(graph: g.Graph, x, trace: bool = False):
    """Runs a graph on a batch of input codes.

    Args:
        graph: The `Graph`.
        x: Integer array of shape (batch, *input shape), the codes q that the
            device feeds, in the range of the graph's input dtype; of a graph with several
            inputs a tuple or list of them.
        trace: Whether to return every node's output.

    Returns:
        The output (float32 logits of shape (batch, classes)), a tuple of them if
        the graph has several outputs, or with `trace=True` a dict {node name:
        array} of all nodes in order.

    Raises:
        InvalidArgumentError: if `x` has another shape, dtype or range.

    Example:

    >>> node = g.Node("in", g.Input((2,), g.InputSpec("int8", 1.0, 0)))
    >>> dense = g.Node("dense", g.Dense(np.array([[1], [-1]], np.int8)), (0,))
    >>> run(g.Graph((node, dense), (1,)), np.array([[5, 3]]))
    array([[2]], dtype=int32)
    """
    graph.check()
    codes = check_codes(graph, x)
    codes = iter(codes if isinstance(codes, tuple) else [codes])
    values = []
    for node in graph.nodes:
        sources = [values[i] for i in node.inputs] if node.inputs else [next(codes)]
        values.append(apply(node.op, *sources))
    if trace:
        return {node.name: value for node, value in zip(graph.nodes, values)}
    outputs = tuple(values[i] for i in graph.outputs)
    return outputs[0] if len(outputs) == 1 else outputs


def apply(op: g.Op, *sources) -> np.ndarray:
    """What one operation makes of arrays of shape (batch, ...).

    Example:

    >>> apply(g.Quantize(8.0), np.float32([[0.3, -1.0, 99.0]])).tolist()
    [[2, 0, 255]]
    """
    return _OPS[type(op)](op, *sources)


def check_codes(graph: g.Graph, x):
    """Returns `x` in the graph's input dtype, or says what is wrong with it.

    Args:
        graph: The `Graph`.
        x: Array, or of a graph with several inputs a tuple or list of arrays.

    Returns:
        Array, or tuple of arrays.

    Raises:
        InvalidArgumentError: if shape, dtype or range do not fit the graph's inputs.
    """
    if len(graph.inputs) == 1:
        return _checked(graph.input, "`x`", x)
    names = [node.name for node in graph.nodes if isinstance(node.op, g.Input)]
    if not isinstance(x, (tuple, list)) or len(x) != len(graph.inputs):
        received = f"{len(x)} of them" if isinstance(x, (tuple, list)) else type(x).__name__
        raise InvalidArgumentError(
            f"`x` must be a tuple of {len(graph.inputs)} arrays, one an input: {names}. Received: {received}"
        )
    parts = enumerate(zip(graph.inputs, names, x))
    arrays = tuple(_checked(op, f"`x[{i}]` (input `{name}`)", part) for i, (op, name, part) in parts)
    if len({len(array) for array in arrays}) != 1:
        raise InvalidArgumentError(
            "All inputs must have the same number of samples. "
            f"Received: {[len(array) for array in arrays]}"
        )
    return arrays


def array_of(x, what) -> np.ndarray:
    """`x` as an array.

    Raises:
        InvalidArgumentError: naming `what`, if its parts differ in shape.
    """
    try:
        return np.asarray(x)
    except ValueError as error:
        raise InvalidArgumentError(f"{what} must be an array, or lists of equal lengths. {error}") from error


def _checked(op, what, x) -> np.ndarray:
    shape, spec = op.shape, op.spec
    array = array_of(x, what)
    if array.dtype.kind not in "iu":
        raise InvalidArgumentError(
            f"{what} must hold the integer codes the device feeds ({spec.dtype}), not the "
            f"scaled floats Keras sees. Received: {array.dtype}"
        )
    if array.shape[1:] != shape or array.ndim != len(shape) + 1:
        raise InvalidArgumentError(
            f"{what} must have shape (batch, {', '.join(map(str, shape))}). Received: {array.shape}"
        )
    limits = np.iinfo(spec.dtype)
    if array.size and (array.min() < limits.min or array.max() > limits.max):
        raise InvalidArgumentError(
            f"{what} must lie in {limits.min}..{limits.max} ({spec.dtype}). "
            f"Received: {array.min()}..{array.max()}"
        )
    return array.astype(spec.dtype)


def code_limits(graph: g.Graph) -> list[tuple[int, int]]:
    """(least, greatest) code that each input should be fed: all of its dtype, or the rows of a look-up.

    The graph takes others too, as the nearest row; Keras refuses them.

    Example:

    >>> node = g.Node("in", g.Input((2,), g.InputSpec("uint8", 1.0, 0)))
    >>> code_limits(g.Graph((node, g.Node("rows", g.Lookup(np.ones((9, 4), np.int8)), (0,))), (1,)))
    [(0, 8)]
    """
    found = []
    for index, op in enumerate(graph.inputs):
        limits, zero = np.iinfo(op.spec.dtype), op.spec.zero_point
        readers = [graph.nodes[i].op for i in graph.consumers(index)]
        rows = [len(reader.table) for reader in readers if isinstance(reader, g.Lookup)]
        least = max(limits.min, zero) if rows else limits.min
        found.append((int(least), int(min([limits.max, *(zero + count - 1 for count in rows)]))))
    return found


def _input(op, q):
    return q.astype(np.int32) - np.int32(op.spec.zero_point)


def _dense(op, x):
    return x @ op.kernel.astype(np.int32)


def _windows(x, size, strides, dilation, padding, fill):
    """Yields (i, j, the pixels under kernel place i, j), each (batch, rows, cols, channels)."""
    spans = [
        g.window_output(x.shape[1 + a], size[a], strides[a], dilation[a], padding) for a in (0, 1)
    ]
    pads = []
    for a, (count, before) in enumerate(spans):
        reach = (count - 1) * strides[a] + (size[a] - 1) * dilation[a] + 1
        pads.append((before, max(reach - before - x.shape[1 + a], 0)))
    padded = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=fill)
    for i in range(size[0]):
        for j in range(size[1]):
            places = tuple(
                slice(k * dilation[a], k * dilation[a] + strides[a] * spans[a][0], strides[a])
                for a, k in enumerate((i, j))
            )
            window = padded[:, places[0], places[1]]
            yield i, j, window[:, : spans[0][0], : spans[1][0]]


def _conv2d(op, x):
    groups = np.split(op.kernel.astype(np.int32), op.groups, axis=3)
    channels = op.kernel.shape[2]
    total = 0
    for i, j, pixels in _windows(
        x, op.kernel.shape[:2], op.strides, op.dilation, op.padding, fill=0
    ):
        sums = [
            pixels[..., n * channels : (n + 1) * channels] @ kernel[i, j]
            for n, kernel in enumerate(groups)
        ]
        total = total + np.concatenate(sums, axis=-1)
    return total


def _sumpool2d(op, x):
    return sum(pixels for _, _, pixels in _windows(x, op.pool_size, op.strides, (1, 1), op.padding, fill=0))


def _pad2d(op, x):
    return np.pad(x, [(0, 0), *op.padding, (0, 0)])


def _add(op, *sources):
    return sum(sources)


def _concat(op, *sources):
    return np.concatenate(sources, axis=-1)


def _maxpool2d(op, x):
    lowest = np.iinfo(x.dtype).min
    best = np.array(lowest, x.dtype)
    for _, _, pixels in _windows(x, op.pool_size, op.strides, (1, 1), op.padding, fill=lowest):
        best = np.maximum(best, pixels)
    return best


def _threshold(op, acc):
    s = np.where(op.flipped, -acc, acc)
    reached = sum((s >= op.thresholds[:, k]).astype(np.int32) for k in range(op.thresholds.shape[1]))
    return op.space.codes().astype(np.int32)[reached]


def _sign(op, x):
    return x * op.signs.astype(np.int32)


def _lookup(op, x):
    return op.table.astype(np.int32)[np.clip(x, 0, len(op.table) - 1)]


def _flatten(op, x):
    return x.reshape(len(x), -1)


def _reshape(op, x):
    return x.reshape(len(x), *op.shape)


def _divide(op, x):
    return x.astype(np.float32) / np.float32(op.divisor)


def _affine(op, x):
    return x.astype(np.float32) * op.scale + op.offset


def _quantize(op, x):
    codes = np.floor(x * np.float32(op.gain) + np.float32(0.5))
    return np.clip(codes, 0, op.levels).astype(np.int32)


_OPS = {
    g.Input: _input,
    g.Dense: _dense,
    g.Conv2D: _conv2d,
    g.MaxPool2D: _maxpool2d,
    g.SumPool2D: _sumpool2d,
    g.Pad2D: _pad2d,
    g.Add: _add,
    g.Concat: _concat,
    g.Threshold: _threshold,
    g.Sign: _sign,
    g.Lookup: _lookup,
    g.Flatten: _flatten,
    g.Reshape: _reshape,
    g.Divide: _divide,
    g.Affine: _affine,
    g.Quantize: _quantize,
}
