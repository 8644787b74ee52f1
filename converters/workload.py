"""How much a call of the C runtime has to do: words listed, rows added, planes stepped, pixels.

A call is asked for its own numbers, by the names that its arguments and the members of its struct have in
`runtime/`; which kernel serves a layer is not known here. What depends on the values is an expected number:
activations are taken for independent, each positive or negative with the probability that its layer has.
"""

import functools
import pathlib
import re

import numpy as np

from keras_gxnor.converters import workload_tiles as tiles
from keras_gxnor.converters.c_calls import Call, Value

_RUNTIME = pathlib.Path(__file__).resolve().parent / "runtime"


def work(call: Call, source: Value | None, shares, alone: bool = False) -> dict[str, float]:
    """{piece of work: how often the call does it}.

    Args:
        call: One of a `Program`.
        source: The (first) value that it reads.
        shares: For each bit of the magnitudes of the source's codes, from the lowest: (share of its values
            that are positive and have it, share that are negative and have it).
        alone: Whether the program has no other call of this kernel. Compilers make a function of one
            call part of its caller, its arguments known; in any other each piece has an extra one,
            `"..., shared"`.

    Raises:
        KeyError: if the kernel is not in `known()`.

    Example:

    >>> from keras_gxnor.converters.c_calls import Place
    >>> logits = Value("float", -1, None, "logits", 1, 10)
    >>> arguments = Place(0, "int32_t *"), 10, Place(-1, "float *")
    >>> call = Call("float1", "", "gxnor_to_float", arguments, (), logits)
    >>> work(call, None, (), alone=True)
    {'gxnor_to_float': 1.0, 'float': 10.0}
    """
    n = _numbers(call)
    made = {call.kernel: 1} | _WORK[call.kernel](n, call, source, tuple(shares))
    made = {piece: float(count) for piece, count in made.items() if count}
    return made if alone else made | {f"{piece}, shared": count for piece, count in made.items()}


def known() -> set[str]:
    """The kernels that `work` knows."""
    return set(_WORK)


def _numbers(call) -> dict[str, int]:
    """The numbers among a call's arguments and in its struct, which goes first."""
    named = zip(_parameters(call.kernel), call.arguments)
    found = {name: value for name, value in named if isinstance(value, (int, np.integer))}
    for table in call.tables:
        if isinstance(table.values, str):
            found |= zip(_members(table.ctype), map(int, re.findall(r"-?\d+", table.values)))
    return found


@functools.cache
def _parameters(kernel) -> list[str]:
    """The names of a function's parameters."""
    text = (_RUNTIME / f"{kernel}.h").read_text(encoding="ascii")
    inside = re.search(rf"static void {kernel}\(([^)]*)\)", text)[1]
    return [re.findall(r"\w+", part)[-1] for part in inside.split(",")]


@functools.cache
def _members(name) -> list[str]:
    """The names of a struct's members, with those of structs in it."""
    texts = (path.read_text(encoding="ascii") for path in sorted(_RUNTIME.glob("*.h")))
    body = next(filter(None, (re.search(rf"typedef struct {{([^}}]*)}} {name};", text) for text in texts)))[1]
    found = []
    for kind, names in re.findall(r"(\w+) ([\w, ]+);", body):
        found += _members(kind) if kind.startswith("gxnor") else re.findall(r"\w+", names)
    return found


def _first(n, call, source, shares):
    """Two output pixels, one above the other, at once; tables of 27 sums for three taps of a column."""
    pairs = -(-n["out_height"] // 2)
    fresh = n["width"]
    if n["dilation_x"] == 1:
        fresh = min(fresh, n["stride_x"])
    columns = pairs * (n["width"] + (n["out_width"] - 1) * fresh)
    pixels, blocks = pairs * n["out_width"], -(-n["filters"] // 8)
    # Where all pairs are whole and all windows within the image, compilers see that no mask is needed.
    rows, across = tiles.covered(n)
    edges = n["out_height"] % 2 or (rows < n["height"]).any() or (across < n["width"]).any()
    return {
        "first, pixel at edges": pixels * bool(edges),
        "first, block at edges": pixels * blocks * bool(edges),
        "first, pixel": pixels,
        "first, column": columns,
        "first, row": columns * n["height"],
        "first, byte": columns * n["height"] * n["channels"],
        "first, table": columns * n["groups"],
        "first, block": pixels * blocks,
        "first, group": pixels * blocks * n["width"] * n["groups"],
        "first, word": pixels * -(-n["filters"] // 32),
    }


def _products(n, call, source, shares):
    """Products of bytes and weights, four filters at once, then the step of the pixel."""
    count, fours = tiles.pixels(n), tiles.pixels(n) * -(-n["filters"] // 4)
    made = {"bytes, pixel": count, "bytes, place": count * n["height"] * n["width"]}
    made |= {"bytes, tap": count * n["taps"], "bytes, sums": fours, "bytes, products": fours * n["taps"]}
    return made | _ended(n)


def _tables(n, call, source, shares):
    """Tables of 27 sums for three taps of two pixels, eight filters at once, then the step."""
    pairs = -(-tiles.pixels(n) // 2)
    tables, blocks = pairs * n["segments"] * n["groups"], n["room"] // 8
    made = {
        "tables, pair": pairs,
        "tables, place": pairs * n["height"] * n["width"],
        "tables, byte": pairs * n["height"] * n["width"] * n["channels"],
        "tables, sum": 2 * pairs * n["room"],
        "tables, table": tables,
        "tables, block": pairs * n["segments"] * blocks,
        "tables, group": tables * blocks,
    }
    return made | _ended(n)


def _depthwise_bytes(n, call, source, shares):
    """Products of bytes and weights of depthwise windows, then the step of the pixel."""
    rows, columns = tiles.covered(n)
    inside = int(rows.sum() * columns.sum())
    made = {"depthwise of bytes, pixel": tiles.pixels(n), "depthwise of bytes, place": inside}
    made |= {"depthwise of bytes, outside": tiles.pixels(n) * n["height"] * n["width"] - inside}
    made |= {"depthwise of bytes, sum": tiles.pixels(n) * n["channels"]}
    return made | {"depthwise of bytes, product": inside * n["channels"]} | _ended(n)


def _ended(n) -> dict:
    """What is made of the sums of bytes: a ReLU in steps, or thresholds."""
    pixels = tiles.pixels(n)
    if "top" in n:
        return {"quantize": pixels, "quantize, sum": pixels * n["filters"]}
    words = pixels * -(-n["filters"] // 32)
    made = {"number sliced": pixels * n["filters"], "word sliced": words}
    return made | {"bytes, step": words * n["steps"] * n["bits"], "bytes, code": words * n["planes"]}


def _dense_bytes(n, call, source, shares):
    return {"dense of bytes": n["outputs"], "dense of bytes, product": n["outputs"] * n["size"]}


def _dot(n, call, source, shares):
    words = n["outputs"] * n["words"]
    if "planes" not in n:
        return {"dot": n["outputs"], "dot, word": words}
    planes = words * n["planes"]
    return {
        "codes' dot": n["outputs"],
        "codes' dot, word": words,
        "codes' dot, plane": planes,
        "codes' dot, digit": planes * n["digits"],
    }


def _conv_codes(n, call, source, shares):
    pixels, outputs = tiles.pixels(n), tiles.pixels(n) * n["filters"]
    groups = n["filters"] // n["group_filters"]
    places = pixels * groups * n["height"] * n["width"]
    made = _dot({**n, "outputs": outputs, "words": n["row"]}, call, source, shares)
    made |= {"gather, place": places, "gather, word": places * n["take"], "codes' pixel": pixels}
    if "slope_bits" in n:
        words = pixels * -(-n["filters"] // 32)
        made |= {"number sliced": outputs, "word sliced": words} | tiles.ramp(n, words)
    elif call.made.form == "codes":
        made |= {"number stepped": outputs, "number stepped, limit": outputs * n["steps"]}
        made |= {"number stepped, plane": outputs * call.made.planes}
    return made


def _depthwise_trits(n, call, source, shares):
    rows, columns = tiles.covered(n)
    pixels = tiles.pixels(n)
    return {
        "trits, row of pixels": n["out_height"],
        "trits, pixel": pixels,
        "trits, word": pixels * n["words"],
        "trits, row": int(rows.sum()) * n["out_width"] * n["words"],
        "trits, place": int(rows.sum() * columns.sum()) * n["words"],
    }


def _depthwise(n, call, source, shares):
    words = tiles.pixels(n) * n["words"]
    places = words * n["height"] * n["width"]
    steps, planes = n.get("steps", 2), call.made.planes
    made = {
        "word": words,
        "place": places,
        "digit": places * n["digits"],
        "plane read": places * n["digits"] * n["planes"],
        "plane": places * n["digits"] * n["bits"],
        "step": words * steps * n["bits"] * ("slope_bits" not in n),
    }
    if "steps" in n:
        made["code"] = words * (steps + 1) * planes
    if call.kernel == "gxnor_depthwise_codes":
        made |= {"step": 0, "kept": words * planes}
    kind = "depthwise" if n["words"] > 1 else "depthwise of one word"  # whose tables compilers know
    made = {f"{kind}, {piece}": count for piece, count in made.items()}
    return made | (tiles.ramp(n, words) if "slope_bits" in n else {})


def _maxpool(n, call, source, shares):
    rows, columns = tiles.covered(n)
    pixels = tiles.pixels(n)
    made = {"maximum, row of pixels": n["out_height"], "maximum, pixel": pixels}
    if max(n["height"], n["width"]) <= 2:
        return {**made, "maximum, 2x2": pixels * n["words"]}
    lines = int(rows.sum()) * n["out_width"] * n["words"]
    places = int(rows.sum() * columns.sum()) * n["words"]
    return {**made, "maximum, word": pixels * n["words"], "maximum, row": lines, "maximum, place": places}


def _maxpool_codes(n, call, source, shares):
    rows, columns = tiles.covered(n)
    places = int(rows.sum() * columns.sum())
    return {
        "codes' maximum, place": tiles.pixels(n) * n["height"] * n["width"],
        "codes' maximum, word": places * n["words"],
        "codes' maximum, plane": places * n["words"] * n["planes"],
    }


def _maxpool_sums(n, call, source, shares):
    sums = tiles.pixels(n) * n["channels"]
    return {"largest sum": sums, "largest sum, place": sums * n["height"] * n["width"]}


def _sumpool(n, call, source, shares):
    places = tiles.pixels(n) * n["height"] * n["width"]
    return {
        "sumpool, pixel": tiles.pixels(n),
        "sumpool, place": places,
        "sumpool, word": places * n["words"],
        "sumpool, plane read": places * n["words"] * n["in_planes"],
        "sumpool, plane": places * n["words"] * n["planes"],
    }


def _pad(n, call, source, shares):
    pixels = n["out_height"] * n["out_width"]
    return {"pad, pixel": pixels, "pad, word": pixels * n["group"]}


def _slice(n, call, source, shares):
    values = n["pixels"] * n["channels"]
    words = n["pixels"] * -(-n["channels"] // 32)
    return {
        "slice, pixel": n["pixels"],
        "slice": values,
        "slice, plane": (values - words) * n["planes"],
        "slice, word": words * n["planes"],
    }


def _slice_bytes(n, call, source, shares):
    eights = n["pixels"] * -(-n["channels"] // 8)
    return {
        "bytes sliced, pixel": n["pixels"],
        "bytes sliced, eight": eights,
        "bytes sliced": n["pixels"] * n["channels"],
        "bytes sliced, plane": eights * n["planes"],
    }


def _unslice_bytes(n, call, source, shares):
    return {
        "bytes unsliced, pixel": n["pixels"],
        "bytes unsliced, eight": n["pixels"] * -(-n["channels"] // 8),
        "bytes unsliced": n["pixels"] * n["channels"],
    }


def _maxpool_bytes(n, call, source, shares):
    places = tiles.pixels(n) * n["height"] * n["width"]
    return {
        "bytes' maximum, pixel": tiles.pixels(n),
        "bytes' maximum, place": places,
        "bytes' maximum": places * n["channels"],
    }


def _unslice(n, call, source, shares):
    values = n["pixels"] * n["channels"]
    return {"unslice": values, "unslice, plane": values * (n["planes"] - 1)}


def _channels(n, call, source, shares):
    runs = n["pixels"] * n["planes"]
    return {"channels, plane": runs, "channels, word": runs * -(-n["channels"] // 32)}


def _reshape(n, call, source, shares):
    """A run ends where a word or a pixel of either side does."""
    ends = set()
    for size in (n["in_channels"], n["out_channels"]):
        for start in range(0, n["size"], size):
            ends |= {*range(start + 32, start + size, 32), start + size}
    return {"reshape, run": len(ends), "reshape, plane": len(ends) * n["planes"]}


def _add(n, call, source, shares):
    return {"add": n["groups"], "add, plane": n["groups"] * n["planes"]}


def _sign(n, call, source, shares):
    words = n["pixels"] * n["words"]
    return {"sign": words, "sign, plane": words * n["planes"]}


def _lookup(n, call, source, shares):
    return {"lookup": n["size"], "lookup, word": n["size"] * n["group"]}


def _float(n, call, source, shares):
    return {"float": n["size"]}


def _divide(n, call, source, shares):
    return {"divide": n["size"]}


def _affine(n, call, source, shares):
    return {"affine": n["channels"] * n["pixels"]}


_WORK = {
    "gxnor_conv_step": tiles.conv,
    "gxnor_conv_steps": tiles.conv,
    "gxnor_conv_tiles_sums": tiles.conv,
    "gxnor_conv_ramp": tiles.conv,
    "gxnor_dense_ramp": tiles.dense,
    "gxnor_dense_step": tiles.dense,
    "gxnor_dense_steps": tiles.dense,
    "gxnor_dense_tiles_sums": tiles.dense,
    "gxnor_conv_u8_step": _first,
    "gxnor_bytes_quantize": _products,
    "gxnor_bytes_steps": _products,
    "gxnor_tables_quantize": _tables,
    "gxnor_tables_steps": _tables,
    "gxnor_dense_u8_sums": _dense_bytes,
    "gxnor_depthwise_u8_quantize": _depthwise_bytes,
    "gxnor_depthwise_u8_steps": _depthwise_bytes,
    "gxnor_dense_sums": _dot,
    "gxnor_dense_codes_sums": _dot,
    "gxnor_conv_codes_sums": _conv_codes,
    "gxnor_conv_codes_step": _conv_codes,
    "gxnor_conv_codes_ramp": _conv_codes,
    "gxnor_depthwise_ramp": _depthwise,
    "gxnor_depthwise_trits_step": _depthwise_trits,
    "gxnor_depthwise_step": _depthwise,
    "gxnor_depthwise_steps": _depthwise,
    "gxnor_depthwise_codes": _depthwise,
    "gxnor_lookup": _lookup,
    "gxnor_maxpool": _maxpool,
    "gxnor_maxpool_codes": _maxpool_codes,
    "gxnor_maxpool_sums": _maxpool_sums,
    "gxnor_maxpool_u8": _maxpool_bytes,
    "gxnor_sumpool": _sumpool,
    "gxnor_pad": _pad,
    "gxnor_slice": _slice,
    "gxnor_slice_u8": _slice_bytes,
    "gxnor_unslice": _unslice,
    "gxnor_unslice_u8": _unslice_bytes,
    "gxnor_channels": _channels,
    "gxnor_reshape": _reshape,
    "gxnor_add": _add,
    "gxnor_sign": _sign,
    "gxnor_to_float": _float,
    "gxnor_divide": _divide,
    "gxnor_affine": _affine,
}
