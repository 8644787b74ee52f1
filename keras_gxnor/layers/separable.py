"""GXNORSeparableConv1D and GXNORSeparableConv2D: Keras' separable convolutions, discrete."""

import keras

from keras_gxnor.layers.windows import Windowed


class _SeparableConv(Windowed):
    """The separable convolution of any rank: two kernels, one after the other."""

    KERNELS = {"depthwise_kernel": "depthwise", "pointwise_kernel": "pointwise"}

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        depth_multiplier=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        pointwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        pointwise_constraint=None,
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
            data_format=data_format,
            dilation_rate=dilation_rate,
            depth_multiplier=depth_multiplier,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            pointwise_constraint=pointwise_constraint,
            bias_constraint=bias_constraint,
            kernel_space=kernel_space,
            kernel_storage=kernel_storage,
            **kwargs,
        )

    def build(self, input_shape):
        """Creates both kernels and the bias (filters,)."""
        channels = self.channels(input_shape)
        self.make_kernel((*self.kernel_size, channels, self.depth_multiplier), "depthwise_kernel")
        ones = [1] * self.rank
        self.make_kernel((*ones, channels * self.depth_multiplier, self.filters), "pointwise_kernel")
        self.bias = self.make_bias(self.filters)
        self.built = True

    @property
    def depthwise_kernel(self):
        """The variable (*kernel_size, channels, depth_multiplier) of int8 codes."""
        return self.kernel_variable("depthwise_kernel")

    @property
    def pointwise_kernel(self):
        """The variable (1, [1,] channels * depth_multiplier, filters) of int8 codes."""
        return self.kernel_variable("pointwise_kernel")

    def depthwise_codes(self):
        """The codes of `depthwise_kernel` that the network computes with (int8)."""
        return self.codes("depthwise_kernel")

    def pointwise_codes(self):
        """The codes of `pointwise_kernel` that the network computes with (int8)."""
        return self.codes("pointwise_kernel")

    def convolve(self, inputs, depthwise_kernel, pointwise_kernel):
        """Both convolutions alone, of inputs whose channels are last."""
        return keras.ops.separable_conv(
            inputs,
            depthwise_kernel,
            pointwise_kernel,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format="channels_last",
        )


@keras.saving.register_keras_serializable(package="keras_gxnor")
class GXNORSeparableConv1D(_SeparableConv, keras.layers.SeparableConv1D):
    """1D separable convolution whose two kernels are ternary, stored as int8 codes.

    As `keras.layers.SeparableConv1D`; see `GXNORSeparableConv2D` for what the kernels are.

    Args:
        filters: Positive integer, the number of filters.
        kernel_size: Integer, the width of the depthwise window.
        strides: Integer.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` or `"channels_first"`; None for Keras' setting.
        dilation_rate: Integer.
        depth_multiplier: Positive integer, the depthwise outputs of each input channel.
        **kwargs: All else in the order of `keras.layers.SeparableConv1D`, then `kernel_space`
            and `kernel_storage`, as of `GXNORSeparableConv2D`.

    Input shape:
        (batch, steps, channels), or channels first.

    Output shape:
        (batch, new_steps, filters), or channels first.

    Exports to: TFLite, TFLite Micro and C, for ternary and binary kernels and
    `data_format="channels_last"`.

    Example:

    >>> layer = GXNORSeparableConv1D(4, 3)
    >>> layer(keras.ops.ones((1, 10, 2))).shape
    TensorShape([1, 8, 4])
    """


@keras.saving.register_keras_serializable(package="keras_gxnor")
class GXNORSeparableConv2D(_SeparableConv, keras.layers.SeparableConv2D):
    """2D separable convolution whose two kernels are ternary, stored as int8 codes.

    As `keras.layers.SeparableConv2D`: a depthwise convolution and a pointwise (1x1) one right
    behind it, with all weights in {-1, 0, 1} (or another discrete space). Both kernels are int8
    trainable variables, without a float copy between steps, and must be trained with
    `keras_gxnor.DSTOptimizer`. Nothing comes between the two, so the pointwise convolution
    reads sums, not codes. A `GXNORDepthwiseConv2D`, BatchNormalization, DiscreteActivation and
    a 1x1 `GXNORConv2D` in its place have the same weights, and ternary codes in between: less
    memory for them on a device, and no wide products.

    Args:
        filters: Positive integer, the number of filters.
        kernel_size: Integer or pair, (height, width) of the depthwise window.
        strides: Integer or pair of equal integers.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` or `"channels_first"`; None for Keras' setting.
        dilation_rate: Integer or pair.
        depth_multiplier: Positive integer, the depthwise outputs of each input channel.
        activation: Activation function; also a `DiscreteActivation`, a quantizer, or
            the name of a space such as `"ternary"`.
        use_bias: Whether the layer uses a (float) bias. Redundant before a
            BatchNormalization.
        depthwise_initializer: Any Keras initializer; its draw is turned into codes
            (`keras_gxnor.kernels.initial_codes`).
        pointwise_initializer: The same for the pointwise kernel.
        bias_initializer: Initializer for the bias.
        depthwise_regularizer: Regularizer of the float read of the depthwise kernel.
        pointwise_regularizer: Regularizer of the float read of the pointwise kernel.
        bias_regularizer: Regularizer of the bias.
        activity_regularizer: Regularizer of the output.
        depthwise_constraint: Refused: the space is the constraint.
        pointwise_constraint: Refused as well.
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

    >>> layer = GXNORSeparableConv2D(4, 3)
    >>> layer(keras.ops.ones((1, 8, 8, 2))).shape
    TensorShape([1, 6, 6, 4])
    >>> layer.depthwise_codes().shape, layer.pointwise_codes().shape
    ((3, 3, 2, 1), (1, 1, 2, 4))
    """
