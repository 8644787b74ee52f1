"""What each Keras layer does to a `Flow`: one function a layer, one dict as the registry."""

import dataclasses

import keras
import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import thresholds
from keras_gxnor.layers import DiscreteActivation, GXNOREmbedding
from keras_gxnor.lowering import kernels
from keras_gxnor.lowering.advice import NOTHING, nearest, unsupported
from keras_gxnor.lowering.flow import Flow, Lowering, small_sums
from keras_gxnor.lowering.merges import MERGES, negated
from keras_gxnor.lowering.pooling import POOLING
from keras_gxnor.lowering.shapes import SHAPES
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
    handler = _HANDLERS.get(kind) or MERGES.get(kind)
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
    if kind in MERGES:
        return handler(low, layer, flows)
    return handler(low, layer, *flows)


def handles(layer) -> bool:
    """Whether layers of this kind can be lowered, in the right place of a model."""
    return type(layer) in {*_HANDLERS, *MERGES, *NOTHING}


def _kernel(low, layer, flow):
    flow = small_sums(low, f"{layer.name}.codes", flow)
    if flow.pending:
        between = "a DiscreteActivation between the two"
        if flow.type.kind == "accumulator":
            unsupported(layer, "it reads sums, not codes, from the layer before", between)
        unsupported(
            layer,
            "it reads codes that a layer before has scaled or shifted",
            f"{between}, or of an input Rescaling as its first and only reader",
        )
    space = layer.kernel_space.readout
    _exact_space(layer, space)
    unit = flow.unit * space.scale ** len(layer.KERNELS) / flow.divisor
    sums = dataclasses.replace(kernels.sums(low, layer, flow), unit=unit, divisor=1)
    if layer.bias is not None:
        bias = np.asarray(layer.bias.numpy())
        thresholds.check_finite(bias, layer.name)
        sums = dataclasses.replace(sums, stages=(bias,))
    return _activate(low, layer, layer.activation, sums, f"{layer.name}.step")


def _embedding(low, layer, flow):
    _exact_space(layer, layer.kernel_space.readout)
    return kernels.embedding(low, layer, flow)


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
    return dataclasses.replace(low.resume(done, flow), divisor=1)


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
    return _staged(flow, layer)


def _staged(flow, stage):
    """One more stage: of the channels, or of the features that a Flatten across pixels has made."""
    if flow.late and flow.shape[-1] != flow.channels:
        return dataclasses.replace(flow, feature_stages=(*flow.feature_stages, stage))
    return dataclasses.replace(flow, stages=(*flow.stages, stage))


def _exact_space(layer, space):
    if not g.is_power_of_two(space.scale):
        unsupported(
            layer,
            f"half_range={space.half_range} is no power of two, so Keras' own sums carry rounding",
            "half_range=1",
        )


def _rescaling(low, layer, flow):
    """Another unit for codes times +-2^k; else one more stage, in Keras' own order of operations."""
    factor, offset = np.asarray(layer.scale), np.asarray(layer.offset)
    if any(part.ndim > 1 or part.size not in (1, flow.shape[-1]) for part in (factor, offset)):
        unsupported(layer, "its scale is no number and none for each channel", "a number, or one a channel")
    if flow.pending or factor.size > 1 or offset.any() or not g.is_power_of_two(abs(factor)):
        return _staged(flow, layer)
    if factor < 0:
        flow = negated(low, layer.name, flow)
    return dataclasses.replace(flow, unit=flow.unit * abs(float(factor)))


_HANDLERS = {
    **dict.fromkeys(kernels.KERNELS, _kernel),
    GXNOREmbedding: _embedding,
    DiscreteActivation: _activation,
    _L.Activation: _activation,
    _L.BatchNormalization: _batch_normalization,
    _L.Rescaling: _rescaling,
    **POOLING,
    **SHAPES,
}
