"""The networks that `calibrate.py` fits the costs of pieces of work on: all kinds of layers, random."""

import functools
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from ternary import IMAGE, TRITS, Net

from keras_gxnor import graph as g
from keras_gxnor import rewrites


def _mixed(name, shape, density, *filters, size=3, **options):
    """Convolutions one after the other on an image of trits, and logits."""
    net = Net(name, shape, TRITS, density)
    for count in filters:
        net.conv(count, size, **options).step(density)
    return net.logits(10)


def _mlp(name, inputs, density, *units, order=1, states=1):
    net = Net(name, (inputs,), TRITS, density)
    for count in units:
        net.dense(count, states).step(density, order)
    return net.logits(10)


def _image(name, shape, filters, size=3, pool=2, **options):
    """A first convolution, a pool, one more."""
    net = Net(name, shape).conv(filters, size, **options).step(0.6).pool(pool)
    return net.conv(2 * filters).step(0.4).logits(5)


def _separable(name, shape, channels, size=3, order=1, **options):
    net = Net(name, shape).conv(channels, 3, 2).step()
    for strides in (1, 2):
        net.depthwise(size, strides=strides, **options).step(0.5, order).conv(channels + 16, 1).step(0.4)
    return net.average().logits(10)


def _residual(name, channels, blocks):
    net = Net(name, (12, 12, 3)).conv(channels).step()
    for _ in range(blocks):
        start = net.here
        net.conv(channels).step(0.4).add(g.Add(), start)
    return net.average(2).step(0.5, 2).pool(2).logits(6)


def _joined(name, channels):
    net = Net(name, (10, 10, 2)).conv(channels).step()
    start = net.here
    one = net.conv(channels + 3, 1).step().here
    net.at(start).pool(3, 1, "same").conv(channels - 4, 1).step().add(g.Concat(), one, start)
    return net.conv(24, 3, 2).step().logits(4)


def _states(name, order, states, shape=(10, 10, 2), channels=20):
    net = Net(name, shape).conv(channels, 3, states=states).step(0.6, order).pool()
    net.conv(2 * channels, states=states).step(0.6, order).pool(3, 2).depthwise(states=states).step(
        0.5, order
    )
    return net.dense(40, states).step(0.7, order).logits(12)


def _shapes(name, channels, rows):
    net = Net(name, (8, 8, channels)).add(g.Pad2D(((1, 2), (2, 1)))).conv(channels + 6, 3).step()
    net.average(2).add(g.Pad2D(((1, 1), (0, 2)))).conv(36, 2).step().add(g.Flatten())
    size = net.kind.shape[0]
    return net.add(g.Reshape((rows, size // rows // 12, 12))).conv(9, 3).step().logits(7)


def _vector(name, inputs, units, order=2):
    net = Net(name, (inputs,)).dense(units).step(0.5, order)
    start = net.here
    net.dense(units).step(0.4, order).add(g.Add(), start)
    return net.add(g.Sign(np.resize(np.int8([1, -1, 1]), units))).add(g.Concat(), start).logits(20)


def _sums(name, channels, size, groups=1):
    """Sums that leave the kernels as they are: an image of logits, pools of sums."""
    net = Net(name, (9, 8, 2)).conv(channels, size).step()
    return net.conv(channels + 8, 2, groups=groups).pool(2).logits()


def _relus(name, shape, channels, levels=255, states=1, **options):
    """ReLUs in steps: of convolutions, also depthwise and of many groups, and of a dense layer."""
    net = Net(name, shape).conv(channels, 3, 2, states=states).relu(levels=levels)
    net.depthwise(3, states=states).relu().conv(channels + 8, 1, **options).relu(levels=levels)
    net.conv(channels + 8, groups=(channels + 8) // 4).relu()
    return net.average().dense(40, states).relu().logits(5)


def _bytes(name, shape, first, second, size=3, states=1):
    """Kernels on bytes, a pool of bytes, thresholds of their sums, and logits."""
    net = Net(name, shape).conv(first, 3).relu().conv(second, size, states=states).relu().pool()
    net.conv(first + 8, size, states=states).step(0.5, 2).conv(second, 1).relu()
    return net.conv(9, 1, states=states).relu().dense(5, 127).logits()


def _sums_of_relus(name, shape, channels, states=1, size=3):
    """Codes beyond a byte, and a depthwise convolution of them."""
    net = Net(name, shape).conv(channels).relu()
    start = net.here
    net.conv(channels).relu().add(g.Add(), start)
    return net.depthwise(size, states=states).relu().logits(3)


def _small(name, shape, filters, size=3, strides=1):
    """A first convolution and a hidden one, both small."""
    net = Net(name, shape).conv(filters, size, strides, "valid").step()
    return net.conv(filters + 3, 2, padding="valid").step().logits(4)


def _summed(name, shape, channels, size):
    """Averages with thresholds: convolutions of ones, each channel by itself."""
    net = Net(name, shape).conv(channels).step()
    return net.average(size).step().logits(3)


def _windows(name, shape, channels, size, dilation):
    """A depthwise convolution of codes of many states."""
    net = Net(name, shape).conv(channels).step(0.6, 2)
    return net.depthwise(size, dilation=dilation).step().logits(3)


def _reshaped(name, inputs, shape):
    """A vector made an image."""
    net = Net(name, (30,)).dense(inputs).step().add(g.Reshape(shape)).conv(5, 2, padding="valid").step()
    return net.conv(4, 2).logits()


def _many(name, shape, channels, order):
    """Small layers of many states, pools before the thresholds."""
    net = Net(name, shape).conv(channels).pool().step(0.6, order).conv(channels - 1, 2).step(0.5, order)
    return net.dense(8).step(0.5, order).logits(3)


def _kept(name, shape, channels, size):
    """Depthwise sums that the next kernel reads as codes."""
    net = Net(name, shape).conv(channels).step(0.5).depthwise(size)
    net.add(rewrites.keeping_step(size * size, channels))
    return net.conv(channels + 5, 1).step().logits(3)


def _tokens(name, count, rows, channels):
    net = Net(name, (count,), g.InputSpec("uint8", 1.0, 0))
    net.add(g.Lookup(net.rng.choice(np.int8([-1, 0, 1]), (rows, channels))))
    return net.add(g.Reshape((1, count, channels))).conv(20, (1, 3)).step().logits(3)


@functools.cache
def networks():
    """{name: Net} of the fit."""
    made = [
        *(
            _mixed(f"mixed{i}", *rest)
            for i, rest in enumerate(
                [
                    ((16, 16, 32), 0.5, 32, 64),
                    ((8, 8, 64), 0.3, 64, 32),
                    ((12, 10, 20), 0.8, 48),
                    ((6, 6, 128), 0.5, 96, 33),
                    ((14, 14, 8), 0.4, 16, 40),
                    ((7, 9, 96), 1.0, 32),
                    ((5, 5, 64), 0.1, 64),
                ]
            )
        ),
        _mixed("strided", (15, 15, 24), 0.5, 40, 64, strides=2),
        _mixed("valid5", (14, 14, 16), 0.6, 32, 64, size=5, padding="valid"),
        _mixed("pointwise", (8, 8, 32), 0.4, 64, 128, 48, size=1),
        _mixed("dilated", (12, 12, 16), 0.5, 24, 40, dilation=2),
        _mixed("grouped", (9, 9, 32), 0.5, 48, 64, groups=4),
        _mixed("many_groups", (7, 7, 96), 0.5, 96, 48, groups=24),
        _mixed("many_groups_wide", (6, 6, 128), 0.5, 256, groups=32, strides=2),
        *(
            _mlp(f"mlp{i}", *rest)
            for i, rest in enumerate(
                [
                    (512, 0.5, 512, 256),
                    (2048, 0.3, 128, 64),
                    (100, 0.7, 100, 100),
                    (784, 0.2, 300, 100),
                    (64, 1.0, 32, 32),
                    (3000, 0.5, 32),
                    (33, 0.5, 40, 20),
                ]
            )
        ),
        _mlp("mlp_states", 200, 0.6, 96, 64, order=2),
        _mlp("mlp_weights", 300, 0.6, 96, 40, states=4),
        *(
            _image(f"image{i}", *rest)
            for i, rest in enumerate(
                [
                    ((28, 28, 1), 32, 5),
                    ((16, 16, 3), 16),
                    ((20, 21, 1), 8),
                    ((12, 12, 3), 24, 5),
                    ((9, 9, 4), 40),
                ]
            )
        ),
        *(
            _image(f"image_whole{i}", *rest, padding="valid")
            for i, rest in enumerate(
                [
                    ((24, 24, 1), 24, 5),
                    ((16, 16, 3), 16),
                    ((10, 10, 2), 12),
                    ((6, 6, 1), 8),
                    ((12, 12, 1), 40),
                ]
            )
        ),
        _image("image_strided", (25, 24, 3), 16, 3, 3, strides=2),
        _image("image_valid", (15, 15, 1), 12, 7, (3, 2), padding="valid"),
        *(
            _separable(f"separable{i}", *rest)
            for i, rest in enumerate(
                [
                    ((20, 20, 1), 16),
                    ((16, 16, 3), 32),
                    ((24, 24, 1), 48),
                    ((12, 12, 1), 64, 5),
                ]
            )
        ),
        _separable("separable_states", (16, 16, 1), 24, 3, 2),
        _separable("separable_dilated", (16, 16, 1), 32, 3, dilation=2),
        *(_residual(f"residual{i}", *rest) for i, rest in enumerate([(16, 1), (40, 3), (33, 5)])),
        *(_joined(f"joined{i}", channels) for i, channels in enumerate([8, 20, 40])),
        *(
            _states(f"states{i}", *rest)
            for i, rest in enumerate([(2, 1), (3, 2), (1, 4), (0, 1), (2, 2, (6, 6, 1), 40)])
        ),
        *(_shapes(f"shapes{i}", *rest) for i, rest in enumerate([(2, 7), (7, 3), (34, 21)])),
        *(_vector(f"vector{i}", *rest) for i, rest in enumerate([(20, 30), (70, 40, 1), (9, 100)])),
        *(_sums(f"sums{i}", *rest) for i, rest in enumerate([(8, 3), (40, 3), (24, 5), (96, 3, 8)])),
        *(
            _relus(f"relus{i}", *rest)
            for i, rest in enumerate(
                [
                    ((10, 10, 1), 16),
                    ((8, 8, 3), 40),
                    ((9, 9, 2), 24, 100),
                    ((8, 8, 1), 16, 255, 127),
                    ((7, 7, 4), 88, 15),
                    ((12, 12, 1), 56, 200, 31),
                ]
            )
        ),
        *(
            Net(f"relus_bytes{i}", shape).conv(filters, states=127).step().conv(8).relu().logits(3)
            for i, (shape, filters) in enumerate([((9, 9, 1), 12), ((8, 8, 3), 33), ((5, 6, 4), 64)])
        ),
        *(
            Net(f"relus_vector{i}", (inputs,), IMAGE).dense(units, 127).step().dense(40).relu().logits(3)
            for i, (inputs, units) in enumerate([(30, 20), (200, 64)])
        ),
        *(
            _sums_of_relus(f"relus_summed{i}", *rest)
            for i, rest in enumerate([((9, 9, 2), 16), ((8, 7, 3), 40, 127), ((12, 12, 1), 64, 1, 5)])
        ),
        *(
            _bytes(f"relus_u8_{i}", *rest)
            for i, rest in enumerate(
                [
                    ((9, 9, 3), 16, 24),
                    ((7, 7, 1), 40, 64),
                    ((8, 8, 2), 24, 32, 1),
                    ((6, 6, 2), 64, 96, 1),
                    ((7, 8, 3), 12, 20, 3, 90),
                    ((6, 6, 1), 48, 33, 1, 127),
                ]
            )
        ),
        *(
            _small(f"small{i}", *rest)
            for i, rest in enumerate(
                [
                    ((6, 6, 1), 2),
                    ((7, 7, 1), 6),
                    ((9, 9, 2), 5),
                    ((5, 8, 3), 9),
                    ((11, 11, 1), 12, 4, 3),
                    ((8, 8, 4), 7, 2, 1),
                    ((10, 6, 2), 4, 3, 2),
                    ((13, 13, 1), 8, 5, 1),
                ]
            )
        ),
        *(
            _summed(f"summed{i}", *rest)
            for i, rest in enumerate(
                [
                    ((12, 12, 1), 6, 12),
                    ((8, 8, 2), 20, 8),
                    ((9, 9, 3), 40, 3),
                    ((10, 10, 1), 5, 5),
                ]
            )
        ),
        *(
            _windows(f"windows{i}", *rest)
            for i, rest in enumerate(
                [
                    ((8, 8, 3), 6, 3, 2),
                    ((10, 10, 2), 12, 3, 1),
                    ((9, 7, 3), 40, 2, 1),
                    ((7, 7, 1), 3, 5, 1),
                ]
            )
        ),
        *(
            _reshaped(f"reshaped{i}", *rest)
            for i, rest in enumerate(
                [
                    (24, (4, 3, 2)),
                    (96, (4, 4, 6)),
                    (48, (2, 3, 8)),
                    (160, (4, 2, 20)),
                ]
            )
        ),
        *(
            _kept(f"kept{i}", *rest)
            for i, rest in enumerate(
                [((9, 9, 2), 32, 3), ((6, 7, 3), 40, 5), ((12, 8, 1), 16, 2), ((5, 5, 4), 96, 3)]
            )
        ),
        *(
            _tokens(f"tokens{i}", *rest)
            for i, rest in enumerate([(20, 200, 32), (50, 256, 7), (9, 30, 100), (100, 64, 64)])
        ),
        *(
            _many(f"many{i}", *rest)
            for i, rest in enumerate([((9, 7, 2), 6, 3), ((8, 8, 1), 24, 2), ((6, 6, 3), 9, 4)])
        ),
        *(
            _mlp(f"small_mlp{i}", *rest)
            for i, rest in enumerate(
                [
                    (8, 0.6, 12),
                    (20, 0.5, 30, 20),
                    (48, 0.4, 48),
                    (30, 0.8, 9, 9),
                ]
            )
        ),
        *(
            _mlp(f"many_mlp{i}", inputs, 0.5, units, order=order)
            for i, (inputs, units, order) in enumerate(
                [
                    (30, 9, 7),
                    (60, 40, 4),
                    (25, 20, 3),
                ]
            )
        ),
        Net("many_conv0", (9, 8, 2)).conv(9).step(0.6, 3).pool().conv(5, 2).step().logits(3),
        Net("many_conv1", (7, 7, 3)).conv(20).step(0.6, 4).conv(12, 2).step().logits(3),
        Net("many_conv2", (8, 8, 16), TRITS, 0.5).conv(40).step(0.6, 3).pool().logits(3),
        Net("average", (8, 8, 2)).average(2).conv(12).step().average().add(g.Flatten()).add(g.Divide(16)),
        Net("average_wide", (8, 8, 2)).conv(40).step().average(3, 2).add(g.Flatten()).add(g.Divide(9)),
        Net("steps", (9, 9, 3), IMAGE).step().pool(2).step(0.7).conv(30).step().logits(40),
    ]
    return {net.name: net for net in made}
