"""Ranges of 8-bit ReLUs from a sample of data, instead of from training."""

import keras
import numpy as np

from keras_gxnor.callbacks.layers import labels, walk
from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.layers import DiscreteActivation
from keras_gxnor.quantizers import QuantizedReLU

_OCTAVES = 8  # below the range that holds everything: where the least error is looked for


def calibrate(model, x, percentile=None) -> dict[str, float]:
    """Sets the range of every `DiscreteActivation("uint8")` by what a sample of data brings there.

    The sample runs through the model once, in inference mode and as one batch; each range is set
    before the values go on, so that later layers see what earlier ones make of them. Use it on a
    model whose float ReLUs were replaced, before fine-tuning or export; trainable ranges are
    learned on from there. (An `activation="uint8"` argument has a fixed range.)

    Args:
        model: Keras model.
        x: What the model takes: an array of some hundred samples, or a list or dict of them.
        percentile: None: the power of two with the least squared error of the rounded and
            clipped values. A number in 0..100: the smallest one that holds this share of the
            layer's inputs, 100 for all of them.

    Returns:
        {layer name: range}, in the order of the layers. A layer whose sample is nowhere
        positive keeps its range.

    Raises:
        InvalidArgumentError: if the model has no such layer, or one of them gets NaN or infinity,
            or `percentile` is out of range.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), DiscreteActivation("uint8", name="relu")])
    >>> calibrate(model, np.float32([[0.3, -9.0], [5.0, 0.1]]), percentile=100)
    {'relu': 8.0}
    """
    if percentile is not None and not 0 < percentile <= 100:
        raise InvalidArgumentError(f"`percentile` must be in (0, 100]. Received: percentile={percentile!r}")
    layers = [
        layer
        for layer in walk(model)
        if isinstance(layer, DiscreteActivation) and isinstance(layer.quantizer, QuantizedReLU)
    ]
    if not layers:
        raise InvalidArgumentError(
            f'Model `{model.name}` has no DiscreteActivation("uint8") to calibrate (nor of fewer bits).'
        )
    quantizers = [layer.quantizer for layer in layers]
    try:
        for layer in layers:
            layer.quantizer = _Measuring(layer, percentile)
        model(keras.tree.map_structure(keras.ops.convert_to_tensor, x), training=False)
    finally:
        for layer, quantizer in zip(layers, quantizers):
            layer.quantizer = quantizer
    return dict(zip(labels([layer.name for layer in layers]), [layer.resolved().range for layer in layers]))


class _Measuring:
    """In place of a layer's quantizer: sets its range, then quantizes."""

    def __init__(self, layer, percentile):
        self._layer, self._quantizer, self._percentile = layer, layer.quantizer, percentile
        self._largest = -np.inf  # exponent so far, of a layer that is called several times

    def __call__(self, x, training, log2_range):
        values = keras.ops.cast(x, "float32").numpy().ravel()
        if not np.isfinite(values).all():
            raise InvalidArgumentError(f"Layer `{self._layer.name}` got NaN or infinity on the sample.")
        highest = np.percentile(values, 100 if self._percentile is None else self._percentile)
        if highest > 0:
            # Clipped is what exceeds the largest code by more than half a step.
            share = (self._quantizer.levels + 0.5) / (self._quantizer.levels + 1)
            exponent = np.ceil(np.log2(highest / share))
            if self._percentile is None:
                exponent = self._least_error(values, exponent)
            self._largest = max(self._largest, exponent)
            log2_range.assign(self._largest)
        return self._quantizer(x, training, log2_range)

    def _least_error(self, values, most):
        """The exponent of least squared error, at most `most`; of equals the largest."""
        kept = np.maximum(values, 0)
        errors = {
            k: np.square(self._quantizer(kept, log2_range=k).numpy() - kept).sum(dtype=np.float64)
            for k in np.arange(most, most - _OCTAVES, -1)
        }
        return min(errors, key=errors.get)
