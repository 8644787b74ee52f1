"""Ranges from data: the smallest that holds it, or the one of least error; layer after layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gxnor import DiscreteActivation, QuantizedReLU, calibrate
from keras_gxnor.errors import InvalidArgumentError

L = keras.layers


def _relu(space="uint8", **kwargs):
    return keras.Sequential([keras.Input((1,)), DiscreteActivation(space, name="relu", **kwargs)])


@pytest.mark.parametrize(
    "largest, expected", [(3.9, 4.0), (4.0, 8.0), (3.995, 8.0), (3.9921, 4.0), (1e-3, 2.0**-9)]
)
def test_the_smallest_range_that_clips_nothing(largest, expected):
    x = np.float32([[-9.0], [0.1 * largest], [largest]])
    model = _relu()
    assert calibrate(model, x, percentile=100) == {"relu": expected}
    top = QuantizedReLU("uint8", expected)
    assert abs(float(model(x)[-1, 0]) - largest) <= top.scale / 2  # rounded, not clipped
    half = QuantizedReLU("uint8", expected / 2)
    assert float(half(x)[-1, 0]) < largest - half.scale / 2


def test_a_percentile_leaves_outliers_out():
    x = np.concatenate([np.linspace(0, 1, 999), [50.0]]).astype(np.float32)[:, None]
    assert calibrate(_relu(), x, percentile=100) == {"relu": 64.0}
    assert calibrate(_relu(), x, percentile=99) == {"relu": 1.0}


@pytest.mark.parametrize("space", ["uint1", "uint2", "uint4", "uint8"])
def test_least_error_is_least_among_all_powers_of_two(space):
    x = np.random.default_rng(0).normal(size=(4000, 1)).astype(np.float32)
    found = calibrate(_relu(space), x)["relu"]
    kept = np.maximum(x, 0)
    made = {2.0**k: QuantizedReLU(space, 2.0**k)(kept).numpy() for k in range(-9, 9)}
    errors = {size: np.square(y - kept).mean() for size, y in made.items()}
    assert found == min(errors, key=errors.get)


def test_integers_are_read_as_the_model_reads_them():
    model = keras.Sequential([keras.Input((4, 4, 1)), L.Conv2D(2, 3), DiscreteActivation("uint8")])
    x = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 1)).astype(np.uint8)
    assert calibrate(model, x) == calibrate(model, x.astype(np.float32))


def test_later_layers_see_what_earlier_ones_make():
    model = keras.Sequential(
        [
            keras.Input((1,)),
            DiscreteActivation("uint1", range=64.0, name="first"),
            keras.Sequential([L.Rescaling(3.0), DiscreteActivation("uint8", name="second")]),
        ]
    )
    x = np.float32([[0.9], [1.0]])
    assert calibrate(model, x, percentile=100) == {"first": 2.0, "second": 4.0}  # values 0 and 1, times 3


def test_a_shared_layer_keeps_the_larger_range():
    relu, inputs = DiscreteActivation("uint8", name="relu"), keras.Input((1,))
    model = keras.Model(inputs, relu(L.Rescaling(-8.0)(relu(inputs))))
    assert calibrate(model, np.float32([[3.0]])) == {"relu": 4.0}
    model = keras.Model(inputs, relu(L.Rescaling(8.0)(relu(inputs))))
    assert calibrate(model, np.float32([[3.0]]), percentile=100) == {"relu": 32.0}


def test_what_is_never_positive_keeps_its_range():
    assert calibrate(_relu(range=0.5), np.float32([[-1.0], [0.0]])) == {"relu": 0.5}


def test_several_inputs_and_equal_names():
    a, b = keras.Input((2,)), keras.Input((3,))
    inner = [keras.Sequential([DiscreteActivation("uint8", name="relu")]) for _ in range(2)]
    model = keras.Model([a, b], L.Concatenate()([inner[0](a), inner[1](b)]))
    x = [np.ones((5, 2), np.float32), np.full((5, 3), 7, np.float32)]
    assert calibrate(model, x, percentile=100) == {"relu": 2.0, "relu#2": 8.0}


def test_refusals_leave_the_model_as_it_was():
    model = _relu(range=2.0)
    for x, percentile, words in ((np.nan, None, "NaN"), (1, 101, "percentile"), (1, 0, "percentile")):
        with pytest.raises(InvalidArgumentError, match=words):
            calibrate(model, np.float32([[x]]), percentile)
    assert model.layers[0].quantizer == model.layers[0].resolved() == QuantizedReLU("uint8", 2.0)
    with pytest.raises(InvalidArgumentError, match="no DiscreteActivation"):
        calibrate(keras.Sequential([keras.Input((1,)), DiscreteActivation()]), np.float32([[1]]))


def _two(structure=list):
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    inputs = [a, b] if structure is list else {"a": a, "b": b}
    return keras.Model(inputs, DiscreteActivation("uint8", name="relu")(L.Concatenate()([a, b])))


class _Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.relu = DiscreteActivation("uint8", name="relu")

    def call(self, x):
        return self.relu(x)


ONES, MORE = np.ones((5, 2), np.float32), np.full((5, 3), 7, np.float32)


@pytest.mark.parametrize(
    "x, received",
    [
        (None, "Received: x=None"),
        (ONES[:0, :1], r"at least one.*Received: x=ndarray of shape \(0, 1\), float32"),
        ([[1.0], [2.0]], "array of numbers.*Received: x="),
        (tf.data.Dataset.from_tensors(ONES), "array of numbers.*Received: x=<_TensorDataset"),
        (np.array([[None]]), "array of numbers.*object"),
        (ONES, r"inputs of model.*\(None, 1\).*Received: x=ndarray of shape \(5, 2\)"),
        (ONES[:, 0], r"inputs of model.*Received: x=ndarray of shape \(5,\)"),
        ([ONES[:, :1], ONES[:, :1]], "inputs of model.*Received: x="),
        ({"other": ONES[:, :1]}, "inputs of model.*Received: x={'other'"),
    ],
)
def test_other_samples_are_refused(x, received):
    with pytest.raises(InvalidArgumentError, match=f"(?s){received}"):
        calibrate(_relu(), x)


@pytest.mark.parametrize("percentile", ["99", True, [99], np.nan, 0, 100.1])
def test_other_percentiles_are_refused(percentile):
    with pytest.raises(InvalidArgumentError, match=r"number in \(0, 100\]. Received: percentile="):
        calibrate(_relu(), ONES[:, :1], percentile)


@pytest.mark.parametrize("structure", [list, dict])
def test_samples_of_several_inputs(structure):
    assert calibrate(_two(structure), {"a": ONES, "b": MORE}, 100) == {"relu": 8.0}
    if structure is list:
        assert calibrate(_two(), (ONES, MORE), np.float32(100)) == {"relu": 8.0}
    for x in ({"a": ONES}, {"a": MORE, "b": ONES}, {"a": ONES, "c": MORE}, [MORE, ONES]):
        with pytest.raises(InvalidArgumentError, match=r"inputs of model .*a.*b.*Received: x="):
            calibrate(_two(structure), x)
    with pytest.raises(InvalidArgumentError, match="equally many"):
        calibrate(_two(structure), {"a": ONES, "b": MORE[1:]})


def test_models_that_are_not_built_are_refused():
    model = _Subclass()
    for unbuilt in (model, keras.Sequential([DiscreteActivation("uint8", name="relu")])):
        with pytest.raises(InvalidArgumentError, match=r"must be built.*Received: .*\['relu'\]"):
            calibrate(unbuilt, ONES)
    model(ONES)
    assert calibrate(model, MORE, 100) == {"relu": 8.0}
    with pytest.raises(InvalidArgumentError, match=r"a Keras model. Received: model=3"):
        calibrate(3, ONES)


def test_an_error_in_a_later_layer_leaves_earlier_ranges_as_they_were():
    relus = [DiscreteActivation("uint8", range=0.5, name=name) for name in ("first", "second")]
    not_finite = L.Lambda(lambda x: x / 0.0)
    model = keras.Sequential([keras.Input((2,)), relus[0], not_finite, relus[1]])
    kept = [relu.quantizer for relu in relus]
    with pytest.raises(InvalidArgumentError, match="`second` got NaN"):
        calibrate(model, ONES)
    assert [relu.quantizer for relu in relus] == kept == [relu.resolved() for relu in relus]
    assert calibrate(keras.Sequential([model.inputs[0], relus[0]]), ONES, 100) == {"first": 2.0}
