"""Lowering of sequences, and of the layers around kernels: every option equals Keras bit for bit."""

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
    lowering,
    reference,
    rewrites,
)
from keras_gxnor.converters import verification
from keras_gxnor.evaluation import exact_first, is_exact, plain
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
