"""Seeded damage to files: what transmission, full disks and hostile hands do to them."""

import struct

EXTREMES = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000)


def truncate(data, rng):
    return data[: rng.randrange(len(data))]


def flip_bits(data, rng):
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def replace_bytes(data, rng):
    out = bytearray(data)
    for _ in range(rng.choice((1, 2, 4, 16))):
        out[rng.randrange(len(out))] = rng.randrange(256)
    return bytes(out)


def extreme_words(data, rng):
    return _words(data, rng, lambda place: rng.choice(EXTREMES))


def random_offsets(data, rng):
    """Words that are offsets to anywhere in the file, also backward."""
    return _words(data, rng, lambda place: (rng.randrange(len(data)) - place) & 0xFFFFFFFF)


def small_words(data, rng):
    """Words that look like lengths or numbers of tensors."""
    return _words(data, rng, lambda place: rng.randrange(40))


def _words(data, rng, word):
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = 4 * rng.randrange(len(out) // 4)
        struct.pack_into("<I", out, place, word(place))
    return bytes(out)


def swap_blocks(data, rng):
    size = rng.choice((4, 16, 64, 256))
    a, b = (rng.randrange(len(data) - size) for _ in range(2))
    out = bytearray(data)
    out[a : a + size], out[b : b + size] = data[b : b + size], data[a : a + size]
    return bytes(out)


def insert(data, rng):
    place = rng.randrange(len(data))
    return data[:place] + rng.randbytes(rng.choice((1, 2, 4, 16, 100))) + data[place:]


ALL = (
    truncate, flip_bits, replace_bytes, extreme_words, random_offsets, small_words, swap_blocks, insert
)
