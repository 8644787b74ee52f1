"""Would a kernel survive this .tflite? What `model_file` leaves open, asked before a file is run.

Kernels take for granted what every converter writes: that scales are positive, that a zero point
is a code, that each tensor is made once and before it is read. On files that break it XNNPACK and
TFLite Micro have been seen to crash the process. What a kernel still has to refuse itself: sense
in its options, and shapes (see `interpreters.run`).
"""

import numpy as np

from keras_gxnor.converters import model_file
from keras_gxnor.converters.model_file import numbers
from keras_gxnor.errors import ModelFileError

# Inputs that an operator cannot do without; of the others nothing is asked.
_REQUIRED = {
    "ADD": 2,
    "ARG_MAX": 2,
    "CAST": 1,
    "CONCATENATION": 1,
    "CONV_2D": 2,
    "DEPTHWISE_CONV_2D": 2,
    "DEQUANTIZE": 1,
    "DIV": 2,
    "FLOOR": 1,
    "FULLY_CONNECTED": 2,
    "MAX_POOL_2D": 1,
    "MEAN": 2,
    "MINIMUM": 2,
    "MUL": 2,
    "PACK": 1,
    "PAD": 2,
    "QUANTIZE": 1,
    "RELU": 1,
    "RESHAPE": 1,
    "SHAPE": 1,
    "SOFTMAX": 1,
    "STRIDED_SLICE": 4,
    "SUB": 2,
    "SUM": 2,
    "TRANSPOSE": 2,
}


def check(model, schema):
    """Refuses a file that no converter writes.

    Args:
        model, schema: From `model_file.load`.

    Raises:
        ModelFileError: naming the tensor or operator.
    """
    for i in range(model.SubgraphsLength()):
        graph, made = model.Subgraphs(i), set()
        for j in range(graph.TensorsLength()):
            tensor, where = graph.Tensors(j), f"subgraph {i}, tensor {j}"
            _quantization(tensor, where, model_file.kind_name(schema, tensor.Type()))
            if _is_given(model, tensor):
                made.add(j)
        made.update(numbers(graph.InputsAsNumpy()))
        for j in range(graph.OperatorsLength()):
            operator = graph.Operators(j)
            code = model.OperatorCodes(operator.OpcodeIndex())
            name = model_file.operator_name(schema, code)
            _operator(operator, f"subgraph {i}, operator {j} ({name})", _REQUIRED.get(name, 0), made)
        lost = set(numbers(graph.OutputsAsNumpy())) - made
        if lost:
            _fail(f"subgraph {i}", "must make its outputs", f"no operator makes tensor {min(lost)}")


def _fail(where, expected, received):
    raise ModelFileError(f"The file is corrupt: {where} {expected}. Received: {received}")


def _is_given(model, tensor) -> bool:
    """Whether a tensor needs no operator: a constant (also an empty one) or a variable."""
    buffer = model.Buffers(tensor.Buffer())
    constant = buffer.DataLength() or buffer.Offset() > 1 or 0 in numbers(tensor.ShapeAsNumpy())
    return bool(constant or tensor.IsVariable() or tensor.ExternalBuffer())


def _quantization(tensor, where, dtype):
    params = tensor.Quantization()
    if params is None or not params.ScaleLength():
        return
    scales, zeros = params.ScaleAsNumpy(), params.ZeroPointAsNumpy()
    if not (np.isfinite(scales) & (scales > 0)).all():
        _fail(f"the scales of {where}", "must be positive numbers", f"{scales}"[:80])
    if dtype in ("int8", "uint8", "int16", "uint16", "int32") and params.ZeroPointLength():
        limits = np.iinfo(dtype)
        if zeros.min() < limits.min or zeros.max() > limits.max:
            _fail(f"the zero points of {where}", f"must be {limits.min} to {limits.max}", f"{zeros}"[:80])


def _operator(operator, where, required, made):
    """Checks the tensors of one operator, and adds its outputs to `made`."""
    fed, outputs = numbers(operator.InputsAsNumpy()), numbers(operator.OutputsAsNumpy())
    if len(fed) < required or -1 in fed[:required] or (required and not outputs):
        _fail(where, f"must have {required} inputs and an output", f"inputs {fed}, outputs {outputs}"[:80])
    unmade = [i for i in fed if i >= 0 and i not in made]
    if unmade:
        _fail(where, "must read what is made before it", f"tensor {unmade[0]}")
    for i in outputs:
        if i in made:
            _fail(where, "must write tensors that nothing else makes", f"tensor {i}")
        made.add(i)
