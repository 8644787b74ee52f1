"""Initial codes of a discrete kernel, from the float kernel it takes the place of.

NumPy only. Kernels have their output channels last.
"""

import numpy as np

from keras_gxnor import spaces
from keras_gxnor.conversion.compensation import compensate
from keras_gxnor.conversion.numbers import finite_kernel, twn

_FACTOR = 0.7  # of the mean |w|: Li et al. 2016
_CLIPS = np.linspace(0.3, 1.0, 15)  # of the largest |w|
_FINE = 127  # a largest code from which on nothing is gained by clipping or by compensation


def codes_of(kernel, space, covariance=None) -> tuple[np.ndarray, np.ndarray]:
    """Codes of `space` and a scale a channel, so that values times scale are near the kernel.

    Ternary: by `numbers.twn`. Graded: states whose ternary readout is that of `twn`, in the
    order of |w| (linear in it, the largest ones cut). Binary: the signs, and the mean |w|. All
    other spaces: rounded, with the scale that puts the largest |w| on the largest code or, if the
    codes are few, the one of 15 smaller ones with the least squared error.

    With the covariance of what the kernel reads, these codes are where `compensation.compensate`
    begins, and what is near is the sums that the kernel makes. A graded state then stands at the
    weight that was rounded, after it took up the errors of others. Kernels of 8 bits have no need
    of it.

    Args:
        kernel: Finite float array (..., inputs of a group, channels).
        space: A space of `keras_gxnor.spaces`, or its name.
        covariance: None, or a finite array (groups, n, n) for the n weights of a channel: all axes of the
            kernel but the last, flattened.

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
    readout = space.readout
    codes, scale = _plain(kernel, readout)
    targets = kernel.astype(np.float64)
    middle = _FACTOR * np.abs(targets).mean(_taps(kernel))
    if covariance is not None and readout.max_code < _FINE:
        codes, scale, targets = _compensated(kernel, codes, scale, readout, covariance)
        middle = scale * readout.scale / 2
    if isinstance(space, spaces.GradedSpace):
        codes = _graded(np.abs(targets), codes, np.sign(targets), middle, space)
    return codes.astype(np.int8), scale.astype(np.float32)


def _plain(kernel, space):
    """Codes and scales without a look at the inputs."""
    axes = _taps(kernel)
    size = np.abs(kernel.astype(np.float64))
    if space.max_code == 1:
        if space.code_step == 1:
            codes, scale = twn(kernel, _FACTOR)
        else:
            codes, scale = np.where(kernel < 0, -1, 1).astype(np.int8), _positive(size.mean(axes))
        return codes, scale / (space.scale * space.max_code)
    finest = _positive(size.max(axes)) / space.max_code
    clips = _CLIPS if space.max_code < _FINE else np.ones(1)
    nearest = _nearest(space)
    errors = [((nearest(kernel / (c * finest)) * (c * finest) - kernel) ** 2).sum(axes) for c in clips]
    scale = clips[np.argmin(errors, axis=0)] * finest
    return nearest(kernel / scale), scale / space.scale


def _compensated(kernel, codes, scale, space, covariance):
    """(codes, scale, what was rounded) for the least error of the sums."""
    groups = len(covariance)

    def apart(array):  # (..., channels) as (groups, n, channels of a group)
        return np.moveaxis(np.reshape(array, (-1, groups, array.shape[-1] // groups)), 1, 0)

    def together(array):
        return np.moveaxis(array, 0, 1).reshape(kernel.shape)

    unit = np.reshape(scale * space.scale, (groups, 1, -1)).astype(np.float64)
    codes, unit, targets = compensate(apart(kernel), covariance, apart(codes), unit, _nearest(space))
    return together(codes), unit.ravel() / space.scale, together(targets)


def _nearest(space):
    """What rounds numbers in units of a code to codes."""
    if space.code_step == 2:
        return lambda x: np.where(x < 0, -1, 1)
    return lambda x: np.clip(np.rint(x), -space.max_code, space.max_code)


def _graded(size, codes, sign, delta, space):
    """States at size / delta thresholds, on the side of the threshold where the ternary code is."""
    states = np.rint(size / _positive(delta) * (space.threshold + 0.5))
    low, high = space.threshold + 1, space.max_code
    states = np.where(codes != 0, np.clip(states, low, high), np.minimum(states, space.threshold))
    return sign * states


def _taps(kernel):
    """All axes but that of the channels."""
    return tuple(range(kernel.ndim - 1))


def _positive(scale):
    """`scale`, with 1 in the place of 0: that of a channel of zeros."""
    return np.where(scale > 0, scale, 1.0)
