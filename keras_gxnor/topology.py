"""A Keras model as a list of layer calls in the order data flows, or a clear word why it is none."""

import collections
import dataclasses

import keras

from keras_gxnor.errors import InvalidArgumentError, UnsupportedLayerError


@dataclasses.dataclass(frozen=True)
class Call:
    """One use of a layer. Tensors are numbered: first the model's inputs, then what calls make.

    Attributes:
        layer: The Keras layer.
        inputs: Numbers of the tensors it reads.
        output: Number of the tensor it makes.
    """

    layer: keras.layers.Layer
    inputs: tuple[int, ...]
    output: int


@dataclasses.dataclass(frozen=True)
class Topology:
    """The data flow of a model.

    Attributes:
        inputs: Shapes of the inputs without the batch axis; tensor i is input i.
        calls: The calls, each after those it reads.
        outputs: Numbers of the tensors that are the model's outputs.
        names: Names of the inputs: keys of a model that takes a dict, else those of the tensors.
    """

    inputs: tuple[tuple[int, ...], ...]
    calls: tuple[Call, ...]
    outputs: tuple[int, ...]
    names: tuple[str, ...]

    def consumers(self, tensor: int) -> list[Call]:
        """The calls that read a tensor."""
        return [call for call in self.calls if tensor in call.inputs]


def read(model) -> Topology:
    """The layer calls of a Sequential or Functional model; nested models are unfolded.

    Inputs and outputs come in the order of `model.inputs` and `model.outputs`, in dicts
    sorted by key as Keras sorts them. A layer that is used twice is called twice.

    Args:
        model: A built `keras.Sequential` or Functional `keras.Model`.

    Raises:
        UnsupportedLayerError: if the model is subclassed, uses a bare operation, has a layer
            that makes several tensors, or an input without a fixed shape.
        InvalidArgumentError: if `model` is no Keras model or is not built.

    Example:

    >>> from keras_gxnor import topology
    >>> model = keras.Sequential([keras.Input((4,)), GXNORDense(2), keras.layers.Identity()])
    >>> [(call.inputs, call.output) for call in topology.read(model).calls]
    [((0,), 1), ((1,), 2)]
    """
    if not isinstance(model, keras.Model):
        raise InvalidArgumentError(f"Expected a Keras model. Received: {type(model).__name__}")
    if not isinstance(model, keras.Sequential):
        _functional_config(model)
    if not model.built:
        raise InvalidArgumentError(f"Model `{model.name}` is not built. Start it with keras.Input(shape).")
    shapes = tuple(_fixed(model, tensor) for tensor in model.inputs)
    calls: list[Call] = []
    outputs = _unfold(model, tuple(range(len(shapes))), len(shapes), calls)
    return Topology(shapes, tuple(calls), tuple(outputs), _names(model))


def _names(model) -> tuple[str, ...]:
    """Names of the inputs, as a dict of arrays for the model has them."""
    given = None if isinstance(model, keras.Sequential) else model.input  # which has no `input` before a call
    if isinstance(given, dict) and len(given) == len(model.inputs):
        return tuple(sorted(given))
    return tuple(tensor.name for tensor in model.inputs)


def _fixed(model, tensor) -> tuple[int, ...]:
    shape = tuple(tensor.shape[1:])
    if not shape or any(not isinstance(n, int) for n in shape):
        raise UnsupportedLayerError(
            f"Model `{model.name}` must have inputs of a fixed shape. "
            f"Received: shape={tensor.shape} of `{tensor.name}`"
        )
    return shape


def configuration(layer) -> dict:
    """`layer.get_config()` of a layer or model.

    Raises:
        UnsupportedLayerError: if Keras cannot tell it.
    """
    try:
        return layer.get_config()
    except (TypeError, NotImplementedError, OSError) as error:  # OSError: of a lambda without a file
        raise UnsupportedLayerError(
            f"`{layer.name}` ({type(layer).__name__}) must have a configuration that Keras can write: "
            "functions by name (no functools.partial, no lambda), and `get_config` in layers of your own. "
            f"Received: {error}"
        ) from error


def _functional_config(model) -> dict:
    config = configuration(model)
    readable = isinstance(config, dict) and "input_layers" in config and "layers" in config
    if not readable or not _is_keras_own(model):
        raise UnsupportedLayerError(
            f"Model `{model.name}` is subclassed, so its data flow cannot be read. Build it as a "
            "keras.Sequential or Functional model."
        )
    if any(isinstance(ends, collections.OrderedDict) for ends in (model.input, model.output)):
        raise UnsupportedLayerError(
            f"Model `{model.name}` takes or gives an OrderedDict, whose order Keras does not keep. Use a "
            "list or a plain dict."
        )
    return config


def _is_keras_own(model) -> bool:
    """Whether a model's `call` is that of Keras: a subclass may compute something else."""
    return type(model).call.__module__.partition(".")[0] == "keras"


def _call(layer, inputs, first, calls) -> list[int]:
    """Appends the call of a layer or of all layers of a nested model; numbers of what it makes."""
    if isinstance(layer, keras.Model):
        return _unfold(layer, inputs, first, calls)
    made = len(keras.tree.flatten(layer.output))
    if made != 1:
        raise UnsupportedLayerError(
            f"Layer `{layer.name}` ({type(layer).__name__}) must make one tensor. Received: {made}. Nearest "
            "supported form: a layer for each of them; of a recurrent layer, return_state=False."
        )
    calls.append(Call(layer, tuple(inputs), first + len(calls)))
    return [calls[-1].output]


def _unfold(model, inputs, first, calls) -> list[int]:
    """Appends the calls of a model on tensors `inputs`; numbers of its outputs.

    first: number of the first tensor that a call makes.
    """
    if isinstance(model, keras.Sequential):
        if not _is_keras_own(model):
            raise UnsupportedLayerError(
                f"Model `{model.name}` overrides `call`, so its data flow cannot be read. Use "
                "keras.Sequential itself."
            )
        tensors = list(inputs)
        for layer in model.layers:
            if not isinstance(layer, keras.layers.InputLayer):
                tensors = _call(layer, tensors, first, calls)
        return tensors
    config = _functional_config(model)
    layers = {layer.name: layer for layer in model.layers}
    made = {ref: [tensor] for ref, tensor in zip(_plain_refs(config["input_layers"]), inputs)}
    made = {(name, node): tensors for (name, node, _), tensors in made.items()}
    waiting = [
        (entry["name"], number, list(_histories([node.get("args"), node.get("kwargs")])))
        for entry in config["layers"]
        for number, node in enumerate(entry["inbound_nodes"])
    ]
    for entry in config["layers"]:
        nested = isinstance(layers.get(entry["name"]), keras.Model)
        if nested and any(_has_dict(node.get("args")) for node in entry["inbound_nodes"]):
            raise UnsupportedLayerError(
                f"`{entry['name']}` is called with a dict, whose entries Keras assigns by name. Nearest "
                "supported form: call it with a list of tensors, in the order of its inputs."
            )
    while waiting:
        ready = [use for use in waiting if all((n, k) in made for n, k, _ in use[2])]
        for name, number, refs in ready:
            if name not in layers:
                _refuse_masks(model)
                raise UnsupportedLayerError(
                    f"`{name}` is a bare Keras operation, which has no exact integer form. Nearest "
                    "supported form: layers only, such as keras.layers.Add and Concatenate."
                )
            sources = [made[n, k][i] for n, k, i in refs]
            made[name, number] = _call(layers[name], sources, first, calls)
        waiting = [use for use in waiting if use not in ready]
    return [made[n, k][i] for n, k, i in _plain_refs(config["output_layers"])]


def _refuse_masks(model):
    """Names the layer that masks, since masks are what Keras' bare operations make of it."""
    for layer in model.layers:
        masking = isinstance(layer, keras.layers.Masking)
        if masking or getattr(layer, "mask_zero", False):
            raise UnsupportedLayerError(
                f"Layer `{layer.name}` ({type(layer).__name__}) makes a mask, "
                "which has no exact integer form: later layers would leave entries out. Nearest supported "
                f"form: {'no Masking layer' if masking else 'mask_zero=False'}, the padding an entry as any."
            )


def _histories(value):
    """(layer, node, tensor) of the `keras_history` entries anywhere below `value`, in order."""
    if isinstance(value, dict):
        if "keras_history" in value:
            yield tuple(value["keras_history"])
            return
        value = [value[key] for key in sorted(value)]
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _histories(item)


def _has_dict(value) -> bool:
    """Whether the arguments of a call hold a dict of tensors."""
    if isinstance(value, dict):
        return "keras_history" not in value.get("config", {})
    return isinstance(value, (list, tuple)) and any(map(_has_dict, value))


def _plain_refs(value) -> list[tuple]:
    """(layer, node, tensor) of `input_layers` / `output_layers`, which Keras nests by their structure."""
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    elif value and isinstance(value[0], str):
        return [tuple(value)]
    return [ref for item in value for ref in _plain_refs(item)]
