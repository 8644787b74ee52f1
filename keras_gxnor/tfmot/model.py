"""From a tf_keras model to a Keras 3 model: call by call, then the weights."""

import math

import keras
import numpy as np

from keras_gxnor.conversion.blocks import frozen_scale, set_normalization
from keras_gxnor.conversion.numbers import Normalization, fold_scale
from keras_gxnor.conversion.table import Decision, Table
from keras_gxnor.errors import InvalidArgumentError, UnsupportedLayerError
from keras_gxnor.layers import DiscreteActivation
from keras_gxnor.quantizers import QuantizedReLU
from keras_gxnor.tfmot.functions import function_of
from keras_gxnor.tfmot.kernels import KERNELS, discrete
from keras_gxnor.tfmot.sources import calls, stripped

_POOL = ("pool_size", "strides", "padding", "data_format")
_GLOBAL = ("data_format", "keepdims")
# Layers without weights that Keras 3 has under the same name, and their arguments.
_SAME = {
    "Add": (),
    "Subtract": (),
    "Concatenate": ("axis",),
    "MaxPooling1D": _POOL,
    "MaxPooling2D": _POOL,
    "AveragePooling1D": _POOL,
    "AveragePooling2D": _POOL,
    "GlobalMaxPooling1D": _GLOBAL,
    "GlobalMaxPooling2D": _GLOBAL,
    "GlobalAveragePooling1D": _GLOBAL,
    "GlobalAveragePooling2D": _GLOBAL,
    "ZeroPadding1D": ("padding",),
    "ZeroPadding2D": ("padding", "data_format"),
    "Flatten": ("data_format",),
    "Reshape": ("target_shape",),
    "Permute": ("dims",),
    "Dropout": ("rate",),
    "Rescaling": ("scale", "offset"),
}
_RANGES = ("output_max", "post_activation_max")


def convert(model, approximate):
    """(Keras 3 model, `Table`) of a tf_keras model; see `keras_gxnor.tfmot.from_tfmot`."""
    if not isinstance(approximate, bool):
        raise InvalidArgumentError(f"`approximate` must be a bool. Received: approximate={approximate!r}")
    model = stripped(model)
    return _Conversion(model, approximate).run()


class _Conversion:
    """The new layers, the decisions, and what is still to be set when they are built."""

    def __init__(self, model, approximate):
        self._model, self._approximate = model, approximate
        self._calls, self._outputs = calls(model)
        self._rows, self._made, self._settings, self._norms = {}, {}, [], {}

    def run(self):
        """Builds the model, then sets its weights."""
        inputs = [keras.Input(tuple(t.shape[1:]), dtype=t.dtype.name) for t in self._model.inputs]
        tensors = dict(enumerate(inputs))
        for call in self._calls:
            read = [tensors[i] for i in call.inputs]
            given = read if len(read) > 1 else read[0]
            for layer in self._layers(call):
                given = layer(given)
            tensors[call.output] = given
        ends = [tensors[i] for i in self._outputs]
        ends = ends if len(ends) > 1 else ends[0]
        made = keras.Model(inputs if len(inputs) > 1 else inputs[0], ends, name=self._model.name)
        for norm, numbers in self._norms.values():
            self._settings.append(lambda norm=norm, numbers=numbers: set_normalization(norm, numbers))
        for setting in self._settings:
            setting()
        rows = {id(call.source): self._rows[id(call.source)] for call in self._calls}
        return made, Table(tuple(rows.values()))

    def _layers(self, call):
        """The layers in the place of one, made once; [] if it is left out."""
        source = call.source
        if id(source) not in self._made:
            layers, becomes, why = self._body(call)
            more, notes = self._after(call, len(layers))
            was = _joined([type(source.layer).__name__, _name(source.activation())])
            becomes = _joined([becomes, *(type(layer).__name__ for layer in more)])
            why = "; ".join(filter(None, [why, *notes]))
            self._rows[id(source)] = Decision(source.name, was, becomes, why)
            self._made[id(source)] = layers + more
            if not source.layer.trainable:
                for layer in layers + more:
                    layer.trainable = False
        return self._made[id(source)]

    def _body(self, call):
        """([layers], what it becomes, why) without activation and quantizer."""
        source, config = call.source, call.source.layer.get_config()
        if source.kind in KERNELS:
            return self._kernel(call)
        if source.kind == "BatchNormalization":
            return self._normalization(source, config)
        if source.kind in ("ReLU", "Activation", "Softmax"):
            return [], "", ""
        if type(source.layer).__name__ == "QuantizeLayer":
            return [], "", "how the input is fed is said by the InputSpec"
        if source.kind in _SAME:
            kept = {name: config[name] for name in _SAME[source.kind]}
            return [getattr(keras.layers, source.kind)(**kept, name=source.name)], source.kind, ""
        raise UnsupportedLayerError(
            f"Layer `{source.name}` ({type(source.layer).__name__}) cannot be carried over. Expected one "
            f"of {sorted([*KERNELS, *_SAME, 'Activation', 'BatchNormalization', 'ReLU'])} of tf_keras."
        )

    def _kernel(self, call):
        source = call.source
        layer, codes, scales, why = discrete(source, self._approximate)
        bias = source.weights().get("bias")
        self._settings.append(lambda: layer.kernel.assign(codes))
        note = f"{why}, scales {scales.min():g}..{scales.max():g}"
        becomes = type(layer).__name__
        follower = self._next_normalization(call)
        if follower is not None:
            self._layers(follower)
            norm, numbers = self._norms[id(follower.source)]
            self._norms[id(follower.source)] = norm, fold_scale(numbers, scales, bias)
            return [layer], becomes, f"{note} in `{norm.name}`"
        if (scales == 1).all() and (bias is None or not bias.any()):
            return [layer], becomes, note
        _check_channels_last(source)
        norm = frozen_scale(f"{source.name}_scale")
        self._norms[id(source)] = norm, Normalization.of_scale(scales, bias, norm.epsilon)
        return [layer, norm], f"{becomes} + BatchNormalization", f"{note} in the frozen `{norm.name}`"

    def _next_normalization(self, call):
        """The call of a BatchNormalization that alone reads what a kernel makes, or None."""
        readers = [other for other in self._calls if call.output in other.inputs]
        alone = len(readers) == 1 and call.output not in self._outputs
        if not alone or readers[0].source.kind != "BatchNormalization" or not _channels_last(call.source):
            return None
        uses = [other for other in self._calls if other.source in (call.source, readers[0].source)]
        plain = call.source.activation() is None and call.source.output_quantizer() is None
        return readers[0] if plain and len(uses) == 2 else None

    def _final(self, source):
        """Whether all that a layer makes leaves the model, and nothing in the model reads it."""
        read = {number for call in self._calls for number in call.inputs}
        made = {call.output for call in self._calls if call.source is source}
        return made <= set(self._outputs) and not made & read

    def _normalization(self, source, config):
        axis = list(np.atleast_1d(config["axis"]))
        if axis not in ([-1], [len(source.layer.input_shape) - 1]):
            raise UnsupportedLayerError(
                f"Layer `{source.name}` (BatchNormalization) must normalize the last axis. "
                f"Received: axis={axis}"
            )
        norm = keras.layers.BatchNormalization(
            momentum=config["momentum"], epsilon=config["epsilon"], name=source.name
        )
        weights, size = source.weights(), source.layer.moving_mean.shape
        gamma, beta = weights.get("gamma", np.ones(size)), weights.get("beta", np.zeros(size))
        numbers = Normalization(
            np.float32(gamma),
            np.float32(beta),
            weights["moving_mean"],
            weights["moving_variance"],
            config["epsilon"],
        )
        self._norms[id(source)] = norm, numbers
        return [norm], "BatchNormalization", ""

    def _after(self, call, before):
        """([layers], notes) of the activation and the quantizer of a layer."""
        source, weights = call.source, call.source.weights()
        name = f"{source.name}_activation" if before else source.name
        quantizer = getattr(source.output_quantizer(), "quantizer", None)
        function = function_of(source)
        if source.kind == "ReLU":
            _check_relu(source, quantizer)
        final = self._final(source)
        if quantizer is not None:
            if isinstance(quantizer, QuantizedReLU) and function == "relu":
                function = ""  # it is one itself
            ahead = [keras.layers.Activation(function, name=f"{name}_function")] if function else []
            return [*ahead, _discrete(quantizer, weights, name)], ["the same quantizer"]
        most = next((float(weights[key]) for key in _RANGES if key in weights), None)
        if function == "relu":
            return _relu(source, most, name)
        left = ["not exact: its 8-bit quantizer is left out"] if most is not None and not final else []
        if final and function == "softmax":
            return [], ["outputs are logits: train with from_logits=True"]
        if function:
            return [keras.layers.Activation(function, name=name)], left
        return [], left


def _channels_last(source) -> bool:
    return getattr(source.layer, "data_format", "channels_last") == "channels_last"


def _check_channels_last(source):
    """Refuses a kernel with a scale or bias over another axis than a normalization has."""
    if not _channels_last(source):
        raise UnsupportedLayerError(
            f"Layer `{source.name}` ({source.kind}) has a bias, or a kernel with scales: they become a "
            "BatchNormalization of the last axis, so the channels must be there. Received: "
            f"data_format={source.layer.data_format!r}"
        )


def _check_relu(source, quantizer):
    """Refuses a ReLU layer that is more than max(x, 0) and has no counterpart."""
    refused = ("negative_slope", "threshold") + (("max_value",) if quantizer is not None else ())
    odd = {key: value for key, value in source.layer.get_config().items() if key in refused and value}
    if odd:
        raise UnsupportedLayerError(
            f"Layer `{source.name}` (ReLU) must be a plain one, which ReLU() is. Received: {odd}"
        )


def _relu(source, most, name):
    """A ReLU in 255 steps; most: the range that tfmot has found, or None."""
    top = source.layer.get_config().get("max_value") if source.kind == "ReLU" else None
    known = [x for x in (most, top) if x is not None]
    if not known:
        return [DiscreteActivation("uint8", name=name)], ["not exact: range 4, to be calibrated"]
    reach = 2.0 ** math.ceil(math.log2(max(min(known), 2.0**-30)))
    layer = DiscreteActivation("uint8", range=reach, name=name)
    return [layer], [f"not exact: range {min(known):g} -> {reach:g}"]


def _discrete(quantizer, weights, name):
    """The DiscreteActivation of one of our own quantizers, with the range that it has found."""
    config = quantizer.get_config()
    if "output_log2_range" in weights:
        config["range"] = 2.0 ** float(weights["output_log2_range"])
    return DiscreteActivation(**config, name=name)


def _joined(names) -> str:
    return " + ".join(filter(None, names))


def _name(function) -> str:
    return getattr(function, "__name__", type(function).__name__) if function is not None else ""
