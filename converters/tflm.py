"""Graph -> everything that runs the .tflite file on TensorFlow Lite for Microcontrollers.

The file itself is that of `tflite.py`, to the byte. Around it come the file as a C array,
the size of the arena, the operators to register, and a program that checks the device
against the reference: what a firmware engineer otherwise finds out by trial.
"""

import dataclasses
import math

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import arena, readback, tflite, tflite_ends
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
    "FLOOR": "AddFloor",
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
_TYPES = {  # {type of a tensor: (C++'s name of it, TFLM's)}
    "float32": ("float", "kTfLiteFloat32"),
    "int8": ("int8_t", "kTfLiteInt8"),
    "uint8": ("uint8_t", "kTfLiteUInt8"),
    "int16": ("int16_t", "kTfLiteInt16"),
    "int32": ("int32_t", "kTfLiteInt32"),
}
# {ending of the file's name: what it is for}, for the README.
_PURPOSES = {
    ".tflite": 'The network, as `target="tflite"` makes it. Not needed on the device.',
    "_model.h": "Declares the file as an array.",
    "_model.cc": "The file as an array, aligned to 16 bytes. Compile it.",
    "_settings.h": "Arena size, operators, shapes and scales. Include it.",
    "_vectors.h": "Test inputs, and the outputs they must give, to the bit.",
    "_main.cc": "A program that runs the test vectors and compares every bit: start from it.",
    "_README.md": "This text.",
}


def emit(
    graph: g.Graph,
    name: str,
    weights="int8",
    split=None,
    inputs="codes",
    outputs="float32",
    labels=None,
    version=None,
    sums="int16",
) -> Artifact:
    """Makes the .tflite file of a graph and what runs it on TFLite Micro.

    The arena is measured on the interpreter of the `tflite-micro` wheel, which also has to
    give the outputs of the test vectors, to the bit.

    Args:
        graph: Any sound `Graph`.
        name: What to call it, any string: made a C identifier, it begins the files' names
            and the namespace `{name}_tflm`, so that several networks can share a folder and
            a program.
        weights, split, inputs, outputs, labels, version, sums: See `tflite.emit`. The test vectors
            are what such a file takes and gives: codes or floats; float32 bits, int16 sums or
            int32 classes.

    Returns:
        An `Artifact` whose first file is `{name}.tflite`, followed by C++17 sources that go
        into one folder, and a `{name}_README.md` about them. Its `sizes`, in bytes: those of
        the .tflite, `"arena_measured"` and `"arena"` (measured, and with the margin that the
        README explains).

    Raises:
        GraphError, UnsupportedGraphError, VerificationError: as `tflite.emit`; or naming an
            operator that TFLM's resolver has no method for; or if TFLM's outputs differ.
        ToolError: if TFLM refuses the file.
        MissingExtraError: if LiteRT, jinja2 or tflite-micro is not installed.
    """
    prefix = identifier(name)
    options = {"weights": weights, "split": split, "inputs": inputs, "outputs": outputs, "sums": sums}
    base = tflite.emit(graph, prefix, **options, labels=labels, version=version)
    return dataclasses.replace(base, target="tflm", **_around(graph, prefix, base, options))


def _around(graph, prefix, base, options) -> dict:
    """{files, sizes} of an Artifact around the .tflite of `base`, with these options."""
    model = readback.read(base.main)
    contents = _contents(base.main, model)  # first: it may refuse an operator
    codes, logits = _vectors(graph)
    x = tflite_ends.fed(graph, codes, options["inputs"])
    units = [_number(t.scales, 1.0) for t in model.outputs]
    expected = tflite_ends.made(logits, options["outputs"], units)
    scratch = arena.kernel_scratch(model.steps)
    sizes = {**base.sizes, **_arena_sizes(arena.measure(base.main, x, expected), scratch)}
    fields = {
        **_names(graph, prefix),
        **contents,
        "options": {**options, "decodes": "TFLM_DECODE" in model.operators},
        "sizes": sizes,
        "scratch": scratch,
        "reserve": arena.RESERVE,
        "inputs": _inputs(graph, model, x),
        "outputs": _outputs(graph, model, expected),
        "tests": _VECTORS,
        "vector_bytes": sum(part.nbytes for part in (*x, *expected)),
    }
    return {"files": {**base.files, **_sources(prefix, fields)}, "sizes": sizes}


def _arena_sizes(measured, scratch) -> dict[str, int]:
    """The arena as measured, and with a margin."""
    whole = -(-(measured + scratch + arena.RESERVE) // arena.GRAIN) * arena.GRAIN
    return {"arena_measured": measured, "arena": whole}


def _names(graph, prefix) -> dict:
    """What the templates call the network."""
    return {
        "version": __version__,
        "prefix": prefix,
        "space": f"{prefix}_tflm",
        "guard": f"{prefix.upper()}_TFLM",
        "title": comment(graph.name),
    }


def _contents(data, model) -> dict:
    """What the templates say of the .tflite file: its operators and its bytes."""
    return {
        "steps": [step.name for step in model.steps],
        "methods": [_method(operator) for operator in model.operators],
        "operators": model.operators,
        "data": rows([f"0x{byte:02x}" for byte in data], 16),
        "data_size": len(data),
    }


def _sources(prefix, fields) -> dict[str, bytes]:
    """The generated texts; the README comes last and tells the sizes of the others."""
    files = {}
    for ending in list(_PURPOSES)[1:]:
        path = f"{prefix}{ending}"
        source = f"tflm{ending.lower()}.j2"
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


def _vectors(graph) -> tuple[tuple, tuple]:
    """(codes of shape (3, *input shape), the float32 logits of the reference), one array an end."""
    # NumPy promises never to change this generator's numbers, as it may those of default_rng.
    random = np.random.RandomState(0)
    codes = tuple(
        random.randint(0, 256, (_VECTORS, *op.shape)).astype(np.uint8).view(op.spec.dtype)
        for op in graph.inputs
    )
    with np.errstate(over="ignore", invalid="ignore"):
        logits = reference.run(graph, codes if len(codes) > 1 else codes[0])
        logits = logits if isinstance(logits, tuple) else (logits,)
        logits = tuple(part.astype(np.float32) for part in logits)
    for last, part in zip(graph.outputs, logits, strict=True):
        if not np.isfinite(part).all():
            raise UnsupportedGraphError(
                f"Node `{graph.nodes[last].name}`: the logits overflow float32, and what they are then "
                f"no test can tell; scale them down. Received: {part[0].reshape(-1)[:8]}"
            )
    return codes, logits


def _inputs(graph, model, x) -> list[dict]:
    """What the templates say about each input: its tensor, its codes and its test vectors."""
    nodes, ends = [node for node in graph.nodes if isinstance(node.op, g.Input)], []
    for i, (node, tensor, part) in enumerate(zip(nodes, model.inputs, x, strict=True)):
        spec, limits = node.op.spec, np.iinfo(node.op.spec.dtype)
        end = _end("Input", i if len(x) > 1 else "", node.name, tensor, part)
        # A tensor of floats has no scale: then these tell to which codes the file rounds.
        scale, zero_point = _number(tensor.scales, spec.scale), _number(tensor.zero_points, spec.zero_point)
        end |= {"scale": float_literal(scale), "zero_point": zero_point}
        ends.append({**end, "low": limits.min, "high": limits.max})
    return ends


def _outputs(graph, model, expected) -> list[dict]:
    """The same of each output."""
    ends = []
    for i, (last, tensor, part) in enumerate(zip(graph.outputs, model.outputs, expected, strict=True)):
        end = _end("Output", i if len(expected) > 1 else "", graph.nodes[last].name, tensor, part)
        ends.append({**end, "scale": float_literal(_number(tensor.scales, 1.0))})
    return ends


def _end(kind, number, name, tensor, values) -> dict:
    """What inputs and outputs have in common. number: "" if there is one only."""
    ctype, constant = _TYPES[tensor.dtype]
    show, per_line, flat = str, 20, values.reshape(len(values), -1)
    if values.dtype == np.float32 and kind == "Output":  # as bits: those are compared
        show, per_line, flat = "0x{:08x}u".format, 8, flat.view(np.uint32)
    elif values.dtype == np.float32:
        show, per_line = float_literal, 8
    return {
        "label": f"{kind}{number}",
        "test": f"kTest{kind}s{number}",
        "title": comment(name).replace("`", "'"),  # it stands between backticks
        "ctype": ctype,
        "bits": "uint32_t" if ctype == "float" else ctype,
        "kind": constant,
        "shape": tensor.shape,
        "size": math.prod(tensor.shape),
        "vectors": [rows(list(map(show, image)), per_line) for image in flat.tolist()],
    }


def _number(values, otherwise):
    """The first of a tensor's scales or zero points; `otherwise` if it has none."""
    return values[0] if values else otherwise
