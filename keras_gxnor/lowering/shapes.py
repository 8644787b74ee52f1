"""Layers that move values and compute nothing: Flatten, Reshape, Permute, padding, cropping, upsampling."""

import dataclasses
import math

import keras
import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.lowering.advice import channels_last, unsupported
from keras_gxnor.lowering.flow import Flow, Lowering, small_sums

_L = keras.layers


def as_image(found: g.TensorType) -> g.TensorType:
    """The type of an image; of a sequence (steps, channels) as one of height 1."""
    return dataclasses.replace(found, shape=(1,) * (3 - len(found.shape)) + found.shape)


def around(name, op, found: g.TensorType) -> list[tuple]:
    """(name, op) of an operation on images; of a sequence with what makes it an image and back.

    found: what is read.
    """
    if len(found.shape) == 3:
        return [(name, op)]
    image = as_image(found)
    steps = g.infer(g.Node(name, op, (0,)), image).shape[1:]
    return [(f"{name}.image", g.Reshape(image.shape)), (name, op), (f"{name}.steps", g.Reshape(steps))]


def _reshaped(low: Lowering, layer, op, flow: Flow) -> Flow:
    """Another shape: now, or after the activation if channels would mix."""
    before = flow.shape
    now = not flow.pending or (isinstance(op, g.Reshape) and op.shape[-1] == before[-1])
    if flow.feature_stages and not now:
        unsupported(layer, "it moves normalized features", f"{type(layer).__name__} after the activation")
    return low.follow(flow, (layer.name, op), late=not now)


def _flatten(low, layer, flow):
    channels_last(layer)
    return _reshaped(low, layer, g.Flatten(), flow)


def _reshape(low, layer, flow):
    shape = layer.compute_output_shape((1, *flow.shape))[1:]
    return _reshaped(low, layer, g.Reshape(tuple(map(int, shape))), flow)


def _permute(low, layer, flow):
    """A Permute that moves only axes of one value changes the shape alone."""
    shape = flow.shape
    order = [axis - 1 for axis in layer.dims if shape[axis - 1] > 1]
    if order != sorted(order):
        unsupported(
            layer,
            f"it moves values, by dims={layer.dims} of shape {shape}",
            "Permute of axes of size 1, or data that the device feeds in the order of the model",
        )
    return _reshaped(low, layer, g.Reshape(tuple(shape[axis - 1] for axis in layer.dims)), flow)


def _pairs(sides) -> tuple[tuple[int, int], tuple[int, int]]:
    """What Keras pads or crops, of one axis or two, as ((top, bottom), (left, right))."""
    if not isinstance(sides[0], (tuple, list)):
        sides = (0, 0), sides
    return tuple(tuple(map(int, side)) for side in sides)


def _zero_padding(low, layer, flow):
    channels_last(layer)
    if flow.pending:
        unsupported(layer, "it pads sums", f"{type(layer).__name__} before the kernel")
    return padded(low, layer.name, _pairs(layer.padding), flow)


def padded(low: Lowering, name: str, sides, flow: Flow) -> Flow:
    """Codes with zeros around, sides as of `Pad2D`."""
    return low.follow(flow, *around(name, g.Pad2D(sides), flow.type))


def _cropping(low, layer, flow):
    """A window that sees one pixel of codes, wherever it may stand."""
    channels_last(layer)
    sides = _pairs(layer.cropping)
    size = tuple(1 + sum(side) for side in sides)
    kernel = np.zeros((*size, 1, flow.channels), np.int8)
    kernel[sides[0][0], sides[1][0]] = 1
    op = g.Conv2D(kernel, groups=flow.channels)
    if not flow.pending:
        sums = low.follow(flow, *around(f"{layer.name}.window", op, flow.type))
        flow = small_sums(low, layer.name, sums)
    if flow.pending:
        unsupported(layer, "it crops sums or codes beyond -64..64", "it after the activation")
    return flow


def _upsampling(low, layer, flow):
    """Every pixel repeated: channels one after the other, read as pixels."""
    if getattr(layer, "interpolation", "nearest") != "nearest":
        unsupported(layer, f"interpolation={layer.interpolation!r} makes new numbers", '"nearest"')
    channels_last(layer)
    if flow.pending:
        unsupported(layer, "it repeats sums", f"{type(layer).__name__} after the activation")
    *above, channels = flow.type.shape
    sizes = layer.size if isinstance(layer.size, (tuple, list)) else (layer.size,)
    shape = [n * size for n, size in zip(above, sizes)]
    inner = math.prod(shape[1:])  # pixels of a row, once they are repeated
    flow = _repeated(low, f"{layer.name}.columns", flow, (math.prod(above), channels), sizes[-1])
    if len(sizes) == 2:
        flow = _repeated(low, f"{layer.name}.rows", flow, (above[0], inner * channels), sizes[0])
    return low.follow(flow, (layer.name, g.Reshape((*shape, channels))))


def _repeated(low, name, flow, shape, times):
    """The rows of a matrix of this shape, each so many times."""
    rows = low.emit(f"{name}.each", g.Reshape(shape), flow)
    return low.emit(name, g.Concat(), *[rows] * times) if times > 1 else rows


SHAPES = {
    _L.Flatten: _flatten,
    _L.Reshape: _reshape,
    _L.Permute: _permute,
    _L.ZeroPadding1D: _zero_padding,
    _L.ZeroPadding2D: _zero_padding,
    _L.Cropping1D: _cropping,
    _L.Cropping2D: _cropping,
    _L.UpSampling1D: _upsampling,
    _L.UpSampling2D: _upsampling,
}
