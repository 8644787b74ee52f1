"""Every kernel of the C runtime that computes on planes, alone, against NumPy."""

import ctypes
import itertools
import os
import pathlib
import re
import sys

import numpy as np
import pytest

from keras_gxnor.converters import first_layer, host, planes, ramps
from tests.tools import C99, CXX11, ZIG, available

RUNTIME = pathlib.Path(host.__file__).parent / "runtime"
CHANNELS = [1, 31, 32, 33, 64, 65, 100]
CANARY = 0x5AC0FFEE
KERNELS = """add bytes_sums channels conv_codes_step conv_codes_sums dense_codes_sums dense_sums dense_u8_sums
depthwise depthwise_codes depthwise_step depthwise_steps depthwise_trits_step depthwise_u8 dot dot_codes
lookup maxpool maxpool_codes maxpool_u8 pad quantize reshape sign slice slice_u8 step_words steps_words
sumpool sums_step tables_sums unslice unslice_u8""".split()


def source():
    """C that includes the kernels and exports each under the name without gxnor_."""
    text = ["#include <stdint.h>\n"]
    for name in KERNELS:
        header = (RUNTIME / f"gxnor_{name}.h").read_text(encoding="ascii")
        pattern = rf"^(?:static|GXNOR_SHARED) (\w+) gxnor_{name}\(([^)]*)\)\n\{{"
        match = re.search(pattern, header, re.MULTILINE)
        result, parameters = match[1], " ".join(match[2].split())
        passed = ", ".join(re.findall(r"(\w+)(?:,|$)", parameters))
        head = f"{result} run_{name}({parameters})"
        give = "" if result == "void" else "return "
        text.append(
            f'#include "gxnor_{name}.h"\n{head};\n{head}\n{{\n    {give}gxnor_{name}({passed});\n}}\n'
        )
    return "".join(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("runtime")
    (root / "all.c").write_text(source())
    (root / "all.cpp").write_text(source())
    return root


@pytest.fixture(scope="module")
def c(folder):
    """Calls a kernel: arrays as pointers, integers as int32_t, bytes beyond arrays checked."""
    flags = os.environ.get("RUNTIME_FLAGS", "-O2").split()  # such as those of a sanitizer
    name = "kernels.dll" if sys.platform == "win32" else "kernels.so"
    shared = [] if sys.platform == "win32" else ["-fPIC"]
    command = [*host.find_compiler(), "-std=c99", *flags, "-shared", *shared, f"-I{RUNTIME}"]
    host.compile_c([*command, "all.c", "-o", name], folder)
    library = ctypes.CDLL(str(folder / name))

    def call(kernel, *arguments):
        function = library[f"run_{kernel}"]
        function.restype = ctypes.c_int32
        return function(*map(argument, arguments))

    return call


def argument(value):
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous and value.dtype in (np.uint32, np.int32, np.uint8, np.int16)
        return ctypes.c_void_p(value.ctypes.data)
    return ctypes.c_int32(value)


class Out:
    """Memory for a result, full of what nothing may rely on, and a guard behind it."""

    def __init__(self, shape, dtype=np.uint32):
        self.shape, self.size = shape, int(np.prod(shape))
        self.guard = np.array(CANARY).astype(dtype)
        self.memory = np.full(self.size + 2, self.guard, dtype)

    def __call__(self):
        assert (self.memory[self.size :] == self.guard).all(), "wrote beyond its output"
        return self.memory[: self.size].reshape(self.shape)


def codes_of(rng, shape, count):
    """Codes of `count` planes: anywhere, or only at the borders and around zero."""
    low, high = (-1, 1) if count == 2 else (-(1 << (count - 1)), (1 << (count - 1)) - 1)
    if rng.integers(2):
        return rng.choice([low, -1, 0, 1, high], shape)
    return rng.integers(low, high + 1, shape)


def window(rng, dilated=True, before=True, cover=False, most=3):
    """A random gxnor_window: in, out, size, stride, dilation, padding before."""
    while True:
        pairs = []
        for _ in range(2):
            size, stride = rng.integers(1, most + 1), rng.integers(1, 4)
            dilation = rng.integers(1, 3) if dilated else 1
            first, after = rng.integers(0, size, 2) if before else (0, rng.integers(0, size))
            reach = (size - 1) * dilation + 1
            least = max(1, reach - first - after)
            length = rng.integers(least, least + 7)
            out = (length + first + after - reach) // stride + 1
            pairs.append((length, out, size, stride, dilation, first))
        w = np.array(pairs, np.int32).T.reshape(-1).copy()
        if not cover or (places(w) >= 0).any(-1).all():
            return w


def places(w):
    """The pixel (or -1) under every place of the window: (out pixels, places)."""
    axes = []
    for length, out, size, stride, dilation, first in w[:12].reshape(6, 2).T:
        index = np.arange(out)[:, None] * stride + np.arange(size) * dilation - first
        axes.append(np.where((index < 0) | (index >= length), -1, index))
    rows, columns = axes[0][:, None, :, None], axes[1][None, :, None, :]
    inside = (rows >= 0) & (columns >= 0)
    return np.where(inside, rows * w[1] + columns, -1).reshape(w[2] * w[3], -1)


def under(w, x, fill):
    """x (pixels, channels) under the window: (out pixels, places, channels)."""
    return np.concatenate([x, np.full_like(x[:1], fill)])[places(w)]


def image(rng, w, channels, count):
    return codes_of(rng, (w[0] * w[1], channels), count)


CASES = [(channels, seed) for seed, channels in enumerate(CHANNELS * 3)]
every = pytest.mark.parametrize(("channels", "seed"), CASES)


# --- The packing itself. ---


@every
def test_pack_and_unpack(channels, seed):
    rng = np.random.default_rng(seed)
    for count in range(2, 10):
        codes = codes_of(rng, (3, channels), count)
        packed = planes.pack(codes, count)
        assert packed.shape == (3, planes.words_for(channels), count)
        np.testing.assert_array_equal(planes.unpack(packed, channels), codes)
        wide = planes.unpack(packed, packed.shape[1] * 32)
        assert not wide[:, channels:].any()
    one = planes.pack([[5, -6]], 4)
    assert one.tolist() == [[[0b01, 0b10, 0b01, 0b10]]]
    with pytest.raises(ValueError, match="do not fit into 3 planes"):
        planes.pack([4], 3)


def test_the_least_number_of_planes_bits_and_digits():
    for low, high in itertools.product(range(-140, 1), range(140)):
        n = planes.planes_for(low, high)
        assert -(1 << (n - 1)) <= low and high < 1 << (n - 1)
        assert n == 2 or low < -(1 << (n - 2)) or high >= 1 << (n - 2) or (n, low) == (3, -2)
        assert (n == 2) == (low >= -1 and high <= 1)
        n = planes.bits_for(low, high)
        assert -(1 << (n - 1)) <= low and high + 1 <= (1 << (n - 1)) - 1
        assert n == 6 or low < -(1 << (n - 2)) or high + 1 > (1 << (n - 2)) - 1
    rng = np.random.default_rng(0)
    for most in range(12):
        kernel = rng.integers(-most, most + 1, (4, 5))
        kernel[0, 0] = most
        trits = planes.digits(kernel)
        assert len(trits) == max(1, int(np.ceil(np.log2(most + 1))))
        assert all(np.isin(d, (-1, 0, 1)).all() and d.dtype == np.int8 for d in trits)
        np.testing.assert_array_equal(sum(d.astype(int) << j for j, d in enumerate(trits)), kernel)


def test_threshold_tables_refuse_what_they_cannot_hold():
    with pytest.raises(ValueError, match="ascend"):
        planes.step_table([[2, 1]], 6)
    with pytest.raises(ValueError, match="do not hold 0"):
        planes.steps_table([[1, 2]], 1, 6)


# --- Products. ---


def test_dot_of_every_pair_of_six_trits(c):
    """The 531,441 pairs, five in the word of one call of a layer of them."""
    vectors = np.array(list(itertools.product((-1, 0, 1), repeat=6)))
    exact = vectors @ vectors.T
    rows = planes.pack(vectors, 2)
    for x, sums in zip(rows, exact):
        out = Out(len(rows), np.int32)
        c("dense_sums", x, 1, rows, len(rows), out.memory)
        np.testing.assert_array_equal(out(), sums)
    high = np.zeros((729, 32), int)
    high[:, 26:] = vectors
    out = Out(729, np.int32)
    c("dense_sums", planes.pack(high[5], 2), 1, planes.pack(high, 2), 729, out.memory)
    np.testing.assert_array_equal(out(), exact[5])


def test_dot_of_every_length(c):
    rng = np.random.default_rng(1)
    for length in range(101):
        for x, w in [
            *rng.integers(-1, 2, (4, 2, length)),
            np.ones((2, length), int),
            (-np.ones(length, int), np.ones(length, int)),
        ]:
            words = planes.words_for(length)
            got = c("dot", planes.pack(x, 2), planes.pack(w, 2), words)
            assert got == x @ w
            assert c("dot_codes", planes.pack(x, 2), 2, planes.weight_rows(w), 1, words) == x @ w


@pytest.mark.parametrize("count", range(2, 10))
@pytest.mark.parametrize("channels", CHANNELS)
def test_dense_of_codes(c, channels, count):
    rng = np.random.default_rng(channels * count)
    for most in (1, 1, 2, 3, 7, 64):
        kernel = rng.integers(-most, most + 1, (5, channels))
        kernel[0], kernel[1] = most, -most
        weights, words = planes.weight_rows(kernel), planes.words_for(channels)
        for x in (
            codes_of(rng, channels, count),
            np.full(channels, -(1 << (count - 1)) if count > 2 else -1),
        ):
            out = Out(5, np.int32)
            c(
                "dense_codes_sums",
                planes.pack(x, count),
                count,
                words,
                weights,
                weights.shape[-2],
                5,
                out.memory,
            )
            np.testing.assert_array_equal(out(), kernel @ x)


def test_a_wrong_weight_is_seen(c):
    x, w = np.ones(40, int), np.ones(40, int)
    w[39] = 0
    assert c("dot", planes.pack(x, 2), planes.pack(w, 2), 2) == 39
    assert c("dot", planes.pack(x, 2), planes.pack(-w, 2), 2) == -39


# --- Element by element. ---


@every
def test_add(c, channels, seed):
    rng = np.random.default_rng(seed)
    for p, q in rng.integers(2, 9, (12, 2)):
        a, b = codes_of(rng, (3, channels), p), codes_of(rng, (3, channels), q)
        count = max(p, q) + 1
        words = planes.words_for(channels)
        out = Out((3, words, count))
        c("add", planes.pack(a, p), p, planes.pack(b, q), q, out.memory, count, 3 * words)
        np.testing.assert_array_equal(out(), planes.pack(a + b, count))


def test_add_of_every_pair(c):
    a, b = np.divmod(np.arange(32 * 32), 32) - np.array([[16], [16]])
    out = Out((32, 6))
    c("add", planes.pack(a, 5), 5, planes.pack(b, 5), 5, out.memory, 6, 32)
    np.testing.assert_array_equal(planes.unpack(out(), 1024), a + b)


@every
def test_sign(c, channels, seed):
    rng = np.random.default_rng(seed)
    words = planes.words_for(channels)
    for count, more in itertools.product(range(2, 9), (0, 1, 2)):
        x, flip = codes_of(rng, (4, channels), count), rng.integers(0, 2, channels)
        x = x if more else np.maximum(x, 1 - (1 << (count - 1)))
        mask = planes.signs(flip)[:, 0].copy()
        out = Out((4, words, count + more))
        c("sign", planes.pack(x, count), count, mask, out.memory, count + more, words, 4)
        np.testing.assert_array_equal(out(), planes.pack(x * (1 - 2 * flip), count + more))


@every
def test_slice_and_unslice(c, channels, seed):
    rng = np.random.default_rng(seed)
    words = planes.words_for(channels)
    for zero, flip in ((0, 0), (255, 0), (128, 0x80), (0, 0x80), (100, 0), (int(rng.integers(256)), 0x80)):
        data = rng.choice([0, 1, 127, 128, 255, zero], (5, channels)).astype(np.uint8)
        value = (data ^ np.uint8(flip)).astype(int) - zero
        count = planes.planes_for(-zero, 255 - zero)
        out = Out((5, words, count))
        c("slice", data, flip, zero, channels, 5, out.memory, count)
        np.testing.assert_array_equal(out(), planes.pack(value, count))
        back = Out((5, channels), np.int32)
        c("unslice", out().copy(), count, channels, 5, back.memory)
        np.testing.assert_array_equal(back(), value)


def test_slice_of_every_byte(c):
    data = np.arange(256, dtype=np.uint8)
    out = Out((8, 8))
    c("slice", data, 0x80, 128, 256, 1, out.memory, 8)
    np.testing.assert_array_equal(planes.unpack(out(), 256), data.view(np.int8))


@every
def test_bytes_to_codes_and_back(c, channels, seed):
    rng = np.random.default_rng(seed)
    words = planes.words_for(channels)
    for low, high in ((0, 255), (0, 200), (0, 15), (0, 1), (-128, 127), (-3, 2), (-1, 1), (-100, 0)):
        count = planes.planes_for(low, high)
        value = rng.choice([low, high, 0, int(rng.integers(low, high + 1))], (5, channels))
        data = (value & 0xFF).astype(np.uint8)
        out = Out((5, words, count))
        c("slice_u8", data, int(low < 0), channels, 5, out.memory, count)
        np.testing.assert_array_equal(out(), planes.pack(value, count))
        back = Out((5, channels), np.uint8)
        c("unslice_u8", out().copy(), count, channels, 5, back.memory)
        np.testing.assert_array_equal(back(), data)


def test_every_byte_to_codes_and_back(c):
    data = np.arange(256, dtype=np.uint8)
    for exact, count in ((data.astype(int), 9), (data.view(np.int8).astype(int), 8)):
        out, back = Out((8, count)), Out(256, np.uint8)
        c("slice_u8", data, int(count == 8), 256, 1, out.memory, count)
        np.testing.assert_array_equal(planes.unpack(out(), 256), exact)
        c("unslice_u8", out().copy(), count, 256, 1, back.memory)
        np.testing.assert_array_equal(back(), data)


@pytest.mark.parametrize("flip, zero", [(0, 0), (0x80, 128), (0x80, 133)])
@pytest.mark.parametrize("rows", [1, 9, 256])
def test_lookup_of_every_byte(c, rows, flip, zero):
    rng = np.random.default_rng(rows)
    table, data = codes_of(rng, (rows, 33), 3), np.arange(256, dtype=np.uint8)
    exact = planes.pack(table[np.clip((data ^ flip).astype(int) - zero, 0, rows - 1)], 3)
    out = Out(exact.shape)
    c("lookup", data, flip, zero, planes.pack(table, 3), rows, 6, out.memory, 256)
    np.testing.assert_array_equal(out(), exact)


# --- Moving channels. ---


@pytest.mark.parametrize("seed", range(60))
def test_channels_side_by_side(c, seed):
    rng = np.random.default_rng(seed)
    parts = rng.choice([*CHANNELS, 2, 7, 30], rng.integers(1, 5))
    counts = rng.integers(2, 6, len(parts))
    count, total, pixels = int(counts.max()) + seed % 2, int(parts.sum()), 3
    words = planes.words_for(total)
    values = [codes_of(rng, (pixels, n), k) for n, k in zip(parts, counts)]
    out, to = Out((pixels, words, count)), 0
    for x, n, k in zip(values, parts, counts):
        c("channels", planes.pack(x, k), k, n, out.memory, count, words, to, pixels)
        to += int(n)
    np.testing.assert_array_equal(out(), planes.pack(np.concatenate(values, 1), count))


@every
def test_reshape(c, channels, seed):
    rng = np.random.default_rng(seed)
    for n, count in itertools.product((1, 2, 3, 32, 35, 64, 7), (2, 5)):
        shape = (n, channels)
        other = int(rng.choice([d for d in range(1, n * channels + 1) if n * channels % d == 0]))
        for target in (other, n * channels):
            x = codes_of(rng, shape, count)
            exact = planes.pack(x.reshape(-1, target), count)
            out = Out(exact.shape)
            c("reshape", planes.pack(x, count), channels, out.memory, target, count, n * channels)
            np.testing.assert_array_equal(out(), exact)


@every
def test_pad(c, channels, seed):
    rng = np.random.default_rng(seed)
    for _ in range(10):
        height, width, top, left, bottom, right, count = (int(n) for n in rng.integers(1, 4, 7))
        top, left = rng.integers(0, 3, 2)
        x = codes_of(rng, (height, width, channels), count + 1)
        exact = np.pad(x, [(top, bottom), (left, right), (0, 0)])
        packed = planes.pack(exact, count + 1)
        out, group = Out(packed.shape), planes.words_for(channels) * (count + 1)
        c("pad", planes.pack(x, count + 1), height, width, top, left, group, out.memory, *exact.shape[:2])
        np.testing.assert_array_equal(out(), packed)


# --- Pooling. ---


@every
def test_sumpool(c, channels, seed):
    rng = np.random.default_rng(seed)
    words = planes.words_for(channels)
    for count in range(2, 10):
        w = window(rng)
        x = image(rng, w, channels, count)
        exact = under(w, x, 0).sum(1)
        n = max(count, planes.planes_for(exact.min(), exact.max()))
        out = Out((len(exact), words, n))
        c("sumpool", w, planes.pack(x, count), count, words, out.memory, n)
        np.testing.assert_array_equal(out(), planes.pack(exact, n))


NORMAL = np.array([6, 8, 3, 4, 2, 2, 2, 2, 1, 1, 0, 0], np.int32)


@every
def test_maxpool(c, channels, seed):
    rng = np.random.default_rng(seed)
    words = planes.words_for(channels)
    for n in range(20):
        before = bool(n % 2)
        w = window(rng, False, before) if n else NORMAL
        x = image(rng, w, channels, 2)
        x = -abs(x) if n % 5 == 0 else x
        exact = planes.pack(under(w, x, -99).max(1), 2)
        packed = planes.pack(x, 2)
        for kernel, middle in (("maxpool", ()), ("maxpool_codes", (2,))):
            out = Out(exact.shape)
            c(kernel, w, packed, *middle, words, out.memory)
            np.testing.assert_array_equal(out(), exact)
            if not before and exact.size <= packed.size:
                place = packed.copy()
                c(kernel, w, place, *middle, words, place)
                np.testing.assert_array_equal(place.reshape(-1)[: exact.size], exact.reshape(-1))


@every
def test_maxpool_of_bytes(c, channels, seed):
    rng = np.random.default_rng(seed)
    for n in range(12):
        before = bool(n % 2)
        w = window(rng, before=before, cover=True)
        x = rng.choice([0, 1, 127, 128, 255], (w[0] * w[1], channels))
        exact, data = under(w, x, -1).max(1).astype(np.uint8), x.astype(np.uint8)
        out = Out(exact.shape, np.uint8)
        c("maxpool_u8", w, data, channels, out.memory)
        np.testing.assert_array_equal(out(), exact)
        if not before and exact.size <= data.size:
            c("maxpool_u8", w, data, channels, data)
            np.testing.assert_array_equal(data.reshape(-1)[: exact.size], exact.reshape(-1))


@every
def test_maxpool_of_codes(c, channels, seed):
    rng = np.random.default_rng(seed)
    words = planes.words_for(channels)
    for count in range(3, 10):
        w = window(rng, cover=True)
        x = image(rng, w, channels, count)
        exact = planes.pack(under(w, x, -9999).max(1), count)
        out = Out(exact.shape)
        c("maxpool_codes", w, planes.pack(x, count), count, words, out.memory)
        np.testing.assert_array_equal(out(), exact)


# --- Steps. ---


def counters(sums, bits):
    """Sums (channels,) as U = S + 2^(bits-1) in planes: (words, bits)."""
    packed = planes.pack(sums, bits)
    packed[..., -1] ^= np.uint32(0xFFFFFFFF)
    return packed


def step(sums, thresholds, low):
    return low + (sums[..., None] >= thresholds).sum(-1)


def test_step_of_every_sum_and_threshold(c):
    """64 values of a counter of 6 bits against every t0 <= t1 of it."""
    sums = np.arange(-32, 32)
    for t0, t1 in itertools.combinations_with_replacement(range(-32, 32), 2):
        pair = np.array([[t0, t1]] * 32)
        table = planes.step_table(pair, 6)
        exact = step(sums, pair[0], -1)
        for words, part in zip(counters(sums, 6), (exact[:32], exact[32:])):
            out = Out((1, 2))
            c("step_words", words, 6, table, out.memory)
            assert (planes.unpack(out(), 32) == part).all()


@pytest.mark.parametrize("bits", [6, 7, 9, 14])
@pytest.mark.parametrize("channels", [1, 17, 32])
def test_steps(c, channels, bits):
    rng = np.random.default_rng(bits)
    half = 1 << (bits - 1)
    for low, steps in ((-1, 2), (0, 1), (-2, 4), (-64, 128), (0, 3), (-3, 3)):
        thresholds = np.sort(rng.integers(-half - 5, half + 5, (channels, steps)), axis=1)
        sums = rng.integers(-half, half - 1, channels)  # bits_for keeps the largest counter free
        sums[: steps // 2] = thresholds[: steps // 2, 0].clip(-half, half - 2)
        count = planes.planes_for(low, low + steps)
        exact = planes.pack(step(sums, thresholds, low), count)
        out = Out((1, count))
        table = planes.steps_table(thresholds, low, bits)
        c("steps_words", counters(sums, bits), bits, table, steps, low, out.memory, count)
        np.testing.assert_array_equal(out(), exact)
        if (low, steps) == (-1, 2):
            out = Out((1, 2))
            c("step_words", counters(sums, bits), bits, planes.step_table(thresholds, bits), out.memory)
            np.testing.assert_array_equal(out(), exact)


def test_a_threshold_off_by_one_is_seen(c):
    table = planes.step_table([[-3, 4]] * 32, 6)
    for value, code in ((-4, -1), (-3, 0), (3, 0), (4, 1)):
        out = Out((1, 2))
        c("step_words", counters(np.full(32, value), 6), 6, table, out.memory)
        assert (planes.unpack(out(), 32) == code).all()


@every
def test_step_of_sums(c, channels, seed):
    rng = np.random.default_rng(seed)
    for low, steps in ((-1, 2), (0, 1), (-64, 128)):
        thresholds = np.sort(rng.integers(-9, 9, (channels, steps)), axis=1).astype(np.int32)
        thresholds[0, 0] = np.iinfo(np.int32).min
        sums = rng.integers(-12, 12, (3, channels)).astype(np.int32)
        count = planes.planes_for(low, low + steps)
        exact = planes.pack(step(sums, thresholds, low), count)
        out = Out(exact.shape)
        c("sums_step", sums, channels, 3, thresholds, steps, low, out.memory, count)
        np.testing.assert_array_equal(out(), exact)


# --- Convolutions. ---


@every
def test_depthwise(c, channels, seed):
    rng = np.random.default_rng(seed)
    words = planes.words_for(channels)
    for count, most in itertools.product((2, 2, 3, 5, 9), (1, 1, 2, 5)):
        w = window(rng)
        x = image(rng, w, channels, count)
        kernel = rng.integers(-most, most + 1, (w[4] * w[5], channels))
        sums = (under(w, x, 0) * kernel).sum(1)
        bits = max(planes.bits_for(sums.min(), sums.max()), count + 4)
        weights = planes.depthwise_weights(kernel)
        packed = planes.pack(x, count)
        layer = np.array([*w, count, words, weights.shape[1], bits], np.int32)
        last, scratch = len(sums) - 1, Out(bits)
        y, k = divmod(last, w[3])
        c("depthwise", layer, packed, weights, y, k, words - 1, scratch.memory)
        np.testing.assert_array_equal(scratch(), counters(sums[last], bits)[-1])
        exact = planes.pack(sums, planes.planes_for(sums.min(), sums.max()))
        out = Out(exact.shape)
        c("depthwise_codes", layer, packed, weights, Out(bits).memory, out.memory, exact.shape[-1])
        np.testing.assert_array_equal(out(), exact)
        for low, steps in ((-1, 2), (-2, 4)):
            thresholds = np.sort(rng.integers(sums.min(), sums.max() + 2, (channels, steps)), axis=1)
            scratch = Out(bits)
            table = planes.steps_table(thresholds, low, bits)
            exact = planes.pack(step(sums, thresholds, low), 2 if steps == 2 else 3)
            out = Out(exact.shape)
            if steps == 2:
                table = planes.step_table(thresholds, bits)
                c("depthwise_step", layer, packed, weights, table, scratch.memory, out.memory)
            else:
                c("depthwise_steps", layer, packed, weights, table, steps, low, scratch.memory, out.memory, 3)
            np.testing.assert_array_equal(out(), exact)
            scratch()


@every
def test_depthwise_of_trits(c, channels, seed):
    rng = np.random.default_rng(seed)
    words = planes.words_for(channels)
    for n in range(8):
        w = window(rng, False, most=5)
        while w[4] * w[5] > 30:
            w = window(rng, False, most=6)
        x = image(rng, w, channels, 2)
        kernel = rng.integers(-1, 2, (w[4] * w[5], channels))
        if n < 3:
            x, kernel = np.full_like(x, n - 1), np.full_like(kernel, -1 if n else 1)
        sums = (under(w, x, 0) * kernel).sum(1)
        weights, packed = planes.depthwise_weights(kernel), planes.pack(x, 2)
        for thresholds in (
            np.sort(rng.integers(sums.min(), sums.max() + 2, (channels, 2)), axis=1),
            np.full((channels, 2), sums.min()),
            np.full((channels, 2), sums.max() + 1),
        ):
            exact = planes.pack(step(sums, thresholds, -1), 2)
            out = Out(exact.shape)
            table = planes.step_table(thresholds, 6)
            c("depthwise_trits_step", w, packed, words, weights, table, out.memory)
            np.testing.assert_array_equal(out(), exact)


@pytest.mark.parametrize("seed", range(40))
def test_conv_of_codes(c, seed):
    rng = np.random.default_rng(seed)
    groups, inputs, filters = int(rng.integers(1, 5)), *map(int, rng.choice([1, 2, 3, 24, 31, 33], 2))
    filters = min(filters, 5) if seed % 4 else filters
    count, most = int(rng.integers(2, 10)), int(rng.choice([1, 1, 2, 5]))
    w, channels, outputs = window(rng), groups * inputs, groups * filters
    x = image(rng, w, channels, count)
    kernel = rng.integers(-most, most + 1, (w[4] * w[5], inputs, outputs))
    parts = under(w, x, 0).reshape(-1, w[4] * w[5], groups, inputs)
    sums = np.einsum("npgi,pigf->ngf", parts, kernel.reshape(-1, inputs, groups, filters))
    sums = sums.reshape(len(sums), outputs)
    weights, take, row = grouped_rows(kernel, groups)
    words = planes.words_for(channels)
    conv = np.array([*w, words * count, take * count, row, inputs, filters, outputs], np.int32)
    layer = conv, planes.pack(x, count), count, weights, weights.shape[-2]
    patch, out = Out(row * count), Out(sums.shape, np.int32)
    c("conv_codes_sums", *layer, patch.memory, out.memory)
    np.testing.assert_array_equal(out(), sums)
    for low, steps in ((-1, 2), (-4, 8)):
        thresholds = np.sort(rng.integers(-9, 9, (outputs, steps)), axis=1).astype(np.int32)
        exact = planes.pack(step(sums, thresholds, low), 2 if steps == 2 else 4)
        patch, one, out = Out(row * count), Out(outputs, np.int32), Out(exact.shape)
        tail = thresholds, steps, low, patch.memory, one.memory, out.memory, exact.shape[-1]
        c("conv_codes_step", *layer, *tail)
        np.testing.assert_array_equal(out(), exact)
        patch(), one()


# --- Kernels on bytes. ---


def kernel_of_bytes(rng, seed, most):
    """(window, input channels, filters, flip, zero, bytes, kernel (taps, filters), the exact sums)."""
    w, channels, filters = window(rng), *map(int, rng.choice([1, 2, 3, 5, 8, 17, 33], 2))
    flip, zero = [(0, 0), (0x80, 128), (0, 255), (0x80, 3)][seed % 4]
    data = rng.choice([0, 255, zero, *rng.integers(0, 256, 3).tolist()], (w[0] * w[1], channels))
    taps = int(w[4] * w[5]) * channels
    kernel = rng.choice([-most, 0, 1, most], (taps, filters))
    sums = under(w, (data ^ flip) - zero, 0).reshape(-1, taps) @ kernel
    return w, channels, filters, flip, zero, data.astype(np.uint8), kernel, sums.astype(np.int32)


@pytest.mark.parametrize("seed", range(40))
def test_tables_of_bytes(c, seed):
    rng = np.random.default_rng(seed)
    w, channels, filters, flip, zero, data, kernel, sums = kernel_of_bytes(rng, seed, 1)
    total, room = -(-len(kernel) // 3), -(-filters // 8) * 8
    groups = min(total, int(rng.choice([1, 3, 24, 42])))
    segments = -(-total // groups)
    shape = np.array([*w, channels, filters, room, groups, segments, flip, zero, 20], np.int32)
    weights = first_layer.segments(kernel, groups, segments)
    places = np.zeros(4, np.int32)
    for pixel in range(0, len(sums), 2):
        scratch, out = Out(3 * groups * segments + 27 * groups), Out((2, room), np.int32)
        c("tables_sums", shape, data, weights, places, scratch.memory, out.memory)
        scratch()
        np.testing.assert_array_equal(out()[0, :filters], sums[pixel])
        if pixel + 1 < len(sums):
            np.testing.assert_array_equal(out()[1, :filters], sums[pixel + 1])


def test_the_largest_sums_of_a_segment_are_exact(c):
    """42 groups of three taps: 126 * 255 is the most that half of a word holds."""
    data = np.full((2, 126), 255, np.uint8)
    kernel = np.stack([np.ones(126, int), -np.ones(126, int)], 1)
    shape = np.array([1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 0, 0, 126, 2, 8, 42, 1, 0, 0, 17], np.int32)
    weights, places = first_layer.segments(kernel, 42, 1), np.zeros(4, np.int32)
    scratch, out = Out(30 * 42), Out((2, 8), np.int32)
    c("tables_sums", shape, data, weights, places, scratch.memory, out.memory)
    np.testing.assert_array_equal(out()[:, :2], [[32130, -32130]] * 2)


@pytest.mark.parametrize("seed", range(40))
def test_products_of_bytes(c, seed):
    rng = np.random.default_rng(seed)
    w, channels, filters, flip, zero, data, kernel, sums = kernel_of_bytes(rng, seed, 127)
    padded = np.pad(kernel, [(0, len(kernel) % 2), (0, -filters % 4)])
    weights = padded.reshape(len(padded), -1, 4).transpose(1, 0, 2).astype(np.int8).view(np.uint8)
    shape = np.array([*w, channels, filters, len(padded), flip, zero, 24], np.int32)
    for pixel in range(len(sums)):
        patch, out = Out(len(padded), np.int16), Out(padded.shape[1], np.int32)
        y, x = divmod(pixel, int(w[3]))
        c("bytes_sums", shape, data, np.ascontiguousarray(weights), y, x, patch.memory, out.memory)
        patch()
        np.testing.assert_array_equal(out()[:filters], sums[pixel])


@pytest.mark.parametrize("seed", range(20))
def test_depthwise_of_bytes(c, seed):
    rng = np.random.default_rng(seed)
    w, channels, _, flip, zero, data, _, _ = kernel_of_bytes(rng, seed, 1)
    places_of_one = int(w[4] * w[5])
    kernel = rng.choice([-127, -1, 0, 1, 127], (places_of_one, channels))
    exact = (under(w, (data ^ np.uint8(flip)).astype(int) - zero, 0) * kernel).sum(1)
    shape = np.array([*w, channels, channels, places_of_one, flip, zero, 24], np.int32)
    for pixel in range(len(exact)):
        out = Out(channels, np.int32)
        y, x = divmod(pixel, int(w[3]))
        c("depthwise_u8", shape, data, kernel.astype(np.int8).view(np.uint8), y, x, out.memory)
        np.testing.assert_array_equal(out(), exact[pixel])


@pytest.mark.parametrize("flip, zero", [(0, 0), (0x80, 128), (0, 255)])
@pytest.mark.parametrize("size, outputs", [(1, 1), (7, 3), (100, 17)])
def test_dense_of_bytes(c, size, outputs, flip, zero):
    rng = np.random.default_rng(size)
    data, kernel = rng.integers(0, 256, size), rng.integers(-127, 128, (size, outputs))
    weights = np.ascontiguousarray(kernel.T.astype(np.int8)).view(np.uint8)
    out = Out(outputs, np.int32)
    c("dense_u8_sums", data.astype(np.uint8), flip, zero, size, weights, outputs, out.memory)
    np.testing.assert_array_equal(out(), ((data ^ flip) - zero) @ kernel)


def grouped_rows(kernel, groups):
    """Weights for gxnor_conv_codes: rows of places times the words a group's channels lie in."""
    size, inputs, outputs = kernel.shape
    words = planes.words_for(groups * inputs)
    spans = [((g * inputs) // 32, ((g + 1) * inputs - 1) // 32 + 1) for g in range(groups)]
    take = max(end - first for first, end in spans)
    rows = np.zeros((outputs, size, take * 32), int)
    for o in range(outputs):
        g = o // (outputs // groups)
        at = g * inputs - 32 * min(spans[g][0], words - take)
        rows[o, :, at : at + inputs] = kernel[:, :, o]
    return planes.weight_rows(rows.reshape(outputs, -1)), take, size * take


# --- ReLUs in steps of sums. ---


def thresholds_of_lines(rng, levels, wide):
    """(thresholds, low, high, limits) of 24 channels: lines, flat ones, single steps, sums moved by one."""
    low, high = -rng.integers(0, wide, 24), rng.integers(1, wide, 24)
    slopes, starts = rng.uniform(0.01, wide / levels, 24), rng.uniform(-wide, wide, 24)
    least, most = low - (high - low), high + (high - low)
    slopes[:3] = 8 * wide  # a step, if any
    starts[3], starts[4] = 3 * wide, -3 * wide - levels * slopes[4]  # never; always
    exact = np.ceil(starts[:, None] + slopes[:, None] * np.arange(1, levels + 1)).astype(np.int64)
    moved = rng.integers(0, levels, 4)
    exact[5 + np.arange(4), moved] += slopes[5:9] > 2
    return np.clip(exact, least[:, None], most[:, None] + 1), low, high, (least, most)


@pytest.mark.parametrize("levels", [1, 2, 15, 100, 200, 255])
@pytest.mark.parametrize("wide", [300, 3000, 40_000])
def test_quantize_of_every_sum(c, levels, wide):
    """Each channel's codes are the numbers of thresholds that its sum reaches."""
    rng = np.random.default_rng(levels + wide)
    steps, low, high, limits = thresholds_of_lines(rng, levels, wide)
    ramp = ramps.fit(steps, low, high, limits, 20, short=True)
    lines, count = ramp.lines(low, high), len(low)
    shape = np.array([levels, len(ramp.exceptions)], np.int32)
    tried = np.unique(np.concatenate([steps.reshape(-1) + d for d in (-1, 0, 1)])) if wide > 3000 else None
    tried = np.arange(low.min(), high.max() + 1) if tried is None else tried
    for number in tried.tolist():
        sums = np.clip(number, low, high).astype(np.int32)
        out = Out(count, np.uint8)
        c("quantize", shape, sums, count, lines, out.memory)
        np.testing.assert_array_equal(out(), (sums[:, None] >= steps).sum(1))


def test_quantize_of_a_wrong_line_is_seen(c):
    steps = np.arange(10, 2560, 10)[None]
    ramp = ramps.fit(steps, np.array([0]), np.array([3000]), (np.array([-3000]), np.array([6000])), 13, True)
    lines = ramp.lines(np.array([0]), np.array([3000]))
    out, shape, sums = Out(1, np.uint8), np.array([255, 0], np.int32), np.array([1280], np.int32)
    c("quantize", shape, sums, 1, lines, out.memory)
    assert out() == [128]
    lines[1] -= 1  # the phase: one part of 2^shift of a sum less
    c("quantize", shape, sums, 1, lines, out.memory)
    assert out() == [127]


# --- What compilers say. ---


@pytest.mark.parametrize("compiler", ["gcc", "g++", "zig cc", "zig c++"])
def test_no_warning(folder, compiler):
    command = [*ZIG, compiler.split()[1]] if "zig" in compiler else [compiler]
    available(command)
    flags, file = (CXX11, "all.cpp") if "+" in compiler else (C99, "all.c")
    host.compile_c([*command, *flags, "-O2", f"-I{RUNTIME}", "-c", file, "-o", "warnings.o"], folder)
    assert (folder / "warnings.o").stat().st_size > 0


CORES = [
    ["-target", "thumb-freestanding-eabi", f"-mcpu=cortex_{core}", "-ffreestanding"] for core in ("m0", "m4")
]
BUILDS = {"gcc": ["gcc"], "zig": [*ZIG, "cc"], "m0": [*ZIG, "cc", *CORES[0]], "m4": [*ZIG, "cc", *CORES[1]]}


@pytest.mark.parametrize("level", ["-O1", "-O2", "-O3", "-Os"])
@pytest.mark.parametrize("build", BUILDS)
def test_nothing_is_needed_from_outside(folder, build, level):
    from elftools.elf.elffile import ELFFile

    if not sys.platform.startswith("linux"):
        pytest.skip("reads ELF objects")
    available(BUILDS[build])
    host.compile_c(
        [*BUILDS[build], "-std=c99", level, f"-I{RUNTIME}", "-c", "all.c", "-o", "needs.o"], folder
    )
    with open(folder / "needs.o", "rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        names = {s.name for s in table.iter_symbols() if s["st_shndx"] == "SHN_UNDEF" and s.name}
    assert names <= {"__aeabi_unwind_cpp_pr0", "__aeabi_unwind_cpp_pr1"}  # of unwinding tables
