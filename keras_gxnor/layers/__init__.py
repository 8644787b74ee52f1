"""Keras layers: each a signature, a docstring and a call into kernels or quantizers."""

from keras_gxnor.layers.activation import DiscreteActivation
from keras_gxnor.layers.conv import GXNORConv2D
from keras_gxnor.layers.dense import GXNORDense

__all__ = ["DiscreteActivation", "GXNORConv2D", "GXNORDense"]
