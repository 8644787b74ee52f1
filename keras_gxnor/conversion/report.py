"""The decisions of a plan in words: one row a layer, and names for the layers that are inserted."""

import keras

from keras_gxnor import lowering, quantizers, spaces
from keras_gxnor.conversion.planning import Role, transforms
from keras_gxnor.conversion.registry import ACTIVATIONS, SWAPS, activation_of, is_softmax, other_floats
from keras_gxnor.conversion.table import LEFT, Decision, Table
from keras_gxnor.errors import GraphError, UnsupportedLayerError
from keras_gxnor.quantizers import QuantizedReLU

_PLACES = ("before", "norm", "step")
_BETWEEN = {
    "before": "normalizes what the step reads",
    "norm": "holds scale and bias of the codes",
    "step": "what follows reads codes",
}


def inserted_names(changes) -> dict:
    """{(id of a layer, "before" | "norm" | "step"): unique name} of the layers to insert."""
    taken, names = {change.layer.name for change in changes.values()}, {}
    for key, change in changes.items():
        for place in _PLACES:
            if getattr(change, place):
                name = f"{change.layer.name}_{'step' if place == 'step' else 'norm'}"
                while name in taken:
                    name += "_1"
                taken.add(name)
                names[key, place] = name
    return names


def table(changes, names, activation_space) -> Table:
    """The `Table` of the changes of a `Planner`."""
    rows, quantizer = [], quantizers.get(activation_space)
    for key, change in changes.items():
        norm = "BatchNormalization"
        step = f"DiscreteActivation, {activation_space}"
        places = {"before": norm, "": _becomes(change, step), "norm": norm, "step": step}
        for place, becomes in places.items():
            if not place:
                rows.append(Decision(change.layer.name, _was(change.layer), becomes, _why(change, quantizer)))
            elif getattr(change, place):
                inner = place == "step" and change.inner
                why = f"in the place of {_name(activation_of(change.layer))}" if inner else _BETWEEN[place]
                rows.append(Decision(names[key, place], "", becomes, why))
    return Table(tuple(rows))


def export_line(model) -> str:
    """Whether a new model can be exported, to be known before it is trained on."""
    try:
        lowering.from_keras(model)
    except (UnsupportedLayerError, GraphError) as error:
        return f"With the default input spec it cannot be exported: {error}"
    return "It can be exported: every layer has an exact integer form."


def _was(layer):
    function = activation_of(layer)
    return type(layer).__name__ + (f", {_name(function)}" if function else "")


def _name(function):
    """Of a function; the class of a layer, a functools.partial or another callable object."""
    return getattr(function, "__name__", type(function).__name__)


def _becomes(change, step):
    if change.left:
        return LEFT
    if change.space:
        return f"{SWAPS[type(change.layer)].becomes.__name__}, {spaces.serialize(spaces.get(change.space))}"
    if change.role is Role.STEP:
        return step
    return "linear" if change.role is Role.DROP else type(change.layer).__name__


def _without(layer):
    """What is to be done about the outputs of a model whose last activation is dropped."""
    function = activation_of(layer)
    if is_softmax(layer) or function is keras.activations.sigmoid:
        return "outputs are logits: train with from_logits=True"
    relu = function is keras.activations.relu
    if type(layer) is keras.layers.ReLU:
        relu = layer.max_value is None and not (layer.negative_slope or layer.threshold)
    name = _name(layer if function is None else function)
    then = "max(0, x)" if relu else name
    return f"{name} is dropped: apply {then} to the outputs yourself, in the loss and after the export"


def why_left(change) -> str:
    """Why a layer stays float, and what to use instead."""
    if not change.remedy:
        return change.left
    movable = change.raw and not transforms(change.layer) and "before the model" not in change.remedy
    ahead = ", or do it to the data, before the model" * movable
    return f"{change.left} and cannot be exported; instead: {change.remedy}{ahead}"


def _why(change, quantizer):
    if change.left:
        return why_left(change)
    reasons = []
    if change.raw and change.step and isinstance(change.layer, keras.layers.BatchNormalization):
        unsigned = isinstance(quantizer, QuantizedReLU)
        count = quantizer.levels + 1 if unsigned else quantizer.space.num_states
        reasons.append(
            f"CAUTION: the step after it leaves {count} levels of the data"
            f"{' and nothing below 0' * unsigned}; take a Rescaling instead, or normalize before the model"
        )
    if change.space:
        how = "8 bits by `keep`" if change.keeps else "codes from the float kernel"
        if change.keeps and SWAPS[type(change.layer)].pair:
            how = "two kernels meet without a step between, 8 bits by `keep` do not fit"
        bias = ", bias into the normalization" if getattr(change.layer, "use_bias", False) else ""
        reasons.append(how + bias)
    if change.role is Role.DROP:
        reasons.append(_without(change.layer))
    if isinstance(change.layer, keras.layers.BatchNormalization):
        plain = not (change.layer.scale and change.layer.center)
        reasons.append("takes up scales" + (", with gamma and beta" if plain else ""))
    if change.role is Role.STEP and isinstance(change.layer, ACTIVATIONS):
        reasons.append("the nearest steps")
    if change.ends:
        reasons.append(
            "CAUTION: an output of the model is these codes, which `convert` refuses: export it without that "
            "output, or give the output an activation of its own"
        )
    if other_floats(change.layer):
        reasons.append(f"float32 instead of {other_floats(change.layer)}, whose sums are not exact")
    return "; ".join(reasons) or "as it is"
