"""The new model: the old one's layers cloned or replaced, others inserted, names and order kept."""

import dataclasses

import keras

from keras_gxnor.conversion.planning import Role
from keras_gxnor.conversion.registry import ACTIVATIONS, SWAPS, absorbs, other_floats
from keras_gxnor.layers import DiscreteActivation
from keras_gxnor.topology import configuration

_L = keras.layers
_REFUSED = ("constraint", "regularizer", "quantization_config")  # codes are small as they are
_KEPT = ("activity_regularizer",)


@dataclasses.dataclass
class Built:
    """What a layer of the float model has become.

    Attributes:
        layer: The new layer.
        before, norm, step: Those inserted around it, or None.
    """

    layer: keras.layers.Layer
    before: keras.layers.Layer | None = None
    norm: keras.layers.Layer | None = None
    step: keras.layers.Layer | None = None

    @property
    def row(self):
        """The layers in the order in which they are called."""
        return [x for x in (self.before, self.layer, self.norm, self.step) if x is not None]


class Builder:
    """Builds the new model, in float32: of other floats the sums are not exact.

    Args:
        changes: {id of a layer: `Change`}.
        quantizers: {id of a layer: configuration of its DiscreteActivation}.
        names: {(id of a layer, "before" | "norm" | "step"): name} of what is inserted.

    Attributes:
        built: {id of an old layer: `Built`}.
    """

    def __init__(self, changes, quantizers, names):
        self._changes, self._quantizers, self._names = changes, quantizers, names
        self.built, self._models = {}, {}

    def rebuild(self, model):
        """The new model in the place of a Sequential or Functional one; not compiled."""
        if id(model) not in self._models:
            build = self._sequential if isinstance(model, keras.Sequential) else self._functional
            self._models[id(model)] = build(model)
        return self._models[id(model)]

    def _sequential(self, model):
        tensor = model.inputs[0]
        layers = [keras.Input(batch_shape=tensor.shape, dtype=_dtype(tensor), name=tensor.name)]
        for layer in model.layers:
            layers += [self.rebuild(layer)] if isinstance(layer, keras.Model) else self._built(layer).row
        return keras.Sequential(layers, name=model.name, trainable=model.trainable)

    def _functional(self, model):
        rows, swapped = {}, set()

        def clone(layer):
            if isinstance(layer, keras.Model):
                new = self.rebuild(layer)
                rows[id(new)] = [new]
                return new
            built = self._built(layer)
            rows[id(built.layer)] = built.row
            if type(built.layer) is not type(layer):
                swapped.add(id(built.layer))
            return built.layer

        def call(layer, *args, **kwargs):
            row = rows[id(layer)]
            at = row.index(layer)
            for ahead in row[:at]:
                args = (ahead(*args), *args[1:])
            # A layer of another class may not know the arguments of the call: the mask of a Softmax.
            made = layer(*args, **{} if id(layer) in swapped else kwargs)
            for after in row[at + 1 :]:
                made = after(made)
            return made

        # A model without `compile`, since Keras would compile the clone with the same optimizer.
        bare = keras.Model(model.input, model.output, name=model.name)
        names = {id(x.output): x.name for x in model.layers if isinstance(x, _L.InputLayer)}
        inputs = keras.tree.map_structure(
            lambda t: keras.Input(batch_shape=t.shape, dtype=_dtype(t), name=names.get(id(t), t.name)),
            model.input,
        )
        new = keras.models.clone_model(bare, inputs, clone_function=clone, call_function=call)
        new.trainable = model.trainable
        return new

    def _built(self, layer) -> Built:
        if id(layer) not in self.built:
            change = self._changes[id(layer)]
            made = Built(self._clone(layer, change))
            for place in ("before", "norm"):
                if getattr(change, place):
                    setattr(made, place, _normalization(self._names[id(layer), place]))
            if change.step:
                made.step = self._activation(layer, self._names[id(layer), "step"])
            self.built[id(layer)] = made
        return self.built[id(layer)]

    def _activation(self, layer, name):
        return DiscreteActivation(**self._quantizers[id(layer)], name=name, dtype="float32")

    def _clone(self, layer, change):
        config = configuration(layer)
        if other_floats(layer):
            config["dtype"] = "float32"
        if change.space:
            kept = {k: v for k, v in config.items() if k in _KEPT or not k.endswith(_REFUSED)}
            kept |= {"activation": None, "use_bias": False} if "use_bias" in kept else {}
            return SWAPS[type(layer)].becomes(**kept, kernel_space=change.space)
        if type(layer) is _L.Lambda:
            return _same_lambda(layer, config)
        if isinstance(layer, ACTIVATIONS) and change.role is Role.STEP:
            return self._activation(layer, layer.name)
        if isinstance(layer, ACTIVATIONS) and change.role is Role.DROP:
            return _L.Activation("linear", name=layer.name, dtype="float32")
        if isinstance(layer, _L.BatchNormalization) and not change.left:
            config |= {"scale": True, "center": True}
        if absorbs(layer):
            config["use_bias"] = True
        return type(layer).from_config(config)


def _normalization(name):
    # Codes move more in a few steps than the statistics of Keras' own momentum, 0.99, follow.
    return _L.BatchNormalization(momentum=0.9, name=name, dtype="float32")


def _dtype(tensor):
    """The dtype of an input of the new model."""
    return "float32" if "float" in tensor.dtype else tensor.dtype


def _same_lambda(layer, config):
    """A Lambda of the same function, which Keras would not read from a configuration."""
    shape = config.get("output_shape")
    return _L.Lambda(
        layer.function,
        output_shape=None if isinstance(shape, dict) else shape,  # a function's: inferred anew
        mask=layer.mask,
        arguments=layer.arguments,
        name=layer.name,
        trainable=layer.trainable,
        dtype=config["dtype"],
    )
