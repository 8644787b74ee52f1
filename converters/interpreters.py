"""The judges: run a .tflite on the kernels people deploy.

LiteRT with XNNPACK (its default), LiteRT's built-in kernels without a delegate, LiteRT's
reference kernels, and TFLite Micro with its reference kernels. They round differently,
which is what makes them four witnesses and not one.
"""

import numpy as np

from keras_gxnor.converters import model_file, soundness
from keras_gxnor.errors import GXNORError, InvalidArgumentError, ModelFileError, ToolError, import_extra

KERNELS = ("litert_xnnpack", "litert_builtin", "litert_reference", "tflite_micro")
_RESOLVERS = {
    "litert_xnnpack": "BUILTIN",
    "litert_builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "litert_reference": "BUILTIN_REF",
}
# Images a call: enough to hide the cost of a call, few enough that the built-in kernels'
# copy of all convolution windows (height * width * fan_in bytes an image) stays small.
_CHUNK = 64
# Address space only: the system gives pages to the arena as they are touched.
_ARENA_BYTES = 1 << 28


def run(model: bytes, x, kernels: str, progress=None):
    """Runs a .tflite file on a batch.

    Args:
        model: The bytes of a file.
        x: Codes in the dtype of the file's input, of shape (batch, *input shape); for a file
            with several inputs a tuple of them, in the order of the file.
        kernels: One of `KERNELS`. `"tflite_micro"` takes one image at a time. It trusts the
            file, which is why every file is verified here before a kernel sees it, and its
            shapes are compared with those LiteRT derives.
        progress: None, or a function (images done, images) called now and then.

    Returns:
        The output, of shape (batch, *output shape); of a file with several a tuple.

    Raises:
        InvalidArgumentError: if `kernels` or `x` does not fit.
        ModelFileError: if the file is corrupt, or has not one input and one output.
        ToolError: if the interpreter refuses the file.
        MissingExtraError: if the interpreter is not installed.
    """
    if kernels not in KERNELS:
        raise InvalidArgumentError(f"`kernels` must be one of {KERNELS}. Received: {kernels!r}")
    model = bytes(model)
    graph, custom = _open(model)
    x = tuple(map(np.asarray, x)) if isinstance(x, (tuple, list)) else (np.asarray(x),)
    if not x or not len(x[0]) or len({len(part) for part in x}) != 1:
        raise InvalidArgumentError(
            "`x` must hold at least one image, and all inputs equally many. "
            f"Received: {[len(part) for part in x]}"
        )
    runner = _micro if kernels == "tflite_micro" else _litert
    try:
        if kernels == "tflite_micro" and not custom:
            _plan(model, graph, x)
        made = tuple(map(np.concatenate, zip(*runner(model, x, kernels, progress))))
        return made[0] if len(made) == 1 else made
    except (RuntimeError, ValueError) as error:
        if isinstance(error, GXNORError):
            raise
        raise ToolError(f"{kernels} refused the file: {str(error).strip()}") from error


def _open(model):
    """The subgraph of a file that verifies, and whether it has custom operators.

    Raises:
        ModelFileError: naming what is corrupt.
    """
    file, schema = model_file.load(model)
    graph = file.Subgraphs(0)
    if not graph.InputsLength() or not graph.OutputsLength():
        raise ModelFileError(
            "The file must have an input and an output to be run. "
            f"Received: {graph.InputsLength()} and {graph.OutputsLength()}"
        )
    soundness.check(file, schema)
    codes = [file.OperatorCodes(i) for i in range(file.OperatorCodesLength())]
    return graph, schema.BuiltinOperator.CUSTOM in map(model_file.operator_number, codes)


def _plan(model, graph, x):
    """Refuses shapes and options that TFLite Micro would trust: those LiteRT does not derive.

    LiteRT works the shape of each tensor out from the operators; TFLite Micro takes the file's,
    and writes outside its arena where they are too large. Not for files with custom operators,
    which LiteRT does not know.
    """
    module = import_extra("ai_edge_litert.interpreter", "export")
    resolver = module.OpResolverType.BUILTIN_REF
    interpreter = module.Interpreter(model_content=model, experimental_op_resolver_type=resolver)
    _check(interpreter.get_input_details(), x)
    interpreter.allocate_tensors()
    for details in interpreter.get_tensor_details():
        i = details["index"]
        written = model_file.numbers(graph.Tensors(i).ShapeAsNumpy()) if i < graph.TensorsLength() else None
        if written is not None and written != details["shape"].tolist():
            raise ModelFileError(
                f"The file is corrupt: the shape of tensor {i} must be {details['shape'].tolist()}, as the "
                f"operators make it. Received: {written}"
            )


def _check(details, x):
    if len(details) != len(x):
        raise InvalidArgumentError(f"This file has {len(details)} inputs. Received: {len(x)} arrays")
    for one, part in zip(details, x):
        dtype, shape = np.dtype(one["dtype"]), tuple(int(n) for n in one["shape"][1:])
        if part.dtype != dtype or part.shape[1:] != shape:
            raise InvalidArgumentError(
                f"`x` must be {dtype} of shape (batch, {', '.join(map(str, shape))}) for this file. "
                f"Received: {part.dtype} of shape {part.shape}"
            )


def _litert(model, x, kernels, progress):
    """Yields the outputs of chunks of images, a tuple each."""
    module = import_extra("ai_edge_litert.interpreter", "export")
    resolver = module.OpResolverType[_RESOLVERS[kernels]]
    interpreter = module.Interpreter(model_content=model, experimental_op_resolver_type=resolver)
    fed, made = interpreter.get_input_details(), interpreter.get_output_details()
    _check(fed, x)
    size, total = 0, len(x[0])
    for start in range(0, total, _CHUNK):
        images = [part[start : start + _CHUNK] for part in x]
        if len(images[0]) != size:
            size = len(images[0])
            for one, part in zip(fed, images):
                interpreter.resize_tensor_input(one["index"], part.shape)
            interpreter.allocate_tensors()
        for one, part in zip(fed, images):
            interpreter.set_tensor(one["index"], part)
        interpreter.invoke()
        yield tuple(interpreter.get_tensor(one["index"]) for one in made)
        if progress:
            progress(start + size, total)


def _micro(model, x, kernels, progress):
    """Yields the outputs of single images, a tuple each."""
    runtime = import_extra("tflite_micro.python.tflite_micro.runtime", "mcu")
    try:
        interpreter = runtime.Interpreter.from_bytes(model, arena_size=_ARENA_BYTES)
    except Exception as error:  # it unpacks the file unverified: anything may come up
        raise ToolError(f"{kernels} refused the file: {error!r}") from error
    fed, made = schema_sizes(model)
    _check([interpreter.get_input_details(k) for k in range(fed)], x)
    total = len(x[0])
    for i in range(total):
        for k, part in enumerate(x):
            interpreter.set_input(part[i : i + 1], k)
        interpreter.invoke()
        yield tuple(interpreter.get_output(k).copy() for k in range(made))
        if progress and ((i + 1) % _CHUNK == 0 or i + 1 == total):
            progress(i + 1, total)


def output_scales(model: bytes) -> tuple[float, ...]:
    """The scale of every output tensor of a file (1.0 without one)."""
    schema = import_extra("ai_edge_litert.schema_py_generated", "export")
    subgraph = schema.Model.GetRootAs(model).Subgraphs(0)
    tensors = [subgraph.Tensors(subgraph.Outputs(i)) for i in range(subgraph.OutputsLength())]
    found = [tensor.Quantization() for tensor in tensors]
    return tuple(q.Scale(0) if q is not None and q.ScaleLength() else 1.0 for q in found)


def schema_sizes(model: bytes) -> tuple[int, int]:
    """(inputs, outputs) of a file."""
    schema = import_extra("ai_edge_litert.schema_py_generated", "export")
    subgraph = schema.Model.GetRootAs(model).Subgraphs(0)
    return subgraph.InputsLength(), subgraph.OutputsLength()
