"""The ternary layers of Keras 3.16: `TernaryDense` and `Dense.quantize("ternary")`.

Written against their documentation and sources before 3.16 was released. They give, as public
attributes: `units`, `bias`, `activation`, `kernel` (floats; codes -1, 0, 1 once
`quantization_mode` is "ternary"), then `kernel_scale`, and `threshold` of a TernaryDense
(None: half the mean |w| of the kernel, and a scale of the mean |w|; else a scale of 1). Whether
`kernel_scale` multiplies or divides has changed meanwhile, so what is read is compared with what
the layer itself computes.
"""

import keras
import numpy as np

from keras_gxnor.conversion.blocks import frozen_scale, set_normalization
from keras_gxnor.conversion.numbers import Normalization, finite_kernel
from keras_gxnor.errors import InvalidArgumentError, MissingExtraError
from keras_gxnor.interop.loading import flat
from keras_gxnor.layers import GXNORDense

_ROWS = 64  # inputs with a single 1 on which a layer is compared with what was read of it


def from_keras_ternary(model):
    """Turns the ternary Dense layers of Keras into GXNORDense.

    Each becomes a block of its name: GXNORDense with the layer's codes, a frozen
    BatchNormalization that multiplies by its scale and adds its bias, and its activation. The
    block computes what the layer computes; codes and scale are exact. Other layers are cloned with
    their weights.

    Args:
        model: A built Sequential or Functional model that has such layers, or one such layer.

    Returns:
        A new model of the same kind; for a layer the block, a `keras.Sequential`.

    Raises:
        InvalidArgumentError: if `model` is no model or layer, not built or without such a layer,
            or if the block would not compute what the layer computes.
        MissingExtraError: if it has a Dense, but this Keras has no ternary layers (before 3.16).
    """
    if not isinstance(model, keras.layers.Layer):
        raise InvalidArgumentError(f"Expected a Keras model or layer. Received: {model!r:.99}")
    if not model.built:
        raise InvalidArgumentError(
            f"`{model.name}` is not built. Call it once, or start it with keras.Input."
        )
    single = not isinstance(model, keras.Model)
    _refuse_without_ternary(model, [model] if single else list(flat(model)))
    if single:
        block = _block(model)
        block.build((None, _values(model)[0].shape[0]))
        _fill(model, block)
        return block
    pairs = []

    def clone(layer):
        made = _block(layer) if _is_ternary(layer) else type(layer).from_config(layer.get_config())
        pairs.append((layer, made))
        return made

    cloned = keras.models.clone_model(model, clone_function=clone, recursive=True)
    for layer, made in pairs:
        if _is_ternary(layer):
            _fill(layer, made)
        else:
            made.set_weights(layer.get_weights())
    return cloned


def _is_ternary(layer) -> bool:
    kind = getattr(keras.layers, "TernaryDense", ())
    return isinstance(layer, kind) or getattr(layer, "quantization_mode", None) == "ternary"


def _refuse_without_ternary(model, layers):
    if any(_is_ternary(layer) for layer in layers):
        return
    # A newer Keras helps only a Dense of its own, not what is ternary already.
    if not hasattr(keras.layers, "TernaryDense") and any(type(x) is keras.layers.Dense for x in layers):
        raise MissingExtraError(
            f"Ternary layers came with Keras 3.16; this is {keras.__version__}. Install it with: "
            'pip install "keras>=3.16"'
        )
    raise InvalidArgumentError(
        'Expected a TernaryDense or a Dense after quantize("ternary"), or a model with one. '
        f"Received: {model.name!r} ({type(model).__name__})"
    )


def _block(layer):
    layers = [
        GXNORDense(layer.units, use_bias=False, name=f"{layer.name}_kernel"),
        frozen_scale(f"{layer.name}_scale"),
    ]
    if layer.activation not in (None, keras.activations.linear):
        layers.append(keras.layers.Activation(layer.activation, name=f"{layer.name}_activation"))
    return keras.Sequential(layers, name=layer.name)


def _values(layer):
    """(codes, scale) of a layer, by its own rule."""
    if not layer.built:
        raise InvalidArgumentError(f"Layer `{layer.name}` is not built. Call it, or its model, once.")
    kernel = finite_kernel(keras.ops.convert_to_numpy(layer.kernel), f"The kernel of `{layer.name}`")
    if getattr(layer, "quantization_mode", None) == "ternary":
        return kernel.astype(np.int8), np.float32(keras.ops.convert_to_numpy(layer.kernel_scale))
    mean = keras.ops.mean(keras.ops.abs(layer.kernel))
    threshold, scale = (0.5 * mean, mean) if layer.threshold is None else (layer.threshold, 1.0)
    kept = np.abs(kernel) > np.float32(threshold)
    return (np.sign(kernel) * kept).astype(np.int8), np.float32(scale)


def _fill(layer, block):
    """Sets the weights of a block; the layer itself is the judge."""
    codes, scale = _values(layer)
    rows = np.eye(*codes.shape[:1], dtype=np.float32)[:_ROWS]
    expected = np.asarray(layer(rows))
    bias = None if layer.bias is None else keras.ops.convert_to_numpy(layer.bias)
    kernel, normalization = block.layers[:2]
    kernel.kernel.assign(codes)
    for alpha in (scale, 1 / scale):
        scales = np.full(codes.shape[1], alpha, np.float32)
        set_normalization(normalization, Normalization.of_scale(scales, bias))
        if np.allclose(np.asarray(block(rows)), expected, rtol=1e-5, atol=1e-7):
            return
    raise InvalidArgumentError(
        f"Layer `{layer.name}` ({type(layer).__name__} of Keras {keras.__version__}) does not compute "
        f"codes times a scale. Expected act(x @ codes * scale + bias). Received: scale={scale!r}, "
        f"outputs {expected.min():g}..{expected.max():g} on unit vectors"
    )
