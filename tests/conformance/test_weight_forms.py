"""Every sample graph with every storage of its weights equals the reference, integer for integer."""

import pytest

from keras_gxnor.converters import interpreters, tflite, verify
from tests.conformance.samples import SAMPLES, inputs

IMAGES = 6
# Samples whose kernels must not all stay int8.
LARGE = [name for name in SAMPLES if len(tflite.emit(SAMPLES[name](), name).main) > 8000]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("weights, split", [("int4", None), ("decode", None), ("int4", 512), ("decode", 512)])
def test_tflite(name, weights, split):
    graph = SAMPLES[name]()
    artifact = tflite.emit(graph, name, weights, split)
    expected = artifact.runs_on or interpreters.KERNELS
    report = verify(graph, artifact, inputs(graph, IMAGES), expected)
    assert report.ok, report
    assert report.images == dict.fromkeys(expected, IMAGES)
    stock = tflite.emit(graph, name)
    assert len(artifact.main) <= len(stock.main)
    if split is None and name in LARGE:
        assert artifact.sizes["weights_kept"] < artifact.sizes["weights"] < 0.7 * stock.sizes["weights"]
        assert artifact.runs_on == (("tflite_micro",) if weights == "decode" else None)
    if split is not None:
        assert artifact.sizes["decoded_largest"] <= split
