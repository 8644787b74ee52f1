"""Weights of Larq, QKeras and Keras 3.16, read into keras_gxnor layers.

tests/golden/{larq,qkeras}.h5 were written by those tools (tests/golden/interop.py says which
versions). The other files here are written by tf_keras, which is what they write with.
"""

import json
import pathlib
import shutil

import h5py
import keras
import numpy as np
import pytest

import keras_gxnor as kg
from keras_gxnor import interop
from keras_gxnor.errors import (
    InvalidArgumentError,
    MissingExtraError,
    ModelFileError,
    UnsupportedLayerError,
)

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
L = keras.layers


def _larq_net():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            kg.GXNORConv2D(3, 3, kernel_space="binary", use_bias=False),
            L.BatchNormalization(scale=False),
            kg.DiscreteActivation("binary"),
            kg.GXNORConv2D(4, 2, use_bias=False),
            L.MaxPooling2D(),
            L.BatchNormalization(),
            kg.DiscreteActivation("binary"),
            L.Flatten(),
            kg.GXNORDense(5, kernel_space="binary"),
            L.BatchNormalization(),
            kg.DiscreteActivation("binary"),
            kg.GXNORDense(3),
        ]
    )


def _qkeras_net():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            kg.GXNORConv2D(3, 3),
            L.BatchNormalization(),
            kg.DiscreteActivation("binary"),
            kg.GXNORConv2D(4, 2, use_bias=False),
            L.BatchNormalization(),
            kg.DiscreteActivation("binary"),
            L.Flatten(),
            kg.GXNORDense(5, use_bias=False),
            L.BatchNormalization(),
            kg.DiscreteActivation("binary"),
            kg.GXNORDense(4, kernel_space="binary"),
            L.BatchNormalization(),
            kg.DiscreteActivation("binary"),
            kg.GXNORDense(3),
        ]
    )


SOURCES = {"larq": (interop.from_larq, _larq_net), "qkeras": (interop.from_qkeras, _qkeras_net)}


@pytest.fixture(params=SOURCES)
def source(request):
    """(name, reader, model, what the tool itself computed)."""
    reader, build = SOURCES[request.param]
    keras.utils.set_random_seed(0)
    return request.param, reader, build(), np.load(GOLDEN / f"{request.param}.npz")


def _discrete(model):
    return [layer for layer in model.layers if hasattr(layer, "kernel_space")]


def test_a_network_of_the_tool_itself_computes_the_same(source):
    name, reader, model, expected = source
    assert not np.array_equal(model(expected["images"]), expected["logits"])
    table = reader(GOLDEN / f"{name}.h5", model)
    assert np.array_equal(model(expected["images"], training=False), expected["logits"])
    assert len(table.rows) == sum(bool(layer.weights) for layer in model.layers)
    assert "scales" in str(table) and "not exact" not in str(table)


def test_every_kernel_is_codes_times_scale_exactly(source):
    name, reader, model, expected = source
    with h5py.File(GOLDEN / f"{name}.h5") as file:
        saved = {s.name: s for s in interop.hdf5.read(file)}
    kernels = [key for key in expected.files if key not in ("images", "logits")]
    reader(GOLDEN / f"{name}.h5", model)
    rules = interop.larq._RULES if name == "larq" else interop.qkeras._RULES
    for layer, key in zip(_discrete(model), kernels, strict=True):
        config = saved[key].config["kernel_quantizer"]
        codes, alpha = interop.loading._configured(layer, config, rules)(saved[key].kernel)
        assert np.array_equal(codes * alpha, expected[key])
        assert np.array_equal(layer.kernel.numpy(), np.sign(expected[key]))


def test_pairs_by_order_and_by_name_give_the_same(source, tmp_path):
    name, reader, model, expected = source
    with h5py.File(GOLDEN / f"{name}.h5") as file:
        names = [s.name for s in interop.hdf5.read(file)]
    config = model.get_config()
    weighted = [layer.name for layer in model.layers if layer.weights]
    for entry in config["layers"]:
        if entry["config"]["name"] in weighted:
            entry["config"]["name"] = names[weighted.index(entry["config"]["name"])]
    named = keras.Sequential.from_config(config)
    reader(GOLDEN / f"{name}.h5", named)
    assert np.array_equal(named(expected["images"], training=False), expected["logits"])


def test_weights_alone_need_the_quantizers_that_are_not_usual(source, tmp_path):
    name, reader, model, expected = source
    path = shutil.copy(GOLDEN / f"{name}.h5", tmp_path / "weights.h5")
    with h5py.File(path, "a") as file:
        del file.attrs["model_config"]
    layers = _discrete(model)
    if name == "larq":
        chosen = {
            layers[1].name: interop.SteTern(threshold_value=0.2),
            layers[2].name: interop.MagnitudeAwareSign(),
            layers[3].name: interop.SteTern(ternary_weight_networks=True),
        }
    else:
        chosen = {
            layers[0].name: interop.Ternary(alpha="auto"),
            layers[3].name: interop.Binary(alpha="auto"),
            layers[4].name: interop.Ternary(alpha=1.0, threshold=0.1),
        }
    reader(path, model, kernel_quantizer=chosen)
    assert np.array_equal(model(expected["images"], training=False), expected["logits"])
    with pytest.raises(InvalidArgumentError, match="have no place"):
        rule = interop.MagnitudeAwareSign() if name == "larq" else interop.Ternary(alpha="auto")
        reader(path, model, kernel_quantizer={layers[-1].name: rule} | chosen | {layers[-1].name: rule})


# -- files written by tf_keras ------------------------------------------------------------------


@pytest.fixture
def tf_keras():
    return pytest.importorskip("tf_keras")


def _write(tf_keras, path, *layers, shape=(4,)):
    """A tf_keras model with drawn weights and the names that Larq and QKeras give."""
    model = tf_keras.Sequential([tf_keras.Input(shape), *layers])
    rng = np.random.default_rng(3)
    model.set_weights([rng.uniform(0.1, 1, w.shape) * rng.choice([-1, 1]) for w in model.get_weights()])
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.set_weights([np.abs(w) for w in layer.get_weights()])
    model.save_weights(path)
    return model


def test_nested_models_and_plain_layers(tf_keras, tmp_path):
    K = tf_keras.layers
    inner = tf_keras.Sequential(
        [tf_keras.Input((8,)), K.Dense(8, name="quant_dense"), K.BatchNormalization(name="bn")]
    )
    path = tmp_path / "w.h5"
    theirs = _write(tf_keras, path, K.Dense(8, name="first"), inner, K.Dense(2, name="last"))
    body = keras.Sequential(
        [
            keras.Input((8,)),
            kg.GXNORDense(8, kernel_space="binary", name="quant_dense"),
            L.BatchNormalization(name="bn"),
        ]
    )
    ours = keras.Sequential([keras.Input((4,)), L.Dense(8, name="first"), body, L.Dense(2, name="last")])
    interop.from_larq(path, ours)
    kernel = theirs.get_layer(index=1).layers[0].kernel
    kernel.assign(np.where(kernel.numpy() >= 0, 1, -1))
    x = np.random.default_rng(0).integers(-8, 8, (16, 4)).astype(np.float32)
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-5)
    assert np.array_equal(ours.get_layer("first").kernel, theirs.get_layer("first").kernel)


def test_depthwise_scales_go_channel_by_channel(tf_keras, tmp_path):
    K = tf_keras.layers
    path = tmp_path / "w.h5"
    conv = K.DepthwiseConv2D(2, depth_multiplier=2, use_bias=False, name="q_depthwise_conv2d")
    theirs = _write(tf_keras, path, conv, K.BatchNormalization(), shape=(4, 4, 3))
    ours = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            kg.GXNORDepthwiseConv2D(2, depth_multiplier=2, use_bias=False, kernel_space="binary"),
            L.BatchNormalization(),
        ]
    )
    interop.from_qkeras(path, ours, kernel_quantizer=interop.Binary(alpha="auto"))
    codes, alpha = interop.Binary(alpha="auto")(conv.depthwise_kernel.numpy())
    conv.depthwise_kernel.assign(codes * alpha)
    x = np.random.default_rng(0).integers(-8, 8, (2, 4, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


def _small(space="ternary"):
    layers = [kg.GXNORDense(3, kernel_space=space, name="d"), L.BatchNormalization(name="n")]
    return keras.Sequential([keras.Input((4,)), *layers])


@pytest.fixture
def saved(tf_keras, tmp_path):
    K = tf_keras.layers
    path = tmp_path / "weights.h5"
    _write(tf_keras, path, K.Dense(3, name="quant_dense"), K.BatchNormalization())
    return path


def _refused(path, model, match, error=InvalidArgumentError, **arguments):
    before = [np.array(w) for w in model.get_weights()]
    with pytest.raises(error, match=match):
        interop.from_larq(path, model, **arguments)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_what_does_not_fit_is_refused_and_nothing_is_written(saved):
    interop.from_larq(saved, _small())
    model = keras.Sequential([keras.Input((5,)), kg.GXNORDense(3, name="d"), L.BatchNormalization()])
    _refused(saved, model, r"`d` .* expected `kernel` of shape \(5, 3\). Received: \(4, 3\) in `quant_dense`")
    model = keras.Sequential([keras.Input((4,)), L.BatchNormalization(name="n"), kg.GXNORDense(3)])
    _refused(saved, model, r"`n` .* expected `moving_mean` of shape \(4,\)")
    _refused(saved, keras.Sequential([keras.Input((4,)), kg.GXNORDense(3)]), "has 1 layers with weights")
    model = keras.Sequential(
        [keras.Input((4,)), kg.GXNORDense(3), L.BatchNormalization(scale=False, name="n")]
    )
    _refused(saved, model, "`n` expected scale=True")
    model = keras.Sequential([keras.Input((4,)), kg.GXNORDense(3, kernel_space="z3"), L.BatchNormalization()])
    _refused(saved, model, "kernel space 'z3'")
    _refused(saved, model, "makes kernels of", kernel_quantizer=interop.SteSign())
    _refused(saved, _small(), "must be a rule", kernel_quantizer="ste_tern")
    _refused(saved, _small(), "must be a rule", kernel_quantizer={"d": 0.05})


WRONG_RULES = {
    "class": (interop.SteSign, "an instance"),
    "class of a layer": ({"d": interop.SteSign}, "an instance"),
    "zero": (0, "must be a rule"),
    "no name": ("", "must be a rule"),
    "list": ([], "must be a rule"),
    "unknown layer": ({"nope": interop.SteTern()}, r"some of \['d'\]. Received: \['nope'\]"),
    "other layer": ({"n": interop.SteTern()}, r"some of \['d'\]. Received: \['n'\]"),
    "no pair": (lambda kernel: kernel, "must return a pair"),
    "other shape": (lambda kernel: (np.int8(1), 1.0), "must return a pair"),
}


@pytest.mark.parametrize("case", WRONG_RULES)
def test_what_is_no_rule_for_a_layer_is_refused(case, tmp_path):
    rule, match = WRONG_RULES[case]
    _refused(_written(tmp_path), _small(), match, kernel_quantizer=rule)


KERNEL = np.random.default_rng(5).choice(np.float32([-1, -0.2, 0, 0.2, 1]), (4, 3))


def _written(tmp_path, kernel=KERNEL, config=None, name="kernel"):
    """A file as Keras 2 writes that of a Dense layer `d` and a BatchNormalization `n`."""
    norm = dict.fromkeys(["gamma", "moving_variance"], np.ones(3)) | dict.fromkeys(
        ["beta", "moving_mean"], np.zeros(3)
    )
    with h5py.File(tmp_path / "w.h5", "w") as file:
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
        file.attrs["layer_names"] = ["d", "n"]
        for layer, weights in {"d": {name: kernel}, "n": norm}.items():
            file.create_group(layer).attrs["weight_names"] = [f"{layer}/{w}:0" for w in weights]
            for weight, array in weights.items():
                file[f"{layer}/{layer}/{weight}:0"] = array
    return tmp_path / "w.h5"


def _says(quantizer):
    return {"class_name": "QuantDense", "config": {"name": "d", "kernel_quantizer": quantizer}}


@pytest.mark.parametrize(
    "quantizer",
    [
        "MagnitudeAwareSign",
        "magnitude_aware_sign",
        {"class_name": "MagnitudeAwareSign"},
        {"class_name": "MagnitudeAwareSign", "config": {}},
    ],
)
@pytest.mark.parametrize("inside", [list, lambda layers: {"layers": layers}])
def test_ways_of_keras_2_to_name_a_quantizer(tmp_path, quantizer, inside):
    model = _small("binary")
    table = interop.from_larq(_written(tmp_path, config={"config": inside([_says(quantizer)])}), model)
    assert np.array_equal(model.get_layer("d").kernel, interop.MagnitudeAwareSign()(KERNEL)[0])
    assert "by MagnitudeAwareSign()" in str(table)


def test_a_quantizer_in_a_list_of_layers_is_read(tmp_path):
    quantizer = {"class_name": "SteTern", "config": {"threshold_value": 0.5}}
    model = _small()
    interop.from_larq(_written(tmp_path, config={"config": [_says(quantizer)]}), model)
    codes = interop.SteTern(threshold_value=0.5)(KERNEL)[0]
    assert np.array_equal(model.get_layer("d").kernel, codes)
    assert not np.array_equal(codes, interop.SteTern()(KERNEL)[0])


def test_a_quantizer_of_qkeras_by_its_name(tmp_path):
    model = _small()
    interop.from_qkeras(_written(tmp_path, config={"config": [_says("ternary")]}), model)
    assert np.array_equal(model.get_layer("d").kernel, interop.Ternary()(KERNEL)[0])


@pytest.mark.parametrize(
    "quantizer",
    [
        None,
        3,
        "ternary(alpha=1)",
        {},
        {"class_name": ["SteTern"]},
        {"class_name": "SteTern", "config": 3},
        {"class_name": "SteTern", "config": {"threshold_value": "x"}},
    ],
)
def test_a_quantizer_that_is_not_understood_is_refused(tmp_path, quantizer):
    path = _written(tmp_path, config={"config": [_says(quantizer)]})
    _refused(path, _small(), "`d`: the file says kernel_quantizer=")


@pytest.mark.parametrize("config", [None, [], 3, "x", {}, {"config": None}, {"config": 3}])
def test_a_config_of_no_model_is_refused(tmp_path, config):
    path = _written(tmp_path)
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = json.dumps(config)
    _refused(path, _small(), "config of a Keras model", ModelFileError)


@pytest.mark.parametrize("kernel", [KERNEL.astype(complex), KERNEL.astype("S4")])
def test_weights_that_are_no_real_numbers_are_refused(tmp_path, kernel):
    _refused(_written(tmp_path, kernel), _small(), "must be of real numbers", ModelFileError)


def test_a_closed_file_is_refused(tmp_path):
    with h5py.File(_written(tmp_path)) as file:
        interop.from_larq(file, _small())
    _refused(file, _small(), "an open HDF5 file", ModelFileError)


def test_an_embedding_is_refused_for_what_it_is(tmp_path):
    path = _written(tmp_path, name="embeddings")
    layers = [kg.GXNOREmbedding(4, 3, name="d"), L.BatchNormalization(name="n")]
    model = keras.Sequential([keras.Input((2,)), *layers])
    _refused(path, model, r"`d` .* has \['embeddings'\] and no `kernel`", UnsupportedLayerError)


def test_two_kernels_in_one_layer_are_refused(tf_keras, tmp_path):
    K = tf_keras.layers
    _write(tf_keras, tmp_path / "w.h5", K.SeparableConv2D(3, 2, use_bias=False), shape=(4, 4, 2))
    model = keras.Sequential([keras.Input((4, 4, 2)), kg.GXNORSeparableConv2D(3, 2, name="s")])
    _refused(tmp_path / "w.h5", model, "`s` .* several kernels", UnsupportedLayerError)


def test_a_scale_an_input_channel_is_refused(tf_keras, tmp_path):
    K = tf_keras.layers
    _write(tf_keras, tmp_path / "w.h5", K.Conv2DTranspose(3, 2), K.BatchNormalization(), shape=(4, 4, 2))
    layers = [kg.GXNORConv2DTranspose(3, 2, kernel_space="binary"), L.BatchNormalization()]
    model = keras.Sequential([keras.Input((4, 4, 2)), *layers])
    rule = interop.MagnitudeAwareSign()
    _refused(tmp_path / "w.h5", model, "input channel", UnsupportedLayerError, kernel_quantizer=rule)
    interop.from_larq(tmp_path / "w.h5", model)


@pytest.mark.parametrize("keep", [0, 1, 100, -1000])
def test_a_truncated_file_is_refused(saved, tmp_path, keep):
    path = tmp_path / "cut.h5"
    path.write_bytes(saved.read_bytes()[:keep])
    _refused(path, _small(), "HDF5 file|corrupt|Keras 2", ModelFileError)


def test_other_files_are_refused(tmp_path, saved):
    _refused(tmp_path / "missing.h5", _small(), "Expected an HDF5 file", ModelFileError)
    _refused(None, _small(), "Expected an HDF5 file", ModelFileError)
    (tmp_path / "text.h5").write_text("not HDF5")
    _refused(tmp_path / "text.h5", _small(), "Expected an HDF5 file", ModelFileError)
    _small().save_weights(tmp_path / "keras3.weights.h5")
    _refused(tmp_path / "keras3.weights.h5", _small(), "as Keras 2", ModelFileError)
    with h5py.File(saved, "a") as file:
        file["quant_dense/quant_dense/kernel:0"][0, 0] = np.nan
    _refused(saved, _small(), "NaN or infinity", ModelFileError)
    with h5py.File(saved, "a") as file:
        del file["quant_dense/quant_dense/kernel:0"]
    _refused(saved, _small(), "corrupt", ModelFileError)


def test_what_a_full_model_file_says_and_is_not_read(tmp_path):
    path = shutil.copy(GOLDEN / "qkeras.h5", tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        config = file.attrs["model_config"]
        file.attrs["model_config"] = config.replace('"bias_quantizer": null', '"bias_quantizer": "q"', 1)
    table = interop.from_qkeras(path, _qkeras_net())
    assert table.rows[0].why.startswith("not exact, without bias_quantizer")
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = config.replace('"epsilon": 0.001', '"epsilon": 0.01')
    with pytest.raises(InvalidArgumentError, match="expected epsilon"):
        interop.from_qkeras(path, _qkeras_net())
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = config.replace('"class_name": "ternary"', '"class_name": "bits"')
    with pytest.raises(InvalidArgumentError, match="kernel_quantizer='bits'"):
        interop.from_qkeras(path, _qkeras_net())
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = "{"
    with pytest.raises(ModelFileError, match="corrupt"):
        interop.from_qkeras(path, _qkeras_net())


@pytest.mark.parametrize("alpha", [0.0, -1.0, np.inf, "po2", True, [], np.ones(3)])
@pytest.mark.parametrize("rule", [interop.Binary, interop.Ternary])
def test_alpha_is_checked(rule, alpha):
    with pytest.raises(InvalidArgumentError, match="alpha"):
        rule(alpha=alpha)
    assert rule(alpha=1) == rule(alpha=np.float32(1)) == rule(alpha=1.0)


@pytest.mark.parametrize("value", ["a", -1, np.nan, np.inf, True, [0.1]])
def test_thresholds_are_checked(value):
    with pytest.raises(InvalidArgumentError, match="`threshold_value` must"):
        interop.SteTern(threshold_value=value)
    with pytest.raises(InvalidArgumentError, match="`threshold` must"):
        interop.Ternary(alpha=1.0, threshold=value)


@pytest.mark.parametrize("rounds", [0, -1, 1.5, True, "5", None])
def test_rounds_are_checked(rounds):
    with pytest.raises(InvalidArgumentError, match="`number_of_unrolls` must"):
        interop.Ternary(number_of_unrolls=rounds)


def test_binary_codes_of_0_and_1_are_refused():
    with pytest.raises(InvalidArgumentError, match="use_01"):
        interop.Binary(use_01=True)


@pytest.mark.parametrize("alpha", ["auto", "auto_po2", None])
def test_channels_of_zeros_stay_zeros(alpha):
    kernel = np.zeros((5, 2), np.float32)
    kernel[:, 1] = [1, -1, 0.1, 0, 1]
    codes, scales = interop.Ternary(alpha=alpha)(kernel)
    assert codes[:, 0].tolist() == [0] * 5 and codes[:, 1].tolist() == [1, -1, 0, 0, 1]
    assert np.isfinite(scales).all()


# -- Keras 3.16: stand-ins, since it is not released ----------------------------------------------


class StandIn(keras.layers.Layer):
    """What the documentation of Keras 3.16 says of TernaryDense; NOT Keras' own code."""

    def __init__(self, units, threshold=None, activation=None, divides=False, **kwargs):
        super().__init__(**kwargs)
        self.units, self.threshold, self.divides = units, threshold, divides
        self.activation = keras.activations.get(activation)
        self.frozen = None

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.units))
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="random_normal")

    def _ternary(self):
        size = keras.ops.abs(self.kernel)
        threshold = 0.5 * keras.ops.mean(size) if self.threshold is None else self.threshold
        scale = keras.ops.mean(size) if self.threshold is None else 1.0
        return keras.ops.sign(self.kernel) * keras.ops.cast(size > threshold, "float32"), scale

    def call(self, x):
        codes, scale = self._ternary() if self.frozen is None else self.frozen
        x = keras.ops.matmul(x, codes)
        return self.activation((x / scale if self.divides else x * scale) + self.bias)

    quantized_call = call

    @property
    def quantization_mode(self):
        return getattr(self, "frozen", None) and "ternary"

    def freeze(self):
        """As quantize("ternary"): `kernel` gives codes, `kernel_scale` the scale."""
        codes, scale = self._ternary()
        self.frozen = (codes, 1 / scale if self.divides else scale)
        self.kernel, self.kernel_scale = codes, self.frozen[1]

    def get_config(self):
        return {**super().get_config(), "units": self.units, "threshold": self.threshold}


@pytest.fixture
def keras_316(monkeypatch):
    monkeypatch.setattr(keras.layers, "TernaryDense", StandIn, raising=False)


def _inputs():
    return np.random.default_rng(1).integers(-9, 9, (32, 6)).astype(np.float32)


@pytest.mark.parametrize("arguments", [{}, {"threshold": 0.1}, {"activation": "relu"}, {"divides": True}])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_ternary_layer_of_keras(keras_316, arguments, frozen):
    if arguments.get("divides") and not frozen:
        arguments = {}
    layer = StandIn(4, **arguments)
    layer.build((None, 6))
    expected_codes = np.array(layer._ternary()[0])
    if frozen:
        layer.freeze()
    block = interop.from_keras_ternary(layer)
    assert np.array_equal(block.layers[0].kernel.numpy(), expected_codes)
    np.testing.assert_allclose(block(_inputs()), layer(_inputs()), rtol=1e-5, atol=1e-6)
    if not arguments.get("divides"):
        assert np.array_equal(block(_inputs()), layer(_inputs()))


def test_a_model_with_ternary_layers_of_keras(keras_316):
    inner = keras.Sequential([keras.Input((4,)), StandIn(4, name="t")], name="inner")
    x = inputs = keras.Input((6,))
    x = L.Dense(4, "relu", name="first")(x)
    x = L.Add()([x, inner(x)])
    model = keras.Model(inputs, L.Dense(2)(x))
    new = interop.from_keras_ternary(model)
    assert np.array_equal(new(_inputs()), model(_inputs()))
    assert isinstance(new.get_layer("inner").get_layer("t").layers[0], kg.GXNORDense)


def test_without_keras_316_one_line_says_so():
    assert not hasattr(keras.layers, "TernaryDense")
    with pytest.raises(MissingExtraError, match=r'^Ternary layers came .* pip install "keras>=3.16"$'):
        interop.from_keras_ternary(keras.Sequential([keras.Input((4,)), L.Dense(2)]))


def _built(layer):
    layer.build((None, 6))
    return layer


def test_a_dense_without_keras_316_is_told_of_it():
    with pytest.raises(MissingExtraError, match=r"keras>=3\.16"):
        interop.from_keras_ternary(_built(L.Dense(2)))


@pytest.mark.parametrize("given", [None, 3, "x", type, L.Dense, [], np.ones(3)])
def test_what_is_no_layer_is_no_matter_of_the_version(given):
    with pytest.raises(InvalidArgumentError, match="Expected a Keras model or layer"):
        interop.from_keras_ternary(given)


@pytest.mark.parametrize("build", [lambda: L.Dense(2), lambda: keras.Sequential([L.Dense(2)])])
def test_what_is_not_built_is_no_matter_of_the_version(build):
    with pytest.raises(InvalidArgumentError, match="is not built"):
        interop.from_keras_ternary(build())


@pytest.mark.parametrize(
    "build", [_small, lambda: _small().layers[0], lambda: _built(L.BatchNormalization())]
)
def test_what_no_version_makes_ternary_is_no_matter_of_the_version(build):
    with pytest.raises(InvalidArgumentError, match="Expected a TernaryDense"):
        interop.from_keras_ternary(build())


def test_what_is_no_ternary_layer_of_keras_is_refused(keras_316):
    with pytest.raises(InvalidArgumentError, match="Expected a TernaryDense"):
        interop.from_keras_ternary(_built(L.Dense(2)))
    with pytest.raises(InvalidArgumentError, match="not built"):
        interop.from_keras_ternary(StandIn(2))
    layer = StandIn(2)
    layer.build((None, 6))
    layer.kernel.assign(np.full((6, 2), np.nan))
    with pytest.raises(InvalidArgumentError, match="finite"):
        interop.from_keras_ternary(layer)


def test_a_layer_that_computes_something_else_is_refused(keras_316):
    layer = StandIn(2, activation=keras.activations.relu)
    layer.build((None, 6))
    layer.freeze()
    layer.kernel_scale = layer.kernel_scale * 3
    layer.bias.assign([2.0, 3.0])
    with pytest.raises(InvalidArgumentError, match="does not compute codes times a scale"):
        interop.from_keras_ternary(layer)
