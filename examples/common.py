"""What the examples share: training one of our nets or its float twin, then shipping it."""

import contextlib
import functools
import json
import pathlib

import click
import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import keras_gxnor
from keras_gxnor import converters
from keras_gxnor.errors import InvalidArgumentError

console = Console()

QUICK_EPOCHS = 8
SLOW = ("tflite_micro", "c_cortex_m4")  # back ends that take about a second for a few dozen samples


def options(epochs, out):
    """The options that the examples share, as a decorator for click.

    Args:
        epochs: Their default number of epochs.
        out: Their default folder.
    """

    def decorate(command):
        quick = f"Fewer samples, at most {QUICK_EPOCHS} epochs: shows that it runs, not how well."
        scratch = "Start the ternary net at random, not from the float one."
        for option in (
            click.option("--scratch", is_flag=True, help=scratch),
            click.option("--quick", is_flag=True, help=quick),
            click.option("--out", default=out, show_default=True, help="Folder of the results."),
            click.option("--seed", default=0, show_default=True),
            click.option("--epochs", default=epochs, type=click.IntRange(1), show_default=True),
        ):
            command = option(command)
        return command

    return decorate


@contextlib.contextmanager
def given(option):
    """Makes what is wrong with the data of an option one message of click's, without a traceback.

    Args:
        option: Its name, as `"--data"`.
    """
    try:
        yield
    except InvalidArgumentError as error:
        raise click.BadParameter(str(error), param_hint=option) from error


def quicker(quick, epochs, train_set, test_set):
    """(epochs, train set, test set, limits of `verify`), all much smaller if `quick`.

    Args:
        quick: Whether to.
        epochs: Number of epochs.
        train_set, test_set: (integer codes, labels), in random order.
    """
    if not quick:
        return epochs, train_set, test_set, dict.fromkeys(SLOW, 200)
    train_set, test_set = (tuple(part[:n] for part in s) for s, n in ((train_set, 2000), (test_set, 100)))
    return min(epochs, QUICK_EPOCHS), train_set, test_set, dict.fromkeys(SLOW, 10)


def block(layer, pool=False, discrete=True):
    """[kernel, max pooling, batch normalization, activation]: the paper's order."""
    activation = keras_gxnor.DiscreteActivation() if discrete else keras.layers.ReLU()
    pooling = [keras.layers.MaxPooling2D()] if pool else []
    return [layer, *pooling, keras.layers.BatchNormalization(momentum=0.9), activation]


def train(model, x, labels, epochs, batch_size, rate, discrete=True, seed=0):
    """Stock compile and fit: squared hinge on +-1 targets, cosine decay to 0.

    Args:
        model: Keras model with one logit a class.
        x: float32 images as Keras sees them.
        labels: Integer classes.
        epochs: Number of passes over the data.
        batch_size: Images a step.
        rate: Learning rate at the start.
        discrete: Whether the kernels are discrete (DSTOptimizer) or float (Adam).
        seed: Seed of the discrete transitions.
    """
    steps = epochs * -(-len(x) // batch_size)
    rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    optimizer = keras_gxnor.DSTOptimizer(rate, seed=seed) if discrete else keras.optimizers.Adam(rate)
    targets = 2.0 * keras.utils.to_categorical(labels, model.output_shape[-1]) - 1.0
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    model.compile(optimizer, "squared_hinge", metrics=[accuracy])
    model.fit(x, targets, batch_size=batch_size, epochs=epochs, verbose=2)


def discretized(model, x):
    """The ternary model that starts from a trained float one; `x` are some of its inputs."""
    return keras_gxnor.discretize(model, kernel_space="graded", keep=(), calibration_data=x[:1000])


def accuracy(model, x, labels) -> float:
    """Share of images whose largest logit is the right one."""
    logits = model.predict(x, batch_size=1000, verbose=0)
    return float((logits.argmax(axis=1) == labels).mean())


def layer_types(discrete):
    """(convolution, dense) layer classes: ours, or Keras' own."""
    if discrete:
        return keras_gxnor.GXNORConv2D, keras_gxnor.GXNORDense
    return keras.layers.Conv2D, keras.layers.Dense


def kind(discrete, ours, theirs, kernel_space="graded"):
    """The class of layer of the float net, `theirs`, or `ours` with kernels of a space.

    The kernels of `"graded"` are ternary for the network and on the device; while it is trained, each
    has an 8-bit hidden state.
    """
    return functools.partial(ours, kernel_space=kernel_space) if discrete else theirs


def train_twins(build, train_set, test_set, spec, epochs, batch_size, rate, seed, start=None):
    """Trains a net in float32, and the ternary one equally long.

    Args:
        build: Callable (discrete) -> Keras model.
        train_set, test_set: (integer codes, labels).
        spec: `InputSpec` of the codes.
        epochs, batch_size, seed: As for `train`.
        rate: Learning rate of the ternary kernels; the float twin gets 3e-3.
        start: None: the ternary net starts at random; or what makes it, a callable (trained float
            model, its inputs) -> model.

    Returns:
        (ternary model, dict of `accuracy`, `float_accuracy`, `images`, `float_weight_bytes`).
    """
    codes, labels = train_set
    test_codes, test_labels = test_set
    x, models, scores = scaled(codes, spec), {}, {}
    for discrete in (False, True):
        console.rule("ternary, DSTOptimizer" if discrete else "the same net in float32, Adam")
        keras.utils.set_random_seed(seed)
        model = start(models[False], x) if discrete and start else build(discrete)
        train(model, x, labels, epochs, batch_size, rate if discrete else 3e-3, discrete, seed)
        models[discrete] = model
        scores[discrete] = accuracy(model, scaled(test_codes, spec), test_labels)
    return models[True], {
        "accuracy": scores[True],
        "float_accuracy": scores[False],
        "images": len(test_codes),
        "float_weight_bytes": float_weight_bytes(models[True]),
    }


def scaled(codes, spec):
    """What Keras sees of integer codes: float32 of the same shape."""
    return (codes.astype(np.float32) - spec.zero_point) * spec.scale


def train_and_ship(
    build, train_set, test_set, spec, epochs, batch_size, rate, seed, out, limits=None, start=None
) -> dict:
    """Trains the ternary net and its float twin, exports the first and verifies it.

    Args:
        build, train_set, test_set, spec, epochs, batch_size, rate, seed, start: As for
            `train_twins`; the model's name is the name of the files.
        out: Folder of the files.
        limits: {back end: images to compare}, for the slow ones.

    Returns:
        dict: what `train_twins` and `ship` return.
    """
    model, scores = train_twins(build, train_set, test_set, spec, epochs, batch_size, rate, seed, start)
    console.rule("export and verify")
    return {**scores, **ship(model, model.name, test_set[0], spec, out, limits)}


def ship(model, name, codes, spec, out, limits=None, lanes=32) -> dict:
    """Exports to TFLite and C, verifies every back end, writes the files to `out`.

    Args:
        model: Trained Keras model.
        name: Name of the files.
        codes: Integer images as the device sees them.
        spec: Their `InputSpec`.
        out: Folder.
        limits: {back end: images to compare}, for the slow ones.
        lanes: Of the C.

    Returns:
        dict with `mismatches`, `images_compared`, `flash_bytes`, `scratch_bytes`,
        `stack_bytes`, `instructions`, `weight_bytes` and `file_bytes`.
    """
    console.print("exporting to TFLite and C; each is checked against the model first")
    artifacts = [
        converters.convert(model, target, input_spec=spec, name=name, **options)
        for target, options in (("tflite", {}), ("c", {"lanes": lanes}))
    ]
    sizes = {}
    for artifact in artifacts:
        for path in artifact.write(out, force=True):
            sizes[path.name] = path.stat().st_size
            console.print(f"wrote {path}")
    tflite, header = artifacts
    names = list(converters.verification.BACKENDS)
    lite = [n for n in names if converters.verification.BACKENDS[n][0] == "tflite"]
    rest = [n for n in names if n not in lite]
    reports = [
        converters.verify(
            model, artifact, codes, chosen, limits, lambda line: console.print(f"comparing {line}")
        )
        for artifact, chosen in ((tflite, lite), (header, rest))
    ]
    cost = reports[1].cost
    return {
        "mismatches": {**reports[0].mismatches, **reports[1].mismatches},
        "images_compared": {**reports[0].images, **reports[1].images},
        "border": max(report.border for report in reports),
        "flash_bytes": cost.flash_bytes,
        "scratch_bytes": cost.scratch_bytes,
        "stack_bytes": cost.stack_bytes,
        "instructions": cost.instructions,
        "weight_bytes": header.sizes["weights"],
        "file_bytes": sizes,
    }


def float_weight_bytes(model) -> int:
    """Bytes of the kernels of `model` in float32."""
    return 4 * sum(
        int(np.prod(v.shape)) for v in model.trainable_variables if v.name.endswith("kernel")
    )


def show(title, report):
    """Prints the report as one table."""
    table = Table(title=title, show_header=False)
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_row("accuracy, ternary", f"{100 * report['accuracy']:.2f} %")
    table.add_row("accuracy, the same net in float32", f"{100 * report['float_accuracy']:.2f} %")
    table.add_row("weights, packed", f"{report['weight_bytes']:,} bytes")
    table.add_row("weights in float32", f"{report['float_weight_bytes']:,} bytes")
    for file, size in report["file_bytes"].items():
        table.add_row(f"file {file}", f"{size:,} bytes")
    table.add_row("flash (Cortex-M4, clang -O2)", f"{report['flash_bytes']:,} bytes")
    table.add_row("scratch RAM", f"{report['scratch_bytes']:,} bytes")
    table.add_row("stack", f"{report['stack_bytes']:,} bytes")
    table.add_row("instructions per inference (M4)", f"{report['instructions']:,}")
    for name, count in report["mismatches"].items():
        table.add_row(f"mismatches, {name}", f"{count} of {report['images_compared'][name]:,}")
    console.print(table)


def save(report, path):
    """Writes the report as JSON."""
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    console.print(f"wrote {path}")
