"""From float expressions to integer thresholds: batch normalization without a float.

The sum that reaches a neuron is an integer, and what Keras evaluates on it (bias,
batch normalization, multi-step activation) is monotone in it, because every float32
operation rounds monotonically. So the step is found by binary search on the very
expression that Keras evaluates: exact by construction, whatever its rounding.
"""

import numpy as np

from keras_gxnor.errors import UnsupportedLayerError


def search(codes_at, low, high, levels):
    """Finds, per channel, the sums at which a monotone function of the sum changes.

    Args:
        codes_at: Callable: int64 sums of shape (rows, channels) -> int codes of the same
            shape, monotone in each channel, rising or falling.
        low, high: int64 of shape (channels,), the least and greatest sum.
        levels: The codes of the space, ascending, int of shape (states,).

    Returns:
        (thresholds, flipped) as in `keras_gxnor.graph.Threshold`: int32 of shape
        (channels, states - 1) and bool of shape (channels,). A level never reached has
        the threshold one above the range of s.
    """
    ends = codes_at(np.stack([low, high]))
    flipped = ends[0] > ends[1]
    sign = np.where(flipped, -1, 1)
    least, most = np.where(flipped, -high, low), np.where(flipped, -low, high)
    wanted = np.asarray(levels)[1:, None]
    lower = np.repeat(least[None], len(wanted), 0)
    upper = np.repeat(most[None] + 1, len(wanted), 0)  # one above: never reached
    while (lower < upper).any():
        middle = (lower + upper) >> 1
        probe = np.minimum(middle, most)  # where the search has ended, any sum in range will do
        reached = (codes_at(sign * probe) >= wanted) & (middle <= most)
        upper = np.where((lower < upper) & reached, middle, upper)
        lower = np.where((lower < upper) & ~reached, middle + 1, lower)
    return lower.T.astype(np.int32), flipped


def check_finite(values, layer_name):
    """Refuses NaN and infinities in what a layer computes.

    Raises:
        UnsupportedLayerError: naming the layer.
    """
    if not np.isfinite(values).all():
        raise UnsupportedLayerError(
            f"Layer `{layer_name}` computes NaN or infinity, so it has no thresholds. The training "
            "diverged, or a weight was set to NaN: restore a sound checkpoint."
        )
