"""Instructions of an exported network on a core, told without a compiler or an emulator.

Every layer is a call of the C runtime, `workload` counts what it has to do, and a table says what each piece
costs on a core. `python benchmarks/calibrate.py` makes the table (`instructions.json`): the least squares of
networks whose instructions were counted on the emulator.
"""

import collections
import dataclasses
import functools
import json
import numbers
import pathlib

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import c_emitters, relus, tiles, workload
from keras_gxnor.errors import InvalidArgumentError

TABLE = pathlib.Path(__file__).resolve().parent / "instructions.json"
_HALF = 0.5


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The instructions that one run of a network is expected to take.

    Attributes:
        core, compiler: As given to `estimate`.
        made_by: The version of the compiler that the table was made with.
        layers: ((the layer's line in the header, instructions), ...), as of `emulator.Cost`.

    Example:

    >>> print(Estimate("rv32imc", "zig", "clang 21", (("dense1 a", 1200), ("affine2 b", 90))))
    rv32imc, zig -O2 (clang 21), estimated
      instructions          1,290
        dense1              1,200  93.0 %
        affine2                90   7.0 %
    """

    core: str
    compiler: str
    made_by: str
    layers: tuple[tuple[str, int], ...]

    @property
    def instructions(self) -> int:
        """Of the whole run."""
        return sum(count for _, count in self.layers)

    def __str__(self):
        total = max(self.instructions, 1)
        lines = [f"{self.core}, {self.compiler} -O2 ({self.made_by}), estimated"]
        lines.append(f"{'  instructions':<16}{self.instructions:>13,}")
        for note, count in self.layers:
            lines.append(f"{'    ' + note.split()[0]:<16}{count:>13,}{100 * count / total:>6.1f} %")
        return "\n".join(lines)


def estimate(
    graph: g.Graph, core: str = "cortex-m4", density=_HALF, x=None, compiler: str = "zig"
) -> Estimate:
    """Predicts the instructions of a run of the exported C header (`lanes=32`), layer by layer.

    Networks that the table was not made of came within 10 % of the emulator's total; a layer of a few
    hundred instructions may be off by more, as compilers fit functions to the networks they are in.

    Args:
        graph: The `Graph`, such as an artifact's `graph`.
        core: One of `emulator.CORES`.
        density: The share of activations that are not 0: a number for all (the outputs of binary
            activations are never 0), or {name of a node: number} with 0.5 for all others; the names
            are those in the header's list of layers, of the layer that leaves the activations or the
            input that holds them. Codes beyond -1..1 are taken for equally frequent.
        x: Instead, integer input codes of shape (batch, *input shape), or a tuple of them: the
            shares are those of the reference run on them.
        compiler: One of `emulator.COMPILERS`.

    Raises:
        InvalidArgumentError: if the table has no such core or compiler, a density is not in 0..1 or is
            of no node of the network, or `x` does not fit.
        UnsupportedGraphError: naming the node that C has no exact form for.

    Example:

    >>> node = g.Node("in", g.Input((64,), g.InputSpec("int8", 1.0, 0)))
    >>> dense = g.Node("dense", g.Dense(np.ones((64, 10), np.int8)), (0,))
    >>> made = estimate(g.Graph((node, dense), (1,), "net"), "rv32imc")
    >>> [note.split()[0] for note, _ in made.layers]
    ['slice1', 'dense2', 'float3']
    """
    costs, made_by = _costs(core, compiler)
    layers = []
    for note, work in calls(graph, density, x):
        layers.append((note, round(sum(costs.get(piece, 0.0) * count for piece, count in work.items()))))
    return Estimate(core, compiler, made_by, tuple(layers))


def calls(graph: g.Graph, density=_HALF, x=None) -> list[tuple[str, dict]]:
    """[(the layer's line in the header, its `workload.work`)] of a network.

    Args:
        graph, density, x: As of `estimate`.

    Raises:
        InvalidArgumentError, UnsupportedGraphError: as `estimate`.
    """
    canonical = relus.canonical(graph)
    program = c_emitters.program(canonical)
    trace = None if x is None else reference.run(canonical, x, trace=True)
    densities = _densities(canonical, density)
    values, made = {}, []
    uses = collections.Counter(call.kernel for call in program.calls)
    for call in program.calls:
        read = next((values[place.buffer] for place in call.places if place.buffer in values), None)
        shares, alone = _shares(read, densities, trace), uses[call.kernel] == 1
        made.append((call.note, workload.work(call, read, shares, alone)))
        values[call.made.buffer] = call.made
    return made


def _densities(graph, density) -> dict[str, float]:
    """{node: share of its values that are not 0}."""
    given = density if isinstance(density, dict) else {}
    usual = _HALF if isinstance(density, dict) else density
    names = [node.name for node in graph.nodes]
    for value in (usual, *given.values()):
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value <= 1:
            raise InvalidArgumentError(f"`density` must be a number from 0 to 1. Received: {value!r}")
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise InvalidArgumentError(f"`density` must name nodes of the network, {names}. Received: {unknown}")
    found = {node.name: 1.0 if _is_binary(graph, node) else usual for node in graph.nodes}
    return found | given


def _is_binary(graph, node) -> bool:
    """Whether a node's values are -1 and 1."""
    if isinstance(node.op, g.Threshold):
        return node.op.space.num_states == 2
    kept = isinstance(node.op, (g.MaxPool2D, g.Flatten, g.Reshape, g.Sign))
    return kept and _is_binary(graph, graph.nodes[node.inputs[0]])


def _shares(value, densities, trace) -> list[tuple[float, float]]:
    """For each bit of the magnitudes, the shares of values that have it: of the positive, the negative."""
    if value is None or value.form != "codes":
        return []
    low, high = int(value.type.low.min()), int(value.type.high.max())
    if trace is not None and value.node in trace:
        codes, scale = trace[value.node].astype(np.int64).reshape(-1), 1.0
    else:
        codes = np.concatenate([np.arange(min(low, 0), 0), np.arange(1, max(high, 0) + 1)])
        scale = densities.get(value.node, _HALF)
    size = max(codes.size, 1)
    bits = [abs(codes) >> level & 1 for level in range(tiles.levels(low, high))]
    return [
        (scale * int(bit[codes > 0].sum()) / size, scale * int(bit[codes < 0].sum()) / size) for bit in bits
    ]


@functools.cache
def _table() -> dict:
    return json.loads(TABLE.read_text(encoding="ascii"))


def _costs(core, compiler) -> tuple[dict[str, float], str]:
    """{piece of work: instructions}, and who made the table."""
    table = _table()
    if compiler not in table:
        raise InvalidArgumentError(
            f"`compiler` must be one of {sorted(table)}. Received: compiler={compiler!r}"
        )
    cores = table[compiler]["cores"]
    if core not in cores:
        raise InvalidArgumentError(f"`core` must be one of {sorted(cores)}. Received: core={core!r}")
    return cores[core]["costs"], table[compiler]["version"]
