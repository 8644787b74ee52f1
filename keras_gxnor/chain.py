"""A Keras model as the chain of its layers, or a clear word why it is none."""

import keras

from keras_gxnor.errors import InvalidArgumentError, UnsupportedLayerError


def layers(model) -> list:
    """The layers of a Sequential or Functional model in order, without input layers.

    Nested models are unfolded.

    Args:
        model: A built `keras.Sequential` or Functional `keras.Model` with one input and
            one output.

    Raises:
        UnsupportedLayerError: naming the layer where the model branches, joins, or
            shares a layer, or if the model is subclassed.
        InvalidArgumentError: if `model` is no Keras model or is not built.
    """
    if not isinstance(model, keras.Model):
        raise InvalidArgumentError(f"Expected a Keras model. Received: {type(model).__name__}")
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise InvalidArgumentError(
                f"Model `{model.name}` is not built. Start it with keras.Input(shape)."
            )
        return _unfold(model.layers)
    config = model.get_config()
    if not isinstance(config, dict) or "input_layers" not in config or "layers" not in config:
        raise UnsupportedLayerError(
            f"Model `{model.name}` is subclassed, so its data flow cannot be read. Build it as a "
            "keras.Sequential or Functional model."
        )
    return _unfold(_functional_order(model, config))


def input_shape(model) -> tuple[int, ...]:
    """The shape of the model's one input without the batch axis.

    Raises:
        UnsupportedLayerError: if a dimension is not known.
    """
    found = getattr(model, "input_shape", None)
    shape = tuple(found[1:]) if isinstance(found, tuple) else ()
    if not shape or any(not isinstance(n, int) for n in shape):
        raise UnsupportedLayerError(
            f"Model `{model.name}` must have one input of a fixed shape. "
            f"Received: input_shape={found}"
        )
    return shape


def _unfold(found) -> list:
    flat = []
    for layer in found:
        if isinstance(layer, keras.Model):
            flat.extend(layers(layer))
        elif not isinstance(layer, keras.layers.InputLayer):
            flat.append(layer)
    return flat


def _functional_order(model, config) -> list:
    """The layers in the order data flows, read from the public config."""
    sources = {entry["name"]: _sources(entry) for entry in config["layers"]}
    by_name = {layer.name: layer for layer in model.layers}
    for what in ("input_layers", "output_layers"):
        if isinstance(config[what], dict):
            raise UnsupportedLayerError(
                f"Model `{model.name}` takes or gives a dict. Unwrap it first: "
                "keras.Model(model.inputs[0], model.outputs[0]). "
                f"Received: {what}={config[what]}"
            )
        if len(_flat_history(config[what])) != 1:
            raise UnsupportedLayerError(
                f"Model `{model.name}` must have one input and one output; export each branch as "
                f"a model of its own. Received: {what}={config[what]}"
            )
    (start,), (end,) = map(_flat_history, (config["input_layers"], config["output_layers"]))
    order, current = [], end
    while current != start:
        if len(sources[current]) != 1:
            raise UnsupportedLayerError(
                f"Layer `{current}` has {len(sources[current])} inputs or is used more than once: "
                "only chains of layers, each used once, can be lowered. Nearest supported form: a "
                "model without branches, merges and shared layers."
            )
        if current not in by_name:
            raise UnsupportedLayerError(
                f"`{current}` is a bare Keras operation, which has no exact integer form. Nearest "
                "supported form: a chain of layers only."
            )
        order.append(by_name[current])
        current = sources[current][0]
    return order[::-1]


def _sources(entry) -> list[str]:
    """Names of the layers that feed a layer, over all its uses."""
    return [name for node in entry["inbound_nodes"] for name in _histories(node)]


def _histories(value):
    """Layer names in the `keras_history` entries anywhere below `value`."""
    if isinstance(value, dict):
        if "keras_history" in value:
            yield value["keras_history"][0]
            return
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _histories(item)


def _flat_history(value) -> list[str]:
    """Layer names of `input_layers` / `output_layers`, which Keras nests by their structure."""
    if value and isinstance(value[0], str):
        return [value[0]]
    return [name for item in value for name in _flat_history(item)]
