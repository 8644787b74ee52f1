"""Weights of QKeras networks."""

from keras_gxnor.interop import hdf5, loading, rules

_RULES = {
    "binary": rules.Binary,
    "stochastic_binary": rules.Binary,
    "ternary": rules.Ternary,
    "stochastic_ternary": rules.Ternary,
}
_DEFAULTS = {"binary": rules.Binary(), "ternary": rules.Ternary()}


def from_qkeras(path, model, kernel_quantizer=None):
    """Reads the weights of a QKeras network into an equally built model.

    As `from_larq`: `QConv2D` as `GXNORConv2D`, `QDense` as `GXNORDense`, `QActivation` as
    `DiscreteActivation`, `QBatchNormalization` as BatchNormalization. The rules are those of
    QKeras' quantizers at inference. QKeras itself adds their result to the float kernel and
    subtracts that again, which leaves a rounding error of about 1e-7; the codes times scales
    read here are what it rounds. (QKeras' ternary activation keeps a value at its threshold,
    `DiscreteActivation` zeroes it.)

    Args:
        path: A `.h5` file of `model.save_weights` or `model.save` under Keras 2 (tf_keras), or
            an open `h5py.File`.
        model: A built Sequential or Functional model, whose weights are set.
        kernel_quantizer: A rule such as `Ternary(alpha="auto")` for all kernels, or a dict
            {name of a layer of `model`: rule} for some. For the others the file says it, if
            it was written by `model.save`; else it is `Binary()` or `Ternary()`, with the scale
            `"auto_po2"` that QKeras' layers take when none is given.

    Returns:
        A `conversion.Table` of what was read where; print it.

    Raises:
        ModelFileError: if the file is corrupt or of another format.
        InvalidArgumentError: if layers, shapes or quantizers do not fit; it names the layer.

    Example:

    >>> from keras_gxnor.interop import from_qkeras
    >>> model = keras.Sequential([keras.Input((4,)), GXNORDense(2)])
    >>> from_qkeras("missing.h5", model)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    keras_gxnor.errors.ModelFileError: Expected an HDF5 file ...
    """
    return loading.load(hdf5.read(path), model, kernel_quantizer, _RULES, _DEFAULTS)
