"""What the device feeds, and the Rescaling layers in front that are part of it."""

import keras
import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import topology
from keras_gxnor.errors import InvalidArgumentError, UnsupportedLayerError
from keras_gxnor.layers import GXNOREmbedding
from keras_gxnor.layers.base import DiscreteKernel
from keras_gxnor.lowering.advice import NOTHING
from keras_gxnor.lowering.shapes import SHAPES

_RAW = g.InputSpec(scale=1.0, zero_point=0)


def input_specs(input_spec, found: topology.Topology) -> tuple[g.InputSpec, ...]:
    """One `InputSpec` an input, from what a user gave.

    Without one an input is uint8 / 255; where a Rescaling reads it, uint8 as it is, since the
    Rescaling divides.

    Raises:
        InvalidArgumentError: if it is no InputSpec, or there are not as many as inputs.
    """
    count = len(found.inputs)
    if input_spec is None:
        return tuple(_default(found, tensor) for tensor in range(count))
    specs = (input_spec,) * count if isinstance(input_spec, g.InputSpec) else input_spec
    if isinstance(specs, dict):
        specs = g.in_order(specs, found.names, "`input_spec`, if a dict of InputSpecs,")
    if not isinstance(specs, (tuple, list)) or not all(isinstance(s, g.InputSpec) for s in specs):
        raise InvalidArgumentError(
            "`input_spec` must be an InputSpec, a tuple of them in the order of model.inputs, or a dict "
            f"of them with the keys {list(found.names)}. "
            f"Received: {input_spec!r}"
        )
    if len(specs) != count:
        raise InvalidArgumentError(
            f"The model has {count} inputs, {list(found.names)}, and `input_spec` must be one InputSpec for "
            f"all or one for each. Received: {len(specs)}"
        )
    return tuple(specs)


def check_dtypes(model, found: topology.Topology):
    """Refuses inputs of integers that a kernel reads: Keras cannot compute that.

    Raises:
        UnsupportedLayerError: naming the input.
    """
    for tensor, given in enumerate(model.inputs):
        if not given.dtype.startswith(("float", "bfloat")) and _reaches_kernel(found, tensor):
            raise UnsupportedLayerError(
                f"Input `{found.names[tensor]}` must be float32 where a kernel reads it: keras.Input without "
                f"dtype. The device feeds integers all the same. Received: {given.dtype}"
            )


def _reaches_kernel(found, tensor) -> bool:
    return any(
        (isinstance(call.layer, DiscreteKernel) and not isinstance(call.layer, GXNOREmbedding))
        or (_keeps_values(call.layer) and _reaches_kernel(found, call.output))
        for call in found.consumers(tensor)
    )


def _default(found, tensor) -> g.InputSpec:
    return _RAW if _is_rescaled(found, tensor) else g.InputSpec()


def _is_rescaled(found, tensor) -> bool:
    """Whether a Rescaling reads a tensor, behind layers that leave values as they are at most."""
    return any(
        type(call.layer) is keras.layers.Rescaling
        or (_keeps_values(call.layer) and _is_rescaled(found, call.output))
        for call in found.consumers(tensor)
    )


def _keeps_values(layer) -> bool:
    """Whether a layer only moves values: padding adds zeros, which a Rescaling may turn into others."""
    padding = (keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D)
    return type(layer) in (*NOTHING, *SHAPES) and not isinstance(layer, padding)


def fold_rescaling(spec: g.InputSpec, found: topology.Topology, tensor: int):
    """Folds Rescaling layers into the spec of an input that nothing else reads, but what moves its values.

    Args:
        spec: What the device feeds.
        found: The model.
        tensor: Number of the input.

    Returns:
        (spec, numbers of the tensors that the folded layers make: the same codes as they read).

    Raises:
        UnsupportedLayerError: if the zero point would not be an integer in range.
    """
    given, folded, at = spec, set(), tensor
    while len(readers := found.consumers(at)) == 1 and at not in found.outputs:
        layer, at = readers[0].layer, readers[0].output
        if type(layer) is keras.layers.Rescaling:
            spec = _rescaled(spec, layer, given)
            folded.add(at)
        elif not _keeps_values(layer):
            break
    return spec, folded


def _rescaled(spec, layer, given) -> g.InputSpec:
    """`spec` behind a Rescaling; `given` is that of the device, for messages."""
    factor, offset = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
    if factor.ndim or offset.ndim or not (0 < factor < np.inf and np.isfinite(offset)):
        raise UnsupportedLayerError(
            f"Layer `{layer.name}` (Rescaling) must have a positive scalar scale and a finite scalar "
            f"offset. Received: scale={layer.scale}, offset={layer.offset}"
        )
    factor, offset = float(factor), float(offset)
    zero_point = spec.zero_point - offset / (factor * spec.scale)
    nearest = round(zero_point)
    where = f"Layer `{layer.name}` (Rescaling), composed with input_spec={given}, puts zero at the input code"
    if abs(zero_point - nearest) > 1e-9 * max(1, abs(nearest)):
        raise UnsupportedLayerError(
            f"{where} {zero_point:g}, which is no integer. Nearest supported form for images: "
            f"Rescaling(1 / 128, offset=-1), whose zero is 128{_remedy(given)}."
        )
    try:
        return g.InputSpec(spec.dtype, spec.scale * factor, nearest)
    except InvalidArgumentError as error:
        raise UnsupportedLayerError(
            f"{where} {nearest}, and makes one code worth {spec.scale * factor:g}: no InputSpec can say "
            "so. It must say what the device feeds, before the Rescaling"
            f"{_remedy(given) or ': images in [-1, 1] are Rescaling(1 / 128, offset=-1) of uint8'}. {error}"
        ) from error


def _remedy(given) -> str:
    """What to try where the spec divides pixels that the Rescaling divides again."""
    raw = (given.scale, given.zero_point) == (1, 0)
    return "" if raw else ", with input_spec=InputSpec(scale=1, zero_point=0) if that is the raw pixels"
