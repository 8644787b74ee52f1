"""DiscreteActivation: the multi-step activation as a layer."""

import keras

from keras_gxnor.quantizers import MultiStep


@keras.saving.register_keras_serializable(package="keras_gxnor")
class DiscreteActivation(keras.layers.Layer):
    """Maps activations onto a discrete space (ternary: -1, 0, 1).

    Forward it is a step function, backward a pulse around every step; see
    `keras_gxnor.quantizers.MultiStep` for both. Place it after a BatchNormalization,
    which brings the sums into the range of the window. It makes nothing smaller or
    faster in Keras itself: the values stay floats there.

    Args:
        space: Activation space: `"ternary"`, `"binary"`, `"z2"`..`"z7"` or a
            `DiscreteSpace`.
        window: Zero window r, 0 <= r < H. A larger window gives more zeros.
        pulse: `"rectangular"` or `"triangular"`.
        pulse_width: Half width a > 0 of the pulses.
        **kwargs: As for `keras.layers.Layer`.

    Input shape:
        Any.

    Output shape:
        The same.

    Exports to: TFLite, TFLite Micro and C, for ternary and binary spaces.

    Example:

    >>> DiscreteActivation()(keras.ops.array([[-0.7, 0.2, 3.0]])).numpy()
    array([[-1.,  0.,  1.]], dtype=float32)
    """

    def __init__(
        self, space="ternary", window=0.5, pulse="rectangular", pulse_width=0.5, **kwargs
    ):
        super().__init__(**kwargs)
        self.quantizer = MultiStep(space, window, pulse, pulse_width)
        self.supports_masking = True

    def call(self, inputs, training=None):
        """Applies the quantizer; same shape and dtype."""
        return self.quantizer(inputs, training)

    def compute_output_shape(self, input_shape):
        """The input shape."""
        return input_shape

    def get_config(self):
        """Arguments that rebuild this layer."""
        return {**super().get_config(), **self.quantizer.get_config()}
