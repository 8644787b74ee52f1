"""Codes to bytes and back: bit planes for computing, base 3 for files, fields for training.

All codecs are exact and refuse anything but trits {-1, 0, 1}. Base 3 puts
five trits into a byte, least significant first, digit = trit + 1, tail padded
with zero trits: byte = d0 + 3 d1 + 9 d2 + 27 d3 + 81 d4 (1.6 bits a trit; a
byte of five zeros is 121). Fields put four trits into a byte in the same manner:
byte = f0 + 4 f1 + 16 f2 + 64 f3, field = trit + 1 (a byte of four zeros is 85).
"""

import numpy as np

from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.spaces import DiscreteSpace

TRITS_PER_BYTE = 5
FIELDS_PER_BYTE = 4
WORD_BITS = 32
_POWERS = np.array([1, 3, 9, 27, 81], dtype=np.uint16)
_TERNARY = DiscreteSpace(1)
# The layout of fields: what each stands for in the sum of a byte, and the codes of every byte
# (code 2 is that of the unused field value 3).
FIELD_WEIGHTS = np.array([1, 4, 16, 64], dtype=np.uint8)
FIELD_CODES = (np.arange(256)[:, None] // FIELD_WEIGHTS % 4 - 1).astype(np.int8)


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


def field_bytes(count: int) -> int:
    """Number of bytes that hold `count` trits as fields."""
    return -(-count // FIELDS_PER_BYTE)


def pack_fields(trits) -> np.ndarray:
    """Packs trits of any shape, in C order, four to a byte, the tail padded with zero trits.

    Returns:
        uint8 array of shape (ceil(size / 4),): trit i is (byte[i // 4] >> 2 (i % 4)) % 4 - 1.

    Raises:
        InvalidArgumentError: if a value is not -1, 0 or 1.

    Example:

    >>> pack_fields([1, 0, 0, 0, -1])
    array([86, 84], dtype=uint8)
    """
    flat = _TERNARY.check_codes(trits, "`trits`").reshape(-1)
    padded = np.zeros((field_bytes(flat.size), FIELDS_PER_BYTE), np.int8)
    padded.reshape(-1)[: flat.size] = flat
    return (padded + 1).astype(np.uint8) @ FIELD_WEIGHTS


def unpack_fields(packed, shape, what="Packed fields") -> np.ndarray:
    """Inverse of `pack_fields`.

    Args:
        packed: uint8 array of shape (ceil(prod(shape) / 4),).
        shape: Shape of the result.
        what: Names the bytes in errors.

    Returns:
        int8 array of `shape` with values -1, 0, 1.

    Raises:
        InvalidArgumentError: if the length does not fit `shape`, a field is 3,
            or the padding is not zero (corrupt bytes).
    """
    data = np.asarray(packed)
    size = int(np.prod(shape, dtype=np.int64))
    if data.dtype != np.uint8 or data.shape != (field_bytes(size),):
        raise InvalidArgumentError(
            f"{what} of shape {tuple(shape)} must be {field_bytes(size)} uint8 bytes. "
            f"Received: {data.dtype} of shape {data.shape}"
        )
    trits = FIELD_CODES[data].reshape(-1)
    bad = np.flatnonzero(trits > 1)
    if bad.size:
        raise InvalidArgumentError(
            f"{what} must be 0, 1 or 2. Received: {bad.size} field(s) of 3, the first in byte "
            f"{bad[0] // FIELDS_PER_BYTE}, which is {data[bad[0] // FIELDS_PER_BYTE]}"
        )
    if trits[size:].any():
        raise InvalidArgumentError(
            f"{what} must be padded with zero trits. Received: {trits[size:].tolist()}"
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
