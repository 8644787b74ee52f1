"""What cannot be lowered, and the nearest form that can."""

import keras

from keras_gxnor.errors import UnsupportedLayerError

_L = keras.layers

ADVICE = {
    _L.Conv2D: "GXNORConv2D, trained with DSTOptimizer",
    _L.Dense: "GXNORDense, trained with DSTOptimizer",
    (_L.ReLU, _L.LeakyReLU, _L.ELU, _L.PReLU): 'DiscreteActivation, ternary or "uint8"',
    _L.Softmax: "logits as the output and from_logits=True in the loss",
    (_L.Multiply, _L.Average, _L.Maximum, _L.Minimum, _L.Dot): "Add or Concatenate",
    _L.Rescaling: "Rescaling as the first layer only",
    _L.Normalization: "Rescaling as the first layer",
    (_L.LayerNormalization, _L.GroupNormalization): "BatchNormalization",
}
# Layers that do nothing at inference.
NOTHING = {
    _L.Dropout,
    _L.SpatialDropout2D,
    _L.GaussianDropout,
    _L.GaussianNoise,
    _L.AlphaDropout,
    _L.ActivityRegularization,
    _L.Identity,
    _L.RandomBrightness,
    _L.RandomContrast,
    _L.RandomFlip,
    _L.RandomRotation,
    _L.RandomTranslation,
    _L.RandomZoom,
}


def unsupported(layer, why, nearest):
    """Raises UnsupportedLayerError with the layer's name, the reason and the remedy."""
    raise UnsupportedLayerError(
        f"Layer `{layer.name}` ({type(layer).__name__}) cannot be lowered: {why}. "
        f"Nearest supported form: {nearest}."
    )


def nearest(layer) -> str:
    """The supported form that comes nearest to a layer without one."""
    for known, advice in ADVICE.items():
        if isinstance(layer, known):
            return advice
    return (
        "GXNORDense, GXNORConv2D, MaxPooling2D, AveragePooling2D, BatchNormalization, "
        "DiscreteActivation, Add, Concatenate and Flatten"
    )


def channels_last(layer):
    """Refuses a layer with another data format."""
    if layer.data_format != "channels_last":
        unsupported(layer, f"its data_format is {layer.data_format!r}", "channels_last")
