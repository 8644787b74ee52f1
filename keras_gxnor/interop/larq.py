"""Weights of Larq networks."""

from keras_gxnor.interop import hdf5, loading, rules

_RULES = {
    "SteSign": rules.SteSign,
    "ApproxSign": rules.SteSign,
    "SwishSign": rules.SteSign,
    "MagnitudeAwareSign": rules.MagnitudeAwareSign,
    "SteTern": rules.SteTern,
}
_DEFAULTS = {"binary": rules.SteSign(), "ternary": rules.SteTern()}


def from_larq(path, model, kernel_quantizer=None):
    """Reads the weights of a Larq network into an equally built model.

    Equally built: the same layers with weights in the same order, `QuantConv2D` as
    `GXNORConv2D`, `QuantDense` as `GXNORDense`; an `input_quantizer` as a `DiscreteActivation`
    before the layer. (Padding is with zeros: a network with `pad_values=1` is another one.)
    Kernels become codes by the rule of their `kernel_quantizer`, so that the
    discrete kernel times its scale is exactly the one that Larq computes with. A scale
    other than 1 (`MagnitudeAwareSign`) goes into the BatchNormalization that follows, where it
    is right in real numbers and up to a few roundings in float32. Biases, batch
    normalizations and the float kernels of ordinary Keras layers are copied.

    Layers are paired by name if all those of `model` are in the file, else by order. Nothing is
    written unless everything fits.

    Args:
        path: A `.h5` file of `model.save_weights` or `model.save` under Keras 2 (tf_keras), or
            an open `h5py.File`.
        model: A built Sequential or Functional model, whose weights are set.
        kernel_quantizer: A rule such as `SteTern(threshold_value=0.1)` for all kernels, or a
            dict {name of a layer of `model`: rule} for some. For the others the file says it, if
            it was written by `model.save`; else it is `SteSign()` for binary and `SteTern()`
            for ternary kernels.

    Returns:
        A `conversion.Table` of what was read where; print it.

    Raises:
        ModelFileError: if the file is corrupt or of another format.
        InvalidArgumentError: if layers, shapes or quantizers do not fit; it names the layer.

    Example:

    >>> from keras_gxnor.interop import from_larq
    >>> model = keras.Sequential([keras.Input((4,)), GXNORDense(2, kernel_space="binary")])
    >>> from_larq("missing.h5", model)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    keras_gxnor.errors.ModelFileError: Expected an HDF5 file ...
    """
    return loading.load(hdf5.read(path), model, kernel_quantizer, _RULES, _DEFAULTS)
