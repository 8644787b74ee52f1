"""Rows of weights in groups: 2 bits a weight, or three rows in five words, 1.67 bits a weight.

A group holds one weight of each of `places` rows for every output channel of a tile. The rows of a
column lie side by side: the first `run` of them in the first places of its groups, and so on. How a
group is read says `runtime/gxnor_add_row.h`.
"""

import itertools

import numpy as np

PLACES = {"2bit": 1, "1.67bit": 3}  # option `weights` -> rows in a group


def run(rows: int, places: int) -> int:
    """How many groups hold `rows` rows.

    >>> run(64, 1), run(64, 3)
    (64, 22)
    """
    return -(-rows // places)


def decode(words) -> tuple[int, int, int]:
    """The weights of three rows in one lane, from its bits of the five words of a group.

    >>> decode((0, 0, 0, 0, 0)), decode((1, 0, 0, 0, 1))
    ((-1, -1, -1), (1, -1, 1))
    """
    a, p, b, q, c = map(bool, words)
    zeros = p and (b or not q), q and (c or p), p != ((p or q) and (a or not c))
    return tuple(0 if zero else 2 * plus - 1 for zero, plus in zip(zeros, (a, b, c)))


def _codes() -> np.ndarray:
    """bool (3, 3, 3, 5): the words for each of 27 triples, of several codes the lowest."""
    table = np.zeros((3, 3, 3, 5), bool)
    for words in reversed(list(itertools.product((0, 1), repeat=5))):
        table[tuple(w + 1 for w in decode(words))] = words
    return table


_CODES = _codes()


def bits(trits: np.ndarray, places: int) -> np.ndarray:
    """The rows of a column as groups, a bit for each lane and word.

    Args:
        trits: Of shape (rows, ...); rows that a last group lacks are 0.
        places: Rows in a group, 1 or 3.

    Returns:
        bool of shape (groups, 2, ...) or (groups, 5, ...).

    >>> bits(np.array([[1], [0], [-1]]), 1)[..., 0].astype(int).tolist()
    [[1, 0], [0, 1], [0, 0]]
    """
    if places == 1:
        return np.stack([trits == 1, trits == 0], axis=1)
    groups = run(len(trits), places)
    whole = np.zeros((places * groups, *trits.shape[1:]), np.int64)
    whole[: len(trits)] = trits
    a, b, c = whole.reshape(places, groups, *trits.shape[1:]) + 1
    return np.moveaxis(_CODES[a, b, c], -1, 1)
