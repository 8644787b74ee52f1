"""Layers that carry what a discrete kernel cannot: its scale."""

import keras

from keras_gxnor.conversion.numbers import Normalization


def frozen_scale(name: str, epsilon: float = 1e-3):
    """A BatchNormalization that stays what it is set to, for `Normalization.of_scale`.

    Frozen, Keras normalizes with the moving statistics in training as well: it is alpha x + beta
    and nothing else, as long as nobody sets `trainable`.

    Args:
        name: Name of the layer.
        epsilon: That of the `Normalization` to come.

    Example:

    >>> from keras_gxnor.conversion.blocks import frozen_scale, set_normalization
    >>> from keras_gxnor.conversion.numbers import Normalization
    >>> layer = frozen_scale("scale")
    >>> layer.build((None, 2))
    >>> set_normalization(layer, Normalization.of_scale([0.5, 2.0], [0.0, 1.0]))
    >>> layer(np.float32([[8, 8]]), training=True).numpy()
    array([[ 4., 17.]], dtype=float32)
    """
    return keras.layers.BatchNormalization(epsilon=epsilon, trainable=False, name=name)


def set_normalization(layer, norm: Normalization):
    """Sets the weights of a built BatchNormalization with gamma and beta."""
    layer.gamma.assign(norm.gamma)
    layer.beta.assign(norm.beta)
    layer.moving_mean.assign(norm.mean)
    layer.moving_variance.assign(norm.variance)
