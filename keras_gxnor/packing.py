"""Codes to bytes and back: bit planes for computing, base 3 for storing.

Both codecs are exact and refuse anything but trits {-1, 0, 1}. Base 3 puts
five trits into a byte, least significant first, digit = trit + 1, tail padded
with zero trits: byte = d0 + 3 d1 + 9 d2 + 27 d3 + 81 d4 (1.6 bits a trit; a
byte of five zeros is 121).
"""

import numpy as np

from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.spaces import DiscreteSpace

TRITS_PER_BYTE = 5
WORD_BITS = 32
_POWERS = np.array([1, 3, 9, 27, 81], dtype=np.uint16)
_TERNARY = DiscreteSpace(1)


def pack_trits(trits) -> np.ndarray:
    """Packs trits of any shape, in C order, five to a byte.

    Returns:
        uint8 array of shape (ceil(size / 5),).

    Raises:
        InvalidArgumentError: if a value is not -1, 0 or 1.

    Example:

    >>> pack_trits([1, 0, 0, 0, 0, -1])
    array([122, 120], dtype=uint8)
    """
    flat = _TERNARY.check_codes(trits, "`trits`").reshape(-1)
    padded = np.zeros(-(-flat.size // TRITS_PER_BYTE) * TRITS_PER_BYTE, np.int8)
    padded[: flat.size] = flat
    digits = (padded + 1).astype(np.uint16).reshape(-1, TRITS_PER_BYTE)
    return (digits @ _POWERS).astype(np.uint8)


def unpack_trits(packed, shape) -> np.ndarray:
    """Inverse of `pack_trits`.

    Args:
        packed: uint8 array of shape (ceil(prod(shape) / 5),).
        shape: Shape of the result.

    Returns:
        int8 array of `shape` with values -1, 0, 1.

    Raises:
        InvalidArgumentError: if the length does not fit `shape`, a byte is
            above 242, or the padding is not zero (a corrupt file).
    """
    data = np.asarray(packed)
    size = int(np.prod(shape, dtype=np.int64))
    expected = -(-size // TRITS_PER_BYTE)
    if data.dtype != np.uint8 or data.shape != (expected,):
        raise InvalidArgumentError(
            f"Packed trits of shape {tuple(shape)} must be {expected} uint8 bytes. "
            f"Received: {data.dtype} of shape {data.shape}"
        )
    if data.size and data.max() > 242:
        raise InvalidArgumentError(
            f"Packed trits must be bytes in 0..242. Received: {int(data.max())}"
        )
    digits = data[:, None].astype(np.uint16) // _POWERS % 3
    trits = digits.astype(np.int8).reshape(-1) - np.int8(1)
    if trits[size:].any():
        raise InvalidArgumentError(
            "The padding of packed trits must be zero. "
            f"Received: {trits[size:].tolist()}"
        )
    return trits[:size].reshape(shape)


def words_for(count: int) -> int:
    """Number of 32-bit words that hold `count` bits."""
    return -(-count // WORD_BITS)


def bit_planes(trits) -> tuple[np.ndarray, np.ndarray]:
    """Packs the last axis into two planes of 32-bit words.

    Args:
        trits: Integer array of shape (..., channels) with values -1, 0, 1.

    Returns:
        (pos, neg), each uint32 of shape (..., ceil(channels / 32)): bit c % 32
        of word c // 32 says whether channel c is +1 (pos) or -1 (neg). Unused
        bits are 0.

    Raises:
        InvalidArgumentError: if a value is not -1, 0 or 1.

    Example:

    >>> bit_planes([1, -1, 0, 1])
    (array([9], dtype=uint32), array([2], dtype=uint32))
    """
    codes = _TERNARY.check_codes(trits, "`trits`")
    return _pack_bits(codes == 1), _pack_bits(codes == -1)


def from_bit_planes(pos, neg, channels: int) -> np.ndarray:
    """Inverse of `bit_planes`: int8 trits of shape (..., channels)."""
    plus = _unpack_bits(np.asarray(pos, np.uint32), channels)
    minus = _unpack_bits(np.asarray(neg, np.uint32), channels)
    return plus.astype(np.int8) - minus.astype(np.int8)


def _pack_bits(bits: np.ndarray) -> np.ndarray:
    channels = bits.shape[-1]
    words = words_for(channels)
    padded = np.zeros((*bits.shape[:-1], words * WORD_BITS), bool)
    padded[..., :channels] = bits
    packed = np.packbits(padded, axis=-1, bitorder="little")
    return packed.view("<u4").astype(np.uint32)


def _unpack_bits(words: np.ndarray, channels: int) -> np.ndarray:
    data = np.ascontiguousarray(words.astype("<u4")).view(np.uint8)
    return np.unpackbits(data, axis=-1, bitorder="little")[..., :channels]
