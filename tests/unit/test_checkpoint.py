"""Checkpoint under stock fit: exact resumption, and refusal of everything else."""

import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gxnor
from keras_gxnor.callbacks import Checkpoint, batches, files
from keras_gxnor.errors import CheckpointError, InvalidArgumentError
from tests.tools import thinned

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(46, 6)).astype(np.float32), RNG.integers(0, 3, 46)
EPOCHS, BATCH = 3, 4  # 12 batches, the last of 2 examples


class Interrupt(keras.callbacks.Callback):
    """Raises KeyboardInterrupt after so many executions."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def on_train_batch_end(self, batch, logs=None):
        self.count -= 1
        if self.count == 0:
            raise KeyboardInterrupt


def _optimizer(kind):
    dst = keras_gxnor.DSTOptimizer
    return {
        "dst": lambda: dst(0.1),
        "packed": lambda: dst(0.1),
        "schedule": lambda: dst(keras.optimizers.schedules.CosineDecay(0.1, 36)),
        "adam rule": lambda: dst(0.05, "adam", optimizer=keras.optimizers.SGD(0.1, momentum=0.9)),
        "accumulation": lambda: dst(0.1, gradient_accumulation_steps=2),
        "loss scale": lambda: keras.optimizers.LossScaleOptimizer(dst(0.1), 8.0, 5),
        "ema": lambda: dst(0.1, optimizer=keras.optimizers.Adam(use_ema=True)),
        "keras": lambda: keras.optimizers.Adam(0.01),
    }[kind]()


def _model(kind="dst", built=False, units=3, **options):
    """A discrete kernel, statistics, and a seed generator."""
    dense = keras.layers.Dense if kind == "keras" else keras_gxnor.GXNORDense
    storage = {"kernel_storage": "packed"} if kind == "packed" else {}
    layers = [dense(units, **storage), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2)]
    model = keras.Sequential([keras.Input((6,))] * built + layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(_optimizer(kind), loss, metrics=["accuracy"], **options)
    return model


def _run(
    folder, stop=0, kind="dst", callbacks=(), built=False, data=None, epochs=EPOCHS, fit=None, **compiled
):
    """One process's worth of the script: fresh model, unseeded; returns (checkpoint, model)."""
    model = _model(kind, built, **compiled)
    checkpoint = Checkpoint(folder, save_freq=3)
    data = checkpoint.batches(X, Y, batch_size=BATCH, seed=4) if data is None else data(checkpoint)
    try:
        model.fit(
            data, epochs=epochs, initial_epoch=checkpoint.restore(model), verbose=0, shuffle=False,
            callbacks=[*callbacks, checkpoint, *([Interrupt(stop)] * bool(stop))], **(fit or {}),
        )
    except KeyboardInterrupt:
        checkpoint.on_train_end()  # in a process of its own the lock would be gone too
    return checkpoint, model


def _started(tmp_path, **run):
    """Two folders with the same first checkpoint."""
    _run(tmp_path / "a", 1, **run)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    return tmp_path / "a", tmp_path / "b"


def _files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.gxnor"))}


def _resumes(tmp_path, stops=(5, 13), **run):
    """Runs whole and in pieces; asserts that all bytes are the same at the end."""
    whole, pieces = _started(tmp_path, **run)
    reference, model = _run(whole, **run)
    for stop in stops:
        _run(pieces, stop, **run)
    checkpoint, again = _run(pieces, **run)
    assert list(_files(whole))[-1] == f"epoch-{EPOCHS:05}-batch-{0:08}.gxnor"
    assert _files(whole) == _files(pieces)
    assert checkpoint.history == reference.history
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights()))
    return checkpoint


KINDS = ["packed", "schedule", "adam rule", "accumulation", "loss scale", "ema", "keras"]


@pytest.mark.parametrize("kind", thinned(KINDS, 7))
def test_resumes_exactly_with_every_optimizer(kind, tmp_path):
    checkpoint = _resumes(tmp_path, kind=kind)
    assert sorted(checkpoint.history) == ["accuracy", "loss"]
    assert len(checkpoint.history["loss"]) == EPOCHS


@pytest.mark.parametrize("steps", thinned([2, 5], 2))
def test_resumes_exactly_with_steps_per_execution(steps, tmp_path):
    checkpoint = _resumes(tmp_path, stops=(2, 3), steps_per_execution=steps)
    assert len(checkpoint.history["loss"]) == EPOCHS


@pytest.mark.slow
def test_resumes_exactly_with_validation(tmp_path):
    fit = {"validation_data": (X[:9], Y[:9])}
    checkpoint = _resumes(tmp_path, built=True, fit=fit)
    assert len(checkpoint.history["val_loss"]) == EPOCHS


@pytest.mark.slow
def test_resumes_exactly_with_a_dataset_of_ones_own(tmp_path):
    def epoch_data(epoch):
        data = tf.data.Dataset.from_tensor_slices((X, Y))
        return data.shuffle(46, seed=epoch, reshuffle_each_iteration=False).batch(BATCH)

    checkpoint = _resumes(tmp_path, data=lambda checkpoint: checkpoint.dataset(epoch_data))
    assert len(checkpoint.history["loss"]) == EPOCHS


def test_learning_rates_set_by_callbacks_are_kept(tmp_path):
    def scheduler():
        return keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)

    def plateau():
        return keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=1e9)

    rates = _resumes(tmp_path / "1", callbacks=[scheduler()]).history["learning_rate"]
    assert rates == pytest.approx([0.05, 0.025, 0.0125])
    checkpoint, _ = _run(tmp_path / "2", callbacks=[plateau()], epochs=2)
    assert checkpoint.history["learning_rate"][-1] == pytest.approx(0.1)
    _, model = _run(tmp_path / "2", 1, callbacks=[plateau()])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)  # lowered after epoch 1


def test_batches_train_as_arrays_do(tmp_path):
    keras.utils.set_random_seed(3)
    _, one = _run(tmp_path, data=lambda c: c.batches(X.astype(float), Y, batch_size=BATCH, shuffle=False))
    keras.utils.set_random_seed(3)
    two = _model()
    two.fit(X, Y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), two.get_weights()))


def test_finished_training_is_not_repeated(tmp_path):
    _run(tmp_path)
    before = _files(tmp_path)
    checkpoint, _ = _run(tmp_path)
    assert checkpoint.epoch == EPOCHS and _files(tmp_path) == before
    checkpoint, _ = _run(tmp_path, epochs=EPOCHS + 1)
    assert checkpoint.epoch == EPOCHS + 1 and len(checkpoint.history["loss"]) == EPOCHS + 1


def test_the_last_two_are_kept(tmp_path):
    _run(tmp_path, 5)
    assert list(_files(tmp_path)) == [f"epoch-00000-batch-{b:08}.gxnor" for b in (0, 3)]
    _run(tmp_path, 4)
    assert list(_files(tmp_path)) == [f"epoch-00000-batch-{b:08}.gxnor" for b in (3, 6)]


def test_another_callbacks_stop_is_a_stop(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 6

    checkpoint, model = _run(tmp_path / "1", callbacks=[Stop()])
    assert (checkpoint.epoch, checkpoint.batch) == (0, 7) and model.stop_training is True
    assert list(_files(tmp_path / "1"))[-1] == "epoch-00000-batch-00000007.gxnor"
    stopping = keras.callbacks.EarlyStopping("loss", min_delta=1e9, patience=0)
    for folder, order in (("2", [stopping]), ("3", [])):
        model, checkpoint = _model(), Checkpoint(tmp_path / folder)
        data = checkpoint.batches(X, Y)
        callbacks = [*order, checkpoint] if order else [checkpoint, stopping]
        model.fit(data, epochs=9, verbose=0, shuffle=False, callbacks=callbacks)
        assert checkpoint.epoch == 2 and model.stop_training is True


# Files that are damaged


def _damage(path, how):
    data = path.read_bytes()
    flipped = data[:-1] + bytes([data[-1] ^ 1])
    path.write_bytes({"cut": data[:-1], "empty": b"", "text": b"hello" * 99, "flip": flipped}[how])


@pytest.mark.parametrize("how", thinned(["cut", "empty", "text", "flip"], 4))
def test_damaged_newest_falls_back_with_a_warning(how, tmp_path):
    whole, pieces = _started(tmp_path)
    _run(whole)
    _run(pieces, 8)
    newest = sorted(pieces.glob("*.gxnor"))[-1]
    _damage(newest, how)
    model = _model()
    checkpoint = Checkpoint(pieces, save_freq=3)
    data = checkpoint.batches(X, Y, batch_size=BATCH, seed=4)
    with pytest.warns(UserWarning, match=f"{newest.name} cannot be used.*Going on from the one before"):
        assert checkpoint.restore(model) == 0
    assert checkpoint.batch == 3
    model.fit(data, epochs=EPOCHS, verbose=0, shuffle=False, callbacks=[checkpoint])
    assert _files(whole) == _files(pieces)


def test_the_sound_one_outlives_the_damaged_one(tmp_path):
    """After falling back, the damaged file must not count as one of the two to keep."""
    _run(tmp_path, 8)
    _damage(tmp_path / "epoch-00000-batch-00000006.gxnor", "flip")
    model = _model()
    checkpoint = Checkpoint(tmp_path, save_freq=1)
    data = checkpoint.batches(X, Y, batch_size=BATCH, seed=4)
    with pytest.warns(UserWarning, match="Going on"):
        checkpoint.restore(model)
    with pytest.raises(KeyboardInterrupt):
        model.fit(data, epochs=1, verbose=0, shuffle=False, callbacks=[checkpoint, Interrupt(1)])
    assert list(_files(tmp_path)) == [f"epoch-00000-batch-{b:08}.gxnor" for b in (3, 4)]


def test_both_damaged_is_an_error_and_deletes_nothing(tmp_path):
    _run(tmp_path, 5)
    for path in tmp_path.glob("*.gxnor"):
        _damage(path, "cut")
    before, model = _files(tmp_path), _model(built=True)
    weights = model.get_weights()
    words = r"(?s)batch-00000003.*batch-00000000.*Nothing was deleted.*backup"
    with pytest.raises(CheckpointError, match=words):
        Checkpoint(tmp_path).restore(model)
    assert _files(tmp_path) == before
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights()))


def test_a_full_disk_stops_training_and_keeps_the_checkpoint(tmp_path, monkeypatch):
    whole, pieces = _started(tmp_path)
    _run(whole)
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(CheckpointError, match=f"{pieces}.*No space left.*Make room"):
            _run(pieces)
    assert list(_files(pieces)) == ["epoch-00000-batch-00000000.gxnor"]
    assert not list(pieces.glob(".gxnor*"))
    _run(pieces)
    assert _files(whole) == _files(pieces)


# Something else than was saved


def _other(change):
    """A model that differs from `_model(built=True)` in one thing."""
    model = _model(built=True, units=9 if change == "shape" else 3)
    layers = model.layers
    if change == "name":
        layers = [keras_gxnor.GXNORDense(3, name="encoder"), *layers[1:]]
    if change == "space":
        layers = [keras_gxnor.GXNORDense(3, kernel_space="z2"), *layers[1:]]
    if change == "dtype":
        layers = [*layers[:1], keras.layers.BatchNormalization(dtype="float64"), *layers[2:]]
    if change == "fewer":
        layers = layers[:1]
    optimizer = {
        "optimizer": lambda: keras_gxnor.DSTOptimizer(0.1, optimizer="sgd"),
        "rule": lambda: keras_gxnor.DSTOptimizer(0.1, "adam"),
        "schedule": lambda: _optimizer("schedule"),
        "wrapped": lambda: _optimizer("loss scale"),
    }.get(change, lambda: _optimizer("dst"))()
    model = keras.Sequential([keras.Input((6,)), *[type(v).from_config(v.get_config()) for v in layers]])
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize(
    "change, words",
    [
        ("shape", r"ternary kernel\(6, 3\) saved.*\(6, 9\) here"),
        ("name", "gxnor_dense/kernel.*encoder/kernel"),
        ("space", "ternary kernel.*z2 kernel"),
        ("dtype", r"float32\(3,\) saved.*float64"),
        ("fewer", "variables saved"),
        ("optimizer", r"'DSTOptimizer', 'Adam'\] saved, \['DSTOptimizer', 'SGD'\] here"),
        ("rule", "optimizer: .* variables saved"),
        ("schedule", "optimizer: .* variables saved"),
        ("wrapped", r"optimizer: \['DSTOptimizer', 'Adam'\] saved, \['LossScaleOptimizer'"),
    ],
)
def test_another_model_is_refused_unchanged(change, words, tmp_path):
    _run(tmp_path, 5, built=True)
    model, before = _other(change), _files(tmp_path)
    weights = model.get_weights()
    checkpoint = Checkpoint(tmp_path)
    checkpoint.batches(X, Y, batch_size=BATCH, seed=4)
    with pytest.raises(CheckpointError, match=f"(?s){words}.*No variable was changed"):
        checkpoint.restore(model)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights()))
    assert _files(tmp_path) == before
    # The same model under a new number of Keras' is the same model.
    checkpoint.restore(_other("nothing"))


OTHERS = [{"batch_size": 5}, {"seed": 5}, {"shuffle": False}, {"x": X[1:]}, {"x": X + 1}, None]


@pytest.mark.parametrize("other", thinned(OTHERS, 3))
def test_other_data_are_refused(other, tmp_path):
    _run(tmp_path, 5)
    checkpoint = Checkpoint(tmp_path)
    if other is not None:
        x = other.pop("x", X)
        checkpoint.batches(x, Y[: len(x)], **{"batch_size": BATCH, "seed": 4, **other})
    with pytest.raises(CheckpointError, match="other training data"):
        checkpoint.restore(_model())


def test_checkpoints_are_not_trained_over(tmp_path):
    _run(tmp_path, 5)
    before = _files(tmp_path)
    checkpoint = Checkpoint(tmp_path)
    data = checkpoint.batches(X, Y, batch_size=BATCH, seed=4)
    with pytest.raises(CheckpointError, match="not restored"):
        _model().fit(data, verbose=0, shuffle=False, callbacks=[checkpoint])
    _run(tmp_path, epochs=1)
    model = _model()
    checkpoint.restore(model)
    with pytest.raises(InvalidArgumentError, match="initial_epoch=0"):
        model.fit(data, epochs=2, verbose=0, shuffle=False, callbacks=[checkpoint])
    assert before != _files(tmp_path)


def test_misuse_is_named(tmp_path):
    for bad in (0, -1, 2.5, True, "batch", None):
        with pytest.raises(InvalidArgumentError, match="save_freq"):
            Checkpoint(tmp_path, bad)
    for bad in (None, 3, "", " ", b"runs", "a\0b", "gs://bucket/run", ["runs"]):
        with pytest.raises(InvalidArgumentError, match="folder"):
            Checkpoint(bad)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError, match="is a file"):
        Checkpoint(tmp_path / "file")
    checkpoint = Checkpoint(pathlib.Path(tmp_path / "new"), save_freq=3)
    with pytest.raises(InvalidArgumentError, match="compiled"):
        checkpoint.restore(keras.Sequential([keras.layers.Dense(1)]))
    with pytest.raises(InvalidArgumentError, match="known order"):
        _model().fit(X, Y, verbose=0, callbacks=[checkpoint])
    with pytest.raises(CheckpointError, match="no variables yet"):
        _model().fit(X, Y, verbose=0, callbacks=[Checkpoint(tmp_path / "new")])
    data = checkpoint.batches(X, Y)
    with pytest.raises(InvalidArgumentError, match="steps_per_epoch"):
        _model().fit(data, steps_per_epoch=2, verbose=0, shuffle=False, callbacks=[checkpoint])
    with pytest.raises(InvalidArgumentError, match=r"result of checkpoint\.batches"):
        _model().fit(X, Y, verbose=0, callbacks=[checkpoint])
    with pytest.raises(tf.errors.OpError, match="callbacks="):
        _model().fit(data, verbose=0, shuffle=False)
    checkpoint.batches(X, Y)
    with pytest.raises(tf.errors.OpError, match="replaced"):
        _model().fit(data, verbose=0, shuffle=False, callbacks=[checkpoint])


def test_whole_epochs_of_any_data_can_be_saved(tmp_path):
    model, checkpoint = _model(built=True), Checkpoint(tmp_path)
    assert checkpoint.restore(model) == 0
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[checkpoint])
    other, again = _model(built=True), Checkpoint(tmp_path)
    assert again.restore(other) == 2
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights()))
    other.fit(X, Y, epochs=3, initial_epoch=2, verbose=0, callbacks=[again])
    assert again.epoch == 3 and len(again.history["loss"]) == 3


def test_callbacks_see_how_long_an_epoch_is(tmp_path):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append(self.params["steps"])

    _run(tmp_path, callbacks=[Watch()], epochs=1)
    assert seen == [12]


# Batches

GOLDEN_ORDER = [0, 2, 1, 5, 4, 3, 6, 7]


def test_order_is_a_pure_function_of_seed_and_epoch():
    orders = {(s, e): tuple(batches.shuffled(50, s, e)) for s in (0, 1, -1, 2**40) for e in (0, 1, 2)}
    assert len(set(orders.values())) == 12
    assert all(sorted(order) == list(range(50)) for order in orders.values())
    assert batches.shuffled(8, 0, 0).tolist() == GOLDEN_ORDER  # of NumPy 2.x, for good


def test_every_example_once_an_epoch_and_any_start():
    source = batches.ArrayBatches({"a": X, "b": [X[:, :2]]}, Y, None, 4, 7, True)
    whole = list(source.iterate(1, 0))
    assert len(whole) == source.steps == 12 and len(whole[-1][1]) == 2
    rows = np.concatenate([batch[0]["a"] for batch in whole])
    assert sorted(map(tuple, rows)) == sorted(map(tuple, X))
    for start in (0, 5, 11, 12):
        rest = list(source.iterate(1, start))
        assert len(rest) == 12 - start
        for one, other in zip(rest, whole[start:]):
            for a, b in zip(keras.tree.flatten(one), keras.tree.flatten(other)):
                assert np.array_equal(a, b)


@pytest.mark.parametrize(
    "x, y, words",
    [
        (X, Y[1:], "same number"),
        (X[:0], Y[:0], "at least one"),
        (5.0, None, "Arrays"),
        (np.array([None, 1]), None, "Arrays"),
    ],
)
def test_arrays_must_fit_together(x, y, words, tmp_path):
    with pytest.raises(InvalidArgumentError, match=words):
        Checkpoint(tmp_path).batches(x, y)


def test_datasets_must_have_a_length(tmp_path):
    unknown = tf.data.Dataset.range(9).filter(lambda v: v > 2)
    for make, words in (
        (lambda epoch: unknown, "assert_cardinality"),
        (lambda epoch: unknown.repeat(), "cardinality=-1"),
        (lambda epoch: X, "ndarray"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            Checkpoint(tmp_path).dataset(make)
    source = batches.EpochBatches(lambda epoch: tf.data.Dataset.range(3 + epoch))
    with pytest.raises(InvalidArgumentError, match=r"3 in epoch 0.*4 in epoch 1"):
        list(source.iterate(1, 0))


def test_iterators_of_an_epoch_do_not_wait_for_autotuning(tmp_path, monkeypatch):
    """fit deletes them before their end; an autotuned one would then sleep up to a minute."""
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.batches(X, Y).options().autotune.enabled is False
    assert checkpoint.dataset(lambda epoch: tf.data.Dataset.range(3)).options().autotune.enabled is False
    ended = []

    def numbers(dataset):
        yield from range(3)
        ended.append(True)

    monkeypatch.setattr(tf.data.Dataset, "as_numpy_iterator", numbers)
    seen = batches.EpochBatches(lambda epoch: tf.data.Dataset.range(3)).iterate(0, 0)
    assert [next(seen) for _ in range(3)] == [0, 1, 2]
    assert ended  # although nobody has asked for a fourth
