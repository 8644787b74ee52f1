"""Lowering of sequences, and of the layers around kernels: every option equals Keras bit for bit."""

import itertools

import keras
import numpy as np
import pytest

from keras_gxnor import (
    DiscreteActivation,
    GXNORConv1D,
    GXNORConv2D,
    GXNORConv2DTranspose,
    GXNORDense,
    GXNORDepthwiseConv1D,
    GXNORDepthwiseConv2D,
    GXNOREmbedding,
    GXNORSeparableConv1D,
    GXNORSeparableConv2D,
    InputSpec,
    converters,
    lowering,
    reference,
    rewrites,
)
from keras_gxnor.converters import verification
from keras_gxnor.errors import InvalidArgumentError, UnsupportedLayerError
from keras_gxnor.evaluation import exact_first, is_exact, plain, rounding_explains
from tests.unit.test_lowering import IMAGE, bn, codes, functional, sequential

L = keras.layers
act = DiscreteActivation


def conv(filters, size=3, **kwargs):
    return GXNORConv1D(filters, size, **{"use_bias": False, **kwargs})


def steps(*layers, shape=(20, 3), gentle=False):
    """A sequence through layers, and logits."""
    return sequential(*layers, L.Flatten(), GXNORDense(3), bn(), shape=shape, gentle=gentle)


SEQUENCES = {
    "paper_order": lambda: steps(conv(5), L.MaxPooling1D(2), bn(), act(), conv(4), L.MaxPooling1D(3), bn(), act()),
    "bn_before_pool": lambda: steps(conv(5), bn(), L.MaxPooling1D(2), act(), conv(4), bn(), act()),
    "pool_after": lambda: steps(conv(5), bn(), act(), L.MaxPooling1D(3, 2, "same"), conv(4), bn(), act()),
    "causal": lambda: steps(conv(5, padding="causal", dilation_rate=2), bn(), act(), conv(4, 2, padding="causal"), act()),
    "same_strides": lambda: steps(conv(6, 4, padding="same", strides=2), bn(), act(), conv(4, groups=2), act()),
    "dilated": lambda: steps(conv(6, dilation_rate=3), bn(), act(), conv(4, dilation_rate=2, padding="same"), act()),
    "bias": lambda: steps(conv(5, use_bias=True, activation="ternary"), L.SpatialDropout1D(0.5), conv(4, activation="z3")),
    "average_codes": lambda: steps(conv(5), bn(), act(), L.AveragePooling1D(2), conv(4), bn(), act()),
    "average_of_three": lambda: steps(
        conv(5), bn(), act(), L.AveragePooling1D(3, 1), bn(), act(), conv(4), act(), gentle=True
    ),
    "average_sums": lambda: steps(conv(5), L.AveragePooling1D(4), bn(), act()),
    "global_average": lambda: sequential(conv(5), bn(), act(), L.GlobalAveragePooling1D(), bn(), shape=(16, 3)),
    "global_average_kept": lambda: sequential(
        conv(5, 1), bn(), act(), L.GlobalAveragePooling1D(keepdims=True), conv(3, 1), bn(), shape=(16, 3)
    ),
    "global_average_step": lambda: sequential(
        conv(5), bn(), act(), L.GlobalAveragePooling1D(), bn(), act(), GXNORDense(3), shape=(16, 3), gentle=True
    ),
    "global_average_sums": lambda: sequential(conv(5), L.GlobalAveragePooling1D(), bn(), shape=(16, 3)),
    "global_max": lambda: sequential(
        conv(5), L.GlobalMaxPooling1D(), bn(), act(), GXNORDense(3), shape=(16, 3)
    ),
    "global_max_after_bn": lambda: sequential(
        conv(5), bn(), L.GlobalMaxPooling1D(), act(), GXNORDense(3), shape=(16, 3)
    ),
    "zero_padding": lambda: steps(L.ZeroPadding1D((2, 1)), conv(5), bn(), act(), L.ZeroPadding1D(1), conv(4), act()),
    "cropping": lambda: steps(conv(5), bn(), act(), L.Cropping1D((2, 3)), conv(4), bn(), act(), L.Cropping1D(1)),
    "upsampling": lambda: steps(conv(5), bn(), act(), L.UpSampling1D(3), conv(4), act(), L.UpSampling1D(1)),
    "dense_on_steps": lambda: sequential(GXNORDense(6), bn(), act(), GXNORDense(3), bn(), shape=(7, 5)),
    "logits_of_steps": lambda: sequential(conv(5), bn(), act(), conv(3, 2), bn(), shape=(9, 2)),
    "logits_reshaped": lambda: sequential(conv(6), bn(), L.Reshape((4, 9)), shape=(8, 2)),
    "reshape_sums": lambda: steps(conv(6), bn(), L.Reshape((4, 6, 3)), act(), GXNORConv2D(4, 2), act(), shape=(14, 2)),
    "normalized_features": lambda: sequential(conv(6), bn(), L.Flatten(), bn(), shape=(8, 2)),
    "image_to_steps": lambda: steps(
        GXNORConv2D(4, (2, 5), use_bias=False), L.Reshape((12, 4)), bn(), act(), conv(5), bn(), act(), shape=(4, 8, 2)
    ),
    "permute": lambda: steps(
        L.Permute((2, 1, 3)), L.Reshape((12, 2)), conv(4), bn(), L.Reshape((10, 1, 4)), L.Permute((2, 1, 3)), act(),
        GXNORConv2D(3, (1, 2)), act(), shape=(1, 12, 2),
    ),
    "depthwise": lambda: steps(GXNORDepthwiseConv1D(3), bn(), act(), GXNORDepthwiseConv1D(4, padding="same"), act()),
    "depthwise_multiplier": lambda: steps(
        GXNORDepthwiseConv1D(3, 2, depth_multiplier=3), bn(), act(), GXNORDepthwiseConv1D(2, depth_multiplier=2), act()
    ),
    "depthwise_dilated": lambda: steps(conv(4), act(), GXNORDepthwiseConv1D(3, dilation_rate=2), bn(), act()),
    "relus": lambda: steps(
        conv(5), L.MaxPooling1D(2), bn(), act("uint8"), GXNORSeparableConv1D(4, 3), bn(), act("uint8"),
        L.AveragePooling1D(2), conv(3), bn(), act(), gentle=True,
    ),
    "separable": lambda: steps(GXNORSeparableConv1D(5, 3), bn(), act(), GXNORSeparableConv1D(4, 3, 2), bn(), act()),
    "separable_same": lambda: steps(
        GXNORSeparableConv1D(5, 3, padding="same", depth_multiplier=2, activation="ternary"),
        GXNORSeparableConv1D(4, 3, padding="same", dilation_rate=2), bn(), act(),
    ),
}


def _merge(layer, *branches, shape=(12, 3)):
    def body(x):
        x = act("z2")(bn()(conv(4)(x)))
        return layer([branch(x) for branch in branches])

    return functional(body, shape)


def _same(x):
    return x


def _halves(x):
    return L.AveragePooling1D(2, 1, "valid")(L.ZeroPadding1D((1, 0))(x))


IMAGES = {
    "depthwise": lambda: sequential(
        GXNORDepthwiseConv2D(3), bn(), act(), GXNORDepthwiseConv2D((2, 3), 2, depth_multiplier=3), bn(), act(),
        L.Flatten(), GXNORDense(3), gentle=True,
    ),
    "depthwise_same": lambda: sequential(
        GXNORDepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="ternary"),
        GXNORDepthwiseConv2D(3, dilation_rate=2, padding="same", kernel_space="z3"), bn(), act("z3"), L.Flatten(),
        GXNORDense(3),
    ),
    "depthwise_logits": lambda: sequential(GXNORDepthwiseConv2D(3), bn()),
    "separable": lambda: sequential(
        GXNORSeparableConv2D(6, 3), bn(), act(), GXNORSeparableConv2D(5, 2, 2, "same"), L.MaxPooling2D(), bn(), act(),
        L.Flatten(), GXNORDense(3),
    ),
    "separable_many_states": lambda: sequential(
        GXNORSeparableConv2D(6, 3, kernel_space="z2"), bn(), act("z4"), GXNORSeparableConv2D(5, 2, depth_multiplier=2),
        bn(), act("z2"), GXNORSeparableConv2D(4, 3), bn(), act(), L.Flatten(), GXNORDense(3), gentle=True,
    ),
    "separable_logits": lambda: sequential(GXNORConv2D(4, 3, activation="ternary"), GXNORSeparableConv2D(3, 3), bn()),
    "transposed": lambda: sequential(
        GXNORConv2D(4, 3, use_bias=False), bn(), act(), GXNORConv2DTranspose(5, 3, 2, "same"), bn(), act(),
        GXNORConv2DTranspose(3, 2, 2, use_bias=False), bn(), shape=(6, 5, 2),
    ),
    "sums_read_by_a_kernel": lambda: sequential(
        GXNORConv2D(4, 3), act(), GXNORDense(5, use_bias=False), GXNORDense(6, use_bias=False), bn(), act(),
        L.Flatten(), GXNORDense(3),
    ),
    "sums_flattened_for_a_kernel": lambda: sequential(
        GXNORConv2D(4, 3), act(), GXNORConv2D(3, 2, use_bias=False), L.Flatten(), GXNORDense(4), bn()
    ),
    "sums_merged": lambda: _merge(L.Subtract(), conv(4, 1), conv(4, 1), shape=(9, 3)),
    "upsampling": lambda: sequential(
        GXNORConv2D(4, 3), bn(), act(), L.UpSampling2D((2, 3)), GXNORConv2D(5, 3), bn(), act(), L.Flatten(), GXNORDense(3),
    ),
    "cropping": lambda: sequential(
        GXNORConv2D(4, 3), bn(), act("z3"), L.Cropping2D(((1, 0), (2, 1))), GXNORConv2D(5, 3), bn(), act(),
        L.Cropping2D(1), L.Flatten(), GXNORDense(3), shape=(12, 12, 2),
    ),
    "rescaled_codes": lambda: sequential(
        GXNORConv2D(4, 3), bn(), act(), L.Rescaling(-0.25), GXNORConv2D(5, 3), bn(), act(), L.Flatten(), GXNORDense(3),
    ),
    "rescaled_codes_oddly": lambda: sequential(
        GXNORConv2D(4, 3), bn(), act("z3"), L.Rescaling(0.9, 0.1), act(), L.Flatten(), GXNORDense(3),
    ),
    "rescaled_sums": lambda: sequential(
        GXNORConv2D(4, 3), L.Rescaling(0.3, 0.1), bn(), act(), L.Flatten(), GXNORDense(3), L.Rescaling(0.7),
    ),
    "rescaled_channels": lambda: sequential(
        GXNORConv2D(4, 3), L.Rescaling([0.3, -0.2, 0.1, 0], [0, 1, 2, 3]), L.MaxPooling2D(), act(), L.Flatten(),
        GXNORDense(3),
    ),
    "add_units": lambda: _merge(L.Add(), _same, _halves),
    "subtract_units": lambda: _merge(L.Subtract(), _halves, _same),
    "concatenate_units": lambda: _merge(L.Concatenate(), _same, _halves, lambda x: L.Rescaling(4.0)(x)),
    "average": lambda: _merge(L.Average(), _same, _halves),
    "average_of_three": lambda: functional(
        lambda x: act()(bn()(L.Average()([act()(bn()(conv(4)(x))) for _ in range(3)]))), (12, 3)
    ),
    "residual_of_steps": lambda: functional(
        lambda x: act()(bn()(L.Add()([x := act()(bn()(conv(4)(x))), act()(bn()(conv(4, padding="same")(x)))]))), (12, 3)
    ),
}
MODELS = {f"sequence_{k}": v for k, v in SEQUENCES.items()} | {f"image_{k}": v for k, v in IMAGES.items()}


@pytest.mark.parametrize("name", MODELS)
def test_graph_equals_keras_bit_for_bit(name):
    model = MODELS[name]()
    graph = lowering.from_keras(model, IMAGE)
    q = codes(model)
    truth = plain(model, IMAGE, q)
    assert is_exact(model, IMAGE)
    assert verification.count_mismatches(reference.run(graph, q), truth) == (0, 0)
    assert verification.count_mismatches(reference.run(rewrites.canonical(graph), q), truth) == (0, 0)
    assert verification.count_mismatches(exact_first(model, IMAGE, q), truth) == (0, 0)
    assert len(np.unique(truth)) > 3  # the comparison compares something


TOKENS = InputSpec(scale=1)
EMBEDDINGS = {
    "tokens": (lambda: sequential(GXNOREmbedding(50, 7), conv(5), bn(), act(), conv(3), L.GlobalAveragePooling1D(), bn(), shape=(11,))),
    "tokens_many_states": lambda: sequential(
        GXNOREmbedding(256, 6, kernel_space="z3"), L.Dropout(0.5), conv(5), L.MaxPooling1D(2), bn(), act("z2"), L.Flatten(),
        GXNORDense(3), shape=(12,), gentle=True,
    ),
    "tokens_flattened": lambda: sequential(GXNOREmbedding(9, 4, kernel_space="graded"), L.Flatten(), GXNORDense(3), shape=(6,)),
    "tokens_image": lambda: sequential(
        GXNOREmbedding(9, 4), GXNORConv2D(5, 2), bn(), act(), L.GlobalMaxPooling2D(), GXNORDense(3), shape=(6, 5)
    ),
}


def tokens(model, count=24):
    rows = next(layer for layer in model.layers if isinstance(layer, GXNOREmbedding)).input_dim
    return codes(model, TOKENS, count) % rows


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_embeddings_equal_keras_bit_for_bit(name):
    model = EMBEDDINGS[name]()
    graph = lowering.from_keras(model, TOKENS)
    q = tokens(model)
    truth = plain(model, TOKENS, q)
    assert is_exact(model, TOKENS)
    assert verification.count_mismatches(reference.run(graph, q), truth) == (0, 0)
    assert len(np.unique(truth)) > 3


def test_token_indexes_beyond_the_table_are_refused_beside_keras():
    model = EMBEDDINGS["tokens"]()
    artifact = converters.convert(model, "tflite", input_spec=TOKENS, name="net")  # checked on indexes within
    q = tokens(model)
    assert converters.verify(model, artifact, q, ["litert_builtin"]).ok
    q[3, 4] = 50
    with pytest.raises(InvalidArgumentError, match=r"0\.\.49.*Received: 0\.\.50"):
        converters.verify(model, artifact, q, ["litert_builtin"])
    assert converters.verify(artifact.graph, artifact, q, ["litert_builtin"]).ok  # the last row, in both


INEXACT = {
    "separable": (lambda: steps(GXNORSeparableConv1D(4, 3), bn(), act()), InputSpec(scale=1 / 255)),
    "steps_of_an_input": (
        lambda: steps(L.ZeroPadding1D(2), L.MaxPooling1D(2), L.Rescaling(-2.0), conv(4), bn(), act()),
        InputSpec(scale=1 / 255),
    ),
    "average_of_three": (
        lambda: functional(
            lambda x: act()(bn()(conv(5)(L.Average()([act()(bn()(conv(4)(x))) for _ in range(3)])))), (12, 3)
        ),
        IMAGE,
    ),
    "global_average_of_steps": (
        lambda: functional(lambda x: L.GlobalAveragePooling1D()(act()(bn()(conv(4)(x)))), (11, 3)), IMAGE
    ),
}


@pytest.mark.parametrize("name", INEXACT)
def test_what_keras_rounds_is_compared_with_exact_sums(name):
    make, spec = INEXACT[name]
    model = make()
    graph = lowering.from_keras(model, spec)
    q = codes(model, spec, count=100)
    assert not is_exact(model, spec) and rounding_explains(model, spec, q)
    exact = exact_first(model, spec, q)
    assert verification.count_mismatches(reference.run(graph, q), exact) == (0, 0)
    np.testing.assert_allclose(exact, plain(model, spec, q), rtol=0, atol=1e-2)


UNSUPPORTED = {
    "output padding": (lambda: sequential(GXNORConv2DTranspose(3, 3, 2, output_padding=1, name="t")), "`t`.*output_padding"),
    "late embedding": (
        lambda: sequential(L.Flatten(), GXNOREmbedding(9, 4, name="e"), L.Flatten(), GXNORDense(3)), "`e`.*first layer"
    ),
    "large vocabulary": (lambda: sequential(GXNOREmbedding(257, 4, name="e"), GXNORDense(3), shape=(4,)), "`e`.*257.*at most 256"),
    "mask": (
        lambda: sequential(GXNOREmbedding(9, 4, mask_zero=True, name="e"), GXNORDense(3), shape=(4,)), "`e`.*mask_zero=False"
    ),
    "permute": (lambda: sequential(L.Permute((2, 1, 3), name="p"), GXNORDense(3)), "`p`.*moves values"),
    "upsampling": (
        lambda: sequential(L.UpSampling2D(2, interpolation="bilinear", name="u"), GXNORDense(3)), "`u`.*nearest"
    ),
    "upsampled sums": (lambda: sequential(GXNORDense(3), L.UpSampling2D(2, name="u")), "`u`.*after the activation"),
    "cropped input": (lambda: sequential(L.Cropping2D(1, name="c"), GXNORDense(3)), "`c`.*-64..64"),
    "cropped sums": (lambda: sequential(GXNORDense(3), L.Cropping2D(1, name="c")), "`c`.*after the activation"),
    "padded sums": (lambda: sequential(conv(3), L.ZeroPadding1D(1, name="z"), shape=(9, 2)), "`z`.*before the kernel"),
    "odd rescaling before a kernel": (
        lambda: sequential(GXNORDense(4, "ternary"), L.Rescaling(0.3), GXNORDense(3, name="d"), shape=(4,)), "`d`.*between"
    ),
    "maximum": (lambda: _merge(L.Maximum(name="m"), _same, _halves), "`m`.*Average"),
    "lstm": (lambda: sequential(L.LSTM(4, name="l"), GXNORDense(3), shape=(5, 4)), "`l`.*causal"),
    "dense of four axes": (lambda: sequential(GXNORDense(3, name="d"), shape=(2, 3, 4, 5)), "`d`.*Flatten"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_layers_are_named(name):
    make, words = UNSUPPORTED[name]
    with pytest.raises(UnsupportedLayerError, match=f"(?s){words}"):
        lowering.from_keras(make(), TOKENS)


def test_separable_kernels_beyond_int8_are_refused():
    layer = GXNORSeparableConv2D(3, 2, depth_multiplier=4, kernel_space="z7", name="s")
    model = sequential(layer)
    layer.depthwise_kernel.assign(np.full(layer.depthwise_kernel.shape, 64))
    layer.pointwise_kernel.assign(np.full(layer.pointwise_kernel.shape, 64))
    with pytest.raises(UnsupportedLayerError, match=r"`s`.*beyond int8"):
        lowering.from_keras(model, IMAGE)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_transposed_convolutions_of_every_small_size(stride, padding):
    for kernel, size in itertools.product(range(1, 6), (1, 2, 4)):
        layer = GXNORConv2DTranspose(2, (kernel, 3), (stride, 2), padding, use_bias=False)
        model = sequential(layer, shape=(size, 3, 2))
        graph, q = lowering.from_keras(model, IMAGE), codes(model, count=3)
        assert np.array_equal(reference.run(graph, q), plain(model, IMAGE, q)), (kernel, size)


def test_units_that_differ_by_no_power_of_two_are_refused():
    inputs = keras.Input((4,))
    merged = L.Add(name="m")([GXNORDense(4, "ternary")(inputs), inputs])
    model = keras.Model(inputs, GXNORDense(3)(merged))
    with pytest.raises(UnsupportedLayerError, match=r"`m`.*different units.*power of two"):
        lowering.from_keras(model, InputSpec(scale=1 / 255))
    lowering.from_keras(model, InputSpec(scale=1 / 256))


EXPORTED = ["sequence_relus", "sequence_paper_order", "sequence_separable", "image_depthwise", "image_transposed", "image_concatenate_units"]


@pytest.mark.parametrize("name", ["tokens", *(pytest.param(n, marks=pytest.mark.slow) for n in EXPORTED)])
def test_back_ends_equal_keras(name):
    model = EMBEDDINGS[name]() if name in EMBEDDINGS else MODELS[name]()
    spec = TOKENS if name in EMBEDDINGS else IMAGE
    q = tokens(model, 12) if name in EMBEDDINGS else codes(model, count=12)
    backends = ["litert_xnnpack", "litert_builtin", "litert_reference", "tflite_micro"]
    for target, names in (("tflite", backends), ("c", ["c_host", "c_cortex_m4"])):
        report = converters.verify(model, converters.convert(model, target, spec, "net", check=False), q, names)
        assert report.ok and report.images == dict.fromkeys(names, 12), report
