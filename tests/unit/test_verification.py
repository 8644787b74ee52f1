import dataclasses

import keras
import numpy as np
import pytest

import keras_gxnor
from keras_gxnor import InputSpec, evaluation
from keras_gxnor.converters import convert, verification, verify
from keras_gxnor.errors import (
    InvalidArgumentError,
    UnsupportedLayerError,
    VerificationError,
)
from tests.unit.test_lowering import IMAGE, MODELS, codes, randomize

ALL = list(verification.BACKENDS)


@pytest.mark.parametrize("target", ["tflite", "tflm", "c", "library"])
def test_one_artifact_runs_every_back_end(target):
    model = MODELS["pool_before_bn"]()
    artifact = convert(model, target, IMAGE, name="net")
    lines = []
    report = verify(model, artifact, codes(model), limits={"tflite_micro": 5}, progress=lines.append)
    assert report.ok and list(report.mismatches) == ALL == list(report.class_mismatches)
    assert report.images == {**dict.fromkeys(ALL, 24), "tflite_micro": 5}
    assert report.border == 0 and report.cost.instructions > 1000
    assert "equal to Keras in every logit" in str(report) and len(lines) == len(ALL) + 1


@pytest.mark.parametrize("name", ["mlp", "flatten_before_activation", "conv_logits_spatial", "binary"])
def test_keras_to_every_back_end(name):
    model = MODELS[name]()
    report = verify(model, convert(model, "c", IMAGE), codes(model))
    assert report.ok and list(report.mismatches) == ALL, report


def test_another_model_s_artifact_is_caught():
    model, other = MODELS["mlp"](), randomize(MODELS["mlp"](), seed=5)
    artifact = convert(other, "tflite", IMAGE)
    report = verify(model, artifact, codes(model), ["reference", "litert_builtin"])
    assert not report.ok and min(report.mismatches.values()) > 0
    assert "NOT equal" in str(report)


def test_border_cases_are_counted_apart():
    """With 1/255, Keras' own rounding may cross a threshold; all back ends agree on the exact side."""
    spec = InputSpec(scale=1 / 255)
    model = keras.Sequential(
        [keras.Input((64,)), keras_gxnor.GXNORDense(200, use_bias=False),
         keras.layers.BatchNormalization(), keras_gxnor.DiscreteActivation(), keras_gxnor.GXNORDense(3)]
    )
    bn = model.layers[1]
    # Thresholds exactly on sums: x = 100 / 255, where the exact tie gives 0.
    bn.moving_mean.assign(np.full(200, np.float32(100) * np.float32(1 / 255) - 0.5))
    bn.moving_variance.assign(np.full(200, 1 - bn.epsilon))
    q = codes(model, spec, 3000)
    artifact = convert(model, "tflite", spec)
    report = verify(model, artifact, q, ["reference", "litert_xnnpack"])
    assert report.ok, report
    plain, exact = (f(model, spec, q) for f in (evaluation.plain, evaluation.exact_first))
    assert report.border == (plain != exact).any(1).sum() > 0
    assert "border" in str(report)


def test_the_report_shows_how_codes_enter_and_how_well_they_do():
    """A wrong input spec is equal to Keras, and useless; only labels can tell."""
    model = MODELS["mlp"]()
    q = codes(model)
    labels = evaluation.plain(model, IMAGE, q).argmax(1)
    right = verify(model, convert(model, "c", IMAGE), q, "reference", labels=labels)
    other = InputSpec(scale=1 / 128, zero_point=0)
    wrong = verify(model, convert(model, "c", other), q, "reference", labels=labels)
    assert right.ok and wrong.ok and right.accuracy == 1.0 > wrong.accuracy
    assert "0.0078125 * (q - 128)" in str(right) and "-1..0.992188" in repr(right)
    assert "accuracy on these codes: 100.00 %" in str(right)


def test_rescaling_models_take_raw_codes():
    model = MODELS["rescaling"]()
    artifact = convert(model, "tflite", InputSpec(scale=1.0))
    assert artifact.input_spec == InputSpec(scale=1.0)
    assert artifact.graph.input.spec == IMAGE
    assert verify(model, artifact, codes(model), ["reference", "litert_builtin"]).ok


def test_rescaling_whose_product_alone_is_a_power_of_two():
    """255/128 * 1/255 is 1/128, but Keras rounds each factor."""
    spec = InputSpec(scale=1 / 255)
    model = keras.Sequential(
        [keras.Input((16,)), keras.layers.Rescaling(255 / 128, -1), keras_gxnor.GXNORDense(3)]
    )
    artifact = convert(model, "tflite", spec)
    assert artifact.graph.input.spec == IMAGE and not evaluation.is_exact(model, spec)
    report = verify(model, artifact, codes(model, spec, 40), ["reference", "litert_builtin"])
    assert report.ok and report.border > 0
    assert "with exact sums" in str(report)


def test_rounding_excuses_no_wrong_zero_point():
    """Under an inexact scale a wrong fold is a mismatch, not a border case."""
    spec = InputSpec(scale=1 / 255, zero_point=3)
    model = randomize(
        keras.Sequential(
            [keras.Input((16,)), keras_gxnor.GXNORDense(30, "ternary"), keras_gxnor.GXNORDense(3)]
        )
    )
    artifact = convert(model, "tflite", spec)
    q = codes(model, spec, 40)
    assert verify(model, artifact, q, "reference").ok
    assert evaluation.rounding_explains(model, spec, q)
    for other in (InputSpec(scale=1 / 255, zero_point=4), InputSpec(scale=1 / 254, zero_point=3)):
        wrong = dataclasses.replace(artifact, input_spec=other)
        assert not verify(model, wrong, q, "reference").ok


def test_a_wrong_keras_kernel_is_told_from_a_wrong_artifact(monkeypatch):
    model = MODELS["mlp"]()
    right = evaluation.plain
    monkeypatch.setattr(evaluation, "plain", lambda *args: right(*args) + 1)
    with pytest.raises(VerificationError, match=r"Keras is what differs.*oneDNN"):
        convert(model, "tflite", IMAGE)


@pytest.mark.parametrize("target", ["tflite", "c"])
def test_kernels_of_many_states(target):
    model = randomize(
        keras.Sequential([keras.Input((9,)), keras_gxnor.GXNORDense(12, "ternary", kernel_space="z2"),
                          keras_gxnor.GXNORDense(3)])
    )
    names = [name for name, (made_for, _) in verification.BACKENDS.items() if made_for == target]
    report = verify(model, convert(model, target, IMAGE), codes(model), ["reference", *names])
    assert report.ok and set(report.images) == {"reference", *names}


def test_nan_and_shapes_never_pass():
    x = np.zeros((4, 3), np.float32)
    assert verification.count_mismatches(x, x) == (0, 0)
    bad = x.copy()
    bad[1, 2] = np.nan
    assert verification.count_mismatches(bad, x)[0] == 1
    assert verification.count_mismatches(bad, bad)[0] == 1
    for wrong in (x[:3], x.astype(np.float64), x[:, :2]):
        with pytest.raises(VerificationError, match="Expected logits"):
            verification.count_mismatches(wrong, x)


def test_an_empty_report_is_not_ok():
    assert not verification.Report({}, {}, {}).ok
    assert not verification.Report({"a": 0}, {"a": 0}, {"a": 0}).ok
    assert verification.Report({"a": 0}, {"a": 0}, {"a": 1}).ok
    assert not verification.Report({"a": 1}, {"a": 0}, {"a": 1}).ok


def test_refusals():
    model = MODELS["mlp"]()
    artifact = convert(model, "tflite", IMAGE)
    for x, backends, words in (
        (codes(model).astype(np.float32), None, "integer codes"),
        (codes(model)[:0], None, "at least one"),
        (codes(model), ["litert_gpu"], "back end must be one of"),
        (codes(model), [], "at least one back end"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            verify(model, artifact, x, backends)
    with pytest.raises(InvalidArgumentError, match=r"verify\(model, artifact, x\)"):
        verify(artifact, model, codes(model))
    for limits in ({"reference": 0}, {"reference": 1.5}, {"reference": "1"}, 3):
        with pytest.raises(InvalidArgumentError, match=r"`limits`.*samples >= 1"):
            verify(model, artifact, codes(model), "reference", limits=limits)
    for arguments, words in (
        ({"x": [[1], [1, 2]]}, "`x` must be an array"),
        ({"labels": [[1], [1, 2]]}, "`labels` must be an array"),
        ({"backends": 3}, "`backends` must be names"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            verify(model, artifact, **{"x": codes(model), "backends": "reference"} | arguments)
    two = [keras.Input((16,), name=name) for name in "ab"]
    for other in (
        keras.Sequential([keras.Input((7,)), keras_gxnor.GXNORDense(3)]),
        keras.Model(two, keras_gxnor.GXNORDense(3)(keras.layers.Add()(two))),
    ):
        with pytest.raises(InvalidArgumentError, match="the one that the artifact was made of"):
            verify(other, artifact, codes(model), "reference")
    with pytest.raises(InvalidArgumentError, match="`name`"):
        convert(model, "tflite", IMAGE, name=5)
    with pytest.raises(InvalidArgumentError, match="target"):
        convert(model, "onnx")
    with pytest.raises(InvalidArgumentError, match="Remove `input_spec`"):
        convert(artifact.graph, "tflite", IMAGE)
    with pytest.raises(UnsupportedLayerError, match="GXNORDense"):
        convert(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="d")]))
