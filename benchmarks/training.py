"""Training: state, step time and accuracy of every way to train the same net.

    python benchmarks/training.py [--quick] [--json] [--suite mnist|cifar] [--data FOLDER]

State is counted on the variables. Step times are taken in rounds, one step of every method
a round, so that a noisy machine hits all alike; a ratio is the median over the rounds of
(time / time of float32 Adam). Accuracy is that of the last epoch on the test set. `--log
FILE` keeps each finished training, and a later call with the same log goes on from there.
"""

import json
import pathlib
import statistics
import sys
import time

import click
import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import networks
from methods import METHODS, Method, optimizer, train

TIMED = ("float_adam", "ternary_adam", "ternary_momentum_int8", "ternary_fire", "graded")
# suite: {entry: (method, net, width, epochs)}
SUITES = {
    "mnist": {
        **{name: (name, "mnist", 0.5, 10) for name in METHODS},
        **{
            f"{name}_full_width": (name, "mnist", 1.0, 20)
            for name in ("ternary_momentum_int8", "ternary_fire", "graded")
        },
    },
    "cifar": {name: (name, "cifar", 1.0, 10) for name in METHODS},
    "quick": {name: (name, "mnist", 0.25, 1) for name in TIMED},
}


def state_bytes_per_weight() -> dict:
    """Bytes a kernel weight of all variables of a kernel and its slots, by method."""
    found = {}
    for name in TIMED:
        model = _compiled(METHODS[name], "mnist")
        model.optimizer.build(model.trainable_variables)
        kernels = [v for v in model.trainable_variables if v.name == "kernel"]
        weights = sum(int(np.prod(v.shape)) for v in kernels)
        slots = [v for v in model.optimizer.variables if _belongs(v, kernels)]
        found[name] = sum(v.numpy().nbytes for v in [*kernels, *slots]) / weights
    return found


def _belongs(slot, kernels):
    """Whether an optimizer variable is a slot of a kernel (Keras names it after its variable)."""
    return any(kernel.path.replace("/", "_") in slot.path for kernel in kernels)


def _compiled(method: Method, net: str):
    model = getattr(networks, net)(method.kind)
    rates = {net: method.rates.get(net, method.rates["mnist"])}
    model.compile(
        optimizer(Method(method.kind, method.rule, rates, method.m), net, 1_000_000), "squared_hinge"
    )
    return model


def _step(model, batch):
    """One training step as `fit` runs it, on a fixed batch."""
    x = tf.random.stateless_uniform((batch, *model.input_shape[1:]), (1, 2), -1.0, 1.0)
    y = 2.0 * tf.one_hot(tf.range(batch) % 10, 10) - 1.0
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors((x, y)).repeat())
    return lambda: model.train_function(batches)


def step_times(rounds: int, nets=("mnist", "mlp"), sizes=(128, 512)) -> list[dict]:
    """[{net, batch, ms: {method: median}, ratio: {method: median of paired ratios}}]."""
    found = []
    for net in nets:
        for batch in sizes:
            steps = {name: _step(_compiled(METHODS[name], net), batch) for name in TIMED}
            times = {name: [] for name in TIMED}
            for turn in range(rounds + 3):
                for name, step in steps.items():
                    start = time.perf_counter()
                    step()
                    if turn >= 3:  # the first compile and warm up
                        times[name].append(time.perf_counter() - start)
            base = times["float_adam"]
            found.append({
                "net": net,
                "batch": batch,
                "ms": {n: 1e3 * statistics.median(t) for n, t in times.items()},
                "ratio": {
                    n: statistics.median(a / b for a, b in zip(t, base)) for n, t in times.items()
                },
            })
            keras.backend.clear_session()
    return found


def update_times(rounds: int) -> dict:
    """ms of the update alone of the MNIST net's kernels, with and without XLA, by method."""
    found = {}
    for name in TIMED:
        for jit in (False, True):
            model = _compiled(METHODS[name], "mnist")
            kernels = [v for v in model.trainable_variables if v.name == "kernel"]
            gradients = [tf.random.stateless_normal(v.shape, (1, 2)) for v in kernels]
            model.optimizer.jit_compile = jit
            run = _update(model.optimizer, gradients, kernels, jit and name == "float_adam")
            found[f"{name}{'_xla' if jit else ''}"] = 1e3 * _median_time(run, rounds)
    return found


def _update(opt, gradients, kernels, jit):
    opt.build(kernels)
    return tf.function(lambda: opt.apply(gradients, kernels), jit_compile=jit)


def _median_time(run, rounds):
    times = []
    for turn in range(rounds + 3):
        start = time.perf_counter()
        run()
        if turn >= 3:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def accuracies(suite, seeds, folder, log, say) -> dict:
    """{entry: {mean, sd, seeds, epochs, ...}} of a suite; reuses what `log` holds."""
    done = _read_log(log)
    data, found = None, {}
    for entry, (method, net, width, epochs) in SUITES[suite].items():
        runs = []
        for seed in seeds:
            key = _key(method, net, width, epochs, seed)
            if key not in done:
                if data is None:
                    data = _data(suite, folder)
                done[key] = train(method, net, data, width, epochs, seed)
                keras.backend.clear_session()
                if log:
                    with open(log, "a", encoding="utf-8") as file:
                        file.write(json.dumps({"key": key, **done[key]}) + "\n")
            runs.append(done[key])
            say(f"{entry}, seed {seed}: {runs[-1]['last']:.2f} % in {runs[-1]['seconds']:.0f} s")
        last = [run["last"] for run in runs]
        found[entry] = {
            "mean": round(statistics.mean(last), 3),
            "sd": round(statistics.stdev(last), 3) if len(last) > 1 else 0.0,
            "seeds": len(last),
            "epochs": epochs,
            "width": width,
            "each": last,
            "train": round(statistics.mean(run["train"] for run in runs), 2),
            "seconds": round(statistics.mean(run["seconds"] for run in runs), 1),
            "what": METHODS[method].note,
        }
    return found


def _key(name, net, width, epochs, seed) -> str:
    """Names a training by all that it depends on, but the version of the code."""
    method = METHODS[name]
    how = f"{method.kind} rule {method.rule} m {method.m} rates {method.rates[net]}"
    return f"{net} {how} width {width} epochs {epochs} seed {seed}"


def _read_log(log) -> dict:
    if not log or not pathlib.Path(log).exists():
        return {}
    lines = pathlib.Path(log).read_text(encoding="utf-8").splitlines()
    return {entry.pop("key"): entry for entry in map(json.loads, lines)}


def _data(suite, folder):
    if suite == "quick":
        return networks.digits_data()
    return (networks.mnist_data if suite == "mnist" else networks.cifar_data)(folder)


def show(report, console):
    """Prints the report as tables."""
    table = Table(title="state and step time")
    for column in ("method", "bytes a weight", "step / float Adam", "update, ms", "with XLA, ms"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for name in TIMED:
        table.add_row(
            name,
            f"{report['state_bytes_per_weight'][name]:.3f}",
            f"{report['step_time_ratio_to_float_adam'][name]:.3f}",
            f"{report['update_ms'][name]:.2f}",
            f"{report['update_ms'][f'{name}_xla']:.2f}",
        )
    console.print(table)
    table = Table(title="step time, ms (ratio to float Adam)")
    for column in ("net", "batch", *TIMED):
        table.add_column(column, justify="right")
    for row in report["step_times"]:
        cells = [f"{row['ms'][n]:.1f} ({row['ratio'][n]:.3f})" for n in TIMED]
        table.add_row(row["net"], str(row["batch"]), *cells)
    console.print(table)
    table = Table(title=f"accuracy of the last epoch on the test set, {report['suite']}")
    for column in ("entry", "%", "sd", "seeds", "epochs", "train %", "s a run"):
        table.add_column(column, justify="left" if column == "entry" else "right")
    for name, a in report["accuracy"].items():
        numbers = (f"{a['mean']:.2f}", f"{a['sd']:.2f}", a["seeds"], a["epochs"], a["train"], a["seconds"])
        table.add_row(name, *map(str, numbers))
    console.print(table)


@click.command()
@click.option("--suite", type=click.Choice(["mnist", "cifar"]), default="mnist", show_default=True)
@click.option("--data", "folder", default=networks.folder(), help="Folder of mnist.npz, cifar10_jpeg.npz.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--log", default=None, help="File of finished trainings, to go on from.")
@click.option("--quick", is_flag=True, help="Bundled digits, one epoch, few rounds: does it run?")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(suite, folder, seeds, log, quick, as_json):
    """Measures state, step time and accuracy."""
    console = Console(stderr=as_json)
    rounds = 5 if quick else 40
    times = step_times(rounds, sizes=(128,) if quick else (128, 512))
    report = {
        "suite": "quick" if quick else suite,
        "state_bytes_per_weight": state_bytes_per_weight(),
        "step_time_ratio_to_float_adam": {
            name: statistics.median(row["ratio"][name] for row in times) for name in TIMED
        },
        "step_times": times,
        "update_ms": update_times(rounds),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }
    chosen = report["suite"]
    report["accuracy"] = accuracies(chosen, range(1 if quick else seeds), folder, log, console.print)
    if as_json:
        print(json.dumps(report))
    else:
        show(report, console)


if __name__ == "__main__":
    main()
