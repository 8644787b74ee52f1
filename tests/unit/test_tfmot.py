"""The bridge to tensorflow-model-optimization: training in tfmot, models of tfmot in Keras 3."""

import os
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gxnor as kg
from keras_gxnor.errors import InvalidArgumentError, UnsupportedLayerError
from keras_gxnor.quantizers import MultiStep, QuantizedReLU
from keras_gxnor.tfmot import extra
from tests.tools import executed

pytest.importorskip("tf_keras")


@pytest.fixture(scope="module")
def K():
    """tf_keras."""
    extra.tf_keras().utils.set_random_seed(0)
    return extra.tf_keras()


@pytest.fixture(scope="module")
def Q():
    """tfmot.quantization.keras."""
    return extra.tfmot().quantization.keras


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (96, 6, 6, 1)).astype(np.float32) / 128
    return x, (x[:, :3].mean((1, 2, 3)) > x[:, 3:].mean((1, 2, 3))).astype(int)


def _two_bits(Q):
    return Q.experimental.default_n_bit.DefaultNBitQuantizeScheme(num_bits_weight=2)


def _fit(K, model, data, epochs=2):
    loss = K.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(K.optimizers.Adam(1e-2), loss)
    return model.fit(*data, epochs=epochs, batch_size=32, verbose=0).history["loss"]


def _plain(K):
    L = K.layers
    return K.Sequential(
        [
            K.Input((6, 6, 1)),
            L.Conv2D(4, 3, use_bias=False, name="c"),
            L.BatchNormalization(name="n"),
            L.ReLU(name="r"),
            L.MaxPooling2D(name="p"),
            L.Conv2D(5, 2, activation="relu", name="c2"),
            L.Flatten(name="f"),
            L.Dense(8, name="d"),
            L.BatchNormalization(name="n2"),
            L.Activation("relu", name="a"),
            L.Dropout(0.1, name="drop"),
            L.Dense(2, name="o"),
        ]
    )


def _ours(K, Q, window):
    """A model whose every kernel and activation is ours, as the documentation of tfmot builds it."""
    L, Config = K.layers, kg.tfmot.TernaryQuantizeConfig
    annotate = Q.quantize_annotate_layer
    return K.Sequential(
        [
            K.Input((6, 6, 1)),
            annotate(L.Conv2D(4, 3, use_bias=False, name="c"), Config(window)),
            L.BatchNormalization(name="n"),
            annotate(L.Activation("linear", name="s"), Config(activation="ternary")),
            annotate(L.DepthwiseConv2D(2, depth_multiplier=2, name="dw"), Config(window, "uint8")),
            L.Flatten(name="f"),
            annotate(L.Dense(8, name="d"), Config(window)),
            L.BatchNormalization(name="n2"),
            annotate(L.ReLU(name="r"), Config(activation="uint8")),
            annotate(L.Dense(2, name="o"), Config(window)),
        ]
    )


def _kernels(model):
    """Name -> kernel as the wrappers have computed it in the last call, which was eager."""
    found = {}
    for wrapper in model.layers:
        for name in ("depthwise_kernel", "kernel"):
            if hasattr(getattr(wrapper, "layer", None), name):
                found[wrapper.layer.name] = np.array(getattr(wrapper.layer, name))
    return found


@pytest.fixture(scope="module")
def two_bits(K, Q, data):
    """(a model of tfmot with 2-bit kernels, its logits, its kernels)."""
    model = Q.quantize_apply(Q.quantize_annotate_model(_plain(K)), _two_bits(Q))
    _fit(K, model, data)
    return model, np.array(model(data[0], training=False)), _kernels(model)


def test_kernels_of_two_bits_are_exact(two_bits, data, capsys):
    theirs, logits, kernels = two_bits
    ours = kg.tfmot.from_tfmot(theirs)
    table = capsys.readouterr().out
    assert set(kernels) == {"c", "c2", "d", "o"}
    for name, kernel in kernels.items():
        codes = ours.get_layer(name).kernel.numpy()
        scale = np.abs(kernel).max(tuple(range(kernel.ndim - 1)))
        assert ours.get_layer(name).kernel_space == kg.DiscreteSpace(1) and codes.any()
        assert np.array_equal(codes * scale, kernel)
    assert "not exact: range" in table and table.count("codes exact") == 4
    assert np.mean(np.argmax(ours(data[0]), 1) == np.argmax(logits, 1)) > 0.9
    ranges = [layer.resolved().range for layer in ours.layers if isinstance(layer, kg.DiscreteActivation)]
    assert len(ranges) == 3 and all(np.log2(r) == round(np.log2(r)) for r in ranges)


def test_a_folded_normalization_computes_the_same(K, Q, data):
    """Without quantized activations the two must agree but for the order of roundings."""
    L = K.layers
    linear = K.Sequential(
        [
            K.Input((6, 6, 1)),
            L.Conv2D(4, 3, name="c"),
            L.BatchNormalization(name="n", scale=False),
            L.Flatten(),
            L.Dense(3, name="o"),
        ]
    )
    theirs = Q.quantize_apply(Q.quantize_annotate_model(linear), _two_bits(Q))
    theirs(data[0], training=True)  # finds ranges and moves the moving statistics
    kernels = (theirs(data[0], training=False), _kernels(theirs))[1]
    norm = linear.get_layer("n").__class__(scale=False)
    ours = kg.tfmot.from_tfmot(theirs, verbose=False)
    x, weights = data[0], {layer.name: layer for layer in theirs.layers}
    bias = {name: weights[f"quant_{name}"].layer.bias.numpy() for name in "co"}
    mid = np.array(K.backend.conv2d(x, kernels["c"])) + bias["c"]
    norm.build(mid.shape)
    norm.set_weights(weights["quant_n"].layer.get_weights())
    expected = np.array(norm(mid)).reshape(len(x), -1) @ kernels["o"] + bias["o"]
    np.testing.assert_allclose(ours(x), expected, rtol=1e-4, atol=1e-4)


def test_eight_bits_stay_eight_bits(K, Q, data):
    theirs = Q.quantize_model(_plain(K))
    theirs(data[0], training=True)
    kernels, ours = _kernels(theirs), kg.tfmot.from_tfmot(theirs, verbose=False)
    for name in ("c", "c2", "d", "o"):
        layer = ours.get_layer(name)
        assert kg.spaces.serialize(layer.kernel_space) == "int8"
        codes = layer.kernel.numpy()
        step = np.abs(kernels[name]).max() / np.abs(codes).max() if name in "do" else None
        if step is not None:
            assert np.abs(codes * step - kernels[name]).max() < step / 1000
    kg.lowering.from_keras(ours, kg.InputSpec("int8", 1 / 128))


def test_our_quantizers_train_in_tfmot_and_are_carried_exactly(K, Q, data):
    theirs = Q.quantize_apply(_ours(K, Q, None))
    before = {w.name: w.numpy() for w in theirs.trainable_weights}
    losses = _fit(K, theirs, data, 4)
    assert losses[-1] < losses[0]
    assert all(not np.array_equal(w.numpy(), before[w.name]) for w in theirs.trainable_weights)
    logits = np.array(theirs(data[0], training=False))
    kernels, ours = _kernels(theirs), kg.tfmot.from_tfmot(theirs, verbose=False)
    assert set(kernels) == {"c", "dw", "d", "o"}
    for name, kernel in kernels.items():
        codes = ours.get_layer(name).kernel.numpy()
        axes = tuple(range(kernel.ndim - (2 if name == "dw" else 1)))
        scale = np.abs(kernel).max(axes)
        assert np.array_equal(codes * scale, kernel)
        for channel in np.rollaxis(kernel.reshape(-1, scale.size), 1):
            assert len(np.unique(np.abs(channel[channel != 0]))) == 1
    np.testing.assert_allclose(ours(data[0]), logits, rtol=1e-4, atol=1e-5)


def test_a_fixed_window_is_exact_to_the_last_bit_and_survives_a_file(K, Q, data, tmp_path):
    theirs = Q.quantize_apply(_ours(K, Q, 0.25))
    theirs(data[0], training=True)
    ours = kg.tfmot.from_tfmot(theirs, verbose=False)
    logits = theirs(data[0], training=False)
    assert np.array_equal(ours(data[0], training=False), logits)
    graph = kg.lowering.from_keras(ours, kg.InputSpec("int8", 1 / 128))
    q = (data[0] * 128).astype(np.int8)
    assert np.array_equal(kg.reference.run(graph, q), ours(data[0], training=False))
    theirs.save(tmp_path / "m.h5")
    with Q.quantize_scope():
        loaded = K.models.load_model(tmp_path / "m.h5")
    assert np.array_equal(loaded(data[0], training=False), logits)
    again = kg.tfmot.from_tfmot(loaded, verbose=False)
    assert np.array_equal(again(data[0], training=False), logits)


def test_the_range_of_a_relu_follows_the_data(K):
    from keras_gxnor.tfmot.config import DiscreteOutputs

    class Owner(K.layers.Layer):
        pass

    quantizer = DiscreteOutputs(QuantizedReLU("uint8", 1.0))
    variables = quantizer.build(None, "output", Owner())
    x = np.float32([[0.0, 30.0]])
    assert np.array(quantizer(x, False, variables)).max() < 1
    for _ in range(100):
        quantizer(x, True, variables)
    assert float(variables["log2_range"]) == 5
    assert np.array_equal(quantizer(x, False, variables), QuantizedReLU("uint8", 32.0)(x))


def test_a_functional_graph_with_shared_layers(K, Q):
    L = K.layers
    inputs = [K.Input((4,), name="i"), K.Input((4,), name="j")]
    shared = L.Dense(4, name="shared")
    a, b = (shared(x) for x in inputs)
    y = L.Add(name="add")([a, L.Concatenate(name="cat")([L.Dense(2, name="l")(a), L.Dense(2, name="k")(b)])])
    theirs = K.Model(inputs, [L.Dense(3, "softmax", name="o")(y), L.Subtract(name="sub")([a, b])])
    for layer in theirs.layers:
        if layer.get_weights():
            kernel, bias = layer.get_weights()
            layer.set_weights([np.sign(kernel) * 0.5, np.float32(np.arange(bias.size))])
    ours = kg.tfmot.from_tfmot(theirs, verbose=False)
    x = [np.random.default_rng(i).integers(-9, 9, (16, 4)).astype(np.float32) for i in (0, 1)]
    expected, got = theirs(x), ours(x)
    np.testing.assert_allclose(keras.ops.softmax(got[0]), expected[0], rtol=1e-5, atol=1e-7)
    assert np.array_equal(got[1], expected[1])  # scales of 2^-k: the same sums, the same roundings
    assert [type(layer).__name__ for layer in ours.layers].count("GXNORDense") == 4


def _layers(K):
    return [K.layers.Dense(4, name="c"), K.layers.BatchNormalization(name="n"), K.layers.ReLU(name="r")]


def test_clustered_and_pruned_models_only_as_a_start(K):
    tfmot = extra.tfmot()
    start = tfmot.clustering.keras.CentroidInitialization.LINEAR
    cluster = {"number_of_clusters": 3, "cluster_centroids_init": start}
    for wrapped in (
        tfmot.clustering.keras.cluster_weights(_dense(K, *_layers(K), shape=(6,)), **cluster),
        tfmot.sparsity.keras.prune_low_magnitude(_dense(K, *_layers(K), shape=(6,))),
    ):
        with pytest.raises(UnsupportedLayerError, match=r"Layer `c` .* or take the nearest codes"):
            kg.tfmot.from_tfmot(wrapped)
        ours = kg.tfmot.from_tfmot(wrapped, approximate=True, verbose=False)
        assert [layer.name for layer in ours.layers][1:4] == ["c", "n", "r"]
        assert set(np.unique(ours.get_layer("c").kernel)) == {-1, 0, 1}
        assert ours(np.ones((3, 6))).shape == (3, 4)


def test_what_a_clustered_kernel_becomes_is_named(K, capsys):
    tfmot = extra.tfmot()
    start = tfmot.clustering.keras.CentroidInitialization.LINEAR
    model = _dense(K, K.layers.Dense(4, name="d"))
    options = {"number_of_clusters": 3, "cluster_centroids_init": start}
    wrapped = tfmot.clustering.keras.cluster_weights(model, **options)
    ours = kg.tfmot.from_tfmot(wrapped, approximate=True)
    assert "not exact: the nearest codes" in capsys.readouterr().out
    kernel = tfmot.clustering.keras.strip_clustering(wrapped).layers[0].kernel.numpy()
    assert np.array_equal(ours.get_layer("d").kernel.numpy(), kg.conversion.numbers.twn(kernel)[0])


def test_the_converted_model_trains_on_and_lowers(two_bits, data):
    ours = kg.tfmot.from_tfmot(two_bits[0], verbose=False)
    frozen = ours.get_layer("o_scale")
    before, kernel = [w.numpy() for w in frozen.weights], ours.get_layer("c2").kernel.numpy()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    ours.compile(kg.DSTOptimizer(), loss)
    ours.fit(*data, epochs=1, verbose=0)
    assert not np.array_equal(ours.get_layer("c2").kernel.numpy(), kernel)
    assert all(np.array_equal(w.numpy(), b) for w, b in zip(frozen.weights, before))
    graph = kg.lowering.from_keras(ours, kg.InputSpec("int8", 1 / 128))
    q = (data[0] * 128).astype(np.int8)
    assert np.array_equal(kg.reference.run(graph, q), ours(data[0], training=False))


def _dense(K, *layers, shape=(4,)):
    return K.Sequential([K.Input(shape), *layers])


@pytest.mark.parametrize(
    "layer, match",
    [
        (lambda K: K.layers.LSTM(3, name="x"), r"Layer `x` \(LSTM\) cannot be carried over"),
        (lambda K: K.layers.Lambda(abs, name="x"), r"Layer `x` \(Lambda\)"),
        (lambda K: K.layers.BatchNormalization(axis=1, name="x"), "must normalize the last axis"),
        (lambda K: K.layers.ReLU(negative_slope=0.1, name="x"), "plain one"),
        (lambda K: K.Sequential([K.layers.Dense(2)], name="x"), "Model `x` is nested"),
        (lambda K: K.layers.TimeDistributed(K.layers.Dense(2), name="x"), r"`x` \(TimeDistributed\)"),
        (lambda K: K.layers.Dense(3, name="x"), "has a kernel of 12 values"),
        (lambda K: K.layers.Softmax(axis=1, name="x"), r"`x` \(Softmax\) must go over the last axis.*axis=1"),
        (lambda K: K.layers.Activation("hard_sigmoid", name="x"), "activation=hard_sigmoid"),
        (lambda K: K.layers.Activation(lambda x: 2 * x, name="x"), "`x`.*activation=<lambda>"),
        (
            lambda K: K.layers.Dense(4, K.layers.ReLU(), kernel_initializer="ones", name="x"),
            "activation=ReLU",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused(K, layer, match):
    with pytest.raises(UnsupportedLayerError, match=match):
        kg.tfmot.from_tfmot(_dense(K, layer(K), shape=(5, 4)))


def test_activations_are_the_same_functions(K):
    """All of tf_keras and TensorFlow that are carried, bit for bit; a namesake is not enough."""
    x = np.linspace(-9, 9, 999, dtype=np.float32)[None]
    named = ("elu", "exponential", "gelu", "mish", "relu", "selu", "softmax", "softplus", "swish", "tanh")
    functions = {name: getattr(K.activations, name) for name in named}
    functions |= {f"nn_{name}": getattr(tf.nn, name) for name in ("leaky_relu", "relu6", "silu", "softmax")}
    for name, function in functions.items():
        layers = [K.layers.Activation(function, name=name), K.layers.Flatten()]
        ours = kg.tfmot.from_tfmot(_dense(K, *layers, shape=(999,)), verbose=False)
        if name == "relu":
            assert isinstance(ours.get_layer(name), kg.DiscreteActivation)
        else:
            assert np.array_equal(ours(x), function(tf.constant(x))), name

    def tanh(x):
        return -x

    with pytest.raises(UnsupportedLayerError, match="activation=tanh"):
        kg.tfmot.from_tfmot(_dense(K, K.layers.Activation(tanh)))


def test_only_a_softmax_at_the_end_is_left_out(K):
    inputs, shared = K.Input((4,)), K.layers.Softmax(axis=1, name="s")
    model = K.Model(inputs, [shared(inputs), K.layers.Flatten()(shared(inputs))])
    x = np.float32([[1, 2, 3, 5]])
    for got, expected in zip(kg.tfmot.from_tfmot(model, verbose=False)(x), model(x)):
        assert np.array_equal(got, expected)
    logits = kg.tfmot.from_tfmot(_dense(K, K.layers.Softmax()), verbose=False)
    assert np.array_equal(logits(x), x)


@pytest.mark.parametrize(
    "arguments",
    [
        {"strides": 2, "output_padding": 0},
        {"strides": 2, "output_padding": 1},
        {"strides": 3, "output_padding": (2, 0), "padding": "same"},
        {"dilation_rate": 2},
    ],
)
def test_a_transposed_convolution_keeps_its_arguments(K, arguments):
    theirs = _dense(K, K.layers.Conv2DTranspose(3, 3, **arguments, name="t"), shape=(5, 6, 2))
    rng = np.random.default_rng(0)
    theirs.set_weights([rng.integers(-1, 2, w.shape).astype(np.float32) for w in theirs.get_weights()])
    ours = kg.tfmot.from_tfmot(theirs, verbose=False)
    x = rng.integers(-3, 4, (2, 5, 6, 2)).astype(np.float32)
    assert np.array_equal(ours(x), theirs(x))
    with pytest.raises(UnsupportedLayerError, match=r"`t`.*output_padding or dilation_rate"):
        kg.lowering.from_keras(ours, kg.InputSpec("int8", 1 / 128))


def test_other_models_are_refused(K):
    class Subclassed(K.Model):
        def call(self, x):
            return x

    subclassed = Subclassed()
    subclassed(np.ones((1, 2)))
    unbuilt = K.Sequential([K.layers.Dense(2)])
    for model in (subclassed, unbuilt, keras.Sequential([keras.Input((2,))]), K.layers.Dense(2), None):
        with pytest.raises(InvalidArgumentError, match="Expected a built tf_keras Sequential or Functional"):
            kg.tfmot.from_tfmot(model)


def test_dicts_of_tensors_are_refused(K):
    i, j = K.Input((4,)), K.Input((4,))
    for inputs, outputs in (({"a": i}, K.layers.Flatten()(i)), (j, {"a": K.layers.Flatten()(j)})):
        with pytest.raises(UnsupportedLayerError, match=r"lists of tensors. Received: a dict of \['a'\]"):
            kg.tfmot.from_tfmot(K.Model(inputs, outputs))


def test_channels_first_only_without_scale_and_bias(K):
    conv = K.layers.Conv2D(4, 2, data_format="channels_first", name="x")
    model = _dense(K, conv, shape=(2, 5, 5))
    codes = np.sign(conv.kernel.numpy())
    conv.set_weights([codes, np.zeros(4, np.float32)])
    assert np.array_equal(kg.tfmot.from_tfmot(model, verbose=False).get_layer("x").kernel, codes)
    normalized = _dense(K, conv, K.layers.BatchNormalization(), shape=(2, 5, 5))  # 4 wide as well
    for weights in ([codes / 2, np.zeros(4)], [codes, np.ones(4)]):
        conv.set_weights(weights)
        for refused in (model, normalized):
            with pytest.raises(UnsupportedLayerError, match=r"`x`.*data_format='channels_first'"):
                kg.tfmot.from_tfmot(refused)


def test_what_does_not_train_does_not_train_here(K):
    model = _dense(K, *_layers(K), K.layers.Dense(2, name="o"))
    model.get_layer("c").trainable = model.get_layer("n").trainable = False
    ours = kg.tfmot.from_tfmot(model, approximate=True, verbose=False)
    trains = {layer.name: layer.trainable for layer in ours.layers}
    assert not trains["c"] and not trains["n"] and trains["r"] and trains["o"]


@pytest.mark.parametrize("approximate", ["yes", None, 1])
def test_approximate_is_a_bool(K, approximate):
    with pytest.raises(InvalidArgumentError, match=r"`approximate` must be a bool. Received"):
        kg.tfmot.from_tfmot(_dense(K, K.layers.Dense(2)), approximate=approximate)


def test_weights_that_are_no_numbers_are_refused(K):
    for index in (0, 1):
        model = _dense(K, K.layers.Dense(3, name="x"))
        weights = [np.sign(w) for w in model.get_weights()]
        weights[index].flat[0] = np.nan
        model.set_weights(weights)
        with pytest.raises(InvalidArgumentError, match=r"`x`.* finite numbers"):
            kg.tfmot.from_tfmot(model)


@pytest.mark.parametrize(
    "arguments",
    [{"window": -1}, {"window": float("nan")}, {"window": "a"}, {"window": True}, {"activation": "relu"}],
)
def test_arguments_of_the_config_are_checked(arguments):
    with pytest.raises(InvalidArgumentError, match="Received"):
        kg.tfmot.TernaryQuantizeConfig(**arguments)


def test_the_config_survives_serialization():
    Config = kg.tfmot.TernaryQuantizeConfig
    for config in (Config(), Config(0.1, "uint8"), Config(activation=MultiStep("z2", window=0.25))):
        again = Config.from_config(config.get_config())
        assert (again.window, again.activation) == (config.window, config.activation)


def test_our_own_layers_work_beside_it(K, data):
    assert "TF_USE_LEGACY_KERAS" not in os.environ
    model = keras.Sequential([keras.Input((6, 6, 1)), kg.GXNORConv2D(2, 3), keras.layers.Flatten()])
    model.compile(kg.DSTOptimizer(), "mse")
    model.fit(data[0], np.zeros((96, 32)), epochs=1, verbose=0)
    assert not isinstance(model, K.Model) and keras.__version__.startswith("3.")


def test_nothing_is_imported_before_it_is_used():
    program = """
import os, sys
import keras_gxnor, keras_gxnor.tfmot
from keras_gxnor.errors import MissingExtraError
foreign = [m for m in sys.modules if m.split(".")[0] in ("tensorflow_model_optimization", "tf_keras")]
assert not foreign, foreign
assert "TF_USE_LEGACY_KERAS" not in os.environ
for use in (lambda: keras_gxnor.tfmot.TernaryQuantizeConfig, lambda: keras_gxnor.tfmot.from_tfmot(None)):
    sys.modules["tensorflow_model_optimization"] = None  # as if it were not installed
    try:
        use()
    except MissingExtraError as error:
        print(error)
"""
    code, out = executed([sys.executable, "-c", program], timeout=300)
    assert code == 0, out
    assert out.count('pip install "keras_gxnor[tfmot]"') == 2, out
