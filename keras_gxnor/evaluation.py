"""What Keras itself computes on the integer codes that a device would feed.

Evaluated eagerly, on the CPU kernels TensorFlow has: that is the meaning of a model.
(XLA or a GPU may contract the float32 batch normalization of the logits.)
"""

import keras
import numpy as np
import tensorflow as tf

from keras_gxnor import chain
from keras_gxnor import graph as g
from keras_gxnor.layers.base import DiscreteKernel
from keras_gxnor.lowering import fold_rescaling


def plain(model, spec: g.InputSpec, q) -> np.ndarray:
    """The model on scale * (q - zero_point), as Keras computes it.

    Args:
        model: Keras model.
        spec: The `InputSpec` of what the device feeds, before any Rescaling layer.
        q: Integer array (batch, *input shape).

    Returns:
        float32 logits (batch, ..., classes).
    """
    return np.asarray(model(_scaled(spec, q), training=False))


def is_exact(model, spec: g.InputSpec) -> bool:
    """Whether Keras' own float32 input scaling is exact: every factor is a power of two."""
    rescalings = [layer for layer in chain.layers(model) if isinstance(layer, keras.layers.Rescaling)]
    return spec.is_exact and all(g.is_power_of_two(float(layer.scale)) for layer in rescalings)


def exact_first(model, spec: g.InputSpec, q) -> np.ndarray:
    """As `plain`, but with exact sums in the first layer: (sum of codes) * scale.

    Keras scales the inputs first and sums then; unless the scale is a power of two, each
    product and sum is rounded. Here the same Keras operation sums the integer codes, which
    is exact in float32, and the sum is scaled. Everything after is Keras as it is.
    """
    folded, before, first, after = _around_first_kernel(model, spec)
    unit = np.float32(folded.scale * first.kernel_space.readout.scale)
    sums = first.linear(_through(before, _integers(folded, q)), _codes(first))
    return np.asarray(_through(after, first.finish(sums * unit)))


def rounding_explains(model, spec: g.InputSpec, q) -> bool:
    """Whether Keras' own first-layer sums lie within float32 rounding of the exact ones.

    The bound is the textbook one for a sum of n products, (n + 4) 2^-24 times the sum of
    the absolute products (Higham, Accuracy and Stability of Numerical Algorithms, section
    3.1), with the largest input added to each input for the rounding of its scaling.
    """
    folded, before, first, _ = _around_first_kernel(model, spec)
    codes, unit = _codes(first), folded.scale * first.kernel_space.readout.scale
    kernel = codes * np.float32(first.kernel_space.readout.scale)
    leading = chain.layers(model)
    seen = _through(leading[: leading.index(first)], _scaled(spec, q))
    error = np.abs(
        np.asarray(first.linear(seen, kernel), np.float64)
        - np.asarray(first.linear(_through(before, _integers(folded, q)), codes), np.float64) * unit
    )
    most = folded.scale * max(map(abs, folded.range))
    products = np.asarray(first.linear(tf.abs(seen) + most, tf.abs(kernel)), np.float64)
    return bool((error <= (np.prod(kernel.shape[:-1]) + 4) * 2.0**-24 * products).all())


def _around_first_kernel(model, spec):
    """(folded spec, layers before the first kernel, that layer, layers after it)."""
    folded, layers = fold_rescaling(spec, chain.layers(model))
    place = next(i for i, layer in enumerate(layers) if isinstance(layer, DiscreteKernel))
    return folded, layers[:place], layers[place], layers[place + 1 :]


def _integers(folded, q):
    return tf.constant(np.asarray(q).astype(np.float32) - folded.zero_point)


def _scaled(spec, q):
    return tf.constant((np.asarray(q).astype(np.float32) - spec.zero_point) * np.float32(spec.scale))


def _codes(layer):
    return tf.constant(layer.kernel_codes(), tf.float32)


def _through(layers, x):
    for layer in layers:
        x = layer(x, training=False)
    return x
