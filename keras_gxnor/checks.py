"""Shapes, ranges and accumulator bounds of graph operations, proven one node at a time."""

import math

import numpy as np

from keras_gxnor import operations as ops
from keras_gxnor.errors import GraphError

ACCUMULATOR_LIMIT = 1 << 24


def infer(node: ops.Node, *sources: ops.TensorType) -> ops.TensorType:
    """The type of a node's output, given the types of what it reads.

    Raises:
        GraphError: naming the node, if it is not sound.
    """
    return _CHECKS[type(node.op)](node, *sources)


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
    return ops.TensorType(op.shape, "code", low * bound, high * bound)


def _sum_bounds(node, kernel, low, high, padded):
    """Bounds of sum_k kernel[k, o] x[k]; kernel int64 of shape (k, outputs)."""
    first, second = kernel * low[:, None], kernel * high[:, None]
    least, most = np.minimum(first, second), np.maximum(first, second)
    if padded:
        least, most = np.minimum(least, 0), np.maximum(most, 0)
    low, high = least.sum(0), most.sum(0)
    _check_limit(node, low, high)
    return low, high


def _check_dense(node, source):
    kernel = _kernel(node, 2)
    if source.kind != "code" or source.shape != kernel.shape[:1]:
        _fail(node, f"Dense reads codes of shape {kernel.shape[:1]}", (source.kind, source.shape))
    low, high = _sum_bounds(node, kernel.astype(np.int64), source.low, source.high, False)
    return ops.TensorType((kernel.shape[1],), "accumulator", low, high)


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
    return ops.TensorType((*shape, filters), "accumulator", low, high)


def _check_pool(node, source):
    op = node.op
    shape = _check_window(node, source, op.pool_size, op.strides, (1, 1))
    if source.kind == "float":
        _fail(node, f"{type(op).__name__} reads integers", source.kind)
    low, high = source.low, source.high
    if isinstance(op, ops.SumPool2D):
        count = math.prod(op.pool_size)
        low, high = count * low, count * high
        if op.padding == "same":
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        _check_limit(node, low, high)
    return ops.TensorType((*shape, source.shape[2]), source.kind, low, high)


def _check_limit(node, low, high):
    bound = max(-int(low.min()), int(high.max()))
    if bound >= ACCUMULATOR_LIMIT:
        _fail(node, f"accumulators must stay below 2^24 = {ACCUMULATOR_LIMIT}", bound)


def _check_pad(node, source):
    sides = node.op.padding
    if len(source.shape) != 3 or source.kind != "code":
        _fail(node, "Pad2D reads codes of shape (height, width, channels)", (source.kind, source.shape))
    if len(sides) != 2 or any(len(s) != 2 or min(s) < 0 for s in sides):
        _fail(node, "`padding` must be ((top, bottom), (left, right)), none negative", sides)
    shape = tuple(n + sum(s) for n, s in zip(source.shape, sides))
    low, high = np.minimum(source.low, 0), np.maximum(source.high, 0)
    return ops.TensorType((*shape, source.shape[2]), "code", low, high)


def _check_add(node, *sources):
    if any(s.kind != "code" or s.shape != sources[0].shape for s in sources):
        _fail(node, "Add reads codes of one shape", [(s.kind, s.shape) for s in sources])
    low, high = (sum(getattr(s, end) for s in sources) for end in ("low", "high"))
    _check_limit(node, low, high)
    return ops.TensorType(sources[0].shape, "code", low, high)


def _check_concat(node, *sources):
    if any(s.kind != "code" or s.shape[:-1] != sources[0].shape[:-1] for s in sources):
        _fail(
            node, "Concat reads codes that differ in the last axis only", [(s.kind, s.shape) for s in sources]
        )
    low, high = (np.concatenate([getattr(s, end) for s in sources]) for end in ("low", "high"))
    shape = (*sources[0].shape[:-1], sum(s.shape[-1] for s in sources))
    return ops.TensorType(shape, "code", low, high)


def _check_threshold(node, source):
    op = node.op
    _per_channel(node, source, op.thresholds, "thresholds", np.int32, 2)
    _per_channel(node, source, op.flipped, "flipped", np.bool_)
    if source.kind == "float":
        _fail(node, "Threshold reads integers", source.kind)
    if op.thresholds.shape[1] != op.space.num_states - 1:
        _fail(node, f"{op.space} needs {op.space.num_states - 1} thresholds", op.thresholds.shape)
    if (np.diff(op.thresholds.astype(np.int64), axis=1) < 0).any():
        _fail(node, "thresholds must ascend in a channel", op.thresholds)
    ends = [np.where(op.flipped, -b, a) for a, b in ((source.low, source.high), (source.high, source.low))]
    reached = [(end[:, None] >= op.thresholds).sum(1) for end in ends]
    low, high = (op.space.codes().astype(np.int64)[count] for count in reached)
    return ops.TensorType(source.shape, "code", np.minimum(low, -1), np.maximum(high, 1))


def _check_sign(node, source):
    _per_channel(node, source, node.op.signs, "signs", np.int8)
    if source.kind != "code" or not np.isin(node.op.signs, (-1, 1)).all():
        _fail(node, "Sign multiplies codes by +1 or -1", (source.kind, node.op.signs))
    ends = np.stack([source.low * node.op.signs, source.high * node.op.signs])
    return ops.TensorType(source.shape, "code", ends.min(0), ends.max(0))


def _check_lookup(node, source):
    table = _array(node, node.op.table, "table", np.int8, 2)
    if table.size == 0 or table.min() < -127:
        _fail(node, "`table` must not be empty and lie in -127..127", table.shape)
    if source.kind != "code":
        _fail(node, "Lookup reads codes", source.kind)
    low, high = (end.astype(np.int64) for end in (table.min(0), table.max(0)))
    return ops.TensorType((*source.shape, table.shape[1]), "code", low, high)


def _check_flatten(node, source):
    places = math.prod(source.shape[:-1])
    low, high = (np.tile(b, places) if b.size else b for b in (source.low, source.high))
    return ops.TensorType((math.prod(source.shape),), source.kind, low, high)


def _check_reshape(node, source):
    shape = node.op.shape
    if math.prod(shape) != math.prod(source.shape) or min(shape, default=0) < 1:
        _fail(node, f"it reshapes {math.prod(source.shape)} numbers", shape)
    if source.kind == "float" or shape[-1] == source.shape[-1]:
        low, high = source.low, source.high
    else:  # channels mix: the widest bounds hold for all
        low, high = (np.full(shape[-1], b) for b in (source.low.min(), source.high.max()))
    return ops.TensorType(tuple(shape), source.kind, low, high)


def _check_divide(node, source):
    if not isinstance(node.op.divisor, int) or not 0 < node.op.divisor < ACCUMULATOR_LIMIT:
        _fail(node, "`divisor` must be an integer in 1..2^24 - 1", node.op.divisor)
    if source.kind == "float":
        _fail(node, "Divide reads integers", source.kind)
    nothing = np.zeros(0, np.int64)
    return ops.TensorType(source.shape, "float", nothing, nothing)


def _check_affine(node, source):
    for what in ("scale", "offset"):
        value = getattr(node.op, what)
        _per_channel(node, source, value, what, np.float32)
        if not np.isfinite(value).all():
            _fail(node, f"`{what}` must be finite", value)
    nothing = np.zeros(0, np.int64)
    return ops.TensorType(source.shape, "float", nothing, nothing)


def _check_quantize(node, source):
    op = node.op
    if source.kind != "float":
        _fail(node, "Quantize reads the floats of Affine or Divide", source.kind)
    if not isinstance(op.levels, int) or not 1 <= op.levels <= 255:
        _fail(node, "`levels` must be an integer in 1..255", op.levels)
    if not (2.0**-64 < op.gain < 2.0**64 and ops.is_power_of_two(op.gain)):
        _fail(node, "`gain` must be a power of two within 2^-64..2^64", op.gain)
    low = np.zeros(source.shape[-1], np.int64)
    return ops.TensorType(source.shape, "code", low, low + op.levels)


_CHECKS = {
    ops.Input: _check_input,
    ops.Dense: _check_dense,
    ops.Conv2D: _check_conv,
    ops.MaxPool2D: _check_pool,
    ops.SumPool2D: _check_pool,
    ops.Pad2D: _check_pad,
    ops.Add: _check_add,
    ops.Concat: _check_concat,
    ops.Threshold: _check_threshold,
    ops.Sign: _check_sign,
    ops.Lookup: _check_lookup,
    ops.Flatten: _check_flatten,
    ops.Reshape: _check_reshape,
    ops.Divide: _check_divide,
    ops.Affine: _check_affine,
    ops.Quantize: _check_quantize,
}
