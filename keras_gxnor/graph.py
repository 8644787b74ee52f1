"""What a trained network *is*: a small graph of integer operations.

A `Graph` is a list of nodes in execution order; a node is an operation and the
indices of the nodes it reads. Values are integers without a batch axis, channel
last: the *codes* of the input or of an activation, or the *accumulators* (sums
of products of codes) between them. Only `Affine`, on the way to the logits,
makes floats. `reference.py` says what each operation computes.

`Graph.check()` proves the shapes and bounds every accumulator: below 2^24, a
sum is exact in float32 whatever the order, which is what makes Keras itself,
TFLite and C comparable integer for integer.
"""

import dataclasses
import math

import numpy as np

from keras_gxnor.errors import GraphError, InvalidArgumentError
from keras_gxnor.spaces import DiscreteSpace

ACCUMULATOR_LIMIT = 1 << 24
_INPUT_RANGES = {"uint8": (0, 255), "int8": (-128, 127)}


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """What the device feeds: integers q with Keras input = scale * (q - zero_point).

    Args:
        dtype: `"uint8"` or `"int8"`.
        scale: Positive finite float. A power of two (images: 1/128 with zero
            point 128) makes Keras' own float32 sums exact, so equality with
            Keras is provable; any other scale is exact among the back ends only.
        zero_point: Integer within the range of `dtype`: the q that means 0.

    Raises:
        InvalidArgumentError: if an argument is out of range.

    Example:

    >>> InputSpec(scale=1 / 128, zero_point=128).range
    (-128, 127)
    """

    dtype: str = "uint8"
    scale: float = 1 / 255
    zero_point: int = 0

    def __post_init__(self):
        if self.dtype not in _INPUT_RANGES:
            raise InvalidArgumentError(
                f"`dtype` must be one of {sorted(_INPUT_RANGES)}. Received: dtype={self.dtype!r}"
            )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise InvalidArgumentError(
                f"`scale` must be a positive finite number. Received: scale={self.scale!r}"
            )
        low, high = _INPUT_RANGES[self.dtype]
        whole = isinstance(self.zero_point, (int, np.integer)) or (
            isinstance(self.zero_point, float) and self.zero_point.is_integer()
        )
        if not (whole and low <= self.zero_point <= high):
            raise InvalidArgumentError(
                f"`zero_point` must be an integer in {low}..{high} for {self.dtype} input "
                "(for images in [-1, 1] use scale=1/128, zero_point=128). "
                f"Received: zero_point={self.zero_point!r}"
            )
        object.__setattr__(self, "scale", float(self.scale))
        object.__setattr__(self, "zero_point", int(self.zero_point))

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest q - zero_point."""
        low, high = _INPUT_RANGES[self.dtype]
        return low - self.zero_point, high - self.zero_point

    @property
    def is_exact(self) -> bool:
        """Whether the scale is a power of two, so that Keras' float sums are exact."""
        return math.frexp(self.scale)[0] == 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Input:
    """The codes the device feeds, less the zero point: x = q - zero_point."""

    shape: tuple[int, ...]
    spec: InputSpec


@dataclasses.dataclass(frozen=True, eq=False)
class Dense:
    """acc[o] = sum_i x[i] kernel[i, o].

    kernel: int8 of shape (inputs, outputs).
    """

    kernel: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Conv2D:
    """Cross-correlation as in Keras, channels last; padding adds zeros.

    kernel: int8 of shape (height, width, channels / groups, filters).
    padding: `"valid"` or `"same"` (TensorFlow's rule, extra row at the end).
    """

    kernel: np.ndarray
    strides: tuple[int, int] = (1, 1)
    padding: str = "valid"
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclasses.dataclass(frozen=True, eq=False)
class MaxPool2D:
    """Largest value per channel and window; padding never wins."""

    pool_size: tuple[int, int]
    strides: tuple[int, int]
    padding: str = "valid"


@dataclasses.dataclass(frozen=True, eq=False)
class Threshold:
    """y = the code of `space` whose index is the number of thresholds that s reaches.

    s = acc, or -acc in a flipped channel. For ternary: y = +1 if s >= t[1],
    0 if t[0] <= s < t[1], else -1.

    thresholds: int32 of shape (channels, space.num_states - 1), ascending in a row.
    flipped: bool of shape (channels,).
    """

    thresholds: np.ndarray
    flipped: np.ndarray
    space: DiscreteSpace


@dataclasses.dataclass(frozen=True, eq=False)
class Sign:
    """y = signs[channel] * x; signs: int8 of shape (channels,), +1 or -1."""

    signs: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Flatten:
    """All values in one axis, row-major (channel fastest)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Affine:
    """y = float32(x) * scale + offset: one float32 product, then one float32 sum.

    scale, offset: float32 of shape (channels,).
    """

    scale: np.ndarray
    offset: np.ndarray


Op = Input | Dense | Conv2D | MaxPool2D | Threshold | Sign | Flatten | Affine


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """An operation, a unique name, and the indices of the nodes it reads."""

    name: str
    op: Op
    inputs: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class TensorType:
    """What `Graph.check` proves of a node's output.

    shape: without the batch axis. kind: "code", "accumulator" or "float".
    low, high: int64 of shape (channels,), the bounds of the last axis ("float": empty).
    """

    shape: tuple[int, ...]
    kind: str
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in execution order, the indices of the outputs, and a name.

    Node 0 is the `Input`. See `reference.run` for the meaning.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    name: str = "model"

    def check(self) -> tuple[TensorType, ...]:
        """Proves shapes, ranges and accumulator bounds.

        Returns:
            One `TensorType` a node.

        Raises:
            GraphError: naming the first node that is not sound.
        """
        types: list[TensorType] = []
        names = [node.name for node in self.nodes]
        if len(set(names)) != len(names) or not all(names):
            raise GraphError(f"Node names must be unique and not empty. Received: {names}")
        if not self.nodes or not isinstance(self.nodes[0].op, Input):
            raise GraphError("The first node of a graph must be an Input.")
        for index, node in enumerate(self.nodes):
            arity = 0 if isinstance(node.op, Input) else 1
            if len(node.inputs) != arity or any(not 0 <= i < index for i in node.inputs):
                raise GraphError(
                    f"Node `{node.name}` must read {arity} earlier node(s). "
                    f"Received: inputs={node.inputs}"
                )
            if isinstance(node.op, Input) and index:
                raise GraphError(f"Node `{node.name}`: only the first node may be an Input.")
            sources = [types[i] for i in node.inputs]
            types.append(_CHECKS[type(node.op)](node, *sources))
        if not self.outputs or any(not 0 <= i < len(self.nodes) for i in self.outputs):
            raise GraphError(f"Outputs must index the nodes. Received: outputs={self.outputs}")
        return tuple(types)

    @property
    def input(self) -> Input:
        """The input operation."""
        return self.nodes[0].op

    def consumers(self, index: int) -> list[int]:
        """Indices of the nodes that read node `index`."""
        return [i for i, node in enumerate(self.nodes) if index in node.inputs]


def window_output(size, kernel, stride, dilation, padding) -> tuple[int, int]:
    """Output size and leading padding of a sliding window along one axis.

    Args:
        size, kernel, stride, dilation: Positive integers.
        padding: `"valid"` or `"same"`, TensorFlow's rules.

    Returns:
        (output size, zeros before the first value).

    Example:

    >>> window_output(5, 3, 2, 1, "same")
    (3, 1)
    """
    reach = (kernel - 1) * dilation + 1
    if padding == "valid":
        return (size - reach) // stride + 1, 0
    output = -(-size // stride)
    return output, max((output - 1) * stride + reach - size, 0) // 2


def _fail(node, expected, received):
    raise GraphError(f"Node `{node.name}`: {expected}. Received: {received}")


def _array(node, value, what, dtype, ndim):
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.ndim != ndim:
        got = f"{getattr(value, 'dtype', type(value))} of rank {getattr(value, 'ndim', '?')}"
        _fail(node, f"`{what}` must be a {np.dtype(dtype)} array of rank {ndim}", got)
    return value


def _kernel(node, ndim):
    kernel = _array(node, node.op.kernel, "kernel", np.int8, ndim)
    if kernel.size == 0 or kernel.min() < -127:
        _fail(node, "`kernel` must not be empty and lie in -127..127", kernel.shape)
    return kernel


def _per_channel(node, source, value, what, dtype, ndim=1):
    _array(node, value, what, dtype, ndim)
    if value.shape[0] != source.shape[-1]:
        _fail(node, f"`{what}` needs {source.shape[-1]} channels", value.shape)


def _check_input(node):
    op = node.op
    if not op.shape or any(not isinstance(n, int) or n <= 0 for n in op.shape):
        _fail(node, "the input shape must be positive integers", op.shape)
    low, high = op.spec.range
    bound = np.ones(op.shape[-1], np.int64)
    return TensorType(op.shape, "code", low * bound, high * bound)


def _sum_bounds(node, kernel, low, high, padded):
    """Bounds of sum_k kernel[k, o] x[k]; kernel int64 of shape (k, outputs)."""
    first, second = kernel * low[:, None], kernel * high[:, None]
    least, most = np.minimum(first, second), np.maximum(first, second)
    if padded:
        least, most = np.minimum(least, 0), np.maximum(most, 0)
    low, high = least.sum(0), most.sum(0)
    bound = max(-int(low.min()), int(high.max()))
    if bound >= ACCUMULATOR_LIMIT:
        _fail(node, f"accumulators must stay below 2^24 = {ACCUMULATOR_LIMIT}", bound)
    return low, high


def _check_dense(node, source):
    kernel = _kernel(node, 2)
    if source.kind != "code" or source.shape != kernel.shape[:1]:
        _fail(node, f"Dense reads codes of shape {kernel.shape[:1]}", (source.kind, source.shape))
    low, high = _sum_bounds(node, kernel.astype(np.int64), source.low, source.high, False)
    return TensorType((kernel.shape[1],), "accumulator", low, high)


def _check_window(node, source, sizes, strides, dilation):
    if len(source.shape) != 3:
        _fail(node, "it reads images of shape (height, width, channels)", source.shape)
    if node.op.padding not in ("valid", "same"):
        _fail(node, '`padding` must be "valid" or "same"', node.op.padding)
    if min(*sizes, *strides, *dilation) < 1:
        _fail(node, "window, strides and dilation must be >= 1", (sizes, strides, dilation))
    shape = tuple(
        window_output(source.shape[i], sizes[i], strides[i], dilation[i], node.op.padding)[0]
        for i in (0, 1)
    )
    if min(shape) < 1:
        _fail(node, f"a window of {sizes} must fit the input", source.shape)
    return shape


def _check_conv(node, source):
    op = node.op
    kernel = _kernel(node, 4)
    size, filters = kernel.shape[:2], kernel.shape[3]
    shape = _check_window(node, source, size, op.strides, op.dilation)
    channels = source.shape[2]
    if op.groups < 1 or channels != kernel.shape[2] * op.groups or filters % op.groups:
        _fail(
            node,
            f"kernel {kernel.shape} and groups={op.groups} must fit {channels} channels",
            source.shape,
        )
    if source.kind != "code":
        _fail(node, "Conv2D reads codes", source.kind)
    bounds = []
    for group in range(op.groups):
        ins = slice(group * kernel.shape[2], (group + 1) * kernel.shape[2])
        outs = slice(group * filters // op.groups, (group + 1) * filters // op.groups)
        flat = kernel[..., outs].astype(np.int64).reshape(-1, filters // op.groups)
        low, high = (np.tile(b[ins], size[0] * size[1]) for b in (source.low, source.high))
        bounds.append(_sum_bounds(node, flat, low, high, op.padding == "same"))
    low, high = (np.concatenate(parts) for parts in zip(*bounds))
    return TensorType((*shape, filters), "accumulator", low, high)


def _check_pool(node, source):
    op = node.op
    shape = _check_window(node, source, op.pool_size, op.strides, (1, 1))
    if source.kind == "float":
        _fail(node, "MaxPool2D reads integers", source.kind)
    return TensorType((*shape, source.shape[2]), source.kind, source.low, source.high)


def _check_threshold(node, source):
    op = node.op
    _per_channel(node, source, op.thresholds, "thresholds", np.int32, 2)
    _per_channel(node, source, op.flipped, "flipped", np.bool_)
    if source.kind != "accumulator":
        _fail(node, "Threshold reads accumulators", source.kind)
    if op.thresholds.shape[1] != op.space.num_states - 1:
        _fail(node, f"{op.space} needs {op.space.num_states - 1} thresholds", op.thresholds.shape)
    if (np.diff(op.thresholds, axis=1) < 0).any():
        _fail(node, "thresholds must ascend in a channel", op.thresholds)
    bound = np.full(source.shape[-1], op.space.max_code, np.int64)
    return TensorType(source.shape, "code", -bound, bound)


def _check_sign(node, source):
    _per_channel(node, source, node.op.signs, "signs", np.int8)
    if source.kind != "code" or not np.isin(node.op.signs, (-1, 1)).all():
        _fail(node, "Sign multiplies codes by +1 or -1", (source.kind, node.op.signs))
    ends = np.stack([source.low * node.op.signs, source.high * node.op.signs])
    return TensorType(source.shape, "code", ends.min(0), ends.max(0))


def _check_flatten(node, source):
    places = math.prod(source.shape[:-1])
    low, high = (np.tile(b, places) if b.size else b for b in (source.low, source.high))
    return TensorType((math.prod(source.shape),), source.kind, low, high)


def _check_affine(node, source):
    for what in ("scale", "offset"):
        value = getattr(node.op, what)
        _per_channel(node, source, value, what, np.float32)
        if not np.isfinite(value).all():
            _fail(node, f"`{what}` must be finite", value)
    if source.kind == "code":
        _fail(node, "Affine reads accumulators or floats", source.kind)
    nothing = np.zeros(0, np.int64)
    return TensorType(source.shape, "float", nothing, nothing)


_CHECKS = {
    Input: _check_input,
    Dense: _check_dense,
    Conv2D: _check_conv,
    MaxPool2D: _check_pool,
    Threshold: _check_threshold,
    Sign: _check_sign,
    Flatten: _check_flatten,
    Affine: _check_affine,
}
