"""What cannot be lowered, and the nearest form that can."""

import keras

from keras_gxnor.errors import UnsupportedLayerError

_L = keras.layers

ADVICE = {
    _L.DepthwiseConv1D: "GXNORDepthwiseConv1D, trained with DSTOptimizer",
    _L.DepthwiseConv2D: "GXNORDepthwiseConv2D, trained with DSTOptimizer",
    _L.SeparableConv1D: "GXNORSeparableConv1D, trained with DSTOptimizer",
    _L.SeparableConv2D: "GXNORSeparableConv2D, trained with DSTOptimizer",
    _L.Conv2DTranspose: "GXNORConv2DTranspose, trained with DSTOptimizer",
    _L.Conv1DTranspose: "UpSampling1D and GXNORConv1D, trained with DSTOptimizer",
    (_L.Conv3D, _L.Conv3DTranspose): "GXNORConv2D on slices",
    _L.Conv1D: "GXNORConv1D, trained with DSTOptimizer",
    _L.Conv2D: "GXNORConv2D, trained with DSTOptimizer",
    _L.Dense: "GXNORDense, trained with DSTOptimizer",
    _L.Embedding: "GXNOREmbedding, trained with DSTOptimizer",
    (_L.RNN, _L.Bidirectional): 'GXNORConv1D with padding="causal" and dilation_rate',
    (_L.Attention, _L.MultiHeadAttention): "GXNORConv1D",
    (_L.ReLU, _L.LeakyReLU, _L.ELU, _L.PReLU): 'DiscreteActivation, ternary or "uint8"',
    _L.Softmax: "logits as the output and from_logits=True in the loss",
    (_L.Multiply, _L.Maximum, _L.Minimum, _L.Dot): "Add, Average or Concatenate; Rescaling for a constant",
    _L.Normalization: "data normalized before the model, or Rescaling (one positive scale) first",
    _L.Resizing: "UpSampling2D, or images of the right size",
    (_L.LayerNormalization, _L.GroupNormalization): "BatchNormalization",
}
# Layers that do nothing at inference.
NOTHING = {
    _L.Dropout,
    _L.SpatialDropout1D,
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
            turned = getattr(layer, "data_format", "channels_last") != "channels_last"
            return advice + ', with data_format="channels_last"' * turned
    return (
        "the GXNOR layers, pooling, BatchNormalization, DiscreteActivation, Add, Concatenate, Flatten and "
        "the others that keras_gxnor.lowering.from_keras names"
    )


def channels_last(layer):
    """Refuses a layer with another data format."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        unsupported(layer, f"its data_format is {layer.data_format!r}", "channels_last")
