"""Which Keras layers have a discrete counterpart, and how their kernels are laid out."""

import dataclasses
import math

import keras
import numpy as np

from keras_gxnor import layers

_L = keras.layers


@dataclasses.dataclass(frozen=True)
class Swap:
    """A discrete layer in the place of a float one with the same arguments.

    Attributes:
        becomes: The discrete layer class.
        depthwise: Names of kernels (..., channels, multiplier), with outputs channel by channel.
        transposed: Whether a kernel is (..., outputs, inputs).
        table: Whether it looks its kernel up: it reads indices and makes codes, not sums.
        pair: Whether two kernels meet without a step between: lowering may have to make one int8
            kernel of both, and 8 bits times 8 bits do not fit.
    """

    becomes: type
    depthwise: tuple[str, ...] = ()
    transposed: bool = False
    table: bool = False
    pair: bool = False

    def usual(self, name, kernel):
        """A float kernel as that of a convolution with groups, (..., inputs / groups, outputs)."""
        if name in self.depthwise:
            return kernel.reshape(*kernel.shape[:-2], 1, -1)
        return np.swapaxes(kernel, -1, -2) if self.transposed else kernel

    def own(self, name, kernel, shape):
        """Inverse of `usual`."""
        transposed = self.transposed and name not in self.depthwise
        return np.swapaxes(kernel, -1, -2) if transposed else kernel.reshape(shape)

    def groups(self, name, layer, channels) -> int:
        """Number of groups of a kernel that reads so many channels."""
        return channels if name in self.depthwise else getattr(layer, "groups", 1)

    def overlap(self, layer) -> int:
        """How many positions of the window of a transposed convolution meet no input."""
        return math.prod(layer.strides) if self.transposed else 1


SWAPS = {
    _L.Dense: Swap(layers.GXNORDense),
    _L.Embedding: Swap(layers.GXNOREmbedding, table=True),
    _L.Conv1D: Swap(layers.GXNORConv1D),
    _L.Conv2D: Swap(layers.GXNORConv2D),
    _L.Conv2DTranspose: Swap(layers.GXNORConv2DTranspose, transposed=True),
    _L.DepthwiseConv1D: Swap(layers.GXNORDepthwiseConv1D, depthwise=("kernel",)),
    _L.DepthwiseConv2D: Swap(layers.GXNORDepthwiseConv2D, depthwise=("kernel",)),
    _L.SeparableConv1D: Swap(layers.GXNORSeparableConv1D, depthwise=("depthwise_kernel",), pair=True),
    _L.SeparableConv2D: Swap(layers.GXNORSeparableConv2D, depthwise=("depthwise_kernel",), pair=True),
}

ACTIVATIONS = (_L.Activation, _L.ReLU, _L.LeakyReLU, _L.ELU, _L.PReLU, _L.Softmax)


def absorbs(layer) -> bool:
    """Whether a float layer has a kernel and a bias that can take up the scale of what it reads."""
    swap = SWAPS.get(type(layer))
    return bool(swap and not swap.table and getattr(layer, "data_format", "channels_last") == "channels_last")


def other_floats(layer) -> str:
    """Name of the dtype policy of a layer that computes in floats other than float32, else ""."""
    other = layer.compute_dtype in ("float16", "bfloat16", "float64")
    return layer.dtype_policy.name if other else ""


def activation_of(layer):
    """The function of a layer's own `activation=`, None if it has none or a linear one."""
    function = getattr(layer, "activation", None)
    return None if function is keras.activations.linear else function


def is_softmax(layer) -> bool:
    """Whether a layer is, or ends in, a softmax: it has no steps."""
    return isinstance(layer, _L.Softmax) or activation_of(layer) is keras.activations.softmax
