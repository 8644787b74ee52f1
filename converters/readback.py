"""A .tflite file read back: its operators in order, and the tensors they read and write.

`flatbuffer.py` writes files; what is generated *about* a file is read from its bytes, so
that it cannot say anything else than the file does.
"""

import dataclasses

from keras_gxnor.converters import model_file
from keras_gxnor.errors import import_extra


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of a file.

    Attributes:
        shape: Its shape; the batch is 1.
        dtype: Such as `"int8"`.
        scales, zero_points: Its quantization, one or one a channel; empty if it has none.
    """

    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Step:
    """One operator of a file: its name (`"CONV_2D"`, or that of a custom one) and its tensors."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclasses.dataclass(frozen=True)
class Model:
    """What a file holds: the tensors it is fed and makes, and its steps in order."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    steps: tuple[Step, ...]

    @property
    def operators(self) -> tuple[str, ...]:
        """The names of its operators, each once, in the order of their first use."""
        return tuple(dict.fromkeys(step.name for step in self.steps))


def read(data: bytes) -> Model:
    """Reads a file of one subgraph that `tflite.emit` made; others are not checked.

    Raises:
        MissingExtraError: if LiteRT is not installed.
    """
    schema = import_extra("ai_edge_litert.schema_py_generated", "export")
    model = schema.Model.GetRootAs(data)
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    names = [model_file.operator_name(schema, code) for code in codes]
    tensors = [_tensor(schema, graph.Tensors(i)) for i in range(graph.TensorsLength())]

    def pick(places):
        return tuple(tensors[i] for i in places if i >= 0)  # -1: an optional input left out

    steps = []
    for i in range(graph.OperatorsLength()):
        step = graph.Operators(i)
        inputs, outputs = step.InputsAsNumpy().tolist(), step.OutputsAsNumpy().tolist()
        steps.append(Step(names[step.OpcodeIndex()], pick(inputs), pick(outputs)))
    fed, made = graph.InputsAsNumpy().tolist(), graph.OutputsAsNumpy().tolist()
    return Model(pick(fed), pick(made), tuple(steps))


def _tensor(schema, tensor) -> Tensor:
    shape = tuple(tensor.Shape(i) for i in range(tensor.ShapeLength()))
    dtype, numbers = model_file.kind_name(schema, tensor.Type()), tensor.Quantization()
    if numbers is None:
        return Tensor(shape, dtype, (), ())
    scales = tuple(numbers.Scale(i) for i in range(numbers.ScaleLength()))
    zero_points = tuple(numbers.ZeroPoint(i) for i in range(numbers.ZeroPointLength()))
    return Tensor(shape, dtype, scales, zero_points)
