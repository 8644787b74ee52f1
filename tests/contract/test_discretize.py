"""discretize: architectures people bring train, lower, export and verify; what it decides is told."""

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gxnor
from keras_gxnor import DiscreteActivation, DSTOptimizer, InputSpec, converters, lowering, spaces
from keras_gxnor.conversion import plan
from keras_gxnor.conversion.initial import codes_of
from keras_gxnor.conversion.numbers import twn
from keras_gxnor.errors import InvalidArgumentError, UnsupportedLayerError
from keras_gxnor.kernels import DiscreteVariable
from tests.contract.architectures import ARCHITECTURES, REFUSED, squeeze_and_excite

L = keras.layers
SPEC = InputSpec(scale=1 / 128, zero_point=128)
BACKENDS = {"tflite": ["litert_builtin"], "c": ["c_host"]}
QUICK = ("lenet", "resnet", "mobilenet_v2", "keyword")


def _codes(model, count=32, seed=0):
    """Random images, a tuple of them for several inputs; each class of pixels has its own mean."""
    rng = np.random.default_rng(seed)
    return tuple(rng.integers(0, 256, (count, *x.shape[1:])).astype(np.uint8) for x in model.inputs)


def _fed(arrays):
    return arrays if len(arrays) > 1 else arrays[0]


def _scaled(codes):
    return tuple((q.astype(np.float32) - 128) / 128 for q in codes)


def _trained(parent, **arguments):
    """The discrete model after an epoch, and codes it reads."""
    codes = _codes(parent)
    x = _scaled(codes)
    model = keras_gxnor.discretize(parent, calibration_data=_fed(x), verbose=False, **arguments)
    model.compile(DSTOptimizer(0.1, seed=0), "mse", run_eagerly=True)
    targets = [np.sign(np.random.default_rng(1).normal(size=(32, *y.shape[1:]))) for y in model.outputs]
    before = [v.numpy() for v in model.trainable_variables if isinstance(v, DiscreteVariable)]
    model.fit(_fed(x), _fed(targets), batch_size=16, epochs=1, verbose=0)
    after = [v.numpy() for v in model.trainable_variables if isinstance(v, DiscreteVariable)]
    assert before and any((a != b).any() for a, b in zip(after, before))
    return model, codes


def _verified(model, codes, targets=tuple(BACKENDS)):
    for target in targets:
        artifact = converters.convert(model, target, input_spec=SPEC, check=False)
        report = converters.verify(model, artifact, _fed(codes), BACKENDS[target])
        assert report.mismatches == dict.fromkeys(report.mismatches, 0) != {}
        assert all(count == len(codes[0]) for count in report.images.values())


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in ARCHITECTURES]
)
def test_architectures_train_lower_export_and_verify(name):
    parent = ARCHITECTURES[name]()
    weights = [w.copy() for w in parent.get_weights()]
    model, codes = _trained(parent, keep=())
    _verified(model, codes)
    assert all(np.array_equal(a, b) for a, b in zip(weights, parent.get_weights(), strict=True))
    kept = [layer.name for layer in parent.layers]
    assert [layer.name for layer in model.layers if layer.name in kept] == kept


@pytest.mark.parametrize("build", REFUSED, ids=lambda build: build.__name__)
def test_what_has_no_discrete_form_is_named(build):
    parent, name = build(), REFUSED[build]
    left = [row.layer for row in plan(parent, keep=()).left]
    assert name in left
    with pytest.raises(UnsupportedLayerError, match=f"`{left[0]}`"):
        plan(parent, keep=(), on_unsupported="raise")
    model = keras_gxnor.discretize(parent, keep=(), verbose=False)
    with pytest.raises(UnsupportedLayerError, match=f"`{left[0]}`"):
        lowering.from_keras(model, SPEC)


@pytest.mark.parametrize("name", ["two_inputs", pytest.param("resnet", marks=pytest.mark.slow)])
def test_relu_nets_with_8_bit_ends_train_lower_and_verify(name):
    """Activations of uint8, first and last kernels of int8, graded ones between."""
    model, codes = _trained(ARCHITECTURES[name](), kernel_space="graded", activation_space="uint8")
    spaces_used = {layer.name: layer.kernel_space for layer in model.layers if hasattr(layer, "kernel_space")}
    assert {spaces.serialize(space) for space in spaces_used.values()} == {"graded", "int8"}
    _verified(model, codes)


def test_the_float_model_is_met_before_any_training():
    """Exactly representable kernels, and steps finer than what is compared: the two models agree."""
    rng = np.random.default_rng(0)
    parent = keras.Sequential(
        [keras.Input((6, 6, 2)), L.Conv2D(4, 3, activation="relu"), L.Flatten(), L.Dense(3)]
    )
    kernels = [v.numpy() for v in parent.weights[::2]]
    kernels = [rng.integers(-1, 2, k.shape) * rng.uniform(0.1, 1, k.shape[-1]) for k in kernels]
    parent.set_weights([kernels[0], rng.normal(size=4), kernels[1], rng.normal(size=3)])
    x = rng.uniform(-1, 1, (64, 6, 6, 2)).astype("float32")
    model = keras_gxnor.discretize(
        parent, activation_space="uint8", keep=(), calibration_data=x, reestimate=False, verbose=False
    )
    logits = model.predict(x, verbose=0)
    wanted = parent.predict(x, verbose=0)
    assert np.abs(logits - wanted).max() < 0.01 * np.abs(wanted).max()
    for layer, kernel in zip((model.layers[0], model.layers[4]), kernels):
        assert np.array_equal(layer.kernel_codes(), np.sign(kernel))


def test_codes_of_every_space():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 6)).astype("float32")
    kernel[..., 5] = 0
    ternary, scale = twn(kernel)
    for space in ("ternary", "graded"):
        codes, found = codes_of(kernel, space)
        assert np.array_equal(spaces.get(space).read(codes), ternary) and np.array_equal(found, scale)
    states = codes_of(kernel, "graded")[0][..., 0].ravel().astype(int)
    order = np.argsort(np.abs(kernel[..., 0].ravel()))
    assert (np.diff(np.abs(states[order])) >= 0).all()
    assert np.array_equal(codes_of(kernel, "binary")[0] < 0, kernel < 0)
    errors = []
    for space in map(spaces.get, ("z2", "z3", "z5", "z7", "int8")):
        codes, found = codes_of(kernel, space)
        assert space.contains(codes) and found.shape == (6,) and (found > 0).all()
        errors.append(np.abs(codes * np.float32(space.scale) * found - kernel).max())
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.02
    with pytest.raises(InvalidArgumentError, match="NaN"):
        codes_of(kernel * np.nan, "ternary")


def test_the_table_says_what_was_done():
    """Inserted and dropped layers, scales, choices: each in a row of its own."""
    table = plan(ARCHITECTURES["resnet"]())
    assert [row.layer for row in table.inserted if row.becomes.startswith("Discrete")] == [
        row.layer for row in table.rows if row.layer.endswith("_step")
    ]
    assert table["classes"].becomes == "GXNORDense, int8" and "from_logits" in table["classes"].why
    first = next(row for row in table.rows if row.was == "Conv2D")
    assert first.becomes == "GXNORConv2D, int8" and "keep" in first.why
    assert str(table).splitlines()[0].split() == ["layer", "was", "becomes", "why"]
    assert len(str(table).splitlines()) == 2 + len(table.rows)


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ([L.Dense(2, "softmax")], "logits: train with from_logits=True"),
        ([L.Dense(2), L.Softmax()], "logits: train with from_logits=True"),
        ([L.Dense(1, "sigmoid")], "logits: train with from_logits=True"),
        ([L.Dense(2, "relu")], "relu is dropped: apply max(0, x) to the outputs"),
        ([L.Dense(2), L.ReLU()], "ReLU is dropped: apply max(0, x) to the outputs"),
        ([L.Dense(2), L.ReLU(6.0)], "ReLU is dropped: apply ReLU to the outputs"),
        ([L.Dense(2, "tanh")], "tanh is dropped: apply tanh to the outputs"),
        ([L.Dense(2), L.Activation("exponential")], "exponential is dropped: apply exponential to"),
    ],
)
def test_what_to_do_without_the_last_activation(last, words):
    rows = plan(keras.Sequential([keras.Input((4,)), L.Dense(5, "relu"), *last])).rows
    (why,) = [row.why for row in rows if words in row.why]
    assert ("from_logits" in why) == ("from_logits" in words)


def _error(made, truth):
    return np.sqrt(np.mean((made - truth) ** 2)) / truth.std()


def test_a_hidden_activation_that_is_an_output_too_stays_one():
    """The next kernel reads the ReLU, not what would be left without it."""
    x = np.random.default_rng(0).normal(size=(512, 8)).astype("float32")
    inputs = keras.Input((8,))
    features = L.Dense(16, activation="relu", name="features")(inputs)
    end = L.Dense(3, name="end")(features)
    alone, both = keras.Model(inputs, end), keras.Model(inputs, [features, end])
    for model in (alone, both):
        model.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in model.get_weights()])
    arguments = {"kernel_space": "int8", "activation_space": "uint8", "calibration_data": x, "verbose": False}
    model = keras_gxnor.discretize(both, **arguments)
    made = model.predict(x, verbose=0)
    truth = both.predict(x, verbose=0)
    assert np.array_equal(made[1], keras_gxnor.discretize(alone, **arguments).predict(x, verbose=0))
    assert max(map(_error, made, truth)) < 0.1
    (row,) = (row for row in plan(both, "int8", "uint8").rows if row.layer == "features")
    assert "CAUTION" in row.why and "without that output" in row.why
    with pytest.raises(UnsupportedLayerError, match=r"Output 0 of model .*ends in codes"):
        converters.convert(model, "c", check=False)
    exported = keras.Model(model.inputs, model.outputs[1])
    assert converters.convert(exported, "c", SPEC, check=False).graph.outputs


def test_an_activation_in_the_middle_and_at_the_end_is_warned_of():
    inputs, relu = keras.Input((8,)), L.ReLU(name="relu")
    parent = keras.Model(inputs, relu(L.Dense(4)(relu(L.Dense(8)(inputs)))))
    (row,) = (row for row in plan(parent).rows if row.layer == "relu")
    assert row.becomes.startswith("DiscreteActivation") and "an activation of its own" in row.why


def test_a_lambda_whose_source_is_nowhere_is_named():
    made = {}
    exec("function = lambda v: v * 2", made)
    parent = keras.Sequential([keras.Input((4,)), L.Dense(3, activation=made["function"]), L.Dense(2)])
    with pytest.raises(UnsupportedLayerError, match="no lambda"):
        keras_gxnor.discretize(parent, verbose=False)


def _left_on_the_input(layer, *ahead):
    behind = [L.Flatten(), L.Dense(5, "relu", name="d"), L.Dense(2)]
    return keras.Sequential([keras.Input((8, 6)), *ahead, layer, *behind])


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (L.Normalization(mean=0.5, variance=2.0), "instead: data normalized before the model, or Rescaling"),
        (L.LayerNormalization(), "instead: BatchNormalization, or do it to the data, before the model"),
        (L.GRU(4, return_sequences=True), 'instead: GXNORConv1D with padding="causal" and dilation_rate'),
    ],
)
def test_layers_that_stay_float_say_what_to_do(layer, words):
    """keep="first" takes the first kernel behind one that has none itself."""
    parent = _left_on_the_input(layer, L.Identity())
    table = plan(parent)
    assert [row.layer for row in table.left] == [layer.name]
    assert "cannot be exported" in table[layer.name].why and words in table[layer.name].why
    assert ("before the model" in table[layer.name].why) != isinstance(layer, L.GRU)
    assert table["d"].becomes == ("GXNORDense, graded" if isinstance(layer, L.GRU) else "GXNORDense, int8")
    with pytest.raises(UnsupportedLayerError, match=f"`{layer.name}`.*instead: "):
        plan(parent, on_unsupported="raise")


def test_layers_within_say_what_to_do_in_their_place():
    parent = squeeze_and_excite()
    why = plan(parent)["excite"].why
    assert "instead: Add, Average" in why and "before the model" not in why
    layers = [L.Conv2D(4, 3, data_format="channels_first"), L.Flatten(), L.Dense(2)]
    first = keras.Sequential([keras.Input((8, 6, 3)), *layers])
    assert "instead: channels_last" in plan(first).left[0].why


@pytest.mark.parametrize(("space", "levels"), [("ternary", "3 levels"), ("uint8", "256 levels.*below 0")])
def test_a_batch_normalization_of_the_data_is_warned_of(space, levels):
    layers = [L.BatchNormalization(name="n"), L.Dense(5, "relu"), L.Dense(2)]
    table = plan(keras.Sequential([keras.Input((4,)), *layers]), activation_space=space)
    assert re.search(f"CAUTION.*{levels}.*Rescaling", table["n"].why)
    assert sum("CAUTION" in row.why for row in table.rows) == 1
    within = keras.Sequential([keras.Input((4,)), L.Dense(5), L.BatchNormalization(), L.ReLU(), L.Dense(2)])
    assert "CAUTION" not in str(plan(within, activation_space=space))


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_models_of_other_floats_become_float32(policy):
    """Their own sums would not be exact: lowering refuses them."""
    keras.mixed_precision.set_global_policy(policy)
    parent = ARCHITECTURES["lenet"]()
    codes = _codes(parent)
    model = keras_gxnor.discretize(parent, calibration_data=_scaled(codes)[0], verbose=False)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert {v.dtype for v in model.variables} == {"float32", "int8"}
    rows = [row for row in plan(parent).rows if row.was]
    assert all(f"float32 instead of {policy}" in row.why for row in rows)
    _verified(model, codes, ["tflite"])


@pytest.mark.parametrize(
    ("pool", "line"),
    [
        ([L.AveragePooling2D(3, 1, padding="same", name="a")], "cannot be exported: .*`a`.*ZeroPadding2D"),
        ([L.ZeroPadding2D(1), L.AveragePooling2D(3, 1)], "It can be exported"),
        ([L.LayerNormalization(name="a")], "cannot be exported: .*`a`.*BatchNormalization"),
    ],
)
def test_what_cannot_be_exported_is_said_before_training(pool, line, capsys):
    first = L.Conv2D(4, 3, padding="same", activation="relu")
    parent = keras.Sequential([keras.Input((6, 6, 2)), first, *pool, L.Flatten(), L.Dense(3)])
    model = keras_gxnor.discretize(parent)
    said = capsys.readouterr().out.splitlines()[-1]
    assert re.search(line, said), said
    if "cannot" in said:
        with pytest.raises(UnsupportedLayerError, match=re.escape(said.split(": ", 1)[1])):
            lowering.from_keras(model)
    else:
        lowering.from_keras(model)


def test_filters_and_keep_choose(capsys):
    parent = keras.Sequential(
        [keras.Input((4,)), L.Dense(5, "relu", name="a"), L.Dense(5, "relu", name="b"), L.Dense(2, name="c")]
    )
    model = keras_gxnor.discretize(parent, filters="[ab]", keep=("b",))
    assert "not chosen by `filters`" in capsys.readouterr().out
    assert type(model.get_layer("c")) is L.Dense
    assert [spaces.serialize(model.get_layer(n).kernel_space) for n in "ab"] == ["graded", "int8"]
    chosen = plan(parent, filters=lambda layer: layer.name == "a")
    assert [row.layer for row in chosen.left] == ["b", "c"]
    plan(parent, filters="a", on_unsupported="raise")  # left by choice is not unsupported
    with pytest.raises(UnsupportedLayerError, match="`c`"):
        lowering.from_keras(model, SPEC)


def test_refusals():
    parent = keras.Sequential([keras.Input((4,)), L.Dense(2, name="a")])

    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UnsupportedLayerError, match="subclassed"):
        keras_gxnor.discretize(Own())
    for wrong in (
        {"keep": "first"}, {"keep": ("nobody",)}, {"filters": 3}, {"filters": "nobody"},
        {"kernel_space": "z9"}, {"activation_space": "graded"}, {"on_unsupported": "ignore"},
    ):
        with pytest.raises(InvalidArgumentError):
            keras_gxnor.discretize(parent, verbose=False, **wrong)


def test_messages_say_what_would_be_right():
    layers = [L.Dense(5, "relu", name="a"), L.ReLU(name="r"), L.Dense(2, name="c")]
    parent = keras.Sequential([keras.Input((4,)), *layers])
    rows = tf.data.Dataset.from_tensor_slices((_X, _X)).batch(4)
    for wrong, words in (
        ({"activation_space": "uint9"}, r"'binary', 'ternary', .*'z7', 'uint1', .*'uint8'\].*uint9"),
        ({"filters": "a", "keep": ("c",)}, r"`keep`.*`c` is not: not chosen by `filters`.*keep=\('c',\)"),
        ({"keep": ("r",)}, "`keep`.*`r` is not: it has no float kernel"),
        ({"calibration_data": rows}, r"np\.concatenate.*Received: .*Dataset"),
        ({"calibration_data": iter([_X])}, "not batches to iterate over.*Received: list_iterator"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            keras_gxnor.discretize(parent, verbose=False, **wrong)


def test_a_compiled_parent_and_one_with_constraints():
    x = keras.Input((4,))
    dense = L.Dense(2, kernel_regularizer="l2", kernel_constraint="max_norm")
    parent = keras.Model(x, dense(L.PReLU()(L.Dense(4)(x))))
    parent.compile("adam", "mse")
    model = keras_gxnor.discretize(parent, keep=(), verbose=False)
    assert not model.compiled and any(isinstance(layer, DiscreteActivation) for layer in model.layers)


def test_an_embedding_of_tokens():
    read = [keras.Input((12,)), L.Embedding(30, 6), L.Conv1D(8, 3, activation="relu")]
    parent = keras.Sequential([*read, L.GlobalMaxPooling1D(), L.Dense(2)])
    tokens = np.random.default_rng(0).integers(0, 30, (32, 12)).astype(np.uint8)
    model = keras_gxnor.discretize(parent, keep=(), calibration_data=tokens.astype("float32"), verbose=False)
    artifact = converters.convert(model, "c", input_spec=InputSpec(scale=1.0, zero_point=0), check=False)
    assert converters.verify(model, artifact, tokens, ["c_host"]).mismatches == {"c_host": 0}


def test_keep_leaves_separable_kernels_that_8_bits_would_not_fit():
    """Two kernels without a step between make one of int8, where an input of raw codes is read."""
    read = [keras.Input((16, 16, 3)), L.SeparableConv2D(8, 3, activation="relu", name="first")]
    parent = keras.Sequential([*read, L.GlobalAveragePooling2D(), L.Dense(3, name="last")])
    codes = _codes(parent)
    model = keras_gxnor.discretize(parent, calibration_data=_scaled(codes)[0], verbose=False)
    found = [spaces.serialize(model.get_layer(name).kernel_space) for name in ("first", "last")]
    assert found == ["graded", "int8"] and "two kernels" in plan(parent)["first"].why
    _verified(model, codes)


@keras.saving.register_keras_serializable("test_discretize")
class _Two(L.Layer):
    def call(self, x):
        return x, 2 * x


@pytest.mark.parametrize("layer", [L.LSTM(4, return_state=True, name="many"), _Two(name="many")])
def test_layers_of_several_tensors_are_named(layer):
    x = keras.Input((8, 4))
    parent = keras.Model(x, L.Dense(3)(L.Flatten()(layer(x)[1])))
    for refuses in (plan, keras_gxnor.discretize, lambda model: lowering.from_keras(model, SPEC)):
        with pytest.raises(UnsupportedLayerError, match=r"`many`.*one tensor"):
            refuses(parent)


@pytest.mark.parametrize("layer", [L.Embedding(9, 4, mask_zero=True, name="masks"), L.Masking(name="masks")])
def test_masks_are_named(layer):
    x = keras.Input((8,) if isinstance(layer, L.Embedding) else (8, 4))
    parent = keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(layer(x))))
    with pytest.raises(UnsupportedLayerError, match=r"`masks`.*(mask_zero=False|no Masking)"):
        plan(parent)


@pytest.mark.parametrize("function", [L.LeakyReLU(negative_slope=0.1), functools.partial(keras.ops.relu)])
def test_activations_without_a_name(function):
    parent = keras.Sequential([keras.Input((4,)), L.Dense(8, activation=function, name="a"), L.Dense(3)])
    why = plan(parent)["a_step"].why
    assert why.endswith(type(function).__name__)
    if isinstance(function, L.Layer):
        assert keras_gxnor.discretize(parent, verbose=False).built
    else:  # Keras itself cannot write it into a configuration
        for model in (parent, keras.Model(parent.inputs, parent.outputs)):
            with pytest.raises(UnsupportedLayerError, match="by name"):
                keras_gxnor.discretize(model, verbose=False)


def test_a_lambda_is_left_with_its_function():
    x = keras.Input((4,))
    factor = keras.ops.convert_to_tensor(2.0)
    made = L.Lambda(lambda v: v * factor, name="own", output_shape=lambda shape: shape)(L.Dense(5)(x))
    parent = keras.Model(x, L.Dense(3)(made))
    model = keras_gxnor.discretize(parent, verbose=False)
    old, new = parent.get_layer("own"), model.get_layer("own")
    assert new is not old and new.function is old.function
    assert [row.layer for row in plan(parent).left] == ["own"]
    assert model.predict(np.ones((2, 4)), verbose=0).shape == (2, 3)


def test_a_softmax_layer_at_the_end_of_a_graph_is_dropped_with_its_mask():
    x = keras.Input((4,))
    parent = keras.Model(x, L.Softmax(name="end")(L.Dense(3)(L.Dense(5, "relu")(x))))
    model = keras_gxnor.discretize(parent, verbose=False)
    assert model.get_layer("end").activation is keras.activations.linear
    logits = model.predict(_X, verbose=0)
    assert logits.shape == (8, 3) and not np.allclose(logits.sum(1), 1)


@pytest.mark.parametrize("weight", [0, 2])
def test_weights_that_are_not_finite_are_named(weight):
    parent = keras.Sequential([keras.Input((4,)), L.Dense(5, "relu", name="l0"), L.Dense(2, name="l2")])
    parent.weights[weight].assign(np.nan * parent.weights[weight])
    x = np.ones((8, 4), "float32")
    for space in ("ternary", "uint8"):
        with pytest.raises(InvalidArgumentError, match=rf"`l{weight}`.*finite"):
            keras_gxnor.discretize(parent, "graded", space, calibration_data=x, verbose=False)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize(("size", "what"), [(np.inf, "values that"), (1e25, "values of a variance that")])
def test_calibration_data_that_is_not_finite_names_the_layer(size, what):
    parent = keras.Sequential([keras.Input((4,)), L.Dense(5, "relu", name="a"), L.Dense(2)])
    x = size * np.arange(1, 33).reshape(8, 4)
    with pytest.raises(InvalidArgumentError, match=rf"`a`.*{what} must be finite"):
        keras_gxnor.discretize(parent, calibration_data=x, verbose=False)


_X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [
        *[("keep", value) for value in (None, 3, ([],), "last", (3,))],
        *[("filters", value) for value in ("(", 3)],
        *[("activation_space", value) for value in (None, 3, "relu")],
        *[("kernel_space", value) for value in (None, [], "float")],
        *[("calibration_data", value) for value in ("x", 3, [[1.0, 2.0], [3.0]], [_X, _X], {"y": _X})],
        *[("calibration_data", value) for value in (_X[:, :3], _X[0], _X[:0], _X.astype(str), [])],
        ("calibration_data", tf.data.Dataset.from_tensor_slices(_X).batch(4)),
        ("calibration_data", (row for row in _X)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_wrong_arguments_are_named(argument, wrong):
    parent = keras.Sequential([keras.Input((4,)), L.Dense(5, "relu"), L.Dense(2)])
    with pytest.raises(InvalidArgumentError, match="Received: "):
        keras_gxnor.discretize(parent, verbose=False, **{argument: wrong})


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64"])
def test_calibration_data_of_any_number_are_read_as_the_model_reads_them(dtype):
    parent = keras.Sequential(
        [keras.Input((6, 6, 1)), L.Conv2D(4, 3, activation="relu"), L.Flatten(), L.Dense(2)]
    )
    x = np.random.default_rng(0).integers(0, 256, (32, 6, 6, 1))
    made = [
        keras_gxnor.discretize(parent, calibration_data=x.astype(given), verbose=False).get_weights()
        for given in (dtype, "float32")
    ]
    assert all(np.array_equal(one, other) for one, other in zip(*made, strict=True))


def test_calibration_data_by_the_names_of_the_inputs():
    """A dict in any order gives the model that a list in the order of the inputs gives."""
    b, a = keras.Input((4,), name="b"), keras.Input((4,), name="a")
    parent = keras.Model([b, a], L.Dense(2)(L.Subtract()([L.Dense(3, "relu")(b), L.Dense(3, "relu")(a)])))
    data = [_X, 3 * _X + 1]
    with pytest.raises(InvalidArgumentError, match=r"\(None, 4\) of `b`, \(None, 4\) of `a`"):
        keras_gxnor.discretize(parent, calibration_data=[_X, _X[:, :3]], verbose=False)
    by_order, by_name, swapped = (
        keras_gxnor.discretize(parent, calibration_data=given, reestimate=False, verbose=False).get_weights()
        for given in (data, {"a": data[1], "b": data[0]}, data[::-1])
    )
    assert all(np.array_equal(one, other) for one, other in zip(by_order, by_name, strict=True))
    assert not all(np.array_equal(one, other) for one, other in zip(by_order, swapped, strict=True))
