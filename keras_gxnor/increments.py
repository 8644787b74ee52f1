"""Increment rules: from a gradient to the real increment that DST turns into jumps.

A rule is what an ordinary optimizer would add to a float weight, less the learning
rate. It keeps its own slots, which are most of the training state of a kernel.
"""

import keras
import tensorflow as tf

from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.transitions import upper_24

_TINY = 1e-12  # keeps 0 / 0 out; gradients that matter are far above


class IncrementRule:
    """What all rules share. A rule has `slots(shape)`, `__call__` and `get_config()`."""

    @classmethod
    def from_config(cls, config):
        """Inverse of `get_config`."""
        return cls(**config)

    def __repr__(self):
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


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
        self.beta_1 = _fraction(beta_1, "beta_1")
        self.beta_2 = _fraction(beta_2, "beta_2")
        self.epsilon = float(epsilon)

    def slots(self, shape):
        """[(name, shape, dtype)] for a kernel of `shape`."""
        return [("first_moment", shape, "float32"), ("second_moment", shape, "float32")]

    def __call__(self, gradient, slots, step, bits):
        """Returns (increment, new slot values); `step` counts from 0, `bits` draws uint32."""
        first = self.beta_1 * slots[0] + (1 - self.beta_1) * gradient
        second = self.beta_2 * slots[1] + (1 - self.beta_2) * tf.square(gradient)
        count = tf.cast(step + 1, tf.float32)
        first_hat = first / (1 - tf.pow(self.beta_1, count))
        second_hat = second / (1 - tf.pow(self.beta_2, count))
        return first_hat / (tf.sqrt(second_hat) + self.epsilon), [first, second]

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
    rounding, which keeps the average right) at about 1 byte a weight beside the code, or as
    float32 at 4.

    Args:
        momentum: Decay of the moment, in [0, 1).
        beta_2: Decay of the mean squared gradient (one number a kernel), in [0, 1).
        dtype: `"int8"` or `"float32"`, how the slot is kept.
    """

    def __init__(self, momentum=0.99, beta_2=0.999, dtype="int8"):
        self.momentum = _fraction(momentum, "momentum")
        self.beta_2 = _fraction(beta_2, "beta_2")
        if dtype not in ("int8", "float32"):
            raise InvalidArgumentError(
                f'`dtype` must be "int8" or "float32". Received: dtype={dtype!r}'
            )
        self.dtype = dtype

    def slots(self, shape):
        """[(name, shape, dtype)] for a kernel of `shape`."""
        square = ("mean_square", (), "float32")
        if self.dtype == "float32":
            return [square, ("moment", shape, "float32")]
        return [square, ("moment", shape, "int8"), ("moment_scale", shape[-1:], "float32")]

    def __call__(self, gradient, slots, step, bits):
        """Returns (increment, new slot values); `step` counts from 0, `bits` draws uint32."""
        count = tf.cast(step + 1, tf.float32)
        square = self.beta_2 * slots[0] + (1 - self.beta_2) * tf.reduce_mean(tf.square(gradient))
        size = tf.sqrt(square / (1 - tf.pow(self.beta_2, count))) + _TINY
        moment = tf.cast(slots[1], tf.float32)
        if self.dtype == "int8":
            moment *= slots[2]
        moment = self.momentum * moment + (1 - self.momentum) * gradient
        increment = moment / ((1 - tf.pow(self.momentum, count)) * size)
        if self.dtype == "float32":
            return increment, [square, moment]
        scale = tf.reduce_max(tf.abs(moment), list(range(moment.shape.rank - 1))) / 127 + _TINY
        stored = tf.floor(moment / scale + upper_24(bits()) * 2.0**-24)
        stored = tf.cast(tf.clip_by_value(stored, -127, 127), tf.int8)
        return increment, [square, stored, scale]

    def get_config(self):
        """Arguments that rebuild this rule."""
        return {"momentum": self.momentum, "beta_2": self.beta_2, "dtype": self.dtype}


_RULES = {"adam": AdamIncrement, "momentum": MomentumIncrement}


def get(identifier):
    """Returns the increment rule that `identifier` names.

    Args:
        identifier: An `IncrementRule`, `"adam"`, `"momentum"`, or a serialized rule.

    Raises:
        InvalidArgumentError: if it names no rule.

    Example:

    >>> get("momentum")
    MomentumIncrement(momentum=0.99, beta_2=0.999, dtype='int8')
    """
    if isinstance(identifier, IncrementRule):
        return identifier
    if isinstance(identifier, str) and identifier in _RULES:
        return _RULES[identifier]()
    if isinstance(identifier, dict):
        return get(keras.saving.deserialize_keras_object(identifier))
    raise InvalidArgumentError(
        f"An increment rule must be one of {sorted(_RULES)}, an AdamIncrement or a "
        f"MomentumIncrement. Received: {identifier!r}"
    )


def _fraction(value, what):
    if not 0 <= value < 1:
        raise InvalidArgumentError(f"`{what}` must be in [0, 1). Received: {what}={value!r}")
    return float(value)
