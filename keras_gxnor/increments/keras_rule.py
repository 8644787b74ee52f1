"""Any Keras optimizer as an increment rule."""

import keras
import tensorflow as tf

from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.increments.base import IncrementRule

# Keras applies these around the step of a variable, where they would act on scratch values.
_AROUND = {
    "weight_decay": "there are no float weights to decay",
    "clipnorm": "give it to DSTOptimizer",
    "global_clipnorm": "give it to DSTOptimizer",
    "clipvalue": "give it to DSTOptimizer",
    "use_ema": "there is no average of codes",
    "gradient_accumulation_steps": "give it to DSTOptimizer",
    "loss_scale_factor": "give it to DSTOptimizer",
}

_LATENT = "it does not add to a weight but rebuilds it from floats in its slots, which codes cannot follow"
_UNFIT = {
    "Nadam": "it keeps a product over all steps outside the step of a variable",
    "Ftrl": _LATENT,
    "ScheduleFreeAdamW": _LATENT,
}


@keras.saving.register_keras_serializable(package="keras_gxnor")
class KerasIncrement(IncrementRule):
    """What a Keras optimizer would add to a float weight, at learning rate 1.

    The optimizer sees the kernel's values in a float32 scratch variable (rewritten at each
    step), so a kernel costs 4 bytes a weight more than the optimizer's own slots: it is for
    studying other rules, not for saving memory.

    Args:
        optimizer: A Keras optimizer, or its name. It is copied, and its learning rate is not
            used: the rate is that of `DSTOptimizer`.

    Raises:
        InvalidArgumentError: if the optimizer has weight decay, clipping, an average,
            accumulation or loss scaling of its own, wraps others, or is Nadam, Ftrl or
            ScheduleFreeAdamW.

    Example:

    >>> optimizer = DSTOptimizer(0.01, rule=keras.optimizers.Lion())
    """

    def __init__(self, optimizer):
        given = keras.optimizers.get(optimizer)
        wrapped = [v for v in vars(given).values() if isinstance(v, keras.optimizers.Optimizer)]
        if wrapped or type(given).update_step is keras.optimizers.Optimizer.update_step:
            raise InvalidArgumentError(
                "An optimizer that wraps others has no step of its own and cannot be a rule. "
                f"Received: {type(given).__name__}"
            )
        for name, reason in _UNFIT.items():
            if type(given).__name__ == name:
                raise InvalidArgumentError(f"{name} cannot be a rule: {reason}. Use keras.optimizers.Adam.")
        for name, reason in _AROUND.items():
            if getattr(given, name, None):
                raise InvalidArgumentError(
                    f"The rule {type(given).__name__} must have no `{name}`: {reason}. "
                    f"Received: {name}={getattr(given, name)!r}"
                )
        self.optimizer = type(given).from_config({**given.get_config(), "learning_rate": 1.0})

    def build(self, scratch):
        """Makes the slots of the optimizer for the scratch variables of all kernels."""
        self.optimizer.build(scratch)

    def slots(self, shape):
        """[(name, shape, dtype)]: the scratch variable; the optimizer makes its own."""
        return [("scratch", shape, "float32")]

    def propose(self, gradient, values, scratch, rate):
        """Returns the increment for a kernel with `values`; moves the optimizer's slots."""
        scratch.assign(values)
        # A bad batch would stay in the optimizer's slots for good.
        sound = tf.math.is_finite(tf.reduce_mean(tf.square(gradient)))
        gradient = tf.where(sound, gradient, 0.0)
        self.optimizer.update_step(gradient, scratch, tf.constant(1.0))
        return tf.where(sound, rate * (tf.convert_to_tensor(scratch) - values), 0.0)

    def get_config(self):
        """Arguments that rebuild this rule."""
        return {"optimizer": keras.saving.serialize_keras_object(self.optimizer)}

    @classmethod
    def from_config(cls, config):
        """Inverse of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["optimizer"]))
