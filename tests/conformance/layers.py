"""What every layer of a C network must leave in memory, by the reference."""

import numpy as np

from keras_gxnor import reference
from keras_gxnor.converters import c_emitters, c_selftest, relus


def expected(graph, x, lanes=32) -> list[list[bytes | None]]:
    """For each input of a batch, the bytes that each layer must leave in this machine's order.

    None stands for a layer that leaves a part of a node's values, whose last one leaves them all.
    """
    canonical = relus.canonical(graph)
    calls = c_emitters.program(canonical, lanes).calls
    trace = reference.run(canonical, x, trace=True)
    samples = len(x[0] if isinstance(x, tuple) else x)
    return [[_left(call, trace[call.made.node][i]) for call in calls] for i in range(samples)]


def _left(call, values):
    if not call.whole:
        return None
    if call.made.form == "float":
        return np.ascontiguousarray(values, np.float32).tobytes()
    return np.ascontiguousarray(c_selftest.stored(values, call.made)).tobytes()
