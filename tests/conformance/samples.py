"""Sample graphs: small nets with every awkward size, each with its input codes.

Built straight from graph operations, with no Keras and no training, so that a
back end can be tested alone. `SAMPLES` maps a name to a zero-argument builder, `ALL` has some of
`mixed.py` too, which together call everything that C has for them.
"""

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.spaces import DiscreteSpace
from tests.conformance.chain import BINARY, Chain
from tests.conformance.mixed import MIXED
from tests.conformance.moves import MOVES


def inputs(graph, batch=8, seed=0):
    """Random codes of the whole input range, with the all-lowest and all-highest image."""
    rng, found = np.random.default_rng(seed), []
    for op in graph.inputs:
        limits = np.iinfo(op.spec.dtype)
        x = rng.integers(limits.min, limits.max + 1, (batch, *op.shape))
        x[0], x[1] = limits.min, limits.max
        found.append(x.astype(op.spec.dtype))
    return found[0] if len(found) == 1 else tuple(found)


def same(made, graph, x) -> bool:
    """Whether the logits `made` are those of the reference, at every output."""
    parts = [y if isinstance(y, tuple) else (y,) for y in (made, reference.run(graph, x))]
    return all(np.array_equal(a, b.astype(np.float32)) for a, b in zip(*parts, strict=True))


def _small_cnn(name, seed=0):
    c = Chain(name, (12, 12, 1), seed=seed)
    return c.conv(8).step().pool().conv(16).step().flatten().dense(10).logits()


def _mnist_like(name):
    c = Chain(name, (20, 20, 1)).conv(16, 5).pool().step().conv(32, 5).pool().step()
    return c.flatten().dense(64).step().dense(10).logits()


_BUILDERS = {
    "dense_only": lambda n: Chain(n, (7,)).dense(3).logits(),
    "dense_no_affine_bias": lambda n: Chain(n, (40,)).dense(33).step().dense(2).logits(),
    "dense_one_by_one": lambda n: Chain(n, (1,)).dense(1).step().dense(1).logits(),
    "dense_word_border_31": lambda n: Chain(n, (31,)).dense(31).step().dense(31).step().dense(5).logits(),
    "dense_word_border_32": lambda n: Chain(n, (32,)).dense(32).step().dense(32).step().dense(5).logits(),
    "dense_word_border_33": lambda n: Chain(n, (33,)).dense(33).step().dense(33).step().dense(5).logits(),
    "dense_100": lambda n: Chain(n, (64,)).dense(100).step().dense(100).step().dense(10).logits(),
    "dense_all_flipped": lambda n: Chain(n, (20,)).dense(40).step(flip=1).dense(4).logits(),
    "dense_extreme": lambda n: Chain(n, (24,)).dense(50).step(extreme=True).dense(50).step(extreme=True).dense(3).logits(),
    "dense_two_stage_logits": lambda n: Chain(n, (16,)).dense(16).step().dense(4).logits(stages=2),
    "dense_int8_input": lambda n: Chain(n, (30,), g.InputSpec("int8", 1 / 64, -3)).dense(20).step().dense(4).logits(),
    "dense_uint8_zero_point_0": lambda n: Chain(n, (30,), g.InputSpec("uint8", 1 / 255, 0)).dense(20).step().dense(4).logits(),
    "dense_binary": lambda n: Chain(n, (48,)).dense(48, zeros=0).step(space=BINARY).dense(48, zeros=0).step(space=BINARY).dense(6).logits(),
    "dense_sparse": lambda n: Chain(n, (48,)).dense(48, zeros=0.95).step().dense(48, zeros=1).step().dense(6).logits(),
    "dense_wide_logits": lambda n: Chain(n, (20,)).dense(12).step().dense(70).logits(),
    "cnn_small": _small_cnn,
    "cnn_mnist_like": _mnist_like,
    "cnn_odd_5x7x3": lambda n: Chain(n, (5, 7, 3)).conv(5, (3, 2)).step().conv(7, (2, 3)).step().flatten().dense(3).logits(),
    "cnn_same": lambda n: Chain(n, (9, 6, 2)).conv(33, 3, padding="same").step().conv(31, 4, padding="same").step().pool().flatten().dense(4).logits(),
    "cnn_stride_2_same": lambda n: Chain(n, (11, 10, 3)).conv(12, 3, 2, "same").step().conv(34, 3, 2, "same").step().flatten().dense(5).logits(),
    "cnn_stride_3_valid": lambda n: Chain(n, (13, 13, 1)).conv(10, 4, 3).step().conv(8, 2, (2, 1)).step().flatten().dense(5).logits(),
    "cnn_dilated": lambda n: Chain(n, (12, 13, 2)).conv(9, 3, dilation=2).step().conv(8, 3, padding="same", dilation=(2, 3)).step().flatten().dense(5).logits(),
    "cnn_grouped": lambda n: Chain(n, (8, 8, 4)).conv(8, 3, groups=2).step().conv(64, 3, groups=2).step().conv(12, 1, groups=4).step().flatten().dense(5).logits(),
    "cnn_100_channels": lambda n: Chain(n, (6, 6, 3)).conv(100).step().conv(65, 2).step().flatten().dense(10).logits(),
    "cnn_1_channel": lambda n: Chain(n, (6, 6, 1)).conv(1).step().conv(1).step().flatten().dense(2).logits(),
    "cnn_1x1": lambda n: Chain(n, (4, 5, 6)).conv(40, 1).step().conv(9, 1).step().flatten().dense(3).logits(),
    "cnn_pool_before_flipped": lambda n: Chain(n, (10, 10, 2)).conv(12).pool().step(flip=0.6).conv(12, 2).pool().step(flip=0.6).flatten().dense(4).logits(),
    "cnn_pool_before_then_after": lambda n: Chain(n, (14, 14, 1)).conv(36).pool().step(flip=0.5).pool().conv(8, 2).step().flatten().dense(4).logits(),
    "cnn_pool_twice_before": lambda n: Chain(n, (14, 14, 1)).conv(10).pool(2).pool(2).step(flip=0.5).flatten().dense(4).logits(),
    "cnn_pool_overlapping_same": lambda n: Chain(n, (9, 9, 2)).conv(20, padding="same").step().pool(3, 2, "same").conv(6).step().flatten().dense(4).logits(),
    "cnn_pool_overlapping_before": lambda n: Chain(n, (9, 9, 2)).conv(20, padding="same").pool(3, 2, "same").step(flip=0.5).conv(6).step().flatten().dense(4).logits(),
    "cnn_pool_flatten_flipped": lambda n: Chain(n, (8, 8, 1)).conv(40).pool().step(flip=0.5).flatten().dense(20).step().dense(3).logits(),
    "cnn_extreme": lambda n: Chain(n, (8, 8, 2)).conv(35).pool().step(extreme=True).conv(14, 2).step(extreme=True).flatten().dense(3).logits(),
    "cnn_conv_logits": lambda n: Chain(n, (8, 8, 1)).conv(6).step().conv(3, 6).flatten().logits(),
    "cnn_spatial_logits": lambda n: Chain(n, (8, 8, 1)).conv(6).step().conv(3, 3, padding="same").logits(),
    "cnn_input_pool": lambda n: Chain(n, (9, 8, 2)).pool(2, 2, "same").conv(9).step().flatten().dense(4).logits(),
    "image_flatten_dense": lambda n: Chain(n, (6, 5, 3)).flatten().dense(37).step().dense(4).logits(),
    "conv_only": lambda n: Chain(n, (7, 6, 2)).conv(5, padding="same").logits(),
    "conv_pool_logits": lambda n: Chain(n, (9, 9, 1)).conv(6).step().conv(3).pool(3).flatten().logits(),
    "cnn_int8_input": lambda n: Chain(n, (8, 8, 2), g.InputSpec("int8", 1 / 128, 0)).conv(16, padding="same").step().pool().flatten().dense(4).logits(),
}


def _residual(name, blocks=2, seed=0):
    """conv, then blocks of x + step(conv(x)): codes in -3..3 by the end."""
    c = Chain(name, (8, 8, 2), seed=seed).conv(12, padding="same").step()
    for _ in range(blocks):
        start = c.here
        c.conv(12, padding="same").step().plus(start)
    return c.average(None).dense(5).logits().graph()


def _residual_step(name):
    """The sum is thresholded again: a Threshold of codes, after an image and after a vector."""
    c = Chain(name, (6, 6, 3)).conv(8, padding="same").step()
    start = c.here
    c.conv(8, padding="same").step().plus(start).step(flip=0.5).flatten().dense(20).step()
    start = c.here
    c.dense(20).step().plus(start).step(flip=0.5).dense(4).logits()
    return c.graph()


def _inception(name):
    c = Chain(name, (8, 8, 3)).conv(6, padding="same").step()
    start = c.here
    one = c.conv(4, 1).step().here
    three = c.at(start).conv(5, 3, padding="same").step(flip=0.5).here
    c.at(start).pool(3, 1, "same").conv(3, 1).step().join(one, three)
    return c.conv(8, 3).step().flatten().dense(4).logits().graph()


def _inception_wide(name):
    """Branches that begin and end within words: channels 0 to 39, 40 to 72, 73 to 103."""
    c = Chain(name, (4, 3, 3)).conv(40, 2).step()
    start = c.here
    one = c.conv(33, 1).step(flip=0.5).here
    two = c.at(start).conv(31, 1).step(space=Z[2]).here
    return c.at(start).join(one, two).conv(6, 2).step().flatten().dense(4).logits().graph()


def _densenet(name):
    """Every layer reads all before it; the joined codes are normalized again."""
    c = Chain(name, (6, 6, 2)).conv(5, padding="same").step()
    for _ in range(3):
        start = c.here
        c.step(flip=0.4).conv(4, padding="same").step().join(start)
    return c.average(2).conv(6, 1).step().average(None).dense(3).logits().graph()


def _two_inputs(name, sum_branches=False):
    c = Chain(name, (8, 8, 1)).input((11,), g.InputSpec("int8", 1 / 64, 3))
    image = c.at(0).conv(6).step().pool().flatten().dense(9).step().here
    c.at(1).dense(9).step()
    (c.plus if sum_branches else c.join)(image)
    return c.dense(12).step().dense(3).logits().graph()


def _two_outputs(name):
    c = Chain(name, (8, 8, 2)).conv(8).step()
    body = c.here
    first = c.pool().flatten().dense(4).logits().here
    second = c.at(body).conv(3, 2).logits().here
    return c.graph(first, second)


def _same_sums_twice(name):
    """One kernel, read by two thresholds and by the logits."""
    c = Chain(name, (20,)).dense(16)
    sums = c.here
    a = c.step(flip=0.5).here
    b = c.at(sums).step(flip=0.2).plus(a).dense(3).logits().here
    return c.graph(b, c.at(sums).logits().here)


def _mobile(name):
    c = Chain(name, (12, 12, 1)).conv(8, 3, 2, "same").step()
    for filters, strides in ((16, 1), (16, 2), (24, 1)):
        c.depthwise(3, strides=strides, padding="same").step().conv(filters, 1).step(flip=0.5)
    return c.average(None).dense(5).logits()


def _conv1d(name):
    """A sequence of 40 steps of 3 channels as an image of height 1."""
    c = Chain(name, (40, 3)).add(g.Reshape((1, 40, 3))).conv(10, (1, 5), (1, 2)).step()
    return c.conv(9, (1, 3), dilation=(1, 2)).pool((1, 2)).step(flip=0.5).flatten().dense(4).logits()


Z = {order: DiscreteSpace(order) for order in range(8)}
_GRAPHS = {
    "residual": _residual,
    "residual_deep": lambda n: _residual(n, 6, 1),
    "residual_step": _residual_step,
    "inception": _inception,
    "inception_wide": _inception_wide,
    "densenet": _densenet,
    "two_inputs_joined": _two_inputs,
    "two_inputs_added": lambda n: _two_inputs(n, True),
    "two_outputs": _two_outputs,
    "same_sums_twice": _same_sums_twice,
    **MOVES,
}
_BUILDERS |= {
    "mobile": _mobile,
    "conv1d": _conv1d,
    "depthwise_multiplier": lambda n: Chain(n, (9, 9, 3)).depthwise(3, multiplier=2).step().depthwise(2, strides=(2, 2)).step().flatten().dense(3).logits(),
    "depthwise_dilated_same": lambda n: Chain(n, (9, 9, 4)).conv(5, 1).step().depthwise(3, dilation=2, padding="same").step().flatten().dense(3).logits(),
    "cnn_many_groups": lambda n: Chain(n, (4, 4, 2)).conv(96, 1).step().conv(96, 3, groups=32).step(flip=0.4).conv(96, 2, groups=24).step(space=Z[2]).conv(96, 1, groups=32).logits(),
    "grouped_logits": lambda n: Chain(n, (5, 5, 2)).conv(6).step().conv(4, 2, groups=2).logits(),
    "depthwise_z2": lambda n: Chain(n, (8, 7, 3)).conv(33, 1).step(space=Z[2]).depthwise(3, padding="same", space=Z[2]).step(space=Z[2], flip=0.5).depthwise(2).step(space=Z[2]).flatten().dense(3).logits(),
    "average_codes_2x2": lambda n: Chain(n, (9, 8, 2)).conv(7).step().average(2).conv(6, 2).step().flatten().dense(3).logits(),
    "average_codes_same": lambda n: Chain(n, (9, 8, 2)).conv(7).step().average(3, 2, "same").conv(6, 2).step().flatten().dense(3).logits(),
    "average_sums_2x2": lambda n: Chain(n, (9, 8, 2)).conv(7).average(2).step(flip=0.5).conv(6, 2).step().flatten().dense(3).logits(),
    "average_sums_overlapping": lambda n: Chain(n, (10, 9, 2)).conv(7, 3, 2).average(2, 1).step(flip=0.5).flatten().dense(3).logits(),
    "average_then_step": lambda n: Chain(n, (9, 9, 2)).conv(7).step().average(3).step(flip=0.5).conv(4, 2).step().flatten().dense(3).logits(),
    "average_input": lambda n: Chain(n, (8, 8, 2)).average(2).conv(5, 2).logits(),
    "average_sums_max_step": lambda n: Chain(n, (10, 10, 2)).conv(5).average(2).pool().step(flip=0.5).flatten().dense(3).logits(),
    "global_average": lambda n: Chain(n, (7, 7, 2)).conv(9, padding="same").step().average(None).dense(4).logits(),
    "global_average_wide": lambda n: Chain(n, (14, 14, 1)).conv(6, padding="same").step().average(None).dense(4).logits(),
    "global_average_step": lambda n: Chain(n, (9, 9, 1)).conv(6, padding="same").step().average(None).step(flip=0.5).dense(8).step().dense(4).logits(),
    "global_average_wide_step": lambda n: _wide_average_step(n),
    "global_average_divided": lambda n: Chain(n, (7, 7, 2)).conv(4, padding="same").step().average(None).add(g.Divide(49)).logits(),
    "global_max": lambda n: Chain(n, (7, 7, 2)).conv(9, padding="same").pool(7).step(flip=0.5).flatten().dense(4).logits(),
    "zero_padding": lambda n: Chain(n, (7, 6, 2)).add(g.Pad2D(((1, 2), (0, 3)))).conv(9).step().add(g.Pad2D(((2, 0), (1, 1)))).conv(5, strides=2).step().flatten().dense(4).logits(),
    "step_of_input": lambda n: Chain(n, (7, 6, 2)).step(flip=0.5).conv(9).step().flatten().dense(4).logits(),
    "step_of_vector": lambda n: Chain(n, (30,)).step(flip=0.5).dense(9).step().dense(4).logits(),
    "step_of_max": lambda n: Chain(n, (8, 8, 2)).conv(5).step().pool().step(flip=0.5).conv(4, 2).step().flatten().dense(3).logits(),
    "reshape": lambda n: Chain(n, (24,)).dense(24).step().add(g.Reshape((4, 3, 2))).conv(5, 2).step().add(g.Reshape((2, 3, 5))).conv(4, 2).logits(),
    "asymmetric_strides": lambda n: Chain(n, (11, 13, 3)).conv(9, (3, 5), (3, 2), "same").step().conv(5, (2, 1), (1, 3)).step().flatten().dense(3).logits(),
    "z2": lambda n: Chain(n, (9, 8, 2)).conv(6).step(space=Z[2]).pool().conv(5, 2).step(space=Z[2], flip=0.5).flatten().dense(3).logits(),
    "z3_pool_before": lambda n: Chain(n, (9, 8, 2)).conv(6).pool().step(space=Z[3], flip=0.5).conv(5, 2).step().flatten().dense(3).logits(),
    "z4_dense": lambda n: Chain(n, (30,)).dense(20).step(space=Z[4]).dense(8).step(space=Z[4]).dense(3).logits(),
    "z7_activation": lambda n: Chain(n, (30,)).dense(9).step(space=Z[7]).dense(8).step().dense(3).logits(),
    "z2_weights": lambda n: Chain(n, (9, 8, 2)).conv(6, space=Z[2]).step().conv(5, 2, space=Z[2]).step(flip=0.5).flatten().dense(3, space=Z[2]).logits(),
    "z5_weights": lambda n: Chain(n, (30,)).dense(20, space=Z[5]).step().dense(8, space=Z[5]).step(space=Z[3]).dense(3, space=Z[7]).logits(),
    "binary_all": lambda n: Chain(n, (9, 8, 2)).conv(9, space=Z[0]).step(space=BINARY).pool().conv(5, 2, space=Z[0]).step(space=BINARY, flip=0.5).flatten().dense(3, space=Z[0]).logits(),
    "sign_of_sign": lambda n: Chain(n, (9,)).add(g.Sign(np.int8([1, -1, -1] * 3))).add(g.Sign(np.int8([-1, 1, -1] * 3))).dense(4).logits(),
    "sign_of_input": lambda n: Chain(n, (9,), g.InputSpec("uint8", 1 / 8, 3)).add(g.Sign(np.int8([1, -1, 1] * 3))).plus(0).dense(4).logits(),
    "logits_beyond_int16": lambda n: Chain(n, (600,)).dense(4, zeros=0).logits(),
}


def _wide_average_step(name):
    c = Chain(name, (14, 14, 1)).conv(6, padding="same").step()
    c.add(g.SumPool2D((14, 14), (14, 14))).step(flip=0.5)
    return c.flatten().dense(4).logits()


SAMPLES = {name: (lambda n=name, b=build: b(n).graph()) for name, build in _BUILDERS.items()}
SAMPLES |= {name: (lambda n=name, b=build: b(n)) for name, build in _GRAPHS.items()}
SOME_MIXED = """cnn_100 dense dense_int8 depthwise grouped extreme_cnn max_before max_after relu_of_input
residual_relu segments two_outputs""".split()
ALL = SAMPLES | {name: MIXED[name] for name in (f"mixed_{name}" for name in SOME_MIXED)}
