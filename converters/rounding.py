"""A ternary step as int8 requantization, proved under the rounding of every kernel in the field.

A TFLite int8 kernel computes clip(round(M * (sum + bias))). With weights multiplied by
an even gain L and, per channel, plus = the least accumulator giving +1, minus = the
greatest giving -1, w = plus - minus,

    bias = -L (plus + minus) / 2        M = 1 / (L (w - 1)), and 2 / L for w = 1,

the product is 0.5 + 0.5 / (w - 1) at plus and 0.5 - 0.5 / (w - 1) one below it (mirrored
at minus), so that rounding it to -1, 0, 1 is the step. Kernels differ in how they round
M and the product; `MODELS` says how. Each is monotone in the sum, so the accumulators
beside the two borders settle a channel.
"""

import dataclasses

import numpy as np

from keras_gxnor.errors import VerificationError

# The gains tried in turn, each with the bound on |L acc| + |bias|. Sums below 2^24 are
# exact in the float32 of XNNPACK; the larger gain keeps two bits in hand. Below 4 the first
# of two roundings could reach the border.
_GAINS = ((64, 1 << 22), (4, 1 << 24))
# Wider steps would put 0.5 / (w - 1) within the float32 rounding of M.
_WIDTH_LIMIT = 1 << 21


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """The constants that make an int8 kernel compute a step.

    Attributes:
        gain: L, the even factor of the weights.
        bias: int32 of shape (channels,), added to L * acc.
        multiplier: float32 of shape (channels,), M.
    """

    gain: int
    bias: np.ndarray
    multiplier: np.ndarray


def plan(thresholds, low, high, largest_weight: int, limit: int = 127) -> Step | None:
    """Finds the step with the given thresholds.

    Args:
        thresholds: Integers of shape (channels, 2) (ternary) or (channels, 1) (binary),
            as in `graph.Threshold`.
        low, high: Integers of shape (channels,), the reachable accumulators.
        largest_weight: The largest |code| in the kernel.
        limit: The largest |weight| that the kernel can store: 127 in int8, 7 in int4.

    Returns:
        A `Step`, or None if no gain keeps the weights within the limit and the sums exact.

    Example:

    >>> step = plan(np.array([[-3, 5]]), np.array([-9]), np.array([9]), 1)
    >>> step.gain, step.bias.tolist()
    (64, [-32])
    """
    minus, plus = _borders(thresholds, low, high)
    width = plus - minus
    if width.max() >= _WIDTH_LIMIT:
        return None
    for gain, largest_sum in _GAINS:
        bias = -(gain // 2) * (plus + minus)
        peak = gain * np.maximum(np.abs(low), np.abs(high)) + np.abs(bias)
        if gain * largest_weight <= limit and peak.max() < largest_sum:
            multiplier = np.where(width == 1, 2 / gain, 1 / (gain * np.maximum(width - 1, 1)))
            return Step(gain, bias.astype(np.int32), multiplier.astype(np.float32))
    return None


def filter_scales(step: Step, input_scale: np.float32) -> np.ndarray:
    """The per-channel scales of the kernel, float32: kernels use input_scale * filter scale as M."""
    return (step.multiplier / np.float32(input_scale)).astype(np.float32)


def check(name: str, step: Step, threshold, low, high, input_scale: np.float32):
    """Proves that `step` is `threshold` for every accumulator in low..high on every kernel.

    Args:
        name: The node, for the message.
        step: The constants to be exported.
        threshold: The unflipped `graph.Threshold`, ternary or binary.
        low, high: Integers of shape (channels,), the reachable accumulators.
        input_scale: float32 scale of the input tensor of the kernel.

    Raises:
        VerificationError: naming node, channel, accumulator and rounding model.
    """
    minus, plus = _borders(threshold.thresholds, low, high)
    beside = np.stack([minus, minus + 1, plus - 1, plus, low, high])
    acc = np.clip(beside, low, high).astype(np.int64)
    reached = (acc[:, :, None] >= threshold.thresholds).sum(-1)
    expected = threshold.space.codes().astype(np.int64)[reached]
    sums = step.gain * acc + step.bias
    for label, model in MODELS.items():
        codes = np.clip(model(sums, np.float32(input_scale), filter_scales(step, input_scale)), -1, 1)
        wrong = np.argwhere(codes != expected)
        if len(wrong):
            row, channel = wrong[0]
            raise VerificationError(
                f"Threshold `{name}`, channel {channel}: accumulator {acc[row, channel]} must "
                f"become {expected[row, channel]}, but kernels that round as `{label}` would "
                f"give {codes[row, channel]}. The file was not made; please report this."
            )


def check_kept(name: str, low, high):
    """Proves that every kernel keeps the accumulators low..high at multiplier 1.

    Raises:
        VerificationError: naming node, accumulator and rounding model.
    """
    acc = np.arange(low.min(), high.max() + 1)
    for label, model in MODELS.items():
        wrong = acc[model(acc, np.float32(1), np.ones(1, np.float32)) != acc]
        if wrong.size:
            raise VerificationError(
                f"Threshold `{name}`: accumulator {wrong[0]} must stay as it is, but kernels that round as "
                f"`{label}` would change it. The file was not made; please report this."
            )


def _borders(thresholds, low, high):
    """(greatest accumulator giving -1, least giving +1), at most one past the reachable range."""
    steps = np.asarray(thresholds, np.int64)
    low, high = np.asarray(low, np.int64), np.asarray(high, np.int64)
    return np.clip(steps[:, 0] - 1, low - 1, high), np.clip(steps[:, -1], low, high + 1)


def _float_half_even(sums, input_scale, scales):
    """float32 throughout: float32(sum) times the float32 product of the scales."""
    return np.rint(sums.astype(np.float32) * (input_scale * scales)).astype(np.int64)


def _float_half_away(sums, input_scale, scales):
    """The same with the scales multiplied in double first, and halves away from zero."""
    scale = (np.float64(input_scale) * scales.astype(np.float64)).astype(np.float32)
    product = (sums.astype(np.float32) * scale).astype(np.float64)
    return np.trunc(product + np.copysign(0.5, product)).astype(np.int64)


def _q31(input_scale, scales):
    """M as q * 2^(shift - 31), the integer q < 2^31 rounded from the double product of the scales."""
    fraction, shift = np.frexp(np.float64(input_scale) * scales.astype(np.float64))
    q = np.floor(fraction * (1 << 31) + 0.5).astype(np.int64)
    carry = q == 1 << 31
    return np.where(carry, q >> 1, q), shift.astype(np.int64) + carry


def _half_up(x, exponent):
    """x / 2^exponent to the nearest integer, halves up."""
    return (x + ((np.int64(1) << exponent) >> 1)) >> exponent


def _half_away(x, exponent):
    """x / 2^exponent to the nearest integer, halves away from zero."""
    return np.sign(x) * _half_up(np.abs(x), exponent)


def _q31_once(divide):
    """The exact 64-bit product, rounded once."""

    def model(sums, input_scale, scales):
        q, shift = _q31(input_scale, scales)
        return divide(sums * q, 31 - shift)

    return model


def _q31_twice(divide):
    """The product rounded to its high 32 bits, halves up, and those once more."""

    def model(sums, input_scale, scales):
        q, shift = _q31(input_scale, scales)
        high = _half_up((sums << np.maximum(shift, 0)) * q, np.int64(31))
        return divide(high, np.maximum(-shift, 0))

    return model


# How kernels round -> function(sums int64 (..., channels), input scale, filter scales float32)
# that gives the output of a kernel at scale 1, before it is clipped. LiteRT and TFLite
# Micro were measured (tests/unit/test_rounding.py repeats that); the second model is a
# neighbor that other float kernels may choose.
MODELS = {
    "float32, half to even": _float_half_even,  # XNNPACK
    "float32, half away": _float_half_away,
    "Q31 once, half up": _q31_once(_half_up),  # builds with TFLITE_SINGLE_ROUNDING
    "Q31 once, half away": _q31_once(_half_away),  # LiteRT reference FULLY_CONNECTED
    "Q31 twice, half up": _q31_twice(_half_up),  # LiteRT built-in (ruy)
    "Q31 twice, half away": _q31_twice(_half_away),  # LiteRT reference, TFLite Micro
}
