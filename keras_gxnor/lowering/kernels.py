"""The sums of each layer with a discrete kernel: what it computes before bias and activation."""


from keras_gxnor import graph as g
from keras_gxnor.layers import GXNORConv2D, GXNORDense
from keras_gxnor.lowering.advice import channels_last, unsupported


def _dense(low, layer, flow):
    codes = layer.kernel_codes()
    if len(flow.type.shape) == 1:
        return low.emit(layer.name, g.Dense(codes), flow)
    if len(flow.type.shape) > 3:
        unsupported(layer, f"its input has shape {flow.type.shape}", "Flatten before it")
    return _convolved(low, layer, flow, g.Conv2D(codes[None, None]))


def _conv(low, layer, flow):
    codes = layer.kernel_codes()
    op = g.Conv2D(codes, layer.strides, layer.padding, layer.dilation_rate, layer.groups)
    return _convolved(low, layer, flow, op)


def _convolved(low, layer, flow, op):
    """A convolution of an image, or of a sequence (steps, channels) as an image of height 1."""
    if len(flow.type.shape) == 3:
        return low.emit(layer.name, op, flow)
    image = low.emit(f"{layer.name}.image", g.Reshape((1, *flow.type.shape)), flow)
    sums = low.emit(layer.name, op, image)
    return low.emit(f"{layer.name}.steps", g.Reshape(sums.type.shape[1:]), sums)


def sums(low, layer, flow):
    """Appends the linear part of a layer to what it reads, codes."""
    channels_last(layer)
    return KERNELS[type(layer)](low, layer, flow)


KERNELS = {GXNORDense: _dense, GXNORConv2D: _conv}
