"""GXNORDense: `keras.layers.Dense` with a discrete kernel."""

import keras

from keras_gxnor.layers.base import DiscreteKernel


@keras.saving.register_keras_serializable(package="keras_gxnor")
class GXNORDense(DiscreteKernel, keras.layers.Dense):
    """Densely connected layer whose kernel is ternary, stored as int8 codes.

    `output = activation(dot(input, kernel) + bias)`, as in `keras.layers.Dense`, with
    every weight in {-1, 0, 1} (or another discrete space). The kernel is one int8
    trainable variable; there is no float copy between steps. It must be trained with
    `keras_gxnor.DSTOptimizer`. Training is not faster than with a float kernel: the
    matrix product runs on a float read of the codes.

    Args:
        units: Positive integer, dimensionality of the output space.
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
        (batch, ..., input_dim).

    Output shape:
        (batch, ..., units).

    Exports to: TFLite, TFLite Micro and C, for ternary and binary kernels on (batch,
    input_dim), or on (batch, height, width, channels) as a 1x1 convolution.

    Example:

    >>> layer = GXNORDense(3)
    >>> layer(keras.ops.ones((2, 8))).shape
    TensorShape([2, 3])
    >>> layer.kernel.dtype
    'int8'
    """

    def __init__(
        self,
        units,
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
            units,
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
        """Creates the kernel (input_dim, units) and the bias (units,)."""
        self.make_kernel((input_shape[-1], self.units))
        self.bias = self.make_bias(self.units)
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: input_shape[-1]})
        self.built = True

    def linear(self, inputs, kernel):
        """The matrix product alone, with `kernel` in place of the layer's own."""
        return keras.ops.matmul(inputs, kernel)

    def finish(self, x):
        """What follows the product: bias and activation."""
        if self.bias is not None:
            x = keras.ops.add(x, self.bias)
        return x if self.activation is None else self.activation(x)

    def call(self, inputs, training=None):
        """Returns activation(inputs @ kernel + bias)."""
        return self.finish(self.linear(inputs, self.read_kernel()))
