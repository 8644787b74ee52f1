"""GXNORConv2DTranspose: `keras.layers.Conv2DTranspose` with a discrete kernel."""

import keras

from keras_gxnor.layers.windows import Windowed


@keras.saving.register_keras_serializable(package="keras_gxnor")
class GXNORConv2DTranspose(Windowed, keras.layers.Conv2DTranspose):
    """2D transposed convolution whose kernel is ternary, stored as int8 codes.

    As `keras.layers.Conv2DTranspose`, with every weight in {-1, 0, 1} (or another discrete
    space). The kernel is one int8 trainable variable, without a float copy between steps, and
    must be trained with `keras_gxnor.DSTOptimizer`.

    Args:
        filters: Positive integer, the number of filters.
        kernel_size: Integer or pair, (height, width) of the window.
        strides: Integer or pair: how many outputs one input moves the window by.
        padding: `"valid"` or `"same"`.
        output_padding: Integer or pair below `strides`, rows and columns added to the output;
            None for the smallest output that Keras derives.
        data_format: `"channels_last"` or `"channels_first"`; None for Keras' setting.
        dilation_rate: Integer or pair.
        activation: Activation function; also a `DiscreteActivation`, a quantizer, or
            the name of a space such as `"ternary"`.
        use_bias: Whether the layer uses a (float) bias. Redundant before a
            BatchNormalization.
        kernel_initializer: Any Keras initializer; its draw is turned into codes
            (`keras_gxnor.kernels.initial_codes`).
        bias_initializer: Initializer for the bias.
        kernel_regularizer: Regularizer of the float read of the kernel.
        bias_regularizer: Regularizer of the bias.
        activity_regularizer: Regularizer of the output.
        kernel_constraint: Refused: the space is the constraint.
        bias_constraint: Constraint of the bias.
        kernel_space: `"ternary"`, `"binary"`, `"z2"`..`"z7"`, `"graded"` or a space, as of
            `GXNORConv2D`.
        kernel_storage: `"int8"` or `"packed"`, as of `GXNORConv2D`.
        **kwargs: As for `keras.layers.Layer`.

    Input shape:
        (batch, height, width, channels), or channels first.

    Output shape:
        (batch, new_height, new_width, filters), or channels first.

    Exports to: TFLite, TFLite Micro and C, for ternary and binary kernels and
    `data_format="channels_last"`.

    Example:

    >>> layer = GXNORConv2DTranspose(4, 2, strides=2)
    >>> layer(keras.ops.ones((1, 8, 8, 2))).shape
    TensorShape([1, 16, 16, 4])
    >>> layer.kernel.shape
    TensorShape([2, 2, 4, 2])
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        output_padding=None,
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        kernel_space="ternary",
        kernel_storage="int8",
        **kwargs,
    ):
        super().__init__(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            output_padding=output_padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            kernel_space=kernel_space,
            kernel_storage=kernel_storage,
            **kwargs,
        )

    def build(self, input_shape):
        """Creates the kernel (height, width, filters, channels) and the bias (filters,)."""
        self.make_kernel((*self.kernel_size, self.filters, self.channels(input_shape)))
        self.bias = self.make_bias(self.filters)
        self.built = True

    def convolve(self, inputs, kernel):
        """The transposed convolution alone, of inputs whose channels are last."""
        return keras.ops.conv_transpose(
            inputs,
            _spread(kernel, self.dilation_rate),
            strides=list(self.strides),
            padding=self.padding,
            output_padding=self.output_padding,
            data_format="channels_last",
        )


def _spread(kernel, dilation_rate):
    """The kernel with zeros between its taps: that of the same convolution without dilation.

    TensorFlow has no dilated transposed convolution for the CPU, unless the processor runs oneDNN's.
    """
    if set(dilation_rate) == {1}:
        return kernel
    (height, width), (down, right) = kernel.shape[:2], dilation_rate
    apart = keras.ops.expand_dims(kernel, (1, 3))
    apart = keras.ops.pad(apart, [(0, 0), (0, down - 1), (0, 0), (0, right - 1), (0, 0), (0, 0)])
    whole = keras.ops.reshape(apart, (height * down, width * right, *kernel.shape[2:]))
    return whole[: (height - 1) * down + 1, : (width - 1) * right + 1]
