"""Sample graphs of mixed networks: 8-bit ReLU activations and 8-bit weights beside ternary ones."""

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.spaces import DiscreteSpace
from tests.conformance.chain import Chain

INT8 = 127  # kernels -127..127
BYTES = g.InputSpec("uint8", 1 / 256, 0)
Z2 = DiscreteSpace(2)


def _chain(name, shape, spec=BYTES):
    return Chain(name, shape, spec)


def _cnn(name, space=None, first=None, levels=255):
    """conv -> BN -> ReLU -> conv -> BN -> ternary -> dense."""
    c = _chain(name, (9, 8, 3)).conv(12, 3, space=first).relu(levels)
    return c.conv(10, 3, space=space).step().flatten().dense(5, space=first).logits().graph()


def _mobile(name):
    c = _chain(name, (12, 12, 1)).conv(8, 3, 2, "same", space=INT8).relu()
    for filters, strides in ((16, 1), (35, 2)):
        c.depthwise(3, strides=strides, padding="same").relu().conv(filters, 1).relu(stages=2)
    return c.average(None).dense(5, space=INT8).logits().graph()


def _residual(name, relu_of_sum=False):
    c = _chain(name, (7, 6, 2)).conv(12, padding="same").relu()
    for _ in range(2):
        start = c.here
        c.conv(12, padding="same").relu().plus(start)
        if relu_of_sum:
            c.relu(falling=0)
    return c.average(None).dense(5).logits().graph()


def _inception(name):
    """Bytes, trits and codes of another range side by side."""
    c = _chain(name, (8, 8, 3)).conv(6, padding="same").relu()
    start = c.here
    one = c.conv(4, 1).relu(15).here
    three = c.at(start).conv(5, 3, padding="same").step().here
    c.at(start).pool(3, 1, "same").conv(33, 1).relu().join(one, three)
    return c.conv(8, 3).step().flatten().dense(4).logits().graph()


def _two_inputs(name):
    c = _chain(name, (6, 6, 1)).input((11,), g.InputSpec("int8", 1 / 64, 3))
    image = c.at(0).conv(6).relu().pool().flatten().dense(9).relu().here
    return c.at(1).dense(9, space=INT8).relu(stages=2).plus(image).dense(3).logits().graph()


def _two_outputs(name):
    """The floats of a ReLU, its codes, and what another layer makes of them."""
    c = _chain(name, (6, 5, 2)).conv(5)
    sums = c.here
    floats = c.logits().here
    codes = c.add(g.Quantize(0.25, 255)).here
    last = c.flatten().dense(4).logits().here
    return c.at(sums).graph(last, codes, floats)


def _twice(name):
    """Sums with two ReLUs and a ternary step."""
    c = _chain(name, (20,)).dense(16)
    sums = c.here
    a = c.relu().here
    b = c.at(sums).step(flip=0.5).here
    return c.at(sums).relu(63).plus(a, b).dense(3).logits().graph()


def _largest_sums(name):
    """Sums of uint8 times int8 as large as they may be, just below 2^24."""
    c = _chain(name, (512,)).add(g.Affine(np.ones(512, np.float32), np.zeros(512, np.float32)))
    kernel = c.add(g.Quantize(1.0, 255)).weights((512, 20), 0, INT8)
    kernel[:, 0], kernel[:, 1], kernel[::2, 2], kernel[1::2, 2] = 127, -127, 127, -127
    return c.add(g.Dense(kernel)).relu(extreme=True).dense(3).logits().graph()


_GRAPHS = {
    "mixed_cnn": _cnn,
    "mixed_cnn_int8": lambda n: _cnn(n, INT8, INT8),
    "mixed_cnn_int8_ends": lambda n: _cnn(n, None, INT8),
    "mixed_cnn_z2": lambda n: _cnn(n, Z2),
    "mixed_cnn_15": lambda n: _cnn(n, None, None, 15),
    "mixed_cnn_100": lambda n: _cnn(n, INT8, None, 100),
    "mixed_cnn_1": lambda n: _cnn(n, None, None, 1),
    "mixed_mobile": _mobile,
    "mixed_residual": _residual,
    "mixed_residual_relu": lambda n: _residual(n, True),
    "mixed_inception": _inception,
    "mixed_two_inputs": _two_inputs,
    "mixed_two_outputs": _two_outputs,
    "mixed_twice": _twice,
    "mixed_largest_sums": _largest_sums,
}
_BUILDERS = {
    "mixed_dense": lambda n: _chain(n, (40,)).dense(33).relu(100).dense(20).relu().dense(3).logits(),
    "mixed_dense_int8": lambda n: _chain(n, (40,)).dense(33, space=INT8).relu().dense(20, space=INT8).relu().dense(3, space=INT8).logits(),
    "mixed_dense_wide": lambda n: _chain(n, (70,)).dense(100).relu(stages=2).dense(65).step().dense(70, space=INT8).logits(),
    "mixed_int8_on_trits": lambda n: _chain(n, (9, 8, 2)).conv(12).step().conv(10, space=INT8).step().conv(6, 2, space=INT8).relu().flatten().dense(3, space=INT8).logits(),
    "mixed_int8_input": lambda n: Chain(n, (8, 8, 2), g.InputSpec("int8", 1 / 128, 0)).conv(9, space=INT8, padding="same").relu().pool().flatten().dense(4).logits(),
    "mixed_odd_zero": lambda n: Chain(n, (7, 6, 3), g.InputSpec("int8", 1 / 64, -5)).conv(9, padding="same").relu().conv(5, 2, space=INT8).step().flatten().dense(3).logits(),
    "mixed_odd_zero_int8": lambda n: Chain(n, (7, 6, 3), g.InputSpec("uint8", 1 / 64, 100)).conv(9, space=INT8, padding="same").relu().flatten().dense(3).logits(),
    "mixed_segments": lambda n: _chain(n, (7, 5, 3)).conv(34, padding="same").relu().conv(75, padding="same", strides=(2, 1)).relu().conv(9, 1).relu().conv(7, 2).relu(9).flatten().dense(3).logits(),
    "mixed_depthwise": lambda n: _chain(n, (9, 9, 3)).conv(40, 2).relu().depthwise(3, space=INT8).step().depthwise(2, padding="same").relu().depthwise(3, multiplier=2).relu().flatten().dense(3).logits(),
    "mixed_grouped": lambda n: _chain(n, (6, 6, 2)).conv(96, 1).relu().conv(96, 3, groups=32).relu().conv(8, 2, groups=2).step().flatten().dense(3).logits(),
    "mixed_max_before": lambda n: _chain(n, (12, 11, 2)).conv(10).pool().relu().conv(34, 2).pool(2, 1, "same").relu(falling=0).flatten().dense(3).logits(),
    "mixed_max_after": lambda n: _chain(n, (12, 11, 2)).conv(10).relu().pool(3, 2, "same").conv(9, 2).relu().pool().flatten().dense(3).logits(),
    "mixed_average_before": lambda n: _chain(n, (10, 10, 2)).conv(9).average(2).relu(divisor=4).conv(8, 2).average(2, 1).relu(divisor=4, falling=0).flatten().dense(3).logits(),
    "mixed_average_after": lambda n: _chain(n, (10, 10, 2)).conv(9).relu().average(2).conv(8, 2).step().flatten().dense(3).logits(),
    "mixed_global_average": lambda n: _chain(n, (9, 9, 2)).conv(9, padding="same").relu().average(None).dense(20, space=INT8).relu().dense(3).logits(),
    "mixed_global_max": lambda n: _chain(n, (7, 7, 2)).conv(9).pool(5).relu().flatten().dense(3).logits(),
    "mixed_relu_of_average": lambda n: _chain(n, (9, 9, 2)).conv(9).relu().average(2).relu(divisor=4, falling=0).conv(4, 2).step().flatten().dense(3).logits(),
    "mixed_relu_of_input": lambda n: _chain(n, (7, 6, 3)).relu(divisor=1).conv(8, 2).relu(stages=2).flatten().dense(3).logits(),
    "mixed_step_of_relu": lambda n: _chain(n, (7, 6, 3)).conv(8, 2).relu().step(flip=0.5).conv(5, 2).relu().flatten().dense(3).logits(),
    "mixed_stages": lambda n: _chain(n, (30,)).dense(40).relu(stages=3).dense(9).relu(stages=2, falling=1).dense(3).logits(),
    "mixed_extreme": lambda n: _chain(n, (30,)).dense(40, space=INT8).relu(extreme=True).dense(40, space=INT8).relu(stages=2, extreme=True).dense(3).logits(),
    "mixed_extreme_cnn": lambda n: _chain(n, (8, 8, 2)).conv(40).pool().relu(stages=2, extreme=True).conv(20, 2).relu(extreme=True).flatten().dense(3).logits(),
    "mixed_pad": lambda n: _chain(n, (7, 6, 2)).conv(9).relu().add(g.Pad2D(((2, 0), (1, 1)))).conv(5, strides=2).relu().add(g.Pad2D(((0, 1), (1, 0)))).conv(4, 2).logits(),
    "mixed_reshape": lambda n: _chain(n, (24,)).dense(24).relu().add(g.Reshape((4, 3, 2))).conv(5, 2).relu().add(g.Reshape((2, 3, 5))).conv(4, 2).logits(),
    "mixed_codes_out": lambda n: _chain(n, (7, 6, 2)).conv(9).relu(),
    "mixed_sums_out": lambda n: _chain(n, (7, 6, 2)).conv(9).relu().flatten().dense(40, space=INT8),
    "mixed_conv1d": lambda n: _chain(n, (30, 3)).add(g.Reshape((1, 30, 3))).conv(10, (1, 5), (1, 2)).relu().conv(9, (1, 3), dilation=(1, 2)).relu().flatten().dense(4).logits(),
    "mixed_strided_dilated": lambda n: _chain(n, (13, 12, 2)).conv(9, 3, 2, "same").relu().conv(8, 3, padding="same", dilation=(2, 1)).relu().flatten().dense(4).logits(),
}

MIXED = {name: (lambda n=name, b=build: b(n).graph()) for name, build in _BUILDERS.items()}
MIXED |= {name: (lambda n=name, b=build: b(n)) for name, build in _GRAPHS.items()}
