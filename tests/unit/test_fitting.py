"""Steps in the place of activations: the best one alone, and one value where codes are added."""

import keras
import numpy as np
import pytest

import keras_gxnor
from keras_gxnor import quantizers, topology
from keras_gxnor.conversion.calibration import examples, measure
from keras_gxnor.conversion.fitting import fit
from keras_gxnor.conversion.planning import Planner

L = keras.layers


def _fits(model, space="ternary"):
    """({name: Fit}, {name: what the step reads}, {name: the float activation}) of `discretize`."""
    found = topology.read(model)
    planner = Planner(found, "ternary", lambda layer: True, ())
    x = np.random.default_rng(0).normal(size=(400, *model.input_shape[1:])).astype(np.float32)
    measured, _ = measure(found, planner.changes, examples(model, found, x)[0], settled=True)
    fits = fit(found, planner.changes, measured, quantizers.get(space))
    names = {key: planner.changes[key].layer.name for key in fits}
    return {names[key]: one for key, one in fits.items()}, {
        names[key]: measured[key].sample.astype(np.float64) for key in fits
    }


def _error(one, y, wanted, space="ternary"):
    made = np.asarray(quantizers.get(space)(((y - one.offset) / one.width).astype(np.float32)), np.float64)
    return np.mean((one.value * made + one.zero - wanted) ** 2)


@pytest.mark.parametrize("space", ["ternary", "z3", "binary"])
def test_no_value_and_zero_and_few_offsets_are_better(space):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, L.Dense(3)(L.Dense(8, "relu", name="a")(inputs)))
    fits, samples = _fits(model, space)
    one, y = fits["a"], samples["a"]
    wanted = np.maximum(y, 0)
    least = _error(one, y, wanted, space)
    assert 0 < least < wanted.var() * (0.5 if space == "binary" else 0.25)
    for field, change in (("value", 1.02), ("value", 0.98), ("zero", 1.02), ("zero", 0.98)):
        other = {**vars(one), field: getattr(one, field) * change}
        assert _error(type(one)(**other), y, wanted, space) > least
    for step in (-0.5, 0.5):
        moved = type(one)(**{**vars(one), "offset": one.offset + step * y.std()})
        assert _error(moved, y, wanted, space) > least


def _residual(scale):
    """One branch `scale` times as large as the other, added; a third that is read alone."""
    inputs = keras.Input((6,))
    a = L.Dense(8, "relu", name="a")(inputs)
    b = L.Rescaling(scale)(L.Dense(8, name="b")(a))
    both = L.Add()([a, L.Dropout(0.5)(L.ReLU(name="c")(b))])
    return keras.Model(inputs, L.Dense(3)(L.Dense(8, "tanh", name="d")(both)))


def test_codes_that_are_added_count_alike():
    keras.utils.set_random_seed(0)
    fits, samples = _fits(_residual(0.3))
    assert fits["a"].value == fits["c"].value != fits["d"].value
    alone = keras.Model(*_without_sum(0.3))
    free, _ = _fits(alone)
    assert free["a"].value > fits["a"].value > free["c"].value  # between those of each for itself
    shared = sum(_error(fits[name], samples[name], np.maximum(samples[name], 0)) for name in "ac")
    mean = (free["a"].value + free["c"].value) / 2
    apart = sum(
        _error(type(one)(**{**vars(one), "value": mean}), samples[name], np.maximum(samples[name], 0))
        for name, one in free.items()
        if name in "ac"
    )
    assert shared < apart


def _without_sum(scale):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    a = L.Dense(8, "relu", name="a")(inputs)
    c = L.ReLU(name="c")(L.Rescaling(scale)(L.Dense(8, name="b")(a)))
    return inputs, L.Dense(3)(L.Concatenate()([a, c]))


def test_steps_of_several_sums_and_of_uint8():
    inputs = keras.Input((6,))
    a, b, c = (L.Dense(4, "relu", name=name)(inputs) for name in "abc")
    model = keras.Model(inputs, L.Dense(2)(L.Concatenate()([L.Add()([a, b]), L.Add()([b, c])])))
    fits, _ = _fits(model)
    assert fits["a"].value == fits["b"].value == fits["c"].value
    assert {one.value for one in _fits(model, "uint8")[0].values()} == {1.0}
    new = keras_gxnor.discretize(model, keep=(), verbose=False)
    assert np.isfinite(new.predict(np.ones((2, 6), np.float32), verbose=0)).all()
