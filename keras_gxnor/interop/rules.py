"""How Larq and QKeras make a discrete kernel of a float one: codes and scales.

A rule is a callable: float32 kernel (..., channels) -> (int8 codes in its shape, float32 scales
that broadcast against it). The kernel of the source network is codes * scales. Where a scale
or threshold is computed, it is by the same float32 operations in the same order.
"""

import dataclasses
import math
import numbers

import numpy as np
import tensorflow as tf

from keras_gxnor.errors import InvalidArgumentError

_EPSILON = 1e-7  # keras.backend.epsilon() of Keras 2
_ONE = np.float32(1)


@dataclasses.dataclass(frozen=True)
class SteSign:
    """Larq's `SteSign`, `ApproxSign` and `SwishSign`: +1 where w >= 0, else -1; scale 1.

    Example:

    >>> from keras_gxnor.interop import SteSign
    >>> SteSign()(np.float32([-0.1, 0.0, 2.0]))[0]
    array([-1,  1,  1], dtype=int8)
    """

    def __call__(self, kernel):
        """(codes, scale) of a kernel."""
        return np.where(kernel >= 0, 1, -1).astype(np.int8), _ONE


@dataclasses.dataclass(frozen=True)
class MagnitudeAwareSign:
    """Larq's `MagnitudeAwareSign`: the sign as `SteSign`, scaled by the mean |w| of a channel."""

    def __call__(self, kernel):
        """(codes, scales) of a kernel."""
        codes, _ = SteSign()(kernel)
        return codes, tf.reduce_mean(tf.abs(kernel), axis=_inputs(kernel)).numpy()


@dataclasses.dataclass(frozen=True)
class SteTern:
    """Larq's `SteTern`: the sign where |w| >= threshold, else 0; scale 1.

    Args:
        threshold_value: Threshold, >= 0.
        ternary_weight_networks: Whether the threshold is 0.7 times the mean |w| of the whole
            kernel instead.

    Raises:
        InvalidArgumentError: if `threshold_value` is no finite number >= 0.

    Example:

    >>> from keras_gxnor.interop import SteTern
    >>> SteTern()(np.float32([-0.05, 0.04, 2.0]))[0]
    array([-1,  0,  1], dtype=int8)
    """

    threshold_value: float = 0.05
    ternary_weight_networks: bool = False

    def __post_init__(self):
        _check_threshold("threshold_value", self.threshold_value)

    def __call__(self, kernel):
        """(codes, scale) of a kernel."""
        threshold = np.float32(self.threshold_value)
        if self.ternary_weight_networks:
            total = tf.reduce_sum(tf.abs(kernel))
            threshold = (0.7 * total / tf.cast(tf.size(kernel), kernel.dtype)).numpy()
        return _signs(kernel, np.abs(kernel) >= threshold), _ONE


@dataclasses.dataclass(frozen=True)
class Binary:
    """QKeras' `binary` and `stochastic_binary` at inference: +1 where w >= 0, else -1.

    Args:
        alpha: The scale: a number; `"auto"`, the least-squares scale of each channel;
            `"auto_po2"`, the nearest power of two to that. None is what QKeras' layers make
            of None in a kernel: `"auto_po2"`.
        use_01: Refused if true: codes 0 and 1 are no binary kernel.

    Raises:
        InvalidArgumentError: if `alpha` is none of these, or `use_01` is true.
    """

    alpha: float | str | None = None
    use_01: bool = False

    def __post_init__(self):
        object.__setattr__(self, "alpha", _checked_alpha(self.alpha))
        if self.use_01:
            raise InvalidArgumentError("Binary kernels are -1 and +1. Received: use_01=True")

    def __call__(self, kernel):
        """(codes, scales) of a kernel."""
        codes, _ = SteSign()(kernel)
        return codes, _scale(self.alpha, kernel, codes)


@dataclasses.dataclass(frozen=True)
class Ternary:
    """QKeras' `ternary` and `stochastic_ternary` at inference.

    Args:
        alpha: As of `Binary`. With `"auto"` or `"auto_po2"` scale and threshold (half the
            scale) are found together, in `number_of_unrolls` rounds a channel.
        threshold: With a number as `alpha`: 0 where |w| < threshold (None: 0.33).
        number_of_unrolls: Number of rounds, >= 1.

    Raises:
        InvalidArgumentError: if an argument is none of these.
    """

    alpha: float | str | None = None
    threshold: float | None = None
    number_of_unrolls: int = 5

    def __post_init__(self):
        object.__setattr__(self, "alpha", _checked_alpha(self.alpha))
        if self.threshold is not None:
            _check_threshold("threshold", self.threshold)
        rounds = self.number_of_unrolls
        if not (isinstance(rounds, numbers.Integral) and _is_number(rounds) and rounds >= 1):
            raise InvalidArgumentError(
                f"`number_of_unrolls` must be an integer >= 1. Received: number_of_unrolls={rounds!r}"
            )

    def __call__(self, kernel):
        """(codes, scales) of a kernel."""
        if isinstance(self.alpha, float):
            threshold = np.float32(0.33 if self.threshold is None else self.threshold)
            return _signs(kernel, np.abs(kernel) >= threshold), np.float32(self.alpha)
        most = tf.reduce_max(tf.abs(kernel), axis=_inputs(kernel), keepdims=True)
        scale = 2 * most / 3.0
        if self.alpha != "auto":
            scale = _power_of_two(scale)
        codes = np.zeros(kernel.shape, np.int8)
        for _ in range(self.number_of_unrolls):
            # Rounded to nearest with halves to even, which is 0 exactly up to a half scale.
            ratio = tf.math.divide_no_nan(tf.constant(kernel), scale)
            codes = _signs(kernel, np.abs(ratio) > 0.5)
            scale = tf.constant(_scale(self.alpha, kernel, codes))
        return codes, np.asarray(scale)


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _check_threshold(name, value):
    if not (_is_number(value) and value >= 0):
        raise InvalidArgumentError(f"`{name}` must be a finite number >= 0. Received: {name}={value!r}")


def _checked_alpha(alpha):
    """`alpha`, a float if it is a number."""
    if _is_number(alpha) and alpha > 0:
        return float(alpha)
    if alpha is None or (isinstance(alpha, str) and alpha in ("auto", "auto_po2")):
        return alpha
    raise InvalidArgumentError(
        f'`alpha` must be a positive number, "auto", "auto_po2" or None. Received: alpha={alpha!r}'
    )


def _inputs(kernel) -> list[int]:
    """All axes but that of the channels."""
    return list(range(kernel.ndim - 1))


def _signs(kernel, kept):
    return (np.sign(kernel) * kept).astype(np.int8)


def _scale(alpha, kernel, codes):
    """The least-squares scale of each channel, or what `alpha` says."""
    if isinstance(alpha, float):
        return np.float32(alpha)
    codes = tf.cast(codes, tf.float32)
    products = tf.reduce_mean(kernel * codes, axis=_inputs(kernel), keepdims=True)
    squares = tf.reduce_mean(codes * codes, axis=_inputs(kernel), keepdims=True)
    scale = products / (squares + _EPSILON)
    return (scale if alpha == "auto" else _power_of_two(scale)).numpy()


def _power_of_two(scale):
    return tf.pow(2.0, tf.round(tf.math.log(scale + _EPSILON) / np.log(2.0)))
