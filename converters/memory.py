"""Where things lie: the plan of the scratch buffer, and rows of weights as words.

Activations are packed channel last, `words_for(channels)` pairs {pos, neg} a pixel.
A row of weights has the very layout of the activations it meets, so that a sum of
products is one walk over two arrays, and flattening an image moves nothing.
"""

import dataclasses
import itertools

import numpy as np

from keras_gxnor.packing import bit_planes, words_for

_MAX_TRIED = 8  # overwriting stages tried both ways: 2^8 plans at most


@dataclasses.dataclass(frozen=True)
class Stage:
    """What one call needs, in 32-bit words: its output, and room it uses meanwhile.

    overwrites: `"never"`, `"may"` or `"must"`: whether the output replaces the input, and
        then is no larger.
    """

    output: int
    temporary: int = 0
    overwrites: str = "never"


@dataclasses.dataclass(frozen=True)
class Plan:
    """Word offsets into one scratch buffer of `words` words.

    input: Where the network's input may lie. outputs, temporaries: one offset a stage.
    """

    words: int
    input: int
    outputs: tuple[int, ...]
    temporaries: tuple[int, ...]


def plan(input_words: int, stages: list[Stage]) -> Plan:
    """Places the buffers of a chain of calls in one small scratch.

    Buffers alternate between the two ends of the scratch, so a call's input and output
    never overlap; its temporary lies between them. Tried are both ends for the input, and
    overwriting or not wherever a call may; the smallest plan wins. Without overwriting it
    is the greediest call's input + temporary + output, and no plan can be smaller.

    Args:
        input_words: Words of the network's input, which may lie in the scratch too.
        stages: The calls in order, each reading the output of the one before.

    Example:

    >>> plan(10, [Stage(4, 1), Stage(2)])
    Plan(words=15, input=0, outputs=(11, 0), temporaries=(10, 11))
    """
    free = [i for i, stage in enumerate(stages) if stage.overwrites == "may"][:_MAX_TRIED]
    must = {i for i, stage in enumerate(stages) if stage.overwrites == "must"}
    plans = []
    for choice in itertools.product((False, True), repeat=len(free)):
        overwriting = must | {i for i, chosen in zip(free, choice) if chosen}
        plans += [_place(input_words, stages, overwriting, low) for low in (True, False)]
    return min(plans, key=lambda candidate: candidate.words)


def _place(input_words, stages, overwriting, low) -> Plan:
    """The plan for one choice of overwriting stages; `low`: the input's end of the scratch."""
    held, total = input_words, input_words  # words from the end of the scratch in use
    places = [(low, input_words)]  # end, and distance of the buffer's start or end from it
    between = []  # (end, distance) of the temporaries
    for index, stage in enumerate(stages):
        fresh = 0 if index in overwriting else stage.output
        total = max(total, held + stage.temporary + fresh)
        between.append((low, held))
        if index in overwriting:
            held = min(held, stage.output) if low else held
        else:
            low, held = not low, stage.output
        places.append((low, held))
    starts = [0 if at_low else total - size for at_low, size in places]
    rooms = [
        size if at_low else total - size - stage.temporary
        for (at_low, size), stage in zip(between, stages)
    ]
    return Plan(total, starts[0], tuple(starts[1:]), tuple(rooms))


def pairs(trits: np.ndarray) -> np.ndarray:
    """Packs trits of shape (..., channels) to words (..., 2 * words), pos and neg in turn.

    Example:

    >>> pairs(np.array([1, -1, 0, 1]))
    array([9, 2], dtype=uint32)
    """
    planes = np.stack(bit_planes(trits), axis=-1)
    return planes.reshape(*planes.shape[:-2], -1)


def dense_rows(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Rows of a Dense on packed pixels of `channels` channels: uint32 (outputs, words).

    kernel: trits of shape (pixels * channels, outputs).
    """
    rows = kernel.T.reshape(kernel.shape[1], -1, channels)
    return pairs(rows).reshape(len(rows), -1)


def group_span(channels: int, groups: int) -> int:
    """Pairs a grouped convolution reads of a pixel: enough for the channels of any group."""
    size = channels // groups
    ends = [words_for((n + 1) * size) - n * size // 32 for n in range(groups)]
    return max(ends)


def conv_rows(kernel: np.ndarray, groups: int) -> np.ndarray:
    """Rows of a Conv2D on packed pixels: uint32 (filters, height * width * span * 2).

    kernel: trits of shape (height, width, channels / groups, filters). A group reads
    `group_span` pairs from the word its first channel lies in, or the last ones of the
    pixel; bits of other groups' channels are 0.
    """
    height, width, size, filters = kernel.shape
    span, total = group_span(size * groups, groups), words_for(size * groups)
    wide = np.zeros((filters, height, width, span * 32), np.int8)
    for group in range(groups):
        first = min(group * size // 32, total - span) * 32
        members = slice(group * filters // groups, (group + 1) * filters // groups)
        places = slice(group * size - first, (group + 1) * size - first)
        wide[members, ..., places] = kernel[..., members].transpose(3, 0, 1, 2)
    return pairs(wide).reshape(filters, -1)


def byte_rows(kernel: np.ndarray) -> np.ndarray:
    """Rows of a kernel (..., outputs) on bytes side by side: uint32 (outputs, words)."""
    return pairs(kernel.reshape(-1, kernel.shape[-1]).T)
