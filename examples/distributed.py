"""A ternary CNN trained by several machines, byte-equal on all of them.

Try it on this machine, with two workers on loopback:

    python examples/distributed.py --local 2

On real machines start the same command on each, with the same files and options. Only the
variable TF_CONFIG differs: it lists all workers, and the index of this one in the list.

    machine a$ export TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:12345", "10.0.0.2:12345"]},
                                  "task": {"type": "worker", "index": 0}}'
    machine a$ python examples/distributed.py --out build/distributed

    machine b$ export TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:12345", "10.0.0.2:12345"]},
                                  "task": {"type": "worker", "index": 1}}'
    machine b$ python examples/distributed.py --out build/distributed

Worker 0 is the chief. The order of starting does not matter; the addresses must reach each
other, and nobody else, for TensorFlow's protocol has neither passwords nor encryption. If one
worker dies TensorFlow stops all; start all again with the same --out, and the training goes
on after the last whole epoch, as if nothing had been.

The data are scikit-learn's digits, or MNIST with --data mnist.npz (or --data keras, which
downloads it).
"""

import contextlib
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import click

sys.path.insert(0, str(pathlib.Path(__file__).parent))

SCALES = {"digits": (8, 8), "mnist": (128, 128)}  # x = (code - first) / second
RATES = {"digits": 0.1, "mnist": 0.2}


def load(source):
    """(name, train codes, train labels, test codes, test labels) of `source`."""
    if source is None:
        import digits

        codes, test_codes, labels, test_labels = digits.data()
        return "digits", *digits.with_shifts(codes, labels), test_codes, test_labels
    import mnist

    path = None if source == "keras" else pathlib.Path(source)
    if path is not None and path.is_dir():
        path = path / "mnist.npz"
    return "mnist", *mnist.data(path)


def batches(data, batch_size, seed):
    """Callable epoch -> dataset of (images, +-1 targets), whose order depends on the epoch alone."""
    import numpy as np
    import tensorflow as tf

    name, codes, labels = data[:3]
    zero, scale = SCALES[name]
    images, targets = tf.constant(codes), 2.0 * tf.one_hot(labels, 10) - 1.0

    def take(index):
        return (tf.cast(tf.gather(images, index), tf.float32) - zero) / scale, tf.gather(targets, index)

    def epoch_batches(epoch):
        order = np.random.default_rng([seed, epoch]).permutation(len(codes)).astype(np.int32)
        indices = tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True)
        return indices.map(take).prefetch(2)

    return epoch_batches


def train(source, width, epochs, batch_size, seed, out, threads=0):
    """Trains as one of the workers in TF_CONFIG; returns (report, model)."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()  # so that a resumed run ends as an unbroken one
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()  # first: it makes TensorFlow's server
    import keras

    import keras_gxnor
    from keras_gxnor import distribute

    keras.utils.set_random_seed(seed)
    data = load(source)
    batch_size -= batch_size % strategy.num_replicas_in_sync
    with distribute.scope(strategy):  # the model, its optimizer and its metrics
        model = build(data[0], width)
        steps = epochs * (len(data[1]) // batch_size)
        rate = keras.optimizers.schedules.CosineDecay(RATES[data[0]], steps)
        accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
        model.compile(keras_gxnor.DSTOptimizer(rate, seed=seed), "squared_hinge", metrics=[accuracy])
    start = time.monotonic()
    history = distribute.fit(
        model, batches(data, batch_size, seed), epochs, checkpoints=out / "checkpoints", verbose=2
    )
    kernels = b"".join(v.numpy().tobytes() for v in model.trainable_variables if v.dtype == "int8")
    return {
        "worker": distribute.worker(strategy),
        "replicas": strategy.num_replicas_in_sync,
        "data": data[0],
        "epochs_trained": len(history.epoch),
        "seconds": time.monotonic() - start,
        "accuracy": measure(model, data),
        "kernel_bytes": len(kernels),
        "kernels_sha256": hashlib.sha256(kernels).hexdigest(),
    }, model


def measure(model, data):
    """Share of right answers; every worker tests its own copy, without a word to the others."""
    import numpy as np

    name, _, _, codes, labels = data
    zero, scale = SCALES[name]
    images = (codes.astype(np.float32) - zero) / scale
    logits = np.concatenate([model(part) for part in np.array_split(images, -(-len(images) // 1000))])
    return float((logits.argmax(axis=1) == labels).mean())


def build(name, width):
    """The net of examples/digits.py or examples/mnist.py."""
    import digits
    import mnist

    return digits.build() if name == "digits" else mnist.build(width)


def launch(count, arguments, program=__file__, env=None):
    """Runs `program` as `count` workers on loopback.

    Args:
        count: Number of processes.
        arguments: Command line of each.
        program: Path of the Python program.
        env: Environment variables to add.

    Worker 0 writes to our stdout, the others are silent.

    Raises:
        click.ClickException: if a worker fails; all others are ended then.
    """
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    cluster = {"worker": [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]}
    for s in sockets:
        s.close()
    with contextlib.ExitStack() as stack:
        processes, errors = [], []
        for index in range(count):
            config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
            errors.append(stack.enter_context(tempfile.TemporaryFile()))
            process = subprocess.Popen(
                [sys.executable, program, *map(str, arguments)],
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(env or {}), "TF_CONFIG": config},
                stdout=None if index == 0 else subprocess.DEVNULL,
                stderr=errors[-1],
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        while None in (codes := [process.poll() for process in processes]) and not any(codes):
            time.sleep(0.1)
        for index, code in enumerate(codes):
            if code:  # without it the others wait for ever, or end soon with an error of their own
                errors[index].seek(0)
                tail = errors[index].read()[-3000:].decode(errors="replace")
                raise click.ClickException(f"worker {index} ended with code {code}:\n{tail}")


def show(report):
    """Prints what one worker has trained."""
    click.echo(
        f"worker {report['worker']} of {report['replicas']}, {report['data']}: "
        f"{report['epochs_trained']} epochs trained in {report['seconds']:.1f} s, test accuracy "
        f"{100 * report['accuracy']:.2f} %\n  {report['kernel_bytes']:,} bytes of int8 kernels, "
        f"SHA-256 {report['kernels_sha256']}"
    )


def compare(reports):
    """Says whether all workers hold the same kernels; fails if not."""
    for report in reports[1:]:
        show(report)
    if len({report["kernels_sha256"] for report in reports}) > 1:
        raise click.ClickException("the workers hold DIFFERENT kernels")
    click.secho(f"all {len(reports)} workers hold the same kernels, byte for byte", fg="green")


# \b keeps click from rewrapping the shell lines.
@click.command(help="\b\n" + __doc__.replace("\n\n", "\n\n\b\n"))
@click.option("--local", default=0, metavar="N", help="Start N workers here, on loopback.")
@click.option("--data", "source", envvar="GXNOR_DATA", metavar="PATH",
              help='mnist.npz, or "keras" to download it; default: digits.')
@click.option("--width", default=0.5, show_default=True, help="Times the paper's channels (MNIST).")
@click.option("--epochs", default=10, type=click.IntRange(1), show_default=True)
@click.option("--batch-size", default=64, type=click.IntRange(1), show_default=True,
              help="Images a step, of all workers together.")
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=0, help="Threads a worker; default: all of the machine.")
@click.option("--out", default="build/distributed", show_default=True,
              help="Folder of the checkpoints and, on the chief, of the model.")
def main(local, source, width, epochs, batch_size, seed, threads, out):
    out = pathlib.Path(out)
    if local:
        options = ["--width", width, "--epochs", epochs, "--batch-size", batch_size, "--seed", seed]
        options += ["--threads", threads or max(1, (os.cpu_count() or 1) // local), "--out", out]
        options += ["--data", source] if source else []
        files = [out / f"worker-{index}.json" for index in range(local)]
        for file in files:
            file.unlink(missing_ok=True)
        # Several programs on one graphics card would fight for its memory.
        launch(local, options, env={"CUDA_VISIBLE_DEVICES": "-1"})
        compare([json.loads(file.read_text(encoding="utf-8")) for file in files])
        return
    report, model = train(source, width, epochs, batch_size, seed, out, threads)
    out.mkdir(parents=True, exist_ok=True)
    if report["worker"] == 0:
        model.save(out / f"{report['data']}.keras")
    path = out / f"worker-{report['worker']}.json"
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(report)


if __name__ == "__main__":
    main()
