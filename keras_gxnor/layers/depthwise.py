"""GXNORDepthwiseConv1D and GXNORDepthwiseConv2D: Keras' depthwise convolutions, discrete."""

import keras

from keras_gxnor.layers.windows import Windowed


class _DepthwiseConv(Windowed):
    """The depthwise convolution of any rank."""

    KERNELS = {"kernel": "depthwise"}

    def __init__(
        self,
        kernel_size,
        strides=1,
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        bias_constraint=None,
        kernel_space="ternary",
        kernel_storage="int8",
        **kwargs,
    ):
        super().__init__(
            kernel_size,
            strides=strides,
            padding=padding,
            depth_multiplier=depth_multiplier,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=depthwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            bias_constraint=bias_constraint,
            kernel_space=kernel_space,
            kernel_storage=kernel_storage,
            **kwargs,
        )

    def build(self, input_shape):
        """Creates the kernel (*kernel_size, channels, depth_multiplier) and a bias an output channel."""
        channels = self.channels(input_shape)
        self.make_kernel((*self.kernel_size, channels, self.depth_multiplier))
        self.bias = self.make_bias(channels * self.depth_multiplier)
        self.built = True

    def convolve(self, inputs, kernel):
        """The convolution alone, of inputs whose channels are last."""
        return keras.ops.depthwise_conv(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format="channels_last",
        )


@keras.saving.register_keras_serializable(package="keras_gxnor")
class GXNORDepthwiseConv1D(_DepthwiseConv, keras.layers.DepthwiseConv1D):
    """1D depthwise convolution whose kernel is ternary, stored as int8 codes.

    As `keras.layers.DepthwiseConv1D`; see `GXNORDepthwiseConv2D` for what the kernel is.

    Args:
        kernel_size: Integer, the width of the window.
        strides: Integer.
        padding: `"valid"` or `"same"`.
        depth_multiplier: Positive integer, the number of outputs of each input channel.
        data_format: `"channels_last"` or `"channels_first"`; None for Keras' setting.
        dilation_rate: Integer.
        **kwargs: All else in the order of `keras.layers.DepthwiseConv1D`, then `kernel_space`
            and `kernel_storage`, as of `GXNORDepthwiseConv2D`.

    Input shape:
        (batch, steps, channels), or channels first.

    Output shape:
        (batch, new_steps, channels * depth_multiplier), or channels first.

    Exports to: TFLite, TFLite Micro and C, for ternary and binary kernels and
    `data_format="channels_last"`.

    Example:

    >>> layer = GXNORDepthwiseConv1D(3, padding="same")
    >>> layer(keras.ops.ones((1, 10, 2))).shape
    TensorShape([1, 10, 2])
    """


@keras.saving.register_keras_serializable(package="keras_gxnor")
class GXNORDepthwiseConv2D(_DepthwiseConv, keras.layers.DepthwiseConv2D):
    """2D depthwise convolution whose kernel is ternary, stored as int8 codes.

    As `keras.layers.DepthwiseConv2D`: every input channel is convolved with filters of its
    own, whose weights are in {-1, 0, 1} (or another discrete space). The kernel is one int8
    trainable variable, without a float copy between steps, and must be trained with
    `keras_gxnor.DSTOptimizer`. A 3x3 filter then has 9 trits: such a layer is small, and so is
    what it can tell apart; a `depth_multiplier` above 1 gives it more.

    Args:
        kernel_size: Integer or pair, (height, width) of the window.
        strides: Integer or pair of equal integers.
        padding: `"valid"` or `"same"`.
        depth_multiplier: Positive integer, the number of outputs of each input channel.
        data_format: `"channels_last"` or `"channels_first"`; None for Keras' setting.
        dilation_rate: Integer or pair.
        activation: Activation function; also a `DiscreteActivation`, a quantizer, or
            the name of a space such as `"ternary"`.
        use_bias: Whether the layer uses a (float) bias. Redundant before a
            BatchNormalization.
        depthwise_initializer: Any Keras initializer; its draw is turned into codes
            (`keras_gxnor.kernels.initial_codes`).
        bias_initializer: Initializer for the bias.
        depthwise_regularizer: Regularizer of the float read of the kernel.
        bias_regularizer: Regularizer of the bias.
        activity_regularizer: Regularizer of the output.
        depthwise_constraint: Refused: the space is the constraint.
        bias_constraint: Constraint of the bias.
        kernel_space: `"ternary"`, `"binary"`, `"z2"`..`"z7"`, `"graded"` or a space, as of
            `GXNORConv2D`.
        kernel_storage: `"int8"` or `"packed"`, as of `GXNORConv2D`.
        **kwargs: As for `keras.layers.Layer`.

    Input shape:
        (batch, height, width, channels), or channels first.

    Output shape:
        (batch, new_height, new_width, channels * depth_multiplier), or channels first.

    Exports to: TFLite, TFLite Micro and C, for ternary and binary kernels and
    `data_format="channels_last"`.

    Example:

    >>> layer = GXNORDepthwiseConv2D(3, depth_multiplier=2)
    >>> layer(keras.ops.ones((1, 8, 8, 2))).shape
    TensorShape([1, 6, 6, 4])
    >>> layer.kernel.shape
    TensorShape([3, 3, 2, 2])
    """
