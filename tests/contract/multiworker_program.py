"""One worker of test_multiworker: trains under TF_CONFIG, prints what it holds as JSON.

    python -m tests.contract.multiworker_program FOLDER [--die | --probe]

50 steps with checkpoints in FOLDER ("" for none). --die: worker 1 kills itself at step 26.
--probe: afterwards, what stock Keras and TensorFlow do in the same place.
"""

import hashlib
import json
import os
import signal
import sys

import tensorflow as tf

# The sum over workers is the same at every run (the ring adds in the order of the ranks);
# gradients within a worker are, too, once threads cannot change the order of additions.
tf.config.experimental.enable_op_determinism()
tf.config.threading.set_intra_op_parallelism_threads(1)
strategy = tf.distribute.MultiWorkerMirroredStrategy()

import keras  # noqa: E402

import keras_gxnor  # noqa: E402
from keras_gxnor import distribute  # noqa: E402
from tests.contract.nets import cnn, compile_dst, data, kernels  # noqa: E402

EPOCHS, STEPS, BATCH = 5, 10, 32
WORKER = distribute.worker(strategy)


def batches(epoch):
    """All images in an order that depends on the epoch alone."""
    images = tf.data.Dataset.from_tensor_slices(data(STEPS * BATCH))
    return images.shuffle(STEPS * BATCH, seed=epoch).batch(BATCH, drop_remainder=True)


class Die(keras.callbacks.Callback):
    """SIGKILL in the middle of the third epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if WORKER == 1 and int(self.model.optimizer._iterations.numpy()) == 26:
            os.kill(os.getpid(), signal.SIGKILL)


class Losses(keras.callbacks.Callback):
    """The loss after every step."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(float(logs["loss"]))


def digests(variables):
    """{path: SHA-256 of the bytes}."""
    return {v.path: hashlib.sha256(v.numpy().tobytes()).hexdigest() for v in variables}


def error(action):
    """Class and text of the error that `action` raises, or None."""
    try:
        action()
    except Exception as caught:
        return f"{type(caught).__name__}: {caught}"[:2000]
    return None


def int8_variable():
    """What `scope` mends in TensorFlow."""
    with strategy.scope():
        tf.Variable([1, 0], dtype=tf.int8)


def stock_fit():
    """What `fit` mends in Keras."""
    images, labels = data(BATCH)
    with strategy.scope():
        model = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Flatten(), keras.layers.Dense(3)])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, labels, batch_size=BATCH, verbose=0)


def other_seed():
    """Workers that draw different transitions."""
    with distribute.scope(strategy):
        model = compile_dst(cnn(), seed=WORKER)
    distribute.fit(model, batches, verbose=0)


def drift():
    """What `train_step` mends in Keras: batch normalization without it."""
    with strategy.scope():
        layers = [keras.layers.Flatten(), keras.layers.BatchNormalization(), keras.layers.Dense(3)]
        model = keras.Sequential([keras.Input((8, 8, 2)), *layers])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.optimizer.build(model.trainable_variables)
    images = iter(strategy.experimental_distribute_dataset(batches(0)))
    tf.function(lambda batch: strategy.run(model.train_step, args=(batch,)))(next(images))
    distribute.check_equal(model)


def outside():
    """A model made without any scope."""
    distribute.train_step(compile_dst(cnn()))


def dtypes():
    """Variables of the dtypes that TensorFlow cannot broadcast: what every worker got."""
    wanted = [("int8", -127), ("uint8", 255), ("uint32", 2**32 - 1), ("bfloat16", 0.5), ("int32", 7)]
    with distribute.scope(strategy):
        made = [tf.Variable(value if WORKER == 0 else 0, dtype=dtype) for dtype, value in wanted]
        made.append(tf.Variable(tf.constant(WORKER - 1, tf.int8)))  # its dtype is that of the value
    return [(v.dtype.name, float(v.numpy())) for v in made]


def main(folder, mode=None):
    """Trains; prints the report."""
    keras.utils.set_random_seed(WORKER)  # the chief's initial values must win
    with distribute.scope(strategy):
        model = cnn()
        rule = keras_gxnor.MomentumIncrement()
        compile_dst(model, rule=rule, optimizer=keras.optimizers.Adam(0.01))
    before = [k.numpy() for k in kernels(model)]
    losses = Losses()
    callbacks = [losses, Die()] if mode == "--die" else [losses]
    history = distribute.fit(
        model, batches, EPOCHS, callbacks=callbacks, checkpoints=folder or None, verbose=0
    )
    images, labels = data(300, seed=1)
    report = {
        "worker": WORKER,
        "steps": int(model.optimizer._iterations.numpy()),
        "trained": len(losses.seen),
        "losses": losses.seen,
        "history": history.history,
        "model": digests(model.variables),
        "optimizer": digests(model.optimizer.variables),
        "kernels": [(k.dtype, bool((k.numpy() != old).any())) for k, old in zip(kernels(model), before)],
        "accuracy": float((model(images).numpy().argmax(axis=1) == labels).mean()),
    }
    if mode == "--probe":
        probes = (int8_variable, stock_fit, other_seed, drift, outside)
        report["errors"] = {probe.__name__: error(probe) for probe in probes}
        report["dtypes"] = dtypes()
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
