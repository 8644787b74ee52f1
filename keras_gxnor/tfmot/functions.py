"""Activation functions of Keras 2 that Keras 3 computes alike."""

import keras
import numpy as np
import tensorflow as tf

from keras_gxnor.errors import UnsupportedLayerError
from keras_gxnor.tfmot import extra

_LAYERS = {"ReLU": "relu", "Softmax": "softmax"}
_OTHER = ("hard_sigmoid",)  # clip(x/5 + 1/2, 0, 1) in Keras 2, clip(x/6 + 1/2, 0, 1) in Keras 3


def function_of(source) -> str:
    """Name in Keras 3 of the activation function of a layer, "" if it has none.

    Args:
        source: A `Source`.

    Raises:
        UnsupportedLayerError: if it is no function of tf_keras or TensorFlow that Keras 3 has too, or a
            softmax over another axis than the last.
    """
    if source.kind == "Softmax":
        _check_axis(source)
    function = source.activation()
    if function is None:
        return _LAYERS.get(source.kind, "")
    found = _known(function)
    if found is None:
        raise UnsupportedLayerError(
            f"Layer `{source.name}` ({type(source.layer).__name__}) has an activation that Keras 3 does not "
            "compute alike. Nearest supported form: a function by its name, such as 'relu', "
            "'sigmoid' or 'tanh', or the activation as a layer of its own. "
            f"Received: activation={getattr(function, '__name__', type(function).__name__)}"
        )
    return found


def _known(function):
    """The name under which Keras 3 has it too, or None: a namesake is not enough."""
    for module in (extra.tf_keras().activations, tf.nn):
        for name in dir(module):
            same = getattr(module, name) is function and name not in _OTHER
            if same and callable(getattr(keras.activations, name, None)):
                return name
    return None


def _check_axis(source):
    axis = list(np.atleast_1d(source.layer.axis))
    shape = getattr(source.wrapper or source.layer, "input_shape", ())
    if axis not in ([-1], [len(shape) - 1]):
        raise UnsupportedLayerError(
            f"Layer `{source.name}` (Softmax) must go over the last axis, as Softmax() does. "
            f"Received: axis={source.layer.axis}"
        )
