"""Fine-tuning a discretized float model against training the same discrete model from scratch.

    python benchmarks/finetune.py [--suite digits|mnist|cifar] [--data FOLDER] [--epochs N] [--rate R ...]

A float parent is trained, converted by `keras_gxnor.discretize`, and trained on; beside it the
same converted model with fresh random weights, for as many epochs, with the same schedule, seeds
and data order. Each of the two is trained at every rate, and judged at the one that is best, over
all seeds, on the last tenth of the training data, which nothing is trained on: what random codes
need scrambles good ones. Both end with exact statistics of batch normalization. Every accuracy is
that of the last epoch on the test set, which chooses nothing.
"""

import itertools
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
RATES = (0.01, 0.03, 0.1, 0.3)
SIDES = ("finetuned", "scratch")


def build(shape):
    """A strided float CNN with batch normalization and ReLU: 16C3-32C3-64-10."""
    stack = [keras.Input(shape)]
    for filters in (16, 32):
        stack += [L.Conv2D(filters, 3, 2, padding="same", use_bias=False), _norm(), L.ReLU()]
    stack += [L.Flatten(), L.Dense(64, use_bias=False), _norm(), L.ReLU()]
    return keras.Sequential([*stack, L.Dense(10, use_bias=False), _norm()])


def _norm():
    return L.BatchNormalization(momentum=0.9)


def digits_data(_folder=None):
    """((x, y), (x_test, y_test)) of scikit-learn's digits, 8x8; 500 of 1,797 are the test set."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x = ((images.reshape(-1, 8, 8, 1) - 8) / 8).astype(np.float32)
    x, x_test, y, y_test = train_test_split(x, labels, test_size=500, random_state=0, stratify=labels)
    return (x, y), (x_test, y_test)


SUITES = {"digits": digits_data, "mnist": networks.mnist_data, "cifar": networks.cifar_data}


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


def trained(start, data, epochs, seed, rate, rule) -> tuple[float, float]:
    """Accuracies on the held-out part and on the test set, trained from the weights that `start` has."""
    train, held, test = data
    weights, steps = start.get_weights(), epochs * -(-len(train[0]) // BATCH)
    fit(start, discrete_optimizer(steps, seed, rate, rule), train, epochs, seed)
    keras_gxnor.callbacks.reestimate_batch_normalization(start, train[0][:5000], BATCH)
    found = accuracy(start, held), accuracy(start, test)
    start.set_weights(weights)
    return found


def compare(parent, kernel, activation, data, epochs, seed, rates) -> dict:
    """{"converted": accuracy, side: {rate: (held, test)}} of one parent's children; sides: `SIDES`."""
    train, _, test = data
    space, rule = KERNELS[kernel]
    model = keras_gxnor.discretize(
        parent, space, activation, keep=(), calibration_data=train[0], verbose=False
    )
    keras.utils.set_random_seed(1000 + seed)
    found = {"converted": accuracy(model, test)}
    for side, start in zip(SIDES, (model, keras.models.clone_model(model))):
        found[side] = {rate: trained(start, data, epochs, seed, rate, rule) for rate in rates}
    return found


def summary(found, rates) -> dict:
    """What `compare` found in each seed, at the rate of each side that is best on the held-out parts.

    {"converted": [...], "finetuned": [...], "finetuned_rate": rate, "scratch": [...], "scratch_rate": rate}
    """
    best = {"converted": [one["converted"] for one in found]}
    for side in SIDES:
        held = {rate: sum(one[side][rate][0] for one in found) for rate in rates}
        rate = max(rates, key=held.get)
        best[side], best[f"{side}_rate"] = [one[side][rate][1] for one in found], rate
    return best


def measure(data, parent_epochs, epochs, seeds, rates, say) -> dict:
    """{"float": [...], "runs": {"kernels, activations": as `summary`}}."""
    train, _, test = data
    accuracies, runs = [], {}
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        parent = build(train[0].shape[1:])
        steps = parent_epochs * -(-len(train[0]) // BATCH)
        schedule = keras.optimizers.schedules.CosineDecay(FLOAT_RATE, steps)
        fit(parent, keras.optimizers.Adam(schedule), train, parent_epochs, seed)
        accuracies.append(accuracy(parent, test))
        for kernel, activation in itertools.product(KERNELS, ACTIVATIONS):
            found = compare(parent, kernel, activation, data, epochs, seed, rates)
            say(f"seed {seed}, {kernel}, {activation} activations: {found}")
            runs.setdefault(f"{kernel}, {activation}", []).append(found)
        keras.backend.clear_session()
    return {"float": accuracies, "runs": {name: summary(found, rates) for name, found in runs.items()}}


def show(report, console):
    """Prints the report as a table."""
    parent = f"parent of {report['parent_epochs']} epochs {statistics.mean(report['float']):.2f} %"
    rates = ", ".join(f"{rate:g}" for rate in report["rates"])
    trained = f"{report['data']}, {report['epochs']} epochs at the best of {rates}"
    table = Table(title=f"{trained}; {parent}; {len(report['float'])} seeds")
    columns = ("converted", "from scratch", "at", "fine-tuned", "at", "gain", "least gain")
    table.add_column("kernels, activations")
    for column in columns:
        table.add_column(column, justify="right")
    for name, runs in report["runs"].items():
        cells = [f"{statistics.mean(runs['converted']):.2f}"]
        for side in ("scratch", "finetuned"):
            cells += [f"{statistics.mean(runs[side]):.2f}", f"{runs[f'{side}_rate']:g}"]
        gains = [a - b for a, b in zip(runs["finetuned"], runs["scratch"])]
        table.add_row(name, *cells, f"{statistics.mean(gains):.2f}", f"{min(gains):.2f}")
    console.print(table)


@click.command()
@click.option("--suite", default="digits", show_default=True, type=click.Choice(list(SUITES)))
@click.option("--data", "folder", envvar="GXNOR_DATA", help="Folder of mnist.npz and cifar10_jpeg.npz.")
@click.option("--epochs", default=2, show_default=True, type=click.IntRange(1))
@click.option("--parent-epochs", default=10, show_default=True, type=click.IntRange(1))
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--rate", "rates", default=RATES, show_default=True, multiple=True, help="Of the kernels.")
@click.option("--quick", is_flag=True, help="One seed, epoch and rate: does it run?")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(suite, folder, epochs, parent_epochs, seeds, rates, quick, as_json):
    """Measures what a trained float parent is worth."""
    console = Console(stderr=as_json)
    if quick:
        epochs = parent_epochs = seeds = 1
        rates = (0.1,)
    train, test = SUITES[suite](folder)
    tenth = len(train[0]) // 10
    data = (tuple(part[:-tenth] for part in train), tuple(part[-tenth:] for part in train), test)
    report = {
        "data": suite,
        "epochs": epochs,
        "parent_epochs": parent_epochs,
        "rates": rates,
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        **measure(data, parent_epochs, epochs, range(seeds), rates, console.print),
    }
    if as_json:
        print(json.dumps(report))
    else:
        show(report, console)


if __name__ == "__main__":
    main()
