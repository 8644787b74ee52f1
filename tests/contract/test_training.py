"""What training promises: int8 kernels that really move, and one seed, one network."""

import keras
import numpy as np
import pytest

import keras_gxnor
from tests.contract.nets import cnn, compile_dst, data, ids, kernels
from tests.tools import thinned

RULES = [
    "momentum",
    "adam",
    "fire",
    keras_gxnor.MomentumIncrement(dtype="bfloat16"),
    keras.optimizers.Lion(),
]


class Watch(keras.callbacks.Callback):
    """Records the dtype and the values of every kernel while fit runs."""

    def __init__(self):
        super().__init__()
        self.dtypes, self.values = set(), set()

    def on_train_batch_end(self, batch, logs=None):
        for kernel in kernels(self.model):
            self.dtypes.add((kernel.dtype, kernel.value.dtype.name))
            self.values.update(np.unique(kernel.numpy()).tolist())


@pytest.mark.parametrize("rule", thinned(RULES, 2), ids=ids)
@pytest.mark.parametrize("mode", ["eager", pytest.param("graph", marks=pytest.mark.slow), "xla"])
def test_kernels_are_int8_before_during_and_after_fit(rule, mode):
    model, watch = cnn(), Watch()
    x, y = data()
    assert [k.dtype for k in kernels(model)] == ["int8"] * 3
    compile_dst(model, rule=rule, jit_compile=mode == "xla")
    model.run_eagerly = mode == "eager"
    model.fit(x, y, batch_size=32, epochs=2, verbose=0, callbacks=[watch])
    assert watch.dtypes == {("int8", "int8")}
    assert watch.values == {-1, 0, 1}
    assert [k.dtype for k in kernels(model)] == ["int8"] * 3


@pytest.mark.parametrize(
    "rule, jit, policy",
    thinned(
        [
            *((rule, jit, "float32") for jit in (False, True) for rule in RULES),
            *((rule, False, "mixed_float16") for rule in RULES),
            *((rule, True, "mixed_bfloat16") for rule in RULES[:2]),
        ],
        3,
    ),
    ids=ids,
)
def test_every_kernel_moves_in_one_step(rule, jit, policy):
    keras.mixed_precision.set_global_policy(policy)
    model = cnn()
    x, y = data(32)
    before = [k.numpy() for k in kernels(model)]
    rate = 1.0 if rule == "fire" else 0.1  # which else gathers for a few steps first
    compile_dst(model, rate, rule=rule, jit_compile=jit)
    model.fit(x, y, batch_size=32, epochs=1, verbose=0)
    for old, kernel in zip(before, kernels(model)):
        assert (old != kernel.numpy()).any(), kernel.path
        assert kernel.dtype == "int8"


@pytest.mark.parametrize("order", thinned(range(8), 3))
def test_every_space_trains(order):
    model = cnn(f"z{order}", f"z{order}")
    x, y = data(32)
    before = [k.numpy() for k in kernels(model)]
    compile_dst(model, learning_rate=1.0).fit(x, y, batch_size=32, epochs=1, verbose=0)
    for old, kernel in zip(before, kernels(model)):
        assert (old != kernel.numpy()).any() and kernel.space.contains(kernel.numpy())


def test_models_without_an_input_layer_build_in_fit():
    """Keras builds these while it traces the first step."""
    inside = [keras_gxnor.GXNORConv2D(4, 3, activation="ternary"), keras.layers.Flatten(),
              keras_gxnor.GXNORDense(3)]

    class Sub(keras.Model):
        def __init__(self):
            super().__init__()
            self.net = keras.Sequential(inside)

        def call(self, x):
            return self.net(x)

    x, y = data(32)
    for model in (keras.Sequential([keras_gxnor.GXNORConv2D(4, 3, activation="ternary"),
                                    keras.layers.Flatten(), keras_gxnor.GXNORDense(3)]), Sub()):
        compile_dst(model).fit(x, y, verbose=0)
        assert [k.dtype for k in kernels(model)] == ["int8"] * 2
        assert {tuple(k.shape) for k in kernels(model)} == {(3, 3, 2, 4), (144, 3)}


def test_training_learns():
    model = cnn()
    x, y = data(512)
    steps = 30 * 16
    compile_dst(model, keras.optimizers.schedules.CosineDecay(0.1, steps))
    untrained = model.evaluate(x, y, verbose=0)[1]
    model.fit(x, y, batch_size=32, epochs=30, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.95 > 0.7 > untrained


def _trained(seed, jit=False, rule="momentum"):
    keras.utils.set_random_seed(seed)
    model = cnn()
    x, y = data()
    compile_dst(model, seed=None, jit_compile=jit, rule=rule)  # the seed is Keras' global one
    model.fit(x, y, batch_size=32, epochs=3, verbose=0)
    return b"".join(w.tobytes() for w in model.get_weights())


@pytest.mark.parametrize("rule", thinned(["momentum", "adam"], 2))
@pytest.mark.parametrize("jit", thinned([False, True], 2))
def test_one_seed_gives_one_network(jit, rule):
    first = _trained(5, jit, rule)
    assert first == _trained(5, jit, rule)
    assert first != _trained(6, jit, rule)


@pytest.mark.parametrize("rule, floats", [("momentum", 0), ("adam", 2)])
def test_no_float_copy_of_a_kernel_exists(rule, floats):
    """No float variable of a kernel's shape but the rule's own slots."""
    model = cnn()
    x, y = data(32)
    compile_dst(model, rule=rule).fit(x, y, verbose=0)
    everything = model.variables + model.optimizer.variables
    assert len({id(v) for v in everything}) == len(everything)
    for kernel in kernels(model):
        alike = [v for v in everything if tuple(v.shape) == tuple(kernel.shape)]
        dtypes = sorted(v.dtype for v in alike)
        assert dtypes == ["float32"] * floats + ["int8"] * (len(alike) - floats)
        named = [v for v in alike if "moment" in v.name]
        assert len(alike) == 1 + len(named)


STATES = {  # bytes a weight: the code and the rule's slots
    ("ternary", "momentum"): 2.02,
    ("graded", "auto"): 1.0001,
    ("ternary", "fire"): 2.0001,
    ("ternary", keras_gxnor.MomentumIncrement(dtype="bfloat16")): 3.0001,
    ("ternary", keras_gxnor.MomentumIncrement(dtype="float32")): 5.0001,
    ("ternary", "adam"): 9.0001,
    ("ternary", keras.optimizers.SGD(momentum=0.9)): 9.0001,  # with the scratch variable
}


@pytest.mark.parametrize("space, rule", STATES, ids=ids)
def test_state_bytes_a_weight(space, rule):
    layer = keras_gxnor.GXNORDense(256, use_bias=False, kernel_space=space)
    model = compile_dst(keras.Sequential([keras.Input((1024,)), layer]), rule=rule)
    model.optimizer.build(model.trainable_variables)
    state = sum(
        v.numpy().nbytes
        for v in model.variables + model.optimizer.variables
        if v.name not in ("iteration", "learning_rate")
    )
    assert int(STATES[space, rule]) <= state / (1024 * 256) <= STATES[space, rule]


def test_graded_kernels_move_below_the_surface():
    """Their states move at once, what the network reads of them does so now and then."""
    model, (x, y) = cnn("graded"), data(32)
    layers = [layer for layer in model.layers if hasattr(layer, "kernel_codes")]
    before = [(layer.kernel.numpy(), layer.kernel_codes()) for layer in layers]
    compile_dst(model).fit(x, y, batch_size=32, epochs=1, verbose=0)
    for (states, codes), layer in zip(before, layers):
        moved, changed = (states != layer.kernel.numpy()).mean(), (codes != layer.kernel_codes()).mean()
        assert moved > 0.5 and 0 < changed < moved
        assert np.isin(layer.kernel_codes(), [-1, 0, 1]).all()
        assert np.array_equal(*layer.read_kernels(), layer.kernel_codes())
