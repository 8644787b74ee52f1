"""What Keras itself computes on the integer codes that a device would feed.

Evaluated eagerly, on the CPU kernels TensorFlow has: that is the meaning of a model.
(XLA or a GPU may contract the float32 batch normalization of the logits.)
"""

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
    x = (np.asarray(q).astype(np.float32) - spec.zero_point) * np.float32(spec.scale)
    return np.asarray(model(tf.constant(x), training=False))


def exact_first(model, spec: g.InputSpec, q) -> np.ndarray:
    """As `plain`, but with exact sums in the first layer: (sum of codes) * scale.

    Keras scales the inputs first and sums then; unless the scale is a power of two, each
    product and sum is rounded. Here the same Keras operation sums the integer codes, which
    is exact in float32, and the sum is scaled. Everything after is Keras as it is.
    """
    folded, layers = fold_rescaling(spec, chain.layers(model))
    x = tf.constant(np.asarray(q).astype(np.float32) - folded.zero_point)
    summed = False
    for layer in layers:
        if summed or not isinstance(layer, DiscreteKernel):
            x = layer(x, training=False)  # before the first kernel: Flatten or max pooling
            continue
        codes = tf.cast(tf.convert_to_tensor(layer.kernel.value), tf.float32)
        unit = np.float32(folded.scale * layer.kernel_space.scale)
        x = layer.finish(layer.linear(x, codes) * unit)
        summed = True
    return np.asarray(x)
