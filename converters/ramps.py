"""Steps of a ReLU as straight lines: S * 2^fraction divided by a slope, 32 channels side by side.

Batch normalization and a ReLU in 255 steps are, but for float32's roundings, a line: the sum that
reaches code k is ceil((k * slope + offset) / 2^fraction). The C code gets k by long division on bit
planes (`runtime/gxnor_ramp_word.h`). Slope and offset are chosen so that this is the smallest sum
that reaches k in Keras for every k that sums of the channel reach. Where a rounding has moved that
sum one up, an exception says so. All of it is compared with the true thresholds before it is used.
"""

import dataclasses

import numpy as np

from keras_gxnor.converters import planes

_SLOPE_BITS, _RECIPROCAL_BITS, _MOST_SHIFT = 22, 37, 30  # of gxnor_quantize
_MOST_FRACTION = 20  # bits; 255 steps need 16 for slopes, and roundings leave nothing to win beyond


@dataclasses.dataclass(frozen=True, eq=False)
class Ramp:
    """The lines of a layer.

    slope, offset: int64 (channels,), in units of 2^-fraction sums.
    exceptions: Sorted 256 * channel + code: the code needs a sum one larger than its line says.
    rest_bits: Planes of a remainder, two's complement. levels: The largest code.
    """

    fraction: int
    slope: np.ndarray
    offset: np.ndarray
    exceptions: np.ndarray
    rest_bits: int
    levels: int

    @property
    def code_bits(self) -> int:
        return int(self.levels).bit_length()

    @property
    def slope_bits(self) -> int:
        return max(1, int(self.slope.max()).bit_length())

    @property
    def cost(self) -> int:
        """Bytes in flash, about; that exceptions are looked for counts as one pass more over the planes."""
        passes = self.code_bits + (len(self.exceptions) > 0)
        return planes.words_for(len(self.slope)) * self.rest_bits * passes + 4 * len(self.exceptions)

    def members(self, bits: int) -> list[int]:
        """The struct gxnor_ramp, for counters of `bits` planes."""
        counts = [self.rest_bits, self.slope_bits, self.code_bits, self.levels, len(self.exceptions)]
        return [bits, self.fraction, *counts]

    def table(self, bits: int) -> np.ndarray:
        """uint32: for each word of 32 channels planes of first remainders and of slopes; then exceptions.

        Counters hold S + 2^(bits - 1). Channels that do not exist have code 0.
        """
        half, zero = 1 << (self.rest_bits - 1), 1 << (bits - 1 + self.fraction)
        count = len(self.slope)
        starts = np.full(planes.words_for(count) * planes.LANES, -1 - zero)
        slopes = np.zeros_like(starts)
        starts[:count] = -self.offset - (self.slope << (self.code_bits - 1)) - zero
        slopes[:count] = self.slope
        starts = (starts + half) % (2 * half) - half  # the counters bring it back into the range
        lines = planes.pack(starts, self.rest_bits), planes.pack(slopes, self.slope_bits + 1)[:, :-1]
        return np.concatenate([np.hstack(lines).reshape(-1), self.exceptions]).astype(np.uint32)

    def lines(self, low, high) -> np.ndarray | None:
        """The table of gxnor_quantize for sums `low` to `high`: uint32; None if its words cannot hold them.

        For each channel {start, phase, slope | shift << 24, 2^37 / slope}, slopes scaled to 22 bits;
        then the exceptions.
        """
        slope, offset, fraction = self._short()
        flat = slope == 0  # all codes from ceil(offset / 2^fraction) on
        start = np.clip(-(-(slope + offset) >> fraction), low, high + 1)
        phase = (start << fraction) - offset
        slope[flat], phase[flat] = 1, self.levels
        more = _SLOPE_BITS - np.array([int(value).bit_length() for value in slope])
        shift = np.where(flat, 0, fraction + more)
        if (more < 0).any() or (shift > _MOST_SHIFT).any():
            return None
        phase = np.clip(phase, 0, self.levels * slope) << more
        slope = slope << more
        table = np.stack([start, phase, slope | shift << 24, (1 << _RECIPROCAL_BITS) // slope], 1)
        return np.concatenate([table.reshape(-1), self.exceptions]).astype(np.uint32)

    def _short(self):
        """(slope, offset, fraction) of each channel: steep slopes without fractions that are 0."""
        slope, offset = self.slope.copy(), self.offset.copy()
        fraction = np.full(slope.shape, self.fraction)
        while (long := (slope >> _SLOPE_BITS > 0) & (fraction > 0) & ((slope | offset) & 1 == 0)).any():
            slope[long], offset[long] = slope[long] >> 1, offset[long] >> 1
            fraction[long] -= 1
        return slope, offset, fraction


def fit(steps, low, high, limits, bits: int, short: bool = False) -> Ramp | None:
    """The lines through thresholds; None if some channel's are no line.

    Args:
        steps: int64 (channels, levels): the smallest sum that reaches 1, 2, ...; beyond `limits` those
            are at its ends.
        low, high: int64 (channels,): the sums that there are.
        limits: (least, most), int64 (channels,): wider than low..high, so that it shows where lines go.
        bits: Planes of the counters.
        short: Whether the lines are for `Ramp.lines`: slopes of few bits.
    """
    wide = _Channels(steps, low, high, *limits)
    finest = wide.slopes()
    found = None
    longest = int(np.where(wide.few, 0, finest).max())
    for fraction in range(_MOST_FRACTION + 1):
        if short and longest >> (_MOST_FRACTION - fraction) >= (1 << _SLOPE_BITS) - 1:
            break
        ramp = wide.ramp(fraction, finest, bits)
        if ramp is not None and (found is None or ramp.cost < found.cost):
            found = ramp
        if found is not None and not found.exceptions.size:
            break  # finer ones only take more planes
    return found


class _Channels:
    """The thresholds of a layer, and lines near them."""

    def __init__(self, steps, low, high, least, most):
        self.steps, self.low, self.high = steps, low[:, None], high[:, None]
        self.codes = np.arange(1, steps.shape[1] + 1)
        self.true = np.clip(steps, self.low, self.high + 1)
        inside = (steps > self.low) & (steps <= self.high)
        self.seen = (steps > least[:, None]) & (steps <= most[:, None])
        self.always = (steps <= self.low).sum(1)
        self.few = inside.sum(1) < 2  # no line to be seen
        self.single = np.where(inside.any(1), inside.argmax(1), 0)

    def _offsets(self, fraction, slope):
        """(channels, levels): by how much thresholds lie above a line through 0."""
        return (self.steps << fraction) - slope[:, None] * self.codes

    def _spread(self, fraction, slope):
        above = self._offsets(fraction, slope)
        far = np.iinfo(np.int64).max // 2
        most, least = np.where(self.seen, above, -far).max(1), np.where(self.seen, above, far).min(1)
        return np.where(self.seen.any(1), most - least, 0)

    def slopes(self):
        """int64 (channels,): the slopes of the narrowest strips around all thresholds, by bisection."""
        least = np.zeros(len(self.steps), np.int64)
        most = least + ((np.abs(self.steps).max() + 1) << (_MOST_FRACTION + 1))
        while (least < most).any():
            middle = (least + most) >> 1
            rising = self._spread(_MOST_FRACTION, middle) <= self._spread(_MOST_FRACTION, middle + 1)
            least = np.where(rising, least, np.minimum(middle + 1, most))
            most = np.where(rising, middle, most)
        return least

    def ramp(self, fraction, finest, bits) -> Ramp | None:
        near = finest >> (_MOST_FRACTION - fraction)
        tries = np.stack([near, near + 1])
        spreads = np.stack([self._spread(fraction, slope) for slope in tries])
        slope = np.take_along_axis(tries, spreads.argmin(0)[None], 0)[0]
        reached = self.seen & (self.steps <= self.high)
        below = np.where(reached, self._offsets(fraction, slope), np.iinfo(np.int64).max).min(1)
        slope, offset = self._few(fraction, slope, below)
        line = -(-(slope[:, None] * self.codes + offset[:, None]) >> fraction)
        late = self.true - np.clip(line, self.low, self.high + 1)
        excepted = late == 1
        # A line one too low is mended where sums take it, if the code below has another.
        mended = (slope[:, None] >= 1 << fraction) & (line >= self.low)
        if (late < 0).any() or (late > 1).any() or (excepted & ~mended).any():
            return None
        channels, codes = np.nonzero(excepted)
        return Ramp(
            fraction,
            slope,
            offset,
            256 * channels + codes + 1,
            self._rest_bits(fraction, slope, offset, bits),
            self.codes.size,
        )

    def _few(self, fraction, slope, offset):
        """Lines of channels of at most one threshold: constant, or a step that no other code is near."""
        low, high, count = self.low[:, 0], self.high[:, 0], self.codes.size
        inside = self.true[np.arange(len(low)), self.single]
        single = self.few & (inside > low) & (inside <= high)
        steep = (high - low + 1) << fraction
        at = np.where(single, self.single + 1, self.always)
        place = np.where(single, inside, low)
        # No code after the last one, or before the first, has to be kept away.
        flat = np.where(single, count == 1, (self.always == 0) | (self.always == count))
        place = np.where(~single & (self.always == 0), high + 1, place)
        gap = np.where(flat, 0, steep)
        slope = np.where(self.few, gap, slope)
        return slope, np.where(self.few, (place << fraction) - at * gap, offset)

    def _rest_bits(self, fraction, slope, offset, bits):
        """Planes for all remainders: of the first sum less all slopes, and of the last sum."""
        all_codes = (1 << int(self.codes.size).bit_length()) - 1
        least = (self.low[:, 0] << fraction) - offset - all_codes * slope
        most = (self.high[:, 0] << fraction) - offset
        found = max(_signed_bits(least.min()), _signed_bits(most.max()))
        return max(found, bits + fraction + 1)


def _signed_bits(value) -> int:
    value = int(value)
    return (value if value >= 0 else ~value).bit_length() + 1
