"""Ternary weights and discrete activations as tfmot's quantizers."""

import math
import numbers

import tensorflow as tf

from keras_gxnor import quantizers
from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.quantizers import QuantizedReLU
from keras_gxnor.tfmot import extra

_keras = extra.tfmot().quantization.keras
_register = extra.tf_keras().utils.register_keras_serializable(package="keras_gxnor")
_DEPTHWISE = "depthwise_kernel"
_DECAY = 0.99  # of the moving average
_LEAST = 2.0**-20  # of a range
_SLACK = 1e-3  # so that a top of 4.002 has the range 4, not 8


@_register
class TernaryWeights(_keras.quantizers.Quantizer):
    """Makes a float kernel ternary, with straight-through gradients.

    Args:
        window: None for the threshold 0.7 mean |w| and the least-squares scale of each
            channel (ternary weight networks, Li et al. 2016). A number r >= 0: +1 where
            w > r, -1 where w < -r, else 0, without a scale.
        depthwise: Whether the last two axes of the kernel make the channels.
    """

    def __init__(self, window=None, depthwise=False):
        number = isinstance(window, numbers.Real) and not isinstance(window, bool)
        if window is not None and not (number and 0 <= window < math.inf):
            raise InvalidArgumentError(f"`window` must be None or >= 0. Received: window={window!r}")
        self.window, self.depthwise = window, depthwise

    def build(self, tensor_shape, name, layer):
        """No variables: everything follows from the kernel."""
        return {}

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs, training, weights, **kwargs):
        """The ternary kernel for a float one, in its shape."""
        kernel = tf.convert_to_tensor(inputs)

        @tf.custom_gradient
        def ternary(kernel):
            return self._ternary(kernel), lambda upstream: upstream

        return ternary(kernel)

    def _ternary(self, kernel):
        size = tf.abs(kernel)
        if self.window is not None:
            return tf.sign(kernel) * tf.cast(size > self.window, kernel.dtype)
        axes = list(range(kernel.shape.rank - (2 if self.depthwise else 1)))
        kept = tf.cast(size > 0.7 * tf.reduce_mean(size, axes, keepdims=True), kernel.dtype)
        count = tf.maximum(tf.reduce_sum(kept, axes, keepdims=True), 1)
        return tf.sign(kernel) * kept * (tf.reduce_sum(size * kept, axes, keepdims=True) / count)

    def get_config(self):
        """Arguments that rebuild this quantizer."""
        return {"window": self.window, "depthwise": self.depthwise}


@_register
class DiscreteOutputs(_keras.quantizers.Quantizer):
    """A quantizer of keras_gxnor on activations.

    The range of an unsigned space follows the data, as those of tfmot's own quantizers do: it is
    the power of two above a moving average of the largest value of a batch.

    Args:
        quantizer: Name of an activation space, a `MultiStep` or `QuantizedReLU`, or a serialized one.
    """

    def __init__(self, quantizer):
        self.quantizer = quantizers.get(quantizer)

    def build(self, tensor_shape, name, layer):
        """Creates the moving average and the logarithm of the range, if the space has one."""
        if not isinstance(self.quantizer, QuantizedReLU):
            return {}
        constant = extra.tf_keras().initializers.Constant
        starts = {"top": self.quantizer.range, "log2_range": math.log2(self.quantizer.range)}
        return {
            key: layer.add_weight(f"{name}_{key}", initializer=constant(start), trainable=False)
            for key, start in starts.items()
        }

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs, training, weights, **kwargs):
        """The values of the space, in the shape of the inputs."""
        if not weights:
            return self.quantizer(inputs, False)
        if training:
            top, log2_range = weights["top"], weights["log2_range"]
            top.assign_add((1 - _DECAY) * (tf.maximum(tf.reduce_max(inputs), _LEAST) - top))
            log2_range.assign(tf.math.ceil(tf.math.log(top) / math.log(2.0) - _SLACK))
        return self.quantizer(inputs, False, weights["log2_range"])

    def get_config(self):
        """Arguments that rebuild this quantizer."""
        return {"quantizer": quantizers.serialize(self.quantizer)}


@_register
class TernaryQuantizeConfig(_keras.QuantizeConfig):
    """Tells tfmot to train a layer with a ternary kernel, and discrete outputs.

    For `tfmot.quantization.keras.quantize_annotate_layer`, on tf_keras layers: those with a kernel
    (Dense, Conv1D, Conv2D, Conv2DTranspose, DepthwiseConv2D) and, with `activation`, those
    without (ReLU, Activation, BatchNormalization, Add). tfmot keeps a float kernel, which it
    trains straight through the quantizer; `from_tfmot` then makes int8 codes of it, exactly.
    Save such models to `.h5` and load them in `tfmot.quantization.keras.quantize_scope()`. (Models
    with tfmot's input quantizer cannot be loaded from `.keras` files.)

    Args:
        window: None for threshold and scale of ternary weight networks a channel, or the
            fixed threshold of weights -1, 0, 1: see `TernaryWeights`.
        activation: What quantizes the outputs, after the layer's own activation: None for
            nothing; `"ternary"`, `"uint8"` (a ReLU in 255 steps, whose range follows the data) or
            anything else that `DiscreteActivation` takes as its space; or a quantizer.

    Raises:
        InvalidArgumentError: if an argument is none of those.

    Example:

    >>> import tensorflow_model_optimization as tfmot
    >>> import tf_keras
    >>> from keras_gxnor.tfmot import TernaryQuantizeConfig
    >>> config = TernaryQuantizeConfig(activation="uint8")
    >>> layer = tfmot.quantization.keras.quantize_annotate_layer(tf_keras.layers.Dense(4), config)
    """

    def __init__(self, window=None, activation=None):
        self.window = window
        self.activation = quantizers.get(activation)
        TernaryWeights(window)  # checks it

    def get_weights_and_quantizers(self, layer):
        """[(kernel, its quantizer)], or [] of a layer without."""
        name = _kernel_name(layer)
        return [(getattr(layer, name), TernaryWeights(self.window, name == _DEPTHWISE))] if name else []

    def set_quantize_weights(self, layer, quantize_weights):
        """Puts the quantized kernel into the layer, for one call."""
        for weight in quantize_weights:
            setattr(layer, _kernel_name(layer), weight)

    def get_activations_and_quantizers(self, layer):
        """[]: outputs are quantized as a whole, after whatever activation the layer has."""
        return []

    def set_quantize_activations(self, layer, quantize_activations):
        """Nothing to set."""
        del layer, quantize_activations  # AutoGraph wants a body

    def get_output_quantizers(self, layer):
        """[the quantizer of the outputs], or [] for none."""
        return [] if self.activation is None else [DiscreteOutputs(self.activation)]

    def get_config(self):
        """Arguments that rebuild this object."""
        return {"window": self.window, "activation": quantizers.serialize(self.activation)}


def _kernel_name(layer):
    return next((name for name in (_DEPTHWISE, "kernel") if hasattr(layer, name)), None)
