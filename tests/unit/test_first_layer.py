"""The first convolution in C, against NumPy."""

import ctypes
import pathlib
import sys

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor.converters import first_layer, host

RUNTIME = pathlib.Path(first_layer.__file__).parent / "runtime"
GUARD = 8
_DRIVER = """
#include "gxnor_conv_u8_step.h"
void run(const int32_t *n, const uint8_t *in, const uint8_t *weights, const uint32_t *steps,
         uint32_t *scratch, uint32_t *out);
void run(const int32_t *n, const uint8_t *in, const uint8_t *weights, const uint32_t *steps,
         uint32_t *scratch, uint32_t *out)
{
    gxnor_conv_u8 c;
    c.window.in_height = n[0];
    c.window.in_width = n[1];
    c.window.out_height = n[2];
    c.window.out_width = n[3];
    c.window.height = n[4];
    c.window.width = n[5];
    c.window.stride_y = n[6];
    c.window.stride_x = n[7];
    c.window.dilation_y = n[8];
    c.window.dilation_x = n[9];
    c.window.pad_top = n[10];
    c.window.pad_left = n[11];
    c.channels = n[12];
    c.filters = n[13];
    c.groups = n[14];
    c.flip = (uint8_t)n[15];
    c.zero = (uint8_t)n[16];
    gxnor_conv_u8_step(&c, in, weights, steps, scratch, out);
}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first_layer")
    (folder / "driver.c").write_text(_DRIVER)
    shared = [] if sys.platform == "win32" else ["-fPIC"]
    flags = ["-std=c99", "-O2", f"-I{RUNTIME}", "-shared", *shared]
    host.compile_c([*host.find_compiler(), *flags, "driver.c", "-o", "driver.so"], folder)
    return ctypes.CDLL(str(folder / "driver.so")).run


class Layer:
    """A random layer and its tables. x: uint8 or int8 of shape (height, width, channels)."""

    def __init__(self, x, kernel, zero=0, strides=(1, 1), dilation=(1, 1), padding="valid", seed=0):
        self.x, self.kernel, self.zero = x, kernel, zero
        self.strides, self.dilation = strides, dilation
        spans = [
            g.window_output(x.shape[a], kernel.shape[a], strides[a], dilation[a], padding) for a in (0, 1)
        ]
        self.size, self.pads = [s[0] for s in spans], [s[1] for s in spans]
        sums = self.sums()
        rng = np.random.default_rng(seed)
        limits = rng.integers(sums.min((0, 1)) - 1, sums.max((0, 1)) + 3, (2, kernel.shape[3]))
        self.thresholds = np.sort(limits, 0).T

    def sums(self):
        """int64 sums of (x - zero) * weight."""
        x = np.zeros([n + 64 for n in self.x.shape[:2]] + [self.x.shape[2]], np.int64)
        top, left = self.pads
        x[top : top + self.x.shape[0], left : left + self.x.shape[1]] = self.x.astype(np.int64) - self.zero
        total = 0
        for i in range(self.kernel.shape[0]):
            for j in range(self.kernel.shape[1]):
                rows = i * self.dilation[0] + self.strides[0] * np.arange(self.size[0])
                columns = j * self.dilation[1] + self.strides[1] * np.arange(self.size[1])
                total = total + x[rows[:, None], columns] @ self.kernel[i, j].astype(np.int64)
        return total

    def expected(self):
        """uint32 of shape (height, width, words, 2)."""
        sums, (first, second) = self.sums(), self.thresholds.T
        negative = sums < first
        planes = np.stack([negative | (sums >= second), negative], -1)
        words = -(-planes.shape[2] // 32)
        full = np.zeros((*self.size, 32 * words, 2), np.uint64)
        full[:, :, : planes.shape[2]] = planes
        bits = full.reshape(*self.size, words, 32, 2) << np.arange(32, dtype=np.uint64)[:, None]
        return bits.sum(3).astype(np.uint32)

    def run(self, function, weights=None, steps=None):
        flip = 128 if self.x.dtype == np.int8 else 0
        zero = self.zero + flip
        if weights is None:
            weights = first_layer.weights(self.kernel)
        if steps is None:
            steps = first_layer.steps(self.kernel, self.thresholds, zero)
        numbers = np.array(
            [
                *(*self.x.shape[:2], *self.size, *self.kernel.shape[:2], *self.strides),
                *(*self.dilation, *self.pads, self.x.shape[2], self.kernel.shape[3]),
                *(first_layer.groups(self.kernel), flip, zero),
            ],
            np.int32,
        )
        words = 2 * -(-self.kernel.shape[3] // 32)
        scratch = np.full(first_layer.scratch_words(self.kernel) + GUARD, 0xC0FFEE11, np.uint32)
        out = np.full(self.size[0] * self.size[1] * words + GUARD, 0xC0FFEE11, np.uint32)
        arrays = numbers, np.ascontiguousarray(self.x), weights, steps, scratch, out
        function(*(ctypes.c_void_p(a.ctypes.data) for a in arrays))
        assert (scratch[-GUARD:] == 0xC0FFEE11).all() and (out[-GUARD:] == 0xC0FFEE11).all()
        return out[:-GUARD].reshape(*self.size, -1, 2)


def _layer(shape, kernel, seed=0, dtype=np.uint8, **kwargs):
    rng = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    x = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return Layer(x, rng.integers(-1, 2, kernel).astype(np.int8), seed=seed, **kwargs)


@pytest.mark.parametrize("filters", [1, 8, 16, 17, 32, 33, 40])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_filters_and_channels(run, filters, channels):
    for size in ((1, 1), (3, 3), (5, 5), (2, 3)):
        layer = _layer((7, 9, channels), (*size, channels, filters), zero=128, padding="same")
        np.testing.assert_array_equal(layer.run(run), layer.expected(), str(size))


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 1), (1, 2), (1, 5), (4, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_windows(run, strides, dilation, padding):
    for size in ((1, 1), (3, 3), (5, 5), (2, 3), (4, 1)):
        for shape in ((13, 13), (14, 17), (17, 14)):
            layer = _layer(
                (*shape, 2), (*size, 2, 5), zero=7, strides=strides, dilation=dilation, padding=padding
            )
            np.testing.assert_array_equal(layer.run(run), layer.expected(), f"{size} {shape}")


def test_images_smaller_than_the_window(run):
    for shape in ((1, 1), (1, 4), (4, 1), (2, 2), (3, 5)):
        layer = _layer((*shape, 3), (5, 5, 3, 9), zero=255, padding="same")
        np.testing.assert_array_equal(layer.run(run), layer.expected(), str(shape))


@pytest.mark.parametrize(
    "dtype, zero", [("uint8", 0), ("uint8", 128), ("uint8", 255), ("int8", -128), ("int8", 0), ("int8", 127)]
)
def test_zero_points_and_extreme_inputs(run, dtype, zero):
    limits = np.iinfo(dtype)
    for seed, value in enumerate([None, limits.min, limits.max]):
        layer = _layer((6, 7, 3), (3, 3, 3, 20), seed, np.dtype(dtype).type, zero=zero, padding="same")
        if value is not None:
            layer.x[:] = value
        np.testing.assert_array_equal(layer.run(run), layer.expected(), str(value))


@pytest.mark.parametrize("signs", [(1, 1), (-1, -1), (1, -1)])
@pytest.mark.parametrize("zero", [0, 255])
def test_the_most_weights_that_fit(run, signs, zero):
    kernel = np.ones((8, 16, 1, 4), np.int8) * signs[0]
    kernel[:, ::2] = signs[1]
    kernel[:, :, :, 2:] *= -1
    for seed in range(4):
        x = (255 * np.random.default_rng(seed).integers(0, 2, (9, 18, 1))).astype(np.uint8)
        x[:, : 5 * seed] = 255 * (seed % 2)
        layer = Layer(x, kernel, zero, padding="same", seed=seed)
        for thresholds in (layer.thresholds, [[-40000, 40000]] * 4, [[-40000] * 2] * 4, [[40000] * 2] * 4):
            layer.thresholds = np.array(thresholds)
            assert first_layer.fits(kernel, thresholds, zero)
            np.testing.assert_array_equal(layer.run(run), layer.expected())


def test_thresholds_at_every_position(run):
    layer = _layer((4, 4, 1), (1, 2, 1, 9))
    layer.x[:] = np.arange(0, 16 * 3, 3).reshape(4, 4, 1)
    sums = layer.sums()
    for first in range(sums.min() - 2, sums.max() + 4):
        for second in range(first, sums.max() + 4, 3):
            layer.thresholds = np.tile([first, second], (9, 1))
            np.testing.assert_array_equal(layer.run(run), layer.expected(), f"{first} {second}")


def test_a_corrupt_table_is_seen(run):
    layer = _layer((8, 8, 3), (3, 3, 3, 16), zero=128, padding="same")
    weights = first_layer.weights(layer.kernel)
    steps = first_layer.steps(layer.kernel, layer.thresholds, layer.zero)
    expected = layer.expected()
    for place in np.ndindex(weights.shape[:3]):
        wrong = weights.copy()
        wrong[place][3] = 4 * ((wrong[place][3] // 4 + 9) % 27)  # another weight of a tap
        assert (layer.run(run, weights=wrong) != expected).any(), place
    for place in np.ndindex(steps.shape):
        wrong = steps.copy()
        wrong[place] ^= np.uint32(0x02000200)
        assert (layer.run(run, steps=wrong) != expected).any(), place


def test_tables_by_hand():
    kernel = np.zeros((2, 2, 2, 9), np.int8)
    kernel[:, :, :, 8] = [[[-1, 0], [0, 0]], [[1, 1], [-1, -1]]]
    table = first_layer.weights(kernel)
    assert table.dtype == np.uint8 and table.shape == (2, 2, 2, 8)
    assert (table[0] == 52).all() and (table[1, :, :, 1:] == 52).all()
    # Columns: taps -1, 0, 1 | 1 and 0, 0, -1 | -1.
    codes = [[0 + 3 + 2, 18 + 3 + 1], [9 + 3 + 0, 0 + 3 + 1]]
    assert table[1, :, :, 0].tolist() == (4 * np.array(codes)).tolist()
    steps = first_layer.steps(kernel, [[0, 1]] * 8 + [[-5, 6]], 10)
    assert steps.dtype == np.uint32 and steps.shape == (2, 2, 8)
    shift = 10 * (1 + 1 - 1 - 1 - 1)
    assert steps[1, 0, 0] == 0x10001 * (32768 - 6 - shift)
    assert steps[1, 1, 0] == 0x10001 * (65535 - 11)
    assert not steps[1, :, 1:].any()


def test_fits():
    wide = np.array([[-(1 << 30), 1 << 30]] * 3)
    assert first_layer.fits(np.ones((8, 16, 1, 3), np.int8), wide, 0)
    assert not first_layer.fits(np.ones((129, 1, 1, 3), np.int8), wide, 0)
    sparse = np.zeros((10, 10, 3, 3), np.int8)
    sparse[:, :, 0] = -1
    assert first_layer.fits(sparse, wide, 255)
    assert not first_layer.fits(2 * sparse, wide, 255)


@pytest.mark.parametrize("count", [129, 255, 256, 257, 258])
def test_more_weights_fit_around_the_middle(run, count):
    """Every threshold that fits is right for the least sum, the greatest and the threshold itself."""
    kernel = np.ones((count, 1, 1, 2), np.int8)
    kernel[:, :, :, 1] = -1
    inputs = [np.full((count, 1, 1), value, np.uint8) for value in (0, 127, 128, 255)]
    most, fitting = 255 * count, 0
    borders = [0, most - 32768, most // 2, 32768, most]
    for threshold in [border + near for border in borders for near in range(-3, 4)]:
        thresholds = np.array([[threshold] * 2, [-threshold] * 2])
        if not first_layer.fits(kernel, thresholds, 0):
            continue
        fitting += 1
        for x in inputs:
            layer = Layer(x, kernel)
            layer.thresholds = thresholds
            np.testing.assert_array_equal(layer.run(run), layer.expected(), str(threshold))
    assert bool(fitting) == (count <= 256)
