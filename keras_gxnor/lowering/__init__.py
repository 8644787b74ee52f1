"""The only bridge from Keras to `Graph`: layers become integer operations.

A hidden block is kernel -> (bias, pooling, batch normalization) -> activation. Its
kernel makes integer sums; everything up to the activation is folded into integer
thresholds on them (`thresholds.py`). Batch normalization before the logits or an 8-bit ReLU stays
float32, in the very order of operations that Keras uses.
"""

import keras
import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import topology
from keras_gxnor.errors import InvalidArgumentError, UnsupportedLayerError
from keras_gxnor.lowering.advice import NOTHING
from keras_gxnor.lowering.flow import Lowering
from keras_gxnor.lowering.handlers import lower

__all__ = ["fold_rescaling", "from_keras", "input_specs"]


def from_keras(model, input_spec=None, name=None) -> g.Graph:
    """Lowers a trained Keras model to the integer graph that it computes.

    Supported: Sequential and Functional models, with branches, shared layers and several
    inputs and outputs, of GXNORDense, GXNORConv2D, MaxPooling2D, AveragePooling2D, global
    pooling, BatchNormalization, DiscreteActivation (or a quantizer as `activation=`), Add,
    Subtract and Concatenate of activations, ZeroPadding2D, Flatten, Reshape, a leading
    Rescaling, Dropout and other layers that do nothing at inference, ending in logits with
    or without batch normalization. An untrained model lowers as well: try it before a long
    training.

    Args:
        model: A built Keras model in float32.
        input_spec: The `InputSpec` of what the device feeds (None: uint8 / 255), for all
            inputs, or a sequence of them in the order of `model.inputs`.
        name: Name of the graph (None: the model's).

    Returns:
        A checked `Graph`. `reference.run(graph, q)` equals the model on
        scale * (q - zero_point) bit for bit if the input scales are powers of two, and so
        are the sizes of averages that a kernel reads.

    Raises:
        UnsupportedLayerError: naming the layer, why, and the nearest supported form.
        GraphError: if an accumulator could reach 2^24.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), GXNORDense(2)])
    >>> [type(node.op).__name__ for node in from_keras(model, InputSpec(scale=1 / 128)).nodes]
    ['Input', 'Dense', 'Affine']
    """
    found = topology.read(model)
    low, flows, done = Lowering(), {}, set()
    for tensor, (shape, spec) in enumerate(zip(found.inputs, input_specs(input_spec, found))):
        spec, folded, end = fold_rescaling(spec, found, tensor)
        flow = low.emit("input", g.Input(shape, spec))
        flows |= dict.fromkeys((tensor, end), flow)
        done |= set(folded)
    for call in found.calls:
        if call.output not in done:
            flows[call.output] = lower(low, call.layer, [flows[t] for t in call.inputs])
    outputs = tuple(low.finish(flows[t], name or model.name) for t in found.outputs)
    graph = g.Graph(tuple(low.nodes), outputs, name or model.name)
    graph.check()
    return graph


def input_specs(input_spec, found: topology.Topology) -> tuple[g.InputSpec, ...]:
    """One `InputSpec` an input, from what a user gave.

    Raises:
        InvalidArgumentError: if it is no InputSpec, or there are not as many as inputs.
    """
    count = len(found.inputs)
    given = g.InputSpec() if input_spec is None else input_spec
    specs = (given,) * count if isinstance(given, g.InputSpec) else given
    if not isinstance(specs, (tuple, list)) or not all(isinstance(s, g.InputSpec) for s in specs):
        raise InvalidArgumentError(
            "`input_spec` must be an InputSpec, or a tuple of them in the order of model.inputs. "
            f"Received: {input_spec!r}"
        )
    if len(specs) != count:
        raise InvalidArgumentError(
            f"The model has {count} inputs, and `input_spec` must be one InputSpec for all or one for "
            f"each. Received: {len(specs)}"
        )
    return tuple(specs)


def fold_rescaling(spec: g.InputSpec, found: topology.Topology, tensor: int):
    """Folds Rescaling layers that alone read an input into its spec.

    Args:
        spec: What the device feeds.
        found: The model.
        tensor: Number of the input.

    Returns:
        (spec, numbers of the tensors on the way that need no call of their own, the last one).

    Raises:
        UnsupportedLayerError: if the zero point would not be an integer in range.
    """
    folded, ahead, end, at = [], [], tensor, tensor
    while len(readers := found.consumers(at)) == 1 and at not in found.outputs:
        layer, at = readers[0].layer, readers[0].output
        ahead.append(at)
        if type(layer) is keras.layers.Rescaling:
            spec = _rescaled(spec, layer)
            folded, end = list(ahead), at
        elif type(layer) not in NOTHING:
            break
    return spec, folded, end


def _rescaled(spec, layer) -> g.InputSpec:
    factor, offset = layer.scale, layer.offset
    if np.ndim(factor) or np.ndim(offset) or not factor > 0:
        raise UnsupportedLayerError(
            f"Layer `{layer.name}` (Rescaling) must have a positive scalar scale and a scalar "
            f"offset. Received: scale={factor}, offset={offset}"
        )
    zero_point = spec.zero_point - offset / (factor * spec.scale)
    nearest = round(zero_point)
    if abs(zero_point - nearest) > 1e-9 * max(1, abs(nearest)):
        raise UnsupportedLayerError(
            f"Layer `{layer.name}` (Rescaling) puts zero at the input code {zero_point:g}, which "
            "is no integer. Nearest supported form for images: Rescaling(1 / 128, offset=-1), "
            "whose zero is 128."
        )
    try:
        return g.InputSpec(spec.dtype, spec.scale * factor, nearest)
    except InvalidArgumentError as error:
        raise UnsupportedLayerError(f"Layer `{layer.name}` (Rescaling): {error}") from error
