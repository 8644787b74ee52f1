"""Every sample graph with every storage of its weights equals the reference, integer for integer."""

import pytest

from keras_gxnor.converters import interpreters, tflite, verify, weight_forms
from tests.conformance.samples import SAMPLES, inputs

IMAGES = 6
# Samples whose kernels must not all stay int8. (A last layer has no int4 form, and a step of
# 17 or 129 states is 8 or 64 operators that share one kernel; the kernels of one are too small. The
# table of an embedding stays int8.)
EXCEPT = ("logits_beyond_int16", "z4_dense", "z7_activation", "depthwise_z2", "tokens_256_z3")
LARGE = [n for n in SAMPLES if n not in EXCEPT and len(tflite.emit(SAMPLES[n](), n).main) > 8000]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("weights", ["int4", "decode"])
def test_tflite(name, weights):
    graph = SAMPLES[name]()
    artifact, stock = tflite.emit(graph, name, weights), tflite.emit(graph, name)
    _check(graph, artifact)
    assert len(artifact.main) <= len(stock.main)
    if name in LARGE:
        assert artifact.sizes["weights_kept"] < artifact.sizes["weights"] < 0.7 * stock.sizes["weights"]
        assert artifact.runs_on == (("tflite_micro",) if weights == "decode" else None)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("weights, split", [("int4", 100), ("int4", 1000), ("decode", 100), ("decode", 1000)])
def test_every_kernel_in_parts(name, weights, split, monkeypatch):
    """Each kernel that the form holds is stored in it and cut, whatever the file costs."""
    for costs in ("_DECODE_COST", "_TABLE_COST", "_RESHAPE_COST", "_FIRST_RESHAPE_COST", "_PART_COST"):
        monkeypatch.setattr(weight_forms, costs, (-(1 << 20), 0))
    graph = SAMPLES[name]()
    artifact = tflite.emit(graph, name, weights, split)
    _check(graph, artifact)
    assert artifact.sizes["decoded_largest"] <= split


def _check(graph, artifact):
    expected = artifact.runs_on or interpreters.KERNELS
    report = verify(graph, artifact, inputs(graph, IMAGES), expected)
    assert report.ok, report
    assert report.images == dict.fromkeys(expected, IMAGES)
