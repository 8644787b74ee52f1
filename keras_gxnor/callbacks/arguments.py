"""Checking what callbacks are given: whole numbers, and arrays of examples."""

import operator

import keras
import numpy as np

from keras_gxnor.errors import InvalidArgumentError


def integer(name, value, least=None) -> int:
    """`value` as an integer of at least `least`, or an error that names the argument."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or (least is not None and number < least):
        wanted = "an integer" if least is None else f"an integer of at least {least}"
        raise InvalidArgumentError(f"`{name}` must be {wanted}. Received: {name}={value!r}")
    return number


def arrays(data) -> tuple:
    """(structure of arrays, their number of examples) for arrays, or tuples, lists, dicts of them.

    Raises:
        InvalidArgumentError: if one is no array, or they differ in their number of examples.
    """
    made = keras.tree.lists_to_tuples(keras.tree.map_structure(_array, data))
    lengths = {len(array) for array in keras.tree.flatten(made)}
    if len(lengths) != 1 or 0 in lengths:
        raise InvalidArgumentError(
            "All arrays must have the same number of examples, at least one. Received: "
            f"{sorted(lengths)}"
        )
    return made, lengths.pop()


def _array(value):
    array = np.asarray(value)
    if array.ndim == 0 or array.dtype.kind == "O":
        raise InvalidArgumentError(
            "Arrays with the examples along the first axis were expected, or a tuple, list or dict of "
            "them. (Training batches from a tf.data.Dataset: `Checkpoint.dataset`.) Received: "
            f"{type(value).__name__} of shape {array.shape}, {array.dtype}"
        )
    return array


def to_floatx(array):
    """float64 becomes Keras' float type, as it does in `Model.fit`."""
    return array.astype(keras.config.floatx()) if array.dtype == np.float64 else array
