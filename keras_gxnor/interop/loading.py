"""From saved layers into a model: pairing, quantizing, folding scales; all or nothing."""

import dataclasses
import math

import keras
import numpy as np

from keras_gxnor import spaces, topology
from keras_gxnor.conversion.numbers import Normalization, fold_scale
from keras_gxnor.conversion.table import Decision, Table
from keras_gxnor.errors import InvalidArgumentError, UnsupportedLayerError
from keras_gxnor.layers.base import DiscreteKernel
from keras_gxnor.lowering.advice import NOTHING
from keras_gxnor.lowering.pooling import POOLING

_L = keras.layers
# What commutes with a positive scale and a bias a channel.
_LINEAR = {*POOLING, *NOTHING}
_QUANTIZERS = ("kernel_quantizer", "depthwise_quantizer")


def _check_given(given, model):
    """Refuses what is no rule, and rules for layers that have no discrete kernel."""
    named = given if isinstance(given, dict) else {}
    rules = named.values() if given is named else [] if given is None else [given]
    if not all(callable(rule) and not isinstance(rule, type) for rule in rules):
        raise InvalidArgumentError(
            "`kernel_quantizer` must be a rule of keras_gxnor.interop (an instance: `SteSign()`, not "
            f"`SteSign`), a dict {{layer name: rule}}, or None. Received: {given!r}"
        )
    known = [layer.name for layer in flat(model) if isinstance(layer, DiscreteKernel)]
    unknown = [name for name in named if name not in known]
    if unknown:
        raise InvalidArgumentError(
            f"`kernel_quantizer` names layers of `{model.name}` with a discrete kernel. Expected some "
            f"of {known}. Received: {unknown}"
        )


def _chosen_rules(given, known, defaults):
    """A function (layer of the model, `SavedLayer`) -> the rule for its kernel, as of `load`."""
    named = given if isinstance(given, dict) else {}

    def rule_of(layer, saved):
        if layer.name in named or (given is not None and given is not named):
            return named.get(layer.name, given)
        for key in _QUANTIZERS:
            if key in saved.config:
                return _configured(layer, saved.config[key], known)
        space = spaces.serialize(layer.kernel_space.readout)
        if not isinstance(space, str) or space not in defaults:
            raise InvalidArgumentError(
                f"Layer `{layer.name}` has the kernel space {space!r}, for which there is no usual "
                f"quantizer. Expected one of {sorted(defaults)}, or `kernel_quantizer`."
            )
        return defaults[space]

    return rule_of


def _configured(layer, config, known):
    """The rule that a quantizer's config in the file describes."""
    # Keras 2 writes a class with its arguments as a dict, a function or a default by its name.
    parts = config if isinstance(config, dict) else {"class_name": config}
    name, arguments = parts.get("class_name"), parts.get("config", {})
    rule = next((known[key] for key in known if isinstance(name, str) and _same(key, name)), None)
    if rule is None or not isinstance(arguments, dict):
        raise InvalidArgumentError(
            f"Layer `{layer.name}`: the file says kernel_quantizer={name if rule is None else config!r}, "
            f"which makes no binary or ternary kernel that is known here. Expected one "
            f"of {sorted(known)}; or give `kernel_quantizer`."
        )
    fields = {field.name for field in dataclasses.fields(rule)}
    try:
        return rule(**{key: value for key, value in arguments.items() if key in fields})
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f"Layer `{layer.name}`: the file says kernel_quantizer={config!r}. {error}"
        ) from error


def _same(name, other) -> bool:
    """Whether two names differ only as `SteSign` and `ste_sign` do."""
    return name.replace("_", "").lower() == other.replace("_", "").lower()


def load(saved, model, kernel_quantizer, known, defaults) -> Table:
    """Sets the weights of `model` from saved layers.

    Args:
        saved: List of `hdf5.SavedLayer`.
        model: A built Keras model.
        kernel_quantizer: A rule, a dict {layer name: rule}, or None: what the user says.
        known: Class name of a quantizer in the file -> class of the rule.
        defaults: Name of a kernel space -> rule, for files that do not say.

    Returns:
        The `Table` of what was read where.

    Raises:
        InvalidArgumentError: if something does not fit. Nothing is written then.
    """
    found = topology.read(model)
    _check_given(kernel_quantizer, model)
    rule_of = _chosen_rules(kernel_quantizer, known, defaults)
    pairs = _paired([layer for layer in flat(model) if layer.weights], saved)
    norms = {
        layer: _normalization(layer, source)
        for layer, source in pairs
        if isinstance(layer, _L.BatchNormalization)
    }
    values, decisions = {}, []
    for layer, source in pairs:
        note = _unread(source) + f"`{source.name}`"
        if isinstance(layer, DiscreteKernel):
            rule = rule_of(layer, source)
            values[layer], folded = _kernel(layer, source, rule, norms, found)
            note += f" by {rule}{folded}"
        elif layer not in norms:
            values[layer] = _copied(layer, source)
        kind = source.config.get("class_name", "weights")
        decisions.append(Decision(layer.name, kind, type(layer).__name__, note))
    for layer, norm in norms.items():
        values[layer] = _norm_values(layer, norm)
    for arrays in values.values():
        for variable, array in arrays:
            variable.assign(array)
    return Table(tuple(decisions))


def flat(model):
    """The layers of a model in order, those of nested models in their place."""
    for layer in model.layers:
        yield from flat(layer) if isinstance(layer, keras.Model) else [layer]


def _paired(layers, saved):
    """(layer, saved layer) pairs: by name if every layer is in the file, else by order."""
    by_name = {source.name: source for source in saved}
    if all(layer.name in by_name for layer in layers) and len(layers) <= len(saved):
        return [(layer, by_name[layer.name]) for layer in layers]
    if len(layers) != len(saved):
        raise InvalidArgumentError(
            f"The model has {len(layers)} layers with weights, {[layer.name for layer in layers]}; "
            f"expected those of the file. Received: {len(saved)}, {[s.name for s in saved]}"
        )
    return list(zip(layers, saved))


def _weight(layer, source, name, shape):
    """A saved weight of the expected shape."""
    array = source.kernel if name == "kernel" else source.weights.get(name)
    if array is None or array.shape != tuple(shape):
        got = sorted(source.weights) if array is None else array.shape
        raise InvalidArgumentError(
            f"Layer `{layer.name}` ({type(layer).__name__}) expected `{name}` of shape {tuple(shape)}. "
            f"Received: {got} in `{source.name}` of the file"
        )
    return array


def _unread(source):
    """Names the quantizers of a saved layer that are not applied, of biases and normalizations."""
    found = [key for key, value in source.config.items() if key.endswith("_quantizer") and value]
    left = [key for key in found if key not in (*_QUANTIZERS, "input_quantizer")]
    return f"not exact, without {', '.join(left)}: " if left else ""


def _kernel(layer, source, rule, norms, found):
    """([(variable, array)...], what was folded) of a discrete layer; folds a scale into `norms`."""
    if len(layer.KERNELS) > 1:
        raise UnsupportedLayerError(
            f"Layer `{layer.name}` ({type(layer).__name__}) has several kernels, whose scales have no place "
            "between them. Nearest supported form: a depthwise and a 1x1 layer."
        )
    if "kernel" not in layer.KERNELS:
        raise UnsupportedLayerError(
            f"Layer `{layer.name}` ({type(layer).__name__}) has {list(layer.KERNELS)} and no `kernel`: Larq "
            f"and QKeras quantize none. Nearest supported form: the plain Keras "
            "layer, whose floats are copied."
        )
    kernel = np.asarray(_weight(layer, source, "kernel", layer.kernel.shape), np.float32)
    codes, alpha = _applied(layer, rule, kernel)
    space = layer.kernel_space
    if space.scale != 1 or space != space.readout or not space.contains(codes):
        raise InvalidArgumentError(
            f"Layer `{layer.name}`: {rule} makes kernels of {np.unique(codes).tolist()}, expected codes "
            f"of the layer's own space. Received: kernel_space={spaces.serialize(space)!r}"
        )
    bias, alpha = _bias(layer, source), _per_channel(layer, codes, alpha)
    fold = (alpha != 1).any() or (bias.any() and layer.bias is None)
    values = [(layer.kernel, codes)]
    if layer.bias is not None:
        values.append((layer.bias, np.zeros_like(bias) if fold else bias))
    if not fold:
        return values, ""
    norm, scales = _next_normalization(layer, found), f"scales {alpha.min():g}..{alpha.max():g}"
    if norm not in norms:
        raise InvalidArgumentError(
            f"Layer `{layer.name}`: the {scales} or the bias of `{source.name}` have no place. Expected a "
            "BatchNormalization that follows the layer, or a pooling after it, in both networks."
        )
    norms[norm] = fold_scale(norms[norm], alpha, bias)
    return values, f"; {scales} in `{norm.name}`"


def _applied(layer, rule, kernel):
    """(codes, scales) by a rule, which may be the user's own."""
    made = rule(kernel)
    if not (isinstance(made, tuple) and len(made) == 2 and np.shape(made[0]) == kernel.shape):
        raise InvalidArgumentError(
            f"Layer `{layer.name}`: {rule} must return a pair, codes of shape {kernel.shape} and scales. "
            f"Received: {type(made).__name__}"
        )
    return made


def _channels(layer) -> int:
    """Number of output channels."""
    known = getattr(layer, "units", None) or getattr(layer, "filters", None)
    return known or math.prod(layer.kernel.shape[-2:])  # depthwise


def _bias(layer, source):
    """The saved bias, or zeros."""
    channels = _channels(layer)
    if "bias" not in source.weights:
        return np.zeros(channels, np.float32)
    return _weight(layer, source, "bias", (channels,))


def _per_channel(layer, codes, alpha):
    """The scale of each output channel; 1 where all codes are 0."""
    alpha, channels = np.asarray(alpha, np.float32), _channels(layer)
    if (alpha == 1).all():
        return np.ones(channels, np.float32)
    if isinstance(layer, _L.Conv2DTranspose):
        raise UnsupportedLayerError(
            f"Layer `{layer.name}` ({type(layer).__name__}) has a scale an input channel, which cannot be "
            "folded. Nearest supported form: a quantizer with the scale 1."
        )
    rows = np.broadcast_to(alpha, codes.shape).reshape(-1, channels)
    used = np.abs(codes).reshape(-1, channels).any(0)
    return np.where(used, rows[0], np.float32(1))


def _next_normalization(layer, found):
    """The BatchNormalization that alone reads the sums of a layer, or None."""
    uses = [call for call in found.calls if call.layer is layer]
    linear = layer.activation in (None, keras.activations.linear)
    while len(uses) == 1 and linear and uses[0].output not in found.outputs:
        uses = found.consumers(uses[0].output)
        if len(uses) != 1 or sum(call.layer is uses[0].layer for call in found.calls) != 1:
            return None
        following = uses[0].layer
        if type(following) is _L.BatchNormalization:
            return following
        linear = type(following) in _LINEAR
    return None


def _normalization(layer, source) -> Normalization:
    """What a BatchNormalization of the file computes."""
    size = tuple(layer.moving_mean.shape)
    saved = source.config.get("epsilon", layer.epsilon)
    if not math.isclose(saved, layer.epsilon):
        raise InvalidArgumentError(
            f"Layer `{layer.name}` expected epsilon={saved} of the file. Received: epsilon={layer.epsilon}"
        )
    parts = {"gamma": np.ones(size, np.float32), "beta": np.zeros(size, np.float32)}
    for name in parts:
        if name in source.weights:
            parts[name] = _weight(layer, source, name, size)
    mean, variance = (_weight(layer, source, f"moving_{name}", size) for name in ("mean", "variance"))
    return Normalization(**parts, mean=mean, variance=variance, epsilon=layer.epsilon)


def _norm_values(layer, norm):
    """[(variable, array)...] of a BatchNormalization."""
    values = [(layer.moving_mean, norm.mean), (layer.moving_variance, norm.variance)]
    for variable, array, unused in ((layer.gamma, norm.gamma, 1), (layer.beta, norm.beta, 0)):
        if variable is not None:
            values.append((variable, array))
        elif (array != unused).any():
            argument = "scale" if unused else "center"
            raise InvalidArgumentError(
                f"Layer `{layer.name}` expected {argument}=True. Received: {argument}=False"
            )
    return values


def _copied(layer, source):
    """[(variable, array)...] of an ordinary layer: its weights under the same names."""
    names = ["kernel" if "kernel" in variable.name else variable.name for variable in layer.weights]
    return [(v, _weight(layer, source, name, v.shape)) for v, name in zip(layer.weights, names)]
