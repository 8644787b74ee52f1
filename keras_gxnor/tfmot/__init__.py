"""The bridge to tensorflow-model-optimization (tfmot), which knows Keras 2 (tf_keras) only.

`TernaryQuantizeConfig` trains ternary layers inside tfmot, `from_tfmot` carries its models into
Keras 3. Both need the extra `[tfmot]`; it is imported when one of them is first used, not before.
tfmot sets TF_USE_LEGACY_KERAS=1 while it is imported, which says what TensorFlow's own attribute
`keras` is. Here the variable is put back at once, and that attribute is used nowhere.
"""

__all__ = ["TernaryQuantizeConfig", "from_tfmot"]


def __getattr__(name):
    if name == "TernaryQuantizeConfig":
        from keras_gxnor.tfmot.config import TernaryQuantizeConfig

        return TernaryQuantizeConfig
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def from_tfmot(model, approximate=False, verbose=True):
    """Turns a tf_keras model, as tfmot leaves it, into a Keras 3 model with discrete kernels.

    The wrappers of quantization, annotation, pruning and clustering are taken off. Then:

    - A kernel whose quantizer gives -s, 0 and s in each channel (`TernaryQuantizeConfig`,
      `DefaultNBitQuantizeScheme(num_bits_weight=2)`, or a kernel that is ternary as it is)
      becomes ternary codes, exactly: codes * s is the kernel that tfmot computes with, bit for bit.
    - A kernel of 3 to 8 bits in tfmot's narrow range becomes a kernel of that many bits
      (`kernel_space="int8"`), each weight on its own step of the grid.
    - Any other kernel (float, pruned, clustered) is refused; with `approximate=True` its nearest
      ternary codes are taken (`conversion.numbers.twn`), to train on from.
    - Scales and biases go into the BatchNormalization that reads the kernel alone, or else into
      a frozen one that is inserted.
    - A quantizer of `TernaryQuantizeConfig` becomes a DiscreteActivation that computes the same; a
      ReLU becomes `DiscreteActivation("uint8")`, its range rounded up to a power of two (256
      steps of it in the place of 255 steps of the old one). A ReLU without a range, since
      it was not quantized, begins with 4: calibrate or train it.
    - What has no counterpart is left out: 8-bit quantizers of inputs (the `InputSpec` says
      how they are fed), of the logits and between normalization and activation, and a softmax
      at the end.

    Every decision is in the table that is printed; "not exact" marks what changes the function.

    Args:
        model: A built tf_keras Sequential or Functional model without nested models.
        approximate: Whether kernels that have more than the values above become ternary.
        verbose: Whether to print the table.

    Returns:
        A Keras 3 model with the names of the layers without their wrappers', not compiled. Layers that
        do not train (`trainable=False`) do not here.

    Raises:
        MissingExtraError: if tfmot or tf_keras is not installed.
        InvalidArgumentError: if `model` is none of tf_keras, or not built, or holds NaN, or
            `approximate` is no bool.
        UnsupportedLayerError: if a layer cannot be carried over; it names the layer. Or if the
            model takes or gives a dict of tensors.

    Example:

    >>> import tf_keras
    >>> theirs = tf_keras.Sequential([tf_keras.Input((2,)), tf_keras.layers.Dense(1, name="d")])
    >>> theirs.set_weights([np.float32([[0.5], [-0.5]]), np.float32([1.0])])
    >>> from keras_gxnor.tfmot import from_tfmot
    >>> ours = from_tfmot(theirs, verbose=False)
    >>> ours.get_layer("d").kernel.numpy()[:, 0], ours(np.float32([[3, 1]])).numpy()
    (array([ 1, -1], dtype=int8), array([[2.]], dtype=float32))
    """
    from keras_gxnor.tfmot.model import convert

    made, table = convert(model, approximate)
    if verbose:
        print(table)
    return made
