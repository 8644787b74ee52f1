"""Networks with 8-bit weights and 8-bit ReLUs, under everything stock Keras does to them."""

import json

import keras
import numpy as np
import pytest

from keras_gxnor import DiscreteActivation, IntegerSpace, QuantizedReLU, calibrate
from tests.contract.nets import cnn, compile_dst, data, kernels


def _ranges(model):
    return [v for v in model.trainable_variables if v.name == "log2_range"]


@pytest.mark.parametrize(
    "space, policy, jit",
    [("int3", "float32", False), ("int8", "mixed_float16", False),
     pytest.param("int8", "mixed_bfloat16", True, marks=pytest.mark.slow)],
)
def test_kernels_and_ranges_train(space, policy, jit):
    keras.mixed_precision.set_global_policy(policy)
    model = cnn(space, "uint8")
    before = [k.numpy() for k in kernels(model)]
    x, y = data(64)
    compile_dst(model, jit_compile=jit).fit(x, y, batch_size=16, verbose=0)
    for old, kernel in zip(before, kernels(model)):
        assert (old != kernel.numpy()).any() and kernel.space.contains(kernel.numpy())
    assert len(_ranges(model)) == 2
    for level in _ranges(model):
        assert level.dtype == "float32" and level.numpy() != 2.0 and np.isfinite(level.numpy())


def test_mixed_networks_learn():
    model = cnn("int8", "uint8")
    x, y = data(512)
    history = compile_dst(model).fit(x, y, batch_size=32, epochs=6, verbose=0).history
    assert history["accuracy"][-1] > 0.95 and history["loss"][-1] < 0.5 * history["loss"][0]


def test_clones_take_the_weights_ranges_included():
    model = cnn("int8", "uint8")
    x, _ = data(16)
    calibrate(model, 9 * x)
    clone = keras.models.clone_model(model)
    assert not np.array_equal(model(x), clone(x))
    clone.set_weights(model.get_weights())
    assert np.array_equal(model(x), clone(x))
    assert [a.numpy() for a in _ranges(clone)] == [a.numpy() for a in _ranges(model)]


@pytest.mark.parametrize("space", ["uint8", "uint3"])
def test_activation_config_round_trip(space):
    layer = DiscreteActivation(space, range=0.5, name="a", trainable=False)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == layer.get_config() and not again.trainable
    assert again.quantizer == QuantizedReLU(space, 0.5)
    assert again.compute_output_shape((None, 3)) == (None, 3)
    again.build((None, 3))
    assert again.count_params() == 1 and again.log2_range.numpy() == -1


def test_weights_files_keep_ranges_and_half_ranges(tmp_path):
    path = str(tmp_path / "m.keras")
    model = cnn(IntegerSpace(8, 0.25), "uint8")
    x, _ = data(16)
    calibrate(model, x)
    model.save(path)
    again = keras.models.load_model(path)
    assert np.array_equal(model(x), again(x))
    assert {k.space for k in kernels(again)} == {IntegerSpace(8, 0.25)}
