"""From a trained model to files that compute exactly what Keras computed.

`convert` makes an `Artifact` (a TFLite file, the same with all that TensorFlow Lite Micro
needs, a C header, or the folder of a C library), `verify` runs every back end against Keras and
counts the differences, `read_tflite` says what is in a TFLite file, `estimate` tells the instructions of
exported C on a core.
"""

import dataclasses
import inspect

from keras_gxnor.converters import names, verification
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.converters.estimation import Estimate, estimate
from keras_gxnor.converters.reader import FileSummary
from keras_gxnor.converters.reader import read as read_tflite
from keras_gxnor.converters.verification import TARGETS, Report, verify
from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.graph import Graph

__all__ = [
    "TARGETS",
    "Artifact",
    "Estimate",
    "FileSummary",
    "Report",
    "convert",
    "estimate",
    "read_tflite",
    "verify",
]


def convert(model, target="tflite", input_spec=None, name=None, check=True, **options) -> Artifact:
    """Converts a trained model to files for a device.

    Args:
        model: A built Keras model (see `keras_gxnor.lowering.from_keras` for what is
            supported), or a `Graph`.
        target: `"tflite"` (LiteRT and TFLite Micro), `"tflm"` (the same file with C++ sources
            for TFLite Micro: array, measured arena size, operator resolver, a test program),
            `"c"` (one C99 header) or `"library"` (the same header in a folder that Arduino,
            PlatformIO, ESP-IDF, Zephyr and CMake take as a library).
        input_spec: `InputSpec` of what the device feeds, or a tuple of them, one an input, or a
            dict {name of the input: InputSpec}. None: that of the graph; of a model uint8 / 255, or
            the raw uint8 (scale=1) where a Rescaling layer reads the input and divides it itself.
        name: Name of the files and prefix of the C symbols; None: the model's name.
        check: Whether to run the result against the model on 16 inputs first. For C this
            compiles for this machine; for `"tflm"` and `weights="decode"` it runs TFLite
            Micro's interpreter, from the extra `mcu`.
        **options: Of the target. `"tflite"` and `"tflm"` take `weights` (`"int8"`, `"int4"` for
            half the bytes on the same runtimes, or `"decode"` for two bits a weight on TFLite
            Micro alone), `split` (bounds the RAM to unpack them), `inputs` (`"codes"` or
            `"float32"`), `outputs` (`"float32"` logits, `"int16"` sums or `"argmax"`), class
            `labels` and a `version` for the metadata, and `sums` (`"float32"` makes 8-bit ReLU
            networks faster on LiteRT): see `tflite.emit`. `"c"` takes `lanes` and `weights`
            (`"2bit"`, or `"1.67bit"` for a sixth less flash): see `c_source.emit`. `"library"`
            takes the options of `"c"` and a `version` for the manifests, such as `"1.0.0"`: see
            `libraries.emit`.

    Returns:
        An `Artifact`; `artifact.write(folder)` writes it.

    Raises:
        UnsupportedLayerError, UnsupportedGraphError: naming the layer that has no exact form.
        VerificationError: if the check finds a difference; nothing is returned then.
        MissingExtraError: if the target needs a package that is not installed.
        InvalidArgumentError: if the target has no such option, or the option no such value.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), GXNORDense(2)])
    >>> convert(model, "tflite", InputSpec(scale=1 / 128, zero_point=128)).target
    'tflite'
    """
    if not isinstance(target, str) or target not in TARGETS:
        raise InvalidArgumentError(
            f"`target` must be one of {sorted(TARGETS)}. Received: target={target!r}"
        )
    if not isinstance(name, (str, type(None))):
        raise InvalidArgumentError(f"`name` must be a string or None. Received: name={name!r}")
    _check_options(target, options)
    if isinstance(model, Graph):
        if input_spec is not None:
            raise InvalidArgumentError("A Graph has its own input spec. Remove `input_spec`.")
        graph, spec = model, None
    else:
        from keras_gxnor import lowering, topology  # Keras only where a Keras model is given

        specs = lowering.input_specs(input_spec, topology.read(model))
        spec = specs[0] if len(specs) == 1 else specs
        graph = lowering.from_keras(model, spec)
    artifact = TARGETS[target](graph, names.identifier(name or graph.name), **options)
    artifact = dataclasses.replace(artifact, input_spec=spec)
    if check:
        verification.self_check(model, artifact)
    return artifact


def _check_options(target, options):
    """Refuses options that the emitter of the target does not take (after graph and name)."""
    known = list(inspect.signature(TARGETS[target]).parameters)[2:]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InvalidArgumentError(
            f"Target {target!r} takes "
            + (f"the options {known}" if known else "no options")
            + f". Received: {', '.join(f'{name}={options[name]!r}' for name in unknown)}"
        )
