"""What a .tflite says about itself: one metadata entry, `keras_gxnor.json`.

Canonical JSON (sorted keys, no spaces, ASCII with escapes, no time or place of making), so
that equal models stay equal bytes. TFLite's own `TFLITE_METADATA` is a flatbuffer of another
schema, which no dependency of ours ships, with labels in a zip file behind the model; runtimes
read neither.
"""

import json
import math
import unicodedata
from collections.abc import Sequence

import numpy as np

from keras_gxnor.errors import InvalidArgumentError, ModelFileError
from keras_gxnor.version import __version__

ENTRY = "keras_gxnor.json"
_FORMAT = 1


def entry(name, sources, shape, labels=None, version=None) -> dict[str, bytes]:
    """The metadata entry of a model.

    Args:
        name: Of the model.
        sources: The `graph.Input`s it starts with.
        shape: Of the (first) output, without the batch; its last axis are the classes.
        labels: None, or a sequence of unique strings, one a class.
        version: None, or a string.

    Returns:
        {entry name: JSON in ASCII}.

    Raises:
        InvalidArgumentError: if `labels` or `version` does not fit.
    """
    about = {
        "format": _FORMAT,
        "name": name,
        "producer": f"keras_gxnor {__version__}",
        "inputs": [
            {
                "dtype": source.spec.dtype,
                "scale": float(source.spec.scale),
                "shape": [int(n) for n in source.shape],
                "zero_point": int(source.spec.zero_point),
            }
            for source in sources
        ],
    }
    if version is not None:
        about["version"] = _text(version, "version")
    if labels is not None:
        about["labels"] = _labels(labels, int(shape[-1]))
    return {ENTRY: json.dumps(about, sort_keys=True, separators=(",", ":")).encode("ascii")}


def _labels(labels, classes) -> list[str]:
    """`labels` as a list, if it names each class once."""
    ordered = isinstance(labels, Sequence) or (isinstance(labels, np.ndarray) and labels.ndim == 1)
    if not ordered or isinstance(labels, (str, bytes, bytearray)):
        raise InvalidArgumentError(
            f"`labels` must be a sequence of {classes} strings, one a class, or None. "
            f"Received: labels={labels!r:.80}"
        )
    if len(labels) != classes:
        raise InvalidArgumentError(
            f"`labels` must have one string for each of the {classes} classes, the last axis of "
            f"the output. Received: {len(labels)} labels"
        )
    names = [_text(label, f"labels[{i}]") for i, label in enumerate(labels)]
    places = {}
    for i, label in enumerate(names):
        if places.setdefault(label, i) != i:
            raise InvalidArgumentError(
                f"`labels` must be unique. Received: {label!r:.80} at {places[label]} and {i}"
            )
    return names


def _text(value, what) -> str:
    """`value` if it is text that every tool can show: in any script, without control characters."""
    # Cc: control characters (a newline would split a label file); Cs: halves of a character,
    # which no encoding can write; Zl and Zp end a line too.
    plain = isinstance(value, str) and not any(
        unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in value
    )
    if not plain or not value.strip():
        raise InvalidArgumentError(
            f"`{what}` must be a string that is not blank and has no control characters. "
            f"Received: {value!r:.80}"
        )
    return str(value)


def parse(data: bytes) -> dict:
    """Reads what `entry` wrote, back from a file of unknown origin.

    Args:
        data: The bytes of the entry.

    Returns:
        {"name": str, "producer": str, "version": str or None, "labels": tuple of str,
        "inputs": tuple of {"dtype", "scale", "shape", "zero_point"}}.

    Raises:
        ModelFileError: if the entry is not as `entry` writes it.
    """
    try:
        about = json.loads(bytes(data).decode("ascii"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise ModelFileError(
            f"Metadata `{ENTRY}` must be JSON in ASCII. Received: {bytes(data)[:40]!r} ({error})"
        ) from error
    kinds = {"name": str, "producer": str, "format": int}
    if not isinstance(about, dict) or any(not isinstance(about.get(key), kinds[key]) for key in kinds):
        raise ModelFileError(
            f"Metadata `{ENTRY}` must be an object with the strings `name` and `producer` and the "
            f"number `format`. Received: {bytes(data)[:80]!r}"
        )
    version, labels, sources = about.get("version"), about.get("labels", []), about.get("inputs", [])
    sound = isinstance(version, (str, type(None))) and isinstance(labels, list)
    if not sound or not all(isinstance(label, str) for label in labels):
        raise ModelFileError(
            f"Metadata `{ENTRY}`: `version` must be a string and `labels` a list of strings. "
            f"Received: version={version!r:.40}, labels={labels!r:.80}"
        )
    if not isinstance(sources, list) or not all(map(_is_input, sources)):
        raise ModelFileError(
            f"Metadata `{ENTRY}`: `inputs` must hold dtype, scale, shape and zero_point of each. "
            f"Received: {sources!r:.80}"
        )
    known = {key: about[key] for key in ("name", "producer")}
    return {**known, "version": version, "labels": tuple(labels), "inputs": tuple(sources)}


def _is_input(source) -> bool:
    if not isinstance(source, dict) or set(source) != {"dtype", "scale", "shape", "zero_point"}:
        return False
    shape = source["shape"]
    return (
        source["dtype"] in ("int8", "uint8")
        and type(source["scale"]) is float
        and math.isfinite(source["scale"])
        and isinstance(shape, list)
        and all(type(n) is int for n in [*shape, source["zero_point"]])
    )
