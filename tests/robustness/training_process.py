"""Real training processes, really killed: a server that imports TensorFlow once and forks.

`python -m tests.robustness.training_process FOLDER SEED` trains once without a break in
FOLDER/whole, and once in FOLDER/killed with a SIGKILL again and again, and prints a JSON
report. Every child is a process of its own that builds, restores and trains by stock fit;
the server itself runs no TensorFlow operation, so that forking it is sound.
"""

import json
import os
import pathlib
import random
import signal
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import keras_gxnor
from keras_gxnor.callbacks import Checkpoint

EPOCHS, EXAMPLES, BATCH = 4, 400, 8
# Inside a write: the point, and what is on the disk then.
POINTS = ["half_written", "written", "synced", "renamed", "old_removed"]


def network():
    """Unbuilt and unseeded on purpose: a checkpoint must bring back all that was drawn."""
    model = keras.Sequential(
        [
            keras_gxnor.GXNORDense(32),
            keras.layers.BatchNormalization(),
            keras_gxnor.DiscreteActivation(),
            keras.layers.Dropout(0.2),
            keras_gxnor.GXNORDense(3),
        ]
    )
    schedule = keras.optimizers.schedules.CosineDecay(0.1, EPOCHS * EXAMPLES // BATCH)
    model.compile(
        keras_gxnor.DSTOptimizer(schedule),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def die():
    """SIGKILL: nothing runs after it, no handler and no cleanup."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def die_inside_write(point, number):
    """Makes the `number`-th write from now on deadly at `point`."""
    left = [number]
    fsync, replace, unlink = os.fsync, os.replace, pathlib.Path.unlink

    def deadly_fsync(descriptor):
        is_file = os.path.isfile(f"/proc/self/fd/{descriptor}")
        left[0] -= is_file  # the other one is of the folder
        if left[0] == 0 and is_file and point in ("half_written", "written"):
            if point == "half_written":
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            die()
        fsync(descriptor)

    def deadly_replace(old, new):
        if left[0] == 0 and point == "synced":
            die()
        replace(old, new)
        if left[0] == 0 and point == "renamed":
            die()

    def deadly_unlink(path, *args):
        unlink(path, *args)
        if left[0] <= 0 and point == "old_removed" and path.suffix == ".gxnor":
            die()

    os.fsync, os.replace, pathlib.Path.unlink = deadly_fsync, deadly_replace, deadly_unlink


class Forget(keras.callbacks.Callback):
    """Zeroes the slots at the start: what a checkpoint without them would do."""

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            for variable in self.model.optimizer.variables:
                if variable.ndim:
                    variable.assign(np.zeros(variable.shape))


class Tell(keras.callbacks.Callback):
    """Writes a byte into a pipe after the first batch: training runs."""

    def __init__(self, pipe):
        super().__init__()
        self.pipe = pipe

    def on_train_batch_end(self, batch, logs=None):
        if self.pipe is not None:
            os.write(self.pipe, b".")
            self.pipe = None


def train(folder, draw, pipe=None, plan=None, forget=False):
    """One process of training, until done or dead."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(draw)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(EXAMPLES, 16)).astype(np.float32), rng.integers(0, 3, EXAMPLES)
    model = network()
    checkpoint = Checkpoint(folder, save_freq=1)
    batches = checkpoint.batches(x, y, batch_size=BATCH, seed=5)
    first = checkpoint.restore(model)
    if plan:
        die_inside_write(*plan)
    model.fit(batches, epochs=EPOCHS, initial_epoch=first, verbose=0, shuffle=False,
              callbacks=[*([Forget()] * forget), Tell(pipe), checkpoint])


def child(folder, draw, plan=None, kill_after=None, forget=False):
    """Forks a training process; returns whether it was killed.

    kill_after: None, or (whether to wait for the first batch, seconds to wait then).
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        try:
            train(folder, draw, writing, plan, forget)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    os.close(writing)
    if kill_after:
        in_training, seconds = kill_after
        if in_training:
            os.read(reading, 1)
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
    status = os.waitpid(process, 0)[1]
    os.close(reading)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    if os.WEXITSTATUS(status):
        sys.exit("a training process failed")
    return False


def plans(rng):
    """21 ways to die, in random order: while starting, while training, inside a write."""
    ways = [{"kill_after": (False, rng.uniform(0.0, 2.0))} for _ in range(2)]
    ways += [{"kill_after": (True, rng.uniform(0.0, 0.06))} for _ in range(9)]
    ways += [{"plan": (point, rng.randint(1, 5))} for point in POINTS * 2]
    rng.shuffle(ways)
    return ways


def main(root, seed):
    """Trains whole, killed, and wrongly resumed."""
    root, rng = pathlib.Path(root), random.Random(seed)
    began = time.time()
    # The start is drawn once and copied: what follows may depend on nothing drawn later.
    child(root / "start", 1, plan=("written", 2))
    for name in ("whole", "killed", "forgetful"):
        (root / name).mkdir()
        for path in (root / "start").glob("*.gxnor"):
            (root / name / path.name).write_bytes(path.read_bytes())
    child(root / "whole", 2)
    deaths, unfinished = [], 0
    for number, way in enumerate(plans(rng)):
        if child(root / "killed", 3 + number, **way):
            deaths.append(way["plan"][0] if "plan" in way else "any")
        unfinished += any((root / "killed").glob(".gxnor-unfinished*"))
    child(root / "killed", 100)
    child(root / "forgetful", 3, plan=("written", 40))
    child(root / "forgetful", 4, forget=True)
    print(json.dumps({"deaths": deaths, "unfinished": unfinished, "seconds": time.time() - began}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
