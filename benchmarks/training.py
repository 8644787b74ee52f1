"""Training: state, step time and accuracy of every way to train the same net.

    python benchmarks/training.py [--quick] [--json] [--suite mnist|cifar] [--data FOLDER]

State is counted on the variables. Step times are taken in rounds, one step of every method
a round in a random order, so that a noisy machine hits all alike; a ratio is the median over the rounds of
(time / time of float32 Adam). Accuracy is that of the last epoch on the test set. `--log
FILE` keeps each finished training, and a later call with the same log goes on from there.
"""

import json
import pathlib
import statistics
import sys

import click
import keras
import tensorflow as tf
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import networks
from methods import METHODS, Method, bytes_per_weight, compiled, optimizer, step, train
from timing import milliseconds, paired_times, ratio

TIMED = ("float_adam", "latent", "ternary_adam", "ternary_momentum_int8", "ternary_fire", "graded")
FILES = {"mnist": "mnist.npz", "cifar": "cifar10_jpeg.npz"}
# suite: {entry: (method, net, width, epochs)}
SUITES = {
    "mnist": {
        **{name: (name, "mnist", 0.5, 10) for name in METHODS},
        **{
            f"{name}_full_width": (name, "mnist", 1.0, 20)
            for name in ("ternary_fire", "graded")
        },
    },
    "cifar": {name: (name, "cifar", 1.0, 10) for name in METHODS},
    "quick": {name: (name, "mnist", 0.25, 1) for name in TIMED},
}


def state_bytes_per_weight() -> dict:
    """Bytes a kernel weight of the kernels and their slots, by method."""
    return {name: bytes_per_weight(compiled(METHODS[name], "mnist")) for name in TIMED}


def step_times(rounds: int, nets=("mnist", "mlp"), sizes=(128, 512)) -> list[dict]:
    """[{net, batch, ms: {method: median}, ratio: {method: median of paired ratios}}]."""
    found = []
    for net in nets:
        for batch in sizes:
            steps = {name: step(compiled(METHODS[name], net), batch) for name in TIMED}
            times = paired_times(steps, rounds)
            ratios = {name: ratio(t, times["float_adam"]) for name, t in times.items()}
            found.append({"net": net, "batch": batch, "ms": milliseconds(times), "ratio": ratios})
            keras.backend.clear_session()
    return found


def update_times(rounds: int) -> dict:
    """ms of the update alone of the MNIST net's kernels, with and without XLA, by method."""
    runs = {
        f"{name}{'_xla' if jit else ''}": _update(METHODS[name], jit)
        for name in TIMED
        for jit in (False, True)
    }
    return milliseconds(paired_times(runs, rounds))


def _update(method: Method, jit: bool):
    model = compiled(method, "mnist")
    kernels = [v for v in model.trainable_variables if v.name == "kernel"]
    gradients = [tf.random.stateless_normal(v.shape, (1, 2)) for v in kernels]
    own = optimizer(method, "mnist", 1_000_000)
    own.jit_compile = jit  # a DSTOptimizer compiles its kernels itself
    own.build(kernels)
    return tf.function(lambda: own.apply(gradients, kernels), jit_compile=jit and method.rule is None)


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


def _check_folder(suite, folder):
    """Refuses before the timings what could not be trained after them."""
    if folder and not (pathlib.Path(folder) / FILES[suite]).is_file():
        raise click.UsageError(
            f"--suite {suite} needs {FILES[suite]} in the folder of --data (or GXNOR_DATA); without "
            f"--data it takes the data of keras.datasets. Received: --data {folder}"
        )


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
@click.option("--data", "folder", envvar="GXNOR_DATA", help="Folder of mnist.npz, cifar10_jpeg.npz.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--log", default=None, help="File of finished trainings, to go on from.")
@click.option("--quick", is_flag=True, help="Bundled digits, one epoch, few rounds: does it run?")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(suite, folder, seeds, log, quick, as_json):
    """Measures state, step time and accuracy."""
    console = Console(stderr=as_json)
    if not quick:
        _check_folder(suite, folder)
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
