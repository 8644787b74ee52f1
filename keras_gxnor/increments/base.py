"""What all increment rules share."""

import dataclasses

from keras_gxnor.errors import InvalidArgumentError

TINY = 1e-12  # keeps 0 / 0 out; gradients that matter are far above


@dataclasses.dataclass(frozen=True)
class Update:
    """What a rule may know of the update it takes part in, besides gradient and slots.

    Args:
        rate: float32 scalar tensor, the learning rate.
        step: int64 scalar tensor, the number of updates of the optimizer before this one.
        bits: Callable () -> uint32 tensor of the kernel's shape, uniformly random.
        codes: int8 tensor, the kernel's codes.
        space: Their `DiscreteSpace` or `GradedSpace`.
    """

    rate: object
    step: object
    bits: object
    codes: object
    space: object


class IncrementRule:
    """Turns the gradient of one kernel into an increment of its values.

    A rule of your own subclasses this, declares its slots, and computes: it must be a pure
    function of its arguments, in TensorFlow operations that XLA can compile, and keep no
    variables itself.

    Example:

    >>> class SignIncrement(increments.IncrementRule):
    ...     def __call__(self, gradient, slots, update):
    ...         return -update.rate * tf.sign(gradient), []
    >>> optimizer = DSTOptimizer(0.01, rule=SignIncrement())
    """

    def slots(self, shape) -> list:
        """[(name, shape, dtype)] of the variables a kernel of `shape` needs; none by default."""
        del shape
        return []

    def __call__(self, gradient, slots, update: Update):
        """Computes the increment.

        Args:
            gradient: float32 tensor of the kernel's shape, finite.
            slots: List of tensors, the values of the slots.
            update: The `Update`: rate, step, random bits, codes and space.

        Returns:
            (float32 increment of the kernel's shape, new values of the slots). If the
            gradient holds a NaN or is too large to be squared, both are thrown away.
        """
        raise NotImplementedError

    def get_config(self) -> dict:
        """Arguments that rebuild this rule."""
        return {}

    @classmethod
    def from_config(cls, config):
        """Inverse of `get_config`."""
        return cls(**config)

    def __repr__(self):
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def fraction(value, what) -> float:
    """`value` as a float in [0, 1), or an error that names the argument `what`."""
    if not 0 <= value < 1:
        raise InvalidArgumentError(f"`{what}` must be in [0, 1). Received: {what}={value!r}")
    return float(value)
