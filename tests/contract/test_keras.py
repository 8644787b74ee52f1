"""Everything stock Keras does to a model, done to ours; test_layers.py does it to every layer."""

import pathlib
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gxnor
from keras_gxnor.errors import InvalidArgumentError
from tests.contract.nets import cnn, compile_dst, data, kernels

ROOT = pathlib.Path(__file__).resolve().parents[2]
def test_activation_names_and_objects():
    for activation in ("ternary", keras_gxnor.MultiStep(), keras_gxnor.DiscreteActivation()):
        assert keras_gxnor.GXNORDense(2, activation).activation == keras_gxnor.MultiStep()
    assert keras_gxnor.GXNORDense(2, "relu").activation is keras.activations.relu


def test_discrete_activation_layer():
    layer = keras_gxnor.DiscreteActivation("z2", 0.25, "triangular", 0.125, name="a")
    again = keras_gxnor.DiscreteActivation.from_config(layer.get_config())
    assert again.quantizer == layer.quantizer and again.name == "a"
    assert layer.compute_output_shape((None, 3)) == (None, 3)


SAVED = """
import sys
import numpy as np
import keras_gxnor
import keras
model = keras.models.load_model(sys.argv[1])
x = np.load(sys.argv[2])
assert [v.dtype for v in model.trainable_variables].count("int8") == 3
np.save(sys.argv[3], np.asarray(model(x)))
model.fit(x, np.zeros(len(x), int), verbose=0, shuffle=False)
np.savez(sys.argv[4], *model.get_weights())
"""


@pytest.mark.parametrize(
    "space, tag, size, rule",
    [
        ("ternary", "kernel.base3", 29, "momentum"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("ternary", "kernel.base3", 29, "adam"),
                ("z3", "kernel.int8", 144, "momentum"),
                ("graded", "kernel.graded", 144, "none"),
                ("int8", "kernel.int8", 144, "momentum"),
            )
        ),
    ],
)
def test_saved_model_in_a_fresh_process(tmp_path, space, tag, size, rule):
    model = cnn(space, {"graded": "ternary", "int8": "uint8"}.get(space, space))
    x, y = data(64)
    compile_dst(model, rule=rule).fit(x, y, verbose=0)
    paths = [str(tmp_path / n) for n in ("m.keras", "x.npy", "y.npy", "w.npz")]
    model.save(paths[0])
    np.save(paths[1], x)
    subprocess.run([sys.executable, "-c", SAVED, *paths], check=True, cwd=ROOT, timeout=300)
    assert np.array_equal(np.load(paths[2]), np.asarray(model(x)))
    # Training goes on in the fresh process exactly as it does here.
    model.fit(x, np.zeros(len(x), int), verbose=0, shuffle=False)
    with np.load(paths[3]) as weights:
        for mine, theirs in zip(model.get_weights(), weights.values()):
            assert mine.tobytes() == theirs.tobytes()
    with zipfile.ZipFile(paths[0]) as archive:
        archive.extract("model.weights.h5", tmp_path)
    with h5py.File(tmp_path / "model.weights.h5") as file:
        stored = {n: d.shape for n, d in _datasets(file) if tag in n}
        assert len(stored) == 3 and (size,) in [(int(np.prod(s)),) for s in stored.values()]


def _datasets(group):
    found = []
    group.visititems(lambda n, d: found.append((n, d)) if hasattr(d, "shape") else None)
    return found


def test_corrupt_or_foreign_weights_are_refused(tmp_path):
    path = str(tmp_path / "w.weights.h5")
    model = cnn()
    model.save_weights(path)
    for space, tag in (("z3", r"kernel\.int8"), ("graded", r"kernel\.graded")):
        with pytest.raises(ValueError, match=tag):  # Keras gathers our errors in one
            cnn(space).load_weights(path)
    with h5py.File(path, "r+") as file:
        name = next(n for n, _ in _datasets(file) if "base3" in n)
        file[name][0] = 255
    with pytest.raises(ValueError, match=r"0\.\.242"):
        model.load_weights(path)


def test_clone_model():
    model = cnn()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x, y = data(8)
    assert np.array_equal(model(x), clone(x))
    assert [k.dtype for k in kernels(clone)] == ["int8"] * 3
    compile_dst(clone).fit(x, y, verbose=0)


def test_get_and_set_weights_speak_trits():
    model = cnn()
    weights = model.get_weights()
    trits = [w for w in weights if w.dtype == np.int8]
    assert len(trits) == 3 and all(set(np.unique(t)) <= {-1, 0, 1} for t in trits)
    negated = [-w if w.dtype == np.int8 else w for w in weights]
    model.set_weights(negated)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), negated))
    for bad in (0.7, 2, 1e9, float("nan")):
        wrong = [np.full(w.shape, bad) if w.dtype == np.int8 else w for w in weights]
        with pytest.raises(InvalidArgumentError, match="only codes"):
            model.set_weights(wrong)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), negated))


def test_summary_counts_parameters():
    lines = []
    cnn().summary(print_fn=lambda line, **_: lines.append(line))
    assert "GXNORConv2D" in "\n".join(lines)
    assert cnn().count_params() == 144 + 32 + 72 * 16 + 16 + 64 + 48 + 3


def test_regularizer_acts_on_the_float_read():
    layer = keras_gxnor.GXNORDense(4, kernel_regularizer=keras.regularizers.L1(0.5), kernel_space="z2")
    layer(np.ones((1, 10), np.float32))
    expected = 0.5 * np.abs(layer.kernel.numpy() * 0.5).sum()
    assert float(layer.losses[0]) == pytest.approx(expected, rel=1e-6)
    with tf.GradientTape() as tape:
        layer(np.zeros((1, 10), np.float32))
        loss = layer.losses[0]
    gradient = tape.gradient(loss, layer.kernel.value).numpy()
    assert np.array_equal(gradient, 0.5 * np.sign(layer.kernel.numpy()))


def test_evaluate_and_predict():
    model = compile_dst(cnn())
    x, y = data(40)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    logits = model.predict(x, verbose=0)
    assert logits.shape == (40, 3) and np.isfinite(loss)
    assert accuracy == pytest.approx((logits.argmax(1) == y).mean())


def test_saved_model_format(tmp_path):
    model = cnn()
    x, _ = data(4)
    model.export(str(tmp_path / "saved"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    assert np.array_equal(loaded.serve(tf.constant(x)).numpy(), model(x).numpy())
