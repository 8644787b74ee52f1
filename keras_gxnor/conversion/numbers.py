"""The arithmetic of a conversion: kernels to codes times a scale, scales into normalizations.

NumPy only. Kernels have their output channels last, as Keras keeps them.
"""

import dataclasses

import numpy as np

from keras_gxnor.errors import InvalidArgumentError


def twn(kernel, factor: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scales of a float kernel, by the threshold of ternary weight networks.

    In each channel the threshold is `factor` times the mean |w|, a weight becomes its sign
    where |w| exceeds it, else 0, and the scale is the mean |w| of those that do: the one for
    which codes * scale is nearest to the kernel (Li et al. 2016, arXiv 1605.04711, section 2).

    Args:
        kernel: Finite float array (..., channels).
        factor: Threshold in units of the mean |w|, >= 0 (0.7 suits uniform and normal kernels).

    Returns:
        (int8 codes in the shape of `kernel`, float32 scales > 0 of shape (channels,); 1 for a
        channel without a nonzero code).

    Raises:
        InvalidArgumentError: if the kernel is empty or not finite.

    Example:

    >>> from keras_gxnor.conversion.numbers import twn
    >>> codes, alpha = twn([[0.9, 0.0], [-0.1, 0.0], [-0.5, 0.0]])
    >>> codes[:, 0], alpha
    (array([ 1,  0, -1], dtype=int8), array([0.7, 1. ], dtype=float32))
    """
    kernel = finite_kernel(kernel)
    size = np.abs(kernel.astype(np.float64))
    axes = tuple(range(kernel.ndim - 1))
    kept = (size > factor * size.mean(axes)) & (size > 0)
    count = kept.sum(axes)
    alpha = (size * kept).sum(axes) / np.maximum(count, 1)
    codes = (np.sign(kernel) * kept).astype(np.int8)
    return codes, np.where(count > 0, alpha, 1.0).astype(np.float32)


def split(kernel) -> tuple[np.ndarray, np.ndarray] | None:
    """Codes and scales of a kernel that is ternary already, exactly.

    Args:
        kernel: Finite float array (..., channels).

    Returns:
        (int8 codes, float32 scales > 0 of shape (channels,); 1 for a channel of zeros) with
        codes * scales equal to the kernel bit for bit; or None if a channel holds anything but
        -s, 0 and s.

    Raises:
        InvalidArgumentError: if the kernel is empty or not finite.

    Example:

    >>> from keras_gxnor.conversion.numbers import split
    >>> split([[0.3, -1.0], [-0.3, 0.0]])
    (array([[ 1, -1], [-1, 0]], dtype=int8), array([0.3, 1. ], dtype=float32))
    >>> split([[0.3], [-0.2]])
    """
    kernel = finite_kernel(kernel)
    alpha = np.abs(kernel).max(tuple(range(kernel.ndim - 1)))
    alpha = np.where(alpha > 0, alpha, 1).astype(np.float32)
    codes = np.sign(kernel).astype(np.int8)
    return (codes, alpha) if np.array_equal(codes * alpha, kernel) else None


def finite_kernel(kernel, what: str = "A kernel") -> np.ndarray:
    """`kernel` as float32 of rank >= 1.

    Raises:
        InvalidArgumentError: naming `what`, if it is empty or holds NaN or infinity.
    """
    kernel = np.asarray(kernel, np.float32)
    if kernel.ndim == 0 or kernel.size == 0 or not np.isfinite(kernel).all():
        odd = "NaN or infinity" if kernel.size else "no numbers"
        raise InvalidArgumentError(
            f"{what} must hold finite numbers and end in a channel axis. "
            f"Received: shape {kernel.shape} with {odd if kernel.ndim else 'no axis'}"
        )
    return kernel


@dataclasses.dataclass(frozen=True, eq=False)
class Normalization:
    """What a BatchNormalization computes: gamma (x - mean) / sqrt(variance + epsilon) + beta.

    Attributes:
        gamma, beta, mean, variance: float32 arrays of shape (channels,).
        epsilon: Float >= 0.
    """

    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    epsilon: float

    @classmethod
    def of_scale(cls, alpha, bias=None, epsilon: float = 1e-3) -> "Normalization":
        """The one that computes alpha x + bias, to the bit as float32 does in that order."""
        alpha = np.asarray(alpha, np.float32)
        beta = np.zeros_like(alpha) if bias is None else np.asarray(bias, np.float32)
        one = np.full_like(alpha, np.float32(1) - np.float32(epsilon))
        return cls(alpha, beta, np.zeros_like(alpha), one, epsilon)


def fold_scale(norm: Normalization, alpha, bias=None) -> Normalization:
    """The normalization that does to sums s what `norm` does to alpha s + bias.

    The scale goes into the moving statistics, so that they are those of s: training on, which
    normalizes with the statistics of the batch, then starts where the float model was. Only
    where the new variance would be negative (alpha > sqrt(1 + variance / epsilon)) is
    it 0, and gamma takes the rest. In real numbers the two are equal; in float32 they differ
    by a few roundings.

    Args:
        norm: Normalization of alpha s + bias.
        alpha: Positive scales, (channels,) or a scalar.
        bias: (channels,), or None.

    Returns:
        A `Normalization` of s with the same epsilon, float32.

    Raises:
        InvalidArgumentError: if a scale is not positive and finite, or a shape does not fit.

    Example:

    >>> from keras_gxnor.conversion.numbers import Normalization, fold_scale
    >>> one = np.ones(2, np.float32)
    >>> fold_scale(Normalization(one, one, one, one, 0.0), [0.5, 0.25]).mean
    array([2., 4.], dtype=float32)
    """
    mean, variance = norm.mean.astype(np.float64), norm.variance.astype(np.float64)
    alpha = np.asarray(alpha, np.float64)
    bias = np.zeros_like(mean) if bias is None else np.asarray(bias, np.float64)
    if alpha.shape not in ((), mean.shape) or bias.shape != mean.shape:
        raise InvalidArgumentError(
            f"Scales and biases must have the {mean.shape} of the normalization. "
            f"Received: scales {alpha.shape}, biases {bias.shape}"
        )
    if not (np.isfinite(alpha).all() and (alpha > 0).all()):
        raise InvalidArgumentError(f"Scales must be positive and finite. Received: {alpha}")
    total = variance + norm.epsilon
    folded = np.maximum(total / alpha**2 - norm.epsilon, 0)
    rest = np.where(folded > 0, 1.0, alpha * np.sqrt((folded + norm.epsilon) / np.maximum(total, 1e-300)))
    return Normalization(
        (norm.gamma * rest).astype(np.float32),
        norm.beta.astype(np.float32),
        ((mean - bias) / alpha).astype(np.float32),
        folded.astype(np.float32),
        norm.epsilon,
    )
