"""Increment rules: from a gradient to the real increment that DST turns into jumps.

A rule is what an ordinary optimizer would add to a float weight, less the learning
rate. Its slots are most of the training state of a kernel.
"""

import keras

from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.increments.base import IncrementRule, Update
from keras_gxnor.increments.keras_rule import KerasIncrement
from keras_gxnor.increments.rules import (
    AdamIncrement,
    FireIncrement,
    GradientIncrement,
    MomentumIncrement,
)

__all__ = [
    "AdamIncrement",
    "FireIncrement",
    "GradientIncrement",
    "IncrementRule",
    "KerasIncrement",
    "MomentumIncrement",
    "Update",
    "get",
]

_RULES = {
    "adam": AdamIncrement,
    "fire": FireIncrement,
    "momentum": MomentumIncrement,
    "none": GradientIncrement,
}


def get(identifier) -> IncrementRule:
    """Returns the increment rule that `identifier` names.

    Args:
        identifier: An `IncrementRule`, `"adam"`, `"fire"`, `"momentum"`, `"none"`, a Keras optimizer, or
            a serialized rule.

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
    if isinstance(identifier, keras.optimizers.Optimizer):
        return KerasIncrement(identifier)
    if isinstance(identifier, dict):
        return get(keras.saving.deserialize_keras_object(identifier))
    forgotten = isinstance(identifier, type) and issubclass(
        identifier, (IncrementRule, keras.optimizers.Optimizer)
    )
    hint = f" (a class: write {identifier.__name__}())" if forgotten else ""
    raise InvalidArgumentError(
        f"An increment rule must be one of {['auto', *sorted(_RULES)]}, an IncrementRule or a Keras "
        f"optimizer. Received: {identifier!r}{hint}"
    )
