"""DSTOptimizer: one test a row of what Keras does to optimizers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gxnor
from keras_gxnor import increments, transitions
from keras_gxnor.errors import InvalidArgumentError
from tests.contract.nets import cnn, compile_dst, data, kernels


def _step(model, x, y, **fit):
    model.fit(x, y, batch_size=len(x), epochs=1, verbose=0, shuffle=False, **fit)
    return [k.numpy() for k in kernels(model)]


def test_config_round_trip():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
    for optimizer in (
        keras_gxnor.DSTOptimizer(),
        keras_gxnor.DSTOptimizer(schedule, "adam", m=None, seed=7, clipnorm=1.0),
        keras_gxnor.DSTOptimizer(
            0.5, keras_gxnor.MomentumIncrement(0.5, dtype="float32"), optimizer=keras.optimizers.SGD(0.25)
        ),
    ):
        config = keras.saving.serialize_keras_object(optimizer)
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == optimizer.get_config()
        assert type(again.optimizer) is type(optimizer.optimizer)
    assert isinstance(keras.optimizers.get("keras_gxnor>DSTOptimizer"), keras_gxnor.DSTOptimizer)


def test_float_variables_go_to_the_float_optimizer():
    x, y = data(32)
    frozen, plain = cnn(), cnn()
    plain.set_weights(frozen.get_weights())
    before = [v.numpy() for v in frozen.trainable_variables if v.dtype == "float32"]
    compile_dst(frozen, optimizer=keras.optimizers.SGD(0.0))
    compile_dst(plain, optimizer="sgd")
    assert all(np.array_equal(a, b) for a, b in zip(_step(frozen, x, y), _step(plain, x, y)))
    after = [v.numpy() for v in frozen.trainable_variables if v.dtype == "float32"]
    moved = [v.numpy() for v in plain.trainable_variables if v.dtype == "float32"]
    assert all(np.array_equal(a, b) for a, b in zip(before, after))
    assert all(not np.array_equal(a, b) for a, b in zip(before, moved))


def test_default_float_rate_follows_ours():
    optimizer = keras_gxnor.DSTOptimizer(0.2)
    assert float(optimizer.optimizer.learning_rate) == pytest.approx(0.02)
    optimizer.learning_rate = 0.1
    assert float(optimizer.optimizer.learning_rate) == pytest.approx(0.01)
    scheduled = keras_gxnor.DSTOptimizer(keras.optimizers.schedules.CosineDecay(0.1, 10))
    model = cnn()
    x, y = data(32)
    model.compile(scheduled, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=4, epochs=2, verbose=0)
    assert float(scheduled.learning_rate) == 0 == float(scheduled.optimizer.learning_rate)
    final = [k.numpy() for k in kernels(model)]
    assert all(np.array_equal(a, b) for a, b in zip(final, _step(model, x, y)))


@pytest.mark.parametrize("callback", ["scheduler", "plateau"])
def test_learning_rate_callbacks(callback):
    model = compile_dst(cnn())
    x, y = data(32)
    made = {
        "scheduler": lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
        "plateau": lambda: keras.callbacks.ReduceLROnPlateau("loss", 0.5, 1, min_delta=1e9, cooldown=0),
    }[callback]()
    model.fit(x, y, epochs=3, verbose=0, callbacks=[made])
    assert float(model.optimizer.learning_rate) < 0.1
    assert float(model.optimizer.optimizer.learning_rate) == pytest.approx(
        0.1 * float(model.optimizer.learning_rate)
    )


def test_rate_zero_never_moves():
    model = cnn()
    x, y = data(32)
    before = [k.numpy() for k in kernels(model)]
    after = _step(compile_dst(model, 0.0), x, y)
    assert all(np.array_equal(a, b) for a, b in zip(before, after))


@pytest.mark.parametrize("clip", [{"clipnorm": 1e-3}, {"clipvalue": 1e-6}, {"global_clipnorm": 1e-3}])
def test_clipping_reaches_the_rule(clip):
    seen = []

    class Spy(increments.MomentumIncrement):
        def __call__(self, gradient, slots, update):
            seen.append(gradient)
            return super().__call__(gradient, slots, update)

    x, y = data(32)
    model = compile_dst(cnn(), rule=Spy(dtype="float32"), **clip)
    model.run_eagerly = True
    _step(model, x, y)
    norms = [float(tf.norm(g)) for g in seen]
    if "clipvalue" in clip:
        assert max(float(tf.reduce_max(tf.abs(g))) for g in seen) <= 1e-6
    elif "clipnorm" in clip:
        assert max(norms) <= 1.0001e-3
    else:
        assert np.linalg.norm(norms) <= 1.0001e-3


def test_gradient_accumulation_equals_one_large_batch():
    x, y = data(64)
    y = y.astype(np.int64)
    build = lambda: keras.Sequential(
        [keras.Input((8, 8, 2)), keras.layers.Flatten(), keras_gxnor.GXNORDense(3)]
    )
    whole, parts = build(), build()
    parts.set_weights(whole.get_weights())
    first = parts.get_weights()[0]
    compile_dst(whole)
    compile_dst(parts, gradient_accumulation_steps=4)
    whole.fit(x, y, batch_size=64, epochs=1, verbose=0, shuffle=False)
    parts.fit(x[:48], y[:48], batch_size=16, epochs=1, verbose=0, shuffle=False)
    assert np.array_equal(parts.get_weights()[0], first)  # three of four: nothing yet
    parts.fit(x[48:], y[48:], batch_size=16, epochs=1, verbose=0, shuffle=False)
    assert not np.array_equal(parts.get_weights()[0], first)
    assert np.abs(parts.get_weights()[1] - whole.get_weights()[1]).max() < 1e-5  # the float bias
    accumulators = [v for v in parts.optimizer.variables if "accumulator" in v.name]
    assert {v.dtype for v in accumulators} == {"float32"}


def test_every_update_under_accumulation_draws_other_bits(monkeypatch):
    """`iterations` is floor-divided there: seeds made of it would repeat."""
    drawn, real = [], transitions.random_bits

    def spy(shape, seed, stream, step):
        drawn.append((stream, int(step)))
        return real(shape, seed, stream, step)

    monkeypatch.setattr(transitions, "random_bits", spy)
    model, (x, y) = compile_dst(cnn(), gradient_accumulation_steps=3), data(36)
    model.run_eagerly = True
    model.fit(x, y, batch_size=4, epochs=1, verbose=0)
    assert len(drawn) == len(set(drawn)) == 3 * 3 * 2  # updates x kernels x uses
    assert model.optimizer.iterations == 3


def test_average_of_the_float_optimizer_leaves_kernels_alone():
    x, y = data(32)
    plain, averaged = cnn(), cnn()
    averaged.set_weights(plain.get_weights())
    for model, ema in ((plain, {}), (averaged, {"use_ema": True, "ema_momentum": 0.5})):
        compile_dst(model, optimizer=keras.optimizers.SGD(0.1, **ema))
        model.fit(x, y, batch_size=8, epochs=1, verbose=0, shuffle=False)
    for one, other in zip(plain.trainable_variables, averaged.trainable_variables):
        assert np.array_equal(one.numpy(), other.numpy()) == (one.dtype == "int8"), one.path


def test_loss_scaling():
    x, y = data(32)
    plain, scaled = cnn(), cnn()
    scaled.set_weights(plain.get_weights())
    compile_dst(plain)
    compile_dst(scaled, loss_scale_factor=1024.0)
    assert scaled.optimizer.optimizer.loss_scale_factor == 1024.0
    for a, b in zip(_step(plain, x, y), _step(scaled, x, y)):
        assert np.array_equal(a, b)


def test_loss_scale_optimizer_and_multi_optimizer():
    x, y = data(32)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for wrap in (
        keras.optimizers.LossScaleOptimizer,
        lambda o: keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(o)),
    ):
        model = cnn()
        before = [k.numpy() for k in kernels(model)]
        model.compile(wrap(keras_gxnor.DSTOptimizer(0.1)), loss)
        assert all((a != b).any() for a, b in zip(before, _step(model, x, y)))


@pytest.mark.parametrize("steps", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_steps_per_execution_changes_nothing(steps):
    x, y = data(64)
    results = []
    for per in (1, steps):
        keras.utils.set_random_seed(3)
        model = cnn()
        model.compile(
            keras_gxnor.DSTOptimizer(0.1, seed=1),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=per,
        )
        model.fit(x, y, batch_size=8, epochs=1, verbose=0, shuffle=False)
        results.append([k.numpy() for k in kernels(model)])
    assert all(np.array_equal(a, b) for a, b in zip(*results))


def test_no_gradient_moves_nothing():
    """A hinge loss without errors has no gradient; old momentum must not be blown up."""
    variable = cnn().layers[0].kernel
    optimizer = keras_gxnor.DSTOptimizer(0.1, seed=0)
    gradient = np.random.default_rng(0).normal(size=variable.shape).astype(np.float32)
    for _ in range(5):
        optimizer.apply([gradient], [variable])
    rates = []
    for _ in range(200):
        before = variable.numpy()
        optimizer.apply([np.zeros_like(gradient)], [variable])
        rates.append((before != variable.numpy()).mean())
    assert max(rates) < 0.5 and np.mean(rates[-50:]) < 0.05


def test_frozen_layers_stay_frozen_wherever_they_go(tmp_path):
    x, y = data(32)
    born = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Flatten(),
                             keras_gxnor.GXNORDense(3, trainable=False)])
    assert not born.trainable_variables
    model = cnn()
    model.layers[0].trainable = False
    _step(compile_dst(model), x, y)
    model.save(tmp_path / "m.keras")
    for again in (keras.models.load_model(tmp_path / "m.keras"), keras.models.clone_model(model)):
        frozen = again.layers[0].kernel.numpy()
        assert len(kernels(again)) == 2
        _step(compile_dst(again), x, y)
        assert np.array_equal(again.layers[0].kernel.numpy(), frozen)
        again.layers[0].trainable = True
        assert len(kernels(again)) == 3
        _step(compile_dst(again), x, y)
        assert not np.array_equal(again.layers[0].kernel.numpy(), frozen)


def test_loading_other_optimizer_state_warns_as_keras_does(tmp_path):
    x, y = data(32)
    model = compile_dst(cnn())
    model.save(tmp_path / "unfitted.keras")
    with pytest.warns(UserWarning, match="Skipping variable loading"):
        keras.models.load_model(tmp_path / "unfitted.keras")
    _step(model, x, y)
    model.save_weights(tmp_path / "w.weights.h5")
    for fresh in (compile_dst(cnn()), compile_dst(cnn(), rule="adam")):
        with pytest.warns(UserWarning, match="Skipping variable loading"):
            fresh.load_weights(tmp_path / "w.weights.h5")
        assert np.array_equal(fresh.layers[0].kernel.numpy(), model.layers[0].kernel.numpy())


@pytest.mark.parametrize("rule", ["momentum", "adam"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e25])
def test_one_bad_batch_does_not_stop_a_kernel(rule, value):
    model = keras.Sequential([keras.Input((16,)), keras_gxnor.GXNORDense(3, use_bias=False)])
    model.compile(keras_gxnor.DSTOptimizer(0.1, rule, seed=0), "mse")
    x = np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32)
    model.fit(x, np.zeros((64, 3)), batch_size=64, verbose=0)
    bad = x.copy()
    bad[0, 0] = value
    before = model.layers[0].kernel.numpy()
    model.fit(bad, np.zeros((64, 3)), batch_size=64, verbose=0)
    assert np.array_equal(model.layers[0].kernel.numpy(), before)
    assert all(np.isfinite(v.numpy()).all() for v in model.optimizer.variables)
    model.fit(x, np.ones((64, 3)), batch_size=64, epochs=10, verbose=0)
    assert not np.array_equal(model.layers[0].kernel.numpy(), before)


def test_missing_gradients():
    model = cnn()
    optimizer = keras_gxnor.DSTOptimizer(0.1, seed=0)
    discrete = kernels(model)
    others = [v for v in model.trainable_variables if v.dtype == "float32"]
    gradients = lambda group, none: [None if none else np.ones(v.shape, np.float32) for v in group]
    for no_discrete in (True, False):
        before = [v.numpy() for v in [*discrete, *others]]
        pairs = gradients(discrete, no_discrete) + gradients(others, not no_discrete)
        with pytest.warns(UserWarning, match="Gradients do not exist"):
            optimizer.apply(pairs, [*discrete, *others])
        moved = [not np.array_equal(a, v.numpy()) for a, v in zip(before, [*discrete, *others])]
        assert moved == [not no_discrete] * len(discrete) + [no_discrete] * len(others)
    assert int(optimizer.iterations) == 2
    with pytest.raises(InvalidArgumentError, match="No gradients"):
        optimizer.apply([None], [discrete[0]])


@pytest.mark.parametrize("seed", [-1, 2**63, 2**70, np.int64(7)])
def test_any_integer_is_a_seed(seed):
    optimizer = keras_gxnor.DSTOptimizer(0.1, seed=seed)
    optimizer.apply([np.ones((3, 3, 2, 8), np.float32)], [cnn().layers[0].kernel])
    assert 0 <= optimizer.seed < 2**63


def test_frozen_layers_stay():
    model = cnn()
    model.layers[0].trainable = False
    frozen = model.layers[0].kernel.numpy()
    x, y = data(32)
    moved = _step(compile_dst(model), x, y)
    assert np.array_equal(model.layers[0].kernel.numpy(), frozen)
    assert len(moved) == 2


def test_a_model_without_discrete_layers_trains():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    before = model.get_weights()[0]
    model.compile(keras_gxnor.DSTOptimizer(0.1), "mse")
    model.fit(np.ones((8, 4)), np.ones(8), verbose=0)
    assert not np.array_equal(model.get_weights()[0], before)
    assert int(model.optimizer.iterations) == 1


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam", "adamw", "lion", "adafactor", "nadam"])
def test_ordinary_optimizers_are_refused_before_any_damage(name, eager):
    model = cnn()
    before = [k.numpy() for k in kernels(model)]
    x, y = data(16)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(name, loss, run_eagerly=eager)
    model.optimizer.learning_rate = 1.0
    with pytest.raises(InvalidArgumentError, match=r"conv2d.*/kernel.*DSTOptimizer"):
        model.fit(x, y, verbose=0)
    assert all(np.array_equal(a, k.numpy()) for a, k in zip(before, kernels(model)))


def test_recompiling_with_sgd_is_refused_too():
    model = compile_dst(cnn())
    x, y = data(16)
    before = _step(model, x, y)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(InvalidArgumentError, match="DSTOptimizer"):
        model.fit(x, y, verbose=0)
    assert all(np.array_equal(a, k.numpy()) for a, k in zip(before, kernels(model)))


@pytest.mark.parametrize(
    "kwargs, words",
    [
        ({"weight_decay": 0.1}, "AdamW"),
        ({"use_ema": True}, "use_ema"),
        ({"m": 0}, "`m`"),
        ({"m": float("nan")}, "`m`"),
        ({"m": "3"}, "`m`"),
        ({"learning_rate": -0.1}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"rule": "nesterov"}, "increment rule.*'auto'"),
        ({"rule": keras.optimizers.Lion}, r"write Lion\(\)"),
        ({"optimizer": keras_gxnor.DSTOptimizer(0.1)}, "plain Keras optimizer"),
        ({"nesterov": True}, "no argument"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_refused_arguments(kwargs, words):
    with pytest.raises(InvalidArgumentError, match=words):
        keras_gxnor.DSTOptimizer(**kwargs)
