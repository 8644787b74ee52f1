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


def run(model: bytes, x: np.ndarray, kernels: str, progress=None) -> np.ndarray:
    """Runs a .tflite file on a batch.

    Args:
        model: The bytes of a file with one input and one output.
        x: Codes in the dtype of the file's input, of shape (batch, *input shape).
        kernels: One of `KERNELS`. `"tflite_micro"` takes one image at a time. It trusts the
            file, which is why every file is verified here before a kernel sees it, and its
            shapes are compared with those LiteRT derives.
        progress: None, or a function (images done, images) called now and then.

    Returns:
        The outputs, of shape (batch, *output shape).

    Raises:
        InvalidArgumentError: if `kernels` or `x` does not fit.
        ModelFileError: if the file is corrupt, or has not one input and one output.
        ToolError: if the interpreter refuses the file.
        MissingExtraError: if the interpreter is not installed.
    """
    if kernels not in KERNELS:
        raise InvalidArgumentError(f"`kernels` must be one of {KERNELS}. Received: {kernels!r}")
    model = bytes(model)
    graph = _open(model)
    x = np.asarray(x)
    if not len(x):
        raise InvalidArgumentError("`x` must hold at least one image. Received: 0")
    runner = _micro if kernels == "tflite_micro" else _litert
    try:
        if kernels == "tflite_micro":
            _plan(model, graph, x)
        return np.concatenate(list(runner(model, x, kernels, progress)))
    except (RuntimeError, ValueError) as error:
        if isinstance(error, GXNORError):
            raise
        raise ToolError(f"{kernels} refused the file: {str(error).strip()}") from error


def _open(model):
    """The subgraph of a file that verifies.

    Raises:
        ModelFileError: naming what is corrupt.
    """
    file, schema = model_file.load(model)
    graph = file.Subgraphs(0)
    if graph.InputsLength() != 1 or graph.OutputsLength() != 1:
        raise ModelFileError(
            "The file must have one input and one output to be run. "
            f"Received: {graph.InputsLength()} and {graph.OutputsLength()}"
        )
    soundness.check(file, schema)
    return graph


def _plan(model, graph, x):
    """Refuses shapes and options that TFLite Micro would trust: those LiteRT does not derive.

    LiteRT works the shape of each tensor out from the operators; TFLite Micro takes the file's,
    and writes outside its arena where they are too large. Not asked of files with custom
    operators, which LiteRT does not know.
    """
    module = import_extra("ai_edge_litert.interpreter", "export")
    resolver = module.OpResolverType.BUILTIN_REF
    interpreter = module.Interpreter(model_content=model, experimental_op_resolver_type=resolver)
    _check(interpreter.get_input_details()[0], x)
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        if "custom op" in str(error):
            return
        raise
    for details in interpreter.get_tensor_details():
        i = details["index"]
        written = model_file.numbers(graph.Tensors(i).ShapeAsNumpy()) if i < graph.TensorsLength() else None
        if written is not None and written != details["shape"].tolist():
            raise ModelFileError(
                f"The file is corrupt: the shape of tensor {i} must be {details['shape'].tolist()}, as the "
                f"operators make it. Received: {written}"
            )


def _check(details, x):
    dtype, shape = np.dtype(details["dtype"]), tuple(int(n) for n in details["shape"][1:])
    if x.dtype != dtype or x.shape[1:] != shape:
        raise InvalidArgumentError(
            f"`x` must be {dtype} of shape (batch, {', '.join(map(str, shape))}) for this file. "
            f"Received: {x.dtype} of shape {x.shape}"
        )


def _litert(model, x, kernels, progress):
    """Yields the outputs of chunks of images."""
    module = import_extra("ai_edge_litert.interpreter", "export")
    resolver = module.OpResolverType[_RESOLVERS[kernels]]
    interpreter = module.Interpreter(model_content=model, experimental_op_resolver_type=resolver)
    fed, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    _check(fed, x)
    size = 0
    for start in range(0, len(x), _CHUNK):
        images = x[start : start + _CHUNK]
        if len(images) != size:
            size = len(images)
            interpreter.resize_tensor_input(fed["index"], images.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(fed["index"], images)
        interpreter.invoke()
        yield interpreter.get_tensor(made["index"])
        if progress:
            progress(start + size, len(x))


def _micro(model, x, kernels, progress):
    """Yields the outputs of single images."""
    runtime = import_extra("tflite_micro.python.tflite_micro.runtime", "mcu")
    try:
        interpreter = runtime.Interpreter.from_bytes(model, arena_size=_ARENA_BYTES)
    except Exception as error:  # it unpacks the file unverified: anything may come up
        raise ToolError(f"{kernels} refused the file: {error!r}") from error
    _check(interpreter.get_input_details(0), x)
    for i in range(len(x)):
        interpreter.set_input(x[i : i + 1], 0)
        interpreter.invoke()
        yield interpreter.get_output(0).copy()
        if progress and ((i + 1) % _CHUNK == 0 or i + 1 == len(x)):
            progress(i + 1, len(x))
