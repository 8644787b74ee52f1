"""What a trained network *is*: a small graph of integer operations.

A `Graph` is a list of nodes in execution order; a node is an operation and the
indices of the nodes it reads. Values are integers without a batch axis, channel
last: the *codes* of the input or of an activation, or the *accumulators* (sums
of products of codes) between them. Only `Divide` and `Affine` make floats, on the way to the
logits or to a `Quantize`, which makes codes of them again. `reference.py` says what each
operation computes.

`Graph.check()` proves the shapes and bounds every accumulator: below 2^24, a
sum is exact in float32 whatever the order, which is what makes Keras itself,
TFLite and C comparable integer for integer.
"""

import dataclasses

from keras_gxnor.checks import ACCUMULATOR_LIMIT, infer, window_output
from keras_gxnor.errors import GraphError, InvalidArgumentError
from keras_gxnor.operations import (
    Add,
    Affine,
    Concat,
    Conv2D,
    Dense,
    Divide,
    Flatten,
    Input,
    InputSpec,
    Lookup,
    MaxPool2D,
    Node,
    Op,
    Pad2D,
    Quantize,
    Reshape,
    Sign,
    SumPool2D,
    TensorType,
    Threshold,
    is_power_of_two,
)

__all__ = [
    "ACCUMULATOR_LIMIT",
    "Add",
    "Affine",
    "Concat",
    "Conv2D",
    "Dense",
    "Divide",
    "Flatten",
    "Graph",
    "Input",
    "InputSpec",
    "Lookup",
    "MaxPool2D",
    "Node",
    "Op",
    "Pad2D",
    "Quantize",
    "Reshape",
    "Sign",
    "SumPool2D",
    "TensorType",
    "Threshold",
    "in_order",
    "infer",
    "is_power_of_two",
    "window_output",
]


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in execution order, the indices of the outputs, and a name.

    The first nodes are the `Input`s, in order. See `reference.run` for the meaning.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    name: str = "model"

    def check(self) -> tuple[TensorType, ...]:
        """Proves shapes, ranges and accumulator bounds.

        Returns:
            One `TensorType` a node.

        Raises:
            GraphError: naming the first node that is not sound.
        """
        types: list[TensorType] = []
        names = [node.name for node in self.nodes]
        if len(set(names)) != len(names) or not all(names):
            raise GraphError(f"Node names must be unique and not empty. Received: {names}")
        if not self.nodes or not isinstance(self.nodes[0].op, Input):
            raise GraphError("The first node of a graph must be an Input.")
        for index, node in enumerate(self.nodes):
            wanted, enough = _arity(node.op, len(node.inputs))
            if not enough or any(not 0 <= i < index for i in node.inputs):
                raise GraphError(
                    f"Node `{node.name}` must read {wanted} earlier node(s). "
                    f"Received: inputs={node.inputs}"
                )
            if isinstance(node.op, Input) and not all(isinstance(n.op, Input) for n in self.nodes[:index]):
                raise GraphError(f"Node `{node.name}`: all Inputs must come before the other nodes.")
            sources = [types[i] for i in node.inputs]
            types.append(infer(node, *sources))
        if not self.outputs or any(not 0 <= i < len(self.nodes) for i in self.outputs):
            raise GraphError(f"Outputs must index the nodes. Received: outputs={self.outputs}")
        return tuple(types)

    @property
    def input(self) -> Input:
        """The first input operation, of most graphs the only one."""
        return self.nodes[0].op

    @property
    def inputs(self) -> tuple[Input, ...]:
        """All input operations, in order."""
        return tuple(node.op for node in self.nodes if isinstance(node.op, Input))

    def consumers(self, index: int) -> list[int]:
        """Indices of the nodes that read node `index`."""
        return [i for i, node in enumerate(self.nodes) if index in node.inputs]


def in_order(given: dict, names, what: str) -> list:
    """The values of a dict {name of an input: value}, in the order of the inputs.

    Args:
        given: What a user gave.
        names: Names of all inputs, in order.
        what: What the dict is, for the message.

    Raises:
        InvalidArgumentError: if a name is missing or unknown.

    Example:

    >>> in_order({"b": 2, "a": 1}, ["a", "b"], "`x`")
    [1, 2]
    """
    if set(given) != set(names):
        raise InvalidArgumentError(
            f"{what} must have the inputs' names as keys, {list(names)}. Received: {list(given)}"
        )
    return [given[name] for name in names]


def _arity(op, count) -> tuple[str, bool]:
    """(how many nodes an operation reads, whether `count` is as many)."""
    if isinstance(op, Input):
        return "0", count == 0
    if isinstance(op, (Add, Concat)):
        return "2 or more", count >= 2
    return "1", count == 1
