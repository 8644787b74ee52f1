"""Graph -> Graph: the same function in the form that back ends like.

`canonical` thresholds first and pools the small codes afterwards, and leaves
no flipped channel: then a hidden layer of any back end is one kernel and one
ascending step. Every rewrite keeps every logit, integer for integer (tested
against `reference.run`).
"""

import dataclasses

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor.errors import UnsupportedGraphError


def canonical(graph: g.Graph) -> g.Graph:
    """Returns an equal graph in which every Threshold directly follows its kernel, unflipped.

    1. A flipped channel without pooling: negate its kernel column.
    2. kernel -> max pool -> threshold: threshold, then pool the codes. In a flipped
       channel y = g(max acc) with g falling, and -y = max(-g(acc)): the channel
       carries -y through the pool and a `Sign` turns it back.
    3. A `Sign` before a kernel is folded into the kernel's input rows.

    Raises:
        GraphError: if the graph is not sound.
        UnsupportedGraphError: if a Threshold follows neither a kernel nor its pools, or
            a kernel feeds more than one node.
    """
    types = graph.check()
    result: list[g.Node] = []
    place: dict[int, int] = {}  # old index -> index in result
    for index, node in enumerate(graph.nodes):
        inputs = tuple(place[i] for i in node.inputs)
        if isinstance(node.op, g.Threshold):
            place[index] = _hoist(result, node, inputs[0])
        else:
            readers = len(graph.consumers(index)) + graph.outputs.count(index)
            if types[index].kind == "accumulator" and readers > 1:
                raise UnsupportedGraphError(
                    f"Node `{node.name}` makes accumulators and must feed one node only. "
                    f"Received: {readers} readers"
                )
            result.append(g.Node(node.name, node.op, inputs))
            place[index] = len(result) - 1
    rewritten = g.Graph(tuple(result), tuple(place[i] for i in graph.outputs), graph.name)
    rewritten = _fold_signs(rewritten)
    rewritten.check()
    return rewritten


def _hoist(result, node, source) -> int:
    """Appends threshold `node` to `result`, above the pools between it and its kernel."""
    pools = []
    while isinstance(result[source].op, g.MaxPool2D):
        pools.append(result[source])
        source = result[source].inputs[0]
    kernel = result[source]
    if not isinstance(kernel.op, (g.Dense, g.Conv2D)) or source != len(result) - 1 - len(pools):
        raise UnsupportedGraphError(
            f"Threshold `{node.name}` must follow a Dense or Conv2D, with nothing but max "
            f"pooling between. Received: {type(kernel.op).__name__} `{kernel.name}`"
        )
    del result[source + 1 :]
    op, flipped = node.op, node.op.flipped
    if not pools:
        negated = np.where(flipped, -kernel.op.kernel, kernel.op.kernel).astype(np.int8)
        result[source] = dataclasses.replace(
            kernel, op=dataclasses.replace(kernel.op, kernel=negated)
        )
        plain = dataclasses.replace(op, flipped=np.zeros_like(flipped))
        result.append(g.Node(node.name, plain, (source,)))
        return len(result) - 1
    # s = -acc reaches t  <=>  acc <= -t  <=>  not acc >= 1 - t: the rising step of -y.
    rising = np.where(flipped[:, None], 1 - op.thresholds[:, ::-1], op.thresholds)
    plain = dataclasses.replace(
        op, thresholds=rising.astype(np.int32), flipped=np.zeros_like(flipped)
    )
    result.append(g.Node(node.name, plain, (source,)))
    for pool in reversed(pools):
        result.append(g.Node(pool.name, pool.op, (len(result) - 1,)))
    if flipped.any():
        signs = np.where(flipped, -1, 1).astype(np.int8)
        result.append(g.Node(f"{node.name}.sign", g.Sign(signs), (len(result) - 1,)))
    return len(result) - 1


def _fold_signs(graph: g.Graph) -> g.Graph:
    """Moves every Sign through Flatten and into the kernel that reads it, where one does."""
    types = graph.check()
    nodes = list(graph.nodes)
    removed = set()
    for index, node in enumerate(graph.nodes):
        if not isinstance(node.op, g.Sign) or index in graph.outputs:
            continue
        signs, target = node.op.signs, graph.consumers(index)
        if len(target) == 1 and isinstance(nodes[target[0]].op, g.Flatten):
            flat = target[0]
            signs = np.tile(signs, types[flat].shape[0] // len(signs))
            target = [] if flat in graph.outputs else graph.consumers(flat)
        if len(target) != 1 or not isinstance(nodes[target[0]].op, (g.Dense, g.Conv2D)):
            continue
        kernel = nodes[target[0]]
        op = dataclasses.replace(kernel.op, kernel=_scale_inputs(kernel.op, signs))
        nodes[target[0]] = dataclasses.replace(kernel, op=op)
        removed.add(index)
    return _without(graph, nodes, removed)


def _scale_inputs(op, signs) -> np.ndarray:
    """The kernel that on x computes what `op.kernel` computes on signs * x."""
    if isinstance(op, g.Dense):
        return op.kernel * signs[:, None]
    per_group = op.kernel.shape[3] // op.groups
    columns = np.repeat(signs.reshape(op.groups, -1), per_group, axis=0)  # (filters, channels)
    return op.kernel * columns.T


def _without(graph, nodes, removed) -> g.Graph:
    """The graph less the removed nodes; their readers read what they read."""
    place, result = {}, []
    for index, node in enumerate(nodes):
        inputs = tuple(place[i] for i in node.inputs)
        if index in removed:
            place[index] = inputs[0]
            continue
        place[index] = len(result)
        result.append(dataclasses.replace(node, inputs=inputs))
    return g.Graph(tuple(result), tuple(place[i] for i in graph.outputs), graph.name)
