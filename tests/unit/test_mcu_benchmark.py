"""benchmarks/mcu.py reports what it promises, and its numbers are what they are called."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import emulator

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))

import mcu
import mcu_docs
import mcu_host
import ternary

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEYS = {
    "instructions_per_mac",
    "instructions_per_mac_by_density",
    "instructions_per_mac_8bit",
    "runtime_code_bytes",
    "bits_per_weight",
    "mnist_cnn",
    "host_ratio_to_litert_int8",
    "host",
    "compiler",
    "versions",
}
LAYERS = {"dense_1024x512", "conv3x3_64x64", "first_32x32x3_32"}


def check(report, cores):
    """Whether a report has all keys and numbers that can be."""
    assert set(report) == KEYS
    for layers in (report["instructions_per_mac"], *report["instructions_per_mac_by_density"].values()):
        assert set(layers) == LAYERS
        assert all(set(layer) == cores and min(layer.values()) > 0.1 for layer in layers.values())
        assert max(layers["dense_1024x512"].values()) < 1.5 and max(layers["first_32x32x3_32"].values()) < 4
    eight = report["instructions_per_mac_8bit"]
    assert set(eight) == set(mcu.eight_bits()) and all(set(layer) == cores for layer in eight.values())
    assert all(0.5 < value < 12 for layer in eight.values() for value in layer.values())
    assert set(report["runtime_code_bytes"]) == cores
    assert all(2000 < size < 12_000 for size in report["runtime_code_bytes"].values())
    assert 2 < report["bits_per_weight"] <= mcu.LIMITS["bits_per_weight"]
    cnn = report["mnist_cnn"]
    assert cnn["instructions"] == cnn["instructions_by_core"][cnn["core"]]
    assert set(cnn["instructions_by_core"]) == set(cnn["estimate_error"]) == cores and cnn["core"] in cores
    assert 581_408 / 4 < cnn["flash_bytes"] < 170_000 and 64 < cnn["stack_bytes"] < 2048
    assert cnn["scratch_bytes"] <= mcu.LIMITS["scratch_bytes"]
    assert all(error is None or abs(error) < 0.1 for error in cnn["estimate_error"].values())
    ratios = report["host"]["ratio"]
    assert report["host_ratio_to_litert_int8"] == max(ratios.values())
    assert "words32" in ratios and all(0.02 < ratio < 100 for ratio in ratios.values())


@pytest.mark.slow
def test_the_quick_run_prints_one_object_with_all_keys():
    done = subprocess.run(
        [sys.executable, "benchmarks/mcu.py", "--quick", "--json", "--cores", "cortex-m4,rv32imc"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    check(json.loads(done.stdout), {"cortex-m4", "rv32imc"})


def test_the_recorded_report_is_whole_and_stands_in_the_docs():
    report = json.loads((ROOT / "docs/results/mcu.json").read_text())
    check(report, set(emulator.CORES))
    text = (ROOT / "docs/c.md").read_text(encoding="utf-8")
    assert mcu_docs.replaced(text, report) == text, "run `python benchmarks/mcu_docs.py`"


@pytest.mark.parametrize("density", mcu.DENSITIES)
def test_measured_layers_read_activations_of_the_density(density):
    for name, net in mcu.layers(density).items():
        if name == mcu.FIRST:
            continue
        trace = reference.run(net.graph(), net.x, trace=True)
        read = next(values for node, values in trace.items() if node.startswith("threshold"))
        shares = (read != 0).reshape(len(read), -1).mean(1)
        np.testing.assert_allclose(shares, density, atol=1 / read[0].size)
        kernels = [n.op.kernel for n in net.nodes if isinstance(n.op, (g.Conv2D, g.Dense))]
        assert abs((kernels[0] != 0).mean() - 2 / 3) < 1e-3


def test_products_count_zeros_and_padding():
    found = {name: mcu.products(net.graph()) for name, net in mcu.layers(1.0).items()}
    assert found == {
        "dense_1024x512": 1024 * 512,
        "conv3x3_64x64": 16 * 16 * 64 * 576,
        mcu.FIRST: 32 * 32 * 32 * 27,
    }


def test_the_paper_s_network():
    net = ternary.mnist()
    kernels = [n.op.kernel.shape for n in net.nodes if isinstance(n.op, (g.Conv2D, g.Dense))]
    assert kernels == [(5, 5, 1, 32), (5, 5, 32, 64), (1024, 512), (512, 10)]
    trace = reference.run(net.graph(), net.x, trace=True)
    shares = [float((values != 0).mean()) for node, values in trace.items() if node.startswith("threshold")]
    assert len(shares) == 3 and all(0.45 < share < 0.55 for share in shares)


def test_targets_that_are_missed_are_named():
    report = json.loads((ROOT / "docs/results/mcu.json").read_text())
    report["instructions_per_mac"]["dense_1024x512"]["cortex-m4"] = 0.3
    assert "dense_1024x512 on cortex-m4: 0.3 instructions a product, at most 0.25" in mcu.missed(report)


def test_the_host_s_layer_equals_the_reference(tmp_path):
    mcu_host.exported("words32", tmp_path).check()
