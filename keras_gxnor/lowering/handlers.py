"""What each Keras layer does to a `Flow`: one function a layer, one dict as the registry."""

import dataclasses
import math

import keras
import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import thresholds
from keras_gxnor.layers import DiscreteActivation, GXNORConv2D, GXNORDense
from keras_gxnor.lowering.advice import NOTHING, channels_last, nearest, unsupported
from keras_gxnor.lowering.flow import Flow, Lowering
from keras_gxnor.quantizers import MultiStep, QuantizedReLU

_L = keras.layers


def lower(low: Lowering, layer, flows: list[Flow]) -> Flow:
    """Lowers one use of a layer.

    Args:
        low: The graph so far, which grows.
        layer: The Keras layer.
        flows: What it reads.

    Raises:
        UnsupportedLayerError: naming the layer, why, and the nearest supported form.
    """
    kind = type(layer)
    handler = _HANDLERS.get(kind) or _MERGES.get(kind)
    if handler is None and kind not in NOTHING:
        unsupported(layer, "it has no exact integer form", nearest(layer))
    if layer.compute_dtype != "float32":
        unsupported(
            layer,
            f"it computes in {layer.compute_dtype}, whose sums are not exact",
            "the same model built in float32, with set_weights(model.get_weights())",
        )
    if kind in NOTHING:
        return flows[0]
    if kind in _MERGES:
        return handler(low, layer, flows)
    return handler(low, layer, *flows)


def _kernel(low, layer, flow):
    if flow.pending:
        unsupported(
            layer,
            "it reads sums, not codes, from the layer before",
            "a DiscreteActivation between the two",
        )
    space = layer.kernel_space.readout
    _exact_space(layer, space)
    codes = layer.kernel_codes()
    if isinstance(layer, GXNORConv2D):
        channels_last(layer)
        op = g.Conv2D(codes, layer.strides, layer.padding, layer.dilation_rate, layer.groups)
    elif len(flow.type.shape) == 3:
        op = g.Conv2D(codes[None, None])
    elif len(flow.type.shape) == 1:
        op = g.Dense(codes)
    else:
        unsupported(layer, f"its input has shape {flow.type.shape}", "Flatten before it")
    sums = low.emit(layer.name, op, flow, unit=flow.unit * space.scale / flow.divisor)
    sums = dataclasses.replace(sums, divisor=1)
    if layer.bias is not None:
        bias = np.asarray(layer.bias.numpy())
        thresholds.check_finite(bias, layer.name)
        sums = dataclasses.replace(sums, stages=(bias,))
    return _activate(low, layer, layer.activation, sums, f"{layer.name}.step")


def _activate(low, layer, activation, flow, name):
    if activation is None or activation is keras.activations.linear:
        return flow
    if not isinstance(activation, (MultiStep, QuantizedReLU)):
        unsupported(
            layer,
            f"its activation is {getattr(activation, '__name__', activation)!r}",
            'DiscreteActivation, ternary or "uint8"; for a softmax at the end, logits and '
            "from_logits=True in the loss",
        )
    if flow.feature_stages:
        unsupported(layer, "it normalizes after a Flatten across pixels", "Flatten after it")
    done = (_quantized if isinstance(activation, QuantizedReLU) else _stepped)(
        low, layer, activation, flow, name
    )
    for late, op in flow.late:
        done = low.emit(late, op, done)
    return dataclasses.replace(done, divisor=1)


def _quantized(low, layer, activation, flow, name):
    """A ReLU in steps: what Keras does to the sums stays float32, up to the codes."""
    op = g.Quantize(1 / activation.scale, activation.levels)
    return low.emit(name, op, low.floats(flow, f"{layer.name}.floats"), unit=activation.scale)


def _stepped(low, layer, activation, flow, name):
    """What Keras does to the sums, folded into integer thresholds on them."""
    space = activation.space
    _exact_space(layer, space)

    def codes_at(sums):
        values = activation(flow.normalize(sums.astype(np.float32))).numpy()
        return np.rint(values / space.scale).reshape(-1, flow.channels).astype(np.int64)

    found, flipped = thresholds.search(codes_at, flow.type.low, flow.type.high, space.codes())
    return low.emit(name, g.Threshold(found, flipped, space), flow, unit=space.scale)


def _activation(low, layer, flow):
    quantizer = layer.resolved() if isinstance(layer, DiscreteActivation) else layer.activation
    return _activate(low, layer, quantizer, flow, layer.name)


def _batch_normalization(low, layer, flow):
    if any(isinstance(op, g.MaxPool2D) for _, op in flow.late):
        unsupported(
            layer, "it is the second one around a pooling", "one BatchNormalization, after the pooling"
        )
    axis = layer.axis[0] if isinstance(layer.axis, (list, tuple)) else layer.axis
    if axis not in (-1, layer.input_spec.ndim - 1):
        unsupported(layer, f"it normalizes axis {axis}", "axis=-1")
    if flow.late and flow.type.shape[:-1] not in ((), (1, 1)):  # a Flatten across pixels
        return dataclasses.replace(flow, feature_stages=(*flow.feature_stages, layer))
    return dataclasses.replace(flow, stages=(*flow.stages, layer))


def _normalized(flow):
    """Whether more than biases was done to the integers, which pooling would not commute with."""
    return any(not isinstance(stage, np.ndarray) for stage in flow.stages)


def _max_pooling(low, layer, flow):
    channels_last(layer)
    return _pooled(low, layer.name, _window(layer, g.MaxPool2D), flow)


def _global_max_pooling(low, layer, flow):
    channels_last(layer)
    size = _shape_so_far(flow)[:2]
    flow = _pooled(low, layer.name, g.MaxPool2D(size, size), flow)
    return flow if layer.keepdims else _late(low, f"{layer.name}.flat", g.Flatten(), flow)


def _pooled(low, name, op, flow):
    if _normalized(flow) or flow.late:  # commutes with the activation to come, which is rising
        return dataclasses.replace(flow, late=(*flow.late, (name, op)))
    pooled = low.emit(name, op, flow)  # a bias only shifts: pooling before it is the same
    return dataclasses.replace(pooled, stages=flow.stages)


def _shape_so_far(flow):
    """The shape of the Keras tensor, with what waits for the activation."""
    found = flow.type
    for name, op in flow.late:
        found = g.infer(g.Node(name, op, (0,)), found)
    return found.shape


def _average_pooling(low, layer, flow):
    channels_last(layer)
    op = _window(layer, g.SumPool2D)
    if op.padding == "same":
        whole = g.infer(g.Node(layer.name, op, (0,)), flow.type).shape[:2]
        reach = [(n - 1) * s + k for n, s, k in zip(whole, op.strides, op.pool_size)]
        if any(r > n for r, n in zip(reach, flow.type.shape)):
            unsupported(layer, "at the border it divides by fewer pixels", 'padding="valid"')
        op = dataclasses.replace(op, padding="valid")
    return _averaged(low, layer, op, flow)


def _global_average_pooling(low, layer, flow):
    channels_last(layer)
    size = flow.type.shape[:2]
    flow = _averaged(low, layer, g.SumPool2D(size, size), flow)
    return flow if layer.keepdims else _late(low, f"{layer.name}.flat", g.Flatten(), flow)


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
    count = math.prod(op.pool_size)
    summed = low.emit(layer.name, op, flow)
    if g.is_power_of_two(count):
        return dataclasses.replace(summed, unit=flow.unit / count)
    return dataclasses.replace(summed, divisor=count)


def _window(layer, kind):
    return kind(tuple(layer.pool_size), tuple(layer.strides), layer.padding)


def _flatten(low, layer, flow):
    channels_last(layer)
    return _late(low, layer.name, g.Flatten(), flow)


def _late(low, name, op, flow):
    """A Flatten now, or after the activation: it commutes with all that works channel by channel."""
    if not flow.pending:
        return low.emit(name, op, flow)
    return dataclasses.replace(flow, late=(*flow.late, (name, op)))


def _reshape(low, layer, flow):
    if flow.pending:
        unsupported(layer, "it comes between a kernel and its activation", "Reshape after the activation")
    shape = layer.compute_output_shape((1, *flow.type.shape))[1:]
    return low.emit(layer.name, g.Reshape(tuple(map(int, shape))), flow)


def _zero_padding(low, layer, flow):
    channels_last(layer)
    if flow.pending:
        unsupported(layer, "it pads sums", "ZeroPadding2D before the kernel")
    return low.emit(layer.name, g.Pad2D(tuple(map(tuple, layer.padding))), flow)


def _merged(low, layer, flows, op):
    """A node on several codes of one scale."""
    if any(flow.pending or flow.divisor > 1 for flow in flows):
        unsupported(
            layer,
            "it merges sums, not codes",
            "a DiscreteActivation at the end of each branch, before the merge",
        )
    units = {flow.unit for flow in flows}
    if len(units) > 1:
        unsupported(
            layer,
            f"its inputs have different units {sorted(units)}",
            "the same activation space in all branches, and the raw input in none",
        )
    if isinstance(op, g.Add) and len({flow.type.shape for flow in flows}) > 1:
        unsupported(layer, "its inputs have different shapes", "inputs of one shape")
    return low.emit(layer.name, op, *flows)


def _add(low, layer, flows):
    return _merged(low, layer, flows, g.Add())


def _subtract(low, layer, flows):
    if flows[1].pending or flows[1].divisor > 1:
        return _merged(low, layer, flows, g.Add())  # refuses it
    signs = np.full(flows[1].channels, -1, np.int8)
    return _merged(low, layer, [flows[0], low.emit(f"{layer.name}.minus", g.Sign(signs), flows[1])], g.Add())


def _concatenate(low, layer, flows):
    rank = len(flows[0].type.shape)
    if layer.axis not in (-1, rank):
        unsupported(layer, f"it joins along axis {layer.axis}", "axis=-1")
    return _merged(low, layer, flows, g.Concat())


def _exact_space(layer, space):
    if not g.is_power_of_two(space.scale):
        unsupported(
            layer,
            f"half_range={space.half_range} is no power of two, so Keras' own sums carry rounding",
            "half_range=1",
        )




_HANDLERS = {
    GXNORDense: _kernel,
    GXNORConv2D: _kernel,
    DiscreteActivation: _activation,
    _L.Activation: _activation,
    _L.BatchNormalization: _batch_normalization,
    _L.MaxPooling2D: _max_pooling,
    _L.GlobalMaxPooling2D: _global_max_pooling,
    _L.AveragePooling2D: _average_pooling,
    _L.GlobalAveragePooling2D: _global_average_pooling,
    _L.Flatten: _flatten,
    _L.Reshape: _reshape,
    _L.ZeroPadding2D: _zero_padding,
}
_MERGES = {_L.Add: _add, _L.Subtract: _subtract, _L.Concatenate: _concatenate}
