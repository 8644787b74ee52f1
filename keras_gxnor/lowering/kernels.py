"""The sums of each layer with a discrete kernel: what it computes before bias and activation."""

import dataclasses

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import layers
from keras_gxnor.lowering.advice import channels_last, unsupported
from keras_gxnor.lowering.flow import Flow, Lowering, small_sums
from keras_gxnor.lowering.shapes import around, padded


def sums(low: Lowering, layer, flow: Flow) -> Flow:
    """Appends the linear part of a layer to the codes that it reads."""
    channels_last(layer)
    return KERNELS[type(layer)](low, layer, flow)


def _dense(low, layer, flow):
    codes = layer.kernel_codes()
    if len(flow.type.shape) == 1:
        return low.emit(layer.name, g.Dense(codes), flow)
    if len(flow.type.shape) > 3:
        unsupported(layer, f"its input has shape {flow.type.shape}", "Flatten before it")
    return _convolved(low, layer.name, flow, g.Conv2D(codes[None, None]))


def _convolved(low, name, flow, op):
    """A convolution of an image, or of a sequence (steps, channels) as an image of height 1."""
    return low.follow(flow, *around(name, op, flow.type))


def _conv(low, layer, flow):
    kernel = _image_kernel(layer.kernel_codes(), layer.rank)
    op = g.Conv2D(kernel, *_window(layer), layer.groups)
    if layer.padding == "causal":
        before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
        flow = padded(low, f"{layer.name}.causal", ((0, 0), (before, 0)), flow)
    return _convolved(low, layer.name, flow, op)


def _image_kernel(codes, rank):
    """A kernel for images; one for sequences gets the height 1."""
    return codes[None] if rank == 1 else codes


def _window(layer):
    """(strides, padding, dilation) of a layer, of one or two axes, on images."""
    strides, dilation = ((1, *pair)[-2:] for pair in (layer.strides, layer.dilation_rate))
    return strides, "valid" if layer.padding == "causal" else layer.padding, dilation


def _depthwise(low, layer, flow):
    return _convolved(low, layer.name, flow, _depthwise_op(layer, layer.kernel_codes()))


def _depthwise_op(layer, codes):
    """One group a channel: output channel * multiplier + j is the j-th of a channel."""
    kernel = _image_kernel(codes, layer.rank)
    *size, channels, multiplier = kernel.shape
    return g.Conv2D(kernel.reshape(*size, 1, channels * multiplier), *_window(layer), channels)


def _separable(low, layer, flow):
    """The depthwise sums as codes, and the pointwise kernel on them; one kernel, if they are no codes.

    Codes hold sums of at most 64. Beyond, as of the bytes of an input, the two kernels are
    multiplied: a convolution of more products, and exactly the same sums.
    """
    points = layer.pointwise_codes().reshape(1, 1, -1, layer.filters)
    first = _depthwise_op(layer, layer.depthwise_codes())
    middle = _convolved(low, f"{layer.name}.depthwise", flow, first)  # pruned, if nothing reads it
    unit = flow.unit * layer.kernel_space.readout.scale
    codes = small_sums(low, f"{layer.name}.codes", dataclasses.replace(middle, unit=unit))
    if not codes.pending:
        return _convolved(low, layer.name, codes, g.Conv2D(points))
    multiplier = first.kernel.shape[3] // first.groups
    parts = points.reshape(first.groups, multiplier, -1).astype(np.int64)
    spread = first.kernel.reshape(*first.kernel.shape[:2], first.groups, multiplier)
    whole = np.einsum("hwcm,cmf->hwcf", spread, parts)
    if np.abs(whole).max() > 127:
        unsupported(
            layer,
            f"it reads codes up to {np.abs(flow.type.high).max()}, and its kernels make one beyond int8",
            "a depthwise and a 1x1 convolution with a DiscreteActivation between",
        )
    op = g.Conv2D(whole.astype(np.int8), first.strides, first.padding, first.dilation)
    return _convolved(low, layer.name, flow, op)


def _transposed(low, layer, flow):
    """The turned kernel on the input with zeros between its pixels.

    Output n is the sum over i, j with i s + j = n + p of x[i] w[j]; "same" cuts p = (k - s) // 2 off
    the front, and Keras makes outputs up to s n_x - 1, or where a valid window ends if that is later.
    """
    if layer.output_padding is not None or set(layer.dilation_rate) != {1}:
        unsupported(layer, "it has output_padding or dilation_rate", "the layer without these arguments")
    flow = _with_zeros_between(low, layer.name, flow, layer.strides)
    sides = []
    for size, stride in zip(layer.kernel_size, layer.strides):
        more = max(size - stride, 0)
        cut = more // 2 if layer.padding == "same" else 0
        sides.append((size - 1 - cut, cut if layer.padding == "same" else more))
    if any(map(any, sides)):
        flow = padded(low, f"{layer.name}.around", tuple(sides), flow)
    kernel = layer.kernel_codes()[::-1, ::-1].transpose(0, 1, 3, 2)
    return low.emit(layer.name, g.Conv2D(np.ascontiguousarray(kernel)), flow)


def _with_zeros_between(low, name, flow, strides):
    """An image with strides - 1 rows and columns of zeros after each of its own."""
    height, width, channels = flow.type.shape
    (down, across), wide = strides, width * strides[1]
    ops = []
    if across > 1:
        ops += [("pixels", g.Reshape((height * width, 1, channels)))]
        ops += [("columns", g.Pad2D(((0, 0), (0, across - 1))))]
    if down > 1:
        ops += [("lines", g.Reshape((height, wide, channels)))]
        ops += [("rows", g.Pad2D(((0, 0), (0, (down - 1) * wide))))]
    ops += [("spread", g.Reshape((height * down, wide, channels)))] * bool(ops)
    return low.follow(flow, *((f"{name}.{part}", op) for part, op in ops))


def embedding(low, layer, flow):
    """Rows of the table, codes: nothing stands between them and the next kernel."""
    source, rows = low.nodes[flow.node].op, layer.input_dim
    if not isinstance(source, g.Input) or (source.spec.scale, source.spec.zero_point) != (1, 0):
        unsupported(
            layer,
            "it reads no token indexes as the device feeds them",
            "it as the first layer, with input_spec=InputSpec(scale=1, zero_point=0)",
        )
    if rows > 256 or layer.mask_zero:
        why = "later layers would leave index 0 out" if layer.mask_zero else f"uint8 has no {rows} indexes"
        unsupported(layer, why, "at most 256 rows and mask_zero=False")
    return low.emit(layer.name, g.Lookup(layer.kernel_codes()), flow, unit=layer.kernel_space.readout.scale)


KERNELS = {
    layers.GXNORDense: _dense,
    layers.GXNORConv1D: _conv,
    layers.GXNORConv2D: _conv,
    layers.GXNORDepthwiseConv1D: _depthwise,
    layers.GXNORDepthwiseConv2D: _depthwise,
    layers.GXNORSeparableConv1D: _separable,
    layers.GXNORSeparableConv2D: _separable,
    layers.GXNORConv2DTranspose: _transposed,
}
