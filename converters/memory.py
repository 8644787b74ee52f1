"""Where buffers lie: the plan of the one scratch that all layers of a network share."""

import dataclasses

import numpy as np

_ORDERS = 200  # random orders tried, if the simple ones leave gaps


@dataclasses.dataclass(frozen=True)
class Buffer:
    """Words that are in use from one call to another.

    Args:
        size: 32-bit words.
        first, last: Indices of the calls that write it first and read it last; -1 is before
            the first call.
    """

    size: int
    first: int
    last: int

    def meets(self, other) -> bool:
        """Whether both are in use at once."""
        return self.first <= other.last and other.first <= self.last


@dataclasses.dataclass(frozen=True)
class Plan:
    """Word offsets, one a buffer, into a scratch of `words` words."""

    words: int
    offsets: tuple[int, ...]


def plan(buffers: list[Buffer]) -> Plan:
    """Places buffers so that those in use at once never overlap, in as few words as it finds.

    No plan is smaller than the largest sum of buffers in use at once (`least`); of a chain of layers
    that is reached, by giving input and output of a layer opposite ends of the scratch. Else
    buffers are placed one by one at the lowest free place: largest first, in the order of use, and
    in random orders (always the same ones).

    Example:

    >>> plan([Buffer(10, -1, 0), Buffer(1, 0, 0), Buffer(4, 0, 1), Buffer(2, 1, 1)]).words
    15
    """
    bound = least(buffers)
    found = _two_ends(buffers, bound)
    if found is not None:
        return found
    indices = range(len(buffers))
    plans = [
        _first_fit(buffers, sorted(indices, key=lambda i: -buffers[i].size)),
        _first_fit(buffers, sorted(indices, key=lambda i: buffers[i].first)),
    ]
    rng = np.random.default_rng(0)
    for _ in range(_ORDERS):
        best = min(plans, key=lambda candidate: candidate.words)
        if best.words == bound:
            break
        plans = [best, _first_fit(buffers, rng.permutation(len(buffers)).tolist())]
    return min(plans, key=lambda candidate: candidate.words)


def least(buffers) -> int:
    """The largest number of words in use at once."""
    return max(
        sum(b.size for b in buffers if b.first <= time <= b.last)
        for time in {buffer.first for buffer in buffers}
    )


def _two_ends(buffers, words) -> Plan | None:
    """Buffers in order of use, each at the low or the high end or between; None if one has no room."""
    offsets = {}
    high = False
    for index in sorted(range(len(buffers)), key=lambda i: (buffers[i].first, -buffers[i].last)):
        buffer = buffers[index]
        taken = [(offsets[i], buffers[i].size) for i in offsets if buffers[i].meets(buffer)]
        passing = buffer.last == buffer.first  # a temporary: between the others
        places = _free(taken, buffer.size, words)
        if not places:
            return None
        if passing:
            offsets[index] = places[0][0]
        else:
            offsets[index] = places[-1][1] if high else places[0][0]
            high = not high
    return Plan(words, tuple(offsets[i] for i in range(len(buffers))))


def _free(taken, size, words) -> list[tuple[int, int]]:
    """(lowest, highest) offsets of the gaps between `taken` that hold `size` words."""
    gaps, start = [], 0
    for offset, length in sorted(taken):
        if offset - start >= size:
            gaps.append((start, offset - size))
        start = max(start, offset + length)
    if words - start >= size:
        gaps.append((start, words - size))
    return gaps


def _first_fit(buffers, order) -> Plan:
    """Places the buffers in an order, each at the lowest place that is free all the time it is used."""
    offsets = {}
    for index in order:
        taken = [(offsets[i], buffers[i].size) for i in offsets if buffers[i].meets(buffers[index])]
        start = 0
        for offset, length in sorted(taken):
            if offset - start >= buffers[index].size:
                break
            start = max(start, offset + length)
        offsets[index] = start
    words = max(offsets[i] + buffers[i].size for i in offsets)
    return Plan(words, tuple(offsets[i] for i in range(len(buffers))))
