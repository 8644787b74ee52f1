"""The rules of the project: Adam as in the paper, momentum, and the bare gradient."""

import math

import keras
import tensorflow as tf

from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.increments.base import TINY, IncrementRule, fraction
from keras_gxnor.transitions import upper_24


@keras.saving.register_keras_serializable(package="keras_gxnor")
class AdamIncrement(IncrementRule):
    """The paper's rule: u = m_hat / (sqrt(v_hat) + epsilon), Adam's step (Deng et al. 2018).

    Two float32 slots: 8 bytes a weight beside the code.

    Args:
        beta_1: Decay of the first moment, in [0, 1).
        beta_2: Decay of the second moment, in [0, 1).
        epsilon: Positive float.
    """

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.beta_1 = fraction(beta_1, "beta_1")
        self.beta_2 = fraction(beta_2, "beta_2")
        self.epsilon = float(epsilon)

    def slots(self, shape):
        """[(name, shape, dtype)] for a kernel of `shape`."""
        return [("first_moment", shape, "float32"), ("second_moment", shape, "float32")]

    def __call__(self, gradient, slots, update):
        """Returns (increment, new slot values), see `IncrementRule`."""
        first = self.beta_1 * slots[0] + (1 - self.beta_1) * gradient
        second = self.beta_2 * slots[1] + (1 - self.beta_2) * tf.square(gradient)
        count = tf.cast(update.step + 1, tf.float32)
        first_hat = first / (1 - tf.pow(self.beta_1, count))
        second_hat = second / (1 - tf.pow(self.beta_2, count))
        return -update.rate * first_hat / (tf.sqrt(second_hat) + self.epsilon), [first, second]

    def get_config(self):
        """Arguments that rebuild this rule."""
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="keras_gxnor")
class MomentumIncrement(IncrementRule):
    """Momentum over the gradient's RMS: u = m_hat / rms, m <- momentum m + (1 - momentum) g.

    Adam with one second moment for the whole kernel: rms is the root of the running mean of
    the squared gradient over all weights and past steps, both moments corrected for their
    start at 0. (The RMS of the present step alone will not do: under a hinge loss a batch
    without errors has no gradient, and old momentum over it would scatter every weight.)
    The moment is kept as int8 (with one float32 scale an output channel, and stochastic
    rounding, which keeps the average right) at about 1 byte a weight beside the code, as
    bfloat16 (stochastic rounding too) at 2, or as float32 at 4.

    Args:
        momentum: Decay of the moment, in [0, 1).
        beta_2: Decay of the mean squared gradient (one number a kernel), in [0, 1).
        dtype: `"int8"`, `"bfloat16"` or `"float32"`, how the slot is kept.
    """

    def __init__(self, momentum=0.99, beta_2=0.999, dtype="int8"):
        self.momentum = fraction(momentum, "momentum")
        self.beta_2 = fraction(beta_2, "beta_2")
        if dtype not in ("int8", "bfloat16", "float32"):
            raise InvalidArgumentError(
                f'`dtype` must be "int8", "bfloat16" or "float32". Received: dtype={dtype!r}'
            )
        self.dtype = dtype

    def slots(self, shape):
        """[(name, shape, dtype)] for a kernel of `shape`."""
        slots = [("mean_square", (), "float32"), ("moment", shape, self.dtype)]
        return slots + [("moment_scale", shape[-1:], "float32")] * (self.dtype == "int8")

    def __call__(self, gradient, slots, update):
        """Returns (increment, new slot values), see `IncrementRule`."""
        square, size = _running_rms(gradient, slots[0], update.step, self.beta_2)
        moment = tf.cast(slots[1], tf.float32)
        if self.dtype == "int8":
            moment *= slots[2]
        moment = self.momentum * moment + (1 - self.momentum) * gradient
        count = tf.cast(update.step + 1, tf.float32)
        increment = moment * (-update.rate / ((1 - tf.pow(self.momentum, count)) * size))
        if self.dtype == "float32":
            return increment, [square, moment]
        if self.dtype == "bfloat16":
            return increment, [square, _to_bfloat16(moment, update.bits())]
        return increment, [square, *_to_int8(moment, update.bits())]

    def get_config(self):
        """Arguments that rebuild this rule."""
        return {"momentum": self.momentum, "beta_2": self.beta_2, "dtype": self.dtype}


@keras.saving.register_keras_serializable(package="keras_gxnor")
class GradientIncrement(IncrementRule):
    """The gradient over its RMS, no memory of a weight's own: u = g / rms.

    rms is the same running mean over the whole kernel as in `MomentumIncrement`: one number
    a kernel is all the state. The rule of graded kernels, which remember by themselves.

    Args:
        beta_2: Decay of the mean squared gradient, in [0, 1).
    """

    def __init__(self, beta_2=0.999):
        self.beta_2 = fraction(beta_2, "beta_2")

    def slots(self, shape):
        """[(name, shape, dtype)] for a kernel of `shape`: one number."""
        del shape
        return [("mean_square", (), "float32")]

    def __call__(self, gradient, slots, update):
        """Returns (increment, new slot values), see `IncrementRule`."""
        square, size = _running_rms(gradient, slots[0], update.step, self.beta_2)
        return gradient * (-update.rate / size), [square]

    def get_config(self):
        """Arguments that rebuild this rule."""
        return {"beta_2": self.beta_2}


@keras.saving.register_keras_serializable(package="keras_gxnor")
class FireIncrement(IncrementRule):
    """Integrate and fire: increments add up, and a weight jumps when enough have.

    The bare increments -rate g / rms (as in `GradientIncrement`) are summed in an int8
    accumulator with stochastic rounding. When the sum exceeds `threshold` steps of the space
    the weight jumps by one step, for certain, and the accumulator is emptied: to come
    back takes as much again, so weights do not flicker. A weight at the end of its range
    keeps a full accumulator. `m` of the optimizer has no effect.

    The kernel is the weight itself, but the accumulator, 1 byte a weight, remembers how far
    it is from its next jump: together they are a hidden weight of about nine bits.

    Args:
        threshold: Positive float, in steps of the space.
        beta_2: Decay of the mean squared gradient (one number a kernel), in [0, 1).
    """

    def __init__(self, threshold=0.5, beta_2=0.999):
        if not 0 < threshold < float("inf"):
            raise InvalidArgumentError(f"`threshold` must be positive. Received: threshold={threshold!r}")
        self.threshold = float(threshold)
        self.beta_2 = fraction(beta_2, "beta_2")

    def slots(self, shape):
        """[(name, shape, dtype)] for a kernel of `shape`."""
        return [("mean_square", (), "float32"), ("accumulator", shape, "int8")]

    def __call__(self, gradient, slots, update):
        """Returns (increment, new slot values), see `IncrementRule`."""
        square, size = _running_rms(gradient, slots[0], update.step, self.beta_2)
        unit = self.threshold * update.space.step / 127  # of the accumulator
        total = tf.cast(slots[1], tf.float32) - gradient * (update.rate / (size * unit))
        jump = tf.where(tf.abs(total) > 127.0, tf.sign(total), 0.0)
        # One step for certain: where 1 / step is rounded, step * (1 / step) may fall short of 1.
        exact = math.frexp(update.space.step)[0] == 0.5
        whole = update.space.step * (1.0 if exact else 1.0 + 2.0**-22)
        at_end = jump * tf.cast(update.codes, tf.float32) == float(update.space.max_code)
        kept = tf.where(jump == 0.0, total, tf.where(at_end, 127.0 * jump, 0.0))
        stored = tf.floor(kept + upper_24(update.bits()) * 2.0**-24)
        stored = tf.cast(tf.clip_by_value(stored, -127, 127), tf.int8)
        return tf.where(at_end, 0.0, jump * whole), [square, stored]

    def get_config(self):
        """Arguments that rebuild this rule."""
        return {"threshold": self.threshold, "beta_2": self.beta_2}


def _running_rms(gradient, square, step, beta_2):
    """(new running mean of the squared gradient, its root corrected for the start at 0)."""
    square = beta_2 * square + (1 - beta_2) * tf.reduce_mean(tf.square(gradient))
    count = tf.cast(step + 1, tf.float32)
    return square, tf.sqrt(square / (1 - tf.pow(beta_2, count))) + TINY


def _to_int8(moment, bits):
    """(int8 codes, scale an output channel) for a moment, rounded at random."""
    axes = list(range(moment.shape.rank - 1))
    scale = tf.reduce_max(tf.abs(moment), axes) / 127 + TINY
    stored = tf.floor(moment / scale + upper_24(bits) * 2.0**-24)
    return tf.cast(tf.clip_by_value(stored, -127, 127), tf.int8), scale


def _to_bfloat16(moment, bits):
    """bfloat16, the upper half of float32, rounded at random: add noise below, then cut."""
    noise = tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32))
    raw = tf.bitcast(moment, tf.uint32) + noise
    upper = tf.bitwise.bitwise_and(raw, tf.constant(0xFFFF0000, tf.uint32))
    return tf.cast(tf.bitcast(upper, tf.float32), tf.bfloat16)
