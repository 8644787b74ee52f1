"""Small integers bit by bit: the layouts the C runtime computes on.

A value of shape (..., channels) becomes uint32 of shape (..., words, planes): word w holds
channels 32 w .. 32 w + 31, plane b the bits of weight 2^b of all of them, and the last
plane the sign (two's complement). Bits of channels that do not exist are 0.
"""

import numpy as np

LANES = 32  # channels a word holds
_LEAST_BITS = 6  # planes of a counter


def planes_for(low: int, high: int) -> int:
    """The number of planes of codes low..high: the least, but 2 for trits alone, which -2 is not.

    >>> [planes_for(-1, 1), planes_for(-2, 1), planes_for(0, 2), planes_for(-128, 255)]
    [2, 3, 3, 9]
    """
    return max(2 if low >= -1 else 3, *(_signed_bits(value) for value in (int(low), int(high))))


def bits_for(low: int, high: int) -> int:
    """The number of planes of counters of sums low..high, at least 6.

    One more than `high` fits as well: the threshold that is never reached.

    >>> [bits_for(-9, 9), bits_for(-32, 30), bits_for(-32, 31), bits_for(-33, 0)]
    [6, 6, 7, 7]
    """
    return max(_LEAST_BITS, *(_signed_bits(value) for value in (int(low), int(high) + 1)))


def _signed_bits(value):
    return (value if value >= 0 else ~value).bit_length() + 1


def words_for(channels: int) -> int:
    """The number of words that hold a bit of `channels` channels.

    >>> [words_for(1), words_for(32), words_for(33)]
    [1, 1, 2]
    """
    return -(-channels // LANES)


def pack(codes, planes: int) -> np.ndarray:
    """Codes of shape (..., channels) in planes: uint32 of shape (..., words, planes).

    >>> pack([1, 0, -1], 2)
    array([[5, 4]], dtype=uint32)
    """
    codes = np.asarray(codes, np.int64)
    if codes.size and not -(1 << (planes - 1)) <= codes.min() <= codes.max() < 1 << (planes - 1):
        raise ValueError(f"{codes.min()}..{codes.max()} do not fit into {planes} planes")
    return _words((codes[..., None] >> np.arange(planes)) & 1)


def unpack(words, channels: int) -> np.ndarray:
    """The int32 codes of shape (..., channels) that `pack` packed.

    >>> unpack(pack([[1, 0, -1]], 2), 3)
    array([[ 1,  0, -1]], dtype=int32)
    """
    words = np.asarray(words, np.uint32)
    planes = words.shape[-1]
    bits = (words[..., None, :] >> np.arange(LANES, dtype=np.uint32)[:, None]) & np.uint32(1)
    weights = np.left_shift(1, np.arange(planes, dtype=np.int64))
    weights[-1] *= -1
    codes = (bits.astype(np.int64) @ weights).reshape(*words.shape[:-2], -1)
    return codes[..., :channels].astype(np.int32)


def _words(bits):
    """Bits (0 or 1) of shape (..., channels, n) as uint32 of shape (..., words, n)."""
    bits = np.asarray(bits, np.uint32)
    missing = -bits.shape[-2] % LANES
    bits = np.pad(bits, [(0, 0)] * (bits.ndim - 2) + [(0, missing), (0, 0)])
    bits = bits.reshape(*bits.shape[:-2], -1, LANES, bits.shape[-1])
    return np.bitwise_or.reduce(bits << np.arange(LANES, dtype=np.uint32)[:, None], axis=-2)


def digits(kernel) -> list[np.ndarray]:
    """Trits (int8) d_0, d_1, ... of the shape of `kernel` with sum 2^j d_j == kernel, as few as do.

    n digits make the weights -(2^n - 1)..2^n - 1.

    >>> digits([-2, 0, 3])
    [array([0, 0, 1], dtype=int8), array([-1,  0,  1], dtype=int8)]
    """
    kernel = np.asarray(kernel, np.int64)
    size = abs(kernel)
    count = max(1, int(size.max(initial=0)).bit_length())
    return [(np.sign(kernel) * ((size >> j) & 1)).astype(np.int8) for j in range(count)]


def signs(trits) -> np.ndarray:
    """Trits of shape (..., channels) as pairs {pos, neg}: uint32 of shape (..., words, 2).

    >>> signs([1, 0, -1])
    array([[1, 4]], dtype=uint32)
    """
    trits = np.asarray(trits)
    return _words(np.stack([trits > 0, trits < 0], axis=-1))


def weight_rows(kernel) -> np.ndarray:
    """Rows of weights (..., channels) for `gxnor_dot_codes`: uint32 (..., words, digits, 2).

    >>> weight_rows([[2, -1]]).tolist()
    [[[[0, 2], [1, 0]]]]
    """
    return np.stack([signs(digit) for digit in digits(kernel)], axis=-2)


def depthwise_weights(kernel) -> np.ndarray:
    """A kernel (places, channels) for `gxnor_depthwise`: uint32 (words, digits, places, 2).

    >>> depthwise_weights([[1], [-1]]).tolist()
    [[[[1, 0], [1, 1]]]]
    """
    packed = np.stack([pack(digit, 2) for digit in digits(kernel)])  # digit, place, word, 2
    return np.ascontiguousarray(packed.transpose(2, 0, 1, 3))


def steps_table(thresholds, low: int, bits: int) -> np.ndarray:
    """Thresholds (channels, steps) for `gxnor_steps_words`: uint32 (words, steps, bits).

    Channels that do not exist become code 0, so the codes low..low + steps must hold 0; binary
    codes take their threshold twice.

    Args:
        thresholds: Integers, ascending in a channel; S >= t is "reached". What lies outside the
            range of a counter is moved to its border, which changes nothing for sums that
            `bits_for` was asked about.
        low: The code of sums that reach none.
        bits: Planes of a counter.

    >>> hex(steps_table([[0]], 0, 6)[0, 0, 5]), hex(steps_table([[-32]], 0, 6)[0, 0, 5])
    ('0x0', '0x1')
    """
    thresholds = np.asarray(thresholds, np.int64)
    channels, steps = thresholds.shape
    if not low <= 0 <= low + steps:
        raise ValueError(f"Codes {low}..{low + steps} do not hold 0")
    if (np.diff(thresholds, axis=1) < 0).any():
        raise ValueError("Thresholds must ascend")
    half = 1 << (bits - 1)
    unsigned = np.full((words_for(channels) * LANES, steps), 2 * half - 1)
    unsigned[:, :-low] = 0
    unsigned[:channels] = np.clip(thresholds, -half, half - 1) + half
    words = _words(~(unsigned.T[..., None] >> np.arange(bits)) & 1)  # step, word, bit
    return np.ascontiguousarray(words.transpose(1, 0, 2))


def step_table(thresholds, bits: int) -> np.ndarray:
    """Thresholds (channels, 2) t0 <= t1 for `gxnor_step_words`: uint32 (words, bits, 2).

    >>> step_table([[-1, 2]], 6)[0, :2].tolist()
    [[1, 4294967294], [0, 4294967294]]
    """
    table = steps_table(thresholds, -1, bits)  # word, step, bit
    return np.ascontiguousarray(table.transpose(0, 2, 1)[..., ::-1])
