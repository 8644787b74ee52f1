"""The contract of every layer with discrete kernels: what a Keras layer does, it does."""

import inspect
import json
import os
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gxnor
from keras_gxnor.errors import InvalidArgumentError
from tests.contract.layers import LAYERS, ONE_OF_A_KIND, TOKENS, compile_all, everything, everything_data
from tests.contract.nets import kernels
from tests.contract.test_distribution import ROOT
from tests.contract.test_packed import state, twin

ALL = pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
CHANNELS = {name: case for name, case in LAYERS.items() if case.has_channels}
KINDS = [name for name in keras_gxnor.__all__ if name.startswith("GXNOR")]


def _plain(layer, base):
    """The plain Keras layer of the same configuration."""
    config = layer.get_config()
    for ours in ("kernel_space", "kernel_storage"):
        config.pop(ours)
    return base.from_config(config)


def test_every_layer_is_here():
    assert {LAYERS[name].kind.__name__ for name in ONE_OF_A_KIND} == set(KINDS)


@ALL
@pytest.mark.parametrize("space", ["ternary", "z3", "graded"])
def test_equals_the_plain_layer_with_the_same_values(case, space):
    layer = case.make(kernel_space=space, **case.ends(bias_initializer="normal", activation="relu"))
    x = case.data()
    y = layer(x)
    plain = _plain(layer, case.base)
    plain.build(case.shape)
    values = [layer.codes(name) * layer.kernel_space.readout.scale for name in layer.KERNELS]
    assert [v.shape for v in values] == [tuple(w.shape) for w in plain.weights[: len(values)]]
    plain.set_weights([*values, *([] if layer.bias is None else [layer.bias.numpy()])])
    assert np.array_equal(y.numpy(), plain(x).numpy())
    assert tuple(layer.compute_output_shape(case.shape)) == tuple(y.shape)
    assert (y.numpy() != 0).any()


@pytest.mark.parametrize("kind", KINDS)
def test_signature_is_keras_s_plus_the_kernel_s(kind):
    mine = inspect.signature(getattr(keras_gxnor, kind).__init__).parameters
    base = inspect.signature(getattr(keras.layers, kind.removeprefix("GXNOR")).__init__).parameters
    # Keras writes a stride of 1 as (1, 1) where it could write 1.
    mine, base = (
        [(n, 1 if p.default == (1, 1) else p.default) for n, p in s.items()] for s in (mine, base)
    )
    base = [(n, d) for n, d in base if n not in ("lora_rank", "lora_alpha", "quantization_config")]
    assert mine[:-3] == base[:-1]
    assert mine[-3:] == [("kernel_space", "ternary"), ("kernel_storage", "int8"), base[-1]]


@ALL
def test_config_round_trip(case):
    layer = case.make(
        kernel_space="z2",
        name="x",
        **case.arguments("regularizer", "l2"),
        **case.arguments("initializer", "he_normal"),
        **case.ends(activation=keras_gxnor.DiscreteActivation("z2"), bias_constraint="non_neg"),
    )
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(layer) and again.get_config() == layer.get_config()
    assert case.looks_up or again.activation == layer.activation


@pytest.mark.parametrize("case", CHANNELS.values(), ids=CHANNELS)
def test_channels_first_equals_channels_last(case):
    last, x = case.make(bias_initializer="normal"), case.data()
    y = last(x).numpy()
    first = case.make(data_format="channels_first")
    first.build(np.moveaxis(x, -1, 1).shape)
    first.set_weights(last.get_weights())
    assert np.array_equal(np.moveaxis(first(np.moveaxis(x, -1, 1)).numpy(), 1, -1), y)


PROCESSOR = """
import numpy as np
from tests.contract.layers import LAYERS
for case in LAYERS.values():
    layers = [case.make()]
    layers += [case.make(data_format="channels_first")] if case.has_channels else []
    if "Transpose" in case.kind.__name__:
        layers.append(case.make(strides=1, output_padding=None, dilation_rate=2))
    for layer in layers:
        first = getattr(layer, "data_format", "channels_last") == "channels_first"
        x = np.moveaxis(case.data(), -1, 1) if first else case.data()
        y = np.asarray(layer(x), np.float64)
        assert y.shape == tuple(layer.compute_output_shape(x.shape)), layer.name
        print(layer.name, int(y.sum()), int((y * np.arange(y.size).reshape(y.shape)).sum()))
"""


def test_every_processor_computes_the_same():
    """With the kernels of oneDNN, which TensorFlow takes where the processor is new enough, and without."""
    made = []
    for switch in "01":
        run = [sys.executable, "-c", f"import keras; keras.utils.set_random_seed(0){PROCESSOR}"]
        env = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": switch}
        done = subprocess.run(run, cwd=ROOT, env=env, timeout=300, check=True, stdout=subprocess.PIPE)
        made.append(done.stdout.splitlines())
    dilated = [case for case in LAYERS.values() if "Transpose" in case.kind.__name__]
    assert made[0] == made[1] and len(made[0]) == len(LAYERS) + len(CHANNELS) + len(dilated)


@pytest.mark.parametrize("size", [(3, 3), (2, 3), (1, 2)])
@pytest.mark.parametrize("rate", [(2, 2), (3, 1), 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_dilated_transposed_kernel_is_one_with_zeros_between_its_taps(size, rate, padding):
    layer = keras_gxnor.GXNORConv2DTranspose(3, size, padding=padding, dilation_rate=rate)
    x = np.random.default_rng(0).integers(-9, 9, (2, 5, 6, 4)).astype(np.float32)
    y, codes, (down, right) = layer(x).numpy(), layer.codes(), layer.dilation_rate
    whole = np.zeros((2, 5 + (size[0] - 1) * down, 6 + (size[1] - 1) * right, 3))
    for i, j in np.ndindex(*size):
        whole[:, i * down : i * down + 5, j * right : j * right + 6] += x @ codes[i, j].T
    if padding == "same":
        top, left = ((s - 1) * d // 2 for s, d in zip(size, layer.dilation_rate))
        whole = whole[:, top : top + 5, left : left + 6]
    assert np.array_equal(y, whole)


MODES = [
    ("float32", "graph"),
    pytest.param("float32", "xla", marks=pytest.mark.slow),
    ("mixed_float16", "eager"),
]


@pytest.mark.parametrize("policy, mode", MODES)
def test_every_kernel_moves_in_one_step(policy, mode):
    keras.mixed_precision.set_global_policy(policy)
    model, (x, y) = everything(), everything_data()
    before = [k.numpy() for k in kernels(model)]
    compile_all(model, mode).fit(x, y, batch_size=len(y), verbose=0)
    _assert_moved(model, before)


def _assert_moved(model, before):
    assert len(before) == len(kernels(model)) == 1 + sum(len(LAYERS[n].kind.KERNELS) for n in ONE_OF_A_KIND)
    for old, kernel in zip(before, kernels(model)):
        assert (old != kernel.numpy()).any(), kernel.path
        assert kernel.dtype == "int8" and kernel.space.contains(kernel.numpy())


SAVED = """
import sys
import numpy as np
import keras_gxnor
import keras
from tests.contract.layers import everything_data
model = keras.models.load_model(sys.argv[1])
x, y = everything_data()
made = np.asarray(model(x))
model.run_eagerly = True
model.fit(x, y, verbose=0, shuffle=False)
np.savez(sys.argv[2], made, *model.get_weights())
"""


def test_packed_storage_clones_and_files(tmp_path):
    """One step on int8 and on packed kernels, then on what a fresh process loads of both files."""
    (x, y), models = everything_data(), [everything()]
    before = [k.numpy() for k in kernels(models[0])]
    models.append(twin(models[0]))  # keras.models.clone_model
    files = [str(tmp_path / name) for name in ("int8.keras", "packed.keras")]
    for model, file in zip(models, files):
        compile_all(model).fit(x, y, verbose=0, shuffle=False)
        _assert_moved(model, before)
        model.save(file)
        model.save_weights(file.replace(".keras", ".weights.h5"))
    assert {k.value.dtype for k in kernels(models[1])} == {tf.uint8}
    assert state(models[0]) == state(models[1])
    stored = [_stored(file.replace(".keras", ".weights.h5")) for file in files]
    assert stored[0] == stored[1]
    assert sum("base3" in name for name, *_ in stored[0]) == len(before)
    loaded = str(tmp_path / "loaded.npz")
    subprocess.run([sys.executable, "-c", SAVED, files[1], loaded], check=True, cwd=ROOT, timeout=300)
    expected = [np.asarray(models[0](x))]
    models[0].fit(x, y, verbose=0, shuffle=False)
    with np.load(loaded) as found:
        for mine, theirs in zip([*expected, *models[0].get_weights()], found.values(), strict=True):
            assert mine.tobytes() == theirs.tobytes()


def _stored(path):
    """[(name, bytes)] of all layers' arrays in a weights file."""
    found = []
    with h5py.File(path) as file:
        file["layers"].visititems(
            lambda name, item: found.append((name, item[()].tobytes())) if hasattr(item, "shape") else None
        )
    return found


def test_summary_and_parameters():
    model, lines = everything(), []
    model.summary(print_fn=lambda line, **_: lines.append(line), line_length=160)
    for case in LAYERS.values():
        layer = case.make()
        layer.build(case.shape)
        plain = _plain(layer, case.base)
        plain.build(case.shape)
        assert layer.count_params() == plain.count_params()
        assert case.kind.__name__ in "\n".join(lines)
    assert keras_gxnor.training_memory(model).by_kind()["discrete kernel"] == sum(
        k.numpy().size for k in kernels(model)
    )


def test_a_layer_s_kernels_in_the_logs():
    model, (x, y) = compile_all(everything()), everything_data()
    monitor = keras_gxnor.callbacks.KernelMonitor(per_layer=True)
    logs = model.fit(x, y, verbose=0, callbacks=[monitor]).history
    for name in ("separable2d/depthwise_kernel", "separable2d/pointwise_kernel", "embedding", "dense"):
        assert logs[f"{name}/changed"][0] > 0


@ALL
def test_regularizers_act_on_the_float_read(case):
    for policy in ("float32", "mixed_float16"):
        l1 = keras.regularizers.L1(0.5)
        layer = case.make(kernel_space="z2", dtype=policy, **case.arguments("regularizer", l1))
        layer(case.data())
        values = [layer.codes(name) * 0.5 for name in layer.KERNELS]
        assert [float(loss) for loss in layer.losses] == [0.5 * np.abs(v).sum() for v in values]


def test_masks_are_those_of_keras():
    layer = keras_gxnor.GXNOREmbedding(TOKENS, 5, mask_zero=True)
    plain, x = _plain(layer, keras.layers.Embedding), LAYERS["embedding"].data()
    y = keras.layers.GlobalAveragePooling1D()(layer(x)).numpy()
    plain.build(x.shape)
    plain.set_weights([layer.codes("embeddings")])
    assert (x == 0).any() and np.array_equal(layer.compute_mask(x), x != 0)
    assert np.array_equal(y, keras.layers.GlobalAveragePooling1D()(plain(x)))
    assert not np.array_equal(y, layer.codes("embeddings")[x].mean(1))
    assert keras_gxnor.GXNOREmbedding(TOKENS, 5).compute_mask(x) is None


def test_the_gradient_of_a_look_up_is_one_tensor():
    layer, x = keras_gxnor.GXNOREmbedding(TOKENS, 2), np.array([[3, 3, 1]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) * [1.0, 2.0])
    gradient = tape.gradient(loss, layer.embeddings.value)
    assert isinstance(gradient, tf.Tensor) and gradient.dtype == tf.float32
    expected = np.zeros((TOKENS, 2))
    expected[3], expected[1] = (2, 4), (1, 2)
    assert np.array_equal(gradient, expected)


def test_a_given_table():
    table = np.random.default_rng(0).normal(size=(TOKENS, 5))
    layers = [keras_gxnor.GXNOREmbedding(TOKENS, 5, weights=weights) for weights in (table, [np.sign(table)])]
    assert np.array_equal(layers[0].kernel_codes() * np.sign(table), np.abs(layers[0].kernel_codes()))
    assert np.array_equal(layers[1].kernel_codes(), np.sign(table))
    with pytest.raises(InvalidArgumentError, match=r"shape \(input_dim, output_dim\).*\(5, 11\)"):
        keras_gxnor.GXNOREmbedding(TOKENS, 5, weights=table.T)


@pytest.mark.parametrize(
    "kwargs, words",
    [
        (None, "_constraint"),
        ({"kernel_space": "quaternary"}, "Layer .*discrete space"),
        ({"kernel_storage": "packed", "kernel_space": "z3"}, "Layer .*2 bits a weight"),
        ({"lora_rank": 4}, "lora_rank"),
        ({"dtype": "int8_from_float32"}, "float dtype policy"),
    ],
)
@ALL
def test_refused_arguments(case, kwargs, words):
    given = [kwargs] if kwargs else [{n: v} for n, v in case.arguments("constraint", "max_norm").items()]
    for one in given:
        with pytest.raises(InvalidArgumentError, match=words):
            case.make(**one)


@ALL
def test_refused_methods(case):
    layer = case.make()
    with pytest.raises(AttributeError, match="must build"):
        layer.kernel_variable(next(iter(layer.KERNELS)))
    layer.build(case.shape)
    for call in (lambda: layer.quantize("int8"), lambda: layer.enable_lora(2)):
        with pytest.raises(InvalidArgumentError, match="discrete kernel"):
            call()


@pytest.mark.parametrize("case", CHANNELS.values(), ids=CHANNELS)
def test_unknown_channels_are_refused(case):
    with pytest.raises(InvalidArgumentError, match="channels must be known"):
        case.make().build((*case.shape[:-1], None))


def test_the_kernels_of_a_separable_layer_have_their_own_names():
    layer = LAYERS["separable2d"].make()
    layer.build(LAYERS["separable2d"].shape)
    assert layer.depthwise_codes().shape == (2, 3, 4, 2) == layer.depthwise_kernel.shape
    assert layer.pointwise_codes().shape == (1, 1, 8, 6) == layer.pointwise_kernel.shape
    assert not hasattr(layer, "kernel")
    with pytest.raises(AttributeError, match="no `kernel` but"):
        layer.kernel_variable()
    store = {}
    layer.save_own_variables(store)
    other = LAYERS["separable2d"].make()
    other.build(LAYERS["separable2d"].shape)
    with pytest.raises(InvalidArgumentError, match=r"depthwise_kernel\.base3.*Received: \['bias'"):
        other.load_own_variables({name: store[name] for name in ("bias", "pointwise_kernel.base3")})
    other.load_own_variables(store)
    assert [w.tobytes() for w in other.get_weights()] == [w.tobytes() for w in layer.get_weights()]
