"""The operations of a `Graph`, as frozen dataclasses. `reference.py` says what each computes."""

import dataclasses
import math

import numpy as np

from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.spaces import DiscreteSpace

_INPUT_RANGES = {"uint8": (0, 255), "int8": (-128, 127)}


@dataclasses.dataclass(frozen=True)
class InputSpec:
    """What the device feeds: integers q with Keras input = scale * (q - zero_point).

    Args:
        dtype: `"uint8"` or `"int8"`.
        scale: Positive finite float. A power of two (images: 1/128 with zero
            point 128) makes Keras' own float32 sums exact, so equality with
            Keras is provable; any other scale is exact among the back ends only.
        zero_point: Integer within the range of `dtype`: the q that means 0.

    Raises:
        InvalidArgumentError: if an argument is out of range.

    Example:

    >>> InputSpec(scale=1 / 128, zero_point=128).range
    (-128, 127)
    """

    dtype: str = "uint8"
    scale: float = 1 / 255
    zero_point: int = 0

    def __post_init__(self):
        if not isinstance(self.dtype, str) or self.dtype not in _INPUT_RANGES:
            raise InvalidArgumentError(
                f"`dtype` must be one of {sorted(_INPUT_RANGES)}. Received: dtype={self.dtype!r}"
            )
        scale = np.asarray(self.scale)
        if scale.ndim or scale.dtype.kind not in "iuf" or not 2.0**-64 < scale < 2.0**64:
            raise InvalidArgumentError(
                "`scale` must be a positive number that leaves float32 room (2^-64..2^64). "
                f"Received: scale={self.scale!r}"
            )
        low, high = _INPUT_RANGES[self.dtype]
        whole = isinstance(self.zero_point, (int, np.integer)) or (
            isinstance(self.zero_point, float) and self.zero_point.is_integer()
        )
        if not (whole and low <= self.zero_point <= high):
            raise InvalidArgumentError(
                f"`zero_point` must be an integer in {low}..{high} for {self.dtype} input "
                "(for images in [-1, 1] use scale=1/128, zero_point=128). "
                f"Received: zero_point={self.zero_point!r}"
            )
        object.__setattr__(self, "scale", float(self.scale))
        object.__setattr__(self, "zero_point", int(self.zero_point))

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest q - zero_point."""
        low, high = _INPUT_RANGES[self.dtype]
        return low - self.zero_point, high - self.zero_point

    @property
    def is_exact(self) -> bool:
        """Whether the scale is a power of two, so that Keras' float sums are exact."""
        return is_power_of_two(self.scale)


@dataclasses.dataclass(frozen=True, eq=False)
class Input:
    """The codes the device feeds, less the zero point: x = q - zero_point."""

    shape: tuple[int, ...]
    spec: InputSpec


@dataclasses.dataclass(frozen=True, eq=False)
class Dense:
    """acc[o] = sum_i x[i] kernel[i, o].

    kernel: int8 of shape (inputs, outputs).
    """

    kernel: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Conv2D:
    """Cross-correlation as in Keras, channels last; padding adds zeros.

    kernel: int8 of shape (height, width, channels / groups, filters).
    padding: `"valid"` or `"same"` (TensorFlow's rule, extra row at the end).
    """

    kernel: np.ndarray
    strides: tuple[int, int] = (1, 1)
    padding: str = "valid"
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclasses.dataclass(frozen=True, eq=False)
class MaxPool2D:
    """Largest value per channel and window; padding never wins."""

    pool_size: tuple[int, int]
    strides: tuple[int, int]
    padding: str = "valid"


@dataclasses.dataclass(frozen=True, eq=False)
class SumPool2D:
    """Sum per channel and window: average pooling less its division. Padding adds zeros."""

    pool_size: tuple[int, int]
    strides: tuple[int, int]
    padding: str = "valid"


@dataclasses.dataclass(frozen=True, eq=False)
class Pad2D:
    """Zeros around an image: ((top, bottom), (left, right))."""

    padding: tuple[tuple[int, int], tuple[int, int]]


@dataclasses.dataclass(frozen=True, eq=False)
class Add:
    """Sum of two or more inputs of one shape."""


@dataclasses.dataclass(frozen=True, eq=False)
class Concat:
    """Two or more inputs one after the other along the last axis."""


@dataclasses.dataclass(frozen=True, eq=False)
class Threshold:
    """y = the code of `space` whose index is the number of thresholds that s reaches.

    s = x, or -x in a flipped channel; x are accumulators or codes. For ternary: y = +1 if s >= t[1],
    0 if t[0] <= s < t[1], else -1.

    thresholds: int32 of shape (channels, space.num_states - 1), ascending in a row.
    flipped: bool of shape (channels,).
    """

    thresholds: np.ndarray
    flipped: np.ndarray
    space: DiscreteSpace


@dataclasses.dataclass(frozen=True, eq=False)
class Sign:
    """y = signs[channel] * x; signs: int8 of shape (channels,), +1 or -1."""

    signs: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Lookup:
    """y = table[x], a row for every code of the input (an embedding); below 0 the first, beyond all the last.

    table: int8 of shape (rows, channels).
    """

    table: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Flatten:
    """All values in one axis, row-major (channel fastest)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Reshape:
    """The same values, row-major, in another `shape` (without the batch axis)."""

    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Divide:
    """y = float32(x) / divisor, rounded once: the division of an average, as Keras does it.

    divisor: Positive integer below 2^24.
    """

    divisor: int


@dataclasses.dataclass(frozen=True, eq=False)
class Affine:
    """y = float32(x) * scale + offset: one float32 product, then one float32 sum.

    scale, offset: float32 of shape (channels,).
    """

    scale: np.ndarray
    offset: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Quantize:
    """y = clip(floor(float32(x * gain) + 0.5), 0, levels): floats to codes 0..levels, halves up.

    x is what Affine or Divide made, in float32. This is a ReLU in `levels` steps; the product is
    exact, the sum with 0.5 is rounded once.

    gain: Codes a unit of x, a power of two.
    levels: The largest code, 1..255.
    """

    gain: float
    levels: int = 255


Op = (
    Input | Dense | Conv2D | MaxPool2D | SumPool2D | Pad2D | Add | Concat | Threshold | Sign | Lookup
    | Flatten | Reshape | Divide | Affine | Quantize
)


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """An operation, a unique name, and the indices of the nodes it reads."""

    name: str
    op: Op
    inputs: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class TensorType:
    """What `Graph.check` proves of a node's output.

    shape: without the batch axis. kind: "code", "accumulator" or "float".
    low, high: int64 of shape (channels,), the bounds of the last axis ("float": empty).
    """

    shape: tuple[int, ...]
    kind: str
    low: np.ndarray
    high: np.ndarray


def is_power_of_two(scale: float) -> bool:
    """Whether a positive float is 2^k: then float32 sums of codes times it are exact."""
    return math.frexp(scale)[0] == 0.5
