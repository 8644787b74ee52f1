"""Checkpoint: training that survives a kill at any moment, under stock `Model.fit`."""

import contextlib
import os
import pathlib
import re
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_gxnor.callbacks import files, state
from keras_gxnor.callbacks.arguments import integer
from keras_gxnor.callbacks.batches import ArrayBatches, EpochBatches
from keras_gxnor.errors import CheckpointError, InvalidArgumentError

_NAME = re.compile(r"epoch-(\d{5,})-batch-(\d{8,})\.gxnor")
_KEPT = 2


class Checkpoint(keras.callbacks.Callback):
    """Saves the whole training state, and goes on from it, in the middle of an epoch too.

    ```python
    checkpoint = keras_gxnor.callbacks.Checkpoint("runs/mnist", save_freq=200)
    batches = checkpoint.batches(x, y, batch_size=128, seed=0)
    model.fit(batches, epochs=10, initial_epoch=checkpoint.restore(model), callbacks=[checkpoint])
    ```

    Run the same script again after a kill, and it goes on; kernels, statistics, slots and
    logs end byte-equal to those of a run that was never killed, as far as the same step
    on the same data gives the same bytes (on a CPU with the same number of threads; on a
    GPU call `tf.config.experimental.enable_op_determinism()`). Run it once more when it is
    finished, and it trains no further. A save is whole or absent: it is written beside its
    place, forced to the disk and renamed, and carries a SHA-256. The last two are kept; if
    the newest is damaged, `restore` says so and takes the other. One process at a time may
    use a folder.

    Saved are: all variables of the model (frozen ones and seed generators too), of its
    metrics and of its optimizer (a `LearningRateSchedule` continues with the optimizer's
    iterations; a rate set by `LearningRateScheduler` or `ReduceLROnPlateau` is a variable of
    the optimizer), the `seed` of a `DSTOptimizer`, the epoch, the batch, and the logs. Not
    saved are what other callbacks remember (`EarlyStopping` and `ReduceLROnPlateau` count
    their patience anew, and so may end or slow a resumed run at another epoch), random numbers
    drawn without a layer's own seed generator, and the data, which must be the same: `restore`
    compares their shape, order and some examples. On several replicas (`MirroredStrategy`) give the model
    a `keras.Input`; metrics are not saved there, and the logs of a resumed epoch are those of
    its rest.

    Put it last in `callbacks`: it saves at the end of an epoch what those before it did.
    In a resumed epoch callbacks see batch numbers from 0; `checkpoint.batch` is the true one.

    Args:
        folder: Path of the folder of this run; made if missing.
        save_freq: `"epoch"`, or a positive integer: also after every so many batches of an
            epoch (with `steps_per_execution`, at the next end of an execution). The end of an
            epoch is always saved, after its validation.

    Attributes:
        epoch: The epoch in progress, from 0.
        batch: Number of batches done of it.
        history: {log name: its value after every epoch}, of all runs together.

    Raises:
        InvalidArgumentError: if an argument is of the wrong kind.
        CheckpointError: if `folder` is a file.

    Example:

    >>> import tempfile
    >>> x, y = np.ones((8, 4), "float32"), np.zeros((8, 1), "float32")
    >>> folder = tempfile.mkdtemp()
    >>> def train(epochs):
    ...     model = keras.Sequential([keras.Input((4,)), GXNORDense(1)])
    ...     model.compile(DSTOptimizer(0.1, seed=0), "mse")
    ...     checkpoint = Checkpoint(folder)
    ...     batches = checkpoint.batches(x, y, batch_size=2)
    ...     first = checkpoint.restore(model)
    ...     model.fit(batches, epochs=epochs, initial_epoch=first, callbacks=[checkpoint],
    ...               shuffle=False, verbose=0)
    ...     return first, checkpoint.epoch
    >>> train(2), train(3)
    ((0, 2), (2, 3))
    """

    def __init__(self, folder, save_freq="epoch"):
        super().__init__()
        self.folder = _folder(folder)
        self.save_freq = save_freq if save_freq == "epoch" else integer("save_freq", save_freq, 1)
        self.epoch = self.batch = 0
        self.history = {}
        self._source = self._steps = self._lock = self._restored = None
        self._good = []  # paths of the checkpoints to keep, oldest first
        self._start = self._last_save = 0  # batches of this epoch
        self._resumed = []
        self._running = False
        self._epoch_end = object()  # told from True, which another callback may set

    def batches(self, x, y=None, sample_weight=None, batch_size=32, seed=0, shuffle=True):
        """Arrays as data for `Model.fit` that can be resumed at any batch.

        Args:
            x, y, sample_weight: As for `Model.fit`: arrays, or tuples, lists or dicts of
                them. Memory-mapped arrays are read batch by batch.
            batch_size: Examples a batch; the last one of an epoch may have fewer.
            seed: Integer. The order of an epoch is a pure function of (seed, epoch).
            shuffle: Whether to shuffle. (That of `fit` is ignored for datasets, with a
                warning; `fit(..., shuffle=False)` silences it.)

        Returns:
            `tf.data.Dataset` for one `fit` with this callback; validation data are given
            to `fit` as they are.

        Raises:
            InvalidArgumentError: if the arrays do not fit together.
        """
        return self._dataset(ArrayBatches(x, y, sample_weight, batch_size, seed, shuffle))

    def dataset(self, make):
        """As `batches`, for a `tf.data.Dataset` of your own.

        ```python
        def epoch_data(epoch):  # the same batches in the same order for the same epoch
            return images.shuffle(10_000, seed=epoch).map(augment).batch(128)

        batches = checkpoint.dataset(epoch_data)
        ```

        A resumed epoch skips the batches done, which must be computed once more. Random
        augmentation must be a pure function too (`tf.image.stateless_random_*`).

        Args:
            make: Callable epoch (int, from 0) -> `tf.data.Dataset` of batches, the same
                number in every epoch.

        Raises:
            InvalidArgumentError: if that number is not known.
        """
        return self._dataset(EpochBatches(make))

    def _dataset(self, source):
        def generate():
            if source is not self._source:
                raise InvalidArgumentError(
                    "One checkpoint serves one training set: these batches were replaced by "
                    "later ones. Give validation data to fit as arrays or a plain dataset."
                )
            for number, batch in enumerate(source.iterate(self.epoch, self._start)):
                # (Keras may look at one batch before training begins.)
                if number and not self._running:
                    raise InvalidArgumentError(
                        "Batches of a checkpoint are for fit with that checkpoint. Pass "
                        "callbacks=[checkpoint]."
                    )
                yield batch

        self._source = source
        # Of unknown length, since a resumed epoch is shorter; this callback ends the epochs. So
        # fit never meets the end of the data, and deletes its iterator before: with autotuning
        # that would wait for a thread that sleeps, up to a minute. There is nothing to tune.
        options = tf.data.Options()
        options.autotune.enabled = False
        dataset = tf.data.Dataset.from_generator(generate, output_signature=source.spec)
        return dataset.prefetch(2).with_options(options)

    def restore(self, model) -> int:
        """Sets `model` and its optimizer to the last checkpoint, if there is one.

        Call it after `compile`, and after `batches` or `dataset`.

        Args:
            model: The compiled model.

        Returns:
            The epoch to go on with, for `fit(initial_epoch=...)`; 0 without a checkpoint.

        Raises:
            CheckpointError: if all checkpoints are damaged, the last one is that of another
                model, optimizer or data, or another process uses the folder. Nothing is
                changed or deleted.
        """
        if not isinstance(model, keras.Model) or getattr(model, "optimizer", None) is None:
            raise InvalidArgumentError(
                f"`restore` needs a compiled Keras model. Received: {type(model).__name__}"
            )
        self._lock = self._lock or files.lock(self.folder)
        self._restored, found = model, self._found()
        if not found:
            return 0
        path, info, arrays = self._newest(found)
        self._check_data(path, info)
        spec = self._source and self._source.spec
        pairs = state.restore(model, spec, info, arrays, str(path))
        self._resumed = pairs if info["batch"] else []
        self.epoch, self.batch, self.history = info["epoch"], info["batch"], info["history"]
        self._good = [path]
        return self.epoch

    def _newest(self, found):
        """(path, info, arrays) of the newest sound checkpoint; warns of damaged ones."""
        damaged = []
        for path in reversed(found):
            try:
                info, arrays = files.read(path)
            except CheckpointError as error:
                damaged.append(str(error))
                continue
            if damaged:
                warnings.warn(
                    f"{' '.join(damaged)} Going on from the one before, {path.name}.", stacklevel=3
                )
            return path, info, arrays
        raise CheckpointError(
            f"No checkpoint in {self.folder} can be used: {' '.join(damaged)} Nothing was deleted. "
            "Restore the files from a backup, or train from the start in an empty folder."
        )

    def _check_data(self, path, info):
        here = self._source and self._source.describe()
        if info["data"] == here or (info["data"] is None and not info["batch"]):
            return
        raise CheckpointError(
            f"{path} belongs to other training data: {info['data']} saved, {here} here. Make the "
            "same batches, before `restore`, or use an empty checkpoint folder."
        )

    def _found(self):
        """Paths of all checkpoints, oldest first."""
        matches = [(_NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        return [p for _, p in sorted((tuple(map(int, m.groups())), p) for m, p in matches if m)]

    def save(self):
        """Saves now, between two batches; `fit` calls it when it is due.

        Raises:
            CheckpointError: if the system refuses; the checkpoints before are untouched.
        """
        groups = state.variables(self.model, metrics=self.batch > 0)
        info = {
            **state.describe(self.model, groups),
            "epoch": self.epoch,
            "batch": self.batch,
            "data": self._source and self._source.describe(),
            "history": self.history,
        }
        arrays = [v.numpy() for group in groups.values() for v in group]
        path = self.folder / f"epoch-{self.epoch:05}-batch-{self.batch:08}.gxnor"
        files.write(path, info, arrays)
        self._last_save = self.batch
        self._good = [*(good for good in self._good if good != path), path][-_KEPT:]
        for other in set(self._found()) - set(self._good):
            with contextlib.suppress(OSError):
                other.unlink()

    def set_params(self, params):
        """Tells the other callbacks, such as the progress bar, how long an epoch is."""
        super().set_params(params)
        if self._source and params and "epochs" in params:
            if params.get("steps") is not None:
                raise InvalidArgumentError(
                    f"This checkpoint counts the batches of its own data, {self._source.steps} an "
                    "epoch. Give fit the result of checkpoint.batches or checkpoint.dataset, and no "
                    f"`steps_per_epoch`. Received: data or an argument that make {params['steps']} steps"
                )
            params["steps"] = self._source.steps

    def on_train_begin(self, logs=None):
        """Refuses to train over checkpoints that were not restored."""
        self._lock = self._lock or files.lock(self.folder)
        if self._restored is not self.model and (self._restored or self._found()):
            raise CheckpointError(
                f"{self.folder} holds checkpoints that were not restored into this model. Pass "
                "initial_epoch=checkpoint.restore(model) to fit, or use an empty folder."
            )
        if self.save_freq != "epoch" and self._source is None:
            raise InvalidArgumentError(
                "Only batches with a known order can be resumed inside an epoch. Give fit the "
                'result of checkpoint.batches(x, y) or checkpoint.dataset(...), or use save_freq="epoch". '
                f"Received: save_freq={self.save_freq}"
            )
        files.remove_unfinished(self.folder)
        self._restored, self._running = self.model, True
        self._steps = self._source.steps if self._source else self.params.get("steps")
        self._first = True
        if not self._good:  # the start too: weights drawn without a seed are drawn once
            state.build(self.model, self._source and self._source.spec, metrics=False)
            self.save()

    def on_epoch_begin(self, epoch, logs=None):
        """Finds the first batch; a resumed epoch has begun long ago, and begins with its state."""
        if self._first and epoch != self.epoch and (self._good or self.batch):
            raise InvalidArgumentError(
                f"The checkpoint is at epoch {self.epoch}. Pass initial_epoch="
                f"checkpoint.restore(model) to fit. Received: initial_epoch={epoch}"
            )
        self._first = False
        self.epoch, self._start = epoch, self.batch
        self._last_save = self.batch
        # Once more: fit has reset the metrics, and a LearningRateScheduler may have set its
        # rate for this epoch a second time.
        for variable, array in self._resumed:
            variable.assign(array)
        self._resumed = []

    def on_train_batch_end(self, batch, logs=None):
        """Saves if it is due, and ends the epoch after its last batch."""
        done = self._start + batch + 1
        self.batch = done if self._steps is None else min(done, self._steps)
        if self._source is None:
            return
        if self.batch == self._steps:
            self.model.stop_training = self.model.stop_training or self._epoch_end
        elif self.model.stop_training or (
            self.save_freq != "epoch" and self.batch - self._last_save >= self.save_freq
        ):
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        """Saves; an epoch that another callback cut short stays where it was saved last."""
        if self.model.stop_training is self._epoch_end:
            self.model.stop_training = False
        if self._steps is not None and self.batch < self._steps:
            return
        for name, value in (logs or {}).items():
            if isinstance(value, (int, float, np.number)):
                self.history.setdefault(name, []).append(float(value))
        self.epoch, self.batch, self._start = epoch + 1, 0, 0
        self.save()

    def on_train_end(self, logs=None):
        """Lets other processes use the folder."""
        self._running = False
        self._lock = self._lock and self._lock.close()


def _folder(folder):
    try:
        text = os.fspath(folder)
    except TypeError:
        text = None
    if not isinstance(text, str) or not text.strip() or "\0" in text or "://" in text:
        raise InvalidArgumentError(
            "`folder` must be the path of a folder of this machine's file system. "
            f"Received: folder={folder!r}"
        )
    path = pathlib.Path(text).expanduser()
    if path.exists() and not path.is_dir():
        raise CheckpointError(f"{path} is a file, and a checkpoint needs a folder. Choose another path.")
    return path
