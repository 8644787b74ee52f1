"""GXNORConv1D and GXNORConv2D: Keras' convolutions with a discrete kernel."""

import keras

from keras_gxnor.layers.windows import Windowed


class _Conv(Windowed):
    """The convolution of any rank."""

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        groups=1,
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
            data_format=data_format,
            dilation_rate=dilation_rate,
            groups=groups,
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
        """Creates the kernel (*kernel_size, channels / groups, filters) and the bias (filters,)."""
        channels = self.channels(input_shape)
        self.make_kernel((*self.kernel_size, channels // self.groups, self.filters))
        self.bias = self.make_bias(self.filters)
        self.built = True

    def convolve(self, inputs, kernel):
        """The convolution alone, of inputs whose channels are last."""
        padding = self.padding
        if padding == "causal":
            before = self.dilation_rate[0] * (self.kernel_size[0] - 1)
            inputs, padding = keras.ops.pad(inputs, [(0, 0), (before, 0), (0, 0)]), "valid"
        return keras.ops.conv(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=padding,
            dilation_rate=self.dilation_rate,
            data_format="channels_last",
        )


@keras.saving.register_keras_serializable(package="keras_gxnor")
class GXNORConv1D(_Conv, keras.layers.Conv1D):
    """1D convolution whose kernel is ternary, stored as int8 codes.

    As `keras.layers.Conv1D`; see `GXNORConv2D` for what the kernel is and how it trains.

    Args:
        filters: Positive integer, the number of filters.
        kernel_size: Integer, the width of the window.
        strides: Integer.
        padding: `"valid"`, `"same"` or `"causal"`: as many zeros before the sequence as make
            output t depend on inputs up to t only.
        dilation_rate: Integer.
        **kwargs: All else in the order of `keras.layers.Conv1D`, then `kernel_space` and
            `kernel_storage`, as of `GXNORConv2D`.

    Input shape:
        (batch, steps, channels), or channels first.

    Output shape:
        (batch, new_steps, filters), or channels first.

    Exports to: TFLite, TFLite Micro and C, for ternary and binary kernels and
    `data_format="channels_last"`.

    Example:

    >>> layer = GXNORConv1D(4, 3, padding="causal", dilation_rate=2)
    >>> layer(keras.ops.ones((1, 10, 2))).shape
    TensorShape([1, 10, 4])
    """


@keras.saving.register_keras_serializable(package="keras_gxnor")
class GXNORConv2D(_Conv, keras.layers.Conv2D):
    """2D convolution whose kernel is ternary, stored as int8 codes.

    As `keras.layers.Conv2D`, with every weight in {-1, 0, 1} (or another discrete
    space). The kernel is one int8 trainable variable; there is no float copy between
    steps. It must be trained with `keras_gxnor.DSTOptimizer`. Training is not faster
    than with a float kernel: the convolution runs on a float read of the codes.

    Args:
        filters: Positive integer, the number of filters.
        kernel_size: Integer or pair, (height, width) of the window.
        strides: Integer or pair.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` or `"channels_first"`; None for Keras' setting.
        dilation_rate: Integer or pair.
        groups: Positive integer; channels and filters must be divisible by it.
        activation: Activation function; also a `DiscreteActivation`, a quantizer, or
            the name of a space such as `"ternary"`, or `"uint8"`.
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
        kernel_space: `"ternary"`, `"binary"`, `"z2"`..`"z7"` or a `DiscreteSpace`; or
            `"graded"`, ternary with an 8-bit hidden state (`GradedSpace`); or `"int3"`..`"int8"`,
            integers of so many bits (`IntegerSpace`).
        kernel_storage: `"int8"`, a byte a weight, or `"packed"`, a quarter of one, for ternary
            and binary kernels. It changes memory between steps and nothing else: training,
            weights as Keras gives and takes them, and files are the same to the byte.
            (Keras' `summary` counts a byte a weight for both; `training_memory` the true ones.)
        **kwargs: As for `keras.layers.Layer`.

    Input shape:
        (batch, height, width, channels), or channels first.

    Output shape:
        (batch, new_height, new_width, filters), or channels first.

    Exports to: TFLite, TFLite Micro and C, for ternary and binary kernels and
    `data_format="channels_last"`.

    Example:

    >>> layer = GXNORConv2D(4, 3, padding="same")
    >>> layer(keras.ops.ones((1, 8, 8, 2))).shape
    TensorShape([1, 8, 8, 4])
    """
