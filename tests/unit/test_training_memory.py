"""training_memory counts what TensorFlow really holds, and changes nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gxnor
from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.memory import KINDS, training_memory
from tests.contract.nets import cnn, compile_dst, data, ids

CASES = [
    ("momentum", "float32"),
    ("momentum", "mixed_float16"),  # Keras wraps the optimizer in a LossScaleOptimizer
    ("adam", "mixed_bfloat16"),
]


def plain(optimizer="adam"):
    """A float net of one matrix of 20 x 10 weights."""
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(10, use_bias=False)])
    model.compile(optimizer, "mse")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def made():
    """Every tf.Variable that TensorFlow makes during the test."""
    variables = []

    def record(next_creator, **kwargs):
        variables.append(next_creator(**kwargs))
        return variables[-1]

    with tf.variable_creator_scope(record):
        yield variables


def held(variables):
    return sum(v.numpy().nbytes for v in variables)


@pytest.mark.parametrize("rule, policy", CASES)
def test_persistent_is_what_tensorflow_made(made, rule, policy):
    keras.mixed_precision.set_global_policy(policy)
    model = compile_dst(cnn(), rule=rule)
    model.fit(*data(32), verbose=0)
    memory = training_memory(model)
    assert memory.persistent == held(made)
    assert len(memory.rows) == len(made)
    assert sum(memory.by_kind().values()) == memory.persistent
    kernels = 3 * 3 * 2 * 8 + 72 * 16 + 16 * 3
    assert memory.by_kind()["discrete kernel"] == kernels
    assert memory.by_kind()["BN statistics"] == 4 * 2 * (8 + 16)
    assert memory.weights == sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_persistent_is_what_a_checkpoint_holds(tmp_path):
    model = compile_dst(cnn(), gradient_accumulation_steps=2)
    model.fit(*data(64), verbose=0)
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(tmp_path / "state"))
    reader = tf.train.load_checkpoint(path)
    names = reader.get_variable_to_shape_map()
    stored = sum(reader.get_tensor(n).nbytes for n in names if n.endswith("/VARIABLE_VALUE"))
    assert stored == training_memory(model).persistent - held(model.metrics_variables)


@pytest.mark.parametrize(
    "optimizer, expected",
    [("adam", 12), ("sgd", 4), (keras.optimizers.SGD(momentum=0.9), 8), ("lion", 8)],
    ids=ids,
)
def test_float_optimizers_for_comparison(optimizer, expected):
    memory = training_memory(plain(optimizer))
    assert memory.bytes_per_weight == expected
    assert memory.by_kind()["float weight"] == 800
    assert memory.transient == 800  # a gradient; the weight is used as it is


@pytest.mark.parametrize("rule, expected", [("momentum", 2 + 4 * 11 / 200), ("adam", 9)])
def test_discrete_kernels(rule, expected):
    model = keras.Sequential([keras.Input((20,)), keras_gxnor.GXNORDense(10, use_bias=False)])
    assert training_memory(model).persistent == 200
    assert training_memory(model).transient == 1600  # float32 read and gradient
    compile_dst(model, rule=rule).optimizer.build(model.trainable_variables)
    memory = training_memory(model)
    assert memory.bytes_per_weight == pytest.approx(expected)
    (kernel,) = [row for row in memory.rows if row.kind == "discrete kernel"]
    assert (kernel.persistent, kernel.read, kernel.gradient) == (200, 800, 800)
    assert all(row.serves == kernel.path for row in memory.rows if row.kind == "optimizer slot")
    model.layers[0].trainable = False
    assert training_memory(model).transient == 800 and training_memory(model).weights == 0


def test_mixed_precision_reads_in_the_compute_dtype():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    ours = keras.Sequential([keras.Input((20,)), keras_gxnor.GXNORDense(10, use_bias=False)])
    assert training_memory(ours).transient == 200 * (2 + 4)
    assert training_memory(plain()).transient == 200 * (2 + 4)


def test_nested_models_and_shared_layers_are_counted_once(made):
    shared = keras_gxnor.GXNORDense(4, use_bias=False, dtype="mixed_bfloat16")
    inner = keras.Sequential([keras.Input((4,)), shared])
    inputs = keras.Input((4,))
    model = keras.Model(inputs, shared(inner(inputs)))
    memory = training_memory(model)
    assert memory.persistent == held(made) == 16
    assert memory.transient == 16 * (2 + 4)


def test_random_state_is_counted(made):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5), keras_gxnor.GXNORDense(2)])
    compile_dst(model).fit(np.ones((8, 4), np.float32), np.zeros(8), verbose=0)
    memory = training_memory(model)
    assert memory.persistent == held(made) and memory.by_kind()["other"] >= 8


def test_nothing_is_built_or_changed():
    with pytest.raises(InvalidArgumentError, match="must be built"):
        training_memory(keras.Sequential([keras_gxnor.GXNORDense(2)]))
    model = compile_dst(cnn())
    with pytest.raises(InvalidArgumentError, match="counts a Keras model"):
        training_memory(model.optimizer)
    with pytest.raises(InvalidArgumentError, match=r"optimizer\.build\(model\.trainable_variables\)"):
        training_memory(model)
    assert not model.optimizer.built
    model.optimizer.build(model.trainable_variables)
    before = [v.numpy() for v in [*model.variables, *model.optimizer.variables]]
    training_memory(model)
    after = [v.numpy() for v in [*model.variables, *model.optimizer.variables]]
    assert len(before) == len(after) and all((a == b).all() for a, b in zip(before, after))


def test_the_table_adds_up():
    model = compile_dst(cnn())
    model.fit(*data(32), verbose=0)
    memory = training_memory(model)
    lines = str(memory).splitlines()
    total = next(line for line in lines if line.startswith("total")).replace(",", "").split()[1:]
    assert int(total[0]) + int(total[1]) == memory.persistent
    assert int(total[2]) + int(total[3]) == memory.transient
    assert f"persistent {memory.persistent:,} bytes" in lines[-3]
    assert len({len(line) for line in lines[:-3]}) == 1
    assert set(memory.by_kind()) == set(KINDS)
    for variable in model.variables:
        assert sum(line.startswith(variable.path + " ") for line in lines) == 1
