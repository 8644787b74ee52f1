"""A ReLU in 255 steps: the 8-bit activation of mixed networks, with a range that is learned.

y = s clip(floor(x / s + 0.5), 0, L) with L = 2^bits - 1 and the step s = R / 2^bits. The range
R = 2^k is a power of two, so that codes times s, and their sums, are exact in float32.

Gradients, derived from this formula with floor's slope taken as 1 (straight through) and R as
2^l without its rounding, l = log2 R. With c = x / s the code before rounding, n = floor(c + 0.5):

    dy/dx = 1 where 0 <= n <= L, else 0
    dy/dl = ds/dl dy/ds = s ln 2 * (n - c where 0 <= n <= L; 0 below; L above)

since y = s n there and dn/ds = -x / s^2 = -c / s. Where x is clipped a larger range brings y
nearer to it; elsewhere the rounding error n - c is what a smaller range would shrink. A range
trained as a power of two, by its logarithm: Jain et al. 2019, "Trained quantization
thresholds", arXiv 1903.08066. There the exponent is rounded up; here it is rounded to the nearest
integer, so that training starts in the middle between two ranges and not on the edge of one.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from keras_gxnor.errors import InvalidArgumentError

_BITS = {f"uint{bits}": bits for bits in range(1, 9)}
_REACH = 32  # of the exponent of a range


@keras.saving.register_keras_serializable(package="keras_gxnor")
class QuantizedReLU:
    """ReLU whose values are codes 0..2^bits - 1 times a step that is a power of two.

    y = s clip(floor(x / s + 0.5), 0, 2^bits - 1), s = range / 2^bits: halves round up, and the
    largest value is one step below the range. The gradient passes where nothing is clipped.

    Args:
        space: `"uint1"`..`"uint8"`, the unsigned integers of so many bits.
        range: Positive power of two R. As a `DiscreteActivation` the range can be learned or
            calibrated; as an `activation=` argument, which owns no variable, it stays.

    Raises:
        InvalidArgumentError: if an argument is out of range.

    Example:

    >>> QuantizedReLU("uint8", range=4.0)(tf.constant([-1.0, 0.5, 0.01, 9.0])).numpy()
    array([0.      , 0.5     , 0.015625, 3.984375], dtype=float32)
    """

    def __init__(self, space="uint8", range=4.0):
        if not (isinstance(space, str) and space in _BITS):
            raise InvalidArgumentError(f"`space` must be one of {names()}. Received: space={space!r}")
        if isinstance(range, bool) or not isinstance(range, (int, float)) or not _in_reach(range):
            raise InvalidArgumentError(
                f"`range` must be a power of two within 2^-32..2^32. Received: range={range!r}"
            )
        self.space = space
        self.range = float(range)

    @property
    def levels(self) -> int:
        """The largest code."""
        return (1 << _BITS[self.space]) - 1

    @property
    def scale(self) -> float:
        """The step s: value of one code unit."""
        return self.range / (1 << _BITS[self.space])

    def __call__(self, x, training=False, log2_range=None):
        """Values k * s of the float tensor `x`, in its shape and dtype.

        log2_range: None, or a float scalar: then the range is 2 to its nearest integer, and
            the gradient reaches it.
        """
        del training
        x = tf.convert_to_tensor(x)
        if log2_range is None:
            log2_range = math.log2(self.range)
        # In float32 also under mixed precision: bfloat16 has no 200.5.
        y = _quantize(tf.cast(x, tf.float32), tf.cast(log2_range, tf.float32), _BITS[self.space])
        return tf.cast(y, x.dtype)

    def saturated(self, x):
        """Where the inputs x, a NumPy array, are clipped: a bool array."""
        codes = np.floor(x / np.float32(self.scale) + np.float32(0.5))
        return (codes < 0) | (codes > self.levels)

    def get_config(self):
        """Arguments that rebuild this quantizer."""
        return {"space": self.space, "range": self.range}

    @classmethod
    def from_config(cls, config):
        """Inverse of `get_config`."""
        return cls(**config)

    def __eq__(self, other):
        return isinstance(other, QuantizedReLU) and self.get_config() == other.get_config()

    def __hash__(self):
        return hash(repr(self.get_config()))

    def __repr__(self):
        return f"QuantizedReLU({self.space!r}, range={self.range})"


def names() -> tuple[str, ...]:
    """The names of the spaces of a `QuantizedReLU`."""
    return tuple(_BITS)


def _in_reach(number) -> bool:
    return 2.0**-_REACH <= number <= 2.0**_REACH and math.frexp(number)[0] == 0.5


def exponent(log2_range):
    """The integer k of the range 2^k, for a float scalar or tensor: the nearest one within -32..32."""
    return tf.cast(tf.clip_by_value(tf.round(log2_range), -_REACH, _REACH), tf.int32)


def _quantize(x, log2_range, bits):
    """y for float32 x of any shape; log2_range: float32 scalar, bits: integer."""
    levels = float((1 << bits) - 1)

    @tf.custom_gradient
    def quantized(x, log2_range):
        step = _power_of_two(exponent(log2_range) - bits)
        codes = x / step
        rounded = tf.floor(codes + 0.5)

        def gradient(upstream):
            inside = tf.logical_and(rounded >= 0.0, rounded <= levels)
            slope = tf.where(inside, rounded - codes, tf.where(rounded > levels, levels, 0.0))
            return tf.where(inside, upstream, 0.0), tf.reduce_sum(upstream * slope) * step * math.log(2.0)

        return tf.clip_by_value(rounded, 0.0, levels) * step, gradient

    return quantized(x, log2_range)


def _power_of_two(k):
    """2^k as float32, for an int32 tensor in -126..127: the exponent bits; XLA's `pow` may round."""
    return tf.bitcast((k + 127) * (1 << 23), tf.float32)
