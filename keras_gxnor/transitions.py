"""Discrete state transition (DST): from codes and increments to codes.

Deng et al. 2018, section 2.3. A proposed real increment d for a state w becomes
whole steps plus one random step: with s = d / dz clipped to the space,
kappa = fix(s) and nu = s - kappa, the state moves kappa steps, and one more in
the direction of d with probability tanh(m |nu|). For small nu the expected move
is m nu: the rule is biased on purpose. `m = None` is unbiased stochastic rounding,
probability |nu|.

Everything here is a pure function of its arguments and gives the same bytes in
eager mode, in a tf.function and under XLA. Two things make that so: the randomness
is raw integer bits, and the arithmetic offers a compiler nothing to rearrange: no
product is directly followed by a sum (XLA contracts the two roundings into one) or by
a product with a constant (TensorFlow's graph optimizer reassociates those) - a minimum
or a cast always stands between.
"""

import math

import tensorflow as tf

from keras_gxnor.spaces import DiscreteSpace, GradedSpace

STREAMS = 1 << 16  # independent streams of random bits a step
# tanh(x) = C x prod(y + a) / prod(y + b) with y = x^2: the tenth convergent of tanh's
# continued fraction, 1 / (1/x + 1/(3/x + 1/(5/x + ...))), whose zeros and poles in y are
# all real and negative. Factors y + a with y behind a minimum cannot be contracted.
_TANH_GAIN = 55.0
_TANH_ZEROS = (324.522536, 94.11861851, 39.48924103, 9.869604413)
_TANH_POLES = (1243.504199, 154.7101619, 62.11157983, 22.20665782, 2.4674011)
_TANH_END = 7.0  # tanh(7) = 1 - 1.7e-6: constant from here on


def transition(codes, increments, bits, space: DiscreteSpace | GradedSpace, m=3.0):
    """Moves discrete states.

    Args:
        codes: int8 tensor, codes of `space`.
        increments: float32 tensor of the same shape: proposed increments d of the
            *values*. NaN moves nothing.
        bits: uint32 tensor of the same shape, uniformly random.
        space: The `DiscreteSpace` or `GradedSpace`.
        m: Positive float, the nonlinear factor of the paper (3), or None for unbiased
            stochastic rounding.

    Returns:
        int8 tensor of the same shape: codes of `space`. d = 0 never moves, no state leaves
        the space, and |d| = dz moves one step with certainty (for half ranges that are
        powers of two; others round d / dz).

    Example:

    >>> transition(tf.constant([0], tf.int8), tf.constant([1.0]), tf.constant([0], tf.uint32),
    ...            DiscreteSpace(1)).numpy()
    array([1], dtype=int8)
    """
    state = tf.cast(codes, tf.float32)
    per_step = 1.0 / space.code_step
    steps = tf.where(tf.math.is_nan(increments), 0.0, increments * (1.0 / space.step))
    lowest = (-space.max_code - state) * per_step
    highest = (space.max_code - state) * per_step
    steps = tf.minimum(tf.maximum(steps, lowest), highest)
    whole = tf.cast(tf.cast(steps, tf.int32), tf.float32)
    rest = steps - whole
    size = tf.abs(rest)
    chance = size if m is None else tanh(size * m)
    extra = tf.where(upper_24(bits) < chance * 2.0**24, tf.sign(rest), 0.0)
    return tf.cast(state + space.code_step * (whole + extra), tf.int8)


def upper_24(bits):
    """The upper 24 of 32 random bits as whole float32 numbers in 0..2^24 - 1, all exact."""
    return tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), tf.float32)


def tanh(x):
    """tanh of a float32 tensor x >= 0, within 4e-6, bit-equal in eager, graph and XLA."""
    x = tf.minimum(x, _TANH_END)
    y = tf.minimum(x * x, _TANH_END**2)  # changes nothing but keeps product and sum apart
    above = tf.minimum(x * _TANH_GAIN, _TANH_END * _TANH_GAIN)  # the same, of two products
    for zero in _TANH_ZEROS:
        above = above * (y + zero)
    below = y + _TANH_POLES[0]
    for pole in _TANH_POLES[1:]:
        below = below * (y + pole)
    return above / below


def random_bits(shape, seed, stream, step):
    """Raw random bits, a pure function of (seed, stream, step).

    Two rounds of an integer hash over the element's index, each with its own 32-bit key;
    philox makes the keys. XLA fuses the hash into whatever uses the bits, which makes it
    several times cheaper than philox for every element (benchmarks/training.py).

    Args:
        shape: Shape of the result, of less than 2^31 elements.
        seed: Python integer, the user's seed.
        stream: Python integer in 0..STREAMS - 1: which variable and use.
        step: Integer scalar or tensor, the number of updates done so far.

    Returns:
        uint32 tensor of `shape`, equal in eager, graph, XLA and on every replica.
    """
    counter = tf.cast(step, tf.int64) * STREAMS + stream
    key = tf.random.stateless_uniform(
        (2,),
        tf.stack([tf.constant(seed, tf.int64), counter]),
        minval=None,
        maxval=None,
        dtype=tf.uint32,
        alg="philox",
    )
    index = tf.reshape(tf.cast(tf.range(math.prod(shape)), tf.uint32), shape)
    return _mix(tf.bitwise.bitwise_xor(_mix(index + key[0]), key[1]))


def _mix(x):
    """C. Wellons' lowbias32: a bijection of uint32 in which each input bit flips half of the
    output bits (github.com/skeeto/hash-prospector, constants found there by search)."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(shift, tf.uint32)))
        x = x * tf.constant(factor, tf.uint32)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(16, tf.uint32)))
