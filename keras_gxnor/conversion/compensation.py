"""Rounding a kernel so that the errors of its weights cancel in what it computes.

NumPy only. Rounded one by one, each weight goes to its nearest code, and the errors of weights that
read correlated inputs add up. Here a weight's error is made good by those that are not rounded yet,
as far as their inputs are alike: Hassibi, Stork 1993 (optimal brain surgeon), in the order and with
the factorization of Frantar et al. 2022 (arXiv 2210.17323, section 3).
"""

import numpy as np

_DAMPING = 0.1  # of the mean variance of the inputs: 256 examples teach no more than 1024 with less
_BLOCK = 64  # weights whose errors are spread together
_ROUNDS = 3  # of codes for a unit, then a unit for the codes


def compensate(kernel, covariance, codes, unit, nearest):
    """Codes with the least error of the sums that a kernel makes, as far as three rounds find them.

    The error of a channel is the variance of its sums' deviation, e C e for the deviation e of its
    weights and the covariance C of what they read: a constant deviation is left to the bias.
    It is never larger than that of the given codes.

    Args:
        kernel: Float array (groups, inputs, outputs) of a group.
        covariance: (groups, inputs, inputs), of what the weights of a group read.
        codes: In the shape of `kernel`, where to begin.
        unit: What a code of 1 stands for to begin with, (groups, 1, outputs), > 0.
        nearest: Callable that rounds numbers in units of a code to codes.

    Returns:
        (codes, unit, targets): the last are the numbers that were rounded, in the units of the kernel.

    Example:

    Two weights of 0.4 that always read the same number are one of 0.8, and one of them is enough:

    >>> from keras_gxnor.conversion.compensation import compensate
    >>> nearest = lambda x: np.clip(np.rint(x), -1, 1)
    >>> kernel, read = np.full((1, 2, 1), 0.4), np.ones((1, 2, 2))
    >>> codes, unit, _ = compensate(kernel, read, np.zeros((1, 2, 1)), np.ones((1, 1, 1)), nearest)
    >>> int(codes.sum()), round(float(unit[0, 0, 0]), 6)
    (1, 0.8)
    """
    kernel = np.asarray(kernel, np.float64)
    best, least = (codes, unit, kernel), _error(kernel, codes, unit, covariance)
    order, factor = _factor(covariance)
    for _ in range(_ROUNDS):
        codes, targets = _sweep(kernel, order, factor, unit, nearest)
        unit = _unit(kernel, codes, covariance, unit)
        error = _error(kernel, codes, unit, covariance)
        best = tuple(np.where(error < least, *pair) for pair in zip((codes, unit, targets), best))
        least = np.minimum(error, least)
    return best


def _factor(covariance):
    """(order of the weights, the upper Cholesky factor of the inverse in that order), of each group."""
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    damping = _DAMPING * variance.mean(1)
    damping = np.where(damping > 0, damping, 1.0)  # of inputs that never change any codes will do
    order = np.argsort(-variance, axis=1, kind="stable")
    ordered = np.take_along_axis(covariance, order[:, :, None], 1)
    ordered = np.take_along_axis(ordered, order[:, None, :], 2)
    damped = ordered + damping[:, None, None] * np.eye(ordered.shape[-1])
    return order, np.swapaxes(np.linalg.cholesky(np.linalg.inv(damped)), 1, 2)


def _sweep(kernel, order, factor, unit, nearest):
    """(codes, targets): weight after weight, each error spread over those that follow."""
    left = np.take_along_axis(kernel, order[:, :, None], 1)
    codes, targets, count = np.zeros_like(left), np.zeros_like(left), left.shape[1]
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        errors = np.zeros_like(left[:, start:stop])
        for i in range(start, stop):
            targets[:, i] = left[:, i]
            codes[:, i] = nearest(left[:, i] / unit[:, 0])
            error = (left[:, i] - codes[:, i] * unit[:, 0]) / factor[:, i, i, None]
            left[:, i + 1 : stop] -= factor[:, i, i + 1 : stop, None] * error[:, None]
            errors[:, i - start] = error
        left[:, stop:] -= np.swapaxes(factor[:, start:stop, stop:], 1, 2) @ errors
    back = np.argsort(order, axis=1)[:, :, None]
    return np.take_along_axis(codes, back, 1), np.take_along_axis(targets, back, 1)


def _unit(kernel, codes, covariance, unit):
    """What a code of 1 stands for, for the least error; `unit` where that is not positive."""
    read = covariance @ codes
    top, bottom = ((x * read).sum(1, keepdims=True) for x in (kernel, codes))
    sound = (top > 0) & (bottom > 0)
    return np.where(sound, top / np.where(sound, bottom, 1.0), unit)


def _error(kernel, codes, unit, covariance):
    """(groups, 1, outputs)."""
    deviation = codes * unit - kernel
    return (deviation * (covariance @ deviation)).sum(1, keepdims=True)
