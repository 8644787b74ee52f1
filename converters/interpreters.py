"""The judges: run a .tflite on the kernels people deploy.

LiteRT with XNNPACK (its default), LiteRT's built-in kernels without a delegate, LiteRT's
reference kernels, and TFLite Micro with its reference kernels. They round differently,
which is what makes them four witnesses and not one.
"""

import numpy as np

from keras_gxnor.converters import model_file
from keras_gxnor.errors import InvalidArgumentError, ModelFileError, ToolError, import_extra

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
            file, so that each file is checked here before a kernel sees it; yet options that
            make no sense (a stride of 0) are the kernels' own to refuse.
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
    graph = model_file.load(model)[0].Subgraphs(0)
    if graph.InputsLength() != 1 or graph.OutputsLength() != 1:
        raise ModelFileError(
            "The file must have one input and one output to be run. "
            f"Received: {graph.InputsLength()} and {graph.OutputsLength()}"
        )
    x = np.asarray(x)
    if not len(x):
        raise InvalidArgumentError("`x` must hold at least one image. Received: 0")
    runner = _micro if kernels == "tflite_micro" else _litert
    try:
        return np.concatenate(list(runner(model, x, kernels, progress)))
    except (RuntimeError, ValueError) as error:
        if isinstance(error, (InvalidArgumentError, ToolError)):
            raise
        raise ToolError(f"{kernels} refused the file: {str(error).strip()}") from error


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
