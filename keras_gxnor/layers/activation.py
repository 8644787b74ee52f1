"""DiscreteActivation: the multi-step activation, or a ReLU in 255 steps, as a layer."""

import math

import keras

from keras_gxnor import relu
from keras_gxnor.errors import UnsupportedLayerError
from keras_gxnor.quantizers import MultiStep, QuantizedReLU


@keras.saving.register_keras_serializable(package="keras_gxnor")
class DiscreteActivation(keras.layers.Layer):
    """Maps activations onto a discrete space (ternary: -1, 0, 1), or onto unsigned integers.

    Forward it is a step function, backward a pulse around every step; see
    `keras_gxnor.quantizers.MultiStep` for both. Place it after a BatchNormalization,
    which brings the sums into the range of the window. It makes nothing smaller or
    faster in Keras itself: the values stay floats there.

    `"uint8"` is a ReLU in 255 steps (`keras_gxnor.QuantizedReLU`), for networks that keep some
    activations in 8 bits. Its range, a power of two, is the layer's one variable `log2_range`
    (used rounded to an integer): learned by the float optimizer, which should be one that scales
    gradients, such as Adam; with `trainable=False` it stays; `keras_gxnor.calibrate` measures it.

    Args:
        space: Activation space: `"ternary"`, `"binary"`, `"z2"`..`"z7"` or a `DiscreteSpace`; or
            `"uint1"`..`"uint8"`.
        window: Zero window r, 0 <= r < H. A larger window gives more zeros.
        pulse: `"rectangular"` or `"triangular"`.
        pulse_width: Half width a > 0 of the pulses.
        range: Of the unsigned spaces, which have no window and no pulses: the range to begin
            with, a power of two. 4 covers what a BatchNormalization makes at first.
        **kwargs: As for `keras.layers.Layer`.

    Input shape:
        Any.

    Output shape:
        The same.

    Exports to: TFLite, TFLite Micro and C.

    Example:

    >>> DiscreteActivation()(keras.ops.array([[-0.7, 0.2, 3.0]])).numpy()
    array([[-1.,  0.,  1.]], dtype=float32)
    >>> DiscreteActivation("uint8")(keras.ops.array([[-0.7, 0.2, 3.0]])).numpy()
    array([[0.      , 0.203125, 3.      ]], dtype=float32)
    """

    def __init__(
        self, space="ternary", window=0.5, pulse="rectangular", pulse_width=0.5, range=4.0, **kwargs
    ):
        super().__init__(**kwargs)
        unsigned = isinstance(space, str) and space in relu.names()
        self.quantizer = (
            QuantizedReLU(space, range) if unsigned else MultiStep(space, window, pulse, pulse_width)
        )
        self.log2_range = None
        self.supports_masking = True

    def build(self, input_shape):
        """Creates `log2_range`, a float32 scalar, for an unsigned space."""
        del input_shape
        if isinstance(self.quantizer, QuantizedReLU):
            self.log2_range = self.add_weight(
                name="log2_range",
                shape=(),
                initializer=keras.initializers.Constant(math.log2(self.quantizer.range)),
                dtype="float32",
                autocast=False,
            )
        self.built = True

    def call(self, inputs, training=None):
        """Applies the quantizer; same shape and dtype."""
        if self.log2_range is None:
            return self.quantizer(inputs, training)
        return self.quantizer(inputs, training, self.log2_range)

    def resolved(self):
        """The quantizer as it is now: that of an unsigned space with the range learned so far.

        Raises:
            UnsupportedLayerError: if that is no number, as after a training that diverged.
        """
        if self.log2_range is None:
            return self.quantizer
        if not math.isfinite(exponent := float(self.log2_range.numpy())):
            raise UnsupportedLayerError(
                f"Layer `{self.name}` must have a finite range. The training diverged, or a weight was set "
                f"to NaN: restore a sound checkpoint. Received: log2_range={exponent}"
            )
        return QuantizedReLU(self.quantizer.space, 2.0 ** int(relu.exponent(self.log2_range.numpy())))

    def compute_output_shape(self, input_shape):
        """The input shape."""
        return input_shape

    def get_config(self):
        """Arguments that rebuild this layer."""
        return {**super().get_config(), **self.quantizer.get_config()}
