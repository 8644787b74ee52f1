"""Tables for layers that are counted in tiles: output channels side by side in the bits of a word.

A tile is `lanes` output channels (32 by default, 8 for AVR, 64 and more on a PC). A row holds the
weights of one input channel. Rows lie in groups (`groups.py`); what a list counts from is a group
that adds nothing, all bits 0: its weights are -1.
"""

import numpy as np

from keras_gxnor.converters import groups
from keras_gxnor.converters.planes import digits

LANES = (8, 32, 64, 128, 256, 512)
_LEAST_BITS = 8  # the counters have planes of weight 1, 2, 4, 8 and 16, 32, 64, 128
_MAX_ENTRY = 65535
_CHUNK_ROWS = 1024  # rows that a dense layer lists at once: 2 kB of scratch


def tile_count(channels: int, lanes: int) -> int:
    """How many tiles hold `channels` channels.

    >>> tile_count(33, 32)
    2
    """
    return -(-channels // lanes)


def lane_words(bits, lanes: int) -> np.ndarray:
    """Bits of shape (..., lanes) as uint8 (...) for 8 lanes, else uint32 (..., lanes / 32).

    >>> lane_words([1, 0, 0, 0, 0, 0, 0, 1], 8)
    array(129, dtype=uint8)
    """
    bits = np.asarray(bits, bool)
    if lanes == 8:
        return np.packbits(bits, axis=-1, bitorder="little")[..., 0]
    words = bits.reshape(*bits.shape[:-1], lanes // 32, 32).astype(np.uint32)
    return np.bitwise_or.reduce(words << np.arange(32, dtype=np.uint32), axis=-1)


def weight_tiles(kernel: np.ndarray, lanes: int, places: int, chunks) -> np.ndarray:
    """The rows of a kernel (rows, channels) for `gxnor_add_rows`: (digits, tiles, words, ...).

    Args:
        kernel: Integers; a weight beyond -1..1 has several digits.
        lanes: Channels in a tile; those that do not exist have weight 0.
        places: Rows in a group.
        chunks: For each list the rows of each of its columns; the last ones may exceed the kernel.

    >>> weight_tiles(np.array([[1], [0], [-1]]), 32, 1, [[3]])[0, 0, :, 0].tolist()
    [0, 0, 1, 4294967294, 0, 4294967295, 0, 4294967294]
    """
    rows, channels = sum(map(sum, chunks)), kernel.shape[1]
    wide = np.zeros((rows, tile_count(channels, lanes) * lanes), np.int64)
    wide[: len(kernel), :channels] = kernel
    tables = []
    for digit in digits(wide):
        trits = digit.reshape(rows, -1, lanes)
        parts, row = [], 0
        for columns in chunks:
            parts.append(np.zeros_like(groups.bits(trits[:1], places)))
            for count in columns:
                parts.append(groups.bits(trits[row : row + count], places))
                row += count
        table = np.concatenate(parts).transpose(2, 0, 1, 3)  # tile, group, word, lane
        tables.append(lane_words(table.reshape(len(table), -1, lanes), lanes))
    return np.stack(tables)


def threshold_tiles(thresholds, low: int, bits: int, lanes: int) -> np.ndarray:
    """Thresholds (channels, steps) for `gxnor_steps`: (tiles, steps, bits, ...).

    Channels that do not exist, whose sums are 0, get code 0, which low..low + steps must hold.
    """
    thresholds = np.asarray(thresholds, np.int64)
    channels, steps = thresholds.shape
    half = 1 << (bits - 1)
    shifted = np.full((tile_count(channels, lanes) * lanes, steps), 2 * half - 1)
    shifted[:, :-low] = 0
    shifted[:channels] = np.clip(thresholds, -half, half - 1) + half
    planes = ~(shifted[..., None] >> np.arange(bits)) & 1  # channel, step, bit
    return lane_words(planes.reshape(-1, lanes, steps, bits).transpose(0, 2, 3, 1), lanes)


def ternary_tiles(thresholds, bits: int, lanes: int) -> np.ndarray:
    """Thresholds (channels, 2) for `gxnor_step`: (tiles, bits, 2, ...), the upper one first."""
    table = threshold_tiles(thresholds, -1, bits, lanes)
    return np.ascontiguousarray(np.moveaxis(table[:, ::-1], 1, 2))


def counter_bits(low, high, stages: int) -> int:
    """Planes of counters of sums low..high that are counted from `stages` different planes on.

    >>> counter_bits(-9, 9, 1), counter_bits(-9, 9, 3), counter_bits(-576, 576, 1)
    (8, 10, 11)
    """
    most = max(-int(low), int(high) + 1)
    return max(_LEAST_BITS + stages - 1, most.bit_length() + 1)


def levels(low, high) -> int:
    """Bits of the largest magnitude of codes low..high.

    >>> levels(-1, 1), levels(-128, 127), levels(0, 0)
    (1, 8, 1)
    """
    return max(1, max(-int(low), int(high)).bit_length())


def entry_step(lanes: int, places: int) -> int:
    """What an entry of a list counts between two groups: bytes, or groups if bytes would not fit."""
    if lanes > 32:
        return 1
    return lanes // 4 if places == 1 else 20


def most_groups(lanes: int, places: int) -> int:
    """How many groups of rows a list can tell apart, besides the one that adds nothing.

    >>> most_groups(32, 1), most_groups(32, 3)
    (8190, 3275)
    """
    return _MAX_ENTRY // entry_step(lanes, places) - 1


def chunk_words(pixel_words: int, pixel_rows: int) -> int:
    """Words of a dense layer's input that are listed at once: whole pixels, about 1,024 rows."""
    return pixel_words * max(1, _CHUNK_ROWS // pixel_rows)


def strip(out_width: int, stride: int, span: int, column: int, lanes: int, places: int) -> int:
    """How many output pixels in a row share their lists; 0 if not even one window fits.

    A strip lists anew the columns that its first window has in common with the one before: it is
    made so long that these are at most half as many as the others, which costs a few percent
    of the time and, with windows of one column, no more scratch than one pixel needs.

    Args:
        out_width: Output pixels in a row.
        stride: Input columns from one window to the next.
        span: Input columns under a window.
        column: Rows of weights that one input column meets.
        lanes: Channels in a tile.
        places: Rows in a group.
    """
    columns = most_groups(lanes, places) // groups.run(column, places)
    if columns < span:
        return 0
    wanted = max(1, -(-2 * (span - stride) // stride))
    return min(out_width, wanted, 1 + (columns - span) // stride)
