"""What the weights of a kernel read on examples: the moments of its windows.

Windows are made by a layer of the same class, one channel at a time, with a kernel that copies each
tap: so they have the padding, strides and dilation that Keras gives them.
"""

import dataclasses
import math

import keras
import numpy as np

from keras_gxnor.conversion.registry import SWAPS
from keras_gxnor.topology import configuration

_L = keras.layers
_WINDOWS = 2**12  # enough of them for a covariance, or four for each weight of a channel
_WEIGHTS = 2**12  # of a channel: a covariance of more would take minutes
_NUMBERS = 2**24  # that are made at once
_HALVES = {_L.SeparableConv1D: _L.DepthwiseConv1D, _L.SeparableConv2D: _L.DepthwiseConv2D}
_GEOMETRY = ("kernel_size", "strides", "padding", "output_padding", "dilation_rate")


@dataclasses.dataclass(frozen=True, eq=False)
class Windows:
    """The first two moments of what the n weights of a channel read, in the order of `Swap.usual`.

    Attributes:
        mean: float64 (groups, n).
        covariance: float64 (groups, n, n).
        count: Number of windows that they are of.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: int

    def sums(self, kernel) -> np.ndarray:
        """Mean sums (channels,) that a kernel (..., channels) makes of them."""
        groups, n = self.mean.shape
        apart = np.moveaxis(kernel.reshape(n, groups, -1), 1, 0)
        return (self.mean[:, None] @ apart).ravel()


def windows(layer, arrays) -> dict:
    """{name of a kernel: `Windows`} of a layer of `SWAPS`; nothing of one that looks up.

    Kernels with more than 4,096 weights a channel are left out.

    Args:
        layer: Built float layer, channels last.
        arrays: What its calls read, float32 arrays with a batch axis.

    Example:

    >>> from keras_gxnor.conversion.windows import windows
    >>> layer = keras.layers.Conv1D(5, 2, use_bias=False)
    >>> x = np.array([[[1.0], [2.0], [4.0]]])
    >>> y = layer(x)
    >>> windows(layer, [x])["kernel"].mean
    array([[1.5, 3. ]])
    """
    swap, found = SWAPS[type(layer)], {}
    for variable in [v for v in layer.weights if v.name != "bias" and not swap.table]:
        name, channels = variable.name, arrays[0].shape[-1]
        usual = swap.usual(name, variable.numpy())
        inside = swap.pair and name not in swap.depthwise  # the pointwise kernel, behind the depthwise one
        copy, count = _copier(layer, () if inside else usual.shape[:-2]), math.prod(usual.shape[:-1])
        if count <= _WEIGHTS:
            found[name] = _moments(copy, arrays, swap.groups(name, layer, channels), count)
        if swap.pair and not inside:
            half = _alike(layer, depth_multiplier=layer.depth_multiplier)
            arrays = [_called(half, variable, x) for x in arrays]
    return found


def _moments(copy, arrays, groups, count) -> Windows:
    wanted = -(-max(_WINDOWS, 4 * count) // len(arrays))
    rows = np.concatenate([_sampled(copy, x, wanted, count) for x in arrays])
    taps = rows.shape[1]
    rows = rows.reshape(len(rows), taps, groups, -1).transpose(2, 0, 1, 3).reshape(groups, len(rows), -1)
    mean = rows.mean(1, dtype=np.float64)
    rows = rows - mean[:, None].astype(np.float32)
    covariance = (np.swapaxes(rows, 1, 2) @ rows).astype(np.float64) / rows.shape[1]
    return Windows(mean, covariance, rows.shape[1])


def _sampled(copy, x, wanted, count):
    """About `wanted` windows (windows, taps, channels) from all examples of `x`."""
    rng, made = np.random.default_rng(0), []
    size = max(1, _NUMBERS // (math.prod(x.shape[1:-1]) * max(count, x.shape[-1])))
    for part in np.array_split(x, -(-len(x) // size)):
        rows = copy(part)
        take = min(len(rows), -(-wanted * len(part) // len(x)))
        made.append(rows[rng.choice(len(rows), take, replace=False)])
    return np.concatenate(made)


def _copier(layer, taps):
    """Callable: examples (batch, ..., channels) -> their windows (windows, taps, channels)."""
    if not taps:
        return lambda x: x.reshape(-1, 1, x.shape[-1])
    count, swap = math.prod(taps), SWAPS[type(layer)]
    one = _alike(layer, **{"depth_multiplier" if swap.depthwise else "filters": count})
    kernel = np.eye(count, dtype=np.float32).reshape(*taps, 1, count)

    def copy(x):
        apart = np.moveaxis(x, -1, 0).reshape(-1, *x.shape[1:-1], 1)
        made = _called(one, np.swapaxes(kernel, -1, -2) if swap.transposed else kernel, apart)
        return made.reshape(x.shape[-1], -1, count).transpose(1, 2, 0)

    return copy


def _alike(layer, **size):
    """A layer with the windows of `layer` and no bias; of a separable one, its depthwise half."""
    config = configuration(layer)
    geometry = {name: config[name] for name in _GEOMETRY if config.get(name) is not None}
    kind = _HALVES.get(type(layer), type(layer))
    return kind(**size, **geometry, use_bias=False, data_format="channels_last", dtype="float32")


def _called(layer, kernel, x):
    if not layer.built:
        layer.build(x.shape)
    layer.set_weights([np.asarray(kernel)])
    return np.asarray(layer(x))
