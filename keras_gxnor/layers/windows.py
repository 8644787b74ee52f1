"""What the layers with a sliding window share: channels, their axis and the bias."""

import keras

from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.layers.base import DiscreteKernel


class Windowed(DiscreteKernel):
    """Mixin for a Keras convolution of any kind and rank, see `DiscreteKernel`.

    The layer class says in `convolve(inputs, *kernels)` what it computes on inputs whose channels
    are last.
    """

    def channels(self, input_shape) -> int:
        """The number of input channels, which later inputs must have too; call it from `build`.

        Raises:
            InvalidArgumentError: if it is unknown, or `groups` does not divide it.
        """
        axis = -1 if self.data_format == "channels_last" else 1
        channels, groups = input_shape[axis], getattr(self, "groups", 1)
        if channels is None or channels % groups:
            raise InvalidArgumentError(
                f"Layer `{self.name}`: the number of input channels must be known and divisible "
                f"by groups={groups}. Received: input_shape={tuple(input_shape)}"
            )
        self.compute_output_shape(input_shape)  # Keras' own check that the window fits
        self.input_spec = keras.layers.InputSpec(min_ndim=self.rank + 2, axes={axis: channels})
        return channels

    def linear(self, inputs, *kernels):
        """The convolution alone, with `kernels` in place of the layer's own."""
        if self.data_format == "channels_last":
            return self.convolve(inputs, *kernels)
        # In the one order that TensorFlow has CPU kernels for, unless the processor runs oneDNN's.
        made = self.convolve(keras.ops.moveaxis(inputs, 1, -1), *kernels)
        return keras.ops.moveaxis(made, -1, 1)

    def finish(self, x):
        """What follows the convolution: bias and activation."""
        if self.data_format == "channels_last" or self.bias is None:
            return super().finish(x)
        # Not keras.ops.add: of a width equal to the channels it takes it for the channels.
        x = x + keras.ops.reshape(self.bias, (-1, *[1] * self.rank))
        return x if self.activation is None else self.activation(x)
