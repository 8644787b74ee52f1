"""Pooling of images, and of sequences as images of height 1."""

import dataclasses
import math

import keras
import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.lowering.advice import channels_last, unsupported
from keras_gxnor.lowering.shapes import around, as_image

_L = keras.layers
_PADDED = 'ZeroPadding2D (or 1D) before it and padding="valid", which divides by all of them everywhere'


def _max_pooling(low, layer, flow):
    channels_last(layer)
    return _pooled(low, layer, _window(layer, g.MaxPool2D), flow)


def _global_max_pooling(low, layer, flow):
    channels_last(layer)
    size = as_image(flow.seen).shape[:2]
    return _whole(low, layer, _pooled(low, layer, g.MaxPool2D(size, size), flow))


def _average_pooling(low, layer, flow):
    channels_last(layer)
    op = _window(layer, g.SumPool2D)
    if op.padding == "same":
        image = as_image(flow.type)
        pooled = g.infer(g.Node(layer.name, op, (0,)), image).shape
        reach = [(n - 1) * s + k for n, s, k in zip(pooled, op.strides, op.pool_size)]
        if any(r > n for r, n in zip(reach, image.shape)):
            unsupported(layer, "at the border it divides by fewer pixels", _PADDED)
        op = dataclasses.replace(op, padding="valid")
    return _averaged(low, layer, op, flow)


def _global_average_pooling(low, layer, flow):
    channels_last(layer)
    size = as_image(flow.type).shape[:2]
    return _whole(low, layer, _averaged(low, layer, g.SumPool2D(size, size), flow))


def _window(layer, kind):
    """The window of a layer, of one or two axes."""
    size, strides = ((1, *pair)[-2:] for pair in (layer.pool_size, layer.strides))
    return kind(size, strides, layer.padding)


def _pooled(low, layer, op, flow):
    """A max pool: it commutes with a bias, which only shifts, and with the rising activation to come."""
    normalized = any(not isinstance(stage, np.ndarray) for stage in flow.stages)
    return low.follow(flow, *around(layer.name, op, flow.seen), late=normalized)


def _whole(low, layer, flow):
    """What is left of a pool of everything: a vector, unless the layer keeps the axes."""
    return flow if layer.keepdims else low.follow(flow, (f"{layer.name}.flat", g.Reshape(flow.shape[-1:])))


def _averaged(low, layer, op, flow):
    """A sum pool; its division goes into the unit where that is exact, else it waits."""
    if flow.stages or flow.late:
        unsupported(
            layer,
            "it averages what a bias or BatchNormalization has rounded",
            "pooling after the activation, or directly after a kernel without bias",
        )
    if flow.divisor > 1 or (flow.type.kind == "accumulator" and not g.is_power_of_two(flow.unit)):
        unsupported(layer, "it averages rounded numbers", "one average, and an input scale 2^-k")
    return low.follow(flow, *around(layer.name, op, flow.type)).divided(math.prod(op.pool_size))


MAXIMA = {
    _L.MaxPooling1D: _max_pooling,
    _L.MaxPooling2D: _max_pooling,
    _L.GlobalMaxPooling1D: _global_max_pooling,
    _L.GlobalMaxPooling2D: _global_max_pooling,
}
AVERAGES = {
    _L.AveragePooling1D: _average_pooling,
    _L.AveragePooling2D: _average_pooling,
    _L.GlobalAveragePooling1D: _global_average_pooling,
    _L.GlobalAveragePooling2D: _global_average_pooling,
}
POOLING = MAXIMA | AVERAGES
