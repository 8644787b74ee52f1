"""Graph -> everything that runs the .tflite file on TensorFlow Lite for Microcontrollers.

The file itself is that of `tflite.py`, to the byte. Around it come the file as a C array,
the size of the arena, the operators to register, and a program that checks the device
against the reference: what a firmware engineer otherwise finds out by trial.
"""

import math

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import arena, readback, tflite
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.converters.names import comment, identifier
from keras_gxnor.converters.text import float_literal, rows, template
from keras_gxnor.errors import UnsupportedGraphError
from keras_gxnor.version import __version__

_VECTORS = 3  # test inputs in the example
# What MicroMutableOpResolver calls the operators, in TFLM's source of 2026.
_METHODS = {
    "ADD": "AddAdd",
    "ARG_MAX": "AddArgMax",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "CAST": "AddCast",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "DEQUANTIZE": "AddDequantize",
    "DIV": "AddDiv",
    "FULLY_CONNECTED": "AddFullyConnected",
    "MAXIMUM": "AddMaximum",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MINIMUM": "AddMinimum",
    "MUL": "AddMul",
    "PAD": "AddPad",
    "PADV2": "AddPadV2",
    "QUANTIZE": "AddQuantize",
    "RELU": "AddRelu",
    "RESHAPE": "AddReshape",
    "SLICE": "AddSlice",
    "SPLIT": "AddSplit",
    "SPLIT_V": "AddSplitV",
    "STRIDED_SLICE": "AddStridedSlice",
    "SUB": "AddSub",
    "SUM": "AddSum",
    "TFLM_DECODE": "AddDecode",  # a custom operator that TFLM brings, since 2025
    "TRANSPOSE": "AddTranspose",
}
_CTYPES = {"float32": "float", "int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t"}
_KINDS = {  # TFLM's names of them
    "float32": "kTfLiteFloat32",
    "int8": "kTfLiteInt8",
    "uint8": "kTfLiteUInt8",
    "int16": "kTfLiteInt16",
}
# {ending of the file's name: what it is for}, for the README.
_PURPOSES = {
    ".tflite": 'The network, as `target="tflite"` makes it. Not needed on the device.',
    "_model.h": "Declares the file as an array.",
    "_model.cc": "The file as an array, aligned to 16 bytes. Compile it.",
    "_settings.h": "Arena size, operators, shapes and scales. Include it.",
    "_vectors.h": "Test inputs, and the outputs they must give, to the bit.",
    "main.cc": "A program that runs the test vectors and compares every bit: start from it.",
    "README.md": "This text.",
}


def emit(
    graph: g.Graph, name: str, weights="int8", split=None, inputs="codes", outputs="float32"
) -> Artifact:
    """Makes the .tflite file of a graph and what runs it on TFLite Micro.

    The arena is measured on the interpreter of the `tflite-micro` wheel, which also has to
    give the outputs of the test vectors, to the bit.

    Args:
        graph: Any sound `Graph` with one output.
        name: What to call it, any string: made a C identifier, it begins the files' names
            and the namespace `{name}_tflm`.
        weights, split, inputs, outputs: See `tflite.emit`.

    Returns:
        An `Artifact` whose first file is `{name}.tflite`, followed by C++17 sources that go
        into one folder, and a `README.md` about them. Its `sizes`, in bytes: those of the
        .tflite, `"arena_measured"` and `"arena"` (measured, and with the margin that the
        README explains).

    Raises:
        GraphError, UnsupportedGraphError, VerificationError: as `tflite.emit`; or naming an
            operator that TFLM's resolver has no method for; or if TFLM's outputs differ.
        ToolError: if TFLM refuses the file.
        MissingExtraError: if LiteRT, jinja2 or tflite-micro is not installed.
    """
    prefix = identifier(name)
    options = {"weights": weights, "split": split, "inputs": inputs, "outputs": outputs}
    base = tflite.emit(graph, prefix, **options)
    model = readback.read(base.main)
    methods = [_method(operator) for operator in model.operators]
    x, expected = _vectors(graph)
    measured = arena.measure(base.main, x, expected)
    scratch = arena.kernel_scratch(model.steps)
    whole = -(-(measured + scratch + arena.RESERVE) // arena.GRAIN) * arena.GRAIN
    sizes = {**base.sizes, "arena_measured": measured, "arena": whole}
    fields = {
        "version": __version__,
        "prefix": prefix,
        "space": f"{prefix}_tflm",
        "guard": f"{prefix.upper()}_TFLM",
        "title": comment(graph.name),
        "sizes": sizes,
        "scratch": scratch,
        "reserve": arena.RESERVE,
        "input": _tensor(model.inputs[0]),
        "output": _tensor(model.outputs[0]),
        "steps": [step.name for step in model.steps],
        "methods": methods,
        "operators": model.operators,
        "data": rows([f"0x{byte:02x}" for byte in base.main], 16),
        "data_size": len(base.main),
        "inputs": [rows([str(q) for q in image], 20) for image in x.reshape(len(x), -1).tolist()],
        "vector_bytes": x.nbytes + expected.nbytes,
        "outputs": [rows([f"0x{bits:08x}u" for bits in image], 8) for image in _bits(expected)],
    }
    return Artifact("tflm", prefix, graph, {**base.files, **_sources(prefix, fields)}, sizes)


def _sources(prefix, fields) -> dict[str, bytes]:
    """The generated texts; the README comes last and tells the sizes of the others."""
    files = {}
    for ending in list(_PURPOSES)[1:]:
        path = f"{prefix}{ending}" if ending[0] == "_" else ending
        source = f"tflm_{ending.lstrip('_').lower()}.j2"
        table = [(f"{prefix}.tflite", fields["data_size"], _PURPOSES[".tflite"])]
        table += [(p, len(data), _PURPOSES[p.removeprefix(prefix)]) for p, data in files.items()]
        text = template(source).render(**fields, files=table)
        files[path] = text.encode("ascii")
    return files


def _method(operator) -> str:
    """The method of MicroMutableOpResolver that registers an operator."""
    if operator not in _METHODS:
        raise UnsupportedGraphError(
            f"Operator `{operator}` has no known method of TFLite Micro's resolver; expected one of "
            f"{', '.join(sorted(_METHODS))}. Received: {operator!r}"
        )
    return _METHODS[operator]


def _vectors(graph):
    """(codes of shape (3, *input shape), the float32 outputs that the reference gives)."""
    # NumPy promises never to change this generator's numbers, as it may those of default_rng.
    noise = np.random.RandomState(0).randint(0, 256, (_VECTORS, *graph.input.shape))
    x = noise.astype(np.uint8).view(graph.input.spec.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = reference.run(graph, x).astype(np.float32)
    if not np.isfinite(expected).all():
        last = graph.nodes[graph.outputs[0]]
        raise UnsupportedGraphError(
            f"Node `{last.name}`: the logits overflow float32, and what they are then no test can "
            f"tell; scale them down. Received: {expected[0].reshape(-1)[:8]}"
        )
    return x, expected


def _bits(values) -> list:
    return values.reshape(len(values), -1).view(np.uint32).tolist()


def _tensor(tensor) -> dict:
    """What the settings say about an input or output."""
    return {
        "ctype": _CTYPES[tensor.dtype],
        "kind": _KINDS[tensor.dtype],
        "shape": tensor.shape,
        "size": math.prod(tensor.shape),
        "scale": float_literal(tensor.scales[0]) if tensor.scales else "1.0f",
        "zero_point": tensor.zero_points[0] if tensor.zero_points else 0,
    }
