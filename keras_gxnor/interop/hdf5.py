"""Weights in HDF5 as Keras 2 (tf_keras) writes them: `save_weights("x.h5")`, `save("x.h5")`."""

import contextlib
import dataclasses
import json
import os

import h5py
import numpy as np

from keras_gxnor.errors import ModelFileError


@dataclasses.dataclass(frozen=True)
class SavedLayer:
    """The weights of one layer.

    Attributes:
        name: The layer's name.
        weights: Name of the weight (`"kernel"`, `"moving_mean"`) -> array.
        config: The layer's Keras config; empty if the file holds weights only.
    """

    name: str
    weights: dict[str, np.ndarray]
    config: dict

    @property
    def kernel(self) -> np.ndarray | None:
        """The float kernel, or None."""
        found = [array for name, array in self.weights.items() if name.endswith("kernel")]
        return found[0] if len(found) == 1 else None


def read(source) -> list[SavedLayer]:
    """The layers of a file that have weights, in the order of the file.

    Args:
        source: Path of a `.h5` or `.hdf5` file, or an open `h5py.File`.

    Raises:
        ModelFileError: if there is no such file, or it is truncated, not HDF5, not written by
            Keras 2, or closed, or holds a NaN, infinity, or a weight that is not of real numbers.
    """
    if isinstance(source, h5py.Group) and not source:
        raise ModelFileError(f"Expected an open HDF5 file. Received: {source!r}")
    name = getattr(source, "filename", source)
    try:
        opened = source if isinstance(source, h5py.Group) else h5py.File(os.fspath(source), "r")
    except (OSError, TypeError) as error:
        raise ModelFileError(
            f"Expected an HDF5 file with the weights of a Keras 2 model. Received: {name!r} ({error})"
        ) from error
    with contextlib.nullcontext(opened) if opened is source else opened:
        try:
            return _layers(opened, name)
        except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, ModelFileError):
                raise
            raise ModelFileError(f"File {name!r} is corrupt: {error}") from error


def _layers(file, name) -> list[SavedLayer]:
    model = json.loads(_text(file.attrs.get("model_config", '{"config": {}}')))
    if not isinstance(model, dict) or not isinstance(model.get("config"), (dict, list)):
        raise ModelFileError(
            f"`model_config` of {name!r} must be the config of a Keras model. Received: {model!r:.99}"
        )
    configs = _configs(model)
    group = file.get("model_weights", file)
    if "layer_names" not in group.attrs and "layer_names0" not in group.attrs:
        raise ModelFileError(
            "Expected weights as Keras 2 (tf_keras, Larq, QKeras) writes them to HDF5: "
            '`model.save_weights("weights.h5")` or `model.save("model.h5")`. '
            f"Received: {name!r} with {sorted(group)[:5]}"
        )
    found: dict[str, dict[str, np.ndarray]] = {}
    for layer in _names(group.attrs, "layer_names"):
        for path in _names(group[layer].attrs, "weight_names"):
            *owner, weight = path.split(":")[0].split("/")
            array = np.asarray(group[layer][path])
            if array.dtype.kind not in "fiub":
                raise ModelFileError(
                    f"Weight `{path}` of {name!r} must be of real numbers. Received: dtype {array.dtype}"
                )
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ModelFileError(f"Weight `{path}` of {name!r} holds NaN or infinity")
            # A nested model is one group: its layers are told apart by the paths.
            found.setdefault(owner[-1] if owner else layer, {})[weight] = array
    return [SavedLayer(layer, weights, configs.get(layer, {})) for layer, weights in found.items()]


def _names(attributes, key) -> list[str]:
    """The strings of an attribute, which Keras cuts into `key0`, `key1`... if it is long."""
    if key in attributes:
        return [_text(item) for item in attributes[key]]
    names, part = [], 0
    while f"{key}{part}" in attributes:
        names += [_text(item) for item in attributes[f"{key}{part}"]]
        part += 1
    return names


def _text(value) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _configs(model) -> dict[str, dict]:
    """Config of each layer by its name, those of nested models included."""
    config = model.get("config")
    # The config of a Sequential is the list of its layers before Keras 2.2.3.
    layers = config.get("layers") if isinstance(config, dict) else config
    found = {}
    for layer in layers if isinstance(layers, list) else []:
        if not isinstance(layer, dict):
            continue  # no model, but a layer with an argument `layers`
        inner = layer.get("config")
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            found[inner["name"]] = inner
        found |= _configs(layer)
    return found
