"""Discrete spaces: the numbers that weights and activations may take.

Z_N = { n / 2^(N-1) - 1 : n = 0 .. 2^N }, spread over [-H, H] (Deng et al.
2018, section 2.1). N = 0 is binary {-1, 1}, N = 1 ternary {-1, 0, 1}. A state
is stored as an int8 *code* k; its value is k * scale. `GradedSpace` is a kernel's 8-bit
hidden state that the network reads as ternary, `IntegerSpace` a kernel of 3- to 8-bit integers.
"""

import dataclasses
import math

import numpy as np

from keras_gxnor.errors import InvalidArgumentError

_NAMES = {"binary": 0, "ternary": 1, **{f"z{n}": n for n in range(8)}}
_INTEGERS = {f"int{bits}": bits for bits in range(3, 9)}
MAX_ORDER = 7  # 2^(N-1) = 64: the largest code range that int8 holds symmetrically


class _States:
    """What is common to spaces: `codes()` lists the states, `scale` is a code's value."""

    @property
    def num_states(self) -> int:
        """Number of states: for Z_N 2^N + 1, and 2 for binary."""
        return len(self.codes())

    @property
    def step(self) -> float:
        """dz, the distance of neighbouring values."""
        return self.scale * self.code_step

    @property
    def readout(self):
        """The space the network computes with: this one."""
        return self

    def read(self, codes) -> np.ndarray:
        """Codes of `readout` for `codes`: the same."""
        return np.asarray(codes)

    def codes(self) -> np.ndarray:
        """All codes, ascending, int8 of shape (num_states,)."""
        return np.arange(-self.max_code, self.max_code + 1, self.code_step, dtype=np.int8)

    def values(self) -> np.ndarray:
        """All values, ascending, float32 of shape (num_states,)."""
        return self.codes().astype(np.float32) * np.float32(self.scale)

    def contains(self, codes) -> bool:
        """Whether every element of `codes` (any shape or dtype) is a code of the space."""
        array = np.asarray(codes)
        if array.dtype.kind not in "biuf":
            return False
        return bool(np.isin(array, self.codes()).all())

    def check_codes(self, codes, what: str) -> np.ndarray:
        """Returns `codes` as int8, or raises an error that names `what`.

        Raises:
            InvalidArgumentError: if a value is not a code of the space.
        """
        array = np.asarray(codes)
        if not self.contains(array):
            odd = array[~np.isin(array, self.codes())] if array.dtype.kind in "biuf" else array
            raise InvalidArgumentError(
                f"{what} must hold only codes of the {serialize(self)} space "
                f"({self.codes().min()}..{self.codes().max()} in steps of {self.code_step}). "
                f"Received: {odd.size} other value(s), the first {odd.flat[0]!r}. (Float weights "
                "cannot be copied into a discrete kernel; train it with DSTOptimizer.)"
            )
        return array.astype(np.int8)


@dataclasses.dataclass(frozen=True)
class DiscreteSpace(_States):
    """The discrete space Z_N on [-H, H].

    Args:
        order: Integer N in 0..7. 0 is binary, 1 ternary, N has 2^N + 1 states.
        half_range: Positive finite float H, the largest value.

    Raises:
        InvalidArgumentError: if either is out of range.

    Example:

    >>> DiscreteSpace(2).values()
    array([-1. , -0.5,  0. ,  0.5,  1. ], dtype=float32)
    """

    order: int = 1
    half_range: float = 1.0

    def __post_init__(self):
        if isinstance(self.order, bool) or self.order not in range(MAX_ORDER + 1):
            raise InvalidArgumentError(
                f"`order` must be an integer in 0..{MAX_ORDER}. Received: order={self.order!r}"
            )
        _check_half_range(self)

    @property
    def max_code(self) -> int:
        """The largest code: 2^(N-1), and 1 for binary."""
        return 1 << max(self.order - 1, 0)

    @property
    def code_step(self) -> int:
        """Distance of neighbouring codes: 1, and 2 for binary."""
        return 2 if self.order == 0 else 1

    @property
    def scale(self) -> float:
        """Value of one code unit: value = code * scale."""
        return self.half_range / self.max_code


@dataclasses.dataclass(frozen=True)
class IntegerSpace(_States):
    """Symmetric integers of 3 to 8 bits: k / 2^(bits - 1) * half_range, |k| < 2^(bits - 1).

    A kernel of 8-bit weights, for the first or the last layer of a network whose other kernels
    are ternary. No code is -2^(bits - 1), so that every kernel can be negated. With a half range
    that is a power of two so is the scale, and the float32 sums of Keras are exact. A last layer
    without batch normalization after it trains better with a small one, such as 0.25: its logits
    begin smaller.

    Args:
        bits: Integer in 3..8.
        half_range: Positive finite float; all values lie within (-half_range, half_range).

    Raises:
        InvalidArgumentError: if either is out of range.

    Example:

    >>> IntegerSpace(3).values()
    array([-0.75, -0.5 , -0.25,  0.  ,  0.25,  0.5 ,  0.75], dtype=float32)
    """

    bits: int = 8
    half_range: float = 1.0
    code_step = 1

    def __post_init__(self):
        if isinstance(self.bits, bool) or self.bits not in _INTEGERS.values():
            raise InvalidArgumentError(
                f"`bits` must be an integer in 3..8. Received: bits={self.bits!r}"
            )
        _check_half_range(self)

    @property
    def max_code(self) -> int:
        """The largest code: 2^(bits - 1) - 1."""
        return (1 << (self.bits - 1)) - 1

    @property
    def scale(self) -> float:
        """Value of one code unit: value = code * scale."""
        return self.half_range / (1 << (self.bits - 1))


@dataclasses.dataclass(frozen=True)
class GradedSpace(_States):
    """255 int8 states, read as ternary: an 8-bit hidden state of a kernel.

    A state h in -127..127 is read as sign(h) if |h| > threshold, else 0. The states move by
    the same stochastic transitions as any discrete space, on a grid of step 1/127, and need
    no optimizer slots. There is no full-precision weight, but the stored state is not the
    weight either: it remembers how far a weight is from changing. Deng et al. 2018 have no
    such space. Exported, the kernel is ternary and nothing else.

    Args:
        threshold: Integer in 0..126.

    Raises:
        InvalidArgumentError: if it is not.

    Example:

    >>> GradedSpace().read([-127, -42, 0, 43])
    array([-1,  0,  0,  1], dtype=int8)
    """

    threshold: int = 42
    max_code = 127
    code_step = 1
    scale = 1 / 127

    def __post_init__(self):
        if isinstance(self.threshold, bool) or self.threshold not in range(self.max_code):
            raise InvalidArgumentError(
                f"`threshold` must be an integer in 0..126. Received: threshold={self.threshold!r}"
            )

    @property
    def readout(self) -> DiscreteSpace:
        """The space the network computes with: ternary."""
        return DiscreteSpace(1)

    def read(self, codes) -> np.ndarray:
        """Ternary codes (int8) for states of any shape."""
        states = np.asarray(codes).astype(np.int16)
        return (np.sign(states) * (np.abs(states) > self.threshold)).astype(np.int8)


def _check_half_range(space):
    if not (math.isfinite(space.half_range) and space.half_range > 0):
        raise InvalidArgumentError(
            f"`half_range` must be a positive finite number. Received: half_range={space.half_range!r}"
        )
    object.__setattr__(space, "half_range", float(space.half_range))


def names() -> tuple[str, ...]:
    """The names of the spaces Z_N that `get` understands."""
    return tuple(_NAMES)


def get(identifier) -> DiscreteSpace | GradedSpace | IntegerSpace:
    """Returns the space that `identifier` names.

    Args:
        identifier: A `DiscreteSpace`, a `GradedSpace`, an `IntegerSpace`, `"binary"`, `"ternary"`,
            `"z0"`..`"z7"`, `"graded"`, `"int3"`..`"int8"`, or a dict with `order` and
            `half_range`, with `threshold`, or with `bits` and `half_range`.

    Raises:
        InvalidArgumentError: if it names no space.

    Example:

    >>> get("ternary").num_states
    3
    """
    if isinstance(identifier, (DiscreteSpace, GradedSpace, IntegerSpace)):
        return identifier
    if isinstance(identifier, str) and identifier in _NAMES:
        return DiscreteSpace(_NAMES[identifier])
    if isinstance(identifier, str) and identifier in _INTEGERS:
        return IntegerSpace(_INTEGERS[identifier])
    if isinstance(identifier, str) and identifier == "graded":
        return GradedSpace()
    if isinstance(identifier, dict) and set(identifier) == {"threshold"}:
        return GradedSpace(**identifier)
    if isinstance(identifier, dict) and set(identifier) <= {"order", "half_range"}:
        return DiscreteSpace(**identifier)
    if isinstance(identifier, dict) and set(identifier) <= {"bits", "half_range"}:
        return IntegerSpace(**identifier)
    raise InvalidArgumentError(
        f"A discrete space must be one of {[*sorted(_NAMES), 'graded', *_INTEGERS]}, a DiscreteSpace, a "
        "GradedSpace, an IntegerSpace, or a dict with `order` and `half_range`, with `threshold`, or "
        f"with `bits` and `half_range`. Received: {identifier!r}"
    )


def serialize(space: DiscreteSpace | GradedSpace | IntegerSpace):
    """The name of a space, or a dict when it is not the usual one; inverse of `get`."""
    if isinstance(space, GradedSpace):
        return "graded" if space == GradedSpace() else {"threshold": space.threshold}
    if isinstance(space, IntegerSpace):
        usual = space.half_range == 1.0
        return f"int{space.bits}" if usual else {"bits": space.bits, "half_range": space.half_range}
    if space.half_range == 1.0:
        return {0: "binary", 1: "ternary"}.get(space.order, f"z{space.order}")
    return {"order": space.order, "half_range": space.half_range}
