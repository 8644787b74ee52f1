"""Every kind of model under the default scale 1/255, and data flows that must not be misread."""

import collections
import dataclasses

import keras
import numpy as np
import pytest

from keras_gxnor import DiscreteActivation, GXNORConv2D, GXNORDense, GXNOREmbedding, InputSpec, reference
from keras_gxnor.converters import convert, interpreters, tflite, verification, verify
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.errors import (
    ArtifactError,
    InvalidArgumentError,
    UnsupportedGraphError,
    UnsupportedLayerError,
)
from keras_gxnor.lowering.advice import NOTHING
from tests.conformance.samples import SAMPLES, Chain, inputs
from tests.unit.test_lowering import IMAGE, INEXACT, MODELS, codes, functional, randomize

L = keras.layers
LITE = list(interpreters.KERNELS)
FAST = ("reference", "litert_xnnpack")


def act(x):
    return DiscreteActivation()(L.BatchNormalization()(x))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MODELS, *INEXACT])
def test_every_model_verifies_whatever_the_input_scale(name):
    """With 1/255 Keras rounds its sums; all that differs must be that rounding."""
    model = {**MODELS, **INEXACT}[name]()
    spec = InputSpec()
    if name in ("average_sums", "average_to_logits"):  # averages of rounded sums
        with pytest.raises(UnsupportedLayerError, match="rounded numbers"):
            convert(model, "tflite", spec)
        return
    if name == "rescaling":
        spec = InputSpec(scale=1.0)
    artifact = convert(model, "tflite", spec, check=False)
    report = verify(model, artifact, codes(model, count=40), FAST)
    assert report.ok, report


@pytest.mark.parametrize("kind", sorted(NOTHING, key=lambda kind: kind.__name__))
def test_layers_that_do_nothing_keep_what_is_known_of_a_tensor(kind):
    bare = {"RandomTranslation": (0.1, 0.1), **dict.fromkeys(["RandomFlip", "Identity"], ())}
    layer = kind(*bare.get(kind.__name__, (0.1,)))
    sequence = kind is L.SpatialDropout1D
    pool, shapes = (L.MaxPooling1D(), [(16, 2)]) if sequence else (L.MaxPooling2D(), [])
    model = functional(lambda x: layer(pool(layer(x))), *shapes)
    artifact = convert(model, "tflite", InputSpec(), check=False)
    assert verify(model, artifact, codes(model, count=60), FAST).ok


@pytest.mark.parametrize("merge", [L.Add, L.Subtract, L.Concatenate])
def test_merged_inputs_keep_what_is_known_of_them(merge):
    model = functional(lambda a, b: L.Activation("linear")(merge()([a, b])), (8,), (8,))
    artifact = convert(model, "tflite", InputSpec(), check=False)
    assert verify(model, artifact, codes(model, count=60), FAST).ok


def test_a_model_that_overrides_call_is_refused():
    class Negated(keras.Model):
        def call(self, x, training=False):
            return -super().call(x, training=training)

    class Twice(keras.Sequential):
        def call(self, x, training=False):
            return 2 * super().call(x)

    x = keras.Input((6,))
    for model in (Negated(x, GXNORDense(3)(x)), Twice([x, GXNORDense(3)])):
        for outer in (model, keras.Model(x, model(x))):
            with pytest.raises(UnsupportedLayerError, match="data flow cannot be read"):
                convert(outer, "tflite", IMAGE)


def test_a_misread_data_flow_is_a_mismatch_and_no_rounding(monkeypatch):
    """The file and the walk agree on a wrong order of inputs; plain Keras does not."""
    from keras_gxnor import topology

    def swapped(model, read=topology.read):
        found = read(model)
        calls = [topology.Call(c.layer, c.inputs[::-1], c.output) for c in found.calls]
        return dataclasses.replace(found, calls=tuple(calls))

    model = functional(lambda a, b: L.Subtract()([act(GXNORDense(9)(a)), act(GXNORDense(9)(b))]), (6,), (6,))
    q = codes(model, count=40)
    assert verify(model, convert(model, "tflite", InputSpec()), q, FAST).ok
    monkeypatch.setattr(topology, "read", swapped)
    report = verify(model, convert(model, "tflite", InputSpec(), check=False), q, FAST)
    assert not report.ok and report.border == 0


def test_dicts_that_keras_assigns_by_name_are_refused():
    b, a = keras.Input((6,), name="in_b"), keras.Input((6,), name="in_a")
    inner = keras.Model([b, a], L.Subtract()([act(GXNORDense(5)(b)), act(GXNORDense(5)(a))]))
    x, y = keras.Input((6,)), keras.Input((6,))
    with pytest.raises(UnsupportedLayerError, match="called with a dict"):
        convert(keras.Model([x, y], GXNORDense(3)(inner({"in_a": x, "in_b": y}))), "tflite", IMAGE)
    model = randomize(keras.Model([x, y], GXNORDense(3)(inner([x, y]))))
    assert verify(model, convert(model, "tflite", IMAGE), codes(model), FAST).ok
    ordered = keras.Model(collections.OrderedDict(z=x, c=y), GXNORDense(3)(L.Concatenate()([x, y])))
    with pytest.raises(UnsupportedLayerError, match="OrderedDict"):
        convert(ordered, "tflite", IMAGE)


def test_one_spec_serves_all_inputs():
    model = MODELS["two_inputs"]()
    for spec in (None, IMAGE, (IMAGE, IMAGE)):
        artifact = convert(model, "tflite", spec)
        assert len(artifact.input_spec) == 2
        assert verify(model, artifact, codes(model), FAST).ok
    for spec in ([], {}, 0, (IMAGE,)):
        with pytest.raises(InvalidArgumentError, match=r"input_spec|2 inputs"):
            convert(model, "tflite", spec)


def test_back_ends_that_cannot_take_the_model_are_named():
    """C lists a pixel at once, and tells 8,190 channels of one apart."""
    chain = Chain("net", (2, 1, 2)).conv(8200, 1).step().flatten().dense(4).step().dense(2).logits()
    graph = chain.graph()
    artifact = convert(graph, "tflite", check=False)
    report = verify(graph, artifact, inputs(graph, 4))
    assert report.ok and report.omitted == ("c_host", "c_cortex_m4")
    assert "not run" in str(report) and set(report.images) == {"reference", *LITE}
    with pytest.raises(UnsupportedGraphError, match="a Dense reads may have 8190 channels"):
        verify(graph, artifact, inputs(graph, 4), ["c_host"])


AFTER_AVERAGE = {
    "convolution": lambda x: x,
    "activation": act,
    "padding": lambda x: L.ZeroPadding2D(1)(x),
    "pool": lambda x: L.MaxPooling2D(1)(x),
    "add": lambda x: L.Add()([x, x]),
    "concatenate": lambda x: L.Concatenate()([x, x]),
}


@pytest.mark.parametrize("name", AFTER_AVERAGE)
@pytest.mark.parametrize("keepdims", [True, False])
def test_whole_averages_in_the_middle_of_a_net(name, keepdims):
    def body(x):
        x = L.GlobalAveragePooling2D(keepdims=True)(act(GXNORConv2D(8, 3, padding="same")(x)))
        x = act(GXNORConv2D(6, 1)(AFTER_AVERAGE[name](x)))
        return x if keepdims else L.Flatten()(x)

    model = functional(body, (4, 4, 2))
    for weights in ("int8", "int4"):
        artifact = convert(model, "tflite", IMAGE, weights=weights)
        report = verify(model, artifact, codes(model, count=60), LITE)
        assert report.ok, report


def test_nan_ends_and_differs():
    model = MODELS["average_of_nine"]()
    artifact = convert(model, "tflite", IMAGE)
    model.layers[1].gamma.assign(np.full(5, np.nan))
    report = verify(model, artifact, codes(model), ("reference",))
    assert not report.ok


def test_labels_are_checked():
    model = MODELS["mlp"]()
    artifact, q = convert(model, "tflite", IMAGE), codes(model)
    for labels in (0, ["a"] * len(q), np.zeros(3, int), np.zeros((len(q), 1), int), np.zeros(len(q))):
        with pytest.raises(InvalidArgumentError, match="`labels` must be"):
            verify(model, artifact, q, FAST, labels=labels)


def test_inputs_have_their_names():
    """Specs and codes in a dict, in any order; messages and the report say which input they mean."""
    tokens, image = keras.Input((6,), name="tokens"), keras.Input((4,), name="image")
    read = L.Flatten()(GXNOREmbedding(20, 3)(tokens)), act(GXNORDense(5)(image))
    model = randomize(keras.Model([tokens, image], GXNORDense(3)(L.Concatenate()(read))))
    specs = {"image": IMAGE, "tokens": InputSpec(scale=1, zero_point=0)}
    artifact, (_, q) = convert(model, "tflite", specs), codes(model, count=40)
    assert artifact.input_spec == (specs["tokens"], IMAGE)
    assert artifact.files == convert(model, "tflite", artifact.input_spec).files
    words = np.random.default_rng(0).integers(0, 20, (40, 6)).astype(np.uint8)
    report = verify(model, artifact, {"image": q, "tokens": words}, FAST)
    assert report.ok and "input `tokens`: Keras sees 1 *" in str(report) and "input `image`: " in str(report)
    assert verify(artifact.graph, artifact, {"image": q, "tokens": words}, FAST).ok
    assert [node.name for node in artifact.graph.nodes[:2]] == ["tokens", "image"]
    for wrong, match in (
        ({"image": q}, r"`x` must have the inputs' names as keys, \['tokens', 'image'\]"),
        ((words, q / 2), r"`x\[1\]` \(input `image`\) must hold the integer codes"),
        ({"image": q, "tokens": words + 20}, r"0\.\.19, .* input `tokens`\. Received"),
        (q, r"one an input: \['tokens', 'image'\]"),
    ):
        with pytest.raises(InvalidArgumentError, match=match):
            verify(model, artifact, wrong, FAST)
    for wrong in ({"image": IMAGE}, {"image": IMAGE, "tokens": 3}, (IMAGE,) * 3):
        with pytest.raises(InvalidArgumentError, match=r"\['tokens', 'image'\]"):
            convert(model, "tflite", wrong)


def test_one_logit_tells_two_classes_by_its_sign():
    model = functional(lambda x: GXNORDense(1)(act(GXNORDense(9)(x))), (6,), outputs=True)
    artifact, q = convert(model, "tflite", IMAGE), codes(model, count=60)
    labels = (reference.run(artifact.graph, q)[:, 0] > 0).astype(int)
    assert 0 < labels.mean() < 1
    assert verify(model, artifact, q, FAST, labels=labels).accuracy == 1
    assert verify(model, artifact, q, FAST, labels=labels == 0).accuracy == 0
    with pytest.raises(InvalidArgumentError, match=r"must be 0 or 1.*Received: 0\.\.2"):
        verify(model, artifact, q, FAST, labels=2 * labels)
    assert verification.count_mismatches(np.float32([[1], [2]]), np.float32([[-1], [3]])) == (2, 1)
    with pytest.raises(UnsupportedGraphError, match=r'two logits or more.*"float32".*logit > 0'):
        convert(model, "tflite", IMAGE, outputs="argmax")


def test_wrong_classes_are_counted_as_such():
    graph = SAMPLES["cnn_small"]()
    artifact = tflite.emit(graph, "net", outputs="argmax")
    shifted = type(graph)((*graph.nodes[:-1], _shifted(graph)), graph.outputs)
    other = tflite.emit(shifted, "net", outputs="argmax")
    broken = Artifact("tflite", "net", graph, other.files, outputs="argmax")
    report = verify(graph, broken, inputs(graph, 20), "litert_builtin")
    assert report.class_mismatches == report.mismatches and report.mismatches["litert_builtin"] > 0
    assert verify(graph, artifact, inputs(graph, 20), "litert_builtin").ok


def _shifted(graph):
    """The last node with logits that prefer the last class."""
    node = graph.nodes[-1]
    offset = np.zeros_like(node.op.offset)
    offset[-1] = 1e6
    return type(node)(node.name, type(node.op)(node.op.scale, offset), node.inputs)


def test_a_folder_in_the_way_leaves_all_files_as_they_were(tmp_path):
    names = ("a.h", "b.h", "c.h")
    old, new = (Artifact("c", "net", None, dict.fromkeys(names, data)) for data in (b"old", b"new"))
    old.write(tmp_path)
    (tmp_path / "b.h").unlink()
    (tmp_path / "b.h").mkdir()
    with pytest.raises(ArtifactError, match=r"b\.h are folders"):
        new.write(tmp_path, force=True)
    assert (tmp_path / "a.h").read_bytes() == (tmp_path / "c.h").read_bytes() == b"old"
