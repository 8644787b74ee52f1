"""Packed kernels are int8 kernels in a quarter of the bytes: equal in everything else."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gxnor
from keras_gxnor import converters, lowering, packing, training_memory
from keras_gxnor.errors import InvalidArgumentError
from tests.contract.nets import cnn, compile_dst, data, ids, kernels
from tests.contract.test_multiworker import ROOT, free_ports, stop


def twin(model, storage="packed"):
    """The same model with kernels of another storage, and equal weights."""

    def layer(old):
        config = old.get_config()
        if "kernel_storage" in config:
            config["kernel_storage"] = storage
        return type(old).from_config(config)

    made = keras.models.clone_model(model, clone_function=layer)
    made.set_weights(model.get_weights())
    return made


def wide(space="ternary"):
    """Kernels that XLA updates by itself (16,384 weights and more), one of a size not / 4."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Flatten(),
            keras_gxnor.GXNORDense(131, use_bias=False, kernel_space=space),
            keras.layers.BatchNormalization(),
            keras_gxnor.DiscreteActivation(),
            keras_gxnor.GXNORDense(127, kernel_space=space),
            keras_gxnor.GXNORDense(3, kernel_space=space),
        ]
    )


def state(model):
    """Everything that training changes, as Keras shows it, under the last word of its name."""
    everything = [*model.variables, *model.optimizer.variables]
    arrays = [(v.name.rpartition("_")[2], v.numpy()) for v in everything]
    return [(name, array.dtype.name, array.shape, array.tobytes()) for name, array in arrays]


def assert_trains_alike(make, mode="graph", epochs=2, steps_per_execution=1, **kwargs):
    """Trains both; every code, slot, bias and statistic must be equal to the byte."""
    plain, (x, y), states = make(), data(128), []
    packed = twin(plain)
    before = [k.numpy() for k in kernels(plain)]
    for model in (plain, packed):
        compile_dst(model, jit_compile=mode == "xla", **kwargs)
        model.run_eagerly = mode == "eager"
        model.steps_per_execution = steps_per_execution
        model.fit(x, y, batch_size=32, epochs=epochs, shuffle=False, verbose=0)
        states.append(state(model))
    assert len(states[0]) == len(states[1])
    for mine, theirs in zip(*states):
        assert mine == theirs, mine[0]
    for old, kernel in zip(before, kernels(packed)):
        assert (old != kernel.numpy()).any(), kernel.path
        assert kernel.value.dtype == tf.uint8
        assert kernel.value.shape == (packing.field_bytes(old.size),)


pytestmark = pytest.mark.slow
RULES = ["momentum", "none", "fire", "adam", keras_gxnor.MomentumIncrement(dtype="bfloat16")]
RULES.append(keras.optimizers.Lion())


@pytest.mark.parametrize(
    "mode, rule",
    [*(("graph", rule) for rule in RULES), ("eager", RULES[0]), ("xla", RULES[0])],
    ids=ids,
)
def test_training_is_that_of_int8_storage(mode, rule):
    assert_trains_alike(cnn, mode, rule=rule)


@pytest.mark.parametrize(
    "space, rule",
    [("ternary", "momentum"), ("binary", "none"), (keras_gxnor.DiscreteSpace(1, 0.5), "momentum")],
    ids=ids,
)
def test_large_kernels_and_other_spaces(space, rule):
    assert_trains_alike(lambda: wide(space), rule=rule)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    keras.mixed_precision.set_global_policy(policy)
    assert_trains_alike(cnn)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"gradient_accumulation_steps": 2},
        {"clipnorm": 0.01},
        {"clipvalue": 0.001},
        {"global_clipnorm": 0.01},
        {"loss_scale_factor": 8.0},
        {"m": None},
    ],
    ids=str,
)
def test_what_the_optimizer_does_to_gradients(kwargs):
    assert_trains_alike(cnn, **kwargs)


def test_several_steps_an_execution():
    assert_trains_alike(cnn, steps_per_execution=4)


def test_models_without_an_input_layer_build_in_fit():
    layers = [
        keras_gxnor.GXNORConv2D(4, 3, activation="ternary", kernel_storage="packed"),
        keras.layers.Flatten(),
        keras_gxnor.GXNORDense(3, kernel_storage="packed"),
    ]
    model = compile_dst(keras.Sequential(layers))
    model.fit(*data(32), verbose=0)
    assert [tuple(k.shape) for k in kernels(model)] == [(3, 3, 2, 4), (144, 3)]
    assert [tuple(k.value.shape) for k in kernels(model)] == [(18,), (108,)]


def test_shared_and_frozen_kernels():
    def make():
        shared = keras_gxnor.GXNORDense(3, kernel_space="ternary")
        frozen = keras_gxnor.GXNORDense(3, trainable=False)
        inputs = keras.Input((8, 8, 2))
        x = shared(shared(keras_gxnor.GXNORDense(3)(keras.layers.Flatten()(inputs))))
        return keras.Model(inputs, frozen(x))

    plain = make()
    packed = twin(plain)
    for model in (plain, packed):
        compile_dst(model).fit(*data(64), shuffle=False, verbose=0)
    assert state(plain) == state(packed)
    assert sum(v.value.dtype == tf.uint8 for v in packed.non_trainable_variables) == 1


@pytest.mark.parametrize("storages", [("int8", "packed"), ("packed", "int8"), ("packed", "packed")], ids=str)
def test_files_are_interchangeable(tmp_path, storages):
    saver, loader = (twin(cnn(), storage) for storage in storages)
    paths = [str(tmp_path / name) for name in ("a.weights.h5", "b.weights.h5", "m.keras")]
    saver.save_weights(paths[0])
    loader.load_weights(paths[0])
    for mine, theirs in zip(saver.get_weights(), loader.get_weights()):
        assert mine.tobytes() == theirs.tobytes()
    loader.save_weights(paths[1])
    assert os.path.getsize(paths[0]) == os.path.getsize(paths[1])
    compile_dst(saver).fit(*data(32), verbose=0)
    saver.save(paths[2])
    again = keras.models.load_model(paths[2])
    assert state(again) == state(saver)
    assert [k.value.dtype for k in kernels(again)] == [k.value.dtype for k in kernels(saver)]
    for model in (again, saver):  # training goes on alike
        model.fit(*data(32), shuffle=False, verbose=0)
    assert state(again) == state(saver)


def test_files_from_before_there_was_a_choice():
    config = keras_gxnor.GXNORDense(2, name="x").get_config()
    assert config.pop("kernel_storage") == "int8"
    assert keras_gxnor.GXNORDense.from_config(config).kernel_storage == "int8"


@pytest.mark.parametrize("make", [lambda **k: keras_gxnor.GXNORDense(5, **k),
                                  lambda **k: keras_gxnor.GXNORConv2D(5, 3, **k)])
def test_config_round_trip(make):
    layer = make(kernel_storage="packed")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == layer.get_config() and again.kernel_storage == "packed"


def test_get_and_set_weights_speak_trits():
    plain = cnn()
    packed = twin(plain)
    for mine, theirs in zip(packed.get_weights(), plain.get_weights()):
        assert mine.dtype == theirs.dtype and np.array_equal(mine, theirs)
    x, _ = data(8)
    assert np.array_equal(packed(x), plain(x))
    before = packed.get_weights()
    for bad in (0.7, 2, 3, 1e9, float("nan")):
        wrong = [np.full(w.shape, bad) if w.dtype == np.int8 else w for w in before]
        with pytest.raises(InvalidArgumentError, match="only codes"):
            packed.set_weights(wrong)
    with pytest.raises(ValueError, match="shape"):  # bytes are no weights
        packed.set_weights([w.value.numpy() for w in packed.weights])
    assert all(np.array_equal(a, b) for a, b in zip(packed.get_weights(), before))


def test_a_stateless_call_takes_codes():
    layer = keras_gxnor.GXNORDense(3, kernel_storage="packed", use_bias=False)
    x = np.ones((2, 6), np.float32)
    y = layer(x)
    for codes in (layer.kernel.numpy(), tf.constant(layer.kernel.numpy())):
        assert np.array_equal(layer.stateless_call([codes], [], x)[0], y)
    negated, _ = layer.stateless_call([-layer.kernel.numpy()], [], x)
    assert np.array_equal(negated, -y)


def test_what_keras_counts():
    plain = cnn()
    packed = twin(plain)
    assert packed.count_params() == plain.count_params()
    lines = []
    packed.summary(print_fn=lambda line, **_: lines.append(line))
    assert f"{packed.count_params():,}" in "\n".join(lines)


@pytest.mark.parametrize(
    "rule, per_weight", [("none", 0.25 + 4 / 2**18), ("momentum", 1.25 + (4 + 4 * 256) / 2**18)]
)
def test_training_memory_counts_the_stored_bytes(rule, per_weight):
    layer = keras_gxnor.GXNORDense(256, use_bias=False, kernel_storage="packed")
    model = compile_dst(keras.Sequential([keras.Input((1024,)), layer]), rule=rule)
    model.optimizer.build(model.trainable_variables)
    memory = training_memory(model)
    (row,) = [row for row in memory.rows if row.kind == "discrete kernel"]
    assert (row.shape, row.dtype, row.persistent) == ((1024, 256), "uint8", 2**16)
    assert (row.read, row.gradient, memory.weights) == (2**20, 2**20, 2**18)
    assert memory.bytes_per_weight == per_weight
    everything = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    held = {id(v): v.value.numpy().nbytes for v in everything}
    assert memory.persistent == sum(held.values())


def test_no_other_optimizer_trains_them():
    model = twin(cnn())
    for optimizer in ("sgd", "adam"):
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        with pytest.raises(InvalidArgumentError, match="DSTOptimizer"):
            model.fit(*data(32), verbose=0)


def test_conversion_and_verification():
    plain, spec = cnn(), keras_gxnor.InputSpec(scale=1 / 128, zero_point=128)
    packed = twin(plain)
    graphs = [lowering.from_keras(model, spec) for model in (plain, packed)]
    assert len(graphs[0].nodes) == len(graphs[1].nodes)
    for mine, theirs in zip(*(graph.nodes for graph in graphs)):
        assert type(mine.op) is type(theirs.op)
        if hasattr(mine.op, "kernel"):
            assert np.array_equal(mine.op.kernel, theirs.op.kernel)
    artifact = converters.convert(packed, "c", spec, name="net")
    images = (128 * data(16)[0] + 128).astype(np.uint8)
    assert converters.verify(packed, artifact, images, backends=["reference"]).ok


def test_checkpoints_of_tensorflow_and_saved_models(tmp_path):
    model, x = twin(cnn()), data(4)[0]
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / "state"))
    other = twin(cnn())
    other.set_weights([np.zeros_like(w) for w in other.get_weights()])
    tf.train.Checkpoint(model=other).read(path).assert_consumed()
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights()))
    model.export(str(tmp_path / "saved"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    assert np.array_equal(loaded.serve(tf.constant(x)).numpy(), model(x).numpy())


MIRRORED = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
import numpy as np
from tests.contract.nets import cnn, compile_dst, data, ids, kernels
from tests.contract.test_packed import twin

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
x, y = data(128)
with strategy.scope():
    model = twin(cnn())
    functional = keras.Model(model.inputs, model.outputs)
    compile_dst(model)
before = [k.numpy() for k in kernels(model)]
model.fit(x, y, batch_size=32, epochs=2, verbose=0)
for old, kernel in zip(before, kernels(model)):
    replicas = [v.numpy() for v in kernel.value.values]
    assert len(replicas) == 2 and np.array_equal(*replicas) and replicas[0].dtype == np.uint8
    assert (old != kernel.numpy()).any() and set(np.unique(kernel.numpy())) <= {-1, 0, 1}
print("mirrored")
"""

WORKER = """
import hashlib
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
import keras
import numpy as np
from keras_gxnor import distribute
from tests.contract.nets import cnn, compile_dst, data, ids, kernels
from tests.contract.test_packed import layers_packed

keras.utils.set_random_seed(distribute.worker(strategy))  # the chief's initial values must win
with distribute.scope(strategy):
    model = compile_dst(layers_packed())
before = [k.numpy() for k in kernels(model)]
batches = tf.data.Dataset.from_tensor_slices(data(64)).batch(32, drop_remainder=True)
distribute.fit(model, batches, epochs=2, verbose=0)  # checks that the workers are equal
assert all((k.numpy() != old).any() for k, old in zip(kernels(model), before))
assert {k.value.dtype.name for k in kernels(model)} == {"uint8"}
print(hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest())
"""


def layers_packed():
    """A packed net without copying (no int8 variable is made before)."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras_gxnor.GXNORConv2D(8, 3, kernel_storage="packed"),
            keras.layers.BatchNormalization(),
            keras_gxnor.DiscreteActivation(),
            keras.layers.Flatten(),
            keras_gxnor.GXNORDense(3, kernel_storage="packed"),
        ]
    )


def test_mirrored_strategy_under_stock_fit():
    done = subprocess.run(
        [sys.executable, "-c", MIRRORED], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("mirrored")


def test_two_workers():
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CONFIG": json.dumps(
                {"cluster": cluster, "task": {"type": "worker", "index": index}})},
        )
        for index in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=300) for process in processes]
    finally:
        stop(processes)
    assert [process.returncode for process in processes] == [0, 0], outputs[0][1][-3000:]
    digests = [out.strip().splitlines()[-1] for out, _ in outputs]
    assert digests[0] == digests[1]
