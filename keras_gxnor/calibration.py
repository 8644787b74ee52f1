"""Ranges of 8-bit ReLUs from a sample of data, instead of from training."""

import numbers

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
    learned on from there. (An `activation="uint8"` argument has a fixed range.) An error leaves all
    ranges as they were.

    Args:
        model: Built Keras model.
        x: What the model takes: an array of some hundred samples, or a list or dict of arrays.
        percentile: None: the power of two with the least squared error of the rounded and
            clipped values. A number in 0..100: the smallest one that holds this share of the
            layer's inputs, 100 for all of them.

    Returns:
        {layer name: range}, in the order of the layers. A layer whose sample is nowhere
        positive keeps its range.

    Raises:
        InvalidArgumentError: if the model is not built or has no such layer, `x` is not such arrays
            of the model's shapes, a layer gets NaN or infinity, or `percentile` is out of range.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), DiscreteActivation("uint8", name="relu")])
    >>> calibrate(model, np.float32([[0.3, -9.0], [5.0, 0.1]]), percentile=100)
    {'relu': 8.0}
    """
    layers = _to_calibrate(model)
    _check_percentile(percentile)
    x = _sample(model, x)
    before = [(layer.quantizer, layer.log2_range.numpy()) for layer in layers]
    try:
        for layer in layers:
            layer.quantizer = _Measuring(layer, percentile)
        model(x, training=False)
    except BaseException:
        for layer, (_, log2_range) in zip(layers, before):
            layer.log2_range.assign(log2_range)
        raise
    finally:
        for layer, (quantizer, _) in zip(layers, before):
            layer.quantizer = quantizer
    return dict(zip(labels([layer.name for layer in layers]), [layer.resolved().range for layer in layers]))


def _to_calibrate(model) -> list:
    """The layers of unsigned spaces, in the order of the model."""
    if not isinstance(model, keras.layers.Layer):
        raise InvalidArgumentError(f"`model` must be a Keras model. Received: model={model!r}")
    layers = [
        layer
        for layer in walk(model)
        if isinstance(layer, DiscreteActivation) and isinstance(layer.quantizer, QuantizedReLU)
    ]
    if not layers:
        raise InvalidArgumentError(
            f'Model `{model.name}` has no DiscreteActivation("uint8") to calibrate (nor of fewer bits).'
        )
    unbuilt = [layer.name for layer in layers if not layer.built]
    if unbuilt:
        raise InvalidArgumentError(
            f"Model `{model.name}` must be built: call it once on an example, or begin it with keras.Input. "
            f"Received: a model whose layers {unbuilt} are not built"
        )
    return layers


def _check_percentile(percentile):
    number = isinstance(percentile, numbers.Real) and not isinstance(percentile, bool)
    if percentile is not None and not (number and 0 < percentile <= 100):
        raise InvalidArgumentError(
            f"`percentile` must be None or a number in (0, 100]. Received: percentile={percentile!r}"
        )


def _sample(model, x):
    """`x` as tensors, if it is one or several arrays of samples that the model takes."""
    arrays = [np.asarray(a) if hasattr(a, "dtype") else None for a in keras.tree.flatten(x)]
    numeric = all(a is not None and a.ndim and a.dtype.kind in "biuf" for a in arrays)
    if not arrays or not numeric or len({len(a) for a in arrays}) > 1 or not len(arrays[0]):
        raise InvalidArgumentError(
            "`x` must be an array of numbers, one sample a row, or a list or dict of such arrays, equally "
            f"many samples and at least one in each. Received: {_described(x)}"
        )
    structure = _structure(model)
    if structure is not None and not _fits(structure, x):
        wanted = keras.tree.map_structure(lambda t: f"{t.name}: {t.shape}", structure)
        raise InvalidArgumentError(
            f"`x` must have the inputs of model `{model.name}`: {wanted}. Received: {_described(x)}"
        )
    return keras.tree.map_structure(keras.ops.convert_to_tensor, x)


def _structure(model):
    """The symbolic inputs as the model takes them; None of a subclass, which does not say."""
    if isinstance(model, keras.Sequential):
        return model.inputs  # it has no `input` before it is called
    return model.input if getattr(model, "inputs", None) else None


def _fits(structure, x) -> bool:
    """Whether arrays have the shapes of the inputs; a dict may name those of a list, as Keras takes it."""
    inputs = keras.tree.flatten(structure)
    if isinstance(x, dict) and not isinstance(structure, dict):
        x = [x.get(tensor.name) for tensor in inputs]
    elif isinstance(x, dict) and x.keys() != structure.keys():
        return False
    given = [np.shape(a)[1:] for a in keras.tree.flatten(x)]
    return len(given) == len(inputs) and all(
        len(shape) == len(tensor.shape) - 1 and all(w in (None, n) for n, w in zip(shape, tensor.shape[1:]))
        for shape, tensor in zip(given, inputs)
    )


def _described(x) -> str:
    """What was given: types and shapes of arrays, the beginning of anything else."""

    def of(a):
        return f"{type(a).__name__} of shape {tuple(a.shape)}, {a.dtype}" if hasattr(a, "dtype") else repr(a)

    text = str(keras.tree.map_structure(of, x))
    return "x=" + (text if len(text) <= 300 else text[:300] + "...")


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
