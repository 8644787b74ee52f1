"""Initial codes of a discrete kernel, from the float kernel it takes the place of.

NumPy only. Kernels have their output channels last.
"""

import numpy as np

from keras_gxnor import spaces
from keras_gxnor.conversion.numbers import finite_kernel, twn

_FACTOR = 0.7  # of the mean |w|: Li et al. 2016
_CLIPS = np.linspace(0.3, 1.0, 15)  # of the largest |w|
_FINE = 127  # a largest code from which on nothing is gained by clipping


def codes_of(kernel, space) -> tuple[np.ndarray, np.ndarray]:
    """Codes of `space` and a scale a channel, so that values times scale are near the kernel.

    Ternary: by `numbers.twn`. Graded: states whose ternary readout is that of `twn`, in the
    order of |w| (linear in it, the largest ones cut). Binary: the signs, and the mean |w|. All
    other spaces: rounded, with the scale that puts the largest |w| on the largest code or, if the
    codes are few, the one of 15 smaller ones with the least squared error.

    Args:
        kernel: Finite float array (..., channels).
        space: A space of `keras_gxnor.spaces`, or its name.

    Returns:
        (int8 codes in the shape of `kernel`, float32 scales > 0 of shape (channels,)).

    Raises:
        InvalidArgumentError: if the kernel is empty or not finite.

    Example:

    >>> from keras_gxnor.conversion.initial import codes_of
    >>> codes_of([[0.9], [0.0], [-0.1], [-0.5]], "graded")[0][:, 0]
    array([127, 0, -16, -81], dtype=int8)
    """
    kernel, space = finite_kernel(kernel), spaces.get(space)
    axes = tuple(range(kernel.ndim - 1))
    size = np.abs(kernel.astype(np.float64))
    if isinstance(space, spaces.GradedSpace):
        codes, scale = twn(kernel, _FACTOR)
        return _graded(size, codes, np.sign(kernel), _FACTOR * size.mean(axes), space), scale
    half_range = space.scale * space.max_code
    if space.max_code == 1:
        if space.code_step == 1:
            codes, scale = twn(kernel, _FACTOR)
        else:
            codes, scale = np.where(kernel < 0, -1, 1).astype(np.int8), _positive(size.mean(axes))
        return codes, (scale / half_range).astype(np.float32)
    finest = _positive(size.max(axes)) / space.max_code
    clips = _CLIPS if space.max_code < _FINE else np.ones(1)
    errors = [((_rounded(kernel, c * finest, space) * (c * finest) - kernel) ** 2).sum(axes) for c in clips]
    scale = clips[np.argmin(errors, axis=0)] * finest
    return _rounded(kernel, scale, space).astype(np.int8), (scale / space.scale).astype(np.float32)


def _rounded(kernel, scale, space):
    return np.clip(np.rint(kernel / scale), -space.max_code, space.max_code)


def _graded(size, codes, sign, delta, space):
    """States at size / delta thresholds, on the side of the threshold where the ternary code is."""
    states = np.rint(size / _positive(delta) * (space.threshold + 0.5))
    low, high = space.threshold + 1, space.max_code
    states = np.where(codes != 0, np.clip(states, low, high), np.minimum(states, space.threshold))
    return (sign * states).astype(np.int8)


def _positive(scale):
    """`scale`, with 1 in the place of 0: that of a channel of zeros."""
    return np.where(scale > 0, scale, 1.0)
