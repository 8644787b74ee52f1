"""Sample graphs of sequences, look-ups and moved pixels: what 1-D, separable and transposed layers become."""

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import rewrites
from keras_gxnor.spaces import DiscreteSpace
from tests.conformance.chain import Chain

TOKENS = g.InputSpec("uint8", 1.0, 0)


def _image(c):
    """A sequence (steps, channels) as an image of height 1."""
    return c.add(g.Reshape((1, *c.type.shape)))


def _sequence(c):
    """The image of height 1 as a sequence again."""
    return c.add(g.Reshape(c.type.shape[1:]))


def _kept(c):
    """The step that makes codes of small sums: each its own."""
    most = int(max(-c.type.low.min(), c.type.high.max()))
    return c.add(rewrites.keeping_step(most, c.type.shape[-1]))


def _paper_1d(name):
    """kernel, pool, step, each as a sequence between: reshapes around all of them."""
    c = Chain(name, (30, 3))
    for filters in (10, 33):
        _sequence(_image(c).conv(filters, (1, 3)))
        _sequence(_image(c).pool((1, 2), None)).step(flip=0.5)
    return _sequence(_image(c).average((1, 2))).flatten().dense(4).logits().graph()


def _causal_1d(name):
    c = Chain(name, (17, 4))
    for dilation in (1, 2, 4):
        _image(c).add(g.Pad2D(((0, 0), (2 * dilation, 0))))
        _sequence(c.conv(9, (1, 3), dilation=(1, dilation))).step(flip=0.4)
    return _sequence(_image(c).average((1, 17))).logits().graph()


def _separable(name, multiplier=1):
    """Depthwise sums that a pointwise kernel reads as codes."""
    c = Chain(name, (8, 7, 2)).conv(40, 2).step()
    for filters in (12, 35):
        _kept(c.depthwise(3, padding="same", multiplier=multiplier)).conv(filters, 1).step(flip=0.3)
    return c.average(None).dense(4).logits().graph()


def _dense_after_dense(name):
    return _kept(Chain(name, (20,)).dense(30).step().dense(9, zeros=0.5)).dense(5).logits().graph()


def _spread(c, down, across):
    """Zeros after each row and column, as a transposed convolution wants them."""
    height, width, channels = c.type.shape
    c.add(g.Reshape((height * width, 1, channels))).add(g.Pad2D(((0, 0), (0, across - 1))))
    wide = width * across
    c.add(g.Reshape((height, wide, channels))).add(g.Pad2D(((0, 0), (0, (down - 1) * wide))))
    return c.add(g.Reshape((height * down, wide, channels)))


def _transposed(name):
    c = Chain(name, (5, 4, 2)).conv(6, 2).step()
    _spread(c, 2, 3).add(g.Pad2D(((1, 1), (2, 0)))).conv(35).step(flip=0.5)
    return c.add(g.Pad2D(((1, 0), (1, 0)))).conv(3, 2).logits().graph()


def _upsampled(name):
    """Every pixel twice across and three times down."""
    c = Chain(name, (5, 4, 2)).conv(5, 2).step()
    c.add(g.Reshape((12, 5)))
    c.join(c.here).add(g.Reshape((4, 30)))
    c.join(c.here, c.here).add(g.Reshape((12, 6, 5)))
    return c.conv(6).step(flip=0.5).flatten().dense(3).logits().graph()


def _tokens(name, rows=40, spec=TOKENS, order=1):
    c = Chain(name, (12,), spec)
    c.add(g.Lookup(c.rng.choice(DiscreteSpace(order).codes(), (rows, 33)).astype(np.int8)))
    _sequence(_image(c).conv(8, (1, 3))).step(flip=0.5)
    return c.flatten().dense(4).logits().graph()


MOVES = {
    "sequence_paper": _paper_1d,
    "sequence_causal": _causal_1d,
    "separable": _separable,
    "separable_multiplier": lambda n: _separable(n, 2),
    "dense_after_dense": _dense_after_dense,
    "transposed": _transposed,
    "upsampled": _upsampled,
    "tokens": _tokens,
    "tokens_256_z3": lambda n: _tokens(n, 256, order=3),
    "tokens_int8": lambda n: _tokens(n, 100, g.InputSpec("int8", 1.0, 5), 2),
}
