"""Batch normalization: exact statistics of the final weights instead of moving averages."""

import keras
import numpy as np
import tensorflow as tf

from keras_gxnor.callbacks.arguments import arrays, integer, to_floatx
from keras_gxnor.callbacks.batches import shuffled
from keras_gxnor.callbacks.layers import walk
from keras_gxnor.errors import InvalidArgumentError


def reestimate_batch_normalization(model, x, batch_size=256):
    """Replaces the moving statistics of batch normalization by exact ones.

    A discrete kernel moves in jumps, and the moving averages lag behind; the more so the
    later the last jumps. One pass over `x` in training mode measures every batch, and every
    BatchNormalization gets the mean and the variance over all of them:
    `mean = E[m_b]`, `variance = E[v_b + m_b^2] - mean^2`, with the moments m_b, v_b of
    batch b weighted by its examples (in float64). For the first BatchNormalization these
    are the mean and variance of its inputs. Layers behind others see inputs that were
    normalized by their own batch, as in training: take a batch size like that of training.

    Everything else stays as it was: weights, other layers' states, seed generators and
    metrics; after an error also the statistics. Frozen BatchNormalization layers
    (`trainable=False`) keep theirs.

    Args:
        model: A built Keras model.
        x: Inputs, as in training: an array, or a tuple, list or dict of them, with the
            examples along the first axis, as many as you can spare time for: few examples
            give poor moments. They are taken in a fixed shuffled order, since batches of one
            class each would have other moments.
        batch_size: Largest number of examples a batch; batches are made equally large.

    Raises:
        InvalidArgumentError: if the model has no such layer, or one with `renorm`, or if a
            batch has moments that are not finite.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
    >>> reestimate_batch_normalization(model, np.array([[1.0, 0.0], [3.0, 4.0]]))
    >>> model.layers[0].moving_mean.numpy(), model.layers[0].moving_variance.numpy()
    (array([2., 2.], dtype=float32), array([1., 4.], dtype=float32))
    """
    data, count = arrays(x)
    layers = _layers(model)
    parts = -(-count // integer("batch_size", batch_size, 1))
    states = [(v, v.numpy()) for v in [*model.variables, *model.metrics_variables]]
    momenta = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.momentum = 0.0  # a moving average without memory is the moment of the batch
        moments = _moments(model, layers, data, np.array_split(shuffled(count, 0, 0), parts))
    finally:
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum
        for variable, value in states:
            variable.assign(value)
    for layer, (mean, square) in zip(layers, moments):
        layer.moving_mean.assign(mean.astype(np.float32))
        layer.moving_variance.assign(np.maximum(square - mean**2, 0).astype(np.float32))


def _layers(model):
    found = [v for v in walk(model) if isinstance(v, keras.layers.BatchNormalization)]
    refused = [layer.name for layer in found if layer.renorm]
    if refused:
        raise InvalidArgumentError(
            f"Layers {refused} use renorm=True, which keeps statistics of its own. Build the model "
            "without `renorm`."
        )
    found = [layer for layer in found if layer.trainable]
    if not found or not all(layer.built for layer in found):
        raise InvalidArgumentError(
            f"Model `{model.name}` must have a BatchNormalization that is built and not frozen. "
            f"Received: {len(found)} such layers, built: {sum(layer.built for layer in found)}"
        )
    return found


def _moments(model, layers, data, batches):
    """[(mean, mean square)] of every layer, float64."""

    # Traced anew, since the trace holds the momentum.
    @tf.function(reduce_retracing=True)
    def forward(batch):
        model(batch, training=True)

    sums = [[0.0, 0.0] for _ in layers]
    total = sum(len(rows) for rows in batches)
    for number, rows in enumerate(batches):
        for layer in layers:  # 0 * NaN would keep an old NaN alive
            layer.moving_mean.assign(np.zeros(layer.moving_mean.shape))
            layer.moving_variance.assign(np.zeros(layer.moving_variance.shape))
        forward(keras.tree.map_structure(lambda a, rows=rows: tf.constant(to_floatx(a[rows])), data))
        for layer, pair in zip(layers, sums):
            mean = layer.moving_mean.numpy().astype(np.float64)
            variance = layer.moving_variance.numpy().astype(np.float64)
            if not np.isfinite([mean, variance]).all():
                raise InvalidArgumentError(
                    f"Layer `{layer.name}`: the moments of batch {number} are not finite. The "
                    "statistics were not changed. Look for NaN or inf in `x` or in the weights."
                )
            share = len(rows) / total
            pair[0] = pair[0] + share * mean
            pair[1] = pair[1] + share * (variance + mean**2)
    return sums


class BatchNormalizationReestimation(keras.callbacks.Callback):
    """Calls `reestimate_batch_normalization` at the end of training.

    With `each_epoch=True` also before the validation of every epoch, so that `val_*` are
    those of a network with exact statistics; without it the last `val_*` are of the moving
    averages. Training itself does not depend on them. With a `Checkpoint`, put this before it.

    Args:
        x: Inputs, as for `reestimate_batch_normalization`; some thousand examples will do.
        batch_size: Largest number of examples a batch, best as in training.
        each_epoch: Whether to do it before every validation too.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
    >>> model.compile("sgd", "mse")
    >>> x = np.ones((4, 2))
    >>> done = model.fit(x, x, verbose=0, callbacks=[
    ...     BatchNormalizationReestimation(x)])
    >>> model.layers[0].moving_variance.numpy()
    array([0., 0.], dtype=float32)
    """

    def __init__(self, x, batch_size=256, each_epoch=False):
        super().__init__()
        self.x, self.batch_size, self.each_epoch = x, batch_size, each_epoch
        self._training = False

    def on_train_begin(self, logs=None):
        """Evaluations from now on belong to the training."""
        self._training = True

    def on_test_begin(self, logs=None):
        """Re-estimates before the validation of an epoch."""
        if self._training and self.each_epoch:
            reestimate_batch_normalization(self.model, self.x, self.batch_size)

    def on_train_end(self, logs=None):
        """Re-estimates for the final weights."""
        self._training = False
        reestimate_batch_normalization(self.model, self.x, self.batch_size)
