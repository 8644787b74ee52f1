"""The estimate of instructions is near the emulator's count, for networks that the table was not made of."""

import json
import pathlib
import sys

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor.converters import c_source, emulator, estimate, estimation, workload
from keras_gxnor.errors import InvalidArgumentError
from tests.conformance.samples import SAMPLES, Chain, inputs

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))

import calibrate
import ternary


def _digits():
    """The shape of examples/digits.py."""
    net = ternary.Net("digits", (8, 8, 1)).conv(32).step()
    for _ in range(2):
        net.conv(64).pool().step()
    return net.dense(128).step().logits(10).graph()


def _mobile():
    """A wider one than the sample."""
    net = ternary.Net("wide_mobile", (28, 28, 1)).conv(24, 3, 2).step()
    for filters in (40, 72):
        net.depthwise(strides=2).step().conv(filters, 1).step()
    return net.average().logits(10).graph()


def _relus():
    """8-bit ReLUs, depthwise too, and one kernel of int8."""
    net = ternary.Net("own_relus", (20, 20, 3)).conv(32, 3, 2, states=63).relu().conv(48).relu()
    return net.depthwise(strides=2).relu().conv(40, 1).step().average().logits(10).graph()


OWN = {"paper": lambda: ternary.mnist().graph(), "digits": _digits, "wide_mobile": _mobile, "own": _relus}
NETWORKS = [
    *OWN,
    "cnn_mnist_like",
    "cnn_same",
    "cnn_100_channels",
    "cnn_stride_2_same",
    "dense_100",
    "mobile",
    "residual",
    "densenet",
    "inception",
    "global_average",
    "asymmetric_strides",
]


def one_input(graph):
    """The third random input: the first two have extreme values only."""
    x = inputs(graph, 4)
    return tuple(part[2:3] for part in x) if isinstance(x, tuple) else x[2:3]


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m0plus", "rv32imc"])
@pytest.mark.parametrize("name", NETWORKS)
def test_totals_are_within_ten_percent_of_the_emulator(name, core):
    graph = (OWN.get(name) or SAMPLES[name])()
    x = one_input(graph)
    counted = emulator.layers(c_source.emit(graph, "net"), x, core)
    made = estimate(graph, core, x=x)
    assert [note.split()[0] for note, _ in made.layers] == [note.split()[0] for note, _ in counted]
    assert made.instructions == pytest.approx(sum(count for _, count in counted), rel=0.1)


def test_networks_of_the_fit_are_others():
    names = set(calibrate.networks())
    assert not names & set(NETWORKS)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_has_an_estimate_of_every_layer(name):
    graph = SAMPLES[name]()
    for core in ("cortex-m4", "rv32imc"):
        made = estimate(graph, core)
        assert all(count >= 0 for _, count in made.layers) and made.instructions > 100
        assert made.core in str(made) and f"{made.instructions:,}" in str(made)


def test_the_table_knows_every_core_and_who_made_it():
    table = json.loads(estimation.TABLE.read_text())
    assert set(table["zig"]["cores"]) == set(emulator.CORES)
    for compiler, part in table.items():
        assert compiler in emulator.COMPILERS and part["version"] and "calibrate" in part["made_by"]
        for core in part["cores"].values():
            assert core["networks"] > 50 and min(core["costs"].values()) > 0
            assert core["error_of_totals"]["median"] < 0.05


def test_all_kernels_are_known_and_fitted():
    used = set()
    for net in calibrate.networks().values():
        for _, work in estimation.calls(net.graph()):
            used |= set(work)
    assert workload.known() <= used, workload.known() - used


def _dense():
    return Chain("net", (64,)).dense(64).step().dense(64).step().dense(4).logits().graph()


def test_density_is_a_number_or_of_nodes():
    graph = _dense()
    counts = [estimate(graph, density=d).instructions for d in (0.0, 0.5, 1.0)]
    assert counts == sorted(counts) and counts[0] < counts[2]
    first, second = (node.name for node in graph.nodes if isinstance(node.op, g.Threshold))
    usual = dict(estimate(graph).layers)
    given = dict(estimate(graph, density={first: 1.0}).layers)
    changed = [note for note in usual if usual[note] != given[note]]
    assert len(changed) == 1 and f'"{second}"' in changed[0]  # the layer that reads `first`


def test_measured_density_equals_the_same_numbers():
    graph = _dense()
    x = one_input(graph)
    work = [work for _, work in estimation.calls(graph, x=x)]
    rows = work[2]["entry"]  # slice, dense, dense
    from keras_gxnor import reference

    step = next(node.name for node in graph.nodes if isinstance(node.op, g.Threshold))
    assert rows == np.count_nonzero(reference.run(graph, x, trace=True)[step])


def test_binary_activations_are_never_zero():
    graph = SAMPLES["binary_all"]()
    for (note, half), (_, full) in zip(estimation.calls(graph, 0.5), estimation.calls(graph, 1.0)):
        if not note.startswith(("slice", "conv1", "conv2 ")):
            assert half == full, note


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"core": "z80"}, "core='z80'"),
        ({"compiler": "tcc"}, "compiler='tcc'"),
        ({"density": 1.5}, "from 0 to 1. Received: 1.5"),
        ({"density": True}, "from 0 to 1. Received: True"),
        ({"density": {"nowhere": 0.5}}, r"Received: \['nowhere'\]"),
        ({"density": {"threshold_2": "half"}}, "Received: 'half'"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        estimate(_dense(), **options)


def test_nonnegative_least_squares():
    rng = np.random.default_rng(0)
    matrix, costs = rng.random((60, 8)), np.array([3, 0, 1, 0, 0, 2, 5, 0.5])
    np.testing.assert_allclose(calibrate._nonnegative(matrix, matrix @ costs), costs, atol=1e-9)
    found = calibrate._nonnegative(matrix, matrix @ (costs - 1))  # the best of all has negative ones
    assert found.min() == 0
    gradient = matrix.T @ (matrix @ found - matrix @ (costs - 1))
    assert gradient.min() > -1e-8 and abs(gradient @ found) < 1e-8  # Karush, Kuhn and Tucker
