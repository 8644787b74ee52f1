"""Re-estimated batch normalization equals NumPy, and touches nothing else."""

import keras
import numpy as np
import pytest

import keras_gxnor
from keras_gxnor.callbacks import BatchNormalizationReestimation, reestimate_batch_normalization
from keras_gxnor.callbacks.batches import shuffled
from keras_gxnor.errors import InvalidArgumentError

RNG = np.random.default_rng(0)
X = RNG.normal(3, 5, size=(101, 4)).astype(np.float32)


def _statistics(layer):
    return layer.moving_mean.numpy(), layer.moving_variance.numpy()


def _net():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.BatchNormalization(momentum=0.9, name="one"),
            keras_gxnor.GXNORDense(8),
            keras.layers.BatchNormalization(name="two"),
            keras_gxnor.DiscreteActivation(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
    )


@pytest.mark.parametrize("batch_size", [1, 7, 50, 101, 1000])
def test_the_first_layer_has_the_moments_of_the_data(batch_size):
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    reestimate_batch_normalization(model, X, batch_size)
    mean, variance = _statistics(model.layers[0])
    assert np.allclose(mean, X.mean(0, dtype=np.float64), rtol=1e-5)
    assert np.allclose(variance, X.var(0, dtype=np.float64), rtol=1e-4)
    assert not np.allclose(variance, X[:50].var(0), rtol=1e-4)  # the comparison has teeth


def test_images_are_averaged_over_positions():
    images = RNG.normal(size=(30, 5, 6, 3)).astype(np.float32)
    model = keras.Sequential([keras.Input((5, 6, 3)), keras.layers.BatchNormalization()])
    reestimate_batch_normalization(model, images, 8)
    mean, variance = _statistics(model.layers[0])
    assert np.allclose(mean, images.mean((0, 1, 2)), atol=1e-6)
    assert np.allclose(variance, images.var((0, 1, 2)), rtol=1e-4)


def test_a_deeper_layer_has_the_moments_of_training_mode():
    """Written again in NumPy: the layer before it normalizes by its own batch."""
    model = _net()
    one, kernel, two = model.layers[0], model.layers[1].kernel.numpy(), model.layers[2]
    reestimate_batch_normalization(model, X, 40)
    seen = []
    for rows in np.array_split(shuffled(len(X), 0, 0), 3):
        batch = X[rows].astype(np.float64)
        normal = (batch - batch.mean(0)) / np.sqrt(batch.var(0) + one.epsilon)
        seen.append(normal @ kernel)
    seen = np.concatenate(seen)
    mean, variance = _statistics(two)
    assert np.allclose(mean, seen.mean(0), atol=1e-5) and np.allclose(variance, seen.var(0), rtol=1e-4)
    in_order = np.array_split(X.astype(np.float64), 3)
    other = [(v - v.mean(0)) / np.sqrt(v.var(0) + one.epsilon) @ kernel for v in in_order]
    assert not np.allclose(variance, np.concatenate(other).var(0), rtol=1e-4)  # it has teeth


def test_everything_else_stays():
    model = _net()
    model.compile(keras_gxnor.DSTOptimizer(0.1, seed=0), "mse", metrics=["mae"])
    model.fit(X, X[:, :1], verbose=0)
    variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    before = {v.path: v.numpy() for v in variables}
    reestimate_batch_normalization(model, X)
    changed = {v.path for v in variables if not np.array_equal(v.numpy(), before[v.path])}
    assert {path.split("/", 1)[1] for path in changed} == {
        f"{layer}/moving_{moment}" for layer in ("one", "two") for moment in ("mean", "variance")
    }
    assert [model.layers[0].momentum, model.layers[2].momentum] == [0.9, 0.99]
    assert any("seed" in path for path in before)  # Dropout has drawn meanwhile


def test_running_it_twice_changes_nothing_more():
    model = _net()
    reestimate_batch_normalization(model, X)
    first = model.get_weights()
    reestimate_batch_normalization(model, X)
    assert all(np.array_equal(a, b) for a, b in zip(first, model.get_weights()))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_data_change_nothing(bad):
    model, x = _net(), X.copy()
    x[77, 2] = bad
    before = [v.numpy() for v in model.variables]
    with pytest.raises(InvalidArgumentError, match=r"Layer `one`.*not finite"):
        reestimate_batch_normalization(model, x, 10)
    assert all(np.array_equal(a, v.numpy()) for a, v in zip(before, model.variables))
    assert [model.layers[0].momentum, model.layers[2].momentum] == [0.9, 0.99]


def test_old_nan_statistics_are_mended():
    model = _net()
    model.layers[0].moving_mean.assign(np.full(4, np.nan))
    reestimate_batch_normalization(model, X)
    assert np.allclose(_statistics(model.layers[0])[0], X.mean(0), rtol=1e-5)


def test_frozen_layers_keep_theirs():
    model = _net()
    model.layers[0].trainable = False
    reestimate_batch_normalization(model, X)
    assert np.array_equal(_statistics(model.layers[0])[1], np.ones(4))
    assert not np.array_equal(_statistics(model.layers[2])[1], np.ones(8))


@pytest.mark.parametrize(
    "model, x, words",
    [
        (lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), X, "0 such layers"),
        (lambda: keras.Sequential([keras.layers.BatchNormalization()]), X, "built: 0"),
        (
            lambda: keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(renorm=True)]),
            X,
            "renorm",
        ),
        (_net, X[:0], "at least one"),
        (_net, (X, X[1:]), "same number"),
    ],
)
def test_what_cannot_be_is_named(model, x, words):
    with pytest.raises(InvalidArgumentError, match=words):
        reestimate_batch_normalization(model(), x)
    with pytest.raises(InvalidArgumentError, match="batch_size"):
        reestimate_batch_normalization(_net(), X, 0)


def test_callback_at_the_end_and_before_validation():
    for each_epoch in (False, True):
        model, seen = _net(), []

        class Watch(keras.callbacks.Callback):
            def on_test_end(self, logs=None, seen=seen):
                seen.append(_statistics(self.model.layers[0])[1])

        model.compile(keras_gxnor.DSTOptimizer(0.1), "mse")
        callback = BatchNormalizationReestimation(X, 64, each_epoch)
        data, callbacks = (X, X[:, :1]), [callback, Watch()]
        model.fit(*data, epochs=2, verbose=0, validation_data=data, callbacks=callbacks)
        exact = [np.allclose(variance, X.var(0), rtol=1e-4) for variance in seen]
        assert exact == [each_epoch] * 2
        assert np.allclose(_statistics(model.layers[0])[1], X.var(0), rtol=1e-4)
        model.layers[0].moving_variance.assign(np.ones(4))
        model.evaluate(X, X[:, :1], verbose=0, callbacks=[callback])
        assert np.array_equal(_statistics(model.layers[0])[1], np.ones(4))  # not in training
