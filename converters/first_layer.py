"""Tables of the first convolution in C: bytes times ternary weights, looked up three taps at a time.

gxnor_conv_u8_step.h adds up, for every three taps a, b, c under the window, one of the 27 sums
i * a + j * b + k * c with i, j, k in -1, 0, 1. The taps of a column of the window (all of its
rows and channels) are cut in threes, the last filled up with zero weights; so a weight table
is one byte for three taps. Two output pixels, one above the other, share a 32-bit word.
"""

import numpy as np

# Filters that are computed at once: tables are filled up to a multiple of it.
BLOCK = 8
# Taps that share a table, its entries, and the bytes of an entry.
TAPS, ENTRIES, _ENTRY_BYTES = 3, 27, 4
# Where 0 lies in the 16 bits of a sum less its threshold.
_BIAS = 1 << 15
_BOTH = 0x10001  # times a number of 16 bits: the number in both halves of a word


def fits(kernel, thresholds, zero) -> bool:
    """Whether the C code can compute a layer: trits whose sums stay within 16 bits of the thresholds.

    They do if at most 128 weights of a filter are not 0, whatever the thresholds, and up to
    256 if the thresholds are in the middle of the sums. Groups are not for it.

    Args:
        kernel, thresholds, zero: As in `steps`.

    Example:

    >>> fits(np.ones((128, 1, 1, 1)), [[0, 0]], 0), fits(np.ones((129, 1, 1, 1)), [[0, 0]], 0)
    (True, False)
    """
    kernel = np.asarray(kernel)
    low, high, first, second = _limits(kernel, thresholds, zero)
    above, below = high - np.minimum(first, second), np.maximum(first, second) - low
    return bool((np.abs(kernel) <= 1).all() and (above < _BIAS).all() and (below <= _BIAS).all())


def groups(kernel) -> int:
    """Groups of three taps in one column of the window."""
    height, _, channels, _ = kernel.shape
    return -(-height * channels // TAPS)


def scratch_words(kernel) -> int:
    """uint32 words of the caller's buffer: one column of taps, and the tables of a window."""
    return groups(kernel) * (TAPS + ENTRIES * kernel.shape[1])


def weights(kernel) -> np.ndarray:
    """The places of a kernel's sums in their tables, in the order the C code reads them.

    Args:
        kernel: Trits of shape (height, width, channels, filters).

    Returns:
        uint8 of shape (blocks, width, groups, 8): byte offsets 4 * (9 * (i + 1) + 3 * (j + 1)
        + k + 1) for the weights i, j, k of three taps. Filters beyond the last have weights 0.

    Example:

    >>> weights(np.array([-1, 0, 1, 1]).reshape(4, 1, 1, 1))[0, 0, :, 0].tolist()
    [20, 88]
    """
    height, width, channels, filters = kernel.shape
    blocks = -(-filters // BLOCK)
    columns = np.zeros((width, TAPS * groups(kernel), BLOCK * blocks), np.int32)
    columns[:, : height * channels, :filters] = kernel.transpose(1, 0, 2, 3).reshape(width, -1, filters)
    trits = columns.reshape(width, -1, TAPS, blocks, BLOCK) + 1
    codes = np.einsum("wgtbf,t->bwgf", trits, [9, 3, 1])
    return np.ascontiguousarray(_ENTRY_BYTES * codes, np.uint8)


def segments(kernel, groups, count) -> np.ndarray:
    """The places of a kernel's sums in tables that are made for `groups` threes of taps at a time.

    Args:
        kernel: Trits of shape (taps, filters).
        groups, count: So that `count` segments of 3 * `groups` taps hold all.

    Returns:
        uint8 of shape (count, blocks, groups, 8): offsets as in `weights`. Taps and filters beyond
        the last have weights 0.

    Example:

    >>> segments(np.array([-1, 0, 1, 1]).reshape(4, 1), 1, 2)[:, 0, 0, 0].tolist()
    [20, 88]
    """
    taps, filters = kernel.shape
    blocks = -(-filters // BLOCK)
    rows = np.zeros((TAPS * groups * count, BLOCK * blocks), np.int32)
    rows[:taps, :filters] = kernel
    trits = rows.reshape(count, groups, TAPS, blocks, BLOCK) + 1
    codes = np.einsum("sgtbf,t->sbgf", trits, [9, 3, 1])
    return np.ascontiguousarray(_ENTRY_BYTES * codes, np.uint8)


def steps(kernel, thresholds, zero) -> np.ndarray:
    """The starts of the sums, and what their negatives are added to: the two ends of the step.

    With start = 2^15 - t1, bit 15 of start + sum says sum >= t1; with last = 2^16 - 1 - (t1 - t0),
    bit 15 of last - (start + sum) says sum < t0. Both are in both halves of a word.

    Args:
        kernel: Trits of shape (height, width, channels, filters) that `fits`.
        thresholds: Integers of shape (filters, 2), first <= second: sums of (byte - zero) * weight
            below the first give -1, from the second on +1.
        zero: The byte, 0 to 255, that means 0: int8 codes are bytes as q + 128.

    Returns:
        uint32 of shape (blocks, 2, 8): starts and lasts. Filters beyond the last give 0.
    """
    _, _, first, second = _limits(kernel, thresholds, zero)
    filters = len(first)
    table = np.zeros((2, -(-filters // BLOCK) * BLOCK), np.int64)
    table[:, :filters] = _BIAS - second, 2 * _BIAS - 1 - second + first
    words = (table * _BOTH).astype(np.uint32)
    return np.ascontiguousarray(words.reshape(2, -1, BLOCK).transpose(1, 0, 2))


def _limits(kernel, thresholds, zero):
    """Least and greatest sum of the bytes as they are, and their thresholds, each int64 (filters,).

    Thresholds are clipped to the sums and one above, which changes no result.
    """
    flat = np.asarray(kernel, np.int64).reshape(-1, kernel.shape[-1])
    low, high = 255 * np.minimum(flat, 0).sum(0), 255 * np.maximum(flat, 0).sum(0)
    raw = np.asarray(thresholds, np.int64) + zero * flat.sum(0)[:, None]
    return low, high, *np.clip(raw, low[:, None], high[:, None] + 1).T
