"""Keras layers: each a signature, a docstring and a call into kernels or quantizers."""

from keras_gxnor.layers.activation import DiscreteActivation
from keras_gxnor.layers.conv import GXNORConv1D, GXNORConv2D
from keras_gxnor.layers.dense import GXNORDense
from keras_gxnor.layers.depthwise import GXNORDepthwiseConv1D, GXNORDepthwiseConv2D
from keras_gxnor.layers.embedding import GXNOREmbedding
from keras_gxnor.layers.separable import GXNORSeparableConv1D, GXNORSeparableConv2D
from keras_gxnor.layers.transpose import GXNORConv2DTranspose

__all__ = [
    "DiscreteActivation",
    "GXNORConv1D",
    "GXNORConv2D",
    "GXNORConv2DTranspose",
    "GXNORDense",
    "GXNORDepthwiseConv1D",
    "GXNORDepthwiseConv2D",
    "GXNOREmbedding",
    "GXNORSeparableConv1D",
    "GXNORSeparableConv2D",
]
