"""What a tf_keras model holds: its calls without wrappers, its kernels as tfmot computes with them."""

import dataclasses

import numpy as np

from keras_gxnor.conversion.numbers import finite_kernel
from keras_gxnor.errors import InvalidArgumentError, UnsupportedLayerError
from keras_gxnor.tfmot import extra

_QUANTIZED = ("kernel", "depthwise_kernel")


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """One layer of a tf_keras model.

    Attributes:
        layer: The layer, without its wrappers.
        wrapper: tfmot's QuantizeWrapper around it, or None.
    """

    layer: object
    wrapper: object = None

    @property
    def name(self) -> str:
        """Name of the layer."""
        return self.layer.name

    @property
    def kind(self) -> str:
        """Class name of the layer if it is one of tf_keras itself, else ""."""
        name = type(self.layer).__name__
        return name if type(self.layer) is getattr(extra.tf_keras().layers, name, None) else ""

    def kernel(self):
        """(float32 kernel as it is computed with, its quantizer or None, that one's variables)."""
        for weight, quantizer, variables in getattr(self.wrapper, "_weight_vars", ()):
            if _short(weight) in _QUANTIZED:
                made = quantizer(weight, False, variables)
                return finite_kernel(made, f"The kernel of layer `{self.name}`"), quantizer, variables
        found = next(w for name, w in self.weights().items() if name in _QUANTIZED)
        return finite_kernel(found, f"The kernel of layer `{self.name}`"), None, {}

    def weights(self) -> dict[str, np.ndarray]:
        """Weights by their last name: the layer's own, and `output_max` and the like of the wrapper."""
        found = {}
        for variable in [*self.layer.weights, *getattr(self.wrapper, "weights", ())]:
            found[_short(variable)] = variable.numpy()
        odd = [name for name, w in found.items() if w.dtype.kind == "f" and not np.isfinite(w).all()]
        if odd:
            raise InvalidArgumentError(
                f"Layer `{self.name}` must hold finite numbers. Received: NaN or infinity in {odd}"
            )
        return found

    def activation(self):
        """The function of the layer's own `activation=`; None if it is linear or there is none."""
        function = getattr(self.layer, "activation", None)
        if type(function).__name__ == "QuantizeAwareActivation":
            function = function.activation
        plain = type(function).__name__ == "NoOpActivation" or function is extra.tf_keras().activations.linear
        return None if plain else function

    def output_quantizer(self):
        """The quantizer of the outputs, or None."""
        config = getattr(self.wrapper, "quantize_config", None)
        found = config.get_output_quantizers(self.layer) if config else []
        return found[0] if found else None


@dataclasses.dataclass(frozen=True)
class Call:
    """One use of a layer: numbers of the tensors it reads, and of the one it makes."""

    source: Source
    inputs: tuple[int, ...]
    output: int


def stripped(model):
    """The model without the wrappers of pruning and clustering.

    Raises:
        InvalidArgumentError: if it is no built tf_keras Sequential or Functional model.
    """
    tfmot = extra.tfmot()
    if not (isinstance(model, extra.tf_keras().Model) and model.built and _is_graph(model)):
        raise InvalidArgumentError(
            "Expected a built tf_keras Sequential or Functional model. "
            f"Received: {type(model).__module__.partition('.')[0]}.{type(model).__name__}"
        )
    kinds = {type(layer).__name__ for layer in model.layers}
    if "PruneLowMagnitude" in kinds:
        model = tfmot.sparsity.keras.strip_pruning(model)
    if any(kind.startswith("ClusterWeights") for kind in kinds):
        model = tfmot.clustering.keras.strip_clustering(model)
    return model


def _is_graph(model) -> bool:
    """Whether a model is made of layers that its config lists: a subclass may have none."""
    try:
        return "layers" in model.get_config()
    except NotImplementedError:
        return False


def calls(model) -> tuple[list[Call], list[int]]:
    """(calls in the order data flows, numbers of the outputs); tensors 0.. are the inputs.

    Raises:
        UnsupportedLayerError: if it has nested models, bare operations, or dicts of tensors.
    """
    keras = extra.tf_keras()
    sources = {layer.name: _source(layer) for layer in model.layers}
    nested = [name for name, source in sources.items() if isinstance(source.layer, keras.Model)]
    if nested:
        raise UnsupportedLayerError(
            f"Model `{nested[0]}` is nested in `{model.name}`, which tfmot does not quantize either. Nearest "
            "supported form: its layers called in the outer model."
        )
    found = []
    if isinstance(model, keras.Sequential):
        for source in sources.values():
            found.append(Call(source, (len(found),), len(found) + 1))
        return found, [len(found)]
    config = model.get_config()
    made = {tuple(ref[:2]): number for number, ref in enumerate(_refs(config["input_layers"]))}
    uses = [
        (entry["name"], number, [tuple(ref[:2]) for ref in _refs(node)])
        for entry in config["layers"]
        for number, node in enumerate(entry["inbound_nodes"])
    ]
    while uses:
        name, number, read = next(use for use in uses if all(ref in made for ref in use[2]))
        uses.remove((name, number, read))
        made[name, number] = len(made)
        found.append(Call(sources[name], tuple(made[ref] for ref in read), made[name, number]))
    return found, [made[tuple(ref[:2])] for ref in _refs(config["output_layers"])]


def _source(layer) -> Source:
    """A layer without the wrappers of annotation and quantization."""
    wrapper = None
    while isinstance(layer, extra.tf_keras().layers.Wrapper) and type(layer).__name__.startswith("Quantize"):
        wrapper = layer if hasattr(layer, "_weight_vars") else None
        layer = layer.layer
    return Source(layer, wrapper)


def _refs(value):
    """The [layer, node, tensor, ...] lists anywhere below a config of Keras 2.

    Raises:
        UnsupportedLayerError: if there is a dict of them.
    """
    if isinstance(value, dict):
        raise UnsupportedLayerError(
            "A model and its layers must take and give tensors or lists of tensors. "
            f"Received: a dict of {sorted(value)}"
        )
    if value and isinstance(value[0], str):
        return [value]
    return [ref for item in value for ref in _refs(item)]


def _short(variable) -> str:
    return variable.name.split(":")[0].split("/")[-1]
