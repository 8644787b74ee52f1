"""How much the layers that are counted in tiles have to do: see `workload`."""

import functools

import numpy as np

_BATCH, _CARRIES = 8, 16  # rows that become one carry, carries that are added to the counters at once
_LOW_PLANES = 4  # of the counters; those a batch is added to


def covered(n) -> tuple[np.ndarray, np.ndarray]:
    """For each row of the output and each column, how many rows or columns of its window lie in the image."""
    made = []
    for axis, size, pad in (("y", "height", "pad_top"), ("x", "width", "pad_left")):
        starts = np.arange(n[f"out_{size}"])[:, None] * n[f"stride_{axis}"] - n[pad]
        places = starts + np.arange(n[size]) * n[f"dilation_{axis}"]
        made.append(((places >= 0) & (places < n[f"in_{size}"])).sum(1))
    return made[0], made[1]


def pixels(n) -> int:
    """Of the output."""
    return n["out_height"] * n["out_width"]


@functools.cache
def _chances(rows, share) -> np.ndarray:
    """The chance of each number of rows, 0 to `rows`, if each is listed with the chance `share`."""
    share = min(max(share, 1e-9), 1 - 1e-9)
    count = np.arange(rows + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, rows + 1)))])
    logs = factorials[-1] - factorials - factorials[::-1] + count * np.log(share)
    return np.exp(logs + (rows - count) * np.log1p(-share))


@functools.cache
def _one_pass(rows, plus, minus) -> tuple[float, float, float]:
    """Expected (batches of eight rows, additions of carries, batches that are filled up) of one list."""
    batches, filled = [], 0.0
    for share in (plus, minus):
        chances, count = _chances(rows, share), np.arange(rows + 1)
        batches.append(np.bincount(-(-count // _BATCH), chances))
        filled += chances[count % _BATCH > 0].sum()
    both = np.convolve(*batches)
    count = np.arange(len(both))
    return float(count @ both), float(-(-count // _CARRIES) @ both), float(filled)


def _passes(n, lists, shares, starts) -> dict:
    """Rows added to tiles. lists: {rows in a list: lists}; starts: how many lists set the counters first."""
    tiles, bits, digits = n["tiles"], n["bits"], n["digits"]
    runs = sum(lists.values()) * len(shares) * digits
    batches = carries = filled = 0.0
    for rows, count in lists.items():
        for plus, minus in shares:
            found = np.array(_one_pass(rows, plus, minus)) * count * digits
            batches, carries, filled = batches + found[0], carries + found[1], filled + found[2]
    return {
        "list": runs,
        "list filled up": filled,
        "tile": runs * tiles,
        "tile filled up": filled * tiles,
        "plane set": starts * tiles * bits,
        "plane offset": (runs - starts) * tiles * bits,
        "batch": batches * tiles,
        "carries": carries * tiles,
        "carry missing": (_CARRIES * carries - batches) * tiles,
        "carries, high plane": carries * tiles * (bits - 2 * _LOW_PLANES),
    }


def _listed(words, values, shares) -> dict:
    """Words of 32 channels listed, once for every bit of the magnitudes."""
    return {
        "word": words * len(shares),
        "word, higher bit": words * len(shares) * (len(shares) - 1) / 2,
        "entry": values * sum(plus + minus for plus, minus in shares),
    }


def _ended(n, call, pixels, outputs) -> dict:
    """What is made of the counters: a ternary step, one of many states, or sums."""
    tiles, bits = pixels * n["tiles"], n["bits"]
    if call.made.form == "sums":
        return {"sum": pixels * outputs, "sum, bit": pixels * outputs * bits}
    if "slope_bits" in n:
        return ramp(n, pixels * -(-outputs // 32))
    if "steps" not in n:
        return {"step": tiles, "step, plane": tiles * bits}
    steps, planes = n["steps"], call.made.planes
    return {
        "steps": tiles,
        "steps, plane": tiles * steps * bits,
        "steps, code": tiles * (steps + 2) * planes,
    }


def ramp(n, words) -> dict:
    """Long division by slopes of words of 32 channels."""
    rest, slope, bits = n["rest_bits"], n["slope_bits"], n["code_bits"]
    added = rest - n["fraction"] + sum(rest - bit for bit in range(bits - 1))
    return {
        "ramp": words,
        "ramp, start": words * rest,
        "ramp, plane": words * added,
        "ramp, slope": words * (n["sum_bits"] + (bits - 1) * slope),
        "ramp, mended": words * rest * (n["exceptions"] > 0),
        "ramp, clipped": words * bits * (n["top"] + 1 < 1 << bits),
    }


def conv(n, call, source, shares) -> dict:
    """A convolution: strips of the input are listed, then the rows under each window added."""
    rows, columns = covered(n)
    strips = n["out_height"] * -(-n["out_width"] // n["strip"])
    span = (n["width"] - 1) * n["dilation_x"] + 1
    lists, listed, seen = {}, 0, 0
    for x in range(0, n["out_width"], n["strip"]):
        first = x * n["stride_x"] - n["pad_left"]
        seen += sum(0 <= column < n["in_width"] for column in range(first, first + n["columns"]))
    listed = int(rows.sum()) * seen  # rows of columns
    whole = n["dilation_x"] == 1
    for high, many in zip(*np.unique(rows, return_counts=True)):
        for wide, some in zip(*np.unique(columns, return_counts=True)):
            count = int(many * some)
            for size, times in ((wide, 1),) if whole else ((1, wide), (0, n["width"] - wide)):
                key = int(high * size) * n["channels"]
                lists[key] = lists.get(key, 0) + count * int(times)
    count_out = pixels(n)
    return {
        "strip": strips * len(shares),
        "strip, column": strips * n["columns"] * len(shares),
        "strip, column read": n["out_height"] * seen * len(shares),
        "strip, row read": listed * len(shares),
        **_listed(listed * n["words"], listed * n["channels"], shares),
        "pixel": count_out,
        "span": count_out * span,
        **_passes(n, {rows: count for rows, count in lists.items() if count}, shares, count_out),
        **_ended(n, call, count_out, n["filters"]),
    }


def dense(n, call, source, shares) -> dict:
    """A dense layer: its input is listed in chunks, and the rows of each added."""
    chunks = -(-n["words"] // n["chunk"])
    last = n["words"] - (chunks - 1) * n["chunk"]
    whole = n["chunk"] // n["pixel_words"] * n["pixel_rows"]
    rest = source.pixels * source.channels - (chunks - 1) * whole
    lists = {rest: 1}
    if chunks > 1:
        lists[whole] = lists.get(whole, 0) + chunks - 1
    assert 0 < last <= n["chunk"] and 0 < rest <= whole
    return {
        **_listed(n["words"] * n["digits"], source.pixels * source.channels * n["digits"], shares),
        "pixel listed": n["words"] // n["pixel_words"] * n["digits"] * len(shares),
        **_passes(n, lists, shares, 1),
        **_ended(n, call, 1, n["outputs"]),
    }
