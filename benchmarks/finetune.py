"""Fine-tuning a discretized float model against training the same discrete model from scratch.

    python benchmarks/finetune.py [--quick] [--json] [--data FOLDER] [--epochs N] [--rate R]

A float parent is trained, converted by `keras_gxnor.discretize`, and trained on; beside it the
same converted model with fresh random weights, for as many epochs, at the same rates and
schedule, with the same seeds and data order. Both end with exact statistics of batch
normalization. Every accuracy is that of the last epoch on the test set.
"""

import json
import pathlib
import statistics
import sys

import click
import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import networks

import keras_gxnor

L = keras.layers
# Kernel space and rule. "fire" moves a weight when its accumulator is full; the moment of "momentum"
# begins at nothing and scrambles the codes that it was given.
KERNELS = {
    "ternary by fire": ("ternary", "fire"),
    "ternary by momentum": ("ternary", "momentum"),
    "graded": ("graded", "auto"),
}
ACTIVATIONS = ("ternary", "uint8")
FLOAT_RATE = 3e-3  # of the parent
BATCH = 64


def build(shape):
    """A strided float CNN with batch normalization and ReLU: 16C3-32C3-64-10."""
    stack = [keras.Input(shape)]
    for filters in (16, 32):
        stack += [L.Conv2D(filters, 3, 2, padding="same", use_bias=False), _norm(), L.ReLU()]
    stack += [L.Flatten(), L.Dense(64, use_bias=False), _norm(), L.ReLU()]
    return keras.Sequential([*stack, L.Dense(10, use_bias=False), _norm()])


def _norm():
    return L.BatchNormalization(momentum=0.9)


def digits_data():
    """((x, y), (x_test, y_test)) of scikit-learn's digits, 8x8; 500 of 1,797 are the test set."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x = ((images.reshape(-1, 8, 8, 1) - 8) / 8).astype(np.float32)
    x, x_test, y, y_test = train_test_split(x, labels, test_size=500, random_state=0, stratify=labels)
    return (x, y), (x_test, y_test)


def fit(model, optimizer, data, epochs, seed):
    """Stock fit; seed gives the order of the data."""
    keras.utils.set_random_seed(seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=False)
    model.fit(*data, batch_size=BATCH, epochs=epochs, verbose=0)


def discrete_optimizer(steps, seed, rate, rule):
    """DSTOptimizer, its rates falling to 0 by a cosine; that of the floats is a tenth."""
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    return keras_gxnor.DSTOptimizer(schedule, rule=rule, seed=seed)


def accuracy(model, data) -> float:
    """Share of right classes, in %."""
    x, y = data
    return round(100 * float((model.predict(x, batch_size=500, verbose=0).argmax(1) == y).mean()), 3)


def compare(parent, kernel, activation, data, epochs, seed, rate) -> dict:
    """{"converted", "finetuned", "scratch"}: accuracies of one parent's children."""
    (train, test), (space, rule) = data, KERNELS[kernel]
    model = keras_gxnor.discretize(
        parent, space, activation, keep=(), calibration_data=train[0], verbose=False
    )
    found = {"converted": accuracy(model, test)}
    keras.utils.set_random_seed(1000 + seed)
    fresh = keras.models.clone_model(model)
    steps = epochs * -(-len(train[0]) // BATCH)
    for name, start in (("finetuned", model), ("scratch", fresh)):
        fit(start, discrete_optimizer(steps, seed, rate, rule), train, epochs, seed)
        keras_gxnor.callbacks.reestimate_batch_normalization(start, train[0][:5000], BATCH)
        found[name] = accuracy(start, test)
    return found


def measure(data, parent_epochs, epochs, seeds, rate, say) -> dict:
    """{"float": [...], "runs": {"kernel, activation": {name: [an accuracy a seed]}}}."""
    train, test = data
    report = {"float": [], "runs": {}}
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        parent = build(train[0].shape[1:])
        steps = parent_epochs * -(-len(train[0]) // BATCH)
        schedule = keras.optimizers.schedules.CosineDecay(FLOAT_RATE, steps)
        fit(parent, keras.optimizers.Adam(schedule), train, parent_epochs, seed)
        report["float"].append(accuracy(parent, test))
        for kernel in KERNELS:
            for activation in ACTIVATIONS:
                found = compare(parent, kernel, activation, data, epochs, seed, rate)
                say(f"seed {seed}, {kernel}, {activation} activations: {found}")
                entry = report["runs"].setdefault(f"{kernel}, {activation}", {})
                for name, value in found.items():
                    entry.setdefault(name, []).append(value)
        keras.backend.clear_session()
    return report


def show(report, console):
    """Prints the report as a table."""
    parent = f"parent of {report['parent_epochs']} epochs {statistics.mean(report['float']):.2f} %"
    trained = f"{report['data']}, {report['epochs']} epochs at {report['rate']:g}"
    table = Table(title=f"{trained}; {parent}; {len(report['float'])} seeds")
    for column in ("kernels, activations", "converted", "from scratch", "fine-tuned", "gain", "least gain"):
        table.add_column(column, justify="left" if column.startswith("kernels") else "right")
    for name, runs in report["runs"].items():
        means = [statistics.mean(runs[k]) for k in ("converted", "scratch", "finetuned")]
        gains = [a - b for a, b in zip(runs["finetuned"], runs["scratch"])]
        cells = [f"{v:.2f}" for v in (*means, statistics.mean(gains), min(gains))]
        table.add_row(name, *cells)
    console.print(table)


@click.command()
@click.option("--data", "folder", envvar="GXNOR_DATA", help="Folder of mnist.npz; default: digits.")
@click.option("--epochs", default=2, show_default=True, type=click.IntRange(1))
@click.option("--parent-epochs", default=10, show_default=True, type=click.IntRange(1))
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--rate", default=0.1, show_default=True, help="Of the discrete kernels, at the start.")
@click.option("--quick", is_flag=True, help="One seed, one epoch: does it run?")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(folder, epochs, parent_epochs, seeds, rate, quick, as_json):
    """Measures what a trained float parent is worth."""
    console = Console(stderr=as_json)
    if quick:
        epochs = parent_epochs = seeds = 1
    data = networks.mnist_data(folder) if folder else digits_data()
    report = {
        "data": "mnist" if folder else "digits",
        "epochs": epochs,
        "parent_epochs": parent_epochs,
        "rate": rate,
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        **measure(data, parent_epochs, epochs, range(seeds), rate, console.print),
    }
    if as_json:
        print(json.dumps(report))
    else:
        show(report, console)


if __name__ == "__main__":
    main()
