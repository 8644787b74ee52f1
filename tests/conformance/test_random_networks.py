"""Networks that nobody thought of: drawn by hypothesis, converted, compared on every runtime.

`pytest --networks 5000 tests/conformance/test_random_networks.py` draws more of them.
"""

import collections

import numpy as np
from hypothesis import HealthCheck, Phase, find, given, settings

from keras_gxnor import graph as g
from keras_gxnor.converters import interpreters
from tests.conformance import random_networks
from tests.conformance.random_networks import build, mismatches, programs

_FIXED = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


def _check(program):
    graph = build(program)
    found = mismatches(graph)
    assert set(found) == set(interpreters.KERNELS)
    reproducer = f'python -m tests.conformance.random_networks "{program}"'
    assert not any(found.values()), f"{found}; see it again with:\n{reproducer}"
    return graph


def test_random_networks_are_exact_on_every_runtime(networks):
    seen = collections.Counter()

    @settings(max_examples=networks, **_FIXED)
    @given(programs())
    def check(program):
        seen.update({type(node.op) for node in _check(program).nodes})
        seen["networks"] += 1

    check()
    assert seen["networks"] >= networks
    # The draw reaches every operation, or the test says little.
    for op in (g.Dense, g.Conv2D, g.MaxPool2D, g.SumPool2D, g.Pad2D, g.Add, g.Concat, g.Threshold, g.Flatten):
        assert seen[op] >= networks // 40, (op, seen)


def test_a_wrong_converter_is_found_and_its_reproducer_works(monkeypatch, capsys):
    """A step that is off by one in one channel: found, shrunk, printed, and seen again."""
    right = random_networks.tflite.emit

    def wrong(graph, name):
        nodes = list(graph.nodes)
        for index, node in enumerate(nodes):
            if isinstance(node.op, g.Affine):
                offset = node.op.offset.copy()
                offset[0] = np.nextafter(offset[0], np.float32(np.inf))
                nodes[index] = g.Node(node.name, g.Affine(node.op.scale, offset), node.inputs)
        return right(g.Graph(tuple(nodes), graph.outputs, graph.name), name)

    monkeypatch.setattr(random_networks.tflite, "emit", wrong)
    fixed = {**_FIXED, "phases": [Phase.generate, Phase.shrink], "max_examples": 40}
    program = find(programs(), lambda p: any(mismatches(build(p)).values()), settings=settings(**fixed))
    again = eval(str(program), {"Program": random_networks.Program})
    assert again == program and any(mismatches(build(again)).values())
    assert len(program.steps) <= 1  # it was shrunk
