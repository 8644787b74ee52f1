"""Lowering: the graph equals Keras, layer by layer, and everything else is named and refused."""

import keras
import numpy as np
import pytest

import keras_gxnor
from keras_gxnor import DiscreteActivation, GXNORConv2D, GXNORDense, InputSpec, lowering, reference
from keras_gxnor import graph as g
from keras_gxnor.converters import verification
from keras_gxnor.errors import GraphError, InvalidArgumentError, UnsupportedLayerError
from keras_gxnor.evaluation import exact_first, is_exact, plain, rounding_explains

L = keras.layers
IMAGE = InputSpec(scale=1 / 128, zero_point=128)


def sequential(*layers, shape=(10, 9, 2), gentle=False):
    model = keras.Sequential([keras.Input(shape), *layers], name="net")
    return randomize(model, gentle=gentle)


def randomize(model, seed=0, gentle=False):
    """Gives batch normalization and biases values of every sign, zero included.

    gentle: statistics for small numbers (averages and sums of codes), where others would
    leave every activation constant.
    """
    rng, mean, variance = np.random.default_rng(seed), *((0.2, 0.5) if gentle else (3, 20))
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            channels = layer.moving_mean.shape[0]
            gamma = rng.normal(size=channels) * rng.choice([0.1, 1, 10], channels)
            gamma[3::4] = 0
            if layer.scale:
                layer.gamma.assign(gamma)
            if layer.center:
                layer.beta.assign(rng.normal(size=channels))
            layer.moving_mean.assign(rng.normal(size=channels) * mean)
            layer.moving_variance.assign(rng.random(channels) * variance)
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(size=layer.bias.shape))
    return model


def codes(model, spec=IMAGE, count=24, seed=0):
    """Random codes of every input: an array, or a tuple for several inputs."""
    limits, rng = np.iinfo(spec.dtype), np.random.default_rng(seed)
    made = [
        rng.integers(limits.min, limits.max + 1, (count, *tensor.shape[1:])) for tensor in model.inputs
    ]
    return made[0] if len(made) == 1 else tuple(made)


def bn(**kwargs):
    return L.BatchNormalization(**kwargs)


def relu(range=4.0, space="uint8"):
    return DiscreteActivation(space, range=range)


def conv(filters, size=3, **kwargs):
    return GXNORConv2D(filters, size, **{"use_bias": False, **kwargs})


MODELS = {
    "mlp": lambda: sequential(GXNORDense(20), bn(), DiscreteActivation(), GXNORDense(3), shape=(30,)),
    "bias_only": lambda: sequential(GXNORDense(20, "ternary"), GXNORDense(3), shape=(30,)),
    "no_bias_no_bn": lambda: sequential(GXNORDense(3, use_bias=False), shape=(30,)),
    "logits_bias_and_bn": lambda: sequential(GXNORDense(3), bn(), shape=(30,)),
    "bn_without_gamma": lambda: sequential(
        GXNORDense(9), bn(scale=False), DiscreteActivation(), GXNORDense(3), bn(center=False), shape=(9,)
    ),
    "bn_twice": lambda: sequential(
        GXNORDense(60), bn(), bn(), DiscreteActivation(), GXNORDense(3), bn(), bn(), shape=(90,)
    ),
    "pool_before_bn": lambda: sequential(
        conv(9), L.MaxPooling2D(), bn(), DiscreteActivation(), L.Flatten(), GXNORDense(3)
    ),
    "pool_after_bn": lambda: sequential(
        conv(9), bn(), L.MaxPooling2D(), DiscreteActivation(), L.Flatten(), GXNORDense(3)
    ),
    "pool_after_activation": lambda: sequential(
        conv(9), bn(), DiscreteActivation(), L.MaxPooling2D(3, 2, "same"), L.Flatten(), GXNORDense(3)
    ),
    "pool_everywhere": lambda: sequential(
        L.MaxPooling2D(), conv(9), L.MaxPooling2D(1), bn(), L.MaxPooling2D(2, 1), DiscreteActivation(),
        L.MaxPooling2D(2, 1, "same"), L.Flatten(), GXNORDense(3), bn(),
    ),
    "bias_then_pool": lambda: sequential(
        conv(9, use_bias=True), L.MaxPooling2D(), bn(), DiscreteActivation(), L.Flatten(), GXNORDense(3)
    ),
    "flatten_before_activation": lambda: sequential(
        conv(5), bn(), L.Flatten(), DiscreteActivation(), GXNORDense(3)
    ),
    "pool_and_flatten_before_activation": lambda: sequential(
        conv(5), bn(), L.MaxPooling2D(), L.Flatten(), DiscreteActivation(), GXNORDense(3)
    ),
    "conv_to_one_pixel_then_bn": lambda: sequential(
        conv(12, (10, 9)), L.Flatten(), bn(), DiscreteActivation(), GXNORDense(3), bn()
    ),
    "conv_logits_flattened": lambda: sequential(conv(3, (10, 9)), bn(), L.Flatten()),
    "conv_logits_features": lambda: sequential(conv(3, (9, 9)), bn(), L.Flatten(), bn()),
    "conv_logits_features_alone": lambda: sequential(conv(3, (9, 9)), L.Flatten(), bn()),
    "conv_logits_spatial": lambda: sequential(conv(3), bn()),
    "dense_on_pixels": lambda: sequential(
        GXNORDense(6), bn(), DiscreteActivation(), L.Flatten(), GXNORDense(3)
    ),
    "image_flattened_first": lambda: sequential(L.Flatten(), GXNORDense(6, "ternary"), GXNORDense(3)),
    "strides_groups_dilation": lambda: sequential(
        conv(6, 3, strides=2, padding="same", groups=2), bn(), DiscreteActivation(),
        conv(4, 2, dilation_rate=2, padding="same"), bn(), DiscreteActivation(), L.Flatten(), GXNORDense(3),
    ),
    "does_nothing_at_inference": lambda: sequential(
        L.RandomTranslation(0.1, 0.1), L.GaussianNoise(0.1),
        conv(4), L.SpatialDropout2D(0.1), bn(), L.Activation("linear"),
        L.Activation(keras_gxnor.MultiStep()), L.Dropout(0.5), L.Flatten(), GXNORDense(3), L.Identity(),
    ),
    "binary": lambda: sequential(
        conv(7, kernel_space="binary"), bn(), DiscreteActivation("binary"), L.Flatten(),
        GXNORDense(3, kernel_space="binary"),
    ),
    "many_states": lambda: sequential(
        conv(7, kernel_space="z3"), bn(), DiscreteActivation("z4", 0.1), L.MaxPooling2D(), L.Flatten(),
        GXNORDense(3, kernel_space="z6"), bn(),
    ),
    "half_range_two": lambda: sequential(
        conv(7, kernel_space=keras_gxnor.DiscreteSpace(1, 2.0)), bn(),
        DiscreteActivation(keras_gxnor.DiscreteSpace(2, 0.5), 0.25), L.Flatten(), GXNORDense(3),
    ),
    "graded": lambda: sequential(
        conv(7, kernel_space="graded"), bn(), DiscreteActivation(), L.Flatten(),
        GXNORDense(3, kernel_space=keras_gxnor.GradedSpace(10)), bn(),
    ),
    "rescaling": lambda: sequential(
        L.Rescaling(1 / 128, -1), conv(4), bn(), DiscreteActivation(), L.Flatten(), GXNORDense(3)
    ),
}
EXACT_RAW = InputSpec(scale=1.0, zero_point=0)


def _block(x, filters, size=3, activation="ternary", **kwargs):
    """kernel, batch normalization, activation."""
    x = bn()(conv(filters, size, padding="same", **kwargs)(x))
    return DiscreteActivation(activation)(x)


def functional(make, *shapes, outputs=False):
    """A Functional model: make(*inputs) and logits on it (or what it returns, with `outputs`)."""
    inputs = [keras.Input(shape) for shape in shapes or [(8, 8, 2)]]
    made = make(*inputs)
    if not outputs:
        made = bn()(GXNORDense(3)(made if len(made.shape) == 2 else L.Flatten()(made)))
    return randomize(keras.Model(inputs if len(inputs) > 1 else inputs[0], made), gentle=True)


def _residual(x, space="ternary"):
    x = _block(x, 6, activation=space)
    for _ in range(2):
        x = L.Add()([x, _block(_block(x, 6, activation=space), 6, activation=space)])
    return x


def _preactivation(x):
    """Sums of codes that are normalized again."""
    x = _block(x, 6)
    x = L.Add()([x, _block(x, 6)])
    y = DiscreteActivation()(bn()(x))
    return L.Add()([x, _block(y, 6), y])


def _dense_block(x):
    for _ in range(3):
        x = L.Concatenate()([x, _block(DiscreteActivation()(bn()(x)), 4)])
    return L.GlobalAveragePooling2D()(x)


def _inception(x):
    x = _block(x, 4)
    branches = [_block(x, 3, 1), _block(_block(x, 2, 1), 3), L.MaxPooling2D(3, 1, "same")(x)]
    return L.MaxPooling2D()(L.Concatenate()(branches))


def _depthwise_separable(x):
    x = _block(x, 8, strides=2)
    for filters in (8, 12):
        x = _block(_block(x, x.shape[-1], groups=x.shape[-1]), filters, 1)
    return L.GlobalAveragePooling2D()(x)


def _shared(x):
    """One layer, called three times, on other inputs."""
    kernel, act = conv(4, padding="same"), DiscreteActivation()
    x = _block(x, 4)
    return act(kernel(act(kernel(act(kernel(x))))))


def _two(image, features):
    image = L.GlobalMaxPooling2D()(_block(image, 5))
    return L.Concatenate()([image, GXNORDense(7, "ternary")(features)])


def _heads(x):
    x = _block(x, 5)
    return [GXNORDense(3)(L.Flatten()(x)), bn()(conv(2)(x)), L.GlobalAveragePooling2D()(conv(4, 1)(x))]


MODELS |= {
    "residual": lambda: functional(_residual),
    "preactivation": lambda: functional(_preactivation),
    "dense_block": lambda: functional(lambda x: _dense_block(_block(x, 4))),
    "inception": lambda: functional(_inception),
    "depthwise_separable": lambda: functional(_depthwise_separable),
    "shared": lambda: functional(_shared),
    "nested": lambda: functional(lambda x: functional(lambda y: _block(y, 3), outputs=True)(x)),
    "subtract": lambda: functional(lambda x: L.Subtract()([_block(x, 3), _block(x, 3)])),
    "two_inputs": lambda: functional(_two, (8, 8, 2), (5,)),
    "three_outputs": lambda: functional(_heads, outputs=True),
    "average_codes": lambda: sequential(
        conv(5), bn(), DiscreteActivation(), L.AveragePooling2D(2), conv(4, 2), bn(), DiscreteActivation(),
        L.Flatten(), GXNORDense(3),
    ),
    "average_sums": lambda: sequential(
        conv(5), L.AveragePooling2D(2), bn(), DiscreteActivation(), L.Flatten(), GXNORDense(3)
    ),
    "average_of_nine": lambda: sequential(
        conv(5), bn(), DiscreteActivation(), L.AveragePooling2D(3, 2), bn(), DiscreteActivation(),
        L.Flatten(), GXNORDense(3), gentle=True,
    ),
    "average_same_without_border": lambda: sequential(
        conv(5, padding="same"), bn(), DiscreteActivation(), L.AveragePooling2D((5, 3), padding="same"), bn(),
        DiscreteActivation(), L.Flatten(), GXNORDense(3), gentle=True,
    ),
    "average_to_logits": lambda: sequential(conv(3), L.GlobalAveragePooling2D(), bn()),
    "average_codes_to_logits": lambda: sequential(
        conv(3), bn(), DiscreteActivation("z3"), L.GlobalAveragePooling2D(keepdims=True), L.Flatten()
    ),
    "global_average_step": lambda: sequential(
        conv(6), bn(), DiscreteActivation(), L.GlobalAveragePooling2D(), bn(), DiscreteActivation(),
        GXNORDense(3), gentle=True,
    ),
    "global_max_before_bn": lambda: sequential(
        conv(6), L.GlobalMaxPooling2D(), bn(), DiscreteActivation(), GXNORDense(3)
    ),
    "global_max_after_bn": lambda: sequential(
        conv(6), bn(), L.GlobalMaxPooling2D(), DiscreteActivation(), GXNORDense(3)
    ),
    "padding_and_reshape": lambda: sequential(
        L.ZeroPadding2D(((1, 0), (2, 1))), conv(4), bn(), DiscreteActivation(), L.Reshape((10, 8, 4)),
        conv(3), bn(), DiscreteActivation(), L.Flatten(), GXNORDense(3), shape=(9, 9, 2), gentle=True,
    ),
    "bn_of_the_input": lambda: sequential(
        bn(scale=False, center=False), DiscreteActivation("z2"), conv(3), bn(), gentle=True, shape=(9, 8, 6)
    ),
    "step_of_the_input": lambda: sequential(DiscreteActivation(), L.Flatten(), GXNORDense(3)),
}
MODELS |= {
    "relu_mlp": lambda: sequential(
        GXNORDense(20), bn(), relu(), GXNORDense(12), bn(), relu(16.0), GXNORDense(3), shape=(30,)
    ),
    "relu_int8": lambda: sequential(
        conv(6, kernel_space="int8"), bn(), relu(), conv(6), bn(), relu(8.0), L.Flatten(),
        GXNORDense(3, kernel_space="int8"),
    ),
    "relu_all_int8": lambda: sequential(
        conv(6, kernel_space="int8"), bn(), relu(), conv(6, kernel_space="int8"), bn(), relu(8.0),
        L.Flatten(), GXNORDense(3, kernel_space=keras_gxnor.IntegerSpace(8, 0.25)), bn(),
    ),
    "relu_pools": lambda: sequential(
        conv(6), L.MaxPooling2D(), bn(), L.MaxPooling2D(2, 1), relu(), conv(6, 1), relu(64.0),
        L.GlobalMaxPooling2D(), GXNORDense(3),
    ),
    "relu_then_ternary": lambda: sequential(
        conv(6), bn(), relu(), conv(5, 1), bn(), DiscreteActivation(), L.Flatten(), GXNORDense(3)
    ),
    "relu_averages": lambda: sequential(
        conv(6), bn(), relu(), L.AveragePooling2D(2), conv(6, 1), L.AveragePooling2D(2, 1), bn(), relu(8.0),
        L.AveragePooling2D((3, 1)), bn(), relu(1.0), L.Flatten(), GXNORDense(3), gentle=True,
    ),
    "relu_of_the_input": lambda: sequential(
        relu(1.0), bn(), relu(0.5), L.ZeroPadding2D(), conv(4), bn(), relu(), L.Flatten(), GXNORDense(3),
        gentle=True,
    ),
    "relu_arguments": lambda: sequential(
        conv(6, use_bias=True, activation="uint8"), L.Flatten(), GXNORDense(9, "uint4"),
        L.Activation(keras_gxnor.QuantizedReLU("uint2", 8.0)), GXNORDense(3), gentle=True,
    ),
    "relu_flattened_before": lambda: sequential(conv(5), bn(), L.Flatten(), relu(), GXNORDense(3)),
    "relu_residual": lambda: functional(lambda x: _residual(_block(x, 6, activation="uint8"), "uint8")),
    "relu_of_sums": lambda: functional(
        lambda x: relu(0.5)(bn()(L.Add()([_block(x, 6, activation="uint8") for _ in range(2)])))
    ),
}
# Keras rounds an average over 49 pixels before the kernel that reads it.
INEXACT = {
    "average_read": lambda: functional(
        lambda x: L.GlobalAveragePooling2D()(_block(x, 5)), (7, 7, 1)
    ),
    "average_of_relu_read": lambda: functional(
        lambda x: L.GlobalAveragePooling2D()(_block(x, 5, activation="uint8")), (7, 7, 1)
    ),
    "average_of_nine_read": lambda: sequential(
        conv(5), bn(), DiscreteActivation("z2"), L.AveragePooling2D(3, 2), conv(4, 2), bn(),
        DiscreteActivation(), L.Flatten(), GXNORDense(3), bn(), gentle=True,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_graph_equals_keras_bit_for_bit(name):
    model = MODELS[name]()
    spec = EXACT_RAW if name == "rescaling" else IMAGE
    graph = lowering.from_keras(model, spec)
    q = codes(model)
    truth = plain(model, spec, q)
    assert is_exact(model, spec)
    assert verification.count_mismatches(reference.run(graph, q), truth) == (0, 0)
    assert verification.count_mismatches(exact_first(model, spec, q), truth) == (0, 0)
    for part in truth if isinstance(truth, tuple) else [truth]:
        assert len(np.unique(part)) > 3  # the comparison compares something


@pytest.mark.parametrize("name", INEXACT)
def test_kernels_on_rounded_averages_equal_keras_with_exact_sums(name):
    model = INEXACT[name]()
    graph = lowering.from_keras(model, IMAGE)
    q = codes(model, count=200)
    assert not is_exact(model, IMAGE) and rounding_explains(model, IMAGE, q)
    exact, keras_own = exact_first(model, IMAGE, q), plain(model, IMAGE, q)
    assert verification.count_mismatches(reference.run(graph, q), exact) == (0, 0)
    assert np.allclose(exact, keras_own, rtol=0, atol=1e-3)


def test_inputs_and_outputs_keep_their_order():
    a, b = keras.Input((4,), name="a"), keras.Input((6,), name="b")
    one, two = GXNORDense(3)(b), GXNORDense(2)(a)
    specs = (InputSpec("int8", 0.5, 1), InputSpec("uint8", 0.25, 7))
    for model in (keras.Model([b, a], [one, two]), keras.Model({"b": b, "a": a}, {"z": one, "y": two})):
        graph = lowering.from_keras(model, specs)
        assert [op.spec for op in graph.inputs] == list(specs)
        assert [op.shape for op in graph.inputs] == [tensor.shape[1:] for tensor in model.inputs]
        q = tuple(np.random.default_rng(0).integers(0, 100, (9, *op.shape)) for op in graph.inputs)
        made, truth = reference.run(graph, q), plain(model, specs, q)
        assert [y.shape[1] for y in made] == [t.shape[1] for t in model.outputs]
        assert verification.count_mismatches(made, truth) == (0, 0)
    with pytest.raises(InvalidArgumentError, match="2 inputs"):
        lowering.from_keras(model, specs[:1])


@pytest.mark.parametrize("name", ["mlp", "pool_before_bn", "pool_after_bn", "many_states"])
def test_hidden_activations_equal_keras(name):
    model = MODELS[name]()
    graph = lowering.from_keras(model, IMAGE)
    q = codes(model)
    trace = reference.run(graph, q, trace=True)
    step = next(n for n in graph.nodes if isinstance(n.op, g.Threshold))
    end = [n.name for n in graph.nodes].index(step.name)
    if name == "pool_after_bn":
        end += 1  # the pool, which the graph runs after the step
    part = keras.Sequential([keras.Input(model.input_shape[1:])])
    for layer in model.layers:
        part.add(layer)
        if isinstance(layer, DiscreteActivation):
            break
    expected = plain(part, IMAGE, q) / np.float32(step.op.space.scale)
    assert np.array_equal(trace[graph.nodes[end].name], expected.astype(np.int32))


def test_functional_and_nested_models():
    inner = keras.Sequential([keras.Input((9, 8, 4)), bn(), DiscreteActivation()], name="inner")
    x = inputs = keras.Input((11, 10, 2))
    x = inner(conv(4)(x))
    outputs = GXNORDense(3)(L.Flatten()(x))
    model = keras.Model(inputs, outputs)
    randomize(inner)
    graph = lowering.from_keras(model, IMAGE)
    q = codes(model)
    assert np.array_equal(reference.run(graph, q), plain(model, IMAGE, q))


def test_constant_channels_and_extreme_thresholds():
    model = sequential(GXNORDense(6, use_bias=False), bn(), DiscreteActivation(), GXNORDense(3), shape=(4,))
    layer = model.layers[1]
    layer.gamma.assign([0, 0, 1e-30, 1e30, -1e30, 1])
    layer.beta.assign([1, 0, 0, 0, 0, -1e9])
    layer.moving_mean.assign([0, 0, 0, 0, 0, 0])
    layer.moving_variance.assign([1, 1, 1, 1, 1, 1])
    graph = lowering.from_keras(model, IMAGE)
    q = codes(model, count=500)
    assert np.array_equal(reference.run(graph, q), plain(model, IMAGE, q))
    step = reference.run(graph, q, trace=True)[model.layers[2].name]
    assert (step[:, 0] == 1).all() and (step[:, [1, 2]] == 0).all() and (step[:, 5] == -1).all()
    assert set(step[:, 3]) >= {-1, 1}


def test_every_accumulator_of_a_threshold():
    """All sums of 12 inputs in -2..2, against Keras on every one of them."""
    model = sequential(GXNORDense(40, use_bias=False), bn(), DiscreteActivation(), GXNORDense(3), shape=(1,))
    for spec in (InputSpec("int8", 1.0, 0), InputSpec("int8", 0.125, 100), InputSpec("uint8", 4.0, 3)):
        graph = lowering.from_keras(model, spec)
        limits = np.iinfo(spec.dtype)
        q = np.arange(limits.min, limits.max + 1)[:, None]
        assert np.array_equal(reference.run(graph, q), plain(model, spec, q))


def test_inexact_scales_equal_keras_with_exact_sums():
    spec = InputSpec(scale=1 / 255)
    model = MODELS["pool_before_bn"]()
    graph = lowering.from_keras(model, spec)
    q = codes(model, spec, 200)
    assert np.array_equal(reference.run(graph, q), exact_first(model, spec, q))


def sequential_dag(body, shape=(4,)):
    """body(x) and a last layer on it, as a Functional model."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, GXNORDense(2)(body(inputs)))


def _merging(layer, shape=(4,)):
    return sequential_dag(lambda x: layer([GXNORDense(4, "ternary")(x), GXNORDense(4, "ternary")(x)]), shape)


class Odd(L.Layer):
    def call(self, x):
        return x * x


UNSUPPORTED = {
    "float dense": (lambda: sequential(L.Dense(3, name="d"), shape=(4,)), "`d`.*GXNORDense"),
    "float conv": (lambda: sequential(L.Conv2D(3, 2, name="c")), "`c`.*GXNORConv2D"),
    "relu": (lambda: sequential(GXNORDense(4), L.ReLU(name="r"), shape=(4,)), "`r`.*DiscreteActivation"),
    "relu argument": (lambda: sequential(GXNORDense(4, "relu", name="d"), shape=(4,)), "`d`.*relu"),
    "softmax": (lambda: sequential(GXNORDense(4, "softmax", name="d"), shape=(4,)), "from_logits"),
    "softmax layer": (lambda: sequential(GXNORDense(4), L.Softmax(name="s"), shape=(4,)), "from_logits"),
    "average after bn": (
        lambda: sequential(conv(3), bn(), L.AveragePooling2D(2, name="a")), "`a`.*rounded.*after the act"
    ),
    "average at a border": (
        lambda: sequential(L.AveragePooling2D(2, padding="same", name="a"), conv(3)), "`a`.*padding=\"valid\""
    ),
    "average twice": (
        lambda: sequential(L.AveragePooling2D(3), L.AveragePooling2D(3, name="a"), conv(1, 1)),
        "`a`.*one average",
    ),
    "multiply": (lambda: _merging(L.Multiply(name="m")), "`m`.*Add, Average or Concatenate"),
    "add sums": (
        lambda: sequential_dag(lambda x: L.Add(name="m")([GXNORDense(4)(x), GXNORDense(4)(x)])),
        "`m`.*sums.*before",
    ),
    "subtract sums": (
        lambda: sequential_dag(lambda x: L.Subtract(name="m")([x, GXNORDense(4)(x)])), "`m`.*sums"
    ),
    "concatenate rows": (
        lambda: _merging(L.Concatenate(axis=1, name="m"), shape=(4, 4, 2)), "`m`.*axis=-1"
    ),
    "reshape features": (
        lambda: sequential(conv(4), L.Flatten(), bn(), L.Reshape((7, 32), name="r")), "`r`.*after"
    ),
    "pad sums": (lambda: sequential(conv(4), L.ZeroPadding2D(name="z")), "`z`.*before"),
    "no activation": (
        lambda: sequential(GXNORDense(4), GXNORDense(3, name="d"), shape=(4,)), "`d`.*between the two"
    ),
    "bn first": (lambda: sequential(bn(), GXNORDense(3, name="d"), shape=(4,)), "`d`.*DiscreteActivation"),
    "bn after activation": (
        lambda: sequential(GXNORDense(4, "ternary"), bn(), GXNORDense(3, name="d"), shape=(4,)), "`d`"
    ),
    "bn around pool": (
        lambda: sequential(conv(4), bn(), L.MaxPooling2D(), bn(name="b"), DiscreteActivation()), "`b`"
    ),
    "bn per feature, activation": (
        lambda: sequential(conv(4), L.Flatten(), bn(), DiscreteActivation(name="a"), GXNORDense(3)), "`a`"
    ),
    "ends in codes": (lambda: sequential(GXNORDense(3, "ternary"), shape=(4,)), "logits"),
    "pools logits": (lambda: sequential(conv(3), bn(), L.MaxPooling2D(name="p")), "`p`.*logits"),
    "channels first": (
        lambda: sequential(conv(3, 2, data_format="channels_first", name="c"), L.Flatten()),
        "`c`.*channels_last",
    ),
    "channels first, float": (
        lambda: sequential(L.Conv2D(3, 2, data_format="channels_first", name="c"), L.Flatten()),
        '`c`.*GXNORConv2D, .*data_format="channels_last"',
    ),
    "bn axis": (lambda: sequential(conv(3), bn(axis=1, name="b")), "`b`.*axis"),
    "odd rescaling": (
        lambda: sequential(conv(3), L.Rescaling([1.0, 2.0], name="r")), "`r`.*one a channel"
    ),
    "zero point": (
        lambda: sequential(L.Rescaling(1 / 127.5, -1, name="r"), conv(3)), "`r`.*127.5.*1 / 128"
    ),
    "negative rescaling": (lambda: sequential(L.Rescaling(-1.0, name="r"), conv(3)), "`r`.*positive"),
    "rescaling by NaN": (lambda: sequential(L.Rescaling(np.nan, name="r"), conv(3)), "`r`.*positive"),
    "NaN offset": (lambda: sequential(L.Rescaling(1.0, np.nan, name="r"), conv(3)), "`r`.*offset=nan"),
    "infinite offset": (lambda: sequential(L.Rescaling(1.0, np.inf, name="r"), conv(3)), "`r`.*finite"),
    "half range": (
        lambda: sequential(GXNORDense(3, kernel_space={"order": 1, "half_range": 0.7}, name="d"), shape=(4,)),
        "`d`.*half_range=1",
    ),
    "custom": (lambda: sequential(Odd(name="o"), GXNORDense(3), shape=(4,)), "`o`.*no exact integer form"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_layers_are_named(name):
    make, words = UNSUPPORTED[name]
    with pytest.raises(UnsupportedLayerError, match=f"(?s){words}"):
        lowering.from_keras(make(), InputSpec(scale=1.0))


def test_bare_operations_are_named():
    inputs = keras.Input((4,), name="a")
    dense = GXNORDense(3)
    for outputs, words in (
        (dense(inputs) * 2.0, "multiply"),
        (keras.ops.relu(dense(inputs)), "relu"),
        (GXNORDense(3)(inputs[:, :2]), "get_item"),
    ):
        with pytest.raises(UnsupportedLayerError, match=f"`{words}.*bare Keras operation"):
            lowering.from_keras(keras.Model(inputs, outputs))


def test_subclasses_are_named():
    class Sub(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UnsupportedLayerError, match="subclassed"):
        lowering.from_keras(Sub())


def test_other_refusals():
    with pytest.raises(InvalidArgumentError, match="Keras model"):
        lowering.from_keras("model.keras")
    with pytest.raises(InvalidArgumentError, match="not built"):
        lowering.from_keras(keras.Sequential([GXNORDense(3)]))
    with pytest.raises(InvalidArgumentError, match="InputSpec"):
        lowering.from_keras(MODELS["mlp"](), {"scale": 1})
    with pytest.raises(UnsupportedLayerError, match="fixed shape"):
        lowering.from_keras(sequential(conv(3), shape=(None, None, 1)))
    with pytest.raises(GraphError, match=r"2\^24"):
        lowering.from_keras(sequential(GXNORDense(1, kernel_initializer="ones"), shape=(70_000,)))


@pytest.mark.parametrize("where", ["gamma", "moving_variance", "beta"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_names_the_layer(where, value):
    for model in (MODELS["mlp"](), MODELS["logits_bias_and_bn"]()):
        layer = next(layer for layer in model.layers if isinstance(layer, L.BatchNormalization))
        getattr(layer, where).assign(np.full(layer.gamma.shape, value))
        if where == "moving_variance" and value == np.inf:
            continue  # 1 / sqrt(inf) is 0: a constant channel, and finite
        with pytest.raises(UnsupportedLayerError, match=f"`{layer.name}`.*NaN or infinity"):
            lowering.from_keras(model, IMAGE)


def test_mixed_precision_is_refused_with_the_remedy():
    keras.mixed_precision.set_global_policy("mixed_float16")
    model = MODELS["mlp"]()
    with pytest.raises(UnsupportedLayerError, match=r"float16.*set_weights"):
        lowering.from_keras(model, IMAGE)


def test_a_wrong_threshold_would_be_seen():
    import dataclasses

    model = MODELS["mlp"]()
    graph = lowering.from_keras(model, IMAGE)
    nodes = list(graph.nodes)
    index = next(i for i, n in enumerate(nodes) if isinstance(n.op, g.Threshold))
    op = nodes[index].op
    nodes[index] = dataclasses.replace(
        nodes[index], op=dataclasses.replace(op, thresholds=op.thresholds + np.int32(60))
    )
    wrong = dataclasses.replace(graph, nodes=tuple(nodes))
    q = codes(model, count=200)
    truth = plain(model, IMAGE, q)
    assert verification.count_mismatches(reference.run(graph, q), truth) == (0, 0)
    assert verification.count_mismatches(reference.run(wrong, q), truth)[0] > 0


def test_a_graded_kernel_exports_as_the_ternary_one_it_is_read_as():
    graded = MODELS["graded"]()
    same = keras.models.clone_model(
        graded,
        clone_function=lambda layer: type(layer).from_config(
            {**layer.get_config(), **({"kernel_space": "ternary"} if hasattr(layer, "kernel_codes") else {})}
        ),
    )
    for one, other in zip(graded.layers, same.layers):
        states = hasattr(one, "kernel_codes")
        other.set_weights([one.kernel_codes(), *one.get_weights()[1:]] if states else one.get_weights())
    for target in ("tflite", "c"):
        made, expected = (
            keras_gxnor.converters.convert(m, target, input_spec=IMAGE, name="net").files
            for m in (graded, same)
        )
        assert made == expected
