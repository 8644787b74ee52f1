"""KernelMonitor and ActivationMonitor: what they log, and what they warn of."""

import keras
import numpy as np
import pytest

import keras_gxnor
from keras_gxnor import GXNORDense, kernels
from keras_gxnor.callbacks import ActivationMonitor, KernelMonitor
from keras_gxnor.callbacks.layers import labels, walk
from keras_gxnor.errors import InvalidArgumentError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(64, 6)).astype(np.float32), RNG.normal(size=(64, 2)).astype(np.float32)


class Sub(keras.Model):
    """A subclassed model that holds its layers in a dict, behind another layer."""

    def __init__(self):
        super().__init__()
        self.parts = {"first": _nested(), "second": GXNORDense(2, name="last")}

    def call(self, x):
        return self.parts["second"](self.parts["first"](x))


def _nested(**first):
    return keras.Sequential(
        [
            GXNORDense(8, name="first", **first),
            keras.layers.BatchNormalization(),
            keras_gxnor.DiscreteActivation(name="act"),
        ],
        name="inner",
    )


def _functional():
    inputs = keras.Input((6,))
    inner = _nested()
    inner.build((None, 6))
    return keras.Model(inputs, GXNORDense(2, name="last")(inner(inputs)))


MODELS = {
    "sequential": lambda: keras.Sequential([*_nested().layers, GXNORDense(2, name="last")]),
    "functional": _functional,
    "subclassed": Sub,
}


def _fit(model, *monitors, rate=0.1, epochs=2, optimizer=None, **options):
    optimizer = optimizer or keras_gxnor.DSTOptimizer(rate, seed=1)
    model.compile(optimizer, "mse", **options)
    done = model.fit(X, Y, batch_size=16, epochs=epochs, verbose=0, callbacks=[*monitors])
    return done.history


def _discrete(model):
    return [v for v in model.variables if isinstance(v, kernels.DiscreteVariable)]


@pytest.mark.parametrize("kind", MODELS)
def test_both_monitors_see_every_kind_of_model(kind, tmp_path):
    model, csv = MODELS[kind](), tmp_path / "log.csv"
    monitors = KernelMonitor(per_layer=True), ActivationMonitor(X, per_layer=True)
    history = _fit(model, *monitors, keras.callbacks.CSVLogger(csv))
    kernel = ["at_ends", "changed", "sparsity", "transition_rate"]
    activation = ["constant_channels", "density", "saturation"]
    expected = [f"{layer}/{key}" for layer in ("kernel", "first", "last") for key in kernel]
    expected += [f"{layer}/{key}" for layer in ("activation", "act") for key in activation]
    assert set(history) == {"loss", *expected}
    assert set(history) <= set(csv.read_text().splitlines()[0].split(","))
    first, last = (v.numpy() for v in _discrete(model))
    values = np.concatenate([first.ravel(), last.ravel()])
    assert history["kernel/sparsity"][-1] == pytest.approx((values == 0).mean())
    assert history["last/at_ends"][-1] == pytest.approx((last != 0).mean())
    inner = model if kind == "sequential" else walk(model)[[v.name for v in walk(model)].index("inner")]
    before = inner.layers[1](inner.layers[0](X)).numpy()
    assert history["activation/density"][-1] == pytest.approx((np.abs(before) > 0.5).mean())
    assert history["act/saturation"][-1] == pytest.approx((np.abs(before) > 1.0).mean())


def test_transition_rate_is_that_of_single_steps():
    """Against a recorder that looks at every step itself."""
    shares, starts = [], []

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            starts.append(_discrete(self.model)[0].numpy())

        def on_train_batch_begin(self, batch, logs=None):
            self.before = _discrete(self.model)[0].numpy()

        def on_train_batch_end(self, batch, logs=None):
            shares.append((self.before != _discrete(self.model)[0].numpy()).mean())

    model = keras.Sequential([keras.Input((6,)), GXNORDense(2)])
    history = _fit(model, Watch(), KernelMonitor(sample_every=1), epochs=1, rate=0.3)
    assert history["kernel/transition_rate"] == [pytest.approx(np.mean(shares))] and np.mean(shares) > 0
    changed = (starts[0] != _discrete(model)[0].numpy()).mean()
    assert history["kernel/changed"] == [pytest.approx(changed)]
    model = keras.Sequential([keras.Input((6,)), GXNORDense(2)])
    shares.clear()
    history = _fit(model, Watch(), KernelMonitor(sample_every=3), epochs=1, rate=0.3)
    assert history["kernel/transition_rate"] == [pytest.approx(np.mean(shares[::3]))]


@pytest.mark.parametrize(
    "space, storage", [("binary", "int8"), ("z3", "int8"), ("graded", "int8"), ("ternary", "packed")]
)
def test_spaces_are_read_as_the_network_reads_them(space, storage):
    hidden = GXNORDense(40, kernel_space=space, kernel_storage=storage)
    model = keras.Sequential([keras.Input((6,)), hidden, GXNORDense(2)])
    history = _fit(model, KernelMonitor(per_layer=True), epochs=1)
    variable = _discrete(model)[0]
    name = model.layers[0].name
    assert history[f"{name}/sparsity"][-1] == pytest.approx((kernels.read(variable).numpy() == 0).mean())
    ends = np.abs(variable.numpy().astype(int)) == variable.space.max_code
    assert history[f"{name}/at_ends"][-1] == pytest.approx(ends.mean())


def test_keys_are_optional():
    model = keras.Sequential([keras.Input((6,)), GXNORDense(2, activation="ternary", name="only")])
    keys = _fit(model, KernelMonitor(overall=False, per_layer=True), ActivationMonitor(X, overall=False))
    assert {key.split("/")[0] for key in keys} == {"loss", "only"}


def test_loss_scaling_and_steps_per_execution():
    keras.mixed_precision.set_global_policy("mixed_float16")
    model = MODELS["sequential"]()
    wrapped = keras.optimizers.LossScaleOptimizer(keras_gxnor.DSTOptimizer(0.1, seed=1))
    history = _fit(
        model, KernelMonitor(1), ActivationMonitor(X), optimizer=wrapped, steps_per_execution=3
    )
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["kernel/transition_rate"][0] > 0


class Detached(keras.layers.Layer):
    """Lets no gradient through."""

    def call(self, x):
        return keras.ops.stop_gradient(x)


def _stuck():
    return keras.Sequential(
        [keras.Input((6,)), GXNORDense(64, name="behind"), Detached(), GXNORDense(2, name="last")]
    )


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_kernel_that_stands_still_is_named_once(recwarn):
    _fit(_stuck(), KernelMonitor(), epochs=3)
    words = [str(w.message) for w in recwarn if "weights has changed" in str(w.message)]
    assert len(words) == 1
    assert "Layer `behind`" in words[0] and "384 weights" in words[0] and "ActivationMonitor" in words[0]


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("why", ["rate", "frozen", "moves"])
def test_kernels_that_may_stand_still_are_not(why, recwarn):
    model = MODELS["sequential"]() if why == "moves" else _stuck()
    if why == "frozen":
        model.get_layer("behind").trainable = False
    _fit(model, KernelMonitor(), rate=1e-9 if why == "rate" else 0.1)
    assert not [w for w in recwarn if "weights has changed" in str(w.message)]


def test_an_accumulator_that_is_not_full_yet_is_no_standstill(recwarn):
    """64 steps of 0.005 cannot add up to half a step."""
    slow = keras_gxnor.DSTOptimizer(0.005, rule="fire", seed=1)
    history = _fit(MODELS["sequential"](), KernelMonitor(), epochs=16, optimizer=slow)
    assert not any(history["kernel/changed"][:4])
    assert not [w for w in recwarn if "has changed" in str(w.message)]


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_standstill_under_a_multi_optimizer_is_named():
    model = _stuck()
    model.build((None, 6))
    pick = keras.optimizers.OptimizerMap(keras_gxnor.DSTOptimizer(0.1, seed=1))
    with pytest.warns(UserWarning, match="has changed"):
        _fit(model, KernelMonitor(), epochs=3, optimizer=keras.optimizers.MultiOptimizer(pick))


def test_relus_in_steps_are_seen_with_the_range_they_have():
    model = keras.Sequential([keras.Input((6,)), keras_gxnor.DiscreteActivation("uint8", name="relu")])
    model.layers[0].log2_range.assign(-1.0)
    logs, monitor = {}, ActivationMonitor(X)
    monitor.set_model(model)
    monitor.on_epoch_end(0, logs)
    assert logs["activation/density"] == np.mean(X >= 0.5 / 512)
    assert logs["activation/saturation"] == np.mean((X < -0.5 / 512) | (X >= 255.5 / 512))
    assert model.layers[0].quantizer == keras_gxnor.QuantizedReLU()


@pytest.mark.parametrize("scale, words", [(0.0, "all its outputs are 0"), (1e6, "beyond the last pulse")])
def test_dead_activations_are_named_once(scale, words, recwarn):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Rescaling(scale, offset=0.0 if scale == 0 else 1e5),
            keras_gxnor.DiscreteActivation(name="dead"),
            GXNORDense(2),
        ]
    )
    history = _fit(model, ActivationMonitor(X, per_layer=True), epochs=3)
    found = [str(w.message) for w in recwarn if "Layer `dead`" in str(w.message)]
    assert len(found) == 1 and words in found[0]
    assert history["dead/density"] == [float(scale > 0)] * 3


def test_constant_channels_are_named(recwarn):
    layers = [keras.Input((6,)), keras.layers.Rescaling([1.0, 1.0, 0, 0, 0, 0], [0, 0, 1, 1, -1, 0])]
    model = keras.Sequential([*layers, keras_gxnor.DiscreteActivation(name="half"), GXNORDense(2)])
    history = _fit(model, ActivationMonitor(X), epochs=1)
    assert history["activation/constant_channels"] == [pytest.approx(4 / 6)]
    assert [w for w in recwarn if "67% of its channels" in str(w.message)]
    model = keras.Sequential([*layers, keras_gxnor.DiscreteActivation(), GXNORDense(2)])
    assert "activation/constant_channels" not in _fit(model, ActivationMonitor(X[:31]), epochs=1)


def test_quantizers_are_put_back_even_after_an_error():
    model = MODELS["sequential"]()
    model.build((None, 6))
    quantizer = model.get_layer("act").quantizer
    monitor = ActivationMonitor(X[:, :5])
    with pytest.raises(ValueError):
        _fit(model, monitor)
    assert model.get_layer("act").quantizer is quantizer


def test_nothing_to_monitor_is_an_error():
    model = keras.Sequential([keras.layers.Dense(2)])
    for monitor, words in ((KernelMonitor(), "no discrete k"), (ActivationMonitor(X), "no discrete a")):
        with pytest.raises(InvalidArgumentError, match=words):
            _fit(model, monitor, optimizer="sgd")
    with pytest.raises(InvalidArgumentError, match="sample_every"):
        KernelMonitor(0)
    with pytest.raises(InvalidArgumentError, match="finite"):
        ActivationMonitor(np.where(X[0, 0] == X, np.nan, X))


def test_repeated_names_are_numbered():
    assert labels(["a", "b", "a", "a"]) == ["a", "b", "a#2", "a#3"]
