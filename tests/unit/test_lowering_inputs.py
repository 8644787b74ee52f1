"""What the device feeds: default specs, Rescaling layers folded into them, and inputs that cannot be."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gxnor import DiscreteActivation, GXNORDense, InputSpec, lowering, reference, topology
from keras_gxnor.errors import UnsupportedLayerError
from keras_gxnor.evaluation import exact_first, is_exact
from tests.unit.test_lowering import bn, conv, sequential

L = keras.layers


@pytest.mark.parametrize("factor, offset, spec, expected", [
    (1 / 128, -1, InputSpec(scale=1.0), (1 / 128, 128)),
    (2.0, 0, InputSpec(scale=1 / 64, zero_point=5), (1 / 32, 5)),
    (1 / 255, 0, InputSpec(scale=1.0), (1 / 255, 0)),
])
def test_rescaling_folds(factor, offset, spec, expected):
    model = sequential(L.Rescaling(factor, offset), GXNORDense(3), shape=(4,))
    folded = lowering.from_keras(model, spec).input.spec
    assert (folded.scale, folded.zero_point) == expected


@pytest.mark.parametrize(
    "layers",
    [
        [L.Rescaling(1 / 256)],
        [L.Dropout(0.1), L.Rescaling(tf.constant(1 / 256))],
        [L.Flatten(), L.Rescaling(1 / 256)],
        [L.Reshape((4, 1)), L.Rescaling(1 / 16), L.Reshape((1, 4)), L.Rescaling(1 / 16, -0.25)],
    ],
    ids=["bare", "dropout", "flatten", "two"],
)
def test_a_rescaling_reads_raw_codes_by_default(layers):
    """The pixels that it read in training; uint8 / 255 would divide them twice."""
    model = sequential(*layers, L.Flatten(), GXNORDense(3), shape=(2, 2))
    q = np.random.default_rng(0).integers(0, 256, (20, 2, 2)).astype(np.uint8)
    made = reference.run(lowering.from_keras(model), q)
    assert np.array_equal(made, model.predict(q.astype("float32"), verbose=0)) and made.any()
    assert lowering.from_keras(sequential(GXNORDense(3), shape=(4,))).input.spec == InputSpec()


def test_a_rescaling_behind_another_shape_of_an_odd_scale_equals_exact_sums():
    model = sequential(
        L.Reshape((6, 6, 1)), L.Rescaling(1 / 255), conv(4), bn(), DiscreteActivation("uint8"), L.Flatten(),
        GXNORDense(3), shape=(36,),
    )
    q = np.random.default_rng(0).integers(0, 256, (50, 36)).astype(np.uint8)
    made, raw = reference.run(lowering.from_keras(model), q), InputSpec(scale=1.0)
    assert np.array_equal(made, exact_first(model, raw, q)) and made.any() and not is_exact(model, raw)


def test_a_kernel_beside_a_rescaling_says_what_it_reads():
    """Padding adds zeros in front of an offset; and one of two readers of an input has no spec of its own."""
    inputs = keras.Input((4, 4, 1))
    beside = L.Concatenate()([conv(2, name="d")(L.Rescaling(1 / 255)(inputs)), conv(2)(inputs)])
    for model in (
        sequential(L.ZeroPadding2D(), L.Rescaling(1 / 128, -1), conv(2, name="d"), shape=(4, 4, 1)),
        keras.Model(inputs, beside),
    ):
        with pytest.raises(UnsupportedLayerError, match=r"`d`.*scaled or shifted.*first and only reader"):
            lowering.from_keras(model)


def test_inputs_of_integers_are_for_rescalings_and_embeddings():
    fits = keras.Sequential([keras.Input((4,), dtype="uint8"), L.Rescaling(1 / 256), GXNORDense(3)])
    assert lowering.from_keras(fits).input.spec == InputSpec(scale=1 / 256)
    inputs = keras.Input((4, 4, 1), dtype="uint8", name="pixels")
    model = keras.Model(inputs, L.Flatten()(conv(2)(L.Dropout(0.1)(inputs))))
    with pytest.raises(UnsupportedLayerError, match=r"`pixels` must be float32.*Received: uint8"):
        lowering.from_keras(model)


def test_a_range_that_is_no_number_is_named():
    step = DiscreteActivation("uint8", name="r")
    model = sequential(GXNORDense(4), step, GXNORDense(3), shape=(4,))
    step.log2_range.assign(np.nan)
    with pytest.raises(UnsupportedLayerError, match=r"`r`.*finite range.*log2_range=nan"):
        lowering.from_keras(model)


def test_outputs_of_codes_are_counted():
    inputs = keras.Input((4,))
    codes_of = DiscreteActivation()(GXNORDense(4)(inputs))
    with pytest.raises(UnsupportedLayerError, match=r"Output 1 of model `two`.*ends in codes"):
        lowering.from_keras(keras.Model(inputs, [GXNORDense(3)(codes_of), codes_of], name="two"))


def test_only_inputs_that_are_rescaled_are_raw_by_default():
    x, y = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([x, y], GXNORDense(2)(L.Concatenate()([L.Rescaling(1 / 255)(x), y])))
    assert lowering.input_specs(None, topology.read(model)) == (InputSpec(scale=1.0), InputSpec())


def test_a_zero_point_out_of_range_says_what_it_was_made_of():
    model = sequential(L.Rescaling(1 / 8, -1, name="r"), GXNORDense(3), shape=(4,))
    assert lowering.from_keras(model).input.spec == InputSpec(scale=1 / 8, zero_point=8)
    words = r"`r`.*composed with input_spec=InputSpec\(.*code 2040.*InputSpec\(scale=1, zero_point=0\)"
    with pytest.raises(UnsupportedLayerError, match=f"(?s){words}"):
        lowering.from_keras(model, InputSpec())
    far = sequential(L.Rescaling(1 / 8, -40, name="r"), GXNORDense(3), shape=(4,))
    with pytest.raises(UnsupportedLayerError, match=r"code 320.*1 / 128, offset=-1"):
        lowering.from_keras(far)
